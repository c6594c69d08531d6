// A monitor: makes the checks of one sandbox, one after the other, and tells what they find. Decides on a clock from outside.
//
//   interval ─► check ─ ends, or takes too long and is ended ─► result ─► health ─► interval ─► ...

import type { Clock, Timer } from '../clock.ts'
import { messageOf } from '../errors.ts'
import type { HealthCheck, HealthTest } from '../netdb/health-check.ts'
import {
  type Health,
  NOT_ENDED,
  type Outcome,
  newHealth,
  untilNextMs,
  withResult,
} from './health.ts'

export interface MonitorOptions {
  readonly clock: Clock
  /** On clock.nowMs(), which may be before the clock began. */
  readonly startedMs: number
  /** Makes one check. When the signal is aborted nobody waits for it any more, and it is to leave nothing behind. */
  readonly run: (test: HealthTest, signal: AbortSignal) => Promise<Outcome>
  readonly onResult: (health: Health) => void
}

export class Monitor {
  readonly #options: MonitorOptions
  #health: Health
  #timer: Timer | null = null
  #running: AbortController | null = null

  constructor(options: MonitorOptions, health: Health) {
    this.#options = options
    this.#health = health
  }

  /** @param firstInMs until the first check; an interval when left out */
  start(firstInMs: number = untilNextMs(this.#health, this.#sinceStartMs())): void {
    this.#timer = this.#options.clock.setTimeout(() => void this.#check(), firstInMs)
  }

  /** Goes on with another check; the status stays, failures are counted anew. */
  change(check: HealthCheck): void {
    this.close()
    const { status, log } = this.#health
    this.#health = { ...newHealth(check, status), log }
    this.start()
  }

  close(): void {
    this.#timer?.cancel()
    this.#running?.abort()
    this.#running = null
  }

  get health(): Health {
    return this.#health
  }

  async #check(): Promise<void> {
    const { clock, run, onResult } = this.#options
    const { test, timeoutMs } = this.#health.check
    const startedAtMs = clock.wallMs()
    const begunMs = this.#sinceStartMs()
    const controller = new AbortController()
    this.#running = controller
    const late = new Promise<Outcome>((resolve) => {
      this.#timer = clock.setTimeout(() => {
        resolve({ exitCode: NOT_ENDED, output: `no end after ${timeoutMs / 1000} s` })
        controller.abort()
      }, timeoutMs)
    })
    const failed = (error: unknown): Outcome => ({
      exitCode: NOT_ENDED,
      output: messageOf(error),
    })
    const outcome = await Promise.race([run(test, controller.signal).catch(failed), late])
    // Closed meanwhile, or changed.
    if (this.#running !== controller) return
    this.#running = null
    this.#timer?.cancel()
    const result = { ...outcome, startedAtMs, endedAtMs: clock.wallMs() }
    this.#health = withResult(this.#health, result, begunMs)
    // First: whoever hears of it may close this.
    this.start()
    onResult(this.#health)
  }

  #sinceStartMs(): number {
    return this.#options.clock.nowMs() - this.#options.startedMs
  }
}

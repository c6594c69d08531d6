// The timekeeper: timers that notice when this host stood still.
//
// A stalled event loop or a paused machine makes timers late while datagrams wait unread in the socket's buffer. A timeout that ran out meanwhile says nothing about others,
// so whoever decides by timeouts hears of the pause first, and before any of the late timers does its work.

import type { Clock, Timer } from '../clock.ts'

export class Timekeeper {
  readonly #clock: Clock
  readonly #pauseMs: number
  readonly #onPause: (lateMs: number) => void
  readonly #running = new Set<Timer>()
  /** Timers that were due before this belong to a pause that was told already. */
  #toldUntilMs = -Infinity

  constructor(clock: Clock, pauseMs: number, onPause: (lateMs: number) => void) {
    this.#clock = clock
    this.#pauseMs = pauseMs
    this.#onPause = onPause
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  /** Does `work` once, after `delayMs` or whenever this host goes on after a pause. */
  after(delayMs: number, work: () => void): Timer {
    const dueMs = this.#clock.nowMs() + delayMs
    const timer = this.#clock.setTimeout(() => {
      this.#running.delete(timer)
      const nowMs = this.#clock.nowMs()
      const lateMs = nowMs - dueMs
      if (lateMs >= this.#pauseMs && dueMs > this.#toldUntilMs) {
        this.#toldUntilMs = nowMs
        this.#onPause(lateMs)
      }
      if (!cancelled) work()
    }, delayMs)
    let cancelled = false
    const kept: Timer = {
      cancel: () => {
        cancelled = true
        this.#running.delete(timer)
        timer.cancel()
      },
    }
    this.#running.add(timer)
    return kept
  }

  /** No timer that runs now does anything any more. */
  stop(): void {
    for (const timer of this.#running) timer.cancel()
    this.#running.clear()
  }
}

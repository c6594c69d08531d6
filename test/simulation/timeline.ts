// The timeline of a simulation: who did or learnt what and when, for a person who looks for the reason of a failure.

import type { VirtualClock } from '../fixtures/virtual-clock.ts'

/** Lines that are kept: a failing run of minutes has hundreds, a loop without end must not fill the memory. */
const MAX_LINES = 20_000

export class Timeline {
  readonly #time: VirtualClock
  readonly #lines: string[] = []
  #dropped = 0
  readonly #enabled: boolean

  /** @param enabled false in long measurements, where nobody reads it */
  constructor(time: VirtualClock, enabled = true) {
    this.#time = time
    this.#enabled = enabled
  }

  get enabled(): boolean {
    return this.#enabled
  }

  /** @param who a host, or `network` */
  note(who: string, what: string): void {
    if (!this.#enabled) return
    if (this.#lines.length >= MAX_LINES) {
      this.#dropped++
      return
    }
    const seconds = (this.#time.nowMs() / 1000).toFixed(3)
    this.#lines.push(`${seconds.padStart(9)} s  ${who.padEnd(8)} ${what}`)
  }

  lines(): readonly string[] {
    return this.#dropped === 0 ? this.#lines : [...this.#lines, `and ${this.#dropped} lines more`]
  }
}

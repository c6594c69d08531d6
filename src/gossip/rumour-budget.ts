// A budget of rumours: what is learned by comparing is spread further, but never so much that fresh news drown in it.

import type { Clock } from '../clock.ts'

export class RumourBudget {
  readonly #clock: Clock
  readonly #burst: number
  readonly #perSecond: number
  #left: number
  #atMs: number

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.#clock = clock
    this.#burst = burst
    this.#perSecond = perSecond
    this.#left = burst
    this.#atMs = clock.nowMs()
  }

  /** Whether there is one left, which is then spent. */
  take(): boolean {
    const nowMs = this.#clock.nowMs()
    const earned = ((nowMs - this.#atMs) * this.#perSecond) / 1_000
    this.#left = Math.min(this.#burst, this.#left + earned)
    this.#atMs = nowMs
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}

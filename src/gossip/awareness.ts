// Awareness: how far this host trusts its own senses (Lifeguard's local health multiplier).
//
// Who is slow itself finds the others slow. Signs of that (probes that fail while relays are silent too, suspicions of us, timers that are late) raise the
// score, answers lower it, and our timeouts are multiplied by it.

export class Awareness {
  readonly #max: number
  #score = 0

  constructor(max: number) {
    this.#max = max
  }

  /** 0: well. */
  get score(): number {
    return this.#score
  }

  /** By what timeouts are multiplied. */
  get multiplier(): number {
    return 1 + this.#score
  }

  better(): void {
    if (this.#score > 0) this.#score--
  }

  worse(): void {
    if (this.#score < this.#max) this.#score++
  }
}

// A Lamport clock: gives each write of this host a time later than all that it has seen.

export class LamportClock {
  #time = 0

  /** The time for a new write. */
  tick(): number {
    this.#time += 1
    return this.#time
  }

  /** Takes note of another's time. */
  witness(time: number): void {
    if (time > this.#time) this.#time = time
  }
}

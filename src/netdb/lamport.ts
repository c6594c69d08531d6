// A Lamport clock: gives each write of this host a time later than all that it has seen.

/** A time further ahead than this was not reached by writing: whoever makes it up may not use up the clock. */
const MAX_LEAP = 2 ** 32

export class LamportClock {
  #time = 0

  get time(): number {
    return this.#time
  }

  /** The time for a new write. */
  tick(): number {
    this.#time += 1
    return this.#time
  }

  /** Takes note of another's time. */
  witness(time: number): void {
    if (time > this.#time) this.#time = time
  }

  isPlausible(time: number): boolean {
    return time <= this.#time + MAX_LEAP
  }
}

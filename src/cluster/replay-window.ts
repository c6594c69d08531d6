// Which counters of one sender's session were heard: each is accepted once, also out of order, unless it is too far behind.

/** How far a datagram may be overtaken: by more than a burst of gossip to a whole cluster. */
export const REPLAY_WINDOW = 1024

const WORD_BITS = 32
/** One more than the window: the word that is being filled must not wipe what is still in it (RFC 6479). */
const WORDS = REPLAY_WINDOW / WORD_BITS + 1

export class ReplayWindow {
  #highest = 0
  /** A ring: the bit of a counter is at counter mod its size. */
  readonly #heard = new Uint32Array(WORDS)

  /** Whether `counter` is heard for the first time, and notes it. */
  accept(counter: number): boolean {
    const word = Math.floor(counter / WORD_BITS)
    if (counter > this.#highest) {
      const before = Math.floor(this.#highest / WORD_BITS)
      const steps = Math.min(word - before, WORDS)
      for (let step = 1; step <= steps; step++) this.#heard[(before + step) % WORDS] = 0
      this.#highest = counter
    } else if (this.#highest - counter >= REPLAY_WINDOW) {
      return false
    }
    const slot = word % WORDS
    const bits = this.#heard[slot] ?? 0
    const bit = 1 << (counter % WORD_BITS)
    if ((bits & bit) !== 0) return false
    this.#heard[slot] = bits | bit
    return true
  }
}

// Work that changes ask for which come in flocks: done once when they have settled, and never twice at a time.

/** An endpoint comes with several records, a network with a record for each subnet. */
const SETTLE_MS = 20

export class SettledWork {
  /** Handles its own errors. */
  readonly #work: () => Promise<void>
  #timer: NodeJS.Timeout | null = null
  #working: Promise<void> = Promise.resolve()
  #closed = false

  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Nothing begins any more; what has begun goes on. */
  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** In a moment; who asks again until then asks for the same. */
  soon(): void {
    if (this.#closed) return
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#working = this.#working.then(this.#work)
    }, SETTLE_MS)
    this.#timer.unref()
  }
}

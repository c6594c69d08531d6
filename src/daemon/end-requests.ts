// Why and when the daemon ends: for good, or to begin again as another host or at another address.

export type Ending = 'end' | 'anew'

/** So long a verb's answer may take to leave the process. */
const ANSWER_MS = 50

/** SIGTERM, SIGINT, or a verb. The end wins over a new beginning. */
export class EndRequests {
  #ending: Ending | null = null
  #waiting: (() => void) | null = null

  constructor() {
    const end = (): void => {
      this.request('end')
    }
    process.once('SIGTERM', end)
    process.once('SIGINT', end)
  }

  request(ending: Ending): void {
    if (this.#ending !== 'end') this.#ending = ending
    this.#waiting?.()
  }

  /** Once the answer to whoever asked for it is on its way. */
  requestSoon(ending: Ending): void {
    setTimeout(() => {
      this.request(ending)
    }, ANSWER_MS)
  }

  /** Settles when there is a request. */
  async next(): Promise<void> {
    if (this.#ending !== null) return
    await new Promise<void>((resolve) => {
      this.#waiting = resolve
    })
  }

  /** What is to be done after the daemon has been taken apart. */
  take(): Ending | null {
    const ending = this.#ending
    if (ending === 'anew') this.#ending = null
    return ending
  }
}

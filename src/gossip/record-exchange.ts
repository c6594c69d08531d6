// An exchange: this host brings its table and another's together, over streams, page by page.
//
//   compare (our hashes) → their buckets that differ → swap (what they lack, what we lack) → … → the next buckets

import { BUCKETS, type Entry } from '../netdb/store.ts'
import type { Netdb } from '../netdb/table.ts'
import { differencesOf } from './record-compare.ts'
import {
  type AgedRecord,
  PAGE_BYTES,
  agedBytes,
  decodeCompareReply,
  decodeSwapReply,
  encodeCompare,
  encodeSwap,
} from './record-messages.ts'

/** Names asked for in one request: their records are about one page. */
const MAX_WANTED = 1_024

export interface ExchangeOptions {
  readonly netdb: Netdb
  /** Asks the other host. */
  readonly request: (body: Uint8Array, done: (reply: Uint8Array | null) => void) => void
  /** Merges what came; how many were news. */
  readonly learn: (records: readonly AgedRecord[]) => number
  /** Whether there is time for another page: nobody may keep us busy forever. */
  readonly mayGoOn: () => boolean
  readonly done: (result: ExchangeResult) => void
}

export interface ExchangeResult {
  /** Whether it came to its end: both tables were the same, at one moment. */
  readonly complete: boolean
  readonly learned: number
  readonly given: number
}

export class RecordExchange {
  readonly #options: ExchangeOptions
  #next = 0
  #give: Entry[] = []
  #want: number[] = []
  #learned = 0
  #given = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
  }

  start(): void {
    this.#compare()
  }

  #compare(): void {
    const { netdb, request } = this.#options
    const first = this.#next
    const hashes = netdb.stored.buckets.slice(first).map(({ hash }) => hash)
    request(encodeCompare(first, hashes), (reply) => {
      const compared = reply === null ? null : decodeCompareReply(reply)
      if (compared === null || compared.next <= first || compared.next > BUCKETS) {
        this.#end(false)
        return
      }
      this.#next = compared.next
      const { give, want } = differencesOf(netdb.stored, compared)
      this.#give = give
      this.#want = want
      this.#goOn()
    })
  }

  #goOn(): void {
    if (this.#give.length > 0 || this.#want.length > 0) {
      if (this.#options.mayGoOn()) this.#swap()
      else this.#end(false)
    } else if (this.#next < BUCKETS) {
      this.#compare()
    } else {
      this.#end(true)
    }
  }

  #swap(): void {
    const { request, learn } = this.#options
    const given = this.#takePage()
    const wanted = this.#want.slice(0, MAX_WANTED)
    request(encodeSwap(wanted, given), (reply) => {
      const swapped = reply === null ? null : decodeSwapReply(reply)
      if (swapped === null || (wanted.length > 0 && swapped.answered === 0)) {
        this.#end(false)
        return
      }
      this.#given += given.length
      this.#want = this.#want.slice(Math.min(swapped.answered, wanted.length))
      this.#learned += learn(swapped.given)
      this.#goOn()
    })
  }

  /** The next of what we give, as much as fits a page. */
  #takePage(): AgedRecord[] {
    const { netdb } = this.#options
    const page: AgedRecord[] = []
    let bytes = 0
    let taken = 0
    for (const entry of this.#give) {
      const record = { encoded: entry.held.encoded, ageMs: netdb.ageMs(entry) }
      bytes += agedBytes(record)
      if (bytes > PAGE_BYTES) break
      page.push(record)
      taken++
    }
    this.#give = this.#give.slice(taken)
    return page
  }

  #end(complete: boolean): void {
    this.#options.done({ complete, learned: this.#learned, given: this.#given })
  }
}

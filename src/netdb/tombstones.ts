// The tombstones of one owner, oldest write first: of too many the oldest are given up.
//
// Which ones are kept follows from the set alone, not from the order in which it came: so hosts that heard the same keep the same.

import { compareVersions } from './merge.ts'
import type { EncodedRecord } from './record.ts'

export class Tombstones {
  readonly #sorted: EncodedRecord[] = []

  get count(): number {
    return this.#sorted.length
  }

  get oldest(): EncodedRecord | undefined {
    return this.#sorted[0]
  }

  add(record: EncodedRecord): void {
    this.#sorted.splice(this.#place(record), 0, record)
  }

  remove(record: EncodedRecord): void {
    const at = this.#place(record)
    if (this.#sorted[at] === record) this.#sorted.splice(at, 1)
  }

  /** How many stand before it. */
  #place(record: EncodedRecord): number {
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (compare(this.#sorted[middle] as EncodedRecord, record) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

function compare(a: EncodedRecord, b: EncodedRecord): number {
  return compareVersions(a.version, b.version) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
}

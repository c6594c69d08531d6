// Numbers for records: what a native row carries in place of the record's name.

import { type NetdbRecord, recordName } from '../netdb/record.ts'
import type { RecordNumber } from './rows.ts'

export class RecordNumbers {
  readonly #numbers = new Map<string, RecordNumber>()
  readonly #names = new Map<RecordNumber, string>()
  #last = 0

  /** The record's number; the first call gives it one. Numbers are not used twice. */
  of(record: NetdbRecord): RecordNumber {
    const name = recordName(record)
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = ++this.#last
      this.#numbers.set(name, number)
      this.#names.set(number, name)
    }
    return number
  }

  /** The name of the record with that number, as long as it is not forgotten. */
  nameOf(number: RecordNumber): string | undefined {
    return this.#names.get(number)
  }

  forget(name: string): void {
    const number = this.#numbers.get(name)
    if (number === undefined) return
    this.#numbers.delete(name)
    this.#names.delete(number)
  }
}

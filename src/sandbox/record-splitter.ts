// Cuts a byte stream into records that say in their header how long they are: stream frames and the
// output log have this in common.

import { WeftError } from '../errors.ts'

export interface RecordLayout {
  /** For messages: what the records are. */
  readonly name: string
  readonly headerBytes: number
  /** Where in the header the length of what follows it is, as u32be. */
  readonly lengthAt: number
  /** The greatest length that is believed: more is no record, and would be memory without bound. */
  readonly maxBytes: number
}

/** Incremental; keeps at most one record that is not whole yet. */
export class RecordSplitter {
  readonly #layout: RecordLayout
  readonly #pieces: Uint8Array[] = []
  #pending = 0
  /** How many bytes must be there before it is worth looking: a header, then a record. */
  #wanted: number

  constructor(layout: RecordLayout) {
    this.#layout = layout
    this.#wanted = layout.headerBytes
  }

  /**
   * Takes what arrived, gives the records that are whole now, with their headers. They may share
   * memory with `chunk`.
   *
   * @throws WeftError internal when a length cannot be right; the stream is of no use from then on
   */
  push(chunk: Uint8Array): Buffer[] {
    this.#pieces.push(chunk)
    this.#pending += chunk.length
    if (this.#pending < this.#wanted) return []

    const { name, headerBytes, lengthAt, maxBytes } = this.#layout
    const bytes = this.#join()
    const records: Buffer[] = []
    let at = 0
    this.#wanted = headerBytes
    while (bytes.length - at >= headerBytes) {
      const length = bytes.readUInt32BE(at + lengthAt)
      if (length > maxBytes) {
        throw new WeftError('internal', `no ${name} has ${length} bytes; at most ${maxBytes}`)
      }
      const end = at + headerBytes + length
      if (end > bytes.length) {
        this.#wanted = headerBytes + length
        break
      }
      records.push(bytes.subarray(at, end))
      at = end
    }
    this.#pending = bytes.length - at
    if (this.#pending > 0) this.#pieces.push(bytes.subarray(at))
    return records
  }

  /** All pieces as one; they are this splitter's no more. */
  #join(): Buffer {
    const [first] = this.#pieces
    const bytes =
      this.#pieces.length === 1 && first !== undefined
        ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
        : Buffer.concat(this.#pieces)
    this.#pieces.length = 0
    return bytes
  }
}

// The records as this host knew them when it ended: records.bin, so that a restart begins with them instead of nothing.
//
// What the bytes mean is its caller's. A change is on disk after a second at most, what was promised when written() says so; of many
// changes only the last state is written, and never two at a time.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { readIfThere, replaceFile, setFileAside } from './atomic-file.ts'

export interface RecordsFileOptions {
  /** The state directory, which exists. */
  readonly directory: string
  readonly clock: Clock
  /** All records, encoded; asked for when it is time to write. */
  readonly snapshot: () => Uint8Array
  /** A write that failed; the next change tries again. */
  readonly onError: (error: unknown) => void
}

const FILE_NAME = 'records.bin'
const DELAY_MS = 1_000

export class RecordsFile {
  readonly #path: string
  readonly #options: RecordsFileOptions
  #timer: Timer | undefined
  /** The write that goes on, and all before it. */
  #written: Promise<void> = Promise.resolve()
  /** Something has changed that no other host and no other file may have. */
  #promised = false
  #closed = false

  constructor(options: RecordsFileOptions) {
    this.#options = options
    this.#path = join(options.directory, FILE_NAME)
  }

  /** null: there are none. */
  read(): Promise<Buffer | null> {
    return readIfThere(this.#path)
  }

  /** What was read makes no sense: keeps it under another name; gives that name. */
  setAside(): Promise<string> {
    return setFileAside(this.#path, this.#options.clock.wallMs())
  }

  /** Something changed: write soon. Cheap, for every change. */
  changed(): void {
    if (this.#closed) return
    this.#timer ??= this.#options.clock.setTimeout(() => {
      this.#write()
    }, DELAY_MS)
  }

  /** And somebody is going to rely on it, who waits for written() first. */
  promised(): void {
    this.changed()
    this.#promised = !this.#closed
  }

  /** Settles when all that was promised is on disk, or could not be written; at once when nothing is outstanding. */
  async written(): Promise<void> {
    if (this.#promised) this.#write()
    await this.#written
  }

  /** Writes what has changed, now; then no more. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== undefined) this.#write()
    await this.#written
  }

  /** Forgets them, also what has changed and is not written yet: the host has left its cluster. */
  async remove(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#written
    await rm(this.#path, { force: true })
  }

  #write(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#promised = false
    this.#written = this.#written
      .then(() => replaceFile(this.#path, this.#options.snapshot()))
      .catch((error: unknown) => {
        this.#options.onError(error)
      })
  }
}

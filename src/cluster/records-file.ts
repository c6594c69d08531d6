// The records as this host knew them when it ended: records.bin, so that a restart begins with them instead of nothing.

import type { Clock } from '../clock.ts'

export interface RecordsFileOptions {
  readonly directory: string
  readonly clock: Clock
  /** All records, encoded; asked for when it is time to write. */
  readonly snapshot: () => Uint8Array
  /** A write that failed: the next change tries again. */
  readonly onError: (error: unknown) => void
}

export class RecordsFile {
  constructor(_options: RecordsFileOptions) {
    throw new Error('not yet')
  }

  /** null: there are none. */
  read(): Promise<Uint8Array | null> {
    throw new Error('not yet')
  }

  /** Something changed: write soon. Cheap, for every change. */
  changed(): void {
    throw new Error('not yet')
  }

  /** Writes what has changed, now; then no more. */
  close(): Promise<void> {
    throw new Error('not yet')
  }

  /** Forgets them: the host has left its cluster. */
  remove(): Promise<void> {
    throw new Error('not yet')
  }
}

// A snapshot: the table as bytes for the disk, and back.

import type { Netdb } from './table.ts'

/** @param wallMs Clock.wallMs(): a tombstone ages while no daemon runs, too */
export function encodeSnapshot(_netdb: Netdb, _wallMs: number): Uint8Array {
  return new Uint8Array()
}

/** Puts what was saved into a netdb that is adopting. null, or what is wrong with it: then nothing was loaded. */
export function loadSnapshot(_netdb: Netdb, _bytes: Uint8Array, _wallMs: number): string | null {
  return null
}

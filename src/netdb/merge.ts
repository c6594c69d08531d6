// Merge: which of two versions of a record stands. Pure, and the same on every host in any order.

import type { Version } from './record.ts'

/** Negative when `a` is older than `b`, positive when newer, 0 for the same write. */
export function compareVersions(a: Version, b: Version): number {
  if (a.lamport !== b.lamport) return a.lamport - b.lamport
  return a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : 0
}

/** A record as far as merge looks at it. */
export interface Mergeable {
  readonly version: Version
  readonly encoded: Uint8Array
}

/**
 * Whether `incoming` replaces `held`; undefined: none is held. A write heard twice replaces nothing. Of two writes with one
 * version, which only a liar makes, the lower bytes stand: whichever it is, it is the same on every host.
 */
export function replaces(incoming: Mergeable, held: Mergeable | undefined): boolean {
  if (held === undefined) return true
  const order = compareVersions(incoming.version, held.version)
  return order === 0 ? Buffer.compare(incoming.encoded, held.encoded) < 0 : order > 0
}

/** Two records of one version that differ: somebody lies. */
export function isFork(one: Mergeable, other: Mergeable): boolean {
  if (compareVersions(one.version, other.version) !== 0) return false
  return Buffer.compare(one.encoded, other.encoded) !== 0
}

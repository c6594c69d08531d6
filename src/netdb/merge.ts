// Merge: which of two versions of a record stands. Pure, and the same on every host in any order.

import type { NetdbRecord, Version } from './record.ts'

/** Negative when `a` is older than `b`, positive when newer, 0 for the same write. */
export function compareVersions(a: Version, b: Version): number {
  if (a.lamport !== b.lamport) return a.lamport - b.lamport
  return a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : 0
}

/** Whether `incoming` replaces `held`; undefined: none is held. A write heard twice replaces nothing. */
export function replaces(incoming: NetdbRecord, held: NetdbRecord | undefined): boolean {
  return held === undefined || compareVersions(incoming.version, held.version) > 0
}

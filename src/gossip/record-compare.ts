// Comparing two tables: what differs, what is to be given, what is wanted. Pure.

import type { Entry, Stored } from '../netdb/store.ts'
import {
  type AgedRecord,
  type BucketSummary,
  type CompareReply,
  PAGE_BYTES,
  type RecordRequest,
  SUMMARY_BYTES,
  type SwapReply,
  type TableDigest,
  agedBytes,
} from './record-messages.ts'

/** Of one bucket at most; only who makes up names to fill one has more, and then some are compared another time. */
const MAX_SUMMARIES = Math.floor(PAGE_BYTES / SUMMARY_BYTES)

export function isSameTable({ root, count }: TableDigest, other: TableDigest): boolean {
  return root.high === other.root.high && root.low === other.root.low && count === other.count
}

/** The buckets of ours that are not as the other's, as many as fit a page. */
export function compareBuckets(
  stored: Stored,
  { first, hashes }: Extract<RecordRequest, { type: 'compare' }>,
): CompareReply {
  const buckets: BucketSummary[] = []
  let bytes = 0
  for (const [index, theirs] of hashes.entries()) {
    const bucket = first + index
    const ours = stored.buckets[bucket]
    if (ours === undefined) break
    if (ours.hash.high === theirs.high && ours.hash.low === theirs.low) continue
    bytes += Math.min(ours.entries.size, MAX_SUMMARIES) * SUMMARY_BYTES
    if (bytes > PAGE_BYTES && buckets.length > 0) return { next: bucket, buckets }
    const summaries = [...ours.entries.values()].slice(0, MAX_SUMMARIES).map(summaryOf)
    buckets.push({ bucket, summaries })
  }
  return { next: stored.buckets.length, buckets }
}

/** What the other lacks or has older, and what we do. Two writes of one time go both ways: merge knows which stands. */
export function differencesOf(
  stored: Stored,
  { buckets }: CompareReply,
): { give: Entry[]; want: number[] } {
  const give: Entry[] = []
  const want: number[] = []
  for (const { bucket, summaries } of buckets) {
    const theirs = new Map(summaries.map((summary) => [summary.nameKey, summary]))
    const ours = stored.buckets[bucket]?.entries ?? new Map<number, Entry>()
    for (const [nameKey, entry] of ours) {
      const other = theirs.get(nameKey)
      const { lamport } = entry.held.version
      if (other?.lamport === lamport && other.hash === entry.hash.low) continue
      if (other === undefined || lamport >= other.lamport) give.push(entry)
      if (other !== undefined && lamport <= other.lamport) want.push(nameKey)
    }
    for (const nameKey of theirs.keys()) if (!ours.has(nameKey)) want.push(nameKey)
  }
  return { give, want }
}

/** The wanted ones that we have, as many as fit a page. */
export function gather(
  stored: Stored,
  wanted: readonly number[],
  ageMs: (entry: Entry) => number,
): SwapReply {
  const given: AgedRecord[] = []
  let bytes = 0
  for (const [index, nameKey] of wanted.entries()) {
    const entry = stored.buckets[nameKey % stored.buckets.length]?.entries.get(nameKey)
    if (entry === undefined) continue
    const record = { encoded: entry.held.encoded, ageMs: ageMs(entry) }
    bytes += agedBytes(record)
    if (bytes > PAGE_BYTES) return { answered: index, given }
    given.push(record)
  }
  return { answered: wanted.length, given }
}

function summaryOf({ nameKey, held, hash }: Entry) {
  return { nameKey, lamport: held.version.lamport, hash: hash.low }
}

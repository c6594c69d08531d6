// What replicators say to each other, as bytes. README.md has the tables. Nothing here throws on what it reads.

import type { Hash } from '../netdb/hash.ts'

/** Bytes of a page: a host that reads one is busy for some milliseconds, and does other things before the next. */
export const PAGE_BYTES = 256 * 1024

const MESSAGE = { digest: 1, put: 2, ack: 3 } as const
const REQUEST = { compare: 1, swap: 2 } as const

/** All of a table in 12 bytes. */
export interface TableDigest {
  readonly root: Hash
  readonly count: number
}

export type RecordMessage =
  | ({ readonly type: 'digest' } & TableDigest)
  | { readonly type: 'put'; readonly token: number; readonly record: Uint8Array }
  | { readonly type: 'ack'; readonly token: number }

/** A record with its age: netdb.receive. */
export interface AgedRecord {
  readonly encoded: Uint8Array
  readonly ageMs: number
}

export type RecordRequest =
  /** The hashes of all buckets from `first` on. */
  | { readonly type: 'compare'; readonly first: number; readonly hashes: readonly Hash[] }
  /** Here are some, give me these. */
  | { readonly type: 'swap'; readonly wanted: readonly number[]; readonly given: AgedRecord[] }

/** What a host has of one name. */
export interface Summary {
  readonly nameKey: number
  readonly lamport: number
  /** The low half of the record's hash: tells apart two writes of one time. */
  readonly hash: number
}

export const SUMMARY_BYTES = 20

export interface BucketSummary {
  readonly bucket: number
  readonly summaries: readonly Summary[]
}

/** The buckets that differ, from the first one asked for up to `next`. */
export interface CompareReply {
  readonly next: number
  readonly buckets: readonly BucketSummary[]
}

export interface SwapReply {
  /** How many of the wanted, from the first on, are dealt with: given, or not here any more. */
  readonly answered: number
  readonly given: readonly AgedRecord[]
}

export function encodeDigest({ root, count }: TableDigest): Uint8Array {
  const bytes = Buffer.alloc(13)
  bytes.writeUInt8(MESSAGE.digest)
  writeHash(bytes, root, 1)
  bytes.writeUInt32BE(count, 9)
  return bytes
}

export function encodePut(token: number, record: Uint8Array): Uint8Array {
  const head = Buffer.alloc(5)
  head.writeUInt8(MESSAGE.put)
  head.writeUInt32BE(token, 1)
  return Buffer.concat([head, record])
}

export function encodeAck(token: number): Uint8Array {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt8(MESSAGE.ack)
  bytes.writeUInt32BE(token, 1)
  return bytes
}

export function decodeMessage(body: Uint8Array): RecordMessage | null {
  const bytes = asBuffer(body)
  switch (bytes[0]) {
    case MESSAGE.digest:
      if (bytes.length !== 13) return null
      return { type: 'digest', root: readHash(bytes, 1), count: bytes.readUInt32BE(9) }
    case MESSAGE.put:
      if (bytes.length < 5) return null
      return { type: 'put', token: bytes.readUInt32BE(1), record: bytes.subarray(5) }
    case MESSAGE.ack:
      return bytes.length === 5 ? { type: 'ack', token: bytes.readUInt32BE(1) } : null
    default:
      return null
  }
}

export function encodeCompare(first: number, hashes: readonly Hash[]): Uint8Array {
  const bytes = Buffer.alloc(3 + hashes.length * 8)
  bytes.writeUInt8(REQUEST.compare)
  bytes.writeUInt16BE(first, 1)
  for (const [index, hash] of hashes.entries()) writeHash(bytes, hash, 3 + index * 8)
  return bytes
}

export function encodeSwap(wanted: readonly number[], given: readonly AgedRecord[]): Uint8Array {
  const bytes = Buffer.alloc(5 + wanted.length * 8)
  bytes.writeUInt8(REQUEST.swap)
  bytes.writeUInt32BE(wanted.length, 1)
  for (const [index, nameKey] of wanted.entries()) writeLong(bytes, nameKey, 5 + index * 8)
  return Buffer.concat([bytes, ...given.flatMap(encodeAged)])
}

export function decodeRequest(body: Uint8Array): RecordRequest | null {
  const bytes = asBuffer(body)
  if (bytes[0] === REQUEST.compare) {
    if (bytes.length < 3 || (bytes.length - 3) % 8 !== 0) return null
    const hashes: Hash[] = []
    for (let at = 3; at < bytes.length; at += 8) hashes.push(readHash(bytes, at))
    return { type: 'compare', first: bytes.readUInt16BE(1), hashes }
  }
  if (bytes[0] !== REQUEST.swap || bytes.length < 5) return null
  const end = 5 + bytes.readUInt32BE(1) * 8
  if (end > bytes.length) return null
  const wanted: number[] = []
  for (let at = 5; at < end; at += 8) wanted.push(readLong(bytes, at))
  const given = decodeAged(bytes.subarray(end))
  return given === null ? null : { type: 'swap', wanted, given }
}

export function encodeCompareReply({ next, buckets }: CompareReply): Uint8Array {
  const total = buckets.reduce(
    (sum, { summaries }) => sum + 6 + summaries.length * SUMMARY_BYTES,
    2,
  )
  const bytes = Buffer.alloc(total)
  bytes.writeUInt16BE(next)
  let at = 2
  for (const { bucket, summaries } of buckets) {
    bytes.writeUInt16BE(bucket, at)
    bytes.writeUInt32BE(summaries.length, at + 2)
    at += 6
    for (const { nameKey, lamport, hash } of summaries) {
      writeLong(bytes, nameKey, at)
      writeLong(bytes, lamport, at + 8)
      bytes.writeUInt32BE(hash, at + 16)
      at += SUMMARY_BYTES
    }
  }
  return bytes
}

export function decodeCompareReply(body: Uint8Array): CompareReply | null {
  const bytes = asBuffer(body)
  if (bytes.length < 2) return null
  const buckets: BucketSummary[] = []
  let at = 2
  while (at < bytes.length) {
    if (at + 6 > bytes.length) return null
    const bucket = bytes.readUInt16BE(at)
    const end = at + 6 + bytes.readUInt32BE(at + 2) * SUMMARY_BYTES
    if (end > bytes.length) return null
    const summaries: Summary[] = []
    for (at += 6; at < end; at += SUMMARY_BYTES) {
      const [nameKey, lamport] = [readLong(bytes, at), readLong(bytes, at + 8)]
      summaries.push({ nameKey, lamport, hash: bytes.readUInt32BE(at + 16) })
    }
    buckets.push({ bucket, summaries })
  }
  return { next: bytes.readUInt16BE(), buckets }
}

export function encodeSwapReply({ answered, given }: SwapReply): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(answered)
  return Buffer.concat([bytes, ...given.flatMap(encodeAged)])
}

export function decodeSwapReply(body: Uint8Array): SwapReply | null {
  const bytes = asBuffer(body)
  if (bytes.length < 4) return null
  const given = decodeAged(bytes.subarray(4))
  return given === null ? null : { answered: bytes.readUInt32BE(), given }
}

/** Bytes of a record in a page. */
export function agedBytes({ encoded }: AgedRecord): number {
  return 6 + encoded.length
}

function encodeAged({ encoded, ageMs }: AgedRecord): Uint8Array[] {
  const head = Buffer.alloc(6)
  head.writeUInt32BE(Math.min(0xffffffff, Math.floor(ageMs / 1_000)))
  head.writeUInt16BE(encoded.length, 4)
  return [head, encoded]
}

function decodeAged(bytes: Buffer): AgedRecord[] | null {
  const records: AgedRecord[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 6 > bytes.length) return null
    const ageMs = bytes.readUInt32BE(at) * 1_000
    const end = at + 6 + bytes.readUInt16BE(at + 4)
    if (end > bytes.length) return null
    records.push({ ageMs, encoded: bytes.subarray(at + 6, end) })
    at = end
  }
  return records
}

function writeHash(bytes: Buffer, { high, low }: Hash, at: number): void {
  bytes.writeUInt32BE(high, at)
  bytes.writeUInt32BE(low, at + 4)
}

function readHash(bytes: Buffer, at: number): Hash {
  return { high: bytes.readUInt32BE(at), low: bytes.readUInt32BE(at + 4) }
}

/** A safe integer. What is none when it is read finds nothing. */
function writeLong(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value % 2 ** 32, at + 4)
}

function readLong(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}

function asBuffer(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.length)
}

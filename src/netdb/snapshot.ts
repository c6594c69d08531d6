// A snapshot: the table as bytes for the disk, and back. Pure; who writes the file, and when, is others' business.
//
//   'weftdb' (6) | format (1) | lamport (8) | wall clock in ms (8) | records (4) | records | SHA-256 of all before (32)
//   a record: age in seconds (4) | length (2) | as its writer encoded it

import { createHash } from 'node:crypto'
import { readEnvelope } from './codec.ts'
import { ABSENCE_LIMIT_MS } from './presence.ts'
import type { Netdb } from './table.ts'

const MAGIC = 'weftdb'
const FORMAT = 1
const HEADER_BYTES = 27
const HASH_BYTES = 32
/** A snapshot is late by a second: what was written and seen since it was saved may not be given a second meaning. */
export const RESUME_LEAP = 2 ** 20

/** @param wallMs Clock.wallMs(): what ages does so while no daemon runs, too */
export function encodeSnapshot(netdb: Netdb, wallMs: number): Uint8Array {
  let bodyBytes = HEADER_BYTES
  for (const { held } of netdb.stored.entries()) bodyBytes += 6 + held.encoded.length
  const bytes = Buffer.alloc(bodyBytes + HASH_BYTES)
  bytes.write(MAGIC, 'latin1')
  bytes.writeUInt8(FORMAT, 6)
  bytes.writeBigUInt64BE(BigInt(netdb.lamport), 7)
  bytes.writeBigUInt64BE(BigInt(Math.max(0, Math.round(wallMs))), 15)
  bytes.writeUInt32BE(netdb.stored.count, 23)
  let at = HEADER_BYTES
  for (const entry of netdb.stored.entries()) {
    const { encoded } = entry.held
    bytes.writeUInt32BE(Math.floor(netdb.ageMs(entry) / 1_000), at)
    bytes.writeUInt16BE(encoded.length, at + 4)
    bytes.set(encoded, at + 6)
    at += 6 + encoded.length
  }
  bytes.set(hashOf(bytes.subarray(0, bodyBytes)), bodyBytes)
  return bytes
}

/** How much of a snapshot that is older than a day is loaded. */
export type Trust =
  /** What the host owns itself: what others have removed meanwhile nobody may remember any more, and it would come back. */
  | 'own'
  /** All of it: the others were away as long. */
  | 'all'

/** Whether the host was away for so long that it matters how much is trusted. */
export function isLongAway(bytes: Uint8Array, wallMs: number): boolean {
  return bytes.length >= HEADER_BYTES && awayMsOf(Buffer.from(bytes), wallMs) >= ABSENCE_LIMIT_MS
}

function awayMsOf(snapshot: Buffer, wallMs: number): number {
  return Math.max(0, wallMs - Number(snapshot.readBigUInt64BE(15)))
}

/** Puts what was saved into a netdb that is adopting. null, or what is wrong with it: then nothing was loaded. */
export function loadSnapshot(
  netdb: Netdb,
  bytes: Uint8Array,
  wallMs: number,
  trust: Trust = 'own',
): string | null {
  const snapshot = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (snapshot.length < HEADER_BYTES + HASH_BYTES) return `it has only ${snapshot.length} bytes`
  const body = snapshot.subarray(0, -HASH_BYTES)
  if (body.toString('latin1', 0, MAGIC.length) !== MAGIC) return 'it is no snapshot of weft'
  const format = body.readUInt8(6)
  if (format !== FORMAT) return `it has format ${format}, this weft reads ${FORMAT}`
  if (!hashOf(body).equals(snapshot.subarray(-HASH_BYTES))) return 'its checksum is wrong'
  const lamport = Number(body.readBigUInt64BE(7))
  if (!Number.isSafeInteger(lamport)) return 'its Lamport time is none'
  const awayMs = awayMsOf(body, wallMs)
  const all = trust === 'all' || awayMs < ABSENCE_LIMIT_MS

  const records: { ageMs: number; encoded: Uint8Array }[] = []
  let at = HEADER_BYTES
  while (at < body.length) {
    if (at + 6 > body.length) return 'its last record is cut'
    const ageMs = body.readUInt32BE(at) * 1_000
    const end = at + 6 + body.readUInt16BE(at + 4)
    const encoded = body.subarray(at + 6, end)
    const envelope = end > body.length ? 'cut' : readEnvelope(encoded)
    if (typeof envelope === 'string') return `record ${records.length + 1} is ${envelope}`
    if (all || (envelope.owned && envelope.owner === netdb.self))
      records.push({ ageMs: ageMs + awayMs, encoded })
    at = end
  }
  // The count is of those that were saved; who was away too long leaves some out.
  const count = body.readUInt32BE(23)
  if (all && count !== records.length) return `it has ${records.length} of ${count} records`
  netdb.resumeAt(lamport + RESUME_LEAP)
  for (const { ageMs, encoded } of records) netdb.receive(encoded, ageMs)
  return null
}

function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

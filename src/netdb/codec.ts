// Records as bytes: what a writer encodes travels unchanged, and whoever reads it trusts nothing.

import { type EncodedRecord, type NetdbRecord, isOwned, recordName } from './record.ts'

/** Bytes of an encoded record at most: with what gossip puts around it, it fits one message. */
export const MAX_RECORD_BYTES = 1_100

/** @throws WeftError invalid_argument when it is too large */
export function encodeRecord(record: NetdbRecord): EncodedRecord {
  const { kind, key, owner, version, value } = record
  const [name, owned, tombstone] = [recordName(record), isOwned(kind), value === null]
  const encoded = new Uint8Array()
  return { name, kind, key, owner, owned, version, tombstone, record, encoded }
}

/** The record, or why it is none. */
export function decodeRecord(_bytes: Uint8Array): EncodedRecord | string {
  return 'format'
}

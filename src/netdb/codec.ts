// Records as bytes: what a writer encodes travels unchanged, and whoever reads it trusts nothing.
//
// An envelope in binary, which every version understands, and a value in JSON, which a newer one may have extended. A host
// relays and compares what it cannot read: README.md has the table.

import { WeftError } from '../errors.ts'
import { decodeValue, encodeValue } from './kinds.ts'
import {
  type EncodedRecord,
  type NetdbRecord,
  type Version,
  isKind,
  isOwned,
  nameOf,
} from './record.ts'

/** Bytes of an encoded record at most: with what gossip puts around it, it fits one message. */
export const MAX_RECORD_BYTES = 1_100
const FORMAT = 1
const FLAG_OWNED = 1

const MAX_KIND_LENGTH = 16
const MAX_KEY_LENGTH = 128
const MAX_ID_LENGTH = 64

const KIND = /^[a-z][a-z0-9-]*$/
/** Printable ASCII without @, which is what divides key and owner in a name. */
const KEY = /^[\x21-\x3f\x41-\x7e]+$/

/** Why bytes are no record that we take. */
export type Malformed =
  | 'too_large'
  | 'truncated'
  | 'format'
  | 'kind'
  | 'key'
  | 'owner'
  | 'not_its_owner'
  | 'lamport'
  | 'value'

/** All of a record but its value: enough to tell whether it is news, and to relay it. */
export interface Envelope {
  readonly name: string
  readonly kind: string
  readonly key: string
  readonly owner: string
  readonly owned: boolean
  readonly version: Version
  readonly tombstone: boolean
  /** The whole record. */
  readonly encoded: Uint8Array
  /** The value's JSON; empty: a tombstone. */
  readonly value: Uint8Array
}

/** @throws WeftError invalid_argument when it is too large to travel, or its key or owner is none */
export function encodeRecord(record: NetdbRecord): EncodedRecord {
  const { kind, key, owner, version, value } = record
  const json = value === null ? new Uint8Array() : encodeValue(kind, value)
  const encoded = encodeEnvelope({ kind, key, owner, owned: isOwned(kind), version }, json)
  const envelope = readEnvelope(encoded)
  if (typeof envelope === 'string') {
    const what = `record ${kind}/${key.slice(0, MAX_KEY_LENGTH)}`
    throw new WeftError(
      'invalid_argument',
      envelope === 'too_large'
        ? `${what} has ${encoded.length} bytes; a record may have ${MAX_RECORD_BYTES}, shorten its labels or lists`
        : `${what} cannot be written: ${envelope}`,
    )
  }
  return asRead(envelope, record, encoded)
}

/** A tombstone in place of any record, also of a kind that we do not know. */
export function encodeTombstone(
  of: Pick<Envelope, 'name' | 'kind' | 'key' | 'owner' | 'owned'>,
  version: Version,
): EncodedRecord {
  const { name, kind, key, owner, owned } = of
  const encoded = encodeEnvelope({ kind, key, owner, owned, version }, new Uint8Array())
  const record = isKind(kind) ? { kind, key, owner, version, value: null } : null
  return { name, kind, key, owner, owned, version, tombstone: true, record, encoded }
}

/** The record, or why it is none. Keeps a copy of the bytes. Never throws. */
export function decodeRecord(bytes: Uint8Array): EncodedRecord | Malformed {
  const envelope = readEnvelope(bytes)
  return typeof envelope === 'string' ? envelope : readRecord(envelope)
}

/** The first half of decodeRecord: most of what arrives has been heard before, and its value need not be read. */
export function readEnvelope(bytes: Uint8Array): Envelope | Malformed {
  if (bytes.length > MAX_RECORD_BYTES) return 'too_large'
  if (bytes.length < 2) return 'truncated'
  if (bytes[0] !== FORMAT) return 'format'
  const owned = ((bytes[1] ?? 0) & FLAG_OWNED) !== 0
  const fields: string[] = []
  let at = 2
  for (let field = 0; field < 4; field++) {
    const end = at + 1 + (bytes[at] ?? 0)
    if (end > bytes.length) return 'truncated'
    fields.push(latin1(bytes.subarray(at + 1, end)))
    at = end
  }
  if (at + 8 > bytes.length) return 'truncated'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const lamport = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)
  const [kind = '', key = '', owner = '', writer = ''] = fields
  if (kind.length > MAX_KIND_LENGTH || !KIND.test(kind)) return 'kind'
  if (isKind(kind) && isOwned(kind) !== owned) return 'kind'
  if (key.length > MAX_KEY_LENGTH || !KEY.test(key)) return 'key'
  if (!isId(owner) || !isId(writer)) return 'owner'
  if (owned && writer !== owner) return 'not_its_owner'
  // A member speaks of itself.
  if (kind === 'member' && key !== owner) return 'key'
  if (!Number.isSafeInteger(lamport) || lamport < 1) return 'lamport'
  const value = bytes.subarray(at + 8)
  return {
    name: nameOf(kind, key, owned ? owner : null),
    kind,
    key,
    owner,
    owned,
    version: { lamport, writer },
    tombstone: value.length === 0,
    encoded: bytes,
    value,
  }
}

/** The second half. */
export function readRecord(envelope: Envelope): EncodedRecord | Malformed {
  const { kind, key, owner, version, tombstone } = envelope
  // What is kept must not keep a whole datagram or stream alive.
  const encoded = Uint8Array.prototype.slice.call(envelope.encoded)
  if (!isKind(kind)) return asRead(envelope, null, encoded)
  const value = tombstone ? null : decodeValue(kind, key, envelope.value)
  if (!tombstone && value === null) return 'value'
  // A claim that is younger than its record is a lie about one of the two.
  if (value !== null && 'claimedAt' in value && value.claimedAt > version.lamport) return 'value'
  return asRead(envelope, { kind, key, owner, version, value } as NetdbRecord, encoded)
}

function asRead(
  { name, kind, key, owner, owned, version, tombstone }: Envelope,
  record: NetdbRecord | null,
  encoded: Uint8Array,
): EncodedRecord {
  return { name, kind, key, owner, owned, version, tombstone, record, encoded }
}

function encodeEnvelope(
  {
    kind,
    key,
    owner,
    owned,
    version,
  }: Pick<Envelope, 'kind' | 'key' | 'owner' | 'owned' | 'version'>,
  value: Uint8Array,
): Uint8Array {
  const fields = [kind, key, owner, version.writer].flatMap((field) => {
    const bytes = Buffer.from(field)
    return [Uint8Array.of(Math.min(bytes.length, 0xff)), bytes]
  })
  const lamport = Buffer.alloc(8)
  lamport.writeBigUInt64BE(BigInt(version.lamport))
  return Uint8Array.from(
    Buffer.concat([Uint8Array.of(FORMAT, owned ? FLAG_OWNED : 0), ...fields, lamport, value]),
  )
}

function isId(text: string): boolean {
  return text.length <= MAX_ID_LENGTH && KEY.test(text)
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

// A sealed datagram: its bytes, and the cipher that makes and opens them. What is believed of it is decided in seal.ts.
//
//   header, in the clear   version 1 | key id 4 | sender id 8 | sender's session 8 | counter 8
//   ciphertext             receiver id 8 | receiver's session 8 | newest key id of the sender 4 | body
//   tag 16
//
// AES-256-GCM (NIST SP 800-38D) with the header as additional data. GCM breaks when a key meets a nonce twice, so every
// session of every sender has a key of its own, HKDF-SHA256 (RFC 5869) of the gossip key, and the nonce is the counter.

import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import type { MemberId } from '../gossip/member.ts'
import { BoundedMap } from './bounded-map.ts'
import type { GossipKey, KeyId } from './keyring.ts'

/** 16 hex digits, so that a later session is a greater string: the boot number (8), then chance (8). */
export type Session = string

/** In the receiver's place: not known (yet). Less than every session. */
export const NO_SESSION: Session = '0'.repeat(16)

/** The session of a start. Chance, because a machine that was rolled back may use a boot number again. */
export function newSession(bootNumber: number, chance: number): Session {
  const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
  return hex(bootNumber) + hex(chance)
}

export function bootNumberOf(session: Session): number {
  return Number.parseInt(session.slice(0, 8), 16)
}

export interface Header {
  readonly keyId: KeyId
  readonly sender: MemberId
  readonly session: Session
  readonly counter: number
}

export interface Content {
  readonly receiver: MemberId
  readonly receiverSession: Session
  readonly newestKey: KeyId
  readonly body: Uint8Array
}

const VERSION = 1
const KEY_ID_AT = 1
const SENDER_AT = 5
const SESSION_AT = 13
const COUNTER_AT = 21
const HEADER_BYTES = 29
const PREFIX_BYTES = 20
const TAG_BYTES = 16

/** By how much a datagram is longer than its body. */
export const SEAL_BYTES = HEADER_BYTES + PREFIX_BYTES + TAG_BYTES

/** null: too short to be one, or of a version that we do not know. */
export function readHeader(datagram: Buffer): Header | null {
  if (datagram.length < SEAL_BYTES || datagram[0] !== VERSION) return null
  return {
    keyId: datagram.toString('hex', KEY_ID_AT, SENDER_AT),
    sender: datagram.toString('hex', SENDER_AT, SESSION_AT),
    session: datagram.toString('hex', SESSION_AT, COUNTER_AT),
    // An altered one may lose bits here: the tag is checked over the bytes, and fails.
    counter: datagram.readUInt32BE(COUNTER_AT) * 2 ** 32 + datagram.readUInt32BE(COUNTER_AT + 4),
  }
}

/** Keys of sessions that are kept ready: a few for each host of a large cluster. */
const MAX_SESSION_KEYS = 4096

export class DatagramCipher {
  readonly #sessionKeys = new BoundedMap<string, Buffer>(MAX_SESSION_KEYS)

  seal(key: GossipKey, header: Header, content: Content): Buffer {
    const datagram = Buffer.allocUnsafe(SEAL_BYTES + content.body.length)
    datagram[0] = VERSION
    datagram.write(header.keyId, KEY_ID_AT, 'hex')
    datagram.write(header.sender, SENDER_AT, 'hex')
    datagram.write(header.session, SESSION_AT, 'hex')
    datagram.writeUInt32BE(Math.floor(header.counter / 2 ** 32), COUNTER_AT)
    datagram.writeUInt32BE(header.counter % 2 ** 32, COUNTER_AT + 4)
    const plain = Buffer.allocUnsafe(PREFIX_BYTES + content.body.length)
    plain.write(content.receiver, 0, 'hex')
    plain.write(content.receiverSession, 8, 'hex')
    plain.write(content.newestKey, 16, 'hex')
    plain.set(content.body, PREFIX_BYTES)
    const sessionKey = this.#sessionKeys.get(nameOf(header)) ?? deriveKey(key, header)
    this.#sessionKeys.set(nameOf(header), sessionKey)
    const cipher = createCipheriv('aes-256-gcm', sessionKey, nonceOf(datagram))
    cipher.setAAD(datagram.subarray(0, HEADER_BYTES))
    datagram.set(cipher.update(plain), HEADER_BYTES)
    cipher.final()
    datagram.set(cipher.getAuthTag(), HEADER_BYTES + plain.length)
    return datagram
  }

  /** null: it was not sealed with `key`, or has been altered since. */
  open(key: GossipKey, header: Header, datagram: Buffer): Content | null {
    const known = this.#sessionKeys.get(nameOf(header))
    const sessionKey = known ?? deriveKey(key, header)
    const end = datagram.length - TAG_BYTES
    const decipher = createDecipheriv('aes-256-gcm', sessionKey, nonceOf(datagram))
    decipher.setAAD(datagram.subarray(0, HEADER_BYTES))
    decipher.setAuthTag(datagram.subarray(end))
    const plain = decipher.update(datagram.subarray(HEADER_BYTES, end))
    try {
      decipher.final()
    } catch {
      return null
    }
    // Only now: a stranger can make up senders and sessions without end.
    if (known === undefined) this.#sessionKeys.set(nameOf(header), sessionKey)
    return {
      receiver: plain.toString('hex', 0, 8),
      receiverSession: plain.toString('hex', 8, 16),
      newestKey: plain.toString('hex', 16, PREFIX_BYTES),
      body: plain.subarray(PREFIX_BYTES),
    }
  }
}

function nameOf({ keyId, sender, session }: Header): string {
  return keyId + sender + session
}

/** HKDF's extracted keys: the first of its two steps is the same for all senders of a gossip key. */
const EXTRACTED = new WeakMap<GossipKey, Buffer>()

/**
 * HKDF-SHA256 of the gossip key, by hand: crypto.hkdfSync costs five times as much, and a stranger can make us derive a key
 * with each datagram.
 */
export function deriveKey(key: GossipKey, { sender, session }: Header): Buffer {
  // RFC 5869 section 2.2, without a salt; section 2.3 for no more bytes than the hash has.
  const extracted =
    EXTRACTED.get(key) ?? createHmac('sha256', Buffer.alloc(32)).update(key.key).digest()
  EXTRACTED.set(key, extracted)
  const info = createHmac('sha256', extracted).update('weft datagram')
  return info
    .update(sender + session, 'hex')
    .update('\x01')
    .digest()
}

/** 12 bytes: four of zero, then the counter's. */
function nonceOf(datagram: Buffer): Buffer {
  const nonce = Buffer.alloc(12)
  datagram.copy(nonce, 4, COUNTER_AT, HEADER_BYTES)
  return nonce
}

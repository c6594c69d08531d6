// Messages as bytes. Whoever reads trusts nothing: bytes that are no message are told from others, never thrown about.
//
// README.md has the tables. Encoding is for our own values, which are valid; decoding is for anybody's.

import { MAX_NAME_LENGTH, isName } from '../net/name.ts'
import { type Ipv4Address, ipv4ToBytes, isUnicastIpv4 } from '../net/ipv4-address.ts'
import type { Address, MemberId, MemberState } from './member.ts'
import { type Listed, type Part, SEVERITY, type StreamMessage, type StreamType } from './message.ts'
import { MAX_DATAGRAM_BYTES, MAX_REQUEST_BYTES } from './transport.ts'

const VERSION = 1
const PART_HEADER_BYTES = 3

/** The number of a type is its place. */
const PART_TYPES = [
  undefined,
  'ping',
  'ack',
  'ping-req',
  'nack',
  'alive',
  'suspect',
  'dead',
  'broadcast',
  'message',
] as const
const STREAM_TYPES = [undefined, 'probe', 'push-pull', 'passenger'] as const
/** From the best to the worst: at the same incarnation the worse stands. */
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left']

const PART_NUMBERS = numbersOf(PART_TYPES)
const STREAM_NUMBERS = numbersOf(STREAM_TYPES)

/** Bytes of a line of a push/pull at most. */
const MAX_LISTED_BYTES = 1 + 4 + 8 + 4 + 6 + 1 + MAX_NAME_LENGTH
/** So many fit one push/pull; more members than that are not kept. */
export const MAX_LISTED = Math.min(4_096, Math.floor(MAX_REQUEST_BYTES / MAX_LISTED_BYTES))

export interface Decoded {
  readonly parts: readonly Part[]
  /** False: the end is missing or is not what it should be. */
  readonly intact: boolean
}

/** A datagram that is being written: parts until it is full. One is reused for all; `finish` gives a copy. */
export class DatagramWriter {
  readonly #bytes = new Uint8Array(MAX_DATAGRAM_BYTES)
  readonly #buffer = bufferOf(this.#bytes)
  #length = 1

  constructor() {
    this.#bytes[0] = VERSION
  }

  /** Bytes that still fit, a part's header included. */
  get room(): number {
    return MAX_DATAGRAM_BYTES - this.#length
  }

  get empty(): boolean {
    return this.#length === 1
  }

  /** The part fits: control parts are small, a passenger's have MAX_CARGO_BYTES at most. */
  put(part: Part): void {
    this.#length = writePart(this.#buffer, this.#length, part)
  }

  /** What encodePart gave. */
  putEncoded(part: Uint8Array): void {
    this.#bytes.set(part, this.#length)
    this.#length += part.length
  }

  /** The datagram; the next one begins. */
  finish(): Uint8Array {
    const datagram = this.#bytes.slice(0, this.#length)
    this.#length = 1
    return datagram
  }
}

const writer = new DatagramWriter()

/** A datagram of these parts and nothing else. */
export function encodeDatagram(...parts: readonly Part[]): Uint8Array {
  for (const part of parts) writer.put(part)
  return writer.finish()
}

const scratch = Buffer.alloc(MAX_DATAGRAM_BYTES)

/** A part with its header, as rumours are kept. */
export function encodePart(part: Part): Uint8Array {
  const length = writePart(scratch, 0, part)
  return Uint8Array.prototype.slice.call(scratch, 0, length)
}

export function decodeDatagram(bytes: Uint8Array): Decoded {
  const parts: Part[] = []
  if (bytes.length > MAX_DATAGRAM_BYTES || bytes[0] !== VERSION) return { parts, intact: false }
  const buffer = bufferOf(bytes)
  let at = 1
  while (at < buffer.length) {
    if (at + PART_HEADER_BYTES > buffer.length) return { parts, intact: false }
    const type = PART_TYPES[buffer[at] ?? 0]
    const from = at + PART_HEADER_BYTES
    at = from + buffer.readUInt16BE(at + 1)
    if (at > buffer.length) return { parts, intact: false }
    // A kind that a later version knows.
    if (type === undefined) continue
    const part = readPart(type, buffer, from, at)
    if (part === undefined) return { parts, intact: false }
    parts.push(part)
  }
  return { parts, intact: true }
}

/** A request or reply: what kind it is before its body. */
export function encodeStream(type: StreamType, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + body.length)
  bytes[0] = VERSION
  bytes[1] = STREAM_NUMBERS[type]
  bytes.set(body, 2)
  return bytes
}

export function decodeStream(bytes: Uint8Array): StreamMessage | undefined {
  const type = STREAM_TYPES[bytes[1] ?? 0]
  if (bytes[0] !== VERSION || type === undefined || bytes.length > MAX_REQUEST_BYTES) {
    return undefined
  }
  return { type, body: bytes.subarray(2) }
}

/** The body of a push/pull. */
export function encodeListed(list: readonly Listed[]): Uint8Array {
  const buffer = Buffer.alloc(list.length * MAX_LISTED_BYTES)
  let at = 0
  for (const listed of list) {
    at = buffer.writeUInt8(SEVERITY[listed.state], at)
    at = buffer.writeUInt32BE(listed.ageSeconds, at)
    at = writeProfile(buffer, at, listed)
  }
  return Uint8Array.prototype.slice.call(buffer, 0, at)
}

/** Undefined when any line is not what it should be, or they are too many. */
export function decodeListed(bytes: Uint8Array): Listed[] | undefined {
  const buffer = bufferOf(bytes)
  const list: Listed[] = []
  let at = 0
  while (at < buffer.length) {
    if (at + 5 > buffer.length || list.length === MAX_LISTED) return undefined
    const state = STATES[buffer[at] ?? 0xff]
    const profile = readProfile(buffer, at + 5, buffer.length)
    if (state === undefined || profile === undefined) return undefined
    list.push({ ...profile, state, ageSeconds: buffer.readUInt32BE(at + 1) })
    at += 5 + profileBytes(profile.name)
  }
  return list
}

function writePart(buffer: Buffer, at: number, part: Part): number {
  buffer[at] = PART_NUMBERS[part.type]
  const end = writeBody(buffer, at + PART_HEADER_BYTES, part)
  buffer.writeUInt16BE(end - at - PART_HEADER_BYTES, at + 1)
  return end
}

function writeBody(buffer: Buffer, at: number, part: Part): number {
  switch (part.type) {
    case 'ping':
      at = buffer.writeUInt32BE(part.seq, at)
      at = writeId(buffer, at, part.target)
      at = buffer.writeUInt32BE(part.incarnation, at)
      return buffer.writeUInt8(SEVERITY[part.state], at)
    case 'ack':
      at = buffer.writeUInt32BE(part.seq, at)
      return buffer.writeUInt32BE(part.incarnation, at)
    case 'ping-req':
      at = buffer.writeUInt32BE(part.seq, at)
      at = writeId(buffer, at, part.target)
      return writeAddress(buffer, at, part.address)
    case 'nack':
      return buffer.writeUInt32BE(part.seq, at)
    case 'alive':
      return writeProfile(buffer, at, part)
    case 'suspect':
    case 'dead':
      at = writeId(buffer, at, part.id)
      at = buffer.writeUInt32BE(part.incarnation, at)
      return writeId(buffer, at, part.by)
    case 'broadcast':
    case 'message':
      buffer.set(part.body, at)
      return at + part.body.length
  }
}

/** The part whose body is all of the bytes from `at` to `end`. */
function readPart(type: Part['type'], buffer: Buffer, at: number, end: number): Part | undefined {
  const length = end - at
  switch (type) {
    case 'ping': {
      const state = STATES[buffer[at + 16] ?? 0xff]
      if (length !== 17 || state === undefined) return undefined
      const target = readId(buffer, at + 4)
      const incarnation = buffer.readUInt32BE(at + 12)
      return { type, seq: buffer.readUInt32BE(at), target, incarnation, state }
    }
    case 'ack':
      if (length !== 8) return undefined
      return { type, seq: buffer.readUInt32BE(at), incarnation: buffer.readUInt32BE(at + 4) }
    case 'ping-req': {
      if (length !== 18) return undefined
      const address = readAddress(buffer, at + 12)
      if (address === undefined) return undefined
      return { type, seq: buffer.readUInt32BE(at), target: readId(buffer, at + 4), address }
    }
    case 'nack':
      return length === 4 ? { type, seq: buffer.readUInt32BE(at) } : undefined
    case 'alive': {
      const profile = readProfile(buffer, at, end)
      if (profile === undefined || length !== profileBytes(profile.name)) return undefined
      return { type, ...profile }
    }
    case 'suspect':
    case 'dead': {
      if (length !== 20) return undefined
      const incarnation = buffer.readUInt32BE(at + 8)
      return { type, id: readId(buffer, at), incarnation, by: readId(buffer, at + 12) }
    }
    case 'broadcast':
    case 'message':
      return { type, body: buffer.subarray(at, end) }
  }
}

/** What a member says of itself: id, incarnation, address, name. */
type Profile = Pick<Listed, 'id' | 'incarnation' | 'address' | 'name'>

function profileBytes(name: string): number {
  return 19 + name.length
}

function writeProfile(buffer: Buffer, at: number, profile: Profile): number {
  at = writeId(buffer, at, profile.id)
  at = buffer.writeUInt32BE(profile.incarnation, at)
  at = writeAddress(buffer, at, profile.address)
  at = buffer.writeUInt8(profile.name.length, at)
  return at + buffer.write(profile.name, at, 'latin1')
}

function readProfile(buffer: Buffer, at: number, end: number): Profile | undefined {
  if (at + 19 > end) return undefined
  const nameEnd = at + 19 + (buffer[at + 18] ?? 0)
  if (nameEnd > end) return undefined
  const address = readAddress(buffer, at + 12)
  // ASCII, if it is a name.
  const name = buffer.toString('latin1', at + 19, nameEnd)
  if (address === undefined || !isName(name)) return undefined
  return { id: readId(buffer, at), incarnation: buffer.readUInt32BE(at + 8), address, name }
}

function writeId(buffer: Buffer, at: number, id: MemberId): number {
  buffer.write(id, at, 8, 'hex')
  return at + 8
}

function readId(buffer: Buffer, at: number): MemberId {
  return buffer.toString('hex', at, at + 8)
}

function writeAddress(buffer: Buffer, at: number, address: Address): number {
  buffer.set(ipv4ToBytes(address.ip), at)
  return buffer.writeUInt16BE(address.port, at + 4)
}

function readAddress(buffer: Buffer, at: number): Address | undefined {
  const port = buffer.readUInt16BE(at + 4)
  const ip = buffer.subarray(at, at + 4).join('.') as Ipv4Address
  return port === 0 || !isUnicastIpv4(ip) ? undefined : { ip, port }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function numbersOf<T extends string>(types: readonly (T | undefined)[]): Record<T, number> {
  return Object.fromEntries(types.map((type, index) => [type, index])) as Record<T, number>
}

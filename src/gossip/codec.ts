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
const STREAM_TYPES = [undefined, 'probe', 'push-pull', 'passenger', 'expelled'] as const
/** From the best to the worst: at the same incarnation the worse stands. */
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left']

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

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
  readonly #buffer = Buffer.from(this.#bytes.buffer)
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
  let at = 1
  while (at < bytes.length) {
    if (at + PART_HEADER_BYTES > bytes.length) return { parts, intact: false }
    const type = PART_TYPES[byteAt(bytes, at)]
    const from = at + PART_HEADER_BYTES
    at = from + uint16At(bytes, at + 1)
    if (at > bytes.length) return { parts, intact: false }
    // A kind that a later version knows.
    if (type === undefined) continue
    const part = readPart(type, bytes, from, at)
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
  const list: Listed[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 5 > bytes.length || list.length === MAX_LISTED) return undefined
    const state = STATES[byteAt(bytes, at)]
    const profile = readProfile(bytes, at + 5, bytes.length)
    if (state === undefined || profile === undefined) return undefined
    list.push({ ...profile, state, ageSeconds: uint32At(bytes, at + 1) })
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
function readPart(
  type: Part['type'],
  bytes: Uint8Array,
  at: number,
  end: number,
): Part | undefined {
  const length = end - at
  switch (type) {
    case 'ping': {
      const state = STATES[byteAt(bytes, at + 16)]
      if (length !== 17 || state === undefined) return undefined
      const target = readId(bytes, at + 4)
      const incarnation = uint32At(bytes, at + 12)
      return { type, seq: uint32At(bytes, at), target, incarnation, state }
    }
    case 'ack':
      if (length !== 8) return undefined
      return { type, seq: uint32At(bytes, at), incarnation: uint32At(bytes, at + 4) }
    case 'ping-req': {
      if (length !== 18) return undefined
      const address = readAddress(bytes, at + 12)
      if (address === undefined) return undefined
      return { type, seq: uint32At(bytes, at), target: readId(bytes, at + 4), address }
    }
    case 'nack':
      return length === 4 ? { type, seq: uint32At(bytes, at) } : undefined
    case 'alive': {
      const profile = readProfile(bytes, at, end)
      if (profile === undefined || length !== profileBytes(profile.name)) return undefined
      return { type, ...profile }
    }
    case 'suspect':
    case 'dead': {
      if (length !== 20) return undefined
      const incarnation = uint32At(bytes, at + 8)
      return { type, id: readId(bytes, at), incarnation, by: readId(bytes, at + 12) }
    }
    case 'broadcast':
    case 'message':
      return { type, body: bytes.subarray(at, end) }
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

function readProfile(bytes: Uint8Array, at: number, end: number): Profile | undefined {
  if (at + 19 > end) return undefined
  const nameEnd = at + 19 + byteAt(bytes, at + 18)
  if (nameEnd > end) return undefined
  const address = readAddress(bytes, at + 12)
  // ASCII, if it is a name.
  const name = String.fromCharCode(...bytes.subarray(at + 19, nameEnd))
  if (address === undefined || !isName(name)) return undefined
  return { id: readId(bytes, at), incarnation: uint32At(bytes, at + 8), address, name }
}

function writeId(buffer: Buffer, at: number, id: MemberId): number {
  buffer.write(id, at, 8, 'hex')
  return at + 8
}

function readId(bytes: Uint8Array, at: number): MemberId {
  let id = ''
  for (let i = at; i < at + 8; i++) id += HEX[byteAt(bytes, i)] ?? ''
  return id
}

function writeAddress(buffer: Buffer, at: number, address: Address): number {
  buffer.set(ipv4ToBytes(address.ip), at)
  return buffer.writeUInt16BE(address.port, at + 4)
}

function readAddress(bytes: Uint8Array, at: number): Address | undefined {
  const port = uint16At(bytes, at + 4)
  const ip = bytes.subarray(at, at + 4).join('.') as Ipv4Address
  return port === 0 || !isUnicastIpv4(ip) ? undefined : { ip, port }
}

// Reading goes byte by byte: a Buffer or DataView over a datagram costs more than all that is read from it.

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

function uint16At(bytes: Uint8Array, at: number): number {
  return byteAt(bytes, at) * 2 ** 8 + byteAt(bytes, at + 1)
}

function uint32At(bytes: Uint8Array, at: number): number {
  return uint16At(bytes, at) * 2 ** 16 + uint16At(bytes, at + 2)
}

function numbersOf<T extends string>(types: readonly (T | undefined)[]): Record<T, number> {
  return Object.fromEntries(types.map((type, index) => [type, index])) as Record<T, number>
}

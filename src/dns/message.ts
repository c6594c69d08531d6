// A DNS message as bytes: its header, its question, and whether its records are whole (RFC 1035 section 4).
//
// Names are read here and not by dns-packet: that gives a label with a dot in it as two labels, and one with bytes that are no
// UTF-8 as others, so that two different names would be answered as one. Nothing here throws.

export const HEADER_BYTES = 12
/** RFC 1035 section 2.3.4, in its encoded form. */
export const MAX_NAME_BYTES = 255
const MAX_LABEL_BYTES = 63
/** The two upper bits of a length: 00 a label, 11 a pointer, others are not in use (RFC 1035 4.1.4, RFC 6891 5). */
const LABEL_KIND = 0xc0
const POINTER = 0xc0

export const Flag = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
} as const

export const Rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** In two parts: the upper bits are in OPT (RFC 6891 section 6.1.3). */
  BADVERS: 16,
} as const

/** As people and counters name them; others by their number. */
export function rcodeName(rcode: number): string {
  const known = Object.entries(Rcode).find(([, number]) => number === rcode)
  return known?.[0] ?? `RCODE${rcode}`
}

export const Type = {
  A: 1,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const

export const Class = { IN: 1, ANY: 255 } as const

export interface Question {
  /** In lower case, without the last dot; the root is ''. A dot or backslash inside a label is escaped by a backslash. */
  readonly name: string
  readonly type: number
  readonly class: number
  /** Where the bytes behind it begin. */
  readonly end: number
}

/** The pseudo-record that extends a message (RFC 6891). */
export interface Opt {
  /** The largest UDP payload that the sender takes, as it says. */
  readonly payloadBytes: number
  readonly extendedRcode: number
  readonly version: number
  /** The sender takes DNSSEC records (RFC 3225). */
  readonly dnssecOk: boolean
}

export function flagsOf(message: Buffer): number {
  return message.readUInt16BE(2)
}

export function opcodeOf(message: Buffer): number {
  return (flagsOf(message) >> 11) & 0xf
}

/** Counts of questions, answers, authorities, additionals. */
export function countsOf(message: Buffer): readonly [number, number, number, number] {
  return [
    message.readUInt16BE(4),
    message.readUInt16BE(6),
    message.readUInt16BE(8),
    message.readUInt16BE(10),
  ]
}

/** The question right behind the header; null: there is none that is whole and right. */
export function readQuestion(message: Buffer): Question | null {
  let at = HEADER_BYTES
  let name = ''
  for (;;) {
    const length = message[at]
    // A pointer could only lead into the header.
    if (length === undefined || length > MAX_LABEL_BYTES) return null
    at++
    if (length === 0) break
    if (at + length > message.length) return null
    const label = message.toString('latin1', at, at + length)
    const plain =
      label.includes('.') || label.includes('\\') ? label.replace(/[.\\]/g, '\\$&') : label
    name = name === '' ? plain : `${name}.${plain}`
    at += length
  }
  if (at - HEADER_BYTES > MAX_NAME_BYTES || at + 4 > message.length) return null
  return {
    name: name.toLowerCase(),
    type: message.readUInt16BE(at),
    class: message.readUInt16BE(at + 2),
    end: at + 4,
  }
}

/** Whether the questions of two messages are the same but for upper and lower case. */
export function sameQuestion(one: Buffer, other: Buffer): boolean {
  const mine = readQuestion(one)
  const theirs = readQuestion(other)
  return (
    mine !== null &&
    theirs !== null &&
    mine.name === theirs.name &&
    mine.type === theirs.type &&
    mine.class === theirs.class
  )
}

/** Where the last `count` labels of the question's name begin: for a pointer to that suffix. */
export function suffixAt(message: Buffer, count: number): number {
  const starts: number[] = []
  let at = HEADER_BYTES
  for (let length = message[at] ?? 0; length !== 0; length = message[at] ?? 0) {
    starts.push(at)
    at += 1 + length
  }
  return starts[Math.max(0, starts.length - count)] ?? at
}

/** A record without what it says. */
export interface RecordFrame {
  readonly section: 'answer' | 'authority' | 'additional'
  readonly at: number
  /** Of a root owner name: it has no labels. */
  readonly ofRoot: boolean
  readonly type: number
  readonly class: number
  readonly ttl: number
  readonly dataAt: number
  readonly end: number
}

/** All records behind the question; null: they are not whole, or something stands behind the last one. */
export function readRecordFrames(message: Buffer, questionEnd: number): RecordFrame[] | null {
  const [, answers, authorities, additionals] = countsOf(message)
  const sections = [
    ['answer', answers],
    ['authority', authorities],
    ['additional', additionals],
  ] as const
  const frames: RecordFrame[] = []
  let at = questionEnd
  for (const [section, count] of sections) {
    for (let index = 0; index < count; index++) {
      const nameEnd = endOfName(message, at)
      if (nameEnd === null || nameEnd + 10 > message.length) return null
      const dataAt = nameEnd + 10
      const end = dataAt + message.readUInt16BE(nameEnd + 8)
      if (end > message.length) return null
      frames.push({
        section,
        at,
        ofRoot: message[at] === 0,
        type: message.readUInt16BE(nameEnd),
        class: message.readUInt16BE(nameEnd + 2),
        ttl: message.readUInt32BE(nameEnd + 4),
        dataAt,
        end,
      })
      at = end
    }
  }
  return at === message.length ? frames : null
}

/**
 * Where what follows the name begins; null: it is none. Pointers are followed to see that the name ends: each leads before the
 * place where it was met, so that none leads in a circle.
 */
function endOfName(message: Buffer, start: number): number | null {
  let at = start
  let end: number | null = null
  let limit = start
  let bytes = 1
  for (;;) {
    const length = message[at]
    if (length === undefined) return null
    if (length === 0) return end ?? at + 1
    if ((length & LABEL_KIND) === POINTER) {
      const low = message[at + 1]
      if (low === undefined) return null
      end ??= at + 2
      at = ((length & ~POINTER) << 8) | low
      if (at >= limit || at < HEADER_BYTES) return null
      limit = at
    } else if (length > MAX_LABEL_BYTES) {
      return null
    } else {
      bytes += 1 + length
      at += 1 + length
      if (bytes > MAX_NAME_BYTES) return null
    }
  }
}

/** The OPT record; undefined: there is none; null: there are several, or it is malformed (RFC 6891 section 6.1.1). */
export function readOpt(message: Buffer, frames: readonly RecordFrame[]): Opt | undefined | null {
  const opts = frames.filter(({ type }) => type === Type.OPT)
  const [opt] = opts
  if (opt === undefined) return undefined
  if (opts.length > 1 || opt.section !== 'additional' || !opt.ofRoot) return null
  // Options: code and length, whatever they are.
  let at = opt.dataAt
  while (at < opt.end) {
    if (at + 4 > opt.end) return null
    at += 4 + message.readUInt16BE(at + 2)
  }
  if (at !== opt.end) return null
  return {
    payloadBytes: opt.class,
    extendedRcode: opt.ttl >>> 24,
    version: (opt.ttl >>> 16) & 0xff,
    dnssecOk: (opt.ttl & 0x8000) !== 0,
  }
}

/** The same message under another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message)
  copy.writeUInt16BE(id, 0)
  return copy
}

// Replies as bytes: the question as it was asked, letter by letter, then records as long as there is room. Pure.

import { Flag, HEADER_BYTES, type Opt, Type } from './message.ts'
import { MAX_UDP_BYTES, type Query, type Refused } from './query.ts'

/** What is answered: records as encodeResourceRecord wrote them. */
export interface ReplyBody {
  readonly rcode: number
  readonly authoritative: boolean
  readonly answers: readonly Buffer[]
  readonly authorities: readonly Buffer[]
  readonly additionals: readonly Buffer[]
}

const OPT_BYTES = 11

/** A reply without records. */
export function emptyBody(rcode: number, authoritative = false): ReplyBody {
  return { rcode, authoritative, answers: [], authorities: [], additionals: [] }
}

/**
 * What does not fit is left out: of answers and authorities with the sign that something is missing (TC), so that the client asks
 * again by TCP; of additional records without it (RFC 2181 section 9).
 */
export function encodeReply(query: Query, body: ReplyBody): Buffer {
  const { bytes, question, opt, maxReplyBytes } = query
  const room = maxReplyBytes - question.end - (opt === undefined ? 0 : OPT_BYTES)
  let used = 0
  const fitting = (records: readonly Buffer[]): number => {
    let count = 0
    for (const record of records) {
      if (used + record.length > room) break
      used += record.length
      count++
    }
    return count
  }
  const answers = fitting(body.answers)
  const authorities = answers === body.answers.length ? fitting(body.authorities) : 0
  const complete = answers === body.answers.length && authorities === body.authorities.length
  const additionals = complete ? fitting(body.additionals) : 0

  const reply = Buffer.allocUnsafe(question.end + used + (opt === undefined ? 0 : OPT_BYTES))
  bytes.copy(reply, 0, 0, question.end)
  writeHeader(reply, bytes, body.rcode, {
    authoritative: body.authoritative,
    truncated: !complete,
    counts: [1, answers, authorities, additionals + (opt === undefined ? 0 : 1)],
  })
  let at = question.end
  const write = (records: readonly Buffer[], count: number): void => {
    for (let index = 0; index < count; index++) at += records[index]?.copy(reply, at) ?? 0
  }
  write(body.answers, answers)
  write(body.authorities, authorities)
  write(body.additionals, additionals)
  if (opt !== undefined) writeOpt(reply, at, opt, body.rcode)
  return reply
}

/** To what cannot be answered: the header, the question if it could be read, OPT if there was one. */
export function encodeRefusal({ bytes, question, opt, rcode }: Refused): Buffer {
  const end = question?.end ?? HEADER_BYTES
  const reply = Buffer.allocUnsafe(end + (opt === undefined ? 0 : OPT_BYTES))
  bytes.copy(reply, 0, 0, end)
  writeHeader(reply, bytes, rcode, {
    authoritative: false,
    truncated: false,
    counts: [question === null ? 0 : 1, 0, 0, opt === undefined ? 0 : 1],
  })
  if (opt !== undefined) writeOpt(reply, end, opt, rcode)
  return reply
}

/** To a client that takes less than what an upstream answered: nothing but that it shall ask by TCP. */
export function encodeTruncated(query: Query, rcode: number): Buffer {
  const reply = encodeReply(query, emptyBody(rcode))
  reply.writeUInt16BE(reply.readUInt16BE(2) | Flag.truncated, 2)
  return reply
}

interface HeaderParts {
  readonly authoritative: boolean
  readonly truncated: boolean
  readonly counts: readonly [number, number, number, number]
}

function writeHeader(
  reply: Buffer,
  query: Buffer,
  rcode: number,
  { authoritative, truncated, counts }: HeaderParts,
): void {
  // Id, opcode, RD and CD are the query's (RFC 1035 section 4.1.1, RFC 4035 section 3.2.2).
  const kept = query.readUInt16BE(2) & (0x7800 | Flag.recursionDesired | Flag.checkingDisabled)
  const flags =
    kept |
    Flag.response |
    Flag.recursionAvailable |
    (authoritative ? Flag.authoritative : 0) |
    (truncated ? Flag.truncated : 0) |
    (rcode & 0xf)
  query.copy(reply, 0, 0, 2)
  reply.writeUInt16BE(flags, 2)
  counts.forEach((count, index) => reply.writeUInt16BE(count, 4 + 2 * index))
}

/** Ours: version 0, no options (we know none), the DO bit as it was (RFC 3225 section 3). */
function writeOpt(reply: Buffer, at: number, { dnssecOk }: Opt, rcode: number): void {
  reply[at] = 0
  reply.writeUInt16BE(Type.OPT, at + 1)
  reply.writeUInt16BE(MAX_UDP_BYTES, at + 3)
  reply[at + 5] = rcode >> 4
  reply[at + 6] = 0
  reply.writeUInt16BE(dnssecOk ? 0x8000 : 0, at + 7)
  reply.writeUInt16BE(0, at + 9)
}

/** The rcode of a whole reply, with what OPT adds to it. */
export function fullRcode(flags: number, opt: Opt | undefined | null): number {
  return (flags & 0xf) | ((opt?.extendedRcode ?? 0) << 4)
}

// A query as it came from a client: what can be answered, what has to be refused, what is dropped. Pure, never throws.

import {
  HEADER_BYTES,
  type Opt,
  type Question,
  Rcode,
  Type,
  countsOf,
  flagsOf,
  Flag,
  opcodeOf,
  readOpt,
  readQuestion,
  readRecordFrames,
} from './message.ts'

/** How it came. */
export type Carrier = 'udp' | 'tcp'

/** Without OPT a client takes so much by UDP (RFC 1035 section 2.3.4). */
const PLAIN_UDP_BYTES = 512
/** What we send by UDP at most, and say so: on a loopback interface nothing is fragmented. */
export const MAX_UDP_BYTES = 4096
const MAX_TCP_BYTES = 65_535

export interface Query {
  /** The whole message. */
  readonly bytes: Buffer
  readonly id: number
  readonly flags: number
  readonly question: Question
  readonly opt: Opt | undefined
  readonly carrier: Carrier
  /** The client takes no longer reply. */
  readonly maxReplyBytes: number
}

/** What a refusal may repeat of the query. */
export interface Refused {
  readonly bytes: Buffer
  readonly question: Question | null
  readonly opt: Opt | undefined
  readonly rcode: number
}

export type Reading =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'refused'; readonly refused: Refused }
  /** Whoever sent it can do nothing with an answer, or an answer would go back and forth. */
  | { readonly kind: 'dropped'; readonly reason: 'short' | 'response' }

export function readQuery(bytes: Buffer, carrier: Carrier): Reading {
  if (bytes.length < HEADER_BYTES) return { kind: 'dropped', reason: 'short' }
  const flags = flagsOf(bytes)
  // Answering an answer would make two servers talk without end.
  if ((flags & Flag.response) !== 0) return { kind: 'dropped', reason: 'response' }
  const refuse = (rcode: number, question: Question | null = null, opt?: Opt): Reading => ({
    kind: 'refused',
    refused: { bytes, question, opt, rcode },
  })
  if (opcodeOf(bytes) !== 0) return refuse(Rcode.NOTIMP)
  // RFC 9619: one question.
  if (countsOf(bytes)[0] !== 1) return refuse(Rcode.FORMERR)
  const question = readQuestion(bytes)
  if (question === null) return refuse(Rcode.FORMERR)
  const frames =
    bytes.length === question.end ? noRecords(bytes) : readRecordFrames(bytes, question.end)
  if (frames === null) return refuse(Rcode.FORMERR, question)
  const opt = readOpt(bytes, frames)
  if (opt === null) return refuse(Rcode.FORMERR, question)
  if (opt !== undefined && opt.version !== 0) return refuse(Rcode.BADVERS, question, opt)
  // A zone is nothing that we have, and another's takes more than one message.
  if (question.type === Type.AXFR || question.type === Type.IXFR) {
    return refuse(Rcode.REFUSED, question, opt)
  }
  return {
    kind: 'query',
    query: {
      bytes,
      id: bytes.readUInt16BE(0),
      flags,
      question,
      opt,
      carrier,
      maxReplyBytes: carrier === 'tcp' ? MAX_TCP_BYTES : udpLimit(opt),
    },
  }
}

/** The common case: a question and nothing else. */
function noRecords(bytes: Buffer): [] | null {
  const [, answers, authorities, additionals] = countsOf(bytes)
  return answers + authorities + additionals === 0 ? [] : null
}

/** RFC 6891 section 6.2.3: values lower than 512 are treated as 512. */
function udpLimit(opt: Opt | undefined): number {
  if (opt === undefined) return PLAIN_UDP_BYTES
  return Math.min(Math.max(opt.payloadBytes, PLAIN_UDP_BYTES), MAX_UDP_BYTES)
}

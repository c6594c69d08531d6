// One resource record as bytes: dns-packet writes it, the owner's name is put in front of it.

import { Buffer } from 'node:buffer'
import { type Answer, encode } from 'dns-packet'
import { HEADER_BYTES } from './message.ts'

/** What a record says, by its type: what we answer with, and no more. */
export type RecordData =
  | { readonly type: 'A' | 'AAAA' | 'PTR'; readonly data: string }
  | {
      readonly type: 'SRV'
      readonly data: {
        readonly priority: number
        readonly weight: number
        readonly port: number
        readonly target: string
      }
    }
  | { readonly type: 'HINFO'; readonly data: { readonly cpu: string; readonly os: string } }
  | {
      readonly type: 'SOA'
      readonly data: {
        readonly mname: string
        readonly rname: string
        readonly serial: number
        readonly refresh: number
        readonly retry: number
        readonly expire: number
        readonly minimum: number
      }
    }

/** The whole name in the question, as a pointer to it (RFC 1035 section 4.1.4): a reply repeats the question right behind its header. */
export const QUESTION_NAME = HEADER_BYTES

/**
 * Writes a record. Names in it are not compressed, so its bytes are right at any place of a message.
 *
 * @param owner where in the message the owner's name stands, or the name itself: one of ours, whose labels parseName has let pass
 */
export function encodeResourceRecord(
  owner: number | string,
  ttlSeconds: number,
  said: RecordData,
): Buffer {
  const name = typeof owner === 'string' ? owner : '.'
  const answer = { name, ttl: ttlSeconds, class: 'IN', ...said } as Answer
  const record = encode({ type: 'response', answers: [answer] }).subarray(HEADER_BYTES)
  if (typeof owner === 'string') return record
  // The root's name is one zero byte.
  const bytes = Buffer.allocUnsafe(record.length + 1)
  bytes.writeUInt16BE(0xc000 | owner, 0)
  record.copy(bytes, 2, 1)
  return bytes
}

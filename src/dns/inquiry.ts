// A question by name, for those who ask on the command line, and what was answered, for people. Pure.

import { type Buffer } from 'node:buffer'
import { type Answer, type RecordType, RECURSION_DESIRED, decode, encode } from 'dns-packet'
import { WeftError, quote } from '../errors.ts'
import { parseIpAddress } from '../net/ip-address.ts'
import { Flag, MAX_NAME_BYTES, flagsOf, rcodeName } from './message.ts'
import { reverseOf } from './reverse-name.ts'

const TYPES = ['A', 'AAAA', 'ANY', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const
const LABEL = /^[\x21-\x7e]{1,63}$/

export interface Reply {
  readonly rcode: string
  /** It is of our own names. */
  readonly authoritative: boolean
  readonly answers: readonly ReplyRecord[]
}

export interface ReplyRecord {
  readonly name: string
  readonly type: string
  readonly ttl: number
  readonly data: string
}

/**
 * The question as a message. An address is asked for its name.
 *
 * @throws WeftError invalid_argument
 */
export function encodeInquiry(name: string, type: string | undefined): Buffer {
  const address = addressIn(name)
  const asked = address === null ? name.replace(/\.$/, '') : reverseOf(address)
  const wanted = (type ?? (address === null ? 'A' : 'PTR')).toUpperCase()
  if (!(TYPES as readonly string[]).includes(wanted)) {
    throw new WeftError(
      'invalid_argument',
      `${quote(wanted)} is not a type that can be asked for; there are ${TYPES.join(', ')}`,
    )
  }
  if (asked.length > MAX_NAME_BYTES - 2 || !asked.split('.').every((label) => LABEL.test(label))) {
    throw new WeftError(
      'invalid_argument',
      `${quote(name)} is not a name; labels have 1 to 63 printable characters, a name has 253`,
    )
  }
  const questions = [{ name: asked, type: wanted as RecordType, class: 'IN' as const }]
  return encode({ type: 'query', id: 0, flags: RECURSION_DESIRED, questions })
}

/** @throws WeftError unavailable when an upstream answered what cannot be read */
export function decodeReply(message: Buffer): Reply {
  const flags = flagsOf(message)
  try {
    return {
      rcode: rcodeName(flags & 0xf),
      authoritative: (flags & Flag.authoritative) !== 0,
      answers: (decode(message).answers ?? []).map(recordOf),
    }
  } catch (error) {
    throw new WeftError('unavailable', 'the answer cannot be read', { cause: error })
  }
}

function recordOf(answer: Answer): ReplyRecord {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0
  return { name: answer.name, type: answer.type, ttl, data: dataOf(answer) }
}

function dataOf(answer: Answer): string {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'DNAME':
    case 'NS':
    case 'PTR':
      return answer.data
    case 'SRV': {
      const { priority = 0, weight = 0, port, target } = answer.data
      return `${priority} ${weight} ${port} ${target}`
    }
    case 'MX':
      return `${answer.data.preference ?? 0} ${answer.data.exchange}`
    case 'TXT':
      return [answer.data]
        .flat()
        .map((part) => JSON.stringify(part.toString()))
        .join(' ')
    case 'HINFO':
      return `${JSON.stringify(answer.data.cpu)} ${JSON.stringify(answer.data.os)}`
    case 'SOA': {
      const { mname, rname, serial = 0, minimum = 0 } = answer.data
      return `${mname} ${rname} ${serial} ${minimum}`
    }
    default:
      return ''
  }
}

function addressIn(name: string): string | null {
  try {
    return parseIpAddress(name)
  } catch {
    return null
  }
}

// What upstreams said is not there, for a short while (RFC 2308), and what nobody answered (RFC 9520).

import { decode } from 'dns-packet'
import type { Clock } from '../clock.ts'
import { Flag, Rcode, Type, countsOf, flagsOf, readQuestion, readRecordFrames } from './message.ts'

/** However long an upstream allows: names come and go while people try things. */
const MAX_TTL_MS = 5_000
/** RFC 9520 section 3.2: at least a second. */
const FAILURE_TTL_MS = 1_000
const MAX_ENTRIES = 1_000
const MAX_REPLY_BYTES = 2_048

interface Entry {
  /** null: nobody answered. */
  readonly reply: Buffer | null
  readonly untilMs: number
}

export class NegativeCache {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The reply that was heard; null: nobody answered; undefined: nothing is known. */
  get(key: string): Buffer | null | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.untilMs > this.#clock.nowMs()) return entry.reply
    this.#entries.delete(key)
    return undefined
  }

  /** Keeps what is negative, and only that. */
  offer(key: string, reply: Buffer | null): void {
    const lifeMs = reply === null ? FAILURE_TTL_MS : negativeLifeMs(reply)
    if (lifeMs === 0) return
    this.#entries.delete(key)
    this.#entries.set(key, { reply, untilMs: this.#clock.nowMs() + lifeMs })
    if (this.#entries.size <= MAX_ENTRIES) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  /** Other upstreams may know other names. */
  clear(): void {
    this.#entries.clear()
  }

  get size(): number {
    return this.#entries.size
  }
}

/** How long a reply may be kept; 0: it is not negative, or does not say (RFC 2308 section 5). */
export function negativeLifeMs(reply: Buffer): number {
  const flags = flagsOf(reply)
  const rcode = flags & 0xf
  if ((flags & Flag.truncated) !== 0 || reply.length > MAX_REPLY_BYTES) return 0
  const empty = rcode === Rcode.NOERROR && countsOf(reply)[1] === 0
  if (rcode !== Rcode.NXDOMAIN && !empty) return 0
  const question = readQuestion(reply)
  const frames = question === null ? null : readRecordFrames(reply, question.end)
  const soa = frames?.find(({ section, type }) => section === 'authority' && type === Type.SOA)
  if (soa === undefined) return 0
  const minimum = minimumIn(reply)
  return minimum === null ? 0 : Math.min(minimum * 1_000, soa.ttl * 1_000, MAX_TTL_MS)
}

/** The SOA's last field: how long "no" is true, in seconds. */
function minimumIn(reply: Buffer): number | null {
  try {
    for (const record of decode(reply).authorities ?? []) {
      if (record.type === 'SOA') return record.data.minimum ?? null
    }
  } catch {
    // Whole as far as lengths go, but not what an SOA looks like.
  }
  return null
}

// One question asked of all upstreams at once: the first good answer is taken.
//
// An upstream that says that there is no such name is heard before those that stand in front of it only when they have had a
// little time: who lists a resolver for inner names first, and a public one behind it, means the first.

import type { Clock, Timer } from '../clock.ts'
import { Flag, HEADER_BYTES, Rcode, countsOf, flagsOf, sameQuestion } from './message.ts'
import type { Upstream } from './upstream.ts'
import type { Exchange, UpstreamTransport } from './upstream-transport.ts'

/** When the question is sent again, if by then nobody has answered: a datagram may be lost. */
const RETRY_AFTER_MS = [600, 1_300] as const
/** How long a "no" waits for those in front of it. */
const NEGATIVE_PATIENCE_MS = 200

export interface RaceOptions {
  readonly clock: Clock
  readonly transport: UpstreamTransport
  readonly upstreams: readonly Upstream[]
  /** The question as the client sent it. */
  readonly message: Buffer
  /** The client wants all of a long answer. */
  readonly whole: boolean
  readonly timeoutMs: number
  /** 0 to 65535, unpredictable: forged answers have to guess it. */
  readonly randomId: () => number
  /** A message that answers another question, or has another id. */
  readonly onMismatch: () => void
}

/** The reply; null: nobody answered in time. */
export type RaceEnd = (reply: Buffer | null) => void

interface Lane {
  readonly upstream: Upstream
  readonly message: Buffer
  exchange: Exchange | null
  byTcp: boolean
  /** A refusal or a "no", kept in case that nobody has better. */
  reply: Buffer | null
  done: boolean
}

export class Race {
  readonly #options: RaceOptions
  readonly #onEnd: RaceEnd
  readonly #lanes: Lane[]
  readonly #timers: Timer[] = []
  #patient = true
  #ended = false

  constructor(options: RaceOptions, onEnd: RaceEnd) {
    this.#options = options
    this.#onEnd = onEnd
    const { clock, upstreams, message, timeoutMs, randomId } = options
    this.#lanes = upstreams.map((upstream) => {
      const own = Buffer.from(message)
      own.writeUInt16BE(randomId(), 0)
      return { upstream, message: own, exchange: null, byTcp: false, reply: null, done: false }
    })
    this.#after(clock, timeoutMs, () => {
      this.#end(this.#best())
    })
    for (const delayMs of RETRY_AFTER_MS) {
      this.#after(clock, delayMs, () => {
        for (const lane of this.#lanes) if (!lane.done && !lane.byTcp) lane.exchange?.send()
      })
    }
    for (const lane of this.#lanes) {
      this.#open(lane, false)
      if (this.#isOver()) return
    }
  }

  close(): void {
    this.#ended = true
    for (const timer of this.#timers) timer.cancel()
    for (const { exchange } of this.#lanes) exchange?.close()
  }

  #after(clock: Clock, delayMs: number, callback: () => void): void {
    this.#timers.push(clock.setTimeout(callback, delayMs))
  }

  #open(lane: Lane, byTcp: boolean): void {
    const { transport } = this.#options
    lane.exchange?.close()
    lane.byTcp = byTcp
    const handlers = {
      onMessage: (message: Buffer) => {
        this.#hear(lane, message)
      },
      onFailure: () => {
        lane.done = true
        this.#decide()
      },
    }
    lane.exchange = byTcp
      ? transport.tcp(lane.upstream, lane.message, handlers)
      : transport.udp(lane.upstream, lane.message, handlers)
    lane.exchange.send()
  }

  #hear(lane: Lane, message: Buffer): void {
    if (this.#ended || lane.done) return
    if (!answers(message, lane.message)) {
      this.#options.onMismatch()
      return
    }
    if ((flagsOf(message) & Flag.truncated) !== 0 && this.#options.whole && !lane.byTcp) {
      // Kept: a truncated answer is better than none.
      lane.reply = message
      this.#open(lane, true)
      return
    }
    lane.done = true
    lane.reply = message
    if (isPositive(message)) this.#end(message)
    else this.#decide()
  }

  /** Ends with a "no" once all in front of it have spoken, or had their time; with what there is once all have. */
  #decide(): void {
    if (this.#ended) return
    if (this.#lanes.every(({ done }) => done)) {
      this.#end(this.#best())
      return
    }
    for (const { done, reply } of this.#lanes) {
      if (reply !== null && done && isDefinite(reply)) {
        this.#end(reply)
        return
      }
      if (!done && this.#patient) break
    }
    if (this.#patient && this.#lanes.some(({ reply }) => reply !== null && isDefinite(reply))) {
      this.#after(this.#options.clock, NEGATIVE_PATIENCE_MS, () => {
        this.#patient = false
        this.#decide()
      })
    }
  }

  #best(): Buffer | null {
    const replies = this.#lanes.flatMap(({ reply }) => reply ?? [])
    return replies.find(isPositive) ?? replies.find(isDefinite) ?? replies[0] ?? null
  }

  #end(reply: Buffer | null): void {
    if (this.#ended) return
    this.close()
    this.#onEnd(reply)
  }

  #isOver(): boolean {
    return this.#ended
  }
}

/** Whether `message` answers what was asked (RFC 5452 section 9.1; address and port are the transport's to see). */
function answers(message: Buffer, asked: Buffer): boolean {
  if (message.length < HEADER_BYTES) return false
  if (message.readUInt16BE(0) !== asked.readUInt16BE(0)) return false
  const flags = flagsOf(message)
  if ((flags & Flag.response) === 0 || ((flags >> 11) & 0xf) !== 0) return false
  // Who could not read the question need not repeat it.
  if (countsOf(message)[0] === 0) return message.length === HEADER_BYTES && (flags & 0xf) !== 0
  return sameQuestion(message, asked)
}

function isPositive(message: Buffer): boolean {
  const flags = flagsOf(message)
  const isCut = (flags & Flag.truncated) !== 0
  return (flags & 0xf) === Rcode.NOERROR && (countsOf(message)[1] > 0 || isCut)
}

/** There is such a name or not; others could not say. */
function isDefinite(message: Buffer): boolean {
  const rcode = flagsOf(message) & 0xf
  return rcode === Rcode.NOERROR || rcode === Rcode.NXDOMAIN
}

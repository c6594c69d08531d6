// The relay: pings a member for somebody who had no answer from it, and tells either way.

import type { MemberId, Peer } from './member.ts'
import type { Timekeeper } from './timekeeper.ts'

export interface RelayHands {
  nextSeq(): number
  ping(target: Peer, seq: number): void
  ack(to: MemberId, seq: number, incarnation: number): void
  nack(to: MemberId, seq: number): void
}

/** A relayed ping is two datagrams and a timer for one: nobody gets more of them out of us than this. */
const MAX_WAITING = 256

export class Relay {
  readonly #timekeeper: Timekeeper
  readonly #timeoutMs: number
  readonly #hands: RelayHands
  /** By the number of our ping: who asked, by what number, about whom. */
  readonly #waiting = new Map<number, { asker: MemberId; seq: number; target: MemberId }>()

  constructor(timekeeper: Timekeeper, timeoutMs: number, hands: RelayHands) {
    this.#timekeeper = timekeeper
    this.#timeoutMs = timeoutMs
    this.#hands = hands
  }

  pingReq(asker: MemberId, seq: number, target: Peer): void {
    if (this.#waiting.size >= MAX_WAITING) return
    const own = this.#hands.nextSeq()
    this.#waiting.set(own, { asker, seq, target: target.id })
    this.#hands.ping(target, own)
    this.#timekeeper.after(this.#timeoutMs, () => {
      if (this.#waiting.delete(own)) this.#hands.nack(asker, seq)
    })
  }

  ack(from: MemberId, seq: number, incarnation: number): void {
    const request = this.#waiting.get(seq)
    if (request?.target !== from) return
    this.#waiting.delete(seq)
    this.#hands.ack(request.asker, request.seq, incarnation)
  }
}

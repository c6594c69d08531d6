// Acknowledged records: sent straight to the members concerned, again if need be, until each has said that it has them.

import type { Clock, Timer } from '../clock.ts'
import type { MemberId } from './member.ts'
import { encodePut } from './record-messages.ts'

/** When an unanswered record is sent again: a lost datagram costs one of these, not the whole wait. */
const AGAIN_AT_MS = [50, 120]

/** One call of request(). */
interface Round {
  /** Token → the record, and who has not acknowledged it. */
  readonly waiting: Map<number, { readonly record: Uint8Array; readonly members: Set<MemberId> }>
  readonly timers: Timer[]
  readonly done: (missing: MemberId[]) => void
}

export class Acknowledgements {
  readonly #clock: Clock
  readonly #send: (to: MemberId, body: Uint8Array) => void
  readonly #rounds = new Map<number, Round>()
  #lastToken: number

  constructor(clock: Clock, firstToken: number, send: (to: MemberId, body: Uint8Array) => void) {
    this.#clock = clock
    this.#lastToken = firstToken
    this.#send = send
  }

  /** Calls back once: with the members that have not acknowledged all records in time. Never before it returns. */
  request(
    records: readonly Uint8Array[],
    members: readonly MemberId[],
    timeoutMs: number,
    done: (missing: MemberId[]) => void,
  ): void {
    const round: Round = { waiting: new Map(), timers: [], done }
    for (const record of members.length === 0 ? [] : records) {
      this.#lastToken = (this.#lastToken + 1) >>> 0
      round.waiting.set(this.#lastToken, { record, members: new Set(members) })
      this.#rounds.set(this.#lastToken, round)
    }
    const after = (delayMs: number, callback: () => void): void => {
      round.timers.push(this.#clock.setTimeout(callback, delayMs))
    }
    for (const delayMs of AGAIN_AT_MS) {
      if (delayMs < timeoutMs)
        after(delayMs, () => {
          this.#sendAll(round)
        })
    }
    after(round.waiting.size === 0 ? 0 : timeoutMs, () => {
      this.#end(round)
    })
    this.#sendAll(round)
  }

  /** `from` has the record of that token. Whether somebody waited for it. */
  onAck(token: number, from: MemberId): boolean {
    const round = this.#rounds.get(token)
    const waiting = round?.waiting.get(token)
    if (round === undefined || waiting?.members.delete(from) !== true) return false
    if (waiting.members.size > 0) return true
    round.waiting.delete(token)
    this.#rounds.delete(token)
    if (round.waiting.size === 0) this.#end(round)
    return true
  }

  #sendAll({ waiting }: Round): void {
    for (const [token, { record, members }] of waiting) {
      for (const member of members) this.#send(member, encodePut(token, record))
    }
  }

  #end({ waiting, timers, done }: Round): void {
    for (const timer of timers) timer.cancel()
    for (const token of waiting.keys()) this.#rounds.delete(token)
    done([...new Set([...waiting.values()].flatMap(({ members }) => [...members]))])
  }
}

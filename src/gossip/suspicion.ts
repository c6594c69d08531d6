// One suspicion: since when a member is suspected, by whom, and when it must have refuted.
//
// The more members accuse independently of each other, the sooner it ends (Lifeguard). Answers of the suspect do not end it,
// a higher incarnation does: but who has an answer at the deadline begins again, rather than to declare dead who speaks.

import type { MemberId } from './member.ts'

export interface SuspicionBounds {
  readonly minMs: number
  readonly maxMs: number
  /** So many independent accusers besides the first shorten it to the minimum. */
  readonly confirmations: number
}

/** maxMs without a confirmation, minMs with all; the first ones shorten it the most. */
export function suspicionTimeoutMs(bounds: SuspicionBounds, confirmed: number): number {
  const { minMs, maxMs, confirmations } = bounds
  if (confirmations < 1) return minMs
  const share = Math.log(confirmed + 1) / Math.log(confirmations + 1)
  return Math.max(minMs, maxMs - share * (maxMs - minMs))
}

export class Suspicion {
  readonly suspect: MemberId
  readonly bounds: SuspicionBounds
  /** Answers to what we sent before it began prove nothing. */
  readonly firstSeq: number
  readonly #accusers = new Set<MemberId>()
  #startMs: number
  /** A death that others declared: it ends no later than this. */
  #hearsayDueMs = Infinity
  #answered = false

  constructor(
    suspect: MemberId,
    by: MemberId,
    bounds: SuspicionBounds,
    startMs: number,
    firstSeq: number,
  ) {
    this.suspect = suspect
    this.bounds = bounds
    this.firstSeq = firstSeq
    this.#accusers.add(by)
    this.#startMs = startMs
  }

  get dueMs(): number {
    const timeoutMs = suspicionTimeoutMs(this.bounds, Math.max(0, this.#accusers.size - 1))
    return Math.min(this.#startMs + timeoutMs, this.#hearsayDueMs)
  }

  /** True: another accuser, whose word is worth passing on. */
  confirm(by: MemberId): boolean {
    if (this.#accusers.size > this.bounds.confirmations || this.#accusers.has(by)) return false
    this.#accusers.add(by)
    return true
  }

  /** Somebody declared it dead: that counts, but the suspect has `hearsayMs` in all to answer us. */
  declaredDead(hearsayMs: number): void {
    this.#hearsayDueMs = Math.min(this.#hearsayDueMs, this.#startMs + hearsayMs)
  }

  /** The suspect answered a ping with this number. */
  answer(seq: number): void {
    if (seq >= this.firstSeq) this.#answered = true
  }

  /** This host stood still: nobody could refute meanwhile. */
  extend(byMs: number): void {
    this.#startMs += byMs
    this.#hearsayDueMs += byMs
  }

  /** Time is over: dead, or, when it answered us meanwhile, all over again. */
  conclude(nowMs: number): 'dead' | 'again' {
    if (!this.#answered) return 'dead'
    this.#answered = false
    this.#accusers.clear()
    this.#startMs = nowMs
    this.#hearsayDueMs = Infinity
    return 'again'
  }
}

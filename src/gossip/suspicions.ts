// The suspicions that run: asks suspects themselves again and again, and declares dead who has not refuted in time.
//
// The chase: a rumour may miss the suspect or its refutation; a ping that says what is believed of it, and the ack that denies it, need one
// datagram each way. All who believe it ask, in a large cluster some of them by chance.

import type { Timer } from '../clock.ts'
import { type GossipSettings, suspicionScale } from './defaults.ts'
import type { MemberId } from './member.ts'
import { Suspicion } from './suspicion.ts'
import type { Timekeeper } from './timekeeper.ts'

export interface SuspicionHands {
  /** Tells the suspect what is believed of it, and asks for an answer. */
  chase(suspect: MemberId): void
  onDead(suspect: MemberId): void
}

export interface SuspicionsOptions {
  readonly self: MemberId
  readonly settings: GossipSettings
  readonly timekeeper: Timekeeper
  readonly random: () => number
  /** How many are present, this host among them. */
  readonly members: () => number
  readonly hands: SuspicionHands
}

export class Suspicions {
  readonly #options: SuspicionsOptions
  readonly #running = new Map<MemberId, Suspicion>()
  #timer: Timer | undefined
  #nextChaseMs = 0

  constructor(options: SuspicionsOptions) {
    this.#options = options
  }

  has(suspect: MemberId): boolean {
    return this.#running.has(suspect)
  }

  get size(): number {
    return this.#running.size
  }

  get(suspect: MemberId): Suspicion | undefined {
    return this.#running.get(suspect)
  }

  /** @param firstSeq the number of our next ping */
  begin(suspect: MemberId, by: MemberId, firstSeq: number): Suspicion {
    const { settings, timekeeper } = this.#options
    const members = this.#options.members()
    const scale = suspicionScale(members)
    const bounds = {
      minMs: settings.suspicionMinMs * scale,
      maxMs: settings.suspicionMaxMs * scale,
      confirmations: Math.min(settings.suspicionConfirmations, members - 2),
    }
    const nowMs = timekeeper.nowMs()
    const suspicion = new Suspicion(suspect, by, bounds, nowMs, firstSeq)
    if (this.#running.size === 0) this.#nextChaseMs = nowMs + settings.chaseIntervalMs
    this.#running.set(suspect, suspicion)
    this.#arm()
    if (by === this.#options.self || this.#mayChase()) this.#options.hands.chase(suspect)
    return suspicion
  }

  /** Another accuser; whether its word is worth passing on. */
  confirm(suspicion: Suspicion, by: MemberId): boolean {
    const news = suspicion.confirm(by)
    if (news) this.#arm()
    return news
  }

  /** Somebody declared it dead. */
  declaredDead(suspicion: Suspicion): void {
    suspicion.declaredDead(this.#options.settings.hearsayMs)
    this.#arm()
  }

  end(suspect: MemberId): void {
    this.#running.delete(suspect)
  }

  /** This host stood still for so long. */
  extend(byMs: number): void {
    for (const suspicion of this.#running.values()) suspicion.extend(byMs)
    this.#arm()
  }

  #look(): void {
    const { settings, timekeeper, hands } = this.#options
    const nowMs = timekeeper.nowMs()
    const chases = nowMs >= this.#nextChaseMs
    if (chases) this.#nextChaseMs = nowMs + settings.chaseIntervalMs
    for (const suspicion of [...this.#running.values()]) {
      const { suspect } = suspicion
      if (suspicion.dueMs <= nowMs && suspicion.conclude(nowMs) === 'dead') {
        this.#running.delete(suspect)
        hands.onDead(suspect)
      } else if (chases && this.#mayChase()) {
        hands.chase(suspect)
      }
    }
    this.#arm()
  }

  #mayChase(): boolean {
    const { settings, random, members } = this.#options
    return random() < settings.chasers / members()
  }

  /** One timer for all: the next deadline or the next chase. */
  #arm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#running.size === 0) return
    let atMs = this.#nextChaseMs
    for (const { dueMs } of this.#running.values()) if (dueMs < atMs) atMs = dueMs
    const { timekeeper } = this.#options
    this.#timer = timekeeper.after(Math.max(0, atMs - timekeeper.nowMs()), () => this.#look())
  }
}

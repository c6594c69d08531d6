// Push/pull: two members tell each other all that they believe about all members.
//
// On joining, with members that were dead until now, and now and then with one at random: it repairs what rumours missed.

import { decodeListed, decodeStream, encodeListed, encodeStream } from './codec.ts'
import { type GossipSettings, pushPullScale } from './defaults.ts'
import type { Member, MemberId, Peer } from './member.ts'
import type { Listed } from './message.ts'
import type { Timekeeper } from './timekeeper.ts'
import type { Transport } from './transport.ts'

export interface PushPullHands {
  /** All members, this host first: so the other knows whom it speaks to before it hears of others. */
  beliefs(): readonly Member[]
  hear(list: readonly Listed[], from: MemberId, asked: boolean): void
  /** A member to exchange with now; undefined: nobody is there. */
  somebody(): Peer | undefined
  /** The other says that this host is no member any more. */
  expelledBy(from: MemberId): void
  /** How many are present, this host among them. */
  members(): number
}

export interface PushPullOptions {
  readonly settings: GossipSettings
  readonly timekeeper: Timekeeper
  readonly random: () => number
  readonly transport: Transport
  readonly hands: PushPullHands
}

/** Peers that are asked at once for a join: some of those that a host remembers may be gone for good. */
const JOIN_FANOUT = 5

export class PushPull {
  readonly #options: PushPullOptions
  readonly #running = new Set<MemberId>()
  #stopped = false
  readonly #counters = { push_pulls: 0, push_pulls_failed: 0, push_pulls_served: 0 }

  constructor(options: PushPullOptions) {
    this.#options = options
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters
  }

  /** The exchanges with members at random begin. */
  start(): void {
    const { settings, timekeeper, random, hands } = this.#options
    const scale = pushPullScale(hands.members())
    timekeeper.after(settings.pushPullIntervalMs * scale * (0.5 + random()), () => {
      const peer = hands.somebody()
      if (peer !== undefined) this.exchange(peer)
      this.start()
    })
  }

  stop(): void {
    this.#stopped = true
  }

  /** Asks all of them, a few at once; calls back with how many answered. */
  join(peers: readonly Peer[], done: (answered: number) => void): void {
    const waiting = [...peers]
    let running = 0
    let answered = 0
    const next = (): void => {
      if (this.#stopped) waiting.length = 0
      while (running < JOIN_FANOUT && waiting.length > 0) {
        running++
        this.#ask(waiting.shift() as Peer, (ok) => {
          running--
          if (ok) answered++
          next()
        })
      }
      if (running === 0) finish()
    }
    let finished = false
    const finish = (): void => {
      if (finished) return
      finished = true
      done(answered)
    }
    // Not before this call returns, also when there is nobody to ask.
    if (peers.length === 0) this.#options.timekeeper.after(0, finish)
    else next()
  }

  /** Exchanges with a member now, unless that is under way or others are. */
  exchange(peer: Peer): void {
    if (this.#running.has(peer.id) || this.#running.size >= this.#options.settings.maxPushPulls) {
      return
    }
    this.#running.add(peer.id)
    this.#ask(peer, () => this.#running.delete(peer.id))
  }

  /** The reply to another's list; null when it is none. */
  answer(body: Uint8Array, from: MemberId): Uint8Array | null {
    const list = decodeListed(body)
    if (list === undefined) return null
    this.#counters.push_pulls_served++
    // As we believed until now: the other should hear what there is to refute.
    const reply = this.#ownList()
    this.#options.hands.hear(list, from, false)
    return reply
  }

  #ask(peer: Peer, done: (ok: boolean) => void): void {
    const { settings, transport, hands } = this.#options
    this.#counters.push_pulls++
    transport.request(peer, this.#ownList(), settings.pushPullTimeoutMs, (reply) => {
      const message = reply === null ? undefined : decodeStream(reply)
      const list = message?.type === 'push-pull' ? decodeListed(message.body) : undefined
      if (message?.type === 'expelled') hands.expelledBy(peer.id)
      if (list === undefined) this.#counters.push_pulls_failed++
      else if (!this.#stopped) hands.hear(list, peer.id, true)
      done(list !== undefined)
    })
  }

  #ownList(): Uint8Array {
    const nowMs = this.#options.timekeeper.nowMs()
    const list = this.#options.hands.beliefs().map((member) => asListed(member, nowMs))
    return encodeStream('push-pull', encodeListed(list))
  }
}

function asListed(member: Member, nowMs: number): Listed {
  const { id, incarnation, state, address, name, sinceMs } = member
  const ageSeconds = Math.min(0xffffffff, Math.max(0, Math.floor((nowMs - sinceMs) / 1_000)))
  return { id, incarnation, state, address, name, ageSeconds }
}

// The hearing: takes what arrives apart and gives each piece to who decides about it.
//
// Claims about others go to beliefs.ts, about this host to self.ts; acks to those who wait for them. Who is heard though it is not
// believed to be present, or from elsewhere than it is believed to be, is told so: that is how a heal begins, and how slander ends.

import type { Awareness } from './awareness.ts'
import type { Beliefs } from './beliefs.ts'
import type { Passenger } from './channel.ts'
import { decodeDatagram, decodeStream, encodeDatagram, encodeStream } from './codec.ts'
import type { GossipSettings } from './defaults.ts'
import type { GossipEvent } from './event.ts'
import { type Address, type MemberId, type MemberState, isPresent } from './member.ts'
import { type Entry, type Membership, sameAddress } from './membership.ts'
import type { Ack, Alive, Dead, Listed, Part, Ping, StreamMessage, Suspect } from './message.ts'
import type { Prober } from './prober.ts'
import type { PushPull } from './push-pull.ts'
import type { Relay } from './relay.ts'
import type { Self } from './self.ts'
import type { Suspicions } from './suspicions.ts'
import type { Timekeeper } from './timekeeper.ts'
import type { Voice } from './voice.ts'

const NOTHING = new Uint8Array()

export interface HearingOptions {
  readonly settings: GossipSettings
  readonly timekeeper: Timekeeper
  readonly self: Self
  readonly awareness: Awareness
  readonly membership: Membership
  readonly beliefs: Beliefs
  readonly suspicions: Suspicions
  readonly prober: Prober
  readonly relay: Relay
  readonly pushPull: PushPull
  readonly voice: Voice
  readonly passenger: Passenger
  readonly onEvent: (event: GossipEvent) => void
}

export class Hearing {
  readonly #options: HearingOptions
  readonly #counters = {
    datagrams_received: 0,
    bytes_received: 0,
    undecodable: 0,
    misdirected: 0,
    from_strangers: 0,
    from_expelled: 0,
    requests_served: 0,
    requests_refused: 0,
    refutations: 0,
    contacts: 0,
  }

  constructor(options: HearingOptions) {
    this.#options = options
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters
  }

  datagram(from: MemberId, body: Uint8Array, source: Address): void {
    this.#counters.datagrams_received++
    this.#counters.bytes_received += body.length
    if (!this.#admits(from)) return
    const { parts, intact } = decodeDatagram(body)
    if (!intact) this.#counters.undecodable++
    this.hear(from, parts)
    const entry = this.#options.membership.get(from)
    if (entry === undefined) this.#counters.from_strangers++
    else if (!isPresent(entry.member.state) || !sameAddress(entry.member.address, source)) {
      this.#contact(entry, parts, source)
    }
  }

  /** The reply; null refuses. */
  request(from: MemberId, body: Uint8Array): Uint8Array | null {
    // Whoever was away when it was expelled asks to come back, and is told.
    if (this.#options.membership.isExpelled(from)) {
      this.#counters.from_expelled++
      return encodeStream('expelled', NOTHING)
    }
    const request = from === this.#options.self.id ? undefined : decodeStream(body)
    const reply = request === undefined ? null : this.#answer(from, request)
    if (reply === null) this.#counters.requests_refused++
    else this.#counters.requests_served++
    return reply
  }

  hear(from: MemberId, parts: readonly Part[]): void {
    for (const part of parts) this.#hearPart(from, part)
  }

  /** A push/pull: what the other side of it believes. */
  hearList(from: MemberId, list: readonly Listed[], asked: boolean): void {
    const { self, beliefs } = this.#options
    for (const listed of list) {
      if (listed.id !== self.id) beliefs.hearListed(listed, from, asked ? 'asked' : 'told')
      else if (self.mustRefute(listed)) this.#refute(listed.incarnation, from)
    }
    this.#greet(from)
  }

  /** Whether we listen to it at all. */
  #admits(from: MemberId): boolean {
    const { membership, self } = this.#options
    if (!membership.isExpelled(from)) return from !== self.id
    this.#counters.from_expelled++
    return false
  }

  #hearPart(from: MemberId, part: Part): void {
    const { self, membership, relay, prober, passenger, voice } = this.#options
    switch (part.type) {
      case 'ping':
        this.#hearPing(from, part)
        return
      case 'ack':
        this.#hearAck(from, part)
        return
      case 'ping-req': {
        const { target, address, seq } = part
        if (target === self.id || membership.isExpelled(target) || self.leaving) return
        relay.pingReq(from, seq, { id: target, address })
        return
      }
      case 'nack':
        prober.nack(from, part.seq)
        return
      case 'alive':
      case 'suspect':
      case 'dead':
        if (part.id === self.id) this.#hearOfSelf(from, part)
        else this.#hearOfOther(from, part)
        return
      case 'broadcast': {
        const name = passenger.onBroadcast(part.body, from)
        if (name !== null) voice.broadcast(name, part.body)
        return
      }
      case 'message':
        passenger.onMessage(part.body, from)
        return
    }
  }

  #hearPing(from: MemberId, ping: Ping): void {
    const { self, voice } = this.#options
    const ack = this.#ackOf(from, ping)
    // Who has not heard our last word gets it with the ack.
    if (ack === undefined) return
    if (self.leaving) voice.sayTo(from)
    else if (self.isNewsTo(ping)) voice.sayTo(from, ack)
    else voice.sendTo(from, ack)
  }

  /** Undefined: the ping is not for us. */
  #ackOf(from: MemberId, ping: Ping): Ack | undefined {
    const { self } = this.#options
    if (ping.target !== self.id) {
      this.#counters.misdirected++
      return undefined
    }
    if (self.mustRefute(ping)) this.#refute(ping.incarnation, from)
    return { type: 'ack', seq: ping.seq, incarnation: self.incarnation }
  }

  #hearAck(from: MemberId, { seq, incarnation }: Ack): void {
    const { membership, suspicions, prober, relay } = this.#options
    const entry = membership.get(from)
    if (entry !== undefined) entry.knowsUs = true
    suspicions.get(from)?.answer(seq)
    if (!prober.ack(from, seq)) relay.ack(from, seq, incarnation)
  }

  #hearOfSelf(from: MemberId, part: Alive | Suspect | Dead): void {
    const { self, voice } = this.#options
    const { incarnation } = part
    if (part.type === 'alive') {
      const { address, name } = part
      if (!self.mustRefute({ incarnation, state: 'alive', address, name })) return
      this.#refute(incarnation, from)
    } else {
      const state = part.type === 'suspect' ? 'suspect' : 'dead'
      if (!self.mustRefute({ incarnation, state })) return
      this.#refute(incarnation, part.by)
      if (part.by !== from) voice.sayTo(part.by)
    }
    // Whoever told us believes it.
    voice.sayTo(from)
  }

  #hearOfOther(from: MemberId, part: Alive | Suspect | Dead): void {
    const { membership, beliefs } = this.#options
    const before = membership.get(part.id)?.member.state
    beliefs.hearPart(part)
    if (part.id === from && part.type === 'alive') this.#meet(from, before)
  }

  /** A member that was not alive says itself that it is: the two may have much to tell each other. */
  #meet(from: MemberId, before: MemberState | undefined): void {
    const { membership, pushPull, passenger } = this.#options
    if (before === 'alive') return
    const entry = membership.get(from)
    if (entry === undefined || !isPresent(entry.member.state)) return
    if (before === 'suspect') {
      if (entry.member.state === 'alive') passenger.onRecovery(from)
      return
    }
    if (before === 'dead') pushPull.exchange(entry.member)
    this.#greet(from)
  }

  #greet(id: MemberId): void {
    const entry = this.#options.membership.get(id)
    if (entry === undefined || entry.greeted || !isPresent(entry.member.state)) return
    entry.greeted = true
    this.#options.passenger.onContact(id)
  }

  /**
   * One that is not present, or is somewhere else, is told what is believed of it, so that it can refute: there, for at a wrong
   * address it would not hear of it.
   */
  #contact(entry: Entry, parts: readonly Part[], source: Address): void {
    const { settings, timekeeper, voice, pushPull } = this.#options
    const { state } = entry.member
    // Who leaves still answers; who believes that it is a member asks.
    if (state === 'left' && !parts.some(({ type }) => type === 'ping')) return
    const nowMs = timekeeper.nowMs()
    if (nowMs - entry.contactedMs < settings.contactIntervalMs) return
    entry.contactedMs = nowMs
    this.#counters.contacts++
    voice.confront(entry.member, source)
    if (state === 'dead') pushPull.exchange(entry.member)
  }

  /** Says that we are alive, so that it stands against `incarnation`. */
  #refute(incarnation: number, by: MemberId): void {
    const { self, awareness, voice, onEvent } = this.#options
    self.raise(incarnation)
    this.#counters.refutations++
    awareness.worse()
    voice.tellOfSelf(true)
    onEvent({ kind: 'refuted', incarnation: self.incarnation, by })
  }

  #answer(from: MemberId, { type, body }: StreamMessage): Uint8Array | null {
    const { self, pushPull, passenger } = this.#options
    switch (type) {
      case 'probe': {
        const ping = decodeDatagram(body).parts.find((part) => part.type === 'ping')
        const ack = ping === undefined ? undefined : this.#ackOf(from, ping)
        if (ack === undefined || self.leaving) return null
        return encodeStream('probe', encodeDatagram(self.said(), ack))
      }
      case 'push-pull':
        return self.leaving ? null : pushPull.answer(body, from)
      case 'passenger': {
        const reply = passenger.onRequest(body, from)
        return reply === null ? null : encodeStream('passenger', reply)
      }
      case 'expelled':
        return null
    }
  }
}

// One host's part in the gossip: makes its pieces, ties them together, and keeps the beat.
//
// hearing.ts takes in, voice.ts and outbox.ts say; between them decide beliefs.ts (claims about others), self.ts (about this host),
// prober.ts (who answers), suspicions.ts (who is dead). README.md has the protocol.

import type { Clock, Timer } from '../clock.ts'
import { Awareness } from './awareness.ts'
import { Beliefs } from './beliefs.ts'
import { BroadcastQueue } from './broadcast-queue.ts'
import { type Channel, MAX_CARGO_BYTES, type Passenger } from './channel.ts'
import { decodeStream, encodeStream } from './codec.ts'
import { GOSSIP_SETTINGS, type GossipSettings } from './defaults.ts'
import type { GossipEvent } from './event.ts'
import { Hearing } from './hearing.ts'
import type { Address, Member, MemberId, Peer } from './member.ts'
import { Membership } from './membership.ts'
import { Outbox } from './outbox.ts'
import { Prober } from './prober.ts'
import { PushPull } from './push-pull.ts'
import { Relay } from './relay.ts'
import type { Some } from './roster.ts'
import { type Profile, Self } from './self.ts'
import { Suspicions } from './suspicions.ts'
import { Timekeeper } from './timekeeper.ts'
import type { Transport, TransportListener } from './transport.ts'
import { Voice } from './voice.ts'

export interface GossipOptions {
  readonly self: Profile
  /** Higher than any this host has used before (the caller keeps it on disk). */
  readonly incarnation: number
  readonly clock: Clock
  /** 0 to below 1. */
  readonly random: () => number
  readonly transport: Transport
  readonly passenger: Passenger
  readonly settings?: Partial<GossipSettings>
  readonly onEvent?: (event: GossipEvent) => void
}

/** Between two looks for members that are gone for long. */
const FORGET_INTERVAL_MS = 60_000

export class Gossip implements TransportListener {
  /** What the passenger may do; hand it over before start(). */
  readonly channel: Channel
  readonly #settings: GossipSettings
  readonly #passenger: Passenger
  readonly #transport: Transport
  readonly #random: () => number
  readonly #startedMs: number
  readonly #timekeeper: Timekeeper
  readonly #self: Self
  readonly #membership: Membership
  readonly #awareness: Awareness
  readonly #queue: BroadcastQueue
  readonly #outbox: Outbox
  readonly #voice: Voice
  readonly #prober: Prober
  readonly #suspicions: Suspicions
  readonly #beliefs: Beliefs
  readonly #pushPull: PushPull
  readonly #hearing: Hearing
  #state: 'made' | 'running' | 'stopped' = 'made'
  #tick: Timer | undefined
  #pauses = 0
  /** members(), until one changes, or this host's incarnation does. */
  #sorted: readonly Member[] | undefined
  #sortedAt = -1

  constructor(options: GossipOptions) {
    const { random, transport, clock, passenger, onEvent = () => undefined } = options
    const settings = { ...GOSSIP_SETTINGS, ...options.settings }
    const timekeeper = new Timekeeper(clock, settings.pauseMs, (lateMs) => {
      this.#pauses++
      this.#prober.abandon()
      // What arrived meanwhile is read after the late timers.
      this.#suspicions.extend(lateMs + settings.pauseMs)
      this.#awareness.worse()
      onEvent({ kind: 'paused', lateMs })
    })
    const self = new Self(options.self, options.incarnation)
    const { maxMembers, forgetMs } = settings
    const membership = new Membership({ self: self.id, random, maxMembers, forgetMs })
    const members = (): number => membership.present.size + 1
    const awareness = new Awareness(settings.maxAwareness)
    const queue = new BroadcastQueue({
      rumours: settings.maxRumours,
      bytes: settings.maxRumourBytes,
    })
    const outbox = new Outbox({
      settings,
      timekeeper,
      transport,
      queue,
      members,
      targets: (count) => this.#somePeers(count, this.#suspicions),
    })
    const expelledBy = (by: MemberId): void => {
      if (this.#state === 'running') onEvent({ kind: 'expelled', by })
    }
    const voice = new Voice({
      settings,
      self,
      membership,
      queue,
      outbox,
      transport,
      expelledBy,
    })
    const prober = new Prober({
      settings,
      timekeeper,
      awareness,
      present: membership.present,
      hands: {
        nextSeq: () => voice.nextSeq(),
        ping: (target, seq) => voice.ping(target, seq),
        pingReq: (relay, target, seq) => voice.pingReq(relay, target, seq),
        stream: (target, seq, timeoutMs) => {
          voice.pingByStream(target, seq, timeoutMs, (parts) => {
            if (this.#state === 'running') this.#hearing.hear(target, parts)
          })
        },
        onFailed: (target) => this.#onFailed(target),
      },
    })
    const relay = new Relay(timekeeper, settings.relayTimeoutMs, {
      nextSeq: () => voice.nextSeq(),
      ping: (target, seq) => voice.pingFor(target, seq),
      ack: (to, seq, incarnation) => voice.sendTo(to, { type: 'ack', seq, incarnation }),
      nack: (to, seq) => voice.sendTo(to, { type: 'nack', seq }),
    })
    const suspicions = new Suspicions({
      self: self.id,
      settings,
      timekeeper,
      random,
      members,
      hands: {
        chase: (suspect) => voice.ping(suspect),
        onDead: (suspect) => this.#beliefs.bury(suspect),
      },
    })
    const beliefs = new Beliefs({
      self: self.id,
      membership,
      suspicions,
      queue,
      hands: {
        nowMs: () => clock.nowMs(),
        peekSeq: () => voice.peekSeq(),
        news: (urgent) => outbox.flushWithin(urgent ? 0 : settings.flushDelayMs),
        onChange: () => {
          this.#sorted = undefined
        },
        onMember: (after, before) => passenger.onMember(after, before),
        onEvent,
      },
    })
    const pushPull = new PushPull({
      settings,
      timekeeper,
      random,
      transport,
      hands: {
        beliefs: () => [this.#own(), ...membership.members()],
        hear: (list, from, asked) => this.#hearing.hearList(from, list, asked),
        somebody: () => this.#somePeers(1)[0],
        expelledBy,
        members,
      },
    })
    this.#hearing = new Hearing({
      settings,
      timekeeper,
      self,
      awareness,
      membership,
      beliefs,
      suspicions,
      prober,
      relay,
      pushPull,
      voice,
      passenger,
      onEvent,
    })
    this.#settings = settings
    this.#passenger = passenger
    this.#transport = transport
    this.#random = random
    this.#startedMs = clock.nowMs()
    this.#timekeeper = timekeeper
    this.#self = self
    this.#membership = membership
    this.#awareness = awareness
    this.#queue = queue
    this.#outbox = outbox
    this.#voice = voice
    this.#prober = prober
    this.#suspicions = suspicions
    this.#beliefs = beliefs
    this.#pushPull = pushPull
    this.channel = this.#makeChannel()
  }

  /** This host's own. It grows with each refutation: the next start needs a higher one. */
  get incarnation(): number {
    return this.#self.incarnation
  }

  /** Timers begin. */
  start(): void {
    if (this.#state !== 'made') return
    this.#state = 'running'
    this.#voice.tellOfSelf(false)
    this.#pushPull.start()
    // Hosts that start together do not probe together.
    this.#tickAfter(this.#random() * this.#settings.probeIntervalMs)
    this.#forgetAfter(FORGET_INTERVAL_MS)
  }

  /** All timers are cancelled; nothing is sent afterwards. */
  stop(): void {
    this.#state = 'stopped'
    this.#pushPull.stop()
    this.#outbox.close()
    this.#timekeeper.stop()
  }

  /** Learns of the members by push/pull with these peers; calls back once with how many answered. */
  join(peers: readonly Peer[], done: (answered: number) => void): void {
    const others = peers.filter(({ id }) => id !== this.#self.id)
    this.#pushPull.join(others, done)
  }

  /** Tells the others that this host leaves; calls back when they are told. From now on it neither asks nor answers. */
  leave(done: () => void): void {
    const { leaveRoundsMs, leaveFanout, flushDelayMs } = this.#settings
    this.#self.leave()
    this.#sorted = undefined
    this.#tick?.cancel()
    this.#prober.abandon()
    this.#voice.tellOfSelf(true)
    const rounds = this.#membership.present.size === 0 ? [] : leaveRoundsMs
    for (const afterMs of rounds) {
      this.#timekeeper.after(afterMs, () => {
        for (const peer of this.#somePeers(leaveFanout)) this.#outbox.send(peer, this.#self.said())
      })
    }
    this.#timekeeper.after(Math.max(0, ...rounds) + flushDelayMs, done)
  }

  /**
   * Forgets a member for good and refuses what speaks of it from now on. Tells nobody: that is a record's business.
   */
  expel(id: MemberId): void {
    const before = id === this.#self.id ? undefined : this.#membership.expel(id)
    if (before !== undefined) this.#onForgotten(before)
  }

  /** Another name or address of this host, from now on: all others are told. */
  setSelf(change: { readonly name?: string; readonly address?: Address }): void {
    this.#self.change(change)
    this.#voice.tellOfSelf(true)
  }

  /** All members, this host among them, in the order of their ids. */
  members(): readonly Member[] {
    if (this.#sortedAt !== this.#self.incarnation) this.#sorted = undefined
    this.#sortedAt = this.#self.incarnation
    this.#sorted ??= [this.#own(), ...this.#membership.members()].sort((a, b) =>
      a.id < b.id ? -1 : 1,
    )
    return this.#sorted
  }

  member(id: MemberId): Member | undefined {
    return id === this.#self.id ? this.#own() : this.#membership.get(id)?.member
  }

  /** Pings a member, whatever is believed of it; nothing follows from the answer but that it was heard. */
  greet(id: MemberId): void {
    if (this.#state === 'running') this.#voice.ping(id)
  }

  counters(): Readonly<Record<string, number>> {
    return {
      ...this.#hearing.counters(),
      datagrams_sent: this.#outbox.datagrams,
      bytes_sent: this.#outbox.bytes,
      probes: this.#prober.started,
      probes_failed: this.#prober.failed,
      pauses: this.#pauses,
      ...this.#beliefs.counters(),
      ...this.#pushPull.counters(),
      rumours_waiting: this.#queue.size,
      rumours_shed: this.#queue.shed,
      awareness: this.#awareness.score,
    }
  }

  onDatagram(from: MemberId, body: Uint8Array, source: Address): void {
    if (this.#state === 'running') this.#hearing.datagram(from, body, source)
  }

  onRequest(from: MemberId, body: Uint8Array): Uint8Array | null {
    return this.#state === 'running' ? this.#hearing.request(from, body) : null
  }

  #tickAfter(delayMs: number): void {
    this.#tick = this.#timekeeper.after(delayMs, () => {
      this.#tickAfter(this.#settings.probeIntervalMs)
      this.#prober.tick()
      for (const id of this.#membership.dead.next(this.#settings.deadProbes)) this.#voice.ping(id)
    })
  }

  #forgetAfter(delayMs: number): void {
    this.#timekeeper.after(delayMs, () => {
      const nowMs = this.#timekeeper.nowMs()
      for (const member of this.#membership.forgetOld(nowMs)) this.#onForgotten(member)
      this.#forgetAfter(delayMs)
    })
  }

  #onForgotten(before: Member): void {
    this.#sorted = undefined
    this.#suspicions.end(before.id)
    this.#queue.remove('membership', before.id)
    this.#passenger.onMember(undefined, before)
  }

  #onFailed(target: MemberId): void {
    const entry = this.#membership.get(target)
    if (entry !== undefined) entry.knowsUs = false
    this.#beliefs.accuse(target)
  }

  #own(): Member {
    const { id, name, address, incarnation, leaving } = this.#self
    const state = leaving ? 'left' : 'alive'
    return { id, name, address, incarnation, state, sinceMs: this.#startedMs }
  }

  #somePeers(count: number, without?: Some): readonly Peer[] {
    const { present } = this.#membership
    return present.sample(count, without).flatMap((id) => this.#membership.get(id)?.member ?? [])
  }

  #makeChannel(): Channel {
    const assertFits = (body: Uint8Array): void => {
      if (body.length > MAX_CARGO_BYTES) throw new RangeError(`cargo of ${body.length} bytes`)
    }
    return {
      self: this.#self.id,
      broadcast: (name, body) => {
        assertFits(body)
        this.#voice.broadcast(name, body)
      },
      send: (to, body) => {
        assertFits(body)
        this.#voice.sendTo(to, { type: 'message', body })
      },
      request: (to, body, timeoutMs, done) => this.#request(to, body, timeoutMs, done),
      someMembers: (count) => this.#membership.present.sample(count),
      members: () => this.members(),
    }
  }

  #request(
    to: MemberId,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void {
    const peer = this.#membership.get(to)?.member
    if (peer === undefined) {
      this.#timekeeper.after(0, () => done(null))
      return
    }
    this.#transport.request(peer, encodeStream('passenger', body), timeoutMs, (reply) => {
      const message = reply === null ? undefined : decodeStream(reply)
      done(message?.type === 'passenger' ? message.body : null)
    })
  }
}

// The voice: what this host says, and to whom: pings in their forms, and its own last word.

import type { BroadcastQueue } from './broadcast-queue.ts'
import { decodeDatagram, decodeStream, encodeDatagram, encodePart, encodeStream } from './codec.ts'
import type { GossipSettings } from './defaults.ts'
import type { Address, Member, MemberId, Peer } from './member.ts'
import type { Membership } from './membership.ts'
import type { Alive, Belief, Part, Ping } from './message.ts'
import type { Outbox } from './outbox.ts'
import type { Self } from './self.ts'
import type { Transport } from './transport.ts'

export interface VoiceOptions {
  readonly settings: GossipSettings
  readonly self: Self
  readonly membership: Membership
  readonly queue: BroadcastQueue
  readonly outbox: Outbox
  readonly transport: Transport
  /** The other says that this host is no member any more. */
  readonly expelledBy: (from: MemberId) => void
}

/** What is believed of one that we have not heard of: it will tell. */
const UNKNOWN: Belief = { incarnation: 0, state: 'alive' }

export class Voice {
  readonly #options: VoiceOptions
  #seq = 0

  constructor(options: VoiceOptions) {
    this.#options = options
  }

  /** The number of a new ping. */
  nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0
    return this.#seq
  }

  /** The number that the next ping will have. */
  peekSeq(): number {
    return (this.#seq + 1) >>> 0
  }

  /** To a member; nothing when it is unknown. */
  sendTo(id: MemberId, ...parts: readonly Part[]): void {
    const peer = this.#options.membership.get(id)?.member
    if (peer !== undefined) this.#options.outbox.send(peer, ...parts)
  }

  /** Our last word to a member, and `parts` behind it. The rumour of it stays for others. */
  sayTo(id: MemberId, ...parts: readonly Part[]): void {
    const { membership, outbox, self } = this.#options
    const peer = membership.get(id)?.member
    if (peer !== undefined) outbox.sendBare(peer, self.said(), ...parts)
  }

  ping(target: MemberId, seq = this.nextSeq()): void {
    const { membership, self, outbox } = this.#options
    const entry = membership.get(target)
    if (entry === undefined || self.leaving) return
    const ping = this.#pingOf(target, seq)
    // Who may not know us could not answer.
    if (entry.member.state !== 'alive') outbox.sendBare(entry.member, self.said(), ping)
    else if (entry.knowsUs) outbox.send(entry.member, ping)
    else outbox.send(entry.member, self.said(), ping)
  }

  /** Tells a member, where it was heard just now, all that we believe of it, and asks for its last word. */
  confront({ id, incarnation, address, name }: Member, source: Address): void {
    const { self, outbox } = this.#options
    if (self.leaving) return
    const believed: Alive = { type: 'alive', id, incarnation, address, name }
    outbox.sendBare(
      { id, address: source },
      self.said(),
      believed,
      this.#pingOf(id, this.nextSeq()),
    )
  }

  /** For another, who may know an address of the target that we do not. */
  pingFor(target: Peer, seq: number): void {
    this.#options.outbox.sendBare(target, this.#options.self.said(), this.#pingOf(target.id, seq))
  }

  pingReq(relay: MemberId, target: MemberId, seq: number): void {
    const address = this.#options.membership.get(target)?.member.address
    if (address !== undefined) this.sendTo(relay, { type: 'ping-req', seq, target, address })
  }

  /** A ping over a stream; `hear` gets the parts that are the answer. */
  pingByStream(
    target: MemberId,
    seq: number,
    timeoutMs: number,
    hear: (parts: readonly Part[]) => void,
  ): void {
    const peer = this.#options.membership.get(target)?.member
    if (peer === undefined) return
    const request = encodeStream('probe', encodeDatagram(this.#pingOf(target, seq)))
    this.#options.transport.request(peer, request, timeoutMs, (reply) => {
      const message = reply === null ? undefined : decodeStream(reply)
      if (message?.type === 'probe') hear(decodeDatagram(message.body).parts)
      if (message?.type === 'expelled') this.#options.expelledBy(target)
    })
  }

  /** Tells all what we say of ourselves now; urgent when somebody doubts it. */
  tellOfSelf(urgent: boolean): void {
    const { queue, self, outbox, settings } = this.#options
    queue.put('membership', self.id, encodePart(self.said()))
    outbox.flushWithin(urgent ? 0 : settings.flushDelayMs)
  }

  /** A passenger's rumour, our own or one to pass on. */
  broadcast(name: string, body: Uint8Array): void {
    const { queue, outbox, settings } = this.#options
    queue.put('passenger', name, encodePart({ type: 'broadcast', body }))
    outbox.flushWithin(settings.flushDelayMs)
  }

  #pingOf(target: MemberId, seq: number): Ping {
    const { incarnation, state } = this.#options.membership.get(target)?.member ?? UNKNOWN
    return { type: 'ping', seq, target, incarnation, state }
  }
}

// One host's part in the gossip: what it hears, believes, tells and asks.

import type { Clock } from '../clock.ts'
import type { Channel, Passenger } from './channel.ts'
import type { GossipSettings } from './defaults.ts'
import type { GossipEvent } from './event.ts'
import type { Address, Member, MemberId, Peer } from './member.ts'
import type { Transport, TransportListener } from './transport.ts'

export interface Self {
  readonly id: MemberId
  readonly name: string
  readonly address: Address
}

export interface GossipOptions {
  readonly self: Self
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

export class Gossip implements TransportListener {
  readonly #options: GossipOptions

  constructor(options: GossipOptions) {
    this.#options = options
  }

  /** What the passenger may do; hand it over before start(). */
  get channel(): Channel {
    return {
      self: this.#options.self.id,
      broadcast: () => undefined,
      send: () => undefined,
      request: (_to, _body, _timeoutMs, done) => {
        this.#options.clock.setTimeout(() => done(null), 0)
      },
      someMembers: () => [],
      members: () => this.members(),
    }
  }

  /** This host's own. It grows with each refutation: the next start needs a higher one. */
  get incarnation(): number {
    return this.#options.incarnation
  }

  /** Timers begin. */
  start(): void {
    // skeleton
  }

  /** All timers are cancelled; nothing is sent afterwards. */
  stop(): void {
    // skeleton
  }

  /** Learns of the members by push/pull with these peers; calls back once with how many answered. */
  join(_peers: readonly Peer[], done: (answered: number) => void): void {
    this.#options.clock.setTimeout(() => done(0), 0)
  }

  /** Tells the others that this host leaves; calls back once they are told, or 500 ms later. */
  leave(done: () => void): void {
    this.#options.clock.setTimeout(done, 0)
  }

  /**
   * Forgets a member for good and refuses what speaks of it from now on. Tells nobody: that is a record's business.
   */
  expel(_id: MemberId): void {
    // skeleton
  }

  /** Another name or address of this host, from now on: all others are told. */
  setSelf(_change: { readonly name?: string; readonly address?: Address }): void {
    // skeleton
  }

  /** All members, this host among them, in the order of their ids. */
  members(): readonly Member[] {
    const { self, incarnation, clock } = this.#options
    return [{ ...self, incarnation, state: 'alive', sinceMs: clock.nowMs() }]
  }

  member(_id: MemberId): Member | undefined {
    return undefined
  }

  counters(): Readonly<Record<string, number>> {
    return {}
  }

  onDatagram(_from: MemberId, _body: Uint8Array): void {
    // skeleton
  }

  onRequest(_from: MemberId, _body: Uint8Array): Uint8Array | null {
    return null
  }
}

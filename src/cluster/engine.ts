// The running parts of a member: keys, sockets, gossip, replication. Made at init, join or start; taken apart together.

import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { GossipEvent } from '../gossip/event.ts'
import { Gossip } from '../gossip/gossip.ts'
import { type Address, type MemberId, type Peer, isPresent } from '../gossip/member.ts'
import { Replicator } from '../gossip/replicator.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Netdb } from '../netdb/table.ts'
import { Keyring } from './keyring.ts'
import type { JoinDoor } from './stream-security.ts'
import { UdpTransport } from './udp-transport.ts'

/** How long the others may take to say that they know a record (DESIGN: acknowledged records). */
const ACKNOWLEDGE_MS = 200
const REFRESH_MS = 200

export interface EngineOptions {
  readonly self: { readonly id: MemberId; readonly name: string; readonly address: Address }
  readonly bootNumber: number
  readonly netdb: Netdb
  readonly clock: Clock
  /** What opens the door for joiners, at this moment. */
  readonly door: () => JoinDoor | null
  readonly onJoin: (body: Uint8Array, source: Ipv4Address) => Promise<Uint8Array | null>
  readonly onApi: (stream: Duplex, from: MemberId) => void
  readonly onEvent: (event: GossipEvent) => void
  /** A record says that this member, maybe this host itself, is expelled. */
  readonly onExpelled: (member: MemberId) => void
  readonly onOvertaken: (bootNumber: number) => void
}

export class Engine {
  readonly keyring = new Keyring()
  readonly #options: EngineOptions
  readonly #transport: UdpTransport
  readonly #replicator: Replicator
  #gossip: Gossip | null = null

  private constructor(options: EngineOptions) {
    this.#options = options
    const { self, bootNumber, netdb, clock, door, onJoin, onApi, onOvertaken } = options
    this.#transport = new UdpTransport({
      self: self.id,
      bootNumber,
      address: self.address,
      keyring: this.keyring,
      door,
      clock,
      onJoin,
      onApi,
      onOvertaken,
    })
    this.#replicator = new Replicator({
      netdb,
      clock,
      random: random48,
      onExpelled: (member) => {
        this.expel(member)
        options.onExpelled(member)
      },
    })
  }

  /**
   * Opens the sockets; nothing is said yet.
   *
   * @throws WeftError address_in_use, invalid_argument
   */
  static async open(options: EngineOptions): Promise<Engine> {
    const engine = new Engine(options)
    await engine.#transport.listen()
    return engine
  }

  /** Takes part from now on. `incarnation`: higher than any that this host has used. */
  begin(incarnation: number): void {
    const { self, clock, onEvent } = this.#options
    const gossip = new Gossip({
      self,
      incarnation,
      clock,
      random: random48,
      transport: this.#transport,
      passenger: this.#replicator,
      onEvent,
    })
    this.#gossip = gossip
    this.#replicator.attach(gossip.channel)
    this.#transport.attach(gossip)
    gossip.start()
    this.#replicator.start()
  }

  get gossip(): Gossip {
    if (this.#gossip === null) throw new Error('the engine has not begun')
    return this.#gossip
  }

  /** Learns of the members from these; gives how many answered. */
  async meet(peers: readonly Peer[]): Promise<number> {
    return await new Promise((resolve) => {
      this.gossip.join(peers, resolve)
    })
  }

  /** Compares records with others, now. */
  async refresh(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#replicator.refresh(resolve, REFRESH_MS)
    })
  }

  /** Has all present members know the records; gives those that did not say so in time. */
  async acknowledge(records: readonly string[]): Promise<MemberId[]> {
    const others = this.others()
    if (others.length === 0) return []
    return await new Promise((resolve) => {
      this.#replicator.acknowledge(records, others, resolve, ACKNOWLEDGE_MS)
    })
  }

  /** The other members that are present. */
  others(): MemberId[] {
    const { id } = this.#options.self
    return this.gossip
      .members()
      .filter((member) => member.id !== id && isPresent(member.state))
      .map((member) => member.id)
  }

  expel(member: MemberId): void {
    this.keyring.forget(member)
    if (member !== this.#options.self.id) this.#gossip?.expel(member)
  }

  async openApi(to: Peer, timeoutMs: number): Promise<Duplex> {
    return await this.#transport.streams.openApi(to, timeoutMs)
  }

  /** How long ago a datagram came from that member; null: none has. */
  heardAgoMs(from: MemberId): number | null {
    return this.#transport.heardAgoMs(from)
  }

  /** Of gossip, replication and transport; names say which. */
  counters(): Record<string, number> {
    return {
      ...prefixed('gossip', this.#gossip?.counters() ?? {}),
      ...prefixed('netdb', this.#replicator.counters()),
      ...prefixed('cluster', { ...this.#transport.counters() }),
    }
  }

  /** Says goodbye; the others know at once. */
  async leave(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.gossip.leave(resolve)
    })
  }

  async close(): Promise<void> {
    this.#replicator.stop()
    this.#gossip?.stop()
    await this.#transport.close()
  }
}

/** Chance: better than gossip needs, and different on machines that were cloned. */
function random48(): number {
  return randomBytes(6).readUIntBE(0, 6) / 2 ** 48
}

function prefixed(
  prefix: string,
  counters: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [
      `${prefix}_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`,
      value,
    ]),
  )
}

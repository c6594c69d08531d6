// One host of a simulated cluster: its daemon's gossip and records, and what may happen to a machine.
//
// A *life* is one process. What is on disk (id, incarnation, snapshot) and what outlives a daemon (the sandboxes' endpoints)
// is the host's and comes back with the next life; all else is gone with it. A pause is a process that stands still
// while the kernel goes on.

import type { GossipSettings } from '../../src/gossip/defaults.ts'
import type { GossipEvent } from '../../src/gossip/event.ts'
import { Gossip } from '../../src/gossip/gossip.ts'
import { type Address, type MemberId, type Peer, isPresent } from '../../src/gossip/member.ts'
import { Replicator, type ReplicatorSettings } from '../../src/gossip/replicator.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import type { Written } from '../../src/netdb/record.ts'
import { encodeSnapshot, loadSnapshot } from '../../src/netdb/snapshot.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { Random } from '../fixtures/random.ts'
import { HostClock, type VirtualClock } from '../fixtures/virtual-clock.ts'
import type { SimulatedNetwork, Socket } from './simulated-network.ts'
import type { Timeline } from './timeline.ts'

/** What all hosts of a simulation share. */
export interface World {
  readonly time: VirtualClock
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly timeline: Timeline
  readonly gossip: Partial<GossipSettings>
  readonly replicator: Partial<ReplicatorSettings>
  /** Whether hosts save what they know: where nobody crashes it would only cost time. */
  readonly snapshots: boolean
  /** A host's gossip tells something. */
  readonly onEvent: (host: SimulatedHost, event: GossipEvent) => void
  /** A daemon is there, and has not done anything yet. */
  readonly onStart: (host: SimulatedHost) => void
}

/** new: never started. down: crashed, may be started again. left: says goodbye, or has. */
export type HostState = 'new' | 'running' | 'paused' | 'down' | 'left'

export type Endpoint = Written<'endpoint'>

export interface Life {
  readonly clock: HostClock
  readonly socket: Socket
  readonly netdb: Netdb
  readonly replicator: Replicator
  readonly gossip: Gossip
}

/** A snapshot is written so often: a crash loses what came since. */
const SNAPSHOT_INTERVAL_MS = 1_000
/** How long a write takes, with fsync. */
const WRITE_MS = 5
/** Between two attempts to join. */
const JOIN_INTERVAL_MS = 1_000
const GOSSIP_PORT = 7946

export class SimulatedHost {
  readonly name: string
  readonly id: MemberId
  readonly address: Address
  readonly slot: number
  /** Its sandboxes' attachments: they outlive the daemon, not the machine. */
  readonly endpoints = new Map<string, Endpoint>()
  readonly #world: World
  readonly #random: Random
  #state: HostState = 'new'
  #life: Life | undefined
  #incarnation = 0
  #snapshot: Uint8Array | undefined
  #searching = false
  #endedAtMs = 0

  constructor(world: World, number: number) {
    this.#world = world
    this.#random = new Random(world.random.next())
    this.name = `h${number}`
    this.id = Buffer.from(this.#random.bytes(8)).toString('hex')
    const ip = `10.99.${number >> 8}.${number & 255}` as Ipv4Address
    this.address = { ip, port: GOSSIP_PORT }
    this.slot = world.network.addSlot(this.address)
  }

  get state(): HostState {
    return this.#state
  }

  get peer(): Peer {
    return { id: this.id, address: this.address }
  }

  /** The process, running or paused; throws when there is none. */
  get life(): Life {
    if (this.#life === undefined) throw new Error(`${this.name} does not run`)
    return this.#life
  }

  get running(): boolean {
    return this.#state === 'running'
  }

  /** Whether a process is there, be it on its way out. */
  get hasProcess(): boolean {
    return this.#life !== undefined
  }

  /** Whether it asks somebody to let it in, and has not been answered yet. */
  get searching(): boolean {
    return this.#searching
  }

  /** When its last process ended, on the simulation's clock. */
  get endedAtMs(): number {
    return this.#endedAtMs
  }

  /** Starts a daemon, which asks `contacts` to let it in: again and again, until it knows them all. None: it is the first. */
  start(contacts: readonly SimulatedHost[]): void {
    const {
      time,
      network,
      timeline,
      gossip: settings,
      replicator: replicatorSettings,
    } = this.#world
    if (this.#life !== undefined) throw new Error(`${this.name} runs already`)
    this.#incarnation++
    const clock = new HostClock(time, this.#random.below(1_000_000))
    const socket = network.open(this.slot, this.peer, clock)
    const chance = new Random(this.#random.next())
    const random = (): number => chance.next() / 2 ** 32
    const netdb = new Netdb(this.id, { adopting: true, nowMs: () => clock.nowMs() })
    const replicator = new Replicator({
      netdb,
      clock,
      random,
      settings: replicatorSettings,
      onExpelled: (member) => this.#onExpelled(life, member),
    })
    const gossip = new Gossip({
      self: { id: this.id, address: this.address, name: this.name },
      incarnation: this.#incarnation,
      clock,
      random,
      transport: socket,
      passenger: replicator,
      settings,
      onEvent: (event) => {
        this.#incarnation = Math.max(this.#incarnation, gossip.incarnation)
        this.#world.onEvent(this, event)
      },
    })
    const life: Life = { clock, socket, netdb, replicator, gossip }
    this.#life = life
    this.#state = 'running'
    this.#searching = contacts.length > 0
    timeline.note(this.name, `starts, incarnation ${this.#incarnation}`)
    this.#world.onStart(this)

    if (this.#snapshot !== undefined) {
      const wrong = loadSnapshot(netdb, this.#snapshot, clock.wallMs())
      if (wrong !== null) throw new Error(`${this.name} cannot read its snapshot: ${wrong}`)
    }
    for (const [key, endpoint] of this.endpoints) netdb.put('endpoint', key, endpoint)
    netdb.ready()
    replicator.attach(gossip.channel)
    socket.listen(gossip)
    gossip.start()
    replicator.start()
    if (contacts.length > 0) this.#join(life, contacts)
    if (this.#world.snapshots) this.#keepSnapshot(life)
  }

  #onExpelled({ gossip }: Life, member: MemberId): void {
    if (member !== this.id) gossip.expel(member)
    else if (this.running) this.#end('learns that it is expelled, and ends', 'left', false)
  }

  /** Asks whom it remembers until it knows them all as members, of whatever state: else islands would form that never meet. */
  #join(life: Life, contacts: readonly SimulatedHost[]): void {
    const { gossip, clock } = life
    gossip.join(
      contacts.map(({ peer }) => peer),
      (answered) => {
        if (this.#life !== life) return
        if (answered > 0) {
          this.#world.timeline.note(this.name, `joined by way of ${answered} hosts`)
        }
        const missing = contacts.filter(({ id }) => gossip.member(id) === undefined)
        this.#searching = missing.length > 0
        if (this.#searching) clock.setTimeout(() => this.#join(life, missing), JOIN_INTERVAL_MS)
      },
    )
  }

  #keepSnapshot(life: Life): void {
    life.clock.setTimeout(() => {
      if (this.#life !== life) return
      this.saveSnapshot()
      this.#keepSnapshot(life)
    }, SNAPSHOT_INTERVAL_MS)
  }

  saveSnapshot(): void {
    const { netdb, clock } = this.life
    this.#snapshot = encodeSnapshot(netdb, clock.wallMs())
  }

  /** Has a snapshot on disk, a moment later: a crash before that loses it. */
  writeDown(done: () => void): void {
    const { life } = this
    life.clock.setTimeout(() => {
      if (this.#life === life) this.saveSnapshot()
      done()
    }, WRITE_MS)
  }

  put(key: string, endpoint: Endpoint): void {
    this.endpoints.set(key, endpoint)
    this.life.netdb.put('endpoint', key, endpoint)
  }

  remove(key: string): void {
    this.endpoints.delete(key)
    this.life.netdb.remove('endpoint', key)
  }

  pause(): void {
    this.life.clock.stall()
    this.#state = 'paused'
    this.#world.timeline.note(this.name, 'pauses')
  }

  resume(): void {
    const { clock, socket } = this.life
    this.#state = 'running'
    this.#world.timeline.note(this.name, 'goes on')
    clock.resume()
    socket.drain()
  }

  /** The daemon dies; with `machine` also what ran beside it, and nobody refuses connections. */
  crash(machine: boolean): void {
    this.#end(machine ? 'the machine goes off' : 'the daemon crashes', 'down', machine)
    if (machine) this.endpoints.clear()
  }

  /** Says goodbye and ends. */
  leave(): void {
    const { life } = this
    this.#state = 'left'
    this.#world.timeline.note(this.name, 'leaves')
    for (const key of this.endpoints.keys()) life.netdb.remove('endpoint', key)
    this.endpoints.clear()
    life.gossip.leave(() => {
      if (this.#life === life) this.#end('has left', 'left', false)
      // Who leaves a cluster forgets it.
      this.#snapshot = undefined
    })
  }

  /** What a daemon does that is told to end: for the end of a run, too. */
  stop(): void {
    this.life.replicator.stop()
    this.life.gossip.stop()
    this.#end('stops', 'down', false)
  }

  #end(what: string, state: 'down' | 'left', machine: boolean): void {
    this.life.clock.end()
    this.#world.network.close(this.slot, !machine)
    this.#life = undefined
    this.#endedAtMs = this.#world.time.nowMs()
    this.#state = state
    this.#world.timeline.note(this.name, what)
  }

  believesPresent(id: MemberId): boolean {
    const member = this.life.gossip.member(id)
    return member !== undefined && isPresent(member.state)
  }
}

// One host that allocates: what its daemon does of networks and endpoints, with the code of src/network as it is, on a simulated host.
//
// Left out are interfaces and processes: an endpoint here is its record, and a sandbox is what remembers it when the daemon dies.
// A daemon of this host is made anew with each life; what it had under way when it died is never heard of again.

import { statusOf } from '../../src/cluster/status.ts'
import { peersOf } from '../../src/daemon/peers.ts'
import { WeftError } from '../../src/errors.ts'
import { isPresent } from '../../src/gossip/member.ts'
import { type RepairPlan, planRepair } from '../../src/ipam/repair-plan.ts'
import type { Clock } from '../../src/clock.ts'
import type { Logger } from '../../src/log.ts'
import { AddressBook } from '../../src/network/address-book.ts'
import { EndpointClaims, endpointValue } from '../../src/network/endpoint-claims.ts'
import { Networks, type NetworkWish } from '../../src/network/networks.ts'
import { Repair } from '../../src/network/repair.ts'
import { Services } from '../../src/network/services.ts'
import { type OpenEndpoint, type Sandbox, newSandbox } from '../../src/network/sandbox.ts'
import type { EndpointSpec, SandboxSpec } from '../../src/network/sandbox-spec.ts'
import type { InitClient } from '../../src/sandbox/init-client.ts'
import type { Hash } from '../../src/netdb/hash.ts'
import type { Random } from '../fixtures/random.ts'
import { member } from '../fixtures/records.ts'
import type { Life, SimulatedHost } from './simulated-host.ts'

/** An endpoint that is in use, as it is written down. */
export interface Noted {
  readonly name: string
  readonly spec: EndpointSpec
}

interface Daemon {
  readonly life: Life
  readonly networks: Networks
  readonly services: Services
  readonly claims: EndpointClaims
  /** Of one endpoint each, by its id. */
  readonly sandboxes: Map<string, Sandbox>
  /** What the plan was when all that is held had this digest; null: something that is served has changed since. */
  planned: { readonly root: Hash; readonly plan: RepairPlan } | null
  /** Requests that have not been answered. */
  pending: number
}

export interface AllocationWorld {
  readonly random: Random
  /** A promise was settled: what waits for it goes on before time does. */
  readonly wake: () => void
  readonly note: (host: SimulatedHost, what: string) => void
  /** What no daemon may say: an error that is not the user's. */
  readonly problem: (host: SimulatedHost, error: unknown) => void
  readonly counts: AllocationCounts
}

/** How often what happened in a run. */
export interface AllocationCounts {
  networks: number
  services: number
  endpoints: number
  refused: number
  readdress: number
  stop: number
  renumber: number
  revip: number
  follow: number
  /** Repairs that failed, and were told: no address was free. */
  failed: number
}

export const NO_COUNTS: AllocationCounts = {
  networks: 0,
  services: 0,
  endpoints: 0,
  refused: 0,
  readdress: 0,
  stop: 0,
  renumber: 0,
  revip: 0,
  follow: 0,
  failed: 0,
}

const ACKNOWLEDGE_MS = 200
export class AllocatingHost {
  readonly host: SimulatedHost
  /** By the endpoint's id: what is on disk, and outlives the daemon as the sandbox does; not the machine. */
  readonly #noted = new Map<string, Noted>()
  readonly #world: AllocationWorld
  #daemon: Daemon | undefined

  constructor(host: SimulatedHost, world: AllocationWorld) {
    this.host = host
    this.#world = world
  }

  /** Requests of the present daemon that are under way. */
  get pending(): number {
    return this.host.hasProcess ? (this.#daemon?.pending ?? 0) : 0
  }

  /** Of the present daemon. */
  get networks(): Networks {
    return this.#ofNow().networks
  }

  /** Of the present daemon. */
  get services(): Services {
    return this.#ofNow().services
  }

  sandboxes(): Noted[] {
    return [...this.#noted.values()].filter(({ spec }) => this.host.endpoints.has(spec.id))
  }

  /** A daemon starts: its table is still empty. */
  start(): void {
    const { host } = this
    const { life } = host
    const { netdb, clock } = life
    for (const id of this.#noted.keys()) {
      // The machine was off, or the host has left.
      if (!host.endpoints.has(id)) this.#noted.delete(id)
    }
    const written = (): Promise<void> => this.#settled((done) => host.writeDown(done))
    const peers = peersOf(this.#clusterOf(life), clock, true, written)
    const randomBytes = (size: number): Uint8Array => this.#world.random.bytes(size)
    // Whole milliseconds, as a system's clock tells them.
    const wall = { wallMs: () => Math.floor(clock.wallMs()) }
    const networks = new Networks({
      netdb,
      peers,
      clock: wall,
      randomBytes,
      ownRoutes: async () => [],
    })
    const book = new AddressBook({
      netdb,
      host: host.name,
      facts: () => undefined,
      contenders: () => networks.contenders(),
      nowMs: () => clock.nowMs(),
      requireSynced: peers.requireSynced,
    })
    const { acknowledge } = peers
    const claims = new EndpointClaims({ netdb, networks, book, randomBytes, acknowledge })
    const services = new Services({ netdb, peers, networks, book, clock: wall, randomBytes })
    const sandboxes = new Map<string, Sandbox>()
    for (const { name, spec } of this.sandboxes()) {
      const sandbox = sandboxOf(name, { spec, port: 0, isUp: true })
      sandbox.made = true
      sandboxes.set(spec.id, sandbox)
    }
    const daemon: Daemon = {
      life,
      networks,
      services,
      claims,
      sandboxes,
      planned: null,
      pending: 0,
    }
    this.#daemon = daemon
    netdb.watch(() => {
      daemon.planned = null
    })
    clock.setTimeout(() => {
      netdb.put('member', host.id, { ...member(1), name: host.name, vtep: host.address.ip })
      this.#repair(daemon)
    }, 0)
  }

  // --- requests, as users make them ---

  create(wish: NetworkWish): void {
    this.#request(`network create ${wish.name}`, async ({ networks }) => {
      const id = await networks.create(wish)
      this.#world.counts.networks++
      const ranges = networks.subnetsOf(id).map(({ key, value }) => `${key} vni ${value.vni}`)
      return ranges.join(', ')
    })
  }

  grow(network: string, subnet: string): void {
    this.#request(`network ${network} grows by ${subnet}`, async ({ networks }) => {
      await networks.addSubnets(network, { subnets: [subnet], gateways: [], ranges: [] })
      return 'done'
    })
  }

  remove(network: string): void {
    this.#request(`network rm ${network}`, async ({ networks }) => {
      await networks.remove(network)
      return 'removed'
    })
  }

  serve(name: string, network: string): void {
    this.#request(`service create ${name}`, async ({ services }) => {
      const wish = { name, networks: [network], endpointMode: 'vip', scheduler: 'rr' } as const
      const id = await services.create({ ...wish, labels: {} })
      this.#world.counts.services++
      const vips = services.vipsOf(await services.find(id))
      return `has ${vips.map(({ value }) => value.ip).join(' ')}, ${id.slice(0, 8)}`
    })
  }

  unserve(service: string): void {
    this.#request(`service rm ${service}`, async ({ services }) => {
      await services.remove(service)
      return 'removed'
    })
  }

  attach(name: string, network: string, ip?: string): void {
    this.#request(
      `attach ${name} to ${network}${ip === undefined ? '' : ` as ${ip}`}`,
      async ({ life, claims, sandboxes }) => {
        const spec = await claims.promise({ network, name, interface: 'eth0', ip }, () => 1450)
        const endpoint: OpenEndpoint = { spec, port: 0, isUp: false }
        const sandbox = sandboxOf(name, endpoint)
        sandboxes.set(spec.id, sandbox)
        try {
          claims.put(name, spec)
          await claims.settle(name, [endpoint], () => undefined)
        } catch (error) {
          sandboxes.delete(spec.id)
          life.netdb.remove('endpoint', spec.id)
          throw error
        } finally {
          claims.forget(spec)
        }
        endpoint.isUp = true
        sandbox.made = true
        this.#note({ name, spec: endpoint.spec })
        this.#world.counts.endpoints++
        return `has ${endpoint.spec.ip}, ${spec.id.slice(0, 8)}`
      },
    )
  }

  detach({ name, spec }: Noted): void {
    this.#request(`detach ${name} (${spec.ip})`, async (daemon) => {
      const { claims } = daemon
      this.#end(daemon, spec.id)
      await claims.known([spec])
      return 'detached'
    })
  }

  // --- repairs ---

  /** What collides by what this host knows, and what it has to do about it; no work as long as records stay as they are. */
  plan(): RepairPlan {
    const daemon = this.#ofNow()
    const { root } = daemon.life.netdb.stored
    if (daemon.planned?.root !== root) daemon.planned = { root, plan: this.#planNow(daemon) }
    return daemon.planned.plan
  }

  #planNow({ life: { netdb }, networks }: Daemon): RepairPlan {
    const present = netdb.list('member').map(({ key }) => key)
    return planRepair({
      self: this.host.id,
      networks: netdb.list('network'),
      subnets: netdb.list('subnet'),
      endpoints: [...netdb.list('endpoint'), ...netdb.listHidden('endpoint')],
      services: netdb.list('service'),
      vips: netdb.list('vip'),
      present: [...new Set([this.host.id, ...present])],
      contenders: networks.contenders(),
      specOf: (endpoint) => this.#noted.get(endpoint)?.spec,
    })
  }

  /** As a daemon has it, but for interfaces. */
  #repair(daemon: Daemon): void {
    const { counts } = this.#world
    const { life, networks, services, claims, sandboxes } = daemon
    const { netdb, clock } = life
    new Repair({
      netdb,
      networks,
      services: {
        revip: async (key) => {
          const addressNow = (): string | undefined => netdb.get('vip', key)?.value.ip
          const before = addressNow()
          const known = services.revip(key)
          if (addressNow() !== before) counts.revip++
          await known
        },
      },
      clock: this.#waking(clock),
      endpoints: {
        move: async (name, endpoint) => {
          const { mac, ip, ip6 } = endpoint.spec
          const formerly = endpoint.spec.formerly ?? { mac, ip, ip6 }
          claims.move(name, endpoint)
          endpoint.spec = { ...endpoint.spec, formerly }
          counts.readdress++
          await claims.known([endpoint.spec])
        },
        changeInterface: async (endpoint) => {
          endpoint.spec = { ...endpoint.spec, formerly: null }
        },
        follow: (name, endpoint, vni) => {
          endpoint.spec = { ...endpoint.spec, vni }
          claims.put(name, endpoint.spec)
          counts.follow++
        },
      },
      controller: {
        list: () => [...sandboxes.values()],
        noteEndpoints: async ({ spec: { name }, endpoints }) => {
          for (const { spec } of endpoints) if (sandboxes.has(spec.id)) this.#note({ name, spec })
        },
        stop: async ({ endpoints }) => {
          counts.stop++
          for (const { spec } of endpoints) this.#end(daemon, spec.id)
        },
      },
      tell: ({ text }) => {
        this.#world.note(this.host, `tells: ${text}`)
      },
      log: this.#log(),
    })
  }

  /** What a repair says: of what it has done, and of what failed. */
  #log(): Logger {
    const { counts, note } = this.#world
    const log = {
      warn: (fields: object, text: string) => {
        if ('subnet' in fields) counts.renumber++
        if (!('event' in fields)) note(this.host, text)
      },
      error: () => {
        counts.failed++
      },
    }
    return log as unknown as Logger
  }

  /** A clock that has what waits for a timer go on before time does. */
  #waking(clock: Clock): Clock {
    return {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      setTimeout: (callback, delayMs) =>
        clock.setTimeout(() => {
          this.#world.wake()
          callback()
        }, delayMs),
    }
  }

  // --- the daemon ---

  #request(what: string, work: (daemon: Daemon) => Promise<string>): void {
    const { note, wake, problem, counts } = this.#world
    const daemon = this.#ofNow()
    const isAlive = (): boolean => this.#life() === daemon.life
    note(this.host, what)
    daemon.pending++
    wake()
    work(daemon).then(
      (result) => {
        daemon.pending--
        if (isAlive()) note(this.host, `${what}: ${result}`)
      },
      (error: unknown) => {
        daemon.pending--
        counts.refused++
        if (!(error instanceof WeftError)) problem(this.host, error)
        else if (isAlive()) note(this.host, `${what}: ${error.message}`)
      },
    )
  }

  /** Writes down what an endpoint has; the next daemon will find it. */
  #note(noted: Noted): void {
    const { name, spec } = noted
    this.#noted.set(spec.id, noted)
    this.host.endpoints.set(spec.id, endpointValue(name, spec))
  }

  #end({ life, sandboxes }: Daemon, endpoint: string): void {
    sandboxes.delete(endpoint)
    this.#noted.delete(endpoint)
    this.host.endpoints.delete(endpoint)
    life.netdb.remove('endpoint', endpoint)
  }

  /** As src/cluster has it: acknowledged by those who are present, or not within 200 ms. */
  #clusterOf({ gossip, replicator, netdb }: Life): Parameters<typeof peersOf>[0] {
    const others = () =>
      gossip.members().filter(({ id, state }) => id !== this.host.id && isPresent(state))
    return {
      others,
      requireSome: () =>
        statusOf(
          { clusterId: 'simulated', memberId: this.host.id, address: this.host.address },
          gossip.members(),
          netdb,
        ),
      acknowledge: async (records) => {
        const members = others().map(({ id }) => id)
        if (members.length === 0) return
        await this.#settled((done) => {
          replicator.acknowledge(records, members, done, ACKNOWLEDGE_MS)
        })
      },
      refresh: () =>
        this.#settled((done) => {
          replicator.refresh(done, ACKNOWLEDGE_MS)
        }),
    }
  }

  #settled(start: (done: () => void) => void): Promise<void> {
    const { wake } = this.#world
    return new Promise((resolve) => {
      start(() => {
        wake()
        resolve()
      })
    })
  }

  #ofNow(): Daemon {
    const daemon = this.#daemon
    if (daemon?.life !== this.#life()) throw new Error(`${this.host.name} does not run`)
    return daemon as Daemon
  }

  #life(): Life | undefined {
    return this.host.hasProcess ? this.host.life : undefined
  }
}

/** One with a single endpoint, and no init behind it. */
function sandboxOf(name: string, endpoint: OpenEndpoint): Sandbox {
  const { spec } = endpoint
  const described: SandboxSpec = {
    version: 1,
    id: spec.id,
    name,
    kind: 'run',
    argv: ['sleep', 'infinity'],
    tty: false,
    createdAtMs: 0,
    init: null,
    endpoints: [spec],
    dns: null,
    stopReason: null,
  }
  const sandbox = newSandbox(described, 'running')
  sandbox.client = {} as unknown as InitClient
  sandbox.endpoints = [endpoint]
  return sandbox
}

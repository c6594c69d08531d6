// One host that allocates: what its daemon does of networks and endpoints, with the code of src/network as it is, on a simulated host.
//
// Left out are interfaces and processes: an endpoint here is its record, and a sandbox is what remembers it when the daemon dies.
// A daemon of this host is made anew with each life; what it had under way when it died is never heard of again.

import { statusOf } from '../../src/cluster/status.ts'
import { peersOf } from '../../src/daemon/peers.ts'
import { WeftError } from '../../src/errors.ts'
import { isPresent } from '../../src/gossip/member.ts'
import { type RepairAction, type RepairPlan, planRepair } from '../../src/ipam/repair-plan.ts'
import { AddressBook } from '../../src/network/address-book.ts'
import { EndpointClaims, endpointValue } from '../../src/network/endpoint-claims.ts'
import { Networks, type NetworkWish } from '../../src/network/networks.ts'
import type { EndpointSpec } from '../../src/network/sandbox-spec.ts'
import type { Random } from '../fixtures/random.ts'
import { member } from '../fixtures/records.ts'
import type { Life, SimulatedHost } from './simulated-host.ts'

/** An endpoint that is in use; it outlives the daemon, not the machine. */
export interface Sandbox {
  readonly name: string
  spec: EndpointSpec
}

interface Daemon {
  readonly life: Life
  readonly networks: Networks
  readonly claims: EndpointClaims
  /** Requests that have not been answered. */
  pending: number
  /** A look at collisions is due. */
  looking: boolean
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
  endpoints: number
  refused: number
  readdress: number
  stop: number
  renumber: number
  follow: number
  /** Repairs that had to wait: no address was free, or the host had not heard its cluster yet. */
  postponed: number
}

export const NO_COUNTS: AllocationCounts = {
  networks: 0,
  endpoints: 0,
  refused: 0,
  readdress: 0,
  stop: 0,
  renumber: 0,
  follow: 0,
  postponed: 0,
}

const ACKNOWLEDGE_MS = 200
/** From news to the look at what collides; news come in crowds. */
const LOOK_SOON_MS = 200
/** Besides: who acts may have changed, or an address have become free. */
const LOOK_ANYWAY_MS = 2_000

export class AllocatingHost {
  readonly host: SimulatedHost
  /** By the endpoint's id. */
  readonly #sandboxes = new Map<string, Sandbox>()
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

  sandboxes(): Sandbox[] {
    return [...this.#sandboxes.values()].filter(({ spec }) => this.host.endpoints.has(spec.id))
  }

  /** A daemon starts: its table is still empty. */
  start(): void {
    const { host } = this
    const { life } = host
    const { netdb, clock } = life
    for (const id of this.#sandboxes.keys()) {
      // The machine was off, or the host has left.
      if (!host.endpoints.has(id)) this.#sandboxes.delete(id)
    }
    const peers = peersOf(this.#clusterOf(life), clock, true)
    const randomBytes = (size: number): Uint8Array => this.#world.random.bytes(size)
    const networks = new Networks({
      netdb,
      peers,
      // Whole milliseconds, as a system's clock tells them.
      clock: { wallMs: () => Math.floor(clock.wallMs()) },
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
    const daemon: Daemon = { life, networks, claims, pending: 0, looking: false }
    this.#daemon = daemon
    netdb.watch(() => {
      this.#lookSoon(daemon)
    })
    clock.setTimeout(() => {
      netdb.put('member', host.id, { ...member(1), name: host.name, vtep: host.address.ip })
      this.#lookAnyway(daemon)
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

  attach(name: string, network: string, ip?: string): void {
    this.#request(
      `attach ${name} to ${network}${ip === undefined ? '' : ` as ${ip}`}`,
      async ({ life, claims }) => {
        const spec = await claims.promise({ network, name, interface: 'eth0', ip }, () => 1450)
        const sandbox: Sandbox = { name, spec }
        try {
          claims.put(name, spec)
          await claims.settle(name, [sandbox], () => undefined)
        } catch (error) {
          life.netdb.remove('endpoint', spec.id)
          throw error
        } finally {
          claims.forget(spec)
        }
        this.#keep(sandbox)
        this.#world.counts.endpoints++
        return `has ${sandbox.spec.ip}, ${spec.id.slice(0, 8)}`
      },
    )
  }

  detach({ name, spec }: Sandbox): void {
    this.#request(`detach ${name} (${spec.ip})`, async ({ life, claims }) => {
      this.#sandboxes.delete(spec.id)
      this.host.endpoints.delete(spec.id)
      life.netdb.remove('endpoint', spec.id)
      await claims.known([spec])
      return 'detached'
    })
  }

  // --- repairs ---

  /** What collides by what this host knows, and what it has to do about it. */
  plan(): RepairPlan {
    const { life, networks } = this.#ofNow()
    const { netdb, gossip } = life
    const members = gossip.members().filter(({ state }) => isPresent(state))
    return planRepair({
      self: this.host.id,
      networks: netdb.list('network'),
      subnets: netdb.list('subnet'),
      endpoints: [...netdb.list('endpoint'), ...netdb.listHidden('endpoint')],
      present: [...new Set([this.host.id, ...members.map(({ id }) => id)])],
      contenders: networks.contenders(),
      asked: (endpoint) => this.#sandboxes.get(endpoint)?.spec.asked ?? false,
    })
  }

  #look(daemon: Daemon): void {
    if (daemon.life !== this.#life()) return
    for (const action of this.plan().actions) {
      try {
        this.#carryOut(daemon, action)
      } catch (error) {
        if (!(error instanceof WeftError)) throw error
        this.#world.counts.postponed++
        this.#world.note(this.host, `cannot ${wordsOf(action)}: ${error.message}`)
      }
    }
  }

  #carryOut({ life, claims }: Daemon, action: RepairAction): void {
    const { counts, note } = this.#world
    if (action.kind === 'renumber') {
      life.netdb.put('subnet', action.subnet, action.value)
    } else {
      // What is still settling moves by itself.
      const sandbox = this.#sandboxes.get(action.endpoint)
      if (sandbox === undefined) return
      if (action.kind === 'readdress') {
        claims.move(sandbox.name, sandbox)
        this.#keep(sandbox)
      } else if (action.kind === 'follow') {
        sandbox.spec = { ...sandbox.spec, vni: action.vni }
        claims.put(sandbox.name, sandbox.spec)
        this.#keep(sandbox)
      } else {
        this.#sandboxes.delete(action.endpoint)
        this.host.endpoints.delete(action.endpoint)
        life.netdb.remove('endpoint', action.endpoint)
      }
    }
    counts[action.kind]++
    note(this.host, wordsOf(action))
  }

  #lookSoon(daemon: Daemon): void {
    if (daemon.looking) return
    daemon.looking = true
    daemon.life.clock.setTimeout(() => {
      daemon.looking = false
      this.#look(daemon)
    }, LOOK_SOON_MS)
  }

  #lookAnyway(daemon: Daemon): void {
    this.#lookSoon(daemon)
    daemon.life.clock.setTimeout(() => {
      this.#lookAnyway(daemon)
    }, LOOK_ANYWAY_MS)
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

  /** The sandbox has these addresses now; the next daemon will find it. */
  #keep(sandbox: Sandbox): void {
    const { name, spec } = sandbox
    this.#sandboxes.set(spec.id, sandbox)
    this.host.endpoints.set(spec.id, endpointValue(name, spec))
  }

  /** As src/cluster has it: acknowledged by those who are present, or not within 200 ms. */
  #clusterOf({ gossip, replicator, netdb }: Life): Parameters<typeof peersOf>[0] {
    const { wake } = this.#world
    const others = () =>
      gossip.members().filter(({ id, state }) => id !== this.host.id && isPresent(state))
    const settled = (start: (done: () => void) => void): Promise<void> =>
      new Promise((resolve) => {
        start(() => {
          wake()
          resolve()
        })
      })
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
        await settled((done) => {
          replicator.acknowledge(records, members, done, ACKNOWLEDGE_MS)
        })
      },
      refresh: () =>
        settled((done) => {
          replicator.refresh(done, ACKNOWLEDGE_MS)
        }),
    }
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

function wordsOf(action: RepairAction): string {
  switch (action.kind) {
    case 'renumber':
      return `renumber subnet ${action.subnet} to vni ${action.value.vni}`
    case 'follow':
      return `follow to vni ${action.vni} with endpoint ${action.endpoint.slice(0, 8)}`
    default: {
      const { address, keeps } = action.finding
      return `${action.kind} endpoint ${action.endpoint.slice(0, 8)}, ${address} is of ${keeps}`
    }
  }
}

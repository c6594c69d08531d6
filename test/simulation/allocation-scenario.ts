// An allocation scenario: a random cluster whose hosts make networks and endpoints through all troubles, then peace, and what must
// hold. All of it follows from the seed.
//
// What src/network does is asynchronous. Its promises are settled by events of virtual time, and what waits for them goes on before
// the next event: so a run is the same every time, and nothing of a host goes on after its daemon has died.

import type { RepairAction } from '../../src/ipam/repair-plan.ts'
import { ipv4ToNumber, numberToIpv4 } from '../../src/net/ipv4-address.ts'
import type { NetworkWish } from '../../src/network/networks.ts'
import { findService } from '../../src/service/service-reference.ts'
import { Random } from '../fixtures/random.ts'
import {
  AllocatingHost,
  type AllocationCounts,
  type AllocationWorld,
  NO_COUNTS,
} from './allocation-host.ts'
import {
  Claimed,
  doublyOwned,
  isFull,
  lostEndpoint,
  orphans,
  overlaps,
} from './allocation-properties.ts'
import { Cluster } from './cluster.ts'
import { Faults, TROUBLES } from './faults.ts'

export interface AllocationOutcome {
  readonly seed: number
  /** One line; null: all properties held. */
  readonly problem: string | null
  readonly timeline: readonly string[]
  readonly hosts: number
  readonly virtualMs: number
  readonly events: number
  /** From the end of the troubles until all was repaired; null: it never was. */
  readonly settledMs: number | null
  readonly counts: AllocationCounts
  /** Pairs of networks with overlapping subnets, and endpoints of networks that are gone, at the end. */
  readonly overlaps: number
  readonly orphans: number
}

const MAX_HOSTS = 12
/** Few names: networks of one name are made in two places. */
const NAMES = 6
/** Asked for by name, so that two halves take the same. The last are small enough to be full. */
const SUBNETS = ['10.60.0.0/24', '10.60.0.0/25', '10.61.0.0/16', '10.62.0.0/28', '10.62.1.0/29']
const MOST_ENDPOINTS = 120
const MOST_SERVICES = 20
/**
 * How long hosts may take until all is repaired: until they agree (scenario.ts, 7.5 s and more after a death), until those agree whom
 * the repairs are for, and a look each second.
 */
const SETTLE_MS = 30_000
const PEACE_MS = 2_500
/** Until then hosts meet and make their first networks. */
const PARTS_MS = 700
const LOOK_MS = 50

export async function runAllocation(
  seed: number,
  options: { readonly timeline?: boolean } = {},
): Promise<AllocationOutcome> {
  const scenario = new AllocationScenario(seed, options.timeline ?? false)
  const { cluster } = scenario
  let problem: string | null
  try {
    await scenario.passThrough()
    problem = (await scenario.settle()) ?? (await scenario.peace())
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const [some] = scenario.running()
  return {
    seed,
    problem: scenario.problem ?? problem,
    timeline: cluster.timeline.lines(),
    hosts: cluster.hosts.length,
    virtualMs: cluster.time.nowMs(),
    events: cluster.time.happened,
    settledMs: scenario.settledMs,
    counts: scenario.counts,
    overlaps: some === undefined ? 0 : overlaps(some).length,
    orphans: some === undefined ? 0 : orphans(some).length,
  }
}

class AllocationScenario {
  readonly cluster: Cluster
  readonly counts: AllocationCounts = { ...NO_COUNTS }
  settledMs: number | null = null
  problem: string | null = null
  readonly #random: Random
  readonly #faults: Faults
  readonly #durationMs: number
  readonly #troubled: boolean
  readonly #hosts = new Map<string, AllocatingHost>()
  #awake = false
  #serial = 0

  constructor(seed: number, timeline: boolean) {
    const random = new Random(seed)
    this.#random = random
    const hosts = random.once(10) ? 7 + random.below(MAX_HOSTS - 6) : 2 + random.below(5)
    this.#durationMs = random.once(20) ? 20_000 + random.below(40_000) : 2_500 + random.below(6_000)
    // Where nothing goes wrong, hosts still allocate at the same time.
    this.#troubled = !random.once(6)
    this.cluster = new Cluster({ seed: random.next(), hosts, timeline, snapshots: true })
    this.#faults = new Faults(this.cluster, random, TROUBLES)
    const world: AllocationWorld = {
      random: new Random(random.next()),
      wake: () => {
        this.#awake = true
      },
      note: (host, what) => {
        this.cluster.timeline.note(host.name, what)
      },
      problem: (host, error) => {
        const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
        this.problem ??= `${host.name}: ${why}`
      },
      counts: this.counts,
    }
    const claimed = new Map<string, Claimed>()
    this.cluster.onStart = (host) => {
      const { netdb } = host.life
      const own = claimed.get(host.id) ?? new Claimed()
      claimed.set(host.id, own)
      netdb.watch(({ after }) => {
        if (after !== undefined) own.hear(after, host.id)
      })
      // A daemon that starts puts what its sandboxes have, be it what the last one was about to change when it died.
      let adopting = true
      host.life.clock.setTimeout(() => {
        adopting = false
      }, 0)
      netdb.watchWrites((record) => {
        const fault = own.fault(record, netdb)
        const adopted = adopting && record.kind === 'endpoint'
        if (fault !== null && !adopted) this.problem ??= `${host.name} ${fault}`
      })
      let allocating = this.#hosts.get(host.id)
      if (allocating === undefined) {
        allocating = new AllocatingHost(host, world)
        this.#hosts.set(host.id, allocating)
      }
      allocating.start()
    }
  }

  /** Those whose daemon runs. */
  running(): AllocatingHost[] {
    return this.cluster.running().flatMap(({ id }) => this.#hosts.get(id) ?? [])
  }

  /** The time of troubles. */
  async passThrough(): Promise<void> {
    const { time, hosts } = this.cluster
    const parts = this.#troubled && this.#random.once(2)
    // Who comes when the network is parted is a stranger to the other half, and prefers what some host there prefers.
    const strangers = parts && this.#random.once(2) ? Math.floor(hosts.length / 2) : 0
    if (parts) this.#part()
    for (const [i, host] of hosts.entries()) {
      const start = (): void => {
        host.start(this.cluster.hosts.filter((other) => other !== host && other.state !== 'new'))
      }
      if (i < hosts.length - strangers) start()
      else time.setTimeout(start, PARTS_MS + this.#random.below(500))
    }
    const faultEveryMs = this.#faults.durationMs(300, 3_000)
    const requestEveryMs = this.#faults.durationMs(20, 1_000)
    let faultMs = 500
    let requestMs = 300
    while (time.nowMs() < this.#durationMs && this.problem === null) {
      await this.#runUntil(Math.min(faultMs, requestMs, this.#durationMs))
      if (time.nowMs() >= faultMs) {
        if (this.#troubled) this.#faults.happen()
        faultMs += this.#random.below(2 * faultEveryMs)
      }
      if (time.nowMs() < requestMs) continue
      // At the same moment on several hosts: that is when they meet.
      const crowd = this.#random.once(4) ? 2 + this.#random.below(4) : 1
      for (let i = 0; i < crowd; i++) this.#request()
      requestMs += this.#random.below(2 * requestEveryMs)
    }
    this.#faults.end()
  }

  /** In halves for a while. */
  #part(): void {
    const { hosts, network, timeline } = this.cluster
    const groups = hosts.map(() => this.#random.below(2))
    this.#faults.later(PARTS_MS, () => {
      network.partition(groups)
      timeline.note(
        'network',
        `parts: ${hosts.map(({ name }, i) => `${name}:${groups[i]}`).join(' ')}`,
      )
    })
    this.#faults.later(PARTS_MS + 1_000 + this.#random.below(this.#durationMs), () => {
      network.heal()
      timeline.note('network', 'is whole again')
    })
  }

  /** How long it took until all was repaired; what is wrong when it took too long. */
  async settle(): Promise<string | null> {
    const { time } = this.cluster
    const began = time.nowMs()
    while (this.#unsettled() !== null) {
      if (this.problem !== null) return this.problem
      if (time.nowMs() - began >= SETTLE_MS) {
        return `not settled within ${SETTLE_MS} ms: ${this.#unsettled() ?? ''}`
      }
      await this.#runUntil(time.nowMs() + LOOK_MS)
    }
    this.settledMs = time.nowMs() - began
    return null
  }

  /** What is repaired stays as it is, and nothing has two owners. */
  async peace(): Promise<string | null> {
    const { time } = this.cluster
    const before = { ...this.counts }
    await this.#runUntil(time.nowMs() + PEACE_MS)
    const after = this.counts
    for (const repair of ['readdress', 'stop', 'renumber', 'revip', 'follow'] as const) {
      if (after[repair] !== before[repair]) return `one more ${repair} after all was settled`
    }
    for (const host of this.running()) {
      const wrong = doublyOwned(host) ?? lostEndpoint(host)
      if (wrong !== null) return `on ${host.host.name}: ${wrong}`
    }
    return this.#namesAgree()
  }

  /** A name means the same network, or service, everywhere. */
  #namesAgree(): string | null {
    const [first, ...others] = this.running()
    if (first === undefined) return null
    for (const { value } of first.services.list()) {
      const { key } = findService(first.services.list(), value.name)
      const other = others.find(
        ({ services }) => findService(services.list(), value.name).key !== key,
      )
      if (other === undefined) continue
      return `service ${value.name} is ${key} on ${first.host.name} and another on ${other.host.name}`
    }
    for (const { value } of first.networks.list()) {
      const { key } = first.networks.findHere(value.name)
      const other = others.find(({ networks }) => networks.findHere(value.name).key !== key)
      if (other === undefined) continue
      return `${value.name} is ${key} on ${first.host.name} and another on ${other.host.name}`
    }
    return null
  }

  /** What is still to be waited for; null: nothing. */
  #unsettled(): string | null {
    // Until it has gone, it goes on with what it was asked for, and what it writes the others hear.
    const leaving = this.cluster.hosts.find(
      ({ state, hasProcess }) => state === 'left' && hasProcess,
    )
    if (leaving !== undefined) return `${leaving.name} has not left yet`
    if (!this.cluster.converged()) return this.cluster.difference()
    for (const host of this.running()) {
      if (host.pending > 0) return `${host.host.name} has ${host.pending} requests under way`
      const action = host.plan().actions.find((action) => !this.#isHopeless(host, action))
      if (action !== undefined) {
        return `${host.host.name} has to ${action.kind}`
      }
    }
    return null
  }

  /** No address is left to give, or nobody knows the network any more: what a user has to deal with. */
  #isHopeless({ host }: AllocatingHost, action: RepairAction): boolean {
    if (action.kind !== 'readdress' && action.kind !== 'revip') return false
    const { netdb } = host.life
    const { network } = action.finding
    const record =
      action.kind === 'revip'
        ? netdb.get('vip', action.vip)
        : netdb.get('endpoint', action.endpoint, host.id)
    if (record === undefined) return true
    // An endpoint stays on its subnet, a VIP need not.
    const places =
      action.kind === 'revip'
        ? netdb.list('subnet').filter(({ value }) => value.network === network)
        : []
    const ips = [record.value.ip, ...places.map(({ value }) => value.cidr.address)]
    if (ips.every((ip) => isFull(netdb, network, ip))) return true
    return !netdb.list('network').some(({ key }) => key === network)
  }

  /** What some user wants of some host. */
  #request(): void {
    const running = this.running()
    if (running.length === 0) return
    const random = this.#random
    const host = random.pick(running)
    const networks = host.networks.list()
    const sandboxes = host.sandboxes()
    const crowded = this.counts.endpoints > MOST_ENDPOINTS
    const what = random.below(24)
    if (networks.length === 0 || what < 3) {
      host.create(this.#wish())
    } else if (what < 4) {
      host.remove(random.pick(networks).key)
    } else if (what < 5) {
      host.grow(random.pick(networks).key, random.pick(SUBNETS))
    } else if (what >= 20) {
      const services = host.services.list()
      const crowdedServices = services.length >= MOST_SERVICES
      if (services.length > 0 && (crowdedServices || random.once(4)))
        host.unserve(random.pick(services).key)
      else host.serve(`s${random.below(NAMES)}`, random.pick(networks).key)
    } else if (sandboxes.length > 0 && (crowded || what < 9)) {
      host.detach(random.pick(sandboxes))
    } else if (!crowded) {
      const { key } = random.pick(networks)
      const [subnet] = host.networks.subnetsOf(key)
      const asks = subnet !== undefined && random.once(6)
      const ip = asks
        ? numberToIpv4(ipv4ToNumber(subnet.value.cidr.address) + 2 + random.below(12))
        : undefined
      host.attach(`e${++this.#serial}`, key, ip)
    }
  }

  #wish(): NetworkWish {
    const random = this.#random
    return {
      name: random.once(2) ? `net${random.below(NAMES)}` : `own${++this.#serial}`,
      subnets: random.once(3) ? [random.pick(SUBNETS)] : [],
      gateways: [],
      ranges: [],
      ipv6: random.once(4),
      internal: false,
      attachable: false,
      options: {},
      labels: {},
    }
  }

  /** Lets time pass; what waits for a promise goes on as soon as that is settled. */
  async #runUntil(atMs: number): Promise<void> {
    const { time } = this.cluster
    const moment = { reached: false }
    time.setTimeout(() => {
      moment.reached = true
    }, atMs - time.nowMs())
    await this.#drain()
    while (!moment.reached) {
      time.step()
      if (this.#awake) await this.#drain()
    }
  }

  async #drain(): Promise<void> {
    while (this.#awake) {
      this.#awake = false
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

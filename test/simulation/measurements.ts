// What is measured in the simulator: each function is one run, which its seed determines. Times are in milliseconds.

import { Random } from '../fixtures/random.ts'
import { Cluster } from './cluster.ts'
import { endpointOf } from './faults.ts'
import type { SimulatedHost } from './simulated-host.ts'
import { LAN } from './simulated-network.ts'

/** How a host goes away: its daemon ends at once, or its network is cut. */
export type Loss = 'crash' | 'cut'

export interface Detection {
  /** Until the first other host believed it dead, and until all did. */
  readonly firstMs: number
  readonly allMs: number
}

/** A host of a quiet cluster goes away. */
export function detect(seed: number, hosts: number, how: Loss): Detection {
  const cluster = new Cluster({ seed, hosts }).form()
  cluster.time.runFor(2_000 + cluster.random.below(5_000))
  const lost = cluster.random.pick(cluster.hosts)
  const others = cluster.hosts.filter((host) => host !== lost)
  if (how === 'crash') lost.crash(false)
  else cluster.network.partition(cluster.hosts.map((host) => (host === lost ? 1 : 0)))
  const believing = (): number => others.filter((host) => host.believesPresent(lost.id)).length
  const first = cluster.time.runUntilTrue(() => believing() < others.length, 60_000)
  const rest = cluster.time.runUntilTrue(() => believing() === 0, 60_000)
  return { firstMs: first ?? Infinity, allMs: (first ?? Infinity) + (rest ?? Infinity) }
}

export interface Convergence {
  readonly hosts: number
  readonly partitionMs: number
  readonly convergedMs: number
}

/** A cluster is parted in two for a while; both sides go on writing. */
export function converge(seed: number, hosts: number, partitionMs: number): Convergence {
  const cluster = new Cluster({ seed, hosts }).form()
  const { random, time, network } = cluster
  cluster.time.runFor(1_000 + random.below(2_000))
  const cutAt = 1 + random.below(hosts - 1)
  const order = random.shuffled(cluster.hosts)
  network.partition(cluster.hosts.map((host) => (order.indexOf(host) < cutAt ? 1 : 0)))
  const writes = Math.min(100, 10 + Math.floor(partitionMs / 1_000))
  for (let i = 0; i < writes; i++) {
    time.runFor(partitionMs / writes)
    random.pick(cluster.hosts).put(`e${i}`, endpointOf(i))
  }
  network.heal()
  const convergedMs = time.runUntilTrue(() => cluster.converged(), 60_000) ?? Infinity
  return { hosts, partitionMs, convergedMs }
}

export interface SpreadOptions {
  readonly hosts: number
  /** Attaches and detaches in the whole cluster; they are spread over its hosts. */
  readonly writesPerSecond: number
  readonly durationMs: number
  /** One host is cut off for some seconds again and again. */
  readonly flapping?: boolean
}

export interface Spread {
  /** Of each record: until each other host had it, and until the last had. */
  readonly eachMs: readonly number[]
  readonly lastMs: readonly number[]
  /** Records that some host had not got at the end. */
  readonly missing: number
  /** What one host sent each second, in bytes: the mean, and that of the busiest. */
  readonly sentBytesPerSecond: number
  readonly busiestBytesPerSecond: number
}

const ATTACHED_MS = 5_000
const FLAP_MS = 4_000
/** How long is waited for the last ones. */
const AFTERWARDS_MS = 10_000
/** Who asks for every arrival at a thousand hosts need not keep each. */
const MAX_KEPT = 200_000

/** Endpoints come and go; how long until the others know. */
export function spread(seed: number, options: SpreadOptions): Spread {
  const cluster = new Cluster({ seed, hosts: options.hosts }).form(120_000)
  const { time, random, network, hosts } = cluster
  const flapping = options.flapping === true ? hosts.at(-1) : undefined
  const steady = hosts.filter((host) => host !== flapping)
  const born = new Map<string, { readonly atMs: number; reached: number }>()
  const eachMs: number[] = []
  const lastMs: number[] = []
  for (const host of steady) {
    host.life.netdb.watch(({ before, after }) => {
      if (before !== undefined || after?.kind !== 'endpoint' || after.owner === host.id) return
      const birth = born.get(after.key)
      if (birth === undefined) return
      const ms = time.nowMs() - birth.atMs
      if (eachMs.length < MAX_KEPT) eachMs.push(ms)
      birth.reached++
      if (birth.reached < steady.length - 1) return
      lastMs.push(ms)
      born.delete(after.key)
    })
  }
  if (flapping !== undefined) flap(cluster, flapping)
  time.runFor(3_000)

  const before = network.traffic.map(({ sentBytes }) => sentBytes)
  const began = time.nowMs()
  // A write is an attach or a detach: as many of one as of the other.
  const everyMs = 2_000 / options.writesPerSecond
  let number = 0
  for (let atMs = began; atMs < began + options.durationMs; atMs += everyMs) {
    time.runUntil(atMs + (everyMs * random.below(100)) / 100)
    const host = random.pick(steady)
    const key = `e${++number}`
    born.set(key, { atMs: time.nowMs(), reached: 0 })
    host.put(key, endpointOf(number))
    time.setTimeout(() => host.remove(key), ATTACHED_MS)
  }
  const seconds = (time.nowMs() - began) / 1_000
  const sent = network.traffic.map(({ sentBytes }, i) => (sentBytes - (before[i] ?? 0)) / seconds)
  time.runFor(Math.min(AFTERWARDS_MS, ATTACHED_MS - 100))
  return {
    eachMs,
    lastMs,
    missing: born.size,
    sentBytesPerSecond: sent.reduce((sum, bytes) => sum + bytes, 0) / sent.length,
    busiestBytesPerSecond: Math.max(...sent),
  }
}

function flap({ time, network, hosts }: Cluster, host: SimulatedHost): void {
  let away = false
  const turn = (): void => {
    away = !away
    if (away) network.partition(hosts.map((other) => (other === host ? 1 : 0)))
    else network.heal()
    time.setTimeout(turn, FLAP_MS)
  }
  turn()
}

export interface Steadiness {
  readonly hostHours: number
  readonly pauses: number
  /** Times that a host believed a living one to be dead; and how many such deaths there were. */
  readonly falseBeliefs: number
  readonly falseDeaths: number
  readonly suspicions: number
  readonly events: number
}

const HOUR_MS = 3_600_000

/** Nobody dies, but datagrams are lost and every host stands still now and then. */
export function endure(
  seed: number,
  options: {
    readonly hosts: number
    readonly hours: number
    readonly loss: number
    readonly pauseMs: number
    readonly pausesPerHour: number
  },
): Steadiness {
  const cluster = new Cluster({
    seed,
    hosts: options.hosts,
    profile: { ...LAN, loss: options.loss },
  })
  cluster.form()
  const { time, hosts } = cluster
  const random = new Random(seed + 1)
  let [pauses, falseBeliefs, suspicions] = [0, 0, 0]
  const deaths = new Set<string>()
  cluster.onEvent = (_host, event) => {
    if (event.kind === 'suspected') suspicions++
    if (event.kind !== 'died') return
    falseBeliefs++
    deaths.add(`${event.member.id} ${event.member.incarnation}`)
  }
  const meanMs = HOUR_MS / options.pausesPerHour
  const pauseNext = (host: SimulatedHost): void => {
    const waitMs = -Math.log(1 - random.next() / 2 ** 32) * meanMs
    time.setTimeout(() => {
      pauses++
      host.pause()
      time.setTimeout(() => {
        host.resume()
        pauseNext(host)
      }, options.pauseMs)
    }, waitMs)
  }
  for (const host of hosts) pauseNext(host)
  const began = time.nowMs()
  time.runFor(options.hours * HOUR_MS)
  return {
    hostHours: (hosts.length * (time.nowMs() - began)) / HOUR_MS,
    pauses,
    falseBeliefs,
    falseDeaths: deaths.size,
    suspicions,
    events: time.happened,
  }
}

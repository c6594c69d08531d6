// Record scope: what it costs that all hosts have all endpoints' records, against only those that are on the network.
//
// All hosts: measured as it is. Only those on the network: each network is a cluster of its own, of the hosts that are on it, with its
// share of what comes and goes. What such a cluster sends more than when nothing happens is added, for each network that a host is on,
// to what the cluster of all hosts sends when nothing happens: pings they would share. Digests they would not.

import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { Random } from '../fixtures/random.ts'
import { PLAIN } from '../fixtures/records.ts'
import { Cluster } from './cluster.ts'
import { Distribution, type Summary } from './distribution.ts'
import type { Endpoint } from './simulated-host.ts'

export interface Flow {
  readonly hosts: number
  /** Attached, and as many detached, in the whole cluster. */
  readonly endpointsPerSecond: number
}

export interface FlowCost {
  /** What one host sends, in bytes per second: the mean. */
  readonly bytesPerSecond: number
  /** Of an attach: until all had acknowledged it, and until the last host had its record. */
  readonly acknowledgedMs: Summary | null
  readonly everywhereMs: Summary | null
}

/** How many networks there are, and on how many of them each host is. */
export const NETWORKS = 20
export const NETWORKS_OF_HOST = 3
const LIFETIME_MS = 5_000
/** So many endpoints at least, and so long. */
const ENDPOINTS = 200
const SHORTEST_MS = 20_000
const ACKNOWLEDGE_MS = 200
/** A digest of 13 bytes in a datagram of its own, every 1.5 s. */
const DIGEST_BYTES_PER_SECOND = (13 + 12 + 108) / 1.5

/** Endpoints come and go, as daemons have it: a record is put, and acknowledged by all. */
export function measureFlow(seed: number, { hosts, endpointsPerSecond }: Flow): FlowCost {
  const cluster = new Cluster({ seed, hosts }).form(120_000)
  const { time } = cluster
  const random = new Random(seed + 1)
  const born = new Map<string, { readonly atMs: number; reached: number }>()
  const acknowledged = new Distribution()
  const everywhere = new Distribution()
  for (const host of cluster.hosts) {
    host.life.netdb.watch(({ before, after }) => {
      if (before !== undefined || after?.kind !== 'endpoint' || after.owner === host.id) return
      const birth = born.get(after.key)
      if (birth === undefined || ++birth.reached < hosts - 1) return
      everywhere.add(time.nowMs() - birth.atMs)
      born.delete(after.key)
    })
  }
  const know = (host: (typeof cluster.hosts)[number], key: string, done: () => void): void => {
    const members = cluster.hosts.filter((other) => other !== host).map(({ id }) => id)
    const name = `endpoint/${key}@${host.id}`
    host.life.replicator.acknowledge([name], members, done, ACKNOWLEDGE_MS)
  }
  time.runFor(3_000)
  const before = sentBytes(cluster)
  const began = time.nowMs()
  const durationMs =
    endpointsPerSecond === 0
      ? SHORTEST_MS
      : Math.max(SHORTEST_MS, (1_000 * ENDPOINTS) / endpointsPerSecond)
  const everyMs = endpointsPerSecond === 0 ? durationMs : 1_000 / endpointsPerSecond
  for (let number = 0; time.nowMs() < began + durationMs; number++) {
    time.runUntil(began + (number + random.below(100) / 100) * everyMs)
    if (endpointsPerSecond === 0) break
    const host = random.pick(cluster.hosts)
    const key = Buffer.from(random.bytes(32)).toString('hex')
    const atMs = time.nowMs()
    born.set(key, { atMs, reached: 0 })
    host.put(key, endpointOf(number, random))
    know(host, key, () => acknowledged.add(time.nowMs() - atMs))
    time.setTimeout(() => {
      host.remove(key)
      know(host, key, () => undefined)
    }, LIFETIME_MS)
  }
  time.runUntil(Math.max(time.nowMs(), began + durationMs))
  const seconds = (time.nowMs() - began) / 1_000
  const bytesPerSecond = (sentBytes(cluster) - before) / seconds / hosts
  return {
    bytesPerSecond,
    acknowledgedMs: acknowledged.count === 0 ? null : acknowledged.summary(),
    everywhereMs: everywhere.count === 0 ? null : everywhere.summary(),
  }
}

function sentBytes({ network }: Cluster): number {
  return network.traffic.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
}

/** As a daemon writes one: ids of the length that they have. */
function endpointOf(number: number, random: Random): Endpoint {
  const ip = `10.0.${(number >> 8) & 255}.${number & 255}` as Ipv4Address
  return {
    network: 'n'.repeat(25),
    vni: parseVni(4097),
    name: `c${random.below(1_000)}`,
    mac: macFromIpv4(ip),
    ip,
    ip6: null,
    ...PLAIN,
  }
}

/** The flows that a comparison of both scopes consists of, by what they stand for. */
export function flowsOf(
  hosts: number,
  endpointsPerSecond: number,
): Readonly<Record<'all' | 'quiet' | 'network' | 'quietNetwork', Flow>> {
  const onNetwork = Math.max(2, Math.round((hosts * NETWORKS_OF_HOST) / NETWORKS))
  return {
    all: { hosts, endpointsPerSecond },
    quiet: { hosts, endpointsPerSecond: 0 },
    network: { hosts: onNetwork, endpointsPerSecond: endpointsPerSecond / NETWORKS },
    quietNetwork: { hosts: onNetwork, endpointsPerSecond: 0 },
  }
}

/** What one host would send if each network's records went only to the hosts on it. */
export function scopedBytesPerSecond(
  costs: Readonly<Record<'quiet' | 'network' | 'quietNetwork', FlowCost>>,
): number {
  const { quiet, network, quietNetwork } = costs
  const ofNetwork = network.bytesPerSecond - quietNetwork.bytesPerSecond + DIGEST_BYTES_PER_SECOND
  return quiet.bytesPerSecond + NETWORKS_OF_HOST * ofNetwork
}

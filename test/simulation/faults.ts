// What happens to a simulated cluster: writes, and everything that goes wrong with hosts and networks, by chance and weight.

import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { PLAIN, network } from '../fixtures/records.ts'
import type { Random } from '../fixtures/random.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint, SimulatedHost } from './simulated-host.ts'
import { LAN } from './simulated-network.ts'

/** Hosts of a cluster at most; more are measured, not tortured. */
export const MAX_HOSTS = 25
const HOUR_MS = 3_600_000

export interface Fault {
  readonly name: string
  /** How often it is drawn, compared with the others. */
  readonly weight: number
  readonly happen: (faults: Faults) => void
}

export class Faults {
  readonly cluster: Cluster
  readonly random: Random
  readonly #kinds: readonly Fault[]
  readonly #totalWeight: number
  #ended = false
  #serial = 0

  constructor(
    cluster: Cluster,
    random: Random,
    kinds: readonly Fault[] = [...WRITES, ...TROUBLES],
  ) {
    this.cluster = cluster
    this.random = random
    this.#kinds = kinds
    this.#totalWeight = kinds.reduce((sum, { weight }) => sum + weight, 0)
  }

  /** One of those below; nothing happens when there is nobody to whom it can. */
  happen(): void {
    let at = this.random.below(this.#totalWeight)
    const fault = this.#kinds.find(({ weight }) => (at -= weight) < 0)
    fault?.happen(this)
  }

  /** No more faults: the network is whole and quiet, and whoever stood still goes on. */
  end(): void {
    this.#ended = true
    this.cluster.network.heal()
    this.cluster.network.setProfile(LAN)
    for (const host of this.cluster.hosts) if (host.state === 'paused') host.resume()
    this.cluster.timeline.note('network', 'all faults are over')
  }

  /** Between both limits, short ones as often as long ones. */
  durationMs(minMs: number, maxMs: number): number {
    return minMs * (maxMs / minMs) ** (this.random.next() / 2 ** 32)
  }

  later(delayMs: number, work: () => void): void {
    this.cluster.time.setTimeout(() => {
      if (!this.#ended) work()
    }, delayMs)
  }

  /** Does something with one of the running hosts. `spare`: not when fewer than two are left. */
  toSome(work: (host: SimulatedHost) => void, spare = false): void {
    const running = this.cluster.running()
    if (running.length > (spare ? 1 : 0)) work(this.random.pick(running))
  }

  nextNumber(): number {
    return ++this.#serial
  }

  note(what: string): void {
    this.cluster.timeline.note('network', what)
  }
}

export function endpointOf(number: number): Endpoint {
  const ip = `10.${1 + ((number >> 16) & 63)}.${(number >> 8) & 255}.${number & 255}` as Ipv4Address
  return {
    network: 'blue',
    vni: parseVni(42),
    name: `e${number}`,
    mac: macFromIpv4(ip),
    ip,
    ip6: null,
    ...PLAIN,
  }
}

/** Records that anybody may hold, whatever they say. */
const WRITES: readonly Fault[] = [
  {
    name: 'an endpoint is attached',
    weight: 30,
    happen: (faults) =>
      faults.toSome((host) => {
        const number = faults.nextNumber()
        host.put(`e${number}`, endpointOf(number))
      }),
  },
  {
    name: 'an endpoint is attached again, or moves: the same key on any host',
    weight: 8,
    happen: (faults) =>
      faults.toSome((host) => {
        const key = `shared${faults.random.below(4)}`
        host.put(key, endpointOf(faults.nextNumber()))
      }),
  },
  {
    name: 'an endpoint is detached',
    weight: 14,
    happen: (faults) =>
      faults.toSome((host) => {
        const keys = [...host.endpoints.keys()]
        if (keys.length > 0) host.remove(faults.random.pick(keys))
      }),
  },
  {
    name: 'a network is made, changed or removed by anybody',
    weight: 8,
    happen: (faults) =>
      faults.toSome(({ life }) => {
        const key = `net${faults.random.below(4)}`
        if (faults.random.once(3)) life.netdb.remove('network', key)
        else {
          const mtu = 1_000 + faults.random.below(400)
          life.netdb.put('network', key, { ...network(key), mtu })
        }
      }),
  },
]

/** What goes wrong with hosts and networks. */
export const TROUBLES: readonly Fault[] = [
  {
    name: 'a host pauses',
    weight: 8,
    happen: (faults) =>
      faults.toSome((host) => {
        host.pause()
        const { life } = host
        faults.later(faults.durationMs(50, 8_000), () => {
          if (host.state === 'paused' && host.life === life) host.resume()
        })
      }),
  },
  {
    name: 'a host crashes, and mostly comes back',
    weight: 5,
    happen: (faults) =>
      faults.toSome((host) => {
        host.crash(faults.random.once(2))
        if (faults.random.once(3)) return
        faults.later(faults.durationMs(20, 20_000), () => start(faults, host))
      }, true),
  },
  {
    name: 'the network parts',
    weight: 4,
    happen: (faults) => {
      const { hosts, network } = faults.cluster
      const count = 2 + faults.random.below(2)
      const groups = hosts.map(() => faults.random.below(count))
      network.partition(groups)
      faults.note(`parts: ${hosts.map(({ name }, i) => `${name}:${groups[i]}`).join(' ')}`)
      faults.later(faults.durationMs(1_000, 300_000), () => {
        network.heal()
        faults.note('is whole again')
      })
    },
  },
  {
    name: 'a way is cut in one direction',
    weight: 4,
    happen: (faults) => {
      const { hosts, network } = faults.cluster
      const [one, other] = [faults.random.pick(hosts), faults.random.pick(hosts)]
      if (faults.random.once(2)) {
        network.cut(one.slot, other.slot)
        faults.note(`nothing goes from ${one.name} to ${other.name}`)
      } else {
        for (const { slot } of hosts) network.cut(one.slot, slot)
        faults.note(`${one.name} is not heard`)
      }
      faults.later(faults.durationMs(500, 60_000), () => {
        network.heal()
        faults.note('is whole again')
      })
    },
  },
  {
    name: 'the network is bad for a while',
    weight: 4,
    happen: (faults) => {
      const { random } = faults
      const loss = random.below(30) / 100
      faults.cluster.network.setProfile({
        minDelayMs: 0.2,
        maxDelayMs: faults.durationMs(1, 50),
        loss,
        duplicated: random.below(20) / 100,
        late: random.below(20) / 100,
        maxLateMs: faults.durationMs(5, 2_000),
      })
      faults.note(`loses ${(100 * loss).toFixed(0)} %, doubles and delays`)
      faults.later(faults.durationMs(500, 20_000), () => {
        faults.cluster.network.setProfile(LAN)
        faults.note('is quiet again')
      })
    },
  },
  {
    name: 'a wall clock jumps by an hour',
    weight: 3,
    happen: (faults) =>
      faults.toSome((host) => {
        host.life.clock.jumpWall(faults.random.once(2) ? HOUR_MS : -HOUR_MS)
        faults.cluster.timeline.note(host.name, 'has its wall clock set by an hour')
      }),
  },
  {
    name: 'a new host joins',
    weight: 3,
    happen: (faults) => {
      if (faults.cluster.hosts.length < MAX_HOSTS) start(faults, faults.cluster.addHost())
    },
  },
  {
    name: 'a host leaves, and may come again',
    weight: 3,
    happen: (faults) =>
      faults.toSome((host) => {
        host.leave()
        if (faults.random.once(2)) {
          faults.later(faults.durationMs(1_000, 20_000), () => start(faults, host))
        }
      }, true),
  },
]

/** Joins by way of all who ever ran: it, or whoever sits before it, remembers them and not who runs. */
function start(faults: Faults, host: SimulatedHost): void {
  if (host.hasProcess) return
  host.start(faults.cluster.hosts.filter((other) => other !== host && other.state !== 'new'))
}

// All names of all networks, from the records that are served: what an absent host owns has no names, nor has an endpoint that is not healthy.

import { type Cidr, cidrContains } from '../net/cidr.ts'
import type { IpAddress } from '../net/ip-address.ts'
import { isServing } from '../netdb/health-check.ts'
import { type NetdbRecord, recordName } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import {
  type Holder,
  type Name,
  NetworkNames,
  type Ready,
  type ServiceAddresses,
} from './network-names.ts'

/** A name as somebody on some networks finds it. */
export interface Found {
  /** The network's name. */
  readonly network: string
  readonly name: Name
}

/** A line of `weft dns ls`. */
export interface ListedName {
  readonly network: string
  readonly name: string
  readonly holders: readonly Holder[]
}

/** What has that address: nothing, though it is ours to say; or null, it is not. */
export interface FoundAddress {
  readonly network: string
  readonly holder: Ready
}

interface Network {
  name: string
  internal: boolean
  readonly names: NetworkNames
  /** By the record's name. */
  readonly subnets: Map<string, readonly Cidr[]>
}

export class Names {
  readonly #ttlSeconds: number
  readonly #networks = new Map<string, Network>()
  readonly #unwatch: () => void

  constructor(netdb: Netdb, ttlSeconds: number) {
    this.#ttlSeconds = ttlSeconds
    for (const kind of ['network', 'subnet', 'endpoint'] as const) {
      for (const record of netdb.list(kind) as readonly NetdbRecord[]) this.#join(record)
    }
    this.#unwatch = netdb.watch(({ before, after }) => {
      this.#follow(before, after)
    })
  }

  close(): void {
    this.#unwatch()
  }

  /**
   * Who holds a name on those networks: as it is, or with the network's own name behind it.
   *
   * @param scope ids of networks
   * @param name in lower case
   */
  find(scope: readonly string[], name: string): Found[] {
    const found: Found[] = []
    for (const id of scope) {
      const network = this.#networks.get(id)
      if (network === undefined) continue
      const suffix = `.${network.name.toLowerCase()}`
      for (const bare of name.endsWith(suffix) ? [name, name.slice(0, -suffix.length)] : [name]) {
        const held = network.names.find(bare)
        if (held !== undefined) found.push({ network: network.name, name: held })
      }
    }
    return found
  }

  /** Who has an address; null: it belongs to none of those networks. */
  findAddress(scope: readonly string[], address: IpAddress): FoundAddress[] | null {
    const found: FoundAddress[] = []
    let ours = false
    for (const id of scope) {
      const network = this.#networks.get(id)
      if (network === undefined) continue
      for (const holder of network.names.holdersOf(address)) {
        found.push({ network: network.name, holder })
      }
      ours ||= [...network.subnets.values()].flat().some((cidr) => cidrContains(cidr, address))
    }
    return found.length > 0 || ours ? found : null
  }

  /** Whether the network is cut off from what is outside of it. */
  isInternal(id: string): boolean {
    return this.#networks.get(id)?.internal ?? false
  }

  /** Tells how a service is answered on a network; null: it is gone. */
  setService(networkId: string, service: string, addresses: ServiceAddresses | null): void {
    this.#networkOf(networkId).names.setService(service, addresses)
    this.#dropIfEmpty(networkId)
  }

  /** All names, or those of one network, in order. */
  list(scope: readonly string[] = [...this.#networks.keys()]): ListedName[] {
    const listed = scope.flatMap((id) => {
      const network = this.#networks.get(id)
      if (network === undefined) return []
      return network.names
        .list()
        .map(([name, holders]) => ({ network: network.name, name, holders }))
    })
    return listed.sort((a, b) => compare(a.network, b.network) || compare(a.name, b.name))
  }

  #follow(before: NetdbRecord | undefined, after: NetdbRecord | undefined): void {
    // A network that an endpoint leaves is another than that which it joins, if both are so in one change.
    if (before !== undefined && networkOf(before) !== (after && networkOf(after)))
      this.#leave(before)
    if (after !== undefined) this.#join(after)
  }

  #join(record: NetdbRecord): void {
    if (record.value === null) return
    switch (record.kind) {
      case 'network': {
        const network = this.#networkOf(record.key)
        network.name = record.value.name
        network.internal = record.value.internal
        break
      }
      case 'subnet': {
        const { network, cidr, cidr6 } = record.value
        const cidrs = cidr6 === null ? [cidr] : [cidr, cidr6]
        this.#networkOf(network).subnets.set(recordName(record), cidrs)
        break
      }
      case 'endpoint': {
        const { network, name, ip, ip6, aliases, service, health } = record.value
        const endpoint = { name, ip, ip6, aliases, service, owner: record.owner }
        if (isServing(health)) this.#networkOf(network).names.put(recordName(record), endpoint)
        else this.#leave(record)
        break
      }
      case 'member':
      case 'node':
      case 'cluster':
      case 'service':
      case 'vip': // who says how a service is answered: setService()
      case 'backend':
        break
    }
  }

  #leave(record: NetdbRecord): void {
    const id = networkOf(record)
    const network = id === null ? undefined : this.#networks.get(id)
    if (id === null || network === undefined) return
    if (record.kind === 'network') {
      network.name = ''
      network.internal = false
    } else if (record.kind === 'subnet') {
      network.subnets.delete(recordName(record))
    } else if (record.kind === 'endpoint') {
      network.names.remove(recordName(record))
    }
    this.#dropIfEmpty(id)
  }

  /** Records come in any order: an endpoint may be known before its network. */
  #networkOf(id: string): Network {
    let network = this.#networks.get(id)
    if (network === undefined) {
      const names = new NetworkNames(this.#ttlSeconds)
      network = { name: '', internal: false, names, subnets: new Map() }
      this.#networks.set(id, network)
    }
    return network
  }

  #dropIfEmpty(id: string): void {
    const network = this.#networks.get(id)
    if (network?.name === '' && network.names.isEmpty && network.subnets.size === 0) {
      this.#networks.delete(id)
    }
  }
}

/** The network that a record is about. */
function networkOf({ kind, key, value }: NetdbRecord): string | null {
  if (kind === 'network') return key
  return value !== null && 'network' in value ? value.network : null
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

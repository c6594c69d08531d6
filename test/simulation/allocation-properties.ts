// What must hold of networks, services and addresses: of each write, and of everything once the hosts agree.
//
// Told apart from src/ipam/collisions.ts on purpose: here nobody asks who keeps what, only whether something has two owners.

import { macFromIpv4 } from '../../src/net/mac-address.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { cidrContains, cidrOf, cidrsOverlap, formatCidr } from '../../src/net/cidr.ts'
import type {
  EncodedRecord,
  EndpointValue,
  LiveRecord,
  NetdbRecord,
  SubnetValue,
  VipValue,
} from '../../src/netdb/record.ts'
import type { Netdb } from '../../src/netdb/table.ts'
import type { AllocatingHost } from './allocation-host.ts'

type EndpointRecord = LiveRecord<'endpoint'>
type SubnetRecord = LiveRecord<'subnet'>
type VipRecord = LiveRecord<'vip'>

/** What one host has written itself: to keep something is no claim. */
export class Claimed {
  readonly #endpoints = new Map<string, EndpointValue>()
  readonly #subnets = new Map<string, SubnetValue>()
  /** VNIs of subnets that others have written: who removes one, and finds it in use, puts it back as it was. */
  readonly #others = new Map<string, number>()

  hear({ kind, key, version, value }: NetdbRecord, self: string): void {
    if (kind !== 'subnet' || value === null || version.writer === self) return
    this.#others.set(key, value.vni)
  }

  /** A host claims nothing that it knows to be held, by whomever. What is wrong with the write; null: nothing. */
  fault({ record }: EncodedRecord, netdb: Netdb): string | null {
    if (record === null || record.value === null) return null
    if (record.kind === 'endpoint') return this.#endpointFault(record as EndpointRecord, netdb)
    if (record.kind === 'vip') return this.#vipFault(record as VipRecord, netdb)
    if (record.kind === 'subnet') return this.#subnetFault(record as SubnetRecord, netdb)
    return null
  }

  #endpointFault({ key, value }: EndpointRecord, netdb: Netdb): string | null {
    const before = this.#endpoints.get(key)
    this.#endpoints.set(key, value)
    if (before !== undefined && sameAddresses(before, value)) return null
    const holder = [...netdb.list('endpoint'), ...netdb.listHidden('endpoint')].find(
      (other) =>
        other.key !== key &&
        shareAddress(other.value, value) &&
        !value.supersedes.includes(`endpoint/${other.key}@${other.owner}`),
    )
    const vip = netdb.list('vip').find((other) => shareAddress(other.value, value))
    const who = holder?.value.name ?? vip?.key
    if (who === undefined) return null
    return `claims ${value.ip} for ${value.name}, which it knows to be of ${who}`
  }

  /** Nobody writes a VIP but to give it an address. */
  #vipFault({ key, value }: VipRecord, netdb: Netdb): string | null {
    const holder = [
      ...netdb.list('endpoint'),
      ...netdb.listHidden('endpoint'),
      ...netdb.list('vip').filter((other) => other.key !== key),
    ].find((other) => shareAddress(other.value, value))
    if (holder === undefined) return null
    return `claims ${value.ip} for VIP ${key}, which it knows to be of ${holder.kind} ${holder.key}`
  }

  #subnetFault({ key, value }: SubnetRecord, netdb: Netdb): string | null {
    const before = this.#subnets.get(key)
    this.#subnets.set(key, value)
    const others = netdb.list('subnet').filter((other) => other.key !== key)
    const claimsVni = before?.vni !== value.vni && this.#others.get(key) !== value.vni
    const sameVni = others.find((other) => claimsVni && other.value.vni === value.vni)
    if (sameVni !== undefined) {
      return `claims VNI ${value.vni} for ${key}, which it knows to be of ${sameVni.key}`
    }
    if (before !== undefined || this.#others.has(key)) return null
    const overlapping = others.find((other) => overlap(other.value, value))
    if (overlapping === undefined) return null
    return `claims ${key}, which it knows to overlap ${overlapping.key}`
  }
}

/** Once all agree: what has two owners, but for addresses of a network that has no other left. null: nothing. */
export function doublyOwned(host: AllocatingHost): string | null {
  const { netdb } = host.host.life
  const networks = new Map(netdb.list('network').map((network) => [network.key, network]))
  const subnets = netdb.list('subnet').filter(({ value }) => networks.has(value.network))
  const endpoints = netdb.list('endpoint').filter(({ value }) => networks.has(value.network))

  const byVni = new Map<number, string>()
  for (const { key, value } of subnets) {
    const other = byVni.get(value.vni)
    if (other !== undefined) return `VNI ${value.vni} is of ${other} and of ${key}`
    byVni.set(value.vni, key)
  }
  const holders = new Map<string, EndpointRecord | VipRecord>()
  for (const vip of netdb.list('vip').filter(({ value }) => networks.has(value.network))) {
    if (netdb.get('service', vip.value.service) === undefined)
      return `VIP ${vip.key} is of no service`
    for (const address of addressesOf(vip.value)) {
      const other = holders.get(address)
      if (other === undefined) holders.set(address, vip)
      else if (!isFull(netdb, vip.value.network, vip.value.ip))
        return `${address} is of VIPs ${other.key} and ${vip.key}`
    }
  }
  for (const endpoint of endpoints) {
    const { network, name, vni, ip } = endpoint.value
    // Two, when each half of a partition gave the network one: which is meant its owner knows (lostEndpoint).
    const vnis = subnets
      .filter(({ value }) => value.network === network && cidrContains(value.cidr, ip))
      .map(({ value }) => value.vni)
    if (vnis.length === 0) return `${name} has ${ip}, which is in no subnet of its network`
    if (!vnis.includes(vni)) return `${name} is on VNI ${vni}, its subnet ${vnis.join(' or ')}`
    for (const address of addressesOf(endpoint.value)) {
      const other = holders.get(address)
      if (other === undefined) holders.set(address, endpoint)
      else if (!isFull(netdb, network, ip)) {
        return `${address} is of ${other.kind} ${other.key.slice(0, 8)} and of ${name} (${endpoint.key.slice(0, 8)})`
      }
    }
  }
  return null
}

/** No endpoint that runs lacks its record, and none has other addresses than its record says, or is on another subnet's VNI. */
export function lostEndpoint(allocating: AllocatingHost): string | null {
  const { host } = allocating
  const { netdb } = host.life
  for (const { name, spec } of allocating.sandboxes()) {
    const record = netdb
      .list('endpoint')
      .find(({ key, owner }) => key === spec.id && owner === host.id)
    if (record === undefined) return `${name} runs on ${host.name} without a record`
    const { ip, mac, vni } = record.value
    if (ip !== spec.ip || mac !== spec.mac || vni !== spec.vni) {
      return `${name} on ${host.name} has ${spec.ip} (VNI ${spec.vni}), its record ${ip} (VNI ${vni})`
    }
    const cidr = cidrOf(spec.ip, spec.prefixLength)
    const subnet = netdb.get('subnet', `${spec.networkId}/${formatCidr(cidr)}`)
    if (subnet !== undefined && subnet.value.vni !== vni) {
      return `${name} on ${host.name} is on VNI ${vni}, its subnet ${formatCidr(cidr)} on ${subnet.value.vni}`
    }
  }
  return null
}

/** Pairs of networks that overlap, which a partition may leave: told, not repaired. */
export function overlaps({ host }: AllocatingHost): string[] {
  const subnets = host.life.netdb.list('subnet')
  return subnets.flatMap((one, index) =>
    subnets
      .slice(index + 1)
      .filter((other) => overlap(one.value, other.value))
      .map((other) => `${formatCidr(one.value.cidr)} ${formatCidr(other.value.cidr)}`),
  )
}

/** Endpoints of networks that were removed in another half. */
export function orphans({ host }: AllocatingHost): string[] {
  const { netdb } = host.life
  const networks = new Set(netdb.list('network').map(({ key }) => key))
  return netdb
    .list('endpoint')
    .filter(({ value }) => !networks.has(value.network))
    .map(({ value }) => value.name)
}

/** Whether no address is free for who is at this one and has to move, which he does on his subnet; absent holders counted. */
export function isFull(netdb: Netdb, network: string, ip: Ipv4Address): boolean {
  const subnet = netdb
    .list('subnet')
    .find(({ value }) => value.network === network && cidrContains(value.cidr, ip))
  if (subnet === undefined) return true
  const { cidr } = subnet.value
  const held = [...netdb.list('endpoint'), ...netdb.listHidden('endpoint'), ...netdb.list('vip')]
    .filter(({ value }) => value.network === network && cidrContains(cidr, value.ip))
    .map(({ value }) => value.ip)
  // Neither the first, the last, nor the gateway's.
  return new Set(held).size >= 2 ** (32 - cidr.prefixLength) - 3
}

function addressesOf(value: EndpointValue | VipValue): string[] {
  const { network, ip, ip6 } = value
  const mac = 'mac' in value ? value.mac : macFromIpv4(ip)
  return [ip, mac, ...(ip6 === null ? [] : [ip6])].map((address) => `${network} ${address}`)
}

function sameAddresses(a: EndpointValue, b: EndpointValue): boolean {
  return addressesOf(a).join() === addressesOf(b).join()
}

function shareAddress(a: EndpointValue | VipValue, b: EndpointValue | VipValue): boolean {
  const all = new Set(addressesOf(a))
  return addressesOf(b).some((address) => all.has(address))
}

function overlap(a: SubnetValue, b: SubnetValue): boolean {
  const [ranges, others] = [a, b].map(({ cidr, cidr6 }) =>
    cidr6 === null ? [cidr] : [cidr, cidr6],
  ) as [SubnetValue['cidr'][], SubnetValue['cidr'][]]
  return ranges.some((one) => others.some((other) => cidrsOverlap(one, other)))
}

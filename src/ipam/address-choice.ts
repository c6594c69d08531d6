// Which addresses an endpoint gets: those that it asks for, or the first of its network that nobody holds and this host prefers.
//
// Pure: what is held and what was released comes in. What is chosen is a promise until the record is acknowledged; when another host
// was faster, the caller holds that host's addresses and asks again.

import { WeftError } from '../errors.ts'
import { type Ipv4Cidr, cidrContains, formatCidr, lastAddress } from '../net/cidr.ts'
import { notForInterfaces } from '../net/host-subnet.ts'
import {
  type Ipv4Address,
  ipv4ToNumber,
  numberToIpv4,
  parseIpv4Address,
} from '../net/ipv4-address.ts'
import { type Ipv6Address, parseIpv6Address } from '../net/ipv6-address.ts'
import { type MacAddress, isUnicastMac, macFromIpv4, parseMacAddress } from '../net/mac-address.ts'
import type { HeldAddresses, Holder } from './held-addresses.ts'
import { type DualSubnet, ipv4Of, ipv6Of } from './ipv6.ts'
import { type Contenders, preferred } from './preference.ts'
import { usableIn } from './wanted-subnets.ts'

/** What a user may say about an endpoint's addresses. */
export interface AddressWish {
  readonly ip?: string | undefined
  /** With its number goes the IPv4 address. */
  readonly ip6?: string | undefined
  readonly mac?: string | undefined
}

export interface AddressSubnet extends DualSubnet {
  /** Where addresses are chosen from; null, undefined: anywhere in the subnet. */
  readonly range?: Ipv4Cidr | null
}

export interface AddressQuestion<S extends AddressSubnet> {
  readonly networkId: string
  /** Its name, for messages. */
  readonly network: string
  readonly wish: AddressWish
  /** In the order in which they are filled: the same on all hosts. */
  readonly subnets: readonly S[]
  readonly held: HeldAddresses
  /** Addresses that were held a while ago, and when they were released: neighbours may remember who had them. */
  readonly released: ReadonlyMap<Ipv4Address, number>
  readonly contenders: Contenders
}

export interface ChosenAddresses<S extends AddressSubnet> {
  readonly subnet: S
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  readonly mac: MacAddress
  /** Records of absent holders that the address is taken from, because it was asked for: its record names them. */
  readonly supersedes: readonly string[]
}

/** Endpoints are many, and started on many hosts at once: here it counts for more to meet rarely. */
const SPREAD = 64

/**
 * @throws WeftError no_address, address_in_use, mac_in_use, invalid_argument
 */
export function chooseAddresses<S extends AddressSubnet>(
  question: AddressQuestion<S>,
): ChosenAddresses<S> {
  const { wish } = question
  const wantedMac = wish.mac === undefined ? null : requireMac(question, parseMacAddress(wish.mac))
  const wantedIp = wantedIpv4(question)
  const { subnet, ip } =
    wantedIp === null
      ? chooseIp(question)
      : { subnet: requireInSubnet(question, wantedIp), ip: wantedIp }
  const mac = wantedMac ?? macFromIpv4(ip)
  const supersedes = requireFree(question, ip, mac)
  return { subnet, ip, ip6: ipv6Of(subnet, ip), mac, supersedes }
}

/** What is asked for by itself, or by the IPv6 address that goes with it. */
function wantedIpv4(question: AddressQuestion<AddressSubnet>): Ipv4Address | null {
  const { wish, network, subnets } = question
  const ip = wish.ip === undefined ? null : parseIpv4Address(wish.ip)
  if (wish.ip6 === undefined) return ip
  const ip6 = parseIpv6Address(wish.ip6)
  const ranges = subnets.flatMap(({ cidr6 }) => (cidr6 === null ? [] : [formatCidr(cidr6)]))
  if (ranges.length === 0) throw invalid(`network ${network} has no IPv6; leave --ip6 out`)
  const subnet = subnets.find(({ cidr6 }) => cidr6 !== null && cidrContains(cidr6, ip6))
  if (subnet === undefined) {
    throw invalid(
      `address ${ip6} is not in network ${network} (${ranges.join(', ')}); choose one that is`,
    )
  }
  if (ip6 === subnet.gateway6) {
    throw new WeftError(
      'address_in_use',
      `address ${ip6} is the gateway of network ${network}; choose another`,
    )
  }
  const twin = ipv4Of(subnet, ip6)
  if (twin === null) {
    throw invalid(
      `address ${ip6} has a number that no address of ${formatCidr(subnet.cidr)} has, and both go together; choose a lower one`,
    )
  }
  if (ip !== null && ip !== twin) {
    throw invalid(`address ${ip6} goes with ${twin}, not with ${ip}; give one of the two`)
  }
  return twin
}

function invalid(message: string): WeftError {
  return new WeftError('invalid_argument', message)
}

/** The first that is free: of those that were not released lately, else the one that was released longest ago. */
function chooseIp<S extends AddressSubnet>(
  question: AddressQuestion<S>,
): { subnet: S; ip: Ipv4Address } {
  const { networkId, subnets, held, released, contenders } = question
  const recent = new Set([...released.keys()].map((ip) => ipv4ToNumber(ip)))
  for (const subnet of subnets) {
    const number = preferred(freshIn(subnet, held, recent), contenders, networkId, SPREAD)
    if (number !== undefined) return { subnet, ip: numberToIpv4(number) }
  }
  let oldest: { subnet: S; ip: Ipv4Address; at: number } | undefined
  for (const [ip, at] of released) {
    const number = ipv4ToNumber(ip)
    const subnet = subnets.find(
      (one) => cidrContains(one.range ?? one.cidr, ip) && !unusableIn(one).includes(number),
    )
    if (subnet === undefined || held.isHeld(number)) continue
    if (oldest === undefined || at < oldest.at) oldest = { subnet, ip, at }
  }
  if (oldest === undefined) throw exhausted(question)
  return oldest
}

function* freshIn(
  subnet: AddressSubnet,
  held: HeldAddresses,
  recent: ReadonlySet<number>,
): Generator<number> {
  const range = subnet.range ?? subnet.cidr
  const unusable = unusableIn(subnet)
  for (const number of held.free(ipv4ToNumber(range.address), ipv4ToNumber(lastAddress(range)))) {
    if (!unusable.includes(number) && !recent.has(number)) yield number
  }
}

/** What no endpoint may have. */
function unusableIn({ cidr, gateway }: AddressSubnet): readonly number[] {
  return [cidr.address, lastAddress(cidr), gateway].map((address) => ipv4ToNumber(address))
}

function exhausted({ network, subnets }: AddressQuestion<AddressSubnet>): WeftError {
  const numbers = subnets.map(({ cidr, gateway, range }) => {
    const count = usableIn(cidr, gateway, range ?? cidr)
    const part = range === undefined || range === null ? '' : `${formatCidr(range)} of `
    return `${count} of ${count} held (${part}${formatCidr(cidr)})`
  })
  const all = numbers.length === 0 ? 'it has no subnet' : numbers.join(', ')
  return new WeftError(
    'no_address',
    `network ${network} has no free address: ${all}; remove endpoints, or make a larger network`,
  )
}

function requireInSubnet<S extends AddressSubnet>(
  { network, subnets }: AddressQuestion<S>,
  ip: Ipv4Address,
): S {
  const subnet = subnets.find(({ cidr }) => cidrContains(cidr, ip))
  if (subnet === undefined) {
    const all = subnets.map(({ cidr }) => formatCidr(cidr)).join(', ')
    throw new WeftError(
      'invalid_argument',
      `address ${ip} is not in network ${network} (${all}); choose one that is`,
    )
  }
  if (ip === subnet.gateway) {
    throw new WeftError(
      'address_in_use',
      `address ${ip} is the gateway of network ${network}; choose another`,
    )
  }
  const reason = notForInterfaces(subnet.cidr, ip)
  if (reason === undefined) return subnet
  throw new WeftError(
    'invalid_argument',
    `address ${ip} is the ${reason} of ${formatCidr(subnet.cidr)}; choose another`,
  )
}

function requireMac(
  { network, subnets }: AddressQuestion<AddressSubnet>,
  mac: MacAddress,
): MacAddress {
  if (!isUnicastMac(mac)) {
    throw new WeftError(
      'invalid_argument',
      `MAC ${mac} is a multicast or zero address; give one of a single interface`,
    )
  }
  // The gateway's MAC derives from its address: an endpoint with that MAC would take its frames.
  if (subnets.every(({ gateway }) => mac !== macFromIpv4(gateway))) return mac
  throw new WeftError(
    'mac_in_use',
    `MAC ${mac} is the gateway's on network ${network}; choose another`,
  )
}

/** The absent ones from whom the addresses are taken; of those who are present nothing is taken. */
function requireFree(
  { network, held }: AddressQuestion<AddressSubnet>,
  ip: Ipv4Address,
  mac: MacAddress,
): string[] {
  const holders = [...new Set([...held.holdersOf(ip), ...held.holdersOfMac(mac)])]
  const present = holders.find(({ absent }) => !absent)
  if (present !== undefined) throw heldBy(network, present, ip, mac)
  return holders.map(({ record }) => record)
}

function heldBy(network: string, holder: Holder, ip: Ipv4Address, mac: MacAddress): WeftError {
  const { who } = holder
  if (holder.ip !== ip && holder.mac === mac) {
    return new WeftError(
      'mac_in_use',
      `MAC ${mac} is used on network ${network} by ${who}; choose another`,
    )
  }
  const twin = holder.ip === ip ? '' : `, or what goes with it,`
  return new WeftError(
    'address_in_use',
    `address ${ip}${twin} of network ${network} is held by ${who}; choose another`,
  )
}

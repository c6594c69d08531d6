// What a user wants of a network's subnets (--subnet, --gateway, --ip-range, --ipv6), checked: right in itself and in nobody's way.
//
// A gateway and an ip-range belong to the subnet that they lie in, as Docker has it; so their order does not matter.

import { WeftError } from '../errors.ts'
import {
  type Cidr,
  type Ipv4Cidr,
  type Ipv6Cidr,
  cidrContains,
  cidrOf,
  cidrsOverlap,
  formatCidr,
  lastAddress,
  parseCidr,
} from '../net/cidr.ts'
import { gatewayFault, subnetFault } from '../net/host-subnet.ts'
import { parseIpAddress } from '../net/ip-address.ts'
import { type Ipv4Address, ipv4ToNumber } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import { type Surroundings, overlapOf } from './surroundings.ts'

export interface SubnetWish {
  /** Of either family; empty: one is chosen. */
  readonly subnets: readonly string[]
  readonly gateways: readonly string[]
  /** Parts of IPv4 subnets that endpoints get their addresses from. */
  readonly ranges: readonly string[]
  /** Each subnet without an IPv6 half gets one. */
  readonly ipv6: boolean
}

/** null: not said. */
export interface WantedIpv4 {
  readonly cidr: Ipv4Cidr
  readonly gateway: Ipv4Address | null
  readonly range: Ipv4Cidr | null
}

export interface WantedIpv6 {
  readonly cidr: Ipv6Cidr
  readonly gateway: Ipv6Address | null
}

export interface WantedSubnets {
  readonly ipv4: readonly WantedIpv4[]
  /** The first goes with the first of IPv4; never more than those, or than one where none is given. */
  readonly ipv6: readonly WantedIpv6[]
}

/**
 * @throws WeftError invalid_argument, address_in_use when a network or a host has a part of it
 */
export function checkWantedSubnets(wish: SubnetWish, surroundings: Surroundings): WantedSubnets {
  const subnets = wish.subnets.map((text) => parseSubnet(text))
  requireDisjoint(subnets)
  for (const cidr of subnets) {
    const other = overlapOf(cidr, surroundings)
    if (other !== undefined) {
      throw new WeftError(
        'address_in_use',
        `subnet ${formatCidr(cidr)} overlaps ${other}; choose another`,
      )
    }
  }
  const gateways = assignGateways(wish.gateways, subnets)
  const ranges = assignRanges(wish.ranges, subnets)
  const ipv4 = ipv4Of(subnets).map((cidr) => ({
    cidr,
    gateway: (gateways.get(cidr) as Ipv4Address | undefined) ?? null,
    range: ranges.get(cidr) ?? null,
  }))
  const ipv6 = subnets
    .filter((cidr) => cidr.family === 6)
    .map((cidr) => ({
      cidr,
      gateway: (gateways.get(cidr) as Ipv6Address | undefined) ?? null,
    }))
  requirePairs(ipv4, ipv6)
  return { ipv4, ipv6 }
}

function parseSubnet(text: string): Cidr {
  const cidr = parseCidr(text)
  const fault = subnetFault(cidr)
  if (fault !== undefined) throw invalid(`subnet ${fault}`)
  return cidr
}

function requireDisjoint(subnets: readonly Cidr[]): void {
  for (const [index, later] of subnets.entries()) {
    const earlier = subnets.slice(0, index).find((cidr) => cidrsOverlap(cidr, later))
    if (earlier === undefined) continue
    const [one, other] = [formatCidr(earlier), formatCidr(later)]
    throw invalid(
      one === other
        ? `subnet ${one} is given twice; give it once`
        : `subnets ${one} and ${other} overlap; choose others`,
    )
  }
}

function assignGateways(texts: readonly string[], subnets: readonly Cidr[]): Map<Cidr, string> {
  const gateways = new Map<Cidr, string>()
  for (const text of texts) {
    const gateway = parseIpAddress(text)
    const cidr = subnets.find((subnet) => cidrContains(subnet, gateway))
    if (cidr === undefined) throw noSubnetFor(`gateway ${gateway}`, subnets)
    const fault = gatewayFault(cidr, gateway)
    if (fault !== undefined) throw invalid(`gateway ${fault}`)
    const first = gateways.get(cidr)
    if (first !== undefined) {
      throw invalid(
        `subnet ${formatCidr(cidr)} has two gateways, ${first} and ${gateway}; give one`,
      )
    }
    gateways.set(cidr, gateway)
  }
  return gateways
}

function assignRanges(texts: readonly string[], subnets: readonly Cidr[]): Map<Cidr, Ipv4Cidr> {
  const ranges = new Map<Cidr, Ipv4Cidr>()
  for (const text of texts) {
    const range = parseCidr(text)
    const name = `ip-range ${formatCidr(range)}`
    if (range.family === 6) {
      throw invalid(`${name} is of IPv6, where addresses follow the IPv4 ones; give an IPv4 range`)
    }
    const cidr = ipv4Of(subnets).find((subnet) => encloses(subnet, range))
    if (cidr === undefined) throw noSubnetFor(name, ipv4Of(subnets))
    const first = ranges.get(cidr)
    if (first !== undefined) {
      throw invalid(
        `subnet ${formatCidr(cidr)} has two ip-ranges, ${formatCidr(first)} and ${formatCidr(range)}; give one`,
      )
    }
    ranges.set(cidr, range)
  }
  return ranges
}

function ipv4Of(subnets: readonly Cidr[]): Ipv4Cidr[] {
  return subnets.filter((cidr) => cidr.family === 4)
}

function encloses(outer: Cidr, inner: Cidr): boolean {
  return outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.address)
}

function noSubnetFor(what: string, subnets: readonly Cidr[]): WeftError {
  if (subnets.length === 0) return invalid(`${what} needs its subnet; give that with --subnet`)
  const all = subnets.map(formatCidr).join(', ')
  return invalid(`${what} is outside of ${all}; give one inside, or its subnet with --subnet`)
}

/** An IPv6 half has at least as many addresses as its IPv4 half: each of those has one there. */
function requirePairs(ipv4: readonly WantedIpv4[], ipv6: readonly WantedIpv6[]): void {
  if (ipv6.length > Math.max(ipv4.length, 1)) {
    throw invalid(
      `${ipv6.length} IPv6 subnets need as many IPv4 ones, and there are ${ipv4.length}; give the others with --subnet`,
    )
  }
  for (const [index, { cidr }] of ipv6.entries()) {
    const half = ipv4[index]
    if (half !== undefined) requireRoom(cidr, half.cidr)
  }
}

/**
 * @throws WeftError invalid_argument when IPv6 addresses are fewer than IPv4 ones
 */
export function requireRoom(ipv6: Ipv6Cidr, ipv4: Ipv4Cidr): void {
  const longest = 128 - (32 - ipv4.prefixLength)
  if (ipv6.prefixLength <= longest) return
  throw invalid(
    `subnet ${formatCidr(ipv6)} has fewer addresses than ${formatCidr(ipv4)}, which it goes with; use /${longest} or shorter, as ${formatCidr(cidrOf(ipv6.address, 64))}`,
  )
}

/**
 * @throws WeftError invalid_argument when a range has nothing but what endpoints cannot have
 */
export function requireUsableRange(cidr: Ipv4Cidr, gateway: Ipv4Address, range: Ipv4Cidr): void {
  if (usableIn(cidr, gateway, range) > 0) return
  throw invalid(
    `ip-range ${formatCidr(range)} has no address for an endpoint of ${formatCidr(cidr)} with gateway ${gateway}; use a larger one`,
  )
}

/** How many endpoints have room: the network's, the broadcast and the gateway's address are not for them. */
export function usableIn(cidr: Ipv4Cidr, gateway: Ipv4Address, range: Ipv4Cidr = cidr): number {
  const kept = new Set([cidr.address, lastAddress(cidr), gateway])
  const inRange = [...kept].filter((address) => cidrContains(range, address)).length
  return ipv4ToNumber(lastAddress(range)) - ipv4ToNumber(range.address) + 1 - inRange
}

function invalid(message: string): WeftError {
  return new WeftError('invalid_argument', message)
}

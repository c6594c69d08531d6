// IPv6 beside IPv4: the prefix that a network has of its own, and an endpoint's IPv6 address.
//
// An endpoint's IPv6 address has the number of its IPv4 address: 10.0.1.3 in 10.0.1.0/24 is fd..::3. So it needs no allocation, never
// collides where the IPv4 addresses do not, and whoever sees one knows the other.

import { createHash } from 'node:crypto'
import { type Ipv6Cidr, cidrContains } from '../net/cidr.ts'
import { type Ipv4Address, ipv4ToNumber, numberToIpv4 } from '../net/ipv4-address.ts'
import { IPV6_BYTES, type Ipv6Address, bytesToIpv6, ipv6ToBytes } from '../net/ipv6-address.ts'
import type { SubnetValue } from '../netdb/record.ts'

/** Subnet ids of a RFC 4193 prefix have 16 bits. */
const ULA_SUBNETS = 2 ** 16

/** Both halves of a subnet. */
export type DualSubnet = Pick<SubnetValue, 'cidr' | 'gateway' | 'cidr6' | 'gateway6'>

/**
 * A /64 of the network's own unique local prefix (RFC 4193): fd, 40 bits of the hash of the network's id, the number of the subnet.
 * All hosts derive the same, and it was never anybody else's.
 */
export function ulaSubnet(networkId: string, number: number): Ipv6Cidr {
  if (number < 0 || number >= ULA_SUBNETS) throw new RangeError(`no subnet id: ${number}`)
  const bytes = new Uint8Array(IPV6_BYTES)
  bytes[0] = 0xfd
  bytes.set(createHash('sha256').update(`weft ula ${networkId}`).digest().subarray(0, 5), 1)
  new DataView(bytes.buffer).setUint16(6, number)
  return { family: 6, address: bytesToIpv6(bytes), prefixLength: 64 }
}

/** The IPv6 address that goes with an IPv4 address of the subnet; null: the subnet has no IPv6. */
export function ipv6Of(subnet: DualSubnet, ip: Ipv4Address): Ipv6Address | null {
  if (subnet.cidr6 === null) return null
  const bytes = ipv6ToBytes(subnet.cidr6.address)
  const view = new DataView(bytes.buffer)
  const number = ipv4ToNumber(ip) - ipv4ToNumber(subnet.cidr.address)
  view.setUint32(12, view.getUint32(12) + withGatewaysSwapped(subnet, number))
  return bytesToIpv6(bytes)
}

/** The IPv4 address that an IPv6 address of the subnet goes with; null: with none. */
export function ipv4Of(subnet: DualSubnet, ip6: Ipv6Address): Ipv4Address | null {
  const { cidr } = subnet
  const number = numberIn(subnet, ip6)
  if (number === null || number >= 2 ** (32 - cidr.prefixLength)) return null
  return numberToIpv4(ipv4ToNumber(cidr.address) + withGatewaysSwapped(subnet, number))
}

/**
 * The IPv6 gateway may have a number that an endpoint's IPv4 address has (gateways .254 and ::1): that endpoint has the number of the
 * IPv4 gateway instead, which no endpoint has. Doing it twice changes nothing.
 */
function withGatewaysSwapped(subnet: DualSubnet, number: number): number {
  const { cidr, gateway, gateway6 } = subnet
  const ours = ipv4ToNumber(gateway) - ipv4ToNumber(cidr.address)
  const theirs = gateway6 === null ? null : numberIn(subnet, gateway6)
  // Beyond the IPv4 subnet the number is nobody's.
  if (theirs === null || theirs >= 2 ** (32 - cidr.prefixLength)) return number
  if (number === theirs) return ours
  return number === ours ? theirs : number
}

/** Which of the subnet's IPv6 addresses it is, from 0; null: none, or one beyond the first 2^32. */
function numberIn({ cidr6 }: DualSubnet, ip6: Ipv6Address): number | null {
  if (cidr6 === null || !cidrContains(cidr6, ip6)) return null
  const bytes = ipv6ToBytes(ip6)
  const base = ipv6ToBytes(cidr6.address)
  if (bytes.subarray(0, 12).some((byte, index) => byte !== base[index])) return null
  return new DataView(bytes.buffer).getUint32(12) - new DataView(base.buffer).getUint32(12)
}

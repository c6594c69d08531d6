// A subnet of hosts: which ranges can be one, and which of its addresses an interface may have.
//
// Says what is wrong as one line, and never throws: one caller reports, the other refuses.

import {
  type Cidr,
  cidrContains,
  cidrsOverlap,
  firstAddress,
  formatCidr,
  lastAddress,
  parseCidr,
} from './cidr.ts'
import type { IpAddress } from './ip-address.ts'

/** Where no subnet of hosts can lie. */
const NOT_FOR_SUBNETS: readonly (readonly [Cidr, string])[] = [
  [parseCidr('0.0.0.0/8'), '"this network"'],
  [parseCidr('127.0.0.0/8'), 'loopback'],
  [parseCidr('224.0.0.0/3'), 'multicast and reserved'],
  [parseCidr('::/8'), 'reserved'],
  [parseCidr('fe80::/10'), 'link-local'],
  [parseCidr('ff00::/8'), 'multicast'],
]

/** Why the range cannot be a subnet of hosts, and what to do; undefined: it can. */
export function subnetFault(cidr: Cidr): string | undefined {
  const longest = cidr.family === 4 ? 30 : 126
  if (cidr.prefixLength > longest) {
    return `${formatCidr(cidr)} has no room for a gateway and an endpoint; use /${longest} or shorter`
  }
  const reserved = NOT_FOR_SUBNETS.find(([range]) => cidrsOverlap(range, cidr))
  if (reserved === undefined) return undefined
  const [range, what] = reserved
  const instead = cidr.family === 4 ? '10.0.1.0/24' : 'fd57:1::/64'
  return (
    `${formatCidr(cidr)} overlaps ${formatCidr(range)}, which is ${what}; ` +
    `use a private one, as ${instead}`
  )
}

/** Why the address cannot be the subnet's gateway, and what to do; undefined: it can. */
export function gatewayFault(cidr: Cidr, gateway: IpAddress): string | undefined {
  const first = firstAddress(cidr)
  if (!cidrContains(cidr, gateway)) {
    return `gateway ${gateway} is outside of ${formatCidr(cidr)}; use an address in it, as ${first}`
  }
  const reason = notForInterfaces(cidr, gateway)
  if (reason === undefined) return undefined
  return `${gateway} is the ${reason} of ${formatCidr(cidr)}; use another one, as ${first}`
}

/** What makes an address of the subnet unfit for an interface. */
export function notForInterfaces(cidr: Cidr, address: IpAddress): string | undefined {
  // In IPv6 the lowest is the subnet-router anycast address (RFC 4291 section 2.6.1).
  if (address === cidr.address)
    return cidr.family === 4 ? 'network address' : 'router anycast address'
  if (cidr.family === 4 && address === lastAddress(cidr)) return 'broadcast address'
  return undefined
}

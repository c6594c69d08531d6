// The subnet of an endpoint: the one of its network that it was given its addresses of.
//
// Two halves of a partition may give one network subnets that lie in each other. An address is in both then, and which is meant is
// told by the prefix length that the interface has: the order in which records came must not decide.

import { type Ipv4Cidr, cidrContains } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'

/** Where an endpoint is on its network; `prefixLength` undefined: not known. */
export interface EndpointPlace {
  readonly ip: Ipv4Address
  readonly prefixLength: number | undefined
}

/** Of its network's subnets; when its own is gone, the narrowest that its address is in. undefined: it is in none. */
export function subnetOfEndpoint<S extends { readonly cidr: Ipv4Cidr }>(
  { ip, prefixLength }: EndpointPlace,
  subnets: readonly S[],
): S | undefined {
  const around = subnets
    .filter(({ cidr }) => cidrContains(cidr, ip))
    .sort((a, b) => b.cidr.prefixLength - a.cidr.prefixLength)
  return around.find(({ cidr }) => cidr.prefixLength === prefixLength) ?? around[0]
}

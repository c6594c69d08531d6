// What a facts file says, checked: the members, networks and endpoints that a host would otherwise
// learn from the others. See docs/facts.md for the file.

import type { Ipv4Cidr, Ipv6Cidr } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import type { MacAddress } from '../net/mac-address.ts'
import type { Vni } from '../net/vni.ts'

/**
 * Consistent as a whole: names are unique (an endpoint's on its host and network), every host and
 * network that an endpoint names exists, VNIs are unique, subnets do not overlap, and within a
 * network no address and no MAC is held twice.
 */
export interface Facts {
  /** Empty: the hosts are those of the cluster, and endpoints of other hosts are reservations of theirs. */
  readonly members: readonly MemberFact[]
  readonly networks: readonly NetworkFact[]
  readonly endpoints: readonly EndpointFact[]
}

export interface MemberFact {
  readonly name: string
  /** The underlay address that the host's VXLAN datagrams come from and go to. */
  readonly vtep: Ipv4Address
}

export interface NetworkFact {
  readonly name: string
  /** Of the overlay, in bytes; undefined: this host's underlay MTU - 50. */
  readonly mtu: number | undefined
  /** Members that are foreign VTEPs whose endpoints the file does not name. */
  readonly learning: readonly string[]
  /** At least one. */
  readonly subnets: readonly SubnetFact[]
}

export interface SubnetFact {
  readonly cidr: Ipv4Cidr
  /** Inside `cidr`; the first address where the file names none. */
  readonly gateway: Ipv4Address
  readonly vni: Vni
  /** Both or neither. */
  readonly cidr6: Ipv6Cidr | undefined
  readonly gateway6: Ipv6Address | undefined
}

export interface EndpointFact {
  /** Name of the member that carries it. */
  readonly host: string
  readonly network: string
  readonly name: string
  /** Inside exactly one subnet of its network; that subnet's VNI is the endpoint's. */
  readonly ip: Ipv4Address
  /** Inside the IPv6 half of the same subnet. */
  readonly ip6: Ipv6Address | undefined
  /** 02:42 and the bytes of `ip` where the file names none. */
  readonly mac: MacAddress
}

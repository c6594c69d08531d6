// What is around a subnet: ranges of other networks and what members' kernels route. An overlay subnet may overlap none of it.

import { type Cidr, cidrOf, cidrsOverlap, formatCidr, parseCidr } from '../net/cidr.ts'
import type { LiveRecord } from '../netdb/record.ts'

/** A range of a network, of either family. */
export interface NetworkRange {
  /** The network's name. */
  readonly network: string
  readonly cidr: Cidr
}

/** What a member's kernel routes, or has as its underlay address. */
export interface MemberRoute {
  /** The member's name. */
  readonly member: string
  readonly cidr: Cidr
}

export interface Surroundings {
  readonly networks: readonly NetworkRange[]
  readonly routes: readonly MemberRoute[]
}

/** What the records tell; members that are absent are to be among them, they will be back. */
export function surroundingsOf(
  networks: readonly LiveRecord<'network'>[],
  subnets: readonly LiveRecord<'subnet'>[],
  members: readonly LiveRecord<'member'>[],
): Surroundings {
  const names = new Map(networks.map(({ key, value }) => [key, value.name]))
  return {
    networks: subnets.flatMap(({ value: { network, cidr, cidr6 } }) => {
      const name = names.get(network) ?? network
      const range = { network: name, cidr }
      return cidr6 === null ? [range] : [range, { network: name, cidr: cidr6 }]
    }),
    routes: members.flatMap(({ value: { name, vtep, routes } }) => [
      { member: name, cidr: cidrOf(vtep, 32) },
      ...routes.map((route) => ({ member: name, cidr: parseCidr(route) })),
    ]),
  }
}

/** What the range overlaps, for a message: `10.0.0.0/16 of network blue`; undefined: nothing. */
export function overlapOf(cidr: Cidr, { networks, routes }: Surroundings): string | undefined {
  const other = networks.find((range) => cidrsOverlap(range.cidr, cidr))
  if (other !== undefined) return `${formatCidr(other.cidr)} of network ${other.network}`
  const route = routes.find((route) => isObstacle(route) && cidrsOverlap(route.cidr, cidr))
  if (route !== undefined) return `route ${formatCidr(route.cidr)} of host ${route.member}`
  return undefined
}

/** A default route covers everything, and so says of nothing that it is elsewhere. */
export function isObstacle({ cidr }: MemberRoute): boolean {
  return cidr.prefixLength > 0
}

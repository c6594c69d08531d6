// A network's plan: what its subnets will be, from what a user wants, what is around it and what is held. Whoever carries it out
// writes the records; when another host was faster, it plans again with what that host holds.

import { type Cidr, type Ipv4Cidr, type Ipv6Cidr, firstAddress } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import { MAX_VNI, type Vni } from '../net/vni.ts'
import { ulaSubnet } from './ipv6.ts'
import type { Contenders } from './preference.ts'
import { DEFAULT_POOL, type SubnetPool, chooseSubnet } from './subnet-choice.ts'
import { type Surroundings, overlapOf } from './surroundings.ts'
import { FIRST_VNI, chooseVni } from './vni-choice.ts'
import {
  type SubnetWish,
  type WantedIpv6,
  checkWantedSubnets,
  requireRoom,
  requireUsableRange,
} from './wanted-subnets.ts'

export interface PlanQuestion {
  readonly networkId: string
  readonly wish: SubnetWish
  /** With the subnets that the network has already, when these are added to it. */
  readonly surroundings: Surroundings
  readonly heldVnis: ReadonlySet<number>
  readonly contenders: Contenders
  /** When subnets are added: behind those that there are, in whose order networks are filled. */
  readonly aboveVni?: number
  readonly pool?: SubnetPool
}

export interface PlannedSubnet {
  readonly vni: Vni
  readonly cidr: Ipv4Cidr
  readonly gateway: Ipv4Address
  /** Where endpoints get their addresses from; null: anywhere in the subnet. */
  readonly range: Ipv4Cidr | null
  /** Both or neither. */
  readonly cidr6: Ipv6Cidr | null
  readonly gateway6: Ipv6Address | null
}

/**
 * @throws WeftError invalid_argument, address_in_use, no_address
 */
export function planSubnets(question: PlanQuestion): readonly PlannedSubnet[] {
  const { wish, surroundings, contenders, pool = DEFAULT_POOL } = question
  const wanted = checkWantedSubnets(wish, surroundings)
  const around = [...wanted.ipv4, ...wanted.ipv6].reduce(
    (all, { cidr }) => withRange(all, cidr),
    surroundings,
  )
  const halves =
    wanted.ipv4.length > 0
      ? wanted.ipv4
      : [{ cidr: chooseSubnet(around, contenders, pool), gateway: null, range: null }]
  const taken = new Set(question.heldVnis)
  const first = Math.max(FIRST_VNI, (question.aboveVni ?? 0) + 1)
  const plan: PlannedSubnet[] = []
  for (const [index, half] of halves.entries()) {
    const vni = chooseVni(taken, contenders, { first, last: MAX_VNI })
    taken.add(vni)
    const { cidr, range } = half
    const gateway = half.gateway ?? firstAddress(cidr)
    if (range !== null) requireUsableRange(cidr, gateway, range)
    plan.push({ vni, cidr, gateway, range, ...ipv6Half(question, cidr, wanted.ipv6[index], plan) })
  }
  return plan
}

function ipv6Half(
  { networkId, wish, surroundings }: PlanQuestion,
  ipv4: Ipv4Cidr,
  wanted: WantedIpv6 | undefined,
  plan: readonly PlannedSubnet[],
): Pick<PlannedSubnet, 'cidr6' | 'gateway6'> {
  if (wanted === undefined && !wish.ipv6) return { cidr6: null, gateway6: null }
  const cidr6 = wanted?.cidr ?? freeUla(networkId, surroundings, plan)
  requireRoom(cidr6, ipv4)
  return { cidr6, gateway6: wanted?.gateway ?? firstAddress(cidr6) }
}

/** The first of the network's own prefixes that is not in use: subnets come and go. */
function freeUla(
  networkId: string,
  surroundings: Surroundings,
  plan: readonly PlannedSubnet[],
): Ipv6Cidr {
  const around = plan.reduce(
    (all, { cidr6 }) => (cidr6 === null ? all : withRange(all, cidr6)),
    surroundings,
  )
  let number = 0
  while (overlapOf(ulaSubnet(networkId, number), around) !== undefined) number++
  return ulaSubnet(networkId, number)
}

function withRange(surroundings: Surroundings, cidr: Cidr): Surroundings {
  return { ...surroundings, networks: [...surroundings.networks, { network: 'itself', cidr }] }
}

// Which subnet a network gets when nobody names one: a part of the pool that nobody has and nobody routes.

import { WeftError } from '../errors.ts'
import { type Ipv4Cidr, formatCidr, lastAddress, parseIpv4Cidr } from '../net/cidr.ts'
import { ipv4ToNumber, numberToIpv4 } from '../net/ipv4-address.ts'
import { type Contenders, preferred } from './preference.ts'
import { type Surroundings, isObstacle } from './surroundings.ts'

export interface SubnetPool {
  readonly cidr: Ipv4Cidr
  /** Of the subnets that it is cut into. */
  readonly prefixLength: number
}

/** As Docker cuts it. */
export const DEFAULT_POOL: SubnetPool = { cidr: parseIpv4Cidr('10.0.0.0/8'), prefixLength: 24 }

/** Never chosen by us; whoever names one gets it. */
const KEPT: readonly Ipv4Cidr[] = [
  parseIpv4Cidr('10.0.0.0/24'), // ingress
  parseIpv4Cidr('10.0.2.0/24'), // VirtualBox NAT: the host's own address in many labs
]

/** Networks are few, and seldom made in two places at once: here low values count for more than what is rare already. */
const SPREAD = 16

/** A subnet with less has no room (host-subnet.ts). */
const LONGEST = 30
/** A pool is looked through whole. */
const MOST_SUBNETS = 2 ** 20

/**
 * A pool, checked.
 *
 * @throws WeftError invalid_argument
 */
export function subnetPool(cidr: Ipv4Cidr, prefixLength: number): SubnetPool {
  const shortest = Math.max(cidr.prefixLength, 1)
  if (!Number.isInteger(prefixLength) || prefixLength < shortest || prefixLength > LONGEST) {
    throw new WeftError(
      'invalid_argument',
      `the pool ${formatCidr(cidr)} cannot be cut into /${prefixLength}; use /${shortest} to /${LONGEST}`,
    )
  }
  if (2 ** (prefixLength - cidr.prefixLength) > MOST_SUBNETS) {
    throw new WeftError(
      'invalid_argument',
      `the pool ${formatCidr(cidr)} has more than ${MOST_SUBNETS} subnets of /${prefixLength}; use larger subnets or a smaller pool`,
    )
  }
  return { cidr, prefixLength }
}

/**
 * @throws WeftError no_address when the pool is exhausted
 */
export function chooseSubnet(
  surroundings: Surroundings,
  contenders: Contenders,
  pool: SubnetPool = DEFAULT_POOL,
): Ipv4Cidr {
  const obstacles = obstaclesIn(pool, surroundings)
  const number = preferred(freeOf(obstacles), contenders, 'subnet', SPREAD)
  if (number === undefined) throw exhausted(pool, surroundings, obstacles)
  const size = 2 ** (32 - pool.prefixLength)
  const address = numberToIpv4(ipv4ToNumber(pool.cidr.address) + number * size)
  return { family: 4, address, prefixLength: pool.prefixLength }
}

// What stands in the way of a subnet of the pool.
const NOTHING = 0
const NETWORK = 1
const ROUTE = 2
const IS_KEPT = 3

/** For each subnet of the pool, by its number, what stands in its way. */
function obstaclesIn(pool: SubnetPool, { networks, routes }: Surroundings): Uint8Array {
  const obstacles = new Uint8Array(2 ** (pool.prefixLength - pool.cidr.prefixLength))
  const size = 2 ** (32 - pool.prefixLength)
  const start = ipv4ToNumber(pool.cidr.address)
  const mark = (cidr: Ipv4Cidr, obstacle: number): void => {
    const first = Math.floor((ipv4ToNumber(cidr.address) - start) / size)
    const last = Math.floor((ipv4ToNumber(lastAddress(cidr)) - start) / size)
    if (last >= 0) obstacles.fill(obstacle, Math.max(first, 0), last + 1)
  }
  // The later overwrites: of several reasons the one is told that a person can do most about.
  for (const cidr of KEPT) mark(cidr, IS_KEPT)
  for (const route of routes) {
    if (isObstacle(route) && route.cidr.family === 4) mark(route.cidr, ROUTE)
  }
  for (const { cidr } of networks) if (cidr.family === 4) mark(cidr, NETWORK)
  return obstacles
}

function* freeOf(obstacles: Uint8Array): Generator<number> {
  for (const [number, obstacle] of obstacles.entries()) if (obstacle === NOTHING) yield number
}

function exhausted(
  { cidr, prefixLength }: SubnetPool,
  surroundings: Surroundings,
  obstacles: Uint8Array,
): WeftError {
  const counts = [0, 0, 0, 0]
  for (const obstacle of obstacles) counts[obstacle] = (counts[obstacle] ?? 0) + 1
  const routes = surroundings.routes
    .filter((route) => isObstacle(route) && route.cidr.family === 4)
    .toSorted((a, b) => a.cidr.prefixLength - b.cidr.prefixLength)
    .slice(0, 3)
    .map((route) => `${formatCidr(route.cidr)} of ${route.member}`)
  const [, held = 0, routed = 0, kept = 0] = counts
  const reasons = [
    ...(held > 0 ? [`${held} held by networks`] : []),
    ...(routed > 0 ? [`${routed} routed by hosts (the largest routes: ${routes.join(', ')})`] : []),
    ...(kept > 0 ? [`${kept} kept for ingress or VirtualBox`] : []),
  ]
  return new WeftError(
    'no_address',
    `no subnet is free: of ${obstacles.length} of /${prefixLength} in ${formatCidr(cidr)}, ${reasons.join(', ')}; give one with --subnet`,
  )
}

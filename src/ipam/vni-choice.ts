// Which VNI a subnet gets: one that no other subnet has.

import { WeftError } from '../errors.ts'
import { MAX_VNI, type Vni, parseVni } from '../net/vni.ts'
import { type Contenders, preferred } from './preference.ts'

/** Docker's: VNIs below 4096 are kept from overlays, because Windows cannot use them. */
export const INGRESS_VNI = parseVni(4096)
export const FIRST_VNI = parseVni(4097)

/** As for subnets: low values count for more. */
const SPREAD = 16

export interface VniRange {
  readonly first: number
  readonly last: number
}

/**
 * @param held VNIs of all subnets, also of those whose network is not known
 * @throws WeftError no_address when all are held
 */
export function chooseVni(
  held: ReadonlySet<number>,
  contenders: Contenders,
  range: VniRange = { first: FIRST_VNI, last: MAX_VNI },
): Vni {
  const vni = preferred(freeOf(held, range), contenders, 'vni', SPREAD)
  if (vni !== undefined) return parseVni(vni)
  const count = range.last - range.first + 1
  throw new WeftError(
    'no_address',
    `no VNI is free: all ${count} of ${range.first}-${range.last} are held by subnets; remove a network`,
  )
}

function* freeOf(held: ReadonlySet<number>, { first, last }: VniRange): Generator<number> {
  for (let vni = first; vni <= last; vni++) if (!held.has(vni)) yield vni
}

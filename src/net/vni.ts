// A VNI: the 24-bit network id that a VXLAN header carries (RFC 7348). Zero is never one of ours:
// it is what a peer sends that has forgotten to set it.

import { WeftError, quote } from '../errors.ts'

declare const brand: unique symbol
export type Vni = number & { readonly [brand]: 'Vni' }

/** The largest VNI: 24 bits. */
export const MAX_VNI = 2 ** 24 - 1

/**
 * Takes a number, or decimal text of one without leading zeros.
 *
 * @throws WeftError invalid_argument
 */
export function parseVni(value: number | string): Vni {
  const vni = typeof value === 'number' ? value : /^[1-9][0-9]*$/.test(value) ? Number(value) : NaN
  if (!Number.isInteger(vni) || vni < 1 || vni > MAX_VNI) {
    throw new WeftError(
      'invalid_argument',
      `${quote(`${value}`)} is not a VNI; write a whole number of 1-${MAX_VNI}`,
    )
  }
  return vni as Vni
}

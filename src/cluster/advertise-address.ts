// Where other hosts reach this one: chosen from the settings or from what the kernel knows, and checked.

import type { Ipv4Address } from '../net/ipv4-address.ts'

export interface AddressCandidate {
  readonly interface: string
  readonly address: Ipv4Address
  readonly prefixLength: number
  readonly mtuBytes: number
}

export interface AddressView {
  readonly candidates: readonly AddressCandidate[]
  /** Devices of the default routes, the preferred one first. */
  readonly defaultDevices: readonly string[]
}

/**
 * Chooses (pure). `wanted`: an address or an interface; undefined: what the host itself suggests.
 *
 * @throws WeftError invalid_argument with the addresses that would do
 */
export function chooseAdvertiseAddress(
  _wanted: string | undefined,
  _view: AddressView,
): AddressCandidate {
  throw new Error('not yet')
}

/** What the kernel knows. */
export function readAddressView(): Promise<AddressView> {
  throw new Error('not yet')
}

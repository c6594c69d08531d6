// Where other hosts reach this one: chosen from the settings or from what the kernel knows, and checked.

import { WeftError } from '../errors.ts'
import { type UnderlayInterface, defaultRouteDevices, listUnderlay } from '../linux/underlay.ts'
import { type Ipv4Address, isIpv4Address } from '../net/ipv4-address.ts'

export interface AddressView {
  /** In the kernel's order. */
  readonly candidates: readonly UnderlayInterface[]
  /** Devices of the default routes, the preferred one first. */
  readonly defaultDevices: readonly string[]
}

/** VirtualBox gives it to the first adapter of every machine, behind a NAT of its own: it looks well and reaches nobody. */
const VIRTUALBOX_NAT = '10.0.2.15'

/**
 * Chooses (pure). `wanted`: an address or an interface; undefined: what the host itself suggests, which is the first address
 * on the device of its default route, else the first that is not loopback.
 *
 * Loopback is taken only when it is named: for a cluster inside one machine. VirtualBox's is never taken.
 *
 * @throws WeftError invalid_argument with the addresses that would do
 */
export function chooseAdvertiseAddress(
  wanted: string | undefined,
  { candidates, defaultDevices }: AddressView,
): UnderlayInterface {
  const others = candidates.filter(isUsable).map(({ name, address }) => `${address} (${name})`)
  const hint = others.length === 0 ? 'has no other IPv4 address' : `has ${others.join(', ')}`
  const chosen =
    wanted === undefined
      ? suggested(candidates, defaultDevices)
      : candidates.find(({ name, address }) => address === wanted || name === wanted)
  if (chosen === undefined) {
    if (wanted === undefined) {
      throw new WeftError(
        'invalid_argument',
        'this host has no IPv4 address by which others reach it; give it one, or name one with --advertise-addr',
      )
    }
    const what = isIpv4Address(wanted)
      ? 'is not an address of this host'
      : 'is no interface with an IPv4 address'
    throw new WeftError('invalid_argument', `--advertise-addr ${wanted} ${what}; this host ${hint}`)
  }
  if (isVirtualBoxNat(chosen)) {
    throw new WeftError(
      'invalid_argument',
      `${chosen.address} (${chosen.name}) is the address that VirtualBox's NAT gives to every machine: others do not reach this host by it; this host ${hint}: name one with --advertise-addr, or add a host-only or bridged adapter`,
    )
  }
  return chosen
}

function suggested(
  candidates: readonly UnderlayInterface[],
  defaultDevices: readonly string[],
): UnderlayInterface | undefined {
  const usable = candidates.filter(isUsable)
  const byRoute = defaultDevices.flatMap((device) => usable.filter(({ name }) => name === device))
  // Alone, VirtualBox's is chosen so that it is refused with its reason.
  return byRoute[0] ?? usable[0] ?? candidates.find(isVirtualBoxNat)
}

function isUsable(candidate: UnderlayInterface): boolean {
  return !candidate.address.startsWith('127.') && !isVirtualBoxNat(candidate)
}

function isVirtualBoxNat({ address, prefixLength }: UnderlayInterface): boolean {
  return address === (VIRTUALBOX_NAT as Ipv4Address) && prefixLength === 24
}

/** What the kernel knows. */
export async function readAddressView(): Promise<AddressView> {
  const [candidates, defaultDevices] = await Promise.all([listUnderlay(), defaultRouteDevices()])
  return { candidates, defaultDevices }
}

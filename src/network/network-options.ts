// The options of a network (`--opt k=v`): which there are, and what they mean.

import { WeftError, quote } from '../errors.ts'

export const MTU_OPTION = 'com.docker.network.driver.mtu'
export const VNI_LIST_OPTION = 'com.docker.network.driver.overlay.vxlanid_list'

/** RFC 791: every host takes a datagram of 576 bytes. */
const MIN_MTU = 576
/** IPv6 asks for it (RFC 8200 section 5). */
const MIN_IPV6_MTU = 1280
/** What an outer IPv4 datagram has left after IPv4, UDP, VXLAN and inner Ethernet headers. */
const MAX_MTU = 65_535 - 50

export interface NetworkOptions {
  /** null: each host's own underlay MTU - 50. */
  readonly mtu: number | null
}

/** @throws WeftError invalid_argument for one that we do not know: what is ignored would be believed to work */
export function parseNetworkOptions(
  options: Readonly<Record<string, string>>,
  hasIpv6: boolean,
): NetworkOptions {
  let mtu: number | null = null
  for (const [key, value] of Object.entries(options)) {
    if (key !== 'mtu' && key !== MTU_OPTION) throw unknown(key)
    mtu = parseMtu(value, hasIpv6)
  }
  return { mtu }
}

function parseMtu(text: string, hasIpv6: boolean): number {
  const least = hasIpv6 ? MIN_IPV6_MTU : MIN_MTU
  const mtu = /^[0-9]{1,5}$/.test(text) ? Number(text) : NaN
  // Also true of NaN.
  if (!(mtu >= least && mtu <= MAX_MTU)) {
    const why = hasIpv6 ? ', as IPv6 needs' : ''
    throw new WeftError(
      'invalid_argument',
      `MTU ${quote(text)} cannot be; give ${least} to ${MAX_MTU} bytes${why}`,
    )
  }
  return mtu
}

function unknown(key: string): WeftError {
  if (key === 'encrypted') {
    return new WeftError(
      'invalid_argument',
      '--opt encrypted: frames between hosts are not encrypted by weft (SECURITY.md); leave it out',
    )
  }
  return new WeftError('invalid_argument', `there is no option ${quote(key)}; there is mtu`)
}

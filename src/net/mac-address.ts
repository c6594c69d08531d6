// A MAC address: a branded string, six lower-case hexadecimal pairs with colons, so that equal
// addresses are equal strings.

import { WeftError, quote } from '../errors.ts'
import { type Ipv4Address, bytesToIpv4, ipv4ToBytes } from './ipv4-address.ts'
import { type Ipv6Address, bytesToIpv6 } from './ipv6-address.ts'

declare const brand: unique symbol
export type MacAddress = string & { readonly [brand]: 'MacAddress' }

/** Bytes of a MAC address on the wire. */
export const MAC_BYTES = 6

const CANONICAL = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/

/**
 * Reads six pairs with colons, in either case. Other spellings (dashes, dots, none) are refused
 * with the right one, so that one address has one spelling in files and logs.
 *
 * @throws WeftError invalid_argument
 */
export function parseMacAddress(text: string): MacAddress {
  const lower = text.toLowerCase()
  if (CANONICAL.test(lower)) return lower as MacAddress
  const digits = lower.replaceAll(/[-.:]/g, '')
  const hint = /^[0-9a-f]{12}$/.test(digits)
    ? `write ${(digits.match(/../g) ?? []).join(':')}`
    : 'write six hexadecimal pairs, as in 02:42:0a:00:01:03'
  throw new WeftError('invalid_argument', `${quote(text)} is not a MAC address; ${hint}`)
}

/** The six bytes in wire order. */
export function macToBytes(mac: MacAddress): Uint8Array {
  return Uint8Array.from(mac.split(':'), (pair) => Number.parseInt(pair, 16))
}

/**
 * The address of six bytes in wire order.
 *
 * @throws WeftError invalid_argument when there are not six
 */
export function bytesToMac(bytes: Uint8Array): MacAddress {
  if (bytes.length !== MAC_BYTES) {
    throw new WeftError('invalid_argument', `a MAC address has 6 bytes, got ${bytes.length}`)
  }
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') as MacAddress
}

/** 02:42 and the four bytes of the address, as Docker does: readable, unique where the IP is. */
export function macFromIpv4(address: Ipv4Address): MacAddress {
  return bytesToMac(Uint8Array.of(0x02, 0x42, ...ipv4ToBytes(address)))
}

/** The IPv4 address that macFromIpv4 makes this MAC of; null: of none. */
export function ipv4OfMac(mac: MacAddress): Ipv4Address | null {
  return mac.startsWith('02:42:') ? bytesToIpv4(macToBytes(mac).subarray(2)) : null
}

/** Whether frames to it go to many: the group bit, which broadcast has as well. */
export function isMulticast(mac: MacAddress): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 0x01) !== 0
}

/** Whether one interface may have it: neither multicast nor all zeros. */
export function isUnicastMac(mac: MacAddress): boolean {
  return !isMulticast(mac) && mac !== '00:00:00:00:00:00'
}

/**
 * The link-local address that an interface with this MAC gives itself: fe80::/64 and the modified
 * EUI-64 of RFC 4291 appendix A (ff:fe in the middle, universal bit turned over).
 */
export function linkLocalOf(mac: MacAddress): Ipv6Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macToBytes(mac)
  return bytesToIpv6(
    Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 0x02, b, c, 0xff, 0xfe, d, e, f),
  )
}

// An IPv4 address: a branded string in its one dotted-decimal form, so that equal addresses are
// equal strings and may be keys of a Map.

import { WeftError, quote } from '../errors.ts'

declare const brand: unique symbol
export type Ipv4Address = string & { readonly [brand]: 'Ipv4Address' }

/** Bytes of an IPv4 address on the wire. */
export const IPV4_BYTES = 4

const ZERO = 0x30
const OCTET = /^(?:0|[1-9][0-9]{0,2})$/

/**
 * Reads four decimal numbers of 0-255 without leading zeros: `010` is 8 to some resolvers and 10 to
 * others, so it is refused with both sides of the doubt removed.
 *
 * @throws WeftError invalid_argument
 */
export function parseIpv4Address(text: string): Ipv4Address {
  if (isIpv4Address(text)) return text
  const plain = text.replaceAll(/(?<![0-9])0+(?=[0-9])/g, '')
  if (isIpv4Address(plain)) {
    throw new WeftError(
      'invalid_argument',
      `IPv4 address ${quote(text)} has leading zeros, which some programs read as octal; write ${plain}`,
    )
  }
  throw new WeftError(
    'invalid_argument',
    `${quote(text)} is not an IPv4 address; write four numbers of 0-255, as in 10.0.1.3`,
  )
}

/** Whether `text` is an IPv4 address as parseIpv4Address takes it. */
export function isIpv4Address(text: string): text is Ipv4Address {
  const octets = text.split('.')
  return (
    octets.length === IPV4_BYTES &&
    octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)
  )
}

/** The four bytes in wire order. */
export function ipv4ToBytes(address: Ipv4Address): Uint8Array {
  const bytes = new Uint8Array(IPV4_BYTES)
  let octet = 0
  for (let i = 0; i < address.length; i++) {
    const digit = address.charCodeAt(i) - ZERO
    // What is below the digits is the dot.
    if (digit < 0) octet++
    else bytes[octet] = (bytes[octet] ?? 0) * 10 + digit
  }
  return bytes
}

/**
 * The address of four bytes in wire order.
 *
 * @throws WeftError invalid_argument when there are not four
 */
export function bytesToIpv4(bytes: Uint8Array): Ipv4Address {
  if (bytes.length !== IPV4_BYTES) {
    throw new WeftError('invalid_argument', `an IPv4 address has 4 bytes, got ${bytes.length}`)
  }
  return bytes.join('.') as Ipv4Address
}

/** The address as a number of 32 bits: to count through a subnet. */
export function ipv4ToNumber(address: Ipv4Address): number {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4ToBytes(address)
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

/** The address of a number of 32 bits. */
export function numberToIpv4(number: number): Ipv4Address {
  return `${number >>> 24}.${(number >>> 16) & 0xff}.${(number >>> 8) & 0xff}.${number & 0xff}` as Ipv4Address
}

/** Whether one host may have it: not 0.0.0.0/8, loopback, multicast, reserved or broadcast. */
export function isUnicastIpv4(address: Ipv4Address): boolean {
  const [first = 0] = ipv4ToBytes(address)
  return first !== 0 && first !== 127 && first < 224
}

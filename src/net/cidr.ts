// A subnet in CIDR notation: the network's address and how many leading bits it fixes. The address
// has no host bits, so that equal subnets format alike.

import { WeftError, quote } from '../errors.ts'
import { type IpAddress, isIpv6, parseIpAddress } from './ip-address.ts'
import { type Ipv4Address, IPV4_BYTES, bytesToIpv4, ipv4ToBytes } from './ipv4-address.ts'
import { type Ipv6Address, bytesToIpv6, ipv6ToBytes } from './ipv6-address.ts'

export interface Ipv4Cidr {
  readonly family: 4
  /** The network's address: the lowest one. */
  readonly address: Ipv4Address
  /** 0-32. */
  readonly prefixLength: number
}

export interface Ipv6Cidr {
  readonly family: 6
  readonly address: Ipv6Address
  /** 0-128. */
  readonly prefixLength: number
}

export type Cidr = Ipv4Cidr | Ipv6Cidr

/** The addresses of a subnet's family. */
export type AddressOf<C extends Cidr> = C extends Ipv4Cidr ? Ipv4Address : Ipv6Address

/**
 * Reads `ADDRESS/LENGTH` of either family. Host bits are refused with the corrected value: whether
 * 10.0.1.3/24 meant the subnet or the address is for its writer to say.
 *
 * @throws WeftError invalid_argument
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf('/')
  if (slash < 0) {
    throw invalid(`${quote(text)} is not a subnet; write it as in 10.0.1.0/24 or fd57:1::/64`)
  }
  const address = parseIpAddress(text.slice(0, slash))
  const lengthText = text.slice(slash + 1)
  const maxLength = isIpv6(address) ? 128 : 32
  const prefixLength = /^(?:0|[1-9][0-9]{0,2})$/.test(lengthText) ? Number(lengthText) : NaN
  // Also true of NaN.
  if (!(prefixLength <= maxLength)) {
    throw invalid(`${quote(text)} has no valid prefix length; write 0-${maxLength} after the slash`)
  }
  const cidr = cidrOf(address, prefixLength)
  if (cidr.address !== address) {
    throw invalid(`${quote(text)} has host bits; write ${formatCidr(cidr)} for the subnet`)
  }
  return cidr
}

/**
 * As parseCidr, for IPv4 only.
 *
 * @throws WeftError invalid_argument
 */
export function parseIpv4Cidr(text: string): Ipv4Cidr {
  const cidr = parseCidr(text)
  if (cidr.family === 4) return cidr
  throw invalid(`${quote(text)} is an IPv6 subnet; write an IPv4 one here, as in 10.0.1.0/24`)
}

/**
 * As parseCidr, for IPv6 only.
 *
 * @throws WeftError invalid_argument
 */
export function parseIpv6Cidr(text: string): Ipv6Cidr {
  const cidr = parseCidr(text)
  if (cidr.family === 6) return cidr
  throw invalid(`${quote(text)} is an IPv4 subnet; write an IPv6 one here, as in fd57:1::/64`)
}

/** The subnet of `prefixLength` bits that `address` lies in. The length must fit the family. */
export function cidrOf(address: IpAddress, prefixLength: number): Cidr {
  const bytes = toBytes(address).map((byte, index) => byte & maskByte(prefixLength, index))
  return isIpv6(address)
    ? { family: 6, address: bytesToIpv6(bytes), prefixLength }
    : { family: 4, address: bytesToIpv4(bytes), prefixLength }
}

/** `ADDRESS/LENGTH`, canonical. */
export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefixLength}`
}

/** Whether the address lies in the subnet; never for one of the other family. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  return samePrefix(toBytes(cidr.address), toBytes(address), cidr.prefixLength)
}

/** Whether the two have an address in common; never when their families differ. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  const shorter = Math.min(a.prefixLength, b.prefixLength)
  return samePrefix(toBytes(a.address), toBytes(b.address), shorter)
}

/**
 * In an order in which a subnet stands behind all that enclose it, and before all that it encloses: IPv4 first, then by address,
 * then the larger first. Equal ones stay in the order that they have.
 */
export function sortedByCidr<T extends { readonly cidr: Cidr }>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, cidr: item.cidr, bytes: toBytes(item.cidr.address) }))
    .sort(
      (a, b) =>
        a.cidr.family - b.cidr.family ||
        Buffer.compare(a.bytes, b.bytes) ||
        a.cidr.prefixLength - b.cidr.prefixLength,
    )
    .map(({ item }) => item)
}

/**
 * The first address that an interface may have: the one after the network's. A subnet of one or two
 * addresses has no network address to skip (RFC 3021, RFC 6164), there it is the lowest.
 */
export function firstAddress<C extends Cidr>(cidr: C): AddressOf<C>
export function firstAddress(cidr: Cidr): IpAddress {
  const bytes = toBytes(cidr.address)
  if (bytes.length * 8 - cidr.prefixLength > 1) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1
  return fromBytes(bytes)
}

/** The highest address of the subnet: in IPv4 the broadcast address (except in /31 and /32). */
export function lastAddress<C extends Cidr>(cidr: C): AddressOf<C>
export function lastAddress(cidr: Cidr): IpAddress {
  return fromBytes(
    toBytes(cidr.address).map((byte, index) => byte | (0xff & ~maskByte(cidr.prefixLength, index))),
  )
}

/** The bits of byte `index` that a prefix of that length fixes. */
function maskByte(prefixLength: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefixLength - index * 8))
  return 0xff & (0xff << (8 - bits))
}

function samePrefix(a: Uint8Array, b: Uint8Array, prefixLength: number): boolean {
  if (a.length !== b.length) return false
  return a.every((byte, index) => ((byte ^ (b[index] ?? 0)) & maskByte(prefixLength, index)) === 0)
}

function toBytes(address: IpAddress): Uint8Array {
  return isIpv6(address) ? ipv6ToBytes(address) : ipv4ToBytes(address)
}

function fromBytes(bytes: Uint8Array): IpAddress {
  return bytes.length === IPV4_BYTES ? bytesToIpv4(bytes) : bytesToIpv6(bytes)
}

function invalid(message: string): WeftError {
  return new WeftError('invalid_argument', message)
}

// An IPv6 address: a branded string in the canonical form of RFC 5952 (lower case, no leading
// zeros, the longest run of zero groups as `::`), so that equal addresses are equal strings.

import { WeftError, quote } from '../errors.ts'
import { bytesToIpv4, ipv4ToBytes, isIpv4Address } from './ipv4-address.ts'

declare const brand: unique symbol
export type Ipv6Address = string & { readonly [brand]: 'Ipv6Address' }

/** Bytes of an IPv6 address on the wire. */
export const IPV6_BYTES = 16
const GROUPS = 8

/**
 * Reads every form of RFC 4291 section 2.2 and gives the canonical one. No zone (`%eth0`), no
 * brackets, no prefix length: those belong to other types.
 *
 * @throws WeftError invalid_argument
 */
export function parseIpv6Address(text: string): Ipv6Address {
  const groups = readGroups(text)
  if (groups === undefined) {
    const hint = text.includes('%') ? 'write it without the zone' : 'write it as in fd57:1::4'
    throw new WeftError('invalid_argument', `${quote(text)} is not an IPv6 address; ${hint}`)
  }
  return formatGroups(groups)
}

/** The sixteen bytes in wire order. */
export function ipv6ToBytes(address: Ipv6Address): Uint8Array {
  // The brand says that the text was read once already.
  const bytes = new Uint8Array(IPV6_BYTES)
  for (const [index, group] of (readGroups(address) ?? []).entries()) {
    bytes[2 * index] = group >> 8
    bytes[2 * index + 1] = group & 0xff
  }
  return bytes
}

/**
 * The address of sixteen bytes in wire order.
 *
 * @throws WeftError invalid_argument when there are not sixteen
 */
export function bytesToIpv6(bytes: Uint8Array): Ipv6Address {
  if (bytes.length !== IPV6_BYTES) {
    throw new WeftError('invalid_argument', `an IPv6 address has 16 bytes, got ${bytes.length}`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return formatGroups(Array.from({ length: GROUPS }, (_, index) => view.getUint16(index * 2)))
}

/** Whether one host may have it: not ::, ::1, link-local fe80::/10, multicast ff00::/8. */
export function isUnicastIpv6(address: Ipv6Address): boolean {
  const bytes = ipv6ToBytes(address)
  const [first = 0, second = 0] = bytes
  if (first === 0xff) return false
  if (first === 0xfe && (second & 0xc0) === 0x80) return false
  return bytes.subarray(0, IPV6_BYTES - 1).some((byte) => byte !== 0) || (bytes[15] ?? 0) > 1
}

/** Eight 16-bit groups, or undefined when `text` is no address. */
function readGroups(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = readSide(halves[0] ?? '', halves.length === 1)
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === GROUPS ? head : undefined
  const tail = readSide(halves[1] ?? '', true)
  if (tail === undefined) return undefined
  const zeros = GROUPS - head.length - tail.length
  // `::` stands for at least one group (RFC 4291 allows "one or more").
  return zeros >= 1 ? [...head, ...Array<number>(zeros).fill(0), ...tail] : undefined
}

/** The groups on one side of `::`; the last of the address may be dotted IPv4, which counts two. */
function readSide(text: string, endsAddress: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else if (endsAddress && index === parts.length - 1 && isIpv4Address(part)) {
      const [a = 0, b = 0, c = 0, d = 0] = ipv4ToBytes(part)
      groups.push((a << 8) | b, (c << 8) | d)
    } else {
      return undefined
    }
  }
  return groups
}

function formatGroups(groups: readonly number[]): Ipv6Address {
  // IPv4-mapped addresses are written with the IPv4 address in sight (RFC 5952 section 5).
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6)
    const ipv4 = bytesToIpv4(Uint8Array.of(high >> 8, high & 0xff, low >> 8, low & 0xff))
    return `::ffff:${ipv4}` as Ipv6Address
  }
  const run = longestZeroRun(groups)
  const hex = groups.map((group) => group.toString(16))
  if (run.length < 2) return hex.join(':') as Ipv6Address
  const head = hex.slice(0, run.start).join(':')
  const tail = hex.slice(run.start + run.length).join(':')
  return `${head}::${tail}` as Ipv6Address
}

/** The first of the longest runs of zero groups: RFC 5952 section 4.2.3 shortens that one. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let start = 0
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start }
  }
  return best
}

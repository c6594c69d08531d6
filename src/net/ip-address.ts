// Either kind of IP address, for what takes both: options of the CLI, the neighbour table, DNS.

import { WeftError, quote } from '../errors.ts'
import { type Ipv4Address, isIpv4Address, parseIpv4Address } from './ipv4-address.ts'
import { type Ipv6Address, parseIpv6Address } from './ipv6-address.ts'

export type IpAddress = Ipv4Address | Ipv6Address

/**
 * Reads an address of either family; a colon decides which.
 *
 * @throws WeftError invalid_argument
 */
export function parseIpAddress(text: string): IpAddress {
  if (text.includes(':')) return parseIpv6Address(text)
  if (isIpv4Address(text)) return text
  if (text.includes('.')) return parseIpv4Address(text)
  throw new WeftError(
    'invalid_argument',
    `${quote(text)} is not an IP address; write it as in 10.0.1.3 or fd57:1::4`,
  )
}

/** Whether `address` is the IPv6 one of the two. */
export function isIpv6(address: IpAddress): address is Ipv6Address {
  return address.includes(':')
}

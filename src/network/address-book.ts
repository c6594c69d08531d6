// Which addresses an endpoint gets: those that it asks for, or those that the facts reserve for it; held by nobody else.
//
// Pure: what is held comes in as arguments.

import { WeftError } from '../errors.ts'
import type { EndpointFact } from '../facts/facts.ts'
import { type LiveRecord, type SubnetValue } from '../netdb/record.ts'
import { cidrContains, formatCidr, lastAddress } from '../net/cidr.ts'
import { type Ipv4Address, parseIpv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import { type MacAddress, isUnicastMac, macFromIpv4, parseMacAddress } from '../net/mac-address.ts'

/** What a user may say about an endpoint's addresses. */
export interface AddressWish {
  readonly ip?: string | undefined
  readonly mac?: string | undefined
}

/** Somebody on the network. */
export interface Holder {
  /** For messages: `c1 on h1`. */
  readonly who: string
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  readonly mac: MacAddress
}

export interface Addresses {
  readonly subnet: SubnetValue
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  readonly mac: MacAddress
}

export interface AddressQuestion {
  readonly network: string
  readonly name: string
  readonly wish: AddressWish
  readonly subnets: readonly LiveRecord<'subnet'>[]
  /** The facts' reservation for this name on this network and host. */
  readonly reservation: EndpointFact | undefined
  readonly holders: readonly Holder[]
}

/**
 * @throws WeftError no_address, address_in_use, mac_in_use, invalid_argument
 */
export function chooseAddresses(question: AddressQuestion): Addresses {
  const { network, name, wish, reservation } = question
  if (wish.ip === undefined && reservation === undefined) {
    throw new WeftError(
      'no_address',
      `network ${network} has no address for ${name}: the facts name no endpoint ${name} on this host; give --ip`,
    )
  }
  const ip = wish.ip === undefined ? (reservation as EndpointFact).ip : parseIpv4Address(wish.ip)
  const reserved = reservation?.ip === ip ? reservation : undefined
  const mac =
    wish.mac === undefined ? (reserved?.mac ?? macFromIpv4(ip)) : parseMacAddress(wish.mac)
  const subnet = subnetOf(question, ip)
  if (!isUnicastMac(mac)) {
    throw new WeftError(
      'invalid_argument',
      `MAC ${mac} is a multicast or zero address; give one of a single interface`,
    )
  }
  const addresses = { subnet, ip, ip6: reserved?.ip6 ?? null, mac }
  requireFree(question, addresses)
  return addresses
}

function subnetOf({ network, subnets }: AddressQuestion, ip: Ipv4Address): SubnetValue {
  const subnet = subnets.find(({ value }) => cidrContains(value.cidr, ip))?.value
  if (subnet === undefined) {
    const all = subnets.map(({ value }) => formatCidr(value.cidr)).join(', ')
    throw new WeftError(
      'invalid_argument',
      `address ${ip} is not in network ${network} (${all}); choose one that is`,
    )
  }
  const { cidr, gateway } = subnet
  if (ip === gateway) {
    throw new WeftError(
      'address_in_use',
      `address ${ip} is the gateway of network ${network}; choose another`,
    )
  }
  // A /31 and a /32 have neither (RFC 3021).
  if (cidr.prefixLength < 31 && (ip === cidr.address || ip === lastAddress(cidr))) {
    const which =
      ip === cidr.address ? 'the address of the subnet itself' : "the subnet's broadcast address"
    throw new WeftError(
      'invalid_argument',
      `address ${ip} is ${which} ${formatCidr(cidr)}; choose another`,
    )
  }
  return subnet
}

function requireFree(
  { network, holders }: AddressQuestion,
  { subnet, ip, ip6, mac }: Addresses,
): void {
  for (const holder of holders) {
    if (holder.ip === ip) {
      throw new WeftError(
        'address_in_use',
        `address ${ip} of network ${network} is held by ${holder.who}; choose another`,
      )
    }
    if (ip6 !== null && holder.ip6 === ip6) {
      throw new WeftError(
        'address_in_use',
        `address ${ip6} of network ${network} is held by ${holder.who}; choose another`,
      )
    }
    if (holder.mac === mac) {
      throw new WeftError(
        'mac_in_use',
        `MAC ${mac} is used on network ${network} by ${holder.who}; choose another`,
      )
    }
  }
  if (mac === macFromIpv4(subnet.gateway)) {
    throw new WeftError(
      'mac_in_use',
      `MAC ${mac} is the gateway's on network ${network}; choose another`,
    )
  }
}

// Which addresses the endpoints of this host get, and what of the cluster's is held: by records, by promises whose records are not
// written yet, by the facts file.
//
//   --ip, --mac        these, if nobody has them (src/ipam)
//   the facts file     what it reserves for that name on this host
//   neither            the first free one that this host prefers (src/ipam)

import { WeftError } from '../errors.ts'
import type { EndpointFact, Facts } from '../facts/facts.ts'
import { type AddressWish, chooseAddresses } from '../ipam/address-choice.ts'
import { HeldAddresses, type Holder } from '../ipam/held-addresses.ts'
import type { Contenders } from '../ipam/preference.ts'
import { cidrContains } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import { type MacAddress, macFromIpv4, parseMacAddress } from '../net/mac-address.ts'
import { type LiveRecord, type SubnetValue, recordName } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'

export interface AddressBookOptions {
  readonly netdb: Netdb
  /** This host's name. */
  readonly host: string
  /** The facts file as it is now; undefined without one. */
  readonly facts: () => Facts | undefined
  readonly contenders: () => Contenders
  /** Clock.nowMs */
  readonly nowMs: () => number
  /**
   * Whether an address may be chosen: this host has heard what others hold.
   *
   * @throws WeftError not_in_cluster, unavailable
   */
  readonly requireSynced: () => void
}

export interface AddressQuestion {
  /** Of the endpoint, or the key of a VIP. */
  readonly endpointId: string
  readonly name: string
  readonly network: LiveRecord<'network'>
  readonly subnets: readonly SubnetValue[]
  readonly wish: AddressWish
  /** Of a service: the lowest address that is free, whatever this host prefers. Services are few, and made by hand. */
  readonly isVip?: boolean
}

export interface Addresses {
  readonly subnet: SubnetValue
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  readonly mac: MacAddress
  readonly supersedes: readonly string[]
  /** They were asked for, by the user or the facts file: no others will do. */
  readonly asked: boolean
}

/** Neighbours may remember for so long who had an address: twice the kernel's gc_stale_time. */
const RELEASED_MS = 120_000
/** Per network; the longest released are forgotten first. */
const MOST_RELEASED = 4_096

export class AddressBook {
  readonly #options: AddressBookOptions
  readonly #promised = new Map<string, Holder & { readonly networkId: string }>()
  /** Network → address → when it was released. */
  readonly #released = new Map<string, Map<Ipv4Address, number>>()

  constructor(options: AddressBookOptions) {
    this.#options = options
    options.netdb.watch(({ before, after }) => {
      if (before?.kind !== 'endpoint' || before.value === null) return
      const { network, ip } = before.value
      if (after?.kind === 'endpoint' && after.value?.ip === ip) return
      this.#noteReleased(network, ip)
    })
  }

  /**
   * Chooses addresses and holds them for the endpoint until forget().
   *
   * @throws WeftError no_address, address_in_use, mac_in_use, invalid_argument, unavailable
   */
  promise(question: AddressQuestion): Addresses {
    const { endpointId, name, network } = question
    const addresses = this.#choose(question)
    const { ip, ip6, mac } = addresses
    this.#promised.set(endpointId, {
      record: question.isVip === true ? `vip/${endpointId}` : this.#recordOf(endpointId),
      who: question.isVip === true ? `the VIP of ${name}` : `${name} on ${this.#options.host}`,
      absent: false,
      networkId: network.key,
      ip,
      ip6,
      mac,
    })
    return addresses
  }

  /** Its record holds them from now on, or nobody. */
  forget(endpointId: string): void {
    this.#promised.delete(endpointId)
  }

  #choose(question: AddressQuestion): Addresses {
    const { name, network, subnets, wish } = question
    const facts = this.#factsOf(network.value.name)
    const own =
      question.isVip === true
        ? undefined
        : facts.find((fact) => fact.host === this.#options.host && fact.name === name)
    const isReserved = own !== undefined && isFor(wish, own)
    if (isReserved) {
      const mac = wish.mac === undefined ? own.mac : parseMacAddress(wish.mac)
      return this.#reserved(question, { ...own, mac })
    }
    const asksIp = wish.ip !== undefined || wish.ip6 !== undefined
    if (!asksIp) this.#requireSynced(question)
    const held = new HeldAddresses(subnets, this.#holders(question, facts))
    const chosen = chooseAddresses({
      networkId: network.key,
      network: network.value.name,
      wish,
      subnets,
      held,
      released: this.#releasedOn(network.key),
      contenders:
        question.isVip === true
          ? { self: this.#options.netdb.self, members: [] }
          : this.#options.contenders(),
    })
    return { ...chosen, asked: asksIp || wish.mac !== undefined }
  }

  #reserved(question: AddressQuestion, fact: EndpointFact): Addresses {
    const { subnets, network } = question
    const holders = this.#holders(question, [])
    // An IPv6 address of the file need not follow the IPv4 one: only who has exactly these is in the way.
    const { ip, mac, ip6 = null } = fact
    const twin = holders.find((one) => ip6 !== null && one.ip6 === ip6)
    if (twin !== undefined && twin.ip !== ip) {
      throw new WeftError(
        'address_in_use',
        `address ${ip6 ?? ''} of network ${network.value.name} is held by ${twin.who}; choose another`,
      )
    }
    const inTheWay = holders.filter((one) => one.ip === ip || one.mac === mac)
    const chosen = chooseAddresses({
      networkId: network.key,
      network: network.value.name,
      wish: { ip, mac },
      subnets,
      held: new HeldAddresses(subnets, inTheWay),
      released: new Map(),
      contenders: this.#options.contenders(),
    })
    return { ...chosen, ip6, asked: true }
  }

  /** Hosts that are in no cluster cannot tell each other what they have chosen. */
  #requireSynced({ network, name }: AddressQuestion): void {
    try {
      this.#options.requireSynced()
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'not_in_cluster') throw error
      throw new WeftError(
        'no_address',
        `network ${network.value.name} has no address for ${name}: the facts name no endpoint ${name} on this host, and in no cluster ` +
          'others are not heard; give --ip, or begin a cluster with weft init',
        { cause: error },
      )
    }
  }

  #factsOf(network: string): EndpointFact[] {
    const facts = this.#options.facts()
    return facts === undefined ? [] : facts.endpoints.filter((fact) => fact.network === network)
  }

  /** Records first: of two who have one address the message names an endpoint rather than a line of a file. */
  #holders(
    { endpointId, name, network, subnets, wish }: AddressQuestion,
    facts: readonly EndpointFact[],
  ): Holder[] {
    const { netdb, host } = this.#options
    const onNetwork = (records: LiveRecord<'endpoint'>[], absent: boolean): Holder[] =>
      records
        .filter(({ value }) => value.network === network.key)
        .map((record) => ({
          record: recordName(record),
          who: `${record.value.name} on ${netdb.nameOfMember(record.owner)}`,
          absent,
          ip: record.value.ip,
          ip6: record.value.ip6,
          mac: record.value.mac,
        }))
    const reserved = facts
      .filter((fact) => !(fact.host === host && fact.name === name))
      // Who asks for another host's address may have it while that one has not come.
      .filter((fact) => fact.host === host || (wish.ip === undefined && wish.ip6 === undefined))
      .filter(({ ip }) => subnets.some(({ cidr }) => cidrContains(cidr, ip)))
      .map((fact) => ({
        record: `fact/${fact.host}/${fact.name}`,
        who: `${fact.name} on ${fact.host} (by the facts file)`,
        absent: false,
        ip: fact.ip,
        ip6: fact.ip6 ?? null,
        mac: fact.mac,
      }))
    const vips = netdb
      .list('vip')
      .filter(({ key, value }) => value.network === network.key && key !== endpointId)
      .map((record) => ({
        record: recordName(record),
        who: `the VIP of service ${netdb.get('service', record.value.service)?.value.name ?? record.value.service}`,
        absent: false,
        ip: record.value.ip,
        ip6: record.value.ip6,
        mac: macFromIpv4(record.value.ip),
      }))
    return [
      ...onNetwork(netdb.list('endpoint'), false),
      ...onNetwork(netdb.listHidden('endpoint'), true),
      ...vips,
      ...[...this.#promised]
        .filter(([id, { networkId }]) => id !== endpointId && networkId === network.key)
        .map(([, holder]) => holder),
      ...reserved,
    ]
  }

  #recordOf(endpointId: string): string {
    return recordName({ kind: 'endpoint', key: endpointId, owner: this.#options.netdb.self })
  }

  #noteReleased(network: string, ip: Ipv4Address): void {
    const released = this.#released.get(network) ?? new Map<Ipv4Address, number>()
    this.#released.set(network, released)
    // Deleted first: a Map is in the order of insertion.
    released.delete(ip)
    released.set(ip, this.#options.nowMs())
    const [oldest] = released.keys()
    if (released.size > MOST_RELEASED && oldest !== undefined) released.delete(oldest)
  }

  #releasedOn(network: string): ReadonlyMap<Ipv4Address, number> {
    const released = this.#released.get(network)
    if (released === undefined) return new Map()
    const since = this.#options.nowMs() - RELEASED_MS
    for (const [ip, atMs] of released) if (atMs < since) released.delete(ip)
    if (released.size === 0) this.#released.delete(network)
    return released
  }
}

/** Whether what the file reserves will do. */
function isFor({ ip, ip6 }: AddressWish, fact: EndpointFact): boolean {
  return (ip === undefined || ip === fact.ip) && (ip6 === undefined || ip6 === fact.ip6)
}

// Claims of this host's endpoints: from a wish to a record that no other host disputes. Interfaces, ports and rows are endpoints.ts's.
//
//   promise: addresses → put: the record → settle: the other hosts know; another address if one of them was faster

import { WeftError } from '../errors.ts'
import type { AddressWish } from '../ipam/address-choice.ts'
import { NO_CLAIMS, collisions } from '../ipam/collisions.ts'
import { subnetOfEndpoint } from '../ipam/endpoint-subnet.ts'
import { parseName } from '../net/name.ts'
import { type SubnetValue, type Written, recordName } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import type { AddressBook, Addresses } from './address-book.ts'
import type { Networks } from './networks.ts'
import type { EndpointSpec } from './sandbox-spec.ts'

/** What a sandbox wants of one network. */
export interface EndpointWish extends AddressWish {
  readonly network: string
  readonly name: string
  readonly interface: string
  readonly aliases?: readonly string[] | undefined
  readonly service?: string | undefined
}

/** An endpoint whose addresses may change. */
export interface Claimant {
  spec: EndpointSpec
}

export interface EndpointClaimsOptions {
  readonly netdb: Netdb
  readonly networks: Networks
  readonly book: AddressBook
  readonly randomBytes: (size: number) => Uint8Array
  /** Has the other hosts know records of ours; settles when they do, or when waiting is no use. */
  readonly acknowledge: (records: readonly string[]) => Promise<void>
}

const ID_BYTES = 32
/** Each time somebody was faster; nobody is so often. */
const ATTEMPTS = 8

export class EndpointClaims {
  readonly #options: EndpointClaimsOptions

  constructor(options: EndpointClaimsOptions) {
    this.#options = options
  }

  /**
   * Chooses addresses and promises them; put() or forget() must follow.
   *
   * @throws WeftError not_found, no_address, address_in_use, mac_in_use, invalid_argument, unavailable
   */
  async promise(wish: EndpointWish, mtuOf: (networkId: string) => number): Promise<EndpointSpec> {
    const { networks, book, randomBytes } = this.#options
    const service = wish.service === undefined ? null : parseName('service', wish.service)
    const network = await networks.find(wish.network)
    const subnets = networks.subnetsOf(network.key).map(({ value }) => value)
    const endpointId = Buffer.from(randomBytes(ID_BYTES)).toString('hex')
    const addresses = book.promise({ endpointId, name: wish.name, network, subnets, wish })
    return {
      id: endpointId,
      network: network.value.name,
      networkId: network.key,
      interface: wish.interface,
      ...specOf(addresses),
      mtuBytes: mtuOf(network.key),
      aliases: [...(wish.aliases ?? [])],
      service,
      health: null,
      claimedAt: null,
      formerly: null,
    }
  }

  /** Takes a promise back. */
  forget(spec: EndpointSpec): void {
    this.#options.book.forget(spec.id)
  }

  /** The record says so from now on. Gives the spec with its claim, which is to be written down with it. */
  put(name: string, spec: EndpointSpec): EndpointSpec {
    const { netdb, book } = this.#options
    const { claimedAt } = netdb.put(
      'endpoint',
      spec.id,
      endpointValue(name, spec),
      spec.claimedAt ?? undefined,
    ).value
    book.forget(spec.id)
    return { ...spec, claimedAt }
  }

  /**
   * Has the other hosts know of endpoints that nobody uses yet. If one of them claimed the same address at the same moment, and keeps
   * it, the next is taken; `onMoved` follows then.
   *
   * @throws WeftError address_in_use when no other will do, no_address, unavailable
   */
  async settle(name: string, endpoints: readonly Claimant[], onMoved: () => void): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      await this.known(endpoints.map(({ spec }) => spec))
      const beaten = endpoints.filter((endpoint) => this.#isBeaten(endpoint))
      if (beaten.length === 0) return
      for (const endpoint of beaten) {
        this.#move(name, endpoint)
        onMoved()
      }
    }
    throw new WeftError(
      'unavailable',
      `${name}: other hosts took ${ATTEMPTS} addresses in a row at the same moment; try again`,
    )
  }

  /**
   * Settles when every host that can be reached knows that the endpoints are there: what starts now is answered everywhere;
   * or that they are gone: their addresses are free everywhere.
   */
  async known(endpoints: readonly EndpointSpec[]): Promise<void> {
    await this.#options.acknowledge(endpoints.map((spec) => this.#recordOf(spec)))
  }

  /**
   * Gives one that is in use other addresses, and its record. It stays on its subnet, where its routes begin.
   *
   * @throws WeftError no_address, not_found, unavailable
   */
  move(name: string, endpoint: Claimant): void {
    const { spec } = endpoint
    this.#giveOthers(name, endpoint, (subnet, all) => subnet === subnetOfEndpoint(spec, all))
  }

  #move(name: string, endpoint: Claimant): void {
    const { ip, network, asked } = endpoint.spec
    if (asked) {
      throw new WeftError(
        'address_in_use',
        `address ${ip} of network ${network} was taken by another host at the same moment; choose another`,
      )
    }
    this.#giveOthers(name, endpoint, () => true)
  }

  #giveOthers(
    name: string,
    endpoint: Claimant,
    isRight: (subnet: SubnetValue, all: readonly SubnetValue[]) => boolean,
  ): void {
    const { networks, book } = this.#options
    const { spec } = endpoint
    const network = networks.findHere(spec.networkId)
    const subnets = networks.subnetsOf(network.key).map(({ value }) => value)
    const among = subnets.filter((subnet) => isRight(subnet, subnets))
    const question = { endpointId: spec.id, name, network, subnets: among, wish: {} }
    const given = { ...spec, ...specOf(book.promise(question)), claimedAt: null }
    endpoint.spec = this.put(name, given)
  }

  /** Whether another claim to its addresses stands before its own. */
  #isBeaten({ spec }: Claimant): boolean {
    const { networks, netdb } = this.#options
    const endpoints = networks.endpointsOf(spec.networkId, true)
    const vips = netdb.list('vip').filter(({ value }) => value.network === spec.networkId)
    const own = this.#recordOf(spec)
    return collisions({ ...NO_CLAIMS, endpoints, vips }).some(({ loses }) => loses === own)
  }

  #recordOf({ id }: EndpointSpec): string {
    return recordName({ kind: 'endpoint', key: id, owner: this.#options.netdb.self })
  }
}

/** What the record of an endpoint says. */
export function endpointValue(name: string, spec: EndpointSpec): Written<'endpoint'> {
  const { networkId: network, vni, mac, ip, ip6, aliases, service, supersedes, health } = spec
  const value = { network, vni, name, aliases, service, mac, ip, ip6, supersedes }
  return health === null ? value : { ...value, health }
}

/** The part of a spec that comes from its addresses. */
function specOf({ subnet, ip, ip6, mac, supersedes, asked }: Addresses) {
  return {
    vni: subnet.vni,
    mac,
    ip,
    prefixLength: subnet.cidr.prefixLength,
    gateway: subnet.gateway,
    ip6,
    prefixLength6: subnet.cidr6?.prefixLength ?? null,
    gateway6: subnet.gateway6,
    supersedes: [...supersedes],
    asked,
  }
}

// Endpoints of this host: from a wish to a record and back. A fact's way begins here.
//
//   promise: addresses; open: TAP from init → record in netdb → rows (flush) → port opened
//   settle:  the other hosts know; another address if one of them was faster
//   set up:  MAC, addresses, routes, up
//   detach:  record removed → rows gone (flush) → port closed
//
// The record is in force before the port is open, so the first frame already meets the tables.

import { randomBytes } from 'node:crypto'
import type { Dataplane } from '../dataplane/binding.ts'
import { receiveDescriptor } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import type { PortId } from '../dataplane/rows.ts'
import { WeftError } from '../errors.ts'
import type { AddressWish } from '../ipam/address-choice.ts'
import { collisions } from '../ipam/collisions.ts'
import { formatCidr } from '../net/cidr.ts'
import { recordName } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import type { InitClient } from '../sandbox/init-client.ts'
import type { AddressBook, Addresses } from './address-book.ts'
import type { Networks } from './networks.ts'
import type { OpenEndpoint } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'

export interface EndpointsOptions {
  readonly netdb: Netdb
  readonly dataplane: Dataplane
  readonly programmer: Programmer
  readonly networks: Networks
  readonly book: AddressBook
  /** This host's member id. */
  readonly self: string
  /** Overlay MTU of networks that do not set one, in bytes. */
  readonly mtuBytes: number
  /** Has the other hosts know records of ours; settles when they do, or when waiting is no use. */
  readonly acknowledge: (records: readonly string[]) => Promise<void>
}

/** What a sandbox wants of one network. */
export interface EndpointWish extends AddressWish {
  readonly network: string
  readonly name: string
  readonly interface: string
  readonly aliases?: readonly string[] | undefined
}

/** Each time somebody was faster; nobody is so often. */
const ATTEMPTS = 8

export class Endpoints {
  readonly #options: EndpointsOptions
  readonly #byPort = new Map<PortId, OpenEndpoint>()
  #lastPort: PortId = 0

  constructor(options: EndpointsOptions) {
    this.#options = options
  }

  /**
   * Chooses addresses and promises them; open() or forget() must follow.
   *
   * @throws WeftError not_found, no_address, address_in_use, mac_in_use, invalid_argument, unavailable
   */
  async promise(wish: EndpointWish): Promise<EndpointSpec> {
    const { networks, book, programmer, mtuBytes } = this.#options
    const network = await networks.find(wish.network)
    const subnets = networks.subnetsOf(network.key).map(({ value }) => value)
    const endpointId = randomBytes(32).toString('hex')
    const addresses = book.promise({ endpointId, name: wish.name, network, subnets, wish })
    return {
      id: endpointId,
      network: network.value.name,
      networkId: network.key,
      interface: wish.interface,
      ...specOf(addresses),
      mtuBytes: programmer.mtuOf(network.key) ?? mtuBytes,
      aliases: [...(wish.aliases ?? [])],
    }
  }

  /** Takes a promise back. */
  forget(spec: EndpointSpec): void {
    this.#options.book.forget(spec.id)
  }

  /** Makes the interface, its port, its record and its rows; it is down. Nothing is left of it when it throws. */
  async open(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    const { programmer, dataplane } = this.#options
    const descriptor = await client.tap(spec.interface, receiveDescriptor)
    const port = ++this.#lastPort
    const endpoint = { spec, port }
    this.#byPort.set(port, endpoint)
    programmer.setPort(spec.id, port)
    this.#putRecord(name, spec)
    programmer.flush()
    // Rows first: an adopted TAP has frames waiting, and the first of them already meets its tables.
    try {
      dataplane.openTap(port, descriptor)
    } catch (error) {
      this.detach(endpoint)
      throw error
    }
    return endpoint
  }

  /**
   * Has the other hosts know of endpoints that are open and not up. If one of them claimed the same address at the same moment, and
   * keeps it, the next is taken.
   *
   * @throws WeftError address_in_use when no other will do, no_address
   */
  async settle(name: string, endpoints: readonly OpenEndpoint[]): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      await this.known(endpoints.map(({ spec }) => spec))
      const beaten = endpoints.filter((endpoint) => this.#isBeaten(endpoint))
      if (beaten.length === 0) return
      for (const endpoint of beaten) this.#moveRecord(name, endpoint)
    }
    throw new WeftError(
      'unavailable',
      `${name}: other hosts took ${ATTEMPTS} addresses in a row at the same moment; try again`,
    )
  }

  /** Gives the interface its addresses and routes, and brings it up. */
  async setUp({ spec }: OpenEndpoint, client: InitClient): Promise<void> {
    await client.setUpLink({
      interface: spec.interface,
      mac: spec.mac,
      mtuBytes: spec.mtuBytes,
      addresses: addressesOf(spec),
      routes: this.#routesOf(spec),
    })
  }

  /** Takes over an interface that an earlier daemon made: it is up and has its addresses. */
  adopt(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    return this.open(name, spec, client)
  }

  /**
   * Settles when every host that can be reached knows that the endpoints are there: what starts now is answered everywhere;
   * or that they are gone: their addresses are free everywhere.
   */
  async known(endpoints: readonly EndpointSpec[]): Promise<void> {
    const { self, acknowledge } = this.#options
    await acknowledge(
      endpoints.map(({ id }) => recordName({ kind: 'endpoint', key: id, owner: self })),
    )
  }

  detach(endpoint: OpenEndpoint): void {
    const { netdb, programmer, dataplane } = this.#options
    netdb.remove('endpoint', endpoint.spec.id)
    programmer.flush()
    programmer.forgetPort(endpoint.spec.id)
    dataplane.closePort(endpoint.port)
    this.#byPort.delete(endpoint.port)
  }

  /** Settles when the interfaces of detached endpoints are closed on our side. */
  settled(): Promise<void> {
    return this.#options.dataplane.settled()
  }

  /** The endpoint behind a port. */
  ofPort(port: PortId): OpenEndpoint | undefined {
    return this.#byPort.get(port)
  }

  /** How many endpoints of this host are on a network. */
  countOn(networkId: string): number {
    let count = 0
    for (const { spec } of this.#byPort.values()) if (spec.networkId === networkId) count++
    return count
  }

  /** Whether another claim to its addresses stands before its own. */
  #isBeaten({ spec }: OpenEndpoint): boolean {
    const { networks, self } = this.#options
    const endpoints = networks.endpointsOf(spec.networkId, true)
    const own = recordName({ kind: 'endpoint', key: spec.id, owner: self })
    return collisions({ networks: [], subnets: [], endpoints, present: [self] }).some(
      ({ loses }) => loses === own,
    )
  }

  /** Another address for an endpoint whose interface has none yet. */
  #moveRecord(name: string, endpoint: OpenEndpoint): void {
    const { networks, book, programmer } = this.#options
    const { spec } = endpoint
    if (spec.asked) {
      throw new WeftError(
        'address_in_use',
        `address ${spec.ip} of network ${spec.network} was taken by another host at the same moment; choose another`,
      )
    }
    const network = networks.findHere(spec.networkId)
    const subnets = networks.subnetsOf(network.key).map(({ value }) => value)
    const addresses = book.promise({ endpointId: spec.id, name, network, subnets, wish: {} })
    endpoint.spec = { ...spec, ...specOf(addresses) }
    this.#putRecord(name, endpoint.spec)
    programmer.flush()
  }

  #putRecord(name: string, spec: EndpointSpec): void {
    const { netdb, book } = this.#options
    const { id, networkId: network, vni, mac, ip, ip6, aliases, supersedes } = spec
    netdb.put('endpoint', id, { network, vni, name, mac, ip, ip6, aliases, supersedes })
    book.forget(id)
  }

  /** The other subnets of the network lie behind the gateway. */
  #routesOf(spec: EndpointSpec): { to: string; via: string }[] {
    const routes: { to: string; via: string }[] = []
    for (const { value } of this.#options.networks.subnetsOf(spec.networkId)) {
      if (value.vni === spec.vni) continue
      routes.push({ to: formatCidr(value.cidr), via: spec.gateway })
      if (value.cidr6 !== null && spec.ip6 !== null && spec.gateway6 !== null) {
        routes.push({ to: formatCidr(value.cidr6), via: spec.gateway6 })
      }
    }
    return routes
  }
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

function addressesOf({ ip, prefixLength, ip6, prefixLength6 }: EndpointSpec): string[] {
  const addresses = [`${ip}/${prefixLength}`]
  if (ip6 !== null && prefixLength6 !== null) addresses.push(`${ip6}/${prefixLength6}`)
  return addresses
}

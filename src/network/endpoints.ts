// Endpoints of this host: from a wish to a record and back. A fact's way begins here.
//
//   promise: addresses (endpoint-claims.ts); open: TAP from init → record in netdb → rows (flush) → port opened
//   settle:  the other hosts know; another address if one of them was faster
//   set up:  MAC, addresses, routes, up
//   move:    of one that is up: other addresses → record → the other hosts know → interface
//   detach:  record removed → rows gone (flush) → port closed
//
// The record is in force before the port is open, so the first frame already meets the tables.

import { randomBytes } from 'node:crypto'
import type { Dataplane } from '../dataplane/binding.ts'
import { receiveDescriptor } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import type { PortId } from '../dataplane/rows.ts'
import { linkLocalOf } from '../net/mac-address.ts'
import type { Vni } from '../net/vni.ts'
import type { HealthStatus } from '../netdb/health-check.ts'
import type { Netdb } from '../netdb/table.ts'
import type { InitClient } from '../sandbox/init-client.ts'
import type { AddressBook } from './address-book.ts'
import { EndpointClaims, type EndpointWish } from './endpoint-claims.ts'
import { routesOf } from './live-routes.ts'
import type { Networks } from './networks.ts'
import type { OpenEndpoint } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'

export interface EndpointsOptions {
  readonly netdb: Netdb
  readonly dataplane: Dataplane
  readonly programmer: Programmer
  readonly networks: Networks
  readonly book: AddressBook
  /** Overlay MTU of networks that do not set one, in bytes. */
  readonly mtuBytes: number
  /** Has the other hosts know records of ours; settles when they do, or when waiting is no use. */
  readonly acknowledge: (records: readonly string[]) => Promise<void>
}

export class Endpoints {
  readonly #options: EndpointsOptions
  readonly #claims: EndpointClaims
  readonly #byPort = new Map<PortId, OpenEndpoint>()
  #lastPort: PortId = 0

  constructor(options: EndpointsOptions) {
    this.#options = options
    this.#claims = new EndpointClaims({ ...options, randomBytes })
  }

  /**
   * Chooses addresses and promises them; open() or forget() must follow.
   *
   * @throws WeftError not_found, no_address, address_in_use, mac_in_use, invalid_argument, unavailable
   */
  promise(wish: EndpointWish): Promise<EndpointSpec> {
    const { programmer, mtuBytes } = this.#options
    return this.#claims.promise(wish, (network) => programmer.mtuOf(network) ?? mtuBytes)
  }

  /** Takes a promise back. */
  forget(spec: EndpointSpec): void {
    this.#claims.forget(spec)
  }

  /** Makes the interface, its port, its record and its rows; it is down. Nothing is left of it when it throws. */
  async open(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    const { programmer, dataplane } = this.#options
    const descriptor = await client.tap(spec.interface, receiveDescriptor)
    const port = ++this.#lastPort
    const endpoint = { spec: this.#claims.put(name, spec), port, isUp: false }
    this.#byPort.set(port, endpoint)
    programmer.setPort(spec.id, port)
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
  settle(name: string, endpoints: readonly OpenEndpoint[]): Promise<void> {
    return this.#claims.settle(name, endpoints, () => {
      this.#options.programmer.flush()
    })
  }

  /** Gives the interface its addresses and routes, and brings it up. */
  async setUp(endpoint: OpenEndpoint, client: InitClient): Promise<void> {
    const { spec } = endpoint
    await client.setUpLink({
      interface: spec.interface,
      mac: spec.mac,
      mtuBytes: spec.mtuBytes,
      addresses: addressesOf(spec),
      routes: routesOf(spec, this.#options.networks),
    })
    endpoint.isUp = true
  }

  /** One that an earlier daemon made has its addresses; adopt() or disclaim() follows. */
  claim(name: string, spec: EndpointSpec): void {
    this.#claims.put(name, spec)
  }

  disclaim(id: string): void {
    this.#options.netdb.remove('endpoint', id)
  }

  /** Takes over an interface that an earlier daemon made: it is up and has its addresses. */
  async adopt(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    const endpoint = await this.open(name, spec, client)
    endpoint.isUp = true
    return endpoint
  }

  /**
   * Gives an endpoint that is up other addresses of its subnet: the other hosts know when it returns, and changeInterface() is due.
   *
   * @throws WeftError no_address, not_found, unavailable
   */
  async move(name: string, endpoint: OpenEndpoint): Promise<void> {
    const { spec } = endpoint
    const { mac, ip, ip6 } = spec
    this.#claims.move(name, endpoint)
    endpoint.spec = { ...endpoint.spec, formerly: spec.formerly ?? { mac, ip, ip6 } }
    this.#options.programmer.flush()
    await this.known([endpoint.spec])
  }

  /** Has the interface of one that moved have its addresses, and its neighbours know; its routes stay. */
  async changeInterface(endpoint: OpenEndpoint, client: InitClient): Promise<void> {
    const { spec } = endpoint
    const { formerly, interface: name, mac, mtuBytes, prefixLength, prefixLength6 } = spec
    if (formerly === null) return
    const addresses = [
      { from: `${formerly.ip}/${prefixLength}`, to: `${spec.ip}/${prefixLength}` },
      // The kernel made it of the MAC when the interface came up, and does not follow.
      { from: `${linkLocalOf(formerly.mac)}/64`, to: `${linkLocalOf(mac)}/64` },
    ]
    if (formerly.ip6 !== null && spec.ip6 !== null && prefixLength6 !== null) {
      const [from, to] = [formerly.ip6, spec.ip6].map((ip6) => `${ip6}/${prefixLength6}`)
      addresses.push({ from: from ?? '', to: to ?? '' })
    }
    await client.changeLink({ interface: name, mac, mtuBytes, addresses })
    // Moved again meanwhile: then that is to be done.
    if (endpoint.spec.ip === spec.ip) endpoint.spec = { ...endpoint.spec, formerly: null }
  }

  /** Its subnet has another VNI by now. */
  follow(name: string, endpoint: OpenEndpoint, vni: Vni): void {
    endpoint.spec = { ...endpoint.spec, vni }
    this.#claims.put(name, endpoint.spec)
    this.#options.programmer.flush()
  }

  /** Tells how it is: other hosts hear of it as of any change. False: that was so already. */
  setHealth(name: string, endpoint: OpenEndpoint, health: HealthStatus | null): boolean {
    if (endpoint.spec.health === health) return false
    endpoint.spec = { ...endpoint.spec, health }
    this.#claims.put(name, endpoint.spec)
    this.#options.programmer.flush()
    return true
  }

  /**
   * Settles when every host that can be reached knows that the endpoints are there: what starts now is answered everywhere;
   * or that they are gone: their addresses are free everywhere.
   */
  known(endpoints: readonly EndpointSpec[]): Promise<void> {
    return this.#claims.known(endpoints)
  }

  /** Again does no harm: who ends a sandbox and who changes it may both come to it. */
  detach(endpoint: OpenEndpoint): void {
    const { netdb, programmer, dataplane } = this.#options
    if (this.#byPort.get(endpoint.port) !== endpoint) return
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
}

function addressesOf({ ip, prefixLength, ip6, prefixLength6 }: EndpointSpec): string[] {
  const addresses = [`${ip}/${prefixLength}`]
  if (ip6 !== null && prefixLength6 !== null) addresses.push(`${ip6}/${prefixLength6}`)
  return addresses
}

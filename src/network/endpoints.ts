// Endpoints of this host: from a wish to a record and back. A fact's way begins here.
//
//   attach: addresses → TAP from init → record in netdb → rows (flush) → port opened → interface set up and up
//   detach: record removed → rows gone (flush) → port closed
//
// The record is in force before the port is open, so the first frame already meets the tables.

import { randomBytes } from 'node:crypto'
import type { Dataplane } from '../dataplane/binding.ts'
import { receiveDescriptor } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import type { PortId } from '../dataplane/rows.ts'
import { WeftError } from '../errors.ts'
import { type Facts } from '../facts/facts.ts'
import { reservationsOf } from '../facts/facts-source.ts'
import { formatCidr } from '../net/cidr.ts'
import { type LiveRecord, recordName } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import type { InitClient } from '../sandbox/init-client.ts'
import { type AddressWish, type Holder, chooseAddresses } from './address-book.ts'
import type { OpenEndpoint } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'

export interface EndpointsOptions {
  readonly netdb: Netdb
  readonly dataplane: Dataplane
  readonly programmer: Programmer
  /** This host's name and member id. */
  readonly host: string
  readonly self: string
  /** Overlay MTU of networks that do not set one, in bytes. */
  readonly mtuBytes: number
  /** Has the other hosts know records of ours; settles when they do, or when waiting is no use. */
  readonly acknowledge: (records: readonly string[]) => Promise<void>
  /** The facts file as it is now; undefined without one. */
  readonly facts: () => Facts | undefined
}

/** What a sandbox wants of one network. */
export interface EndpointWish extends AddressWish {
  readonly network: string
  readonly name: string
  readonly interface: string
}

export class Endpoints {
  readonly #options: EndpointsOptions
  /** Addresses promised to endpoints whose records are not written yet. */
  readonly #promised = new Map<string, Holder & { readonly networkId: string }>()
  readonly #byPort = new Map<PortId, OpenEndpoint>()
  #lastPort: PortId = 0

  constructor(options: EndpointsOptions) {
    this.#options = options
  }

  /**
   * Chooses addresses and promises them; attach() or forget() must follow.
   *
   * @throws WeftError not_found, no_address, address_in_use, mac_in_use, invalid_argument
   */
  promise(wish: EndpointWish): EndpointSpec {
    const { netdb, host, mtuBytes } = this.#options
    const network = this.#network(wish.network)
    const subnets = netdb.list('subnet').filter(({ value }) => value.network === network.key)
    const facts = this.#options.facts()
    const reservations = facts === undefined ? [] : reservationsOf(facts, host)
    const here = reservations.filter((fact) => fact.network === wish.network)
    const { subnet, ip, ip6, mac } = chooseAddresses({
      network: wish.network,
      name: wish.name,
      wish,
      subnets,
      reservation: here.find(({ name }) => name === wish.name),
      holders: [
        ...this.#holders(network.key),
        ...here
          .filter(({ name }) => name !== wish.name)
          .map((fact) => ({
            ...fact,
            ip6: fact.ip6 ?? null,
            who: `${fact.name} on ${host} (by the facts file)`,
          })),
      ],
    })
    const id = randomBytes(32).toString('hex')
    this.#promised.set(id, { who: `${wish.name} on ${host}`, networkId: network.key, ip, ip6, mac })
    return {
      id,
      network: wish.network,
      networkId: network.key,
      interface: wish.interface,
      vni: subnet.vni,
      mac,
      ip,
      prefixLength: subnet.cidr.prefixLength,
      gateway: subnet.gateway,
      ip6,
      prefixLength6: subnet.cidr6?.prefixLength ?? null,
      gateway6: subnet.gateway6,
      mtuBytes: network.value.mtu ?? mtuBytes,
    }
  }

  /** Takes a promise back. */
  forget(spec: EndpointSpec): void {
    this.#promised.delete(spec.id)
  }

  /** Makes the interface, its port, its record and its rows. Nothing is left of it when it throws. */
  async attach(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    const endpoint = await this.#open(name, spec, client)
    try {
      await client.setUpLink({
        interface: spec.interface,
        mac: spec.mac,
        mtuBytes: spec.mtuBytes,
        addresses: addressesOf(spec),
        routes: this.#routesOf(spec),
      })
      return endpoint
    } catch (error) {
      this.detach(endpoint)
      throw error
    }
  }

  /** Takes over an interface that an earlier daemon made: it is up and has its addresses. */
  adopt(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    return this.#open(name, spec, client)
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

  async #open(name: string, spec: EndpointSpec, client: InitClient): Promise<OpenEndpoint> {
    const { netdb, programmer, dataplane } = this.#options
    const descriptor = await client.tap(spec.interface, receiveDescriptor)
    const port = ++this.#lastPort
    const endpoint = { spec, port }
    this.#byPort.set(port, endpoint)
    programmer.setPort(spec.id, port)
    const { networkId, vni, mac, ip, ip6 } = spec
    netdb.put('endpoint', spec.id, { network: networkId, vni, name, mac, ip, ip6 })
    programmer.flush()
    this.#promised.delete(spec.id)
    // Rows first: an adopted TAP has frames waiting, and the first of them already meets its tables.
    try {
      dataplane.openTap(port, descriptor)
    } catch (error) {
      this.detach(endpoint)
      throw error
    }
    return endpoint
  }

  /** @throws WeftError not_found */
  #network(name: string): LiveRecord<'network'> {
    const networks = this.#options.netdb.list('network')
    const found = networks.find(({ value }) => value.name === name)
    if (found !== undefined) return found
    const known = networks.map(({ value }) => value.name).join(', ')
    throw new WeftError(
      'not_found',
      `network ${name} does not exist; ${known === '' ? 'there is none' : `there are ${known}`}`,
    )
  }

  #holders(networkId: string): Holder[] {
    const { netdb } = this.#options
    const records = netdb.list('endpoint').filter(({ value }) => value.network === networkId)
    return [
      ...records.map(({ owner, value }) => ({
        ...value,
        who: `${value.name} on ${netdb.nameOfMember(owner)}`,
      })),
      ...[...this.#promised.values()].filter((holder) => holder.networkId === networkId),
    ]
  }

  /** The other subnets of the network lie behind the gateway. */
  #routesOf(spec: EndpointSpec): { to: string; via: string }[] {
    const routes: { to: string; via: string }[] = []
    for (const { value } of this.#options.netdb.list('subnet')) {
      if (value.network !== spec.networkId || value.vni === spec.vni) continue
      routes.push({ to: formatCidr(value.cidr), via: spec.gateway })
      if (value.cidr6 !== null && spec.ip6 !== null && spec.gateway6 !== null) {
        routes.push({ to: formatCidr(value.cidr6), via: spec.gateway6 })
      }
    }
    return routes
  }
}

function addressesOf({ ip, prefixLength, ip6, prefixLength6 }: EndpointSpec): string[] {
  const addresses = [`${ip}/${prefixLength}`]
  if (ip6 !== null && prefixLength6 !== null) addresses.push(`${ip6}/${prefixLength6}`)
  return addresses
}

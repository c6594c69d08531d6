// The services of the cluster: made, found, changed and removed from any host.
//
//   create   ask a peer → VIPs → records → acknowledged → did an older service claim the name, or another the address, meanwhile?
//   remove   its records are tombstones: flows to its VIPs end with them
//   revip    a VIP that lost its address gets another (repair.ts); what was connected to the old one ends, as when an endpoint moves
//
// Between the choice of a VIP and its record nothing is awaited: two on this host never get the same.

import type { Clock } from '../clock.ts'
import { WeftError } from '../errors.ts'
import { NO_CLAIMS, collisions } from '../ipam/collisions.ts'
import { NETWORK_ID_BYTES, networkIdFrom } from '../ipam/network-id.ts'
import { parseName } from '../net/name.ts'
import { HEALTH_CHECK, type HealthChange, type HealthCheck } from '../netdb/health-check.ts'
import {
  type EndpointMode,
  type LiveRecord,
  type SchedulerName,
  type Written,
  backendKey,
  recordName,
  vipKey,
} from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { findBackends } from '../service/backend-reference.ts'
import { type Endpoint, backendsOf } from '../service/backends.ts'
import { type ServiceRecord, findService, serviceNamed } from '../service/service-reference.ts'
import type { AddressBook } from './address-book.ts'
import type { Networks } from './networks.ts'
import type { Peers } from './peers.ts'

/** What a user wants of a service. */
export interface ServiceWish {
  readonly name: string
  /** By name, id, or the beginning of an id. */
  readonly networks: readonly string[]
  readonly endpointMode: EndpointMode
  readonly scheduler: SchedulerName
  readonly labels: Readonly<Record<string, string>>
  /** Of its backends that do not say another themselves. */
  readonly health?: HealthCheck
}

/** What is to be another way; a backend by its endpoint's name, HOST/NAME, or the beginning of its id. */
export interface ServiceChange {
  readonly scheduler?: SchedulerName | undefined
  readonly labelsAdded?: Readonly<Record<string, string>> | undefined
  readonly labelsRemoved?: readonly string[] | undefined
  readonly drain?: readonly string[] | undefined
  readonly undrain?: readonly string[] | undefined
  readonly weights?: Readonly<Record<string, number>> | undefined
  /** What is to be another way; null: no check. */
  readonly health?: HealthChange | null | undefined
}

export interface ServicesOptions {
  readonly netdb: Netdb
  readonly peers: Peers
  readonly networks: Networks
  readonly book: AddressBook
  readonly clock: Pick<Clock, 'wallMs'>
  readonly randomBytes: (size: number) => Uint8Array
}

/** Each time somebody was faster; nobody is so often. */
const ATTEMPTS = 8

export class Services {
  readonly #options: ServicesOptions

  constructor(options: ServicesOptions) {
    this.#options = options
  }

  /**
   * Makes a service that all hosts know of when it returns; gives its id.
   *
   * @throws WeftError invalid_argument, name_in_use, not_found, no_address, not_in_cluster, unavailable
   */
  async create(wish: ServiceWish): Promise<string> {
    const { netdb, peers, networks, clock, randomBytes } = this.#options
    const name = parseName('service', wish.name)
    peers.requireSynced()
    await peers.refresh()
    const found = wish.networks.map((text) => networks.findHere(text).key)
    const ids = [...new Set(found)]
    if (ids.length === 0) {
      throw new WeftError('invalid_argument', `service ${name} is on no network; give --network`)
    }
    this.#requireNameFree(name)
    const id = networkIdFrom(randomBytes(NETWORK_ID_BYTES))
    const { endpointMode, scheduler, labels, health } = wish
    const createdAtMs = clock.wallMs()
    try {
      netdb.put('service', id, {
        name,
        endpointMode,
        scheduler,
        networks: ids,
        labels,
        ...(health === undefined ? {} : { healthCheck: health }),
        createdAtMs,
      })
      const vips = endpointMode === 'vip' ? ids : []
      for (const network of vips) this.#putVip(id, name, network)
      await peers.acknowledge([`service/${id}`, ...vips.map((network) => `vip/${id}/${network}`)])
      for (let attempt = 1; ; attempt++) {
        if (serviceNamed(netdb.list('service'), name)?.key !== id) this.#requireNameFree(name, id)
        const beaten = vips.filter((network) => this.#isBeaten(id, network))
        if (beaten.length === 0) return id
        if (attempt === ATTEMPTS) {
          throw new WeftError(
            'unavailable',
            `service ${name}: other hosts took ${ATTEMPTS} addresses in a row at the same moment; try again`,
          )
        }
        for (const network of beaten) this.#putVip(id, name, network)
        await peers.acknowledge(beaten.map((network) => `vip/${id}/${network}`))
      }
    } catch (error) {
      await peers.acknowledge(this.#erase(id))
      throw error
    }
  }

  /**
   * By name, id, or the beginning of an id; asks a peer before it says no.
   *
   * @throws WeftError not_found, invalid_argument
   */
  async find(text: string): Promise<ServiceRecord> {
    const { netdb, peers } = this.#options
    try {
      return findService(netdb.list('service'), text)
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'not_found') throw error
      await peers.refresh()
      return findService(netdb.list('service'), text)
    }
  }

  list(): ServiceRecord[] {
    const byName = (a: ServiceRecord, b: ServiceRecord): number =>
      a.value.name < b.value.name
        ? -1
        : Number(a.value.name > b.value.name) || (a.key < b.key ? -1 : 1)
    return this.#options.netdb.list('service').sort(byName)
  }

  /** In the order of its networks. */
  vipsOf({ key, value }: ServiceRecord): LiveRecord<'vip'>[] {
    const { netdb } = this.#options
    return value.networks.flatMap(
      (network) => netdb.get('vip', vipKey({ service: key, network })) ?? [],
    )
  }

  /** Its endpoints on all of its networks, as they take turns; those of dead hosts are not among them. */
  backendsOf(service: ServiceRecord) {
    const { netdb } = this.#options
    const endpoints = netdb.list('endpoint')
    const settings = netdb.list('backend')
    return service.value.networks.flatMap((network) =>
      backendsOf({ service, network, endpoints, fallen: [], settings }),
    )
  }

  /**
   * @throws WeftError not_found, ambiguous, invalid_argument
   */
  async update(text: string, change: ServiceChange): Promise<void> {
    const { netdb, peers } = this.#options
    // A backend may have come just now, and what others decided is not to be lost.
    await peers.refresh()
    const service = findService(netdb.list('service'), text)
    const { drain = [], undrain = [], weights = {} } = change
    // All are found before one is changed.
    const decided = [
      ...drain.map((name) => [name, { drain: true }] as const),
      ...undrain.map((name) => [name, { drain: false }] as const),
      ...Object.entries(weights).map(([name, weight]) => [name, { weight }] as const),
    ].flatMap(([name, part]) =>
      this.#backends(service, name).map(({ key }) => [key, part] as const),
    )
    const value = changed(service, change)
    const names: string[] = []
    for (const [endpoint, part] of decided) {
      const key = backendKey({ service: service.key, endpoint })
      const { weight = 1, drain = false } = netdb.get('backend', key)?.value ?? {}
      netdb.put('backend', key, { service: service.key, endpoint, weight, drain, ...part })
      names.push(`backend/${key}`)
    }
    if (value !== null) {
      netdb.put('service', service.key, value)
      names.push(`service/${service.key}`)
    }
    await peers.acknowledge(names)
  }

  /**
   * Also one with living flows: they end with it.
   *
   * @throws WeftError not_found, invalid_argument
   */
  async remove(text: string): Promise<void> {
    const { key } = await this.find(text)
    await this.#options.peers.acknowledge(this.#erase(key))
  }

  /**
   * Gives a VIP the lowest address that is free now instead of the one that it has; nothing happens when there is no such VIP.
   *
   * @throws WeftError no_address, not_found, unavailable
   */
  async revip(key: string): Promise<void> {
    const { netdb, peers } = this.#options
    const vip = netdb.get('vip', key)
    if (vip === undefined) return
    const service = netdb.get('service', vip.value.service)
    if (service === undefined) return
    this.#putVip(service.key, service.value.name, vip.value.network)
    await peers.acknowledge([`vip/${key}`])
  }

  #putVip(id: string, name: string, network: string): void {
    const { netdb, networks, book } = this.#options
    const key = vipKey({ service: id, network })
    const subnets = networks.subnetsOf(network).map(({ value }) => value)
    const addresses = book.promise({
      endpointId: key,
      name: `service ${name}`,
      network: networks.findHere(network),
      subnets,
      wish: {},
      isVip: true,
    })
    const { ip, ip6 } = addresses
    netdb.put('vip', key, { service: id, network, ip, ip6 })
    book.forget(key)
  }

  /** Whether somebody else has the address, and had it first. */
  #isBeaten(service: string, network: string): boolean {
    const { netdb, networks } = this.#options
    const own = netdb.get('vip', vipKey({ service, network }))
    if (own === undefined) return true
    const endpoints = networks.endpointsOf(network, true)
    const vips = netdb.list('vip').filter(({ value }) => value.network === network)
    const name = recordName(own)
    return collisions({ ...NO_CLAIMS, endpoints, vips }).some(({ loses }) => loses === name)
  }

  /** Gives the names of the records. */
  #erase(id: string): string[] {
    const { netdb } = this.#options
    const names: string[] = []
    for (const kind of ['backend', 'vip'] as const) {
      for (const { key, value } of netdb.list(kind)) {
        if (value.service !== id) continue
        netdb.remove(kind, key)
        names.push(`${kind}/${key}`)
      }
    }
    netdb.remove('service', id)
    return [...names, `service/${id}`]
  }

  #backends(service: ServiceRecord, text: string): readonly Endpoint[] {
    const { netdb } = this.#options
    const endpoints = this.backendsOf(service).map(({ endpoint }) => endpoint)
    return findBackends(service.value.name, endpoints, text, (member) => netdb.nameOfMember(member))
  }

  #requireNameFree(name: string, except?: string): void {
    const { netdb } = this.#options
    const others = netdb.list('service').filter(({ key }) => key !== except)
    const holder = serviceNamed(others, name)
    if (holder === undefined) return
    throw new WeftError(
      'name_in_use',
      `service ${holder.value.name} exists (${holder.key.slice(0, 12)}, made on ${netdb.nameOfMember(holder.owner)}); choose another name`,
    )
  }
}

/**
 * What the service's own record becomes; null: it stays.
 *
 * @throws WeftError invalid_argument
 */
function changed({ value }: ServiceRecord, change: ServiceChange): Written<'service'> | null {
  const { scheduler, labelsAdded, labelsRemoved = [], health } = change
  if (
    scheduler === undefined &&
    labelsAdded === undefined &&
    labelsRemoved.length === 0 &&
    health === undefined
  ) {
    return null
  }
  const labels = Object.entries({ ...value.labels, ...labelsAdded })
  const { healthCheck: before, ...rest } = value
  const healthCheck = changedCheck(value.name, before, health)
  return {
    ...rest,
    ...(scheduler === undefined ? {} : { scheduler }),
    labels: Object.fromEntries(labels.filter(([label]) => !labelsRemoved.includes(label))),
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }
}

function changedCheck(
  service: string,
  before: HealthCheck | undefined,
  change: HealthChange | null | undefined,
): HealthCheck | undefined {
  if (change === undefined) return before
  if (change === null) return undefined
  const test = change.test ?? before?.test
  if (test !== undefined) return HEALTH_CHECK.parse({ ...before, ...change, test })
  throw new WeftError(
    'invalid_argument',
    `service ${service} has no health check yet; say how it is made: --health-cmd, --health-tcp or --health-http`,
  )
}

// The networks of the cluster: made, found and removed from any host.
//
//   create   ask a peer → plan → records → acknowledged → did an older network claim the same meanwhile? then take it back, and anew
//   remove   ask a peer → nobody on it? → tombstones → acknowledged → did an endpoint come meanwhile? then it stays
//
// What is taken back goes as what is removed does: not while somebody uses it. Then it stays, and repair makes good what collides.
//
// Between plan and records nothing is awaited: two on this host never plan the same.

import type { Clock } from '../clock.ts'
import { WeftError } from '../errors.ts'
import { NO_CLAIMS, type NetworkClaim, collisions, compareByAge } from '../ipam/collisions.ts'
import { networkIdFrom, NETWORK_ID_BYTES } from '../ipam/network-id.ts'
import { type PlannedSubnet, planSubnets } from '../ipam/network-plan.ts'
import { findNetwork } from '../ipam/network-reference.ts'
import type { Contenders } from '../ipam/preference.ts'
import { type MemberRoute, type Surroundings, surroundingsOf } from '../ipam/surroundings.ts'
import { type SubnetWish, checkWantedSubnets } from '../ipam/wanted-subnets.ts'
import { cidrContains } from '../net/cidr.ts'
import { parseName } from '../net/name.ts'
import { type LiveRecord, type Written, recordName, subnetKey } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { parseNetworkOptions } from './network-options.ts'
import type { Peers } from './peers.ts'

/** What a user wants of a network. */
export interface NetworkWish extends SubnetWish {
  readonly name: string
  readonly internal: boolean
  readonly attachable: boolean
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
}

export type NetworkRecord = LiveRecord<'network'>
export type SubnetRecord = LiveRecord<'subnet'>
export type EndpointRecord = LiveRecord<'endpoint'>

export interface NetworksOptions {
  readonly netdb: Netdb
  readonly peers: Peers
  readonly clock: Pick<Clock, 'wallMs'>
  readonly randomBytes: (size: number) => Uint8Array
  /** This host's routes as they are now: its member record may be older. */
  readonly ownRoutes: () => Promise<readonly MemberRoute[]>
}

/** Each time somebody was faster; nobody is so often. */
const ATTEMPTS = 8
/** Endpoints that a message names. */
const MOST_NAMED = 5

export class Networks {
  readonly #options: NetworksOptions

  constructor(options: NetworksOptions) {
    this.#options = options
  }

  /**
   * Makes a network that all hosts know of when it returns; gives its id.
   *
   * @throws WeftError invalid_argument, name_in_use, address_in_use, no_address, not_in_cluster, unavailable
   */
  async create(wish: NetworkWish): Promise<string> {
    const { peers, clock, ownRoutes } = this.#options
    const name = parseName('network', wish.name)
    checkWantedSubnets(wish, { networks: [], routes: [] })
    peers.requireSynced()
    await peers.refresh()
    const routes = await ownRoutes()
    const createdAtMs = clock.wallMs()
    for (let attempt = 1; ; attempt++) {
      this.#requireNameFree(name)
      const id = networkIdFrom(this.#options.randomBytes(NETWORK_ID_BYTES))
      const plan = this.#plan(id, wish, routes)
      const ipv6 = plan.some(({ cidr6 }) => cidr6 !== null)
      const { internal, attachable, options, labels } = wish
      const { mtu } = parseNetworkOptions(options, ipv6)
      const value = { name, mtu, learning: [], createdAtMs, internal, attachable, ipv6 }
      const names = this.#write(id, { ...value, options, labels }, plan)
      await peers.acknowledge(names)
      const subnets = this.subnetsOf(id)
      if (!this.#isBeaten([id, ...subnets.map(({ key }) => key)])) return id
      const records = [this.findHere(id), ...subnets]
      if ((await this.#eraseUnused(records, () => this.#useOf(id, name))) !== null) return id
      if (attempt === ATTEMPTS) throw othersWereFaster(name)
    }
  }

  /**
   * Gives a network further subnets, while it is in use too; all hosts know of them when it returns.
   *
   * @throws WeftError not_found, invalid_argument, address_in_use, no_address, not_in_cluster, unavailable
   */
  async addSubnets(text: string, wish: Omit<SubnetWish, 'ipv6'>): Promise<void> {
    const { peers, netdb, ownRoutes } = this.#options
    checkWantedSubnets({ ...wish, ipv6: false }, { networks: [], routes: [] })
    peers.requireSynced()
    await peers.refresh()
    const routes = await ownRoutes()
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const { key: id, value, version } = this.findHere(text)
      const { name, ipv6 } = value
      if (version.lamport === 0) {
        throw new WeftError(
          'invalid_argument',
          `network ${name} stands in the facts file; write the subnet there`,
        )
      }
      const plan = this.#plan(id, { ...wish, ipv6 }, routes)
      if (!ipv6 && plan.some(({ cidr6 }) => cidr6 !== null)) {
        throw new WeftError(
          'invalid_argument',
          `network ${name} was made without IPv6, and its endpoints have none; give IPv4 subnets`,
        )
      }
      const keys = plan.map((planned) => this.#writeSubnet(id, planned))
      await peers.acknowledge(keys.map((key) => `subnet/${key}`))
      if (!this.#isBeaten(keys)) return
      const records = keys.flatMap((key) => netdb.get('subnet', key) ?? [])
      const used = (): SubnetRecord | null => records.find((one) => this.#isUsed(one)) ?? null
      if ((await this.#eraseUnused(records, used)) !== null) return
    }
    throw othersWereFaster(text)
  }

  /**
   * By name, id, or the beginning of an id; asks a peer before it says no.
   *
   * @throws WeftError not_found, invalid_argument
   */
  async find(text: string): Promise<NetworkRecord> {
    try {
      return this.findHere(text)
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'not_found') throw error
      await this.#options.peers.refresh()
      return this.findHere(text)
    }
  }

  /** The same with what is known here. */
  findHere(text: string): NetworkRecord {
    return findNetwork(claimsOf(this.list()), text).record
  }

  list(): NetworkRecord[] {
    const all = this.#options.netdb.list('network')
    return all.sort((a, b) => byText(a.value.name, b.value.name) || byText(a.key, b.key))
  }

  /** In the order in which they are filled: of their ranges, which are the same on all hosts. */
  subnetsOf(id: string): SubnetRecord[] {
    const all = this.#options.netdb.list('subnet').filter(({ value }) => value.network === id)
    return all.sort((a, b) => a.value.vni - b.value.vni || byText(a.key, b.key))
  }

  /** Of all hosts; `hidden`: also those of hosts that are not present. */
  endpointsOf(id: string, hidden = false): EndpointRecord[] {
    const { netdb } = this.#options
    const all = [...netdb.list('endpoint'), ...(hidden ? netdb.listHidden('endpoint') : [])]
    return all
      .filter(({ value }) => value.network === id)
      .sort((a, b) => byText(a.value.name, b.value.name) || byText(a.key, b.key))
  }

  /**
   * Removes a network that nobody uses, on any host.
   *
   * @throws WeftError not_found, network_in_use, invalid_argument
   */
  async remove(text: string): Promise<void> {
    await this.#options.peers.refresh()
    const network = this.findHere(text)
    const { key: id, value, version } = network
    if (version.lamport === 0) {
      throw new WeftError(
        'invalid_argument',
        `network ${value.name} stands in the facts file; remove it there`,
      )
    }
    const records = [network, ...this.subnetsOf(id)]
    const use = await this.#eraseUnused(records, () => this.#useOf(id, value.name))
    if (use !== null) throw use
  }

  /** Who else may allocate: all that have been heard of. */
  contenders(): Contenders {
    const { netdb } = this.#options
    const members = [...netdb.list('member'), ...netdb.listHidden('member')]
    return { self: netdb.self, members: members.map(({ key }) => key) }
  }

  #plan(id: string, wish: SubnetWish, routes: readonly MemberRoute[]): readonly PlannedSubnet[] {
    const subnets = this.#options.netdb.list('subnet')
    return planSubnets({
      networkId: id,
      wish,
      surroundings: this.#surroundings(routes),
      aboveVni: Math.max(0, ...this.subnetsOf(id).map(({ value }) => value.vni)),
      heldVnis: new Set(subnets.map(({ value }) => value.vni)),
      contenders: this.contenders(),
    })
  }

  /** Without what this host's own record says of its routes: they are known better. */
  #surroundings(routes: readonly MemberRoute[]): Surroundings {
    const { netdb } = this.#options
    const members = [...netdb.list('member'), ...netdb.listHidden('member')].map((record) =>
      record.key === netdb.self ? { ...record, value: { ...record.value, routes: [] } } : record,
    )
    const told = surroundingsOf(netdb.list('network'), netdb.list('subnet'), members)
    return { ...told, routes: [...told.routes, ...routes] }
  }

  /** Gives the names of the records. */
  #write(id: string, value: Written<'network'>, plan: readonly PlannedSubnet[]): string[] {
    const { netdb } = this.#options
    const network = netdb.put('network', id, value)
    const keys = plan.map((planned) => this.#writeSubnet(id, planned))
    return [recordName(network), ...keys.map((key) => `subnet/${key}`)]
  }

  /** Gives its key. */
  #writeSubnet(id: string, planned: PlannedSubnet): string {
    const subnet = { network: id, ...planned }
    return this.#options.netdb.put('subnet', subnetKey(subnet), subnet).key
  }

  /** Erases the records, unless they are in use, or come into use before all have heard of it; gives that use, null when they are gone. */
  async #eraseUnused<Use>(
    records: readonly (NetworkRecord | SubnetRecord)[],
    useNow: () => Use | null,
  ): Promise<Use | null> {
    const { netdb, peers } = this.#options
    const before = useNow()
    if (before !== null) return before
    for (const { kind, key } of records.toReversed()) netdb.remove(kind, key)
    const names = records.map(recordName)
    await peers.acknowledge(names)
    const after = useNow()
    if (after === null) return null
    // Who made an endpoint had not heard of the removal.
    for (const { kind, key, value } of records) netdb.put(kind, key, value)
    await peers.acknowledge(names)
    return after
  }

  /** Whether a network that was made at the same time on another host, and is older, has something of these; by id and key. */
  #isBeaten(own: readonly string[]): boolean {
    const { netdb } = this.#options
    const networks = claimsOf(netdb.list('network'))
    const subnets = netdb.list('subnet').map(({ key, value }) => ({ key, ...value }))
    const found = collisions({ ...NO_CLAIMS, networks, subnets })
    return found.some(({ loses }) => own.includes(loses))
  }

  #requireNameFree(name: string): void {
    const { netdb } = this.#options
    const [holder] = claimsOf(netdb.list('network'))
      .filter((claim) => claim.name === name)
      .sort(compareByAge)
    if (holder === undefined) return
    const { key, owner, version } = holder.record
    const origin =
      version.lamport === 0 ? 'of the facts file' : `made on ${netdb.nameOfMember(owner)}`
    throw new WeftError(
      'name_in_use',
      `network ${name} exists (${key.slice(0, 12)}, ${origin}); choose another name`,
    )
  }

  /** Whether an endpoint or a VIP is on the subnet. */
  #isUsed({ value: { network, vni, cidr } }: SubnetRecord): boolean {
    return (
      this.endpointsOf(network, true).some(({ value }) => value.vni === vni) ||
      this.#options.netdb
        .list('vip')
        .some(({ value }) => value.network === network && cidrContains(cidr, value.ip))
    )
  }

  /** Who uses a network, as the error of whoever wants it away; null: nobody. */
  #useOf(id: string, name: string): WeftError | null {
    const { netdb } = this.#options
    const users = this.endpointsOf(id, true).map(
      ({ value, owner }) => `${value.name} on ${netdb.nameOfMember(owner)}`,
    )
    const services = netdb
      .list('service')
      .filter(({ value }) => value.networks.includes(id))
      .map(({ value }) => value.name)
    if (users.length === 0 && services.length > 0) {
      return new WeftError(
        'network_in_use',
        `network ${name} is in use by service ${services.slice(0, MOST_NAMED).join(', ')}; remove it first with weft service rm`,
      )
    }
    if (users.length === 0) return null
    const more = users.length > MOST_NAMED ? `, and ${users.length - MOST_NAMED} more` : ''
    return new WeftError(
      'network_in_use',
      `network ${name} is in use by ${users.slice(0, MOST_NAMED).join(', ')}${more}; end them first with weft rm`,
    )
  }
}

function othersWereFaster(network: string): WeftError {
  return new WeftError(
    'unavailable',
    `network ${network}: other hosts took ${ATTEMPTS} subnets in a row at the same moment; try again`,
  )
}

function claimsOf(
  records: readonly NetworkRecord[],
): (NetworkClaim & { readonly record: NetworkRecord })[] {
  return records.map((record) => ({
    id: record.key,
    name: record.value.name,
    claimedAt: record.value.claimedAt,
    record,
  }))
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

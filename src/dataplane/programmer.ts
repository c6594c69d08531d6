// The programmer: changes of netdb → rows → packed batches. The one writer of the native tables.
//
// A change marks as dirty what it touches: its record, and the network whose gathered rows (flood lists, router) it takes part
// in. flush() derives the dirty rows again and sends the difference. A network's rows are native only while an endpoint of
// this host is on it.

import type { Clock } from '../clock.ts'
import type { LiveRecord, NetdbRecord } from '../netdb/record.ts'
import { recordName } from '../netdb/record.ts'
import type { Change, Netdb } from '../netdb/table.ts'
import { type Difference, compareRows, encodeRepair } from './audit.ts'
import { Claims } from './claims.ts'
import {
  OF_THE_NETWORK,
  type View,
  claimOf,
  endpointRows,
  memberRows,
  networkMtu,
  networkRows,
} from './derive.ts'
import { RecordNumbers } from './record-numbers.ts'
import { Fallen } from './fallen.ts'
import type { PortId, RecordNumber, Row } from './rows.ts'
import { vipRows } from './service-rows.ts'
import { wantedRows } from './wanted-rows.ts'

/** The kinds of records that rows come from. */
const DERIVED_FROM = [
  'member',
  'network',
  'subnet',
  'endpoint',
  'service',
  'vip',
  'backend',
] as const

export interface ProgrammerOptions {
  readonly netdb: Netdb
  /** This host's member id. */
  readonly self: string
  /** Overlay MTU of networks that do not set one, in bytes. */
  readonly mtu: number
  /** The same for what is sent to one member; when left out, `mtu` for all. */
  readonly mtuTo?: (member: string) => number
  /** Sends a batch to the native core. */
  readonly apply: (batch: Uint8Array) => void
  /** How long connections to backends of a dead host wait for it. Without a clock they wait until its records are removed. */
  readonly clock?: Pick<Clock, 'setTimeout'>
  readonly fallenMs?: number
}

/** A host that pauses for seconds loses nothing; one that is dead keeps nobody waiting for long. */
const FALLEN_MS = 10_000

export class Programmer {
  readonly #netdb: Netdb
  readonly #apply: (batch: Uint8Array) => void
  readonly #view: View
  readonly #claims = new Claims()
  readonly #numbers = new RecordNumbers()
  /** Endpoint → its port, for the endpoints of this host that are open in the native core. */
  readonly #ports = new Map<string, PortId>()

  /** Network → its endpoints, its subnets. */
  readonly #endpoints = new Map<string, Map<string, LiveRecord<'endpoint'>>>()
  readonly #subnets = new Map<string, Map<string, LiveRecord<'subnet'>>>()
  /** Networks with endpoints of this host. */
  readonly #active = new Set<string>()
  /** Network → its VIPs; service → what was decided about its backends. */
  readonly #vips = new Map<string, Map<string, LiveRecord<'vip'>>>()
  readonly #settings = new Map<string, Map<string, LiveRecord<'backend'>>>()
  readonly #fallen: Fallen

  readonly #dirtyRecords = new Map<string, NetdbRecord>()
  readonly #dirtyNetworks = new Set<string>()
  #scheduled = false

  constructor(options: ProgrammerOptions) {
    const { netdb, self, mtu, mtuTo, apply, clock, fallenMs = FALLEN_MS } = options
    this.#netdb = netdb
    this.#apply = apply
    this.#fallen = new Fallen(
      netdb,
      (task) => clock?.setTimeout(task, fallenMs),
      (endpoint) => {
        this.#markFallen(endpoint)
      },
    )
    this.#view = {
      self,
      mtu,
      mtuTo: mtuTo ?? (() => mtu),
      portOf: (endpoint) => this.#ports.get(endpoint),
      vtepOf: (member) => netdb.get('member', member)?.value.vtep,
      numberOf: (record) => this.#numbers.of(record),
      fallen: () => this.#fallen.list(),
    }
    netdb.watch((change) => {
      this.#onChange(change)
    })
    // What this host knew when it ended is in the table before anybody watches it.
    for (const kind of DERIVED_FROM) {
      for (const after of netdb.list(kind) as NetdbRecord[])
        this.#onChange({ before: undefined, after })
    }
  }

  /** Says which port an endpoint of this host has: before its record is put. */
  setPort(endpoint: string, port: PortId): void {
    this.#ports.set(endpoint, port)
  }

  /** After its record is removed. */
  forgetPort(endpoint: string): void {
    this.#ports.delete(endpoint)
  }

  /** The record that a row's number stands for. */
  recordOf(number: RecordNumber): NetdbRecord | undefined {
    const name = this.#numbers.nameOf(number)
    return name === undefined ? undefined : this.#netdb.find(name)
  }

  /** Whether endpoints of this host are on the network. */
  isActive(network: string): boolean {
    return this.#active.has(network)
  }

  /** The MTU of a network now, in bytes; undefined: there is no such network. */
  mtuOf(key: string): number | undefined {
    const network = this.#netdb.get('network', key)
    if (network === undefined) return undefined
    const endpoints = [...(this.#endpoints.get(key)?.values() ?? [])]
    return networkMtu({ network, endpoints }, this.#view)
  }

  /** What `mtuTo` gives for that member has changed. */
  pathChanged(member: string): void {
    this.#markEndpointsOf(member)
    this.flush()
  }

  /** Sends what has changed. Happens by itself after each change; at once for who must know that it is done. */
  flush(): void {
    this.#fallen.prune()
    this.#scheduled = false
    for (const network of this.#dirtyNetworks) this.#followActivity(network)
    for (const record of this.#dirtyRecords.values()) this.#claimRecord(record)
    this.#dirtyRecords.clear()
    for (const network of this.#dirtyNetworks) {
      this.#claimNetwork(network)
      for (const vip of this.#vips.get(network)?.values() ?? []) this.#claimRecord(vip)
    }
    this.#dirtyNetworks.clear()
    const batch = this.#claims.takeBatch()
    if (batch !== null) this.#apply(batch)
  }

  /** Where native, as `read` gives it, is not what the records say. */
  audit(read: () => readonly Row[]): Difference[] {
    this.flush()
    return compareRows(wantedRows(this.#netdb, this.#view), read())
  }

  /** Makes native what the records say, whatever it has by now; gives what differed. */
  resync(read: () => readonly Row[]): Difference[] {
    const differences = this.audit(read)
    if (differences.length > 0) this.#apply(encodeRepair(differences))
    this.#claims.install(wantedRows(this.#netdb, this.#view))
    return differences
  }

  #onChange({ before, after }: Change): void {
    this.#fallen.follow({ before, after })
    for (const record of [before, after]) {
      if (record === undefined) continue
      this.#index(record, record === after)
      this.#dirtyRecords.set(recordName(record), record)
    }
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      if (this.#scheduled) this.flush()
    })
  }

  /** Keeps the indexes and marks the networks that gather the record. */
  #index(record: NetdbRecord, present: boolean): void {
    if (record.value === null) return
    switch (record.kind) {
      case 'network':
        this.#dirtyNetworks.add(record.key)
        break
      case 'subnet':
        keep(this.#subnets, record.value.network, record as LiveRecord<'subnet'>, present)
        this.#dirtyNetworks.add(record.value.network)
        break
      case 'endpoint':
        keep(this.#endpoints, record.value.network, record as LiveRecord<'endpoint'>, present)
        this.#dirtyNetworks.add(record.value.network)
        break
      case 'member':
        this.#markEndpointsOf(record.key)
        break
      case 'service':
        this.#markNetworksOf(record.key)
        break
      case 'vip':
        keep(this.#vips, record.value.network, record as LiveRecord<'vip'>, present)
        this.#dirtyNetworks.add(record.value.network)
        break
      case 'backend':
        keep(this.#settings, record.value.service, record as LiveRecord<'backend'>, present)
        this.#markNetworksOf(record.value.service)
        break
      case 'node':
      case 'cluster':
        break
    }
  }

  #markNetworksOf(service: string): void {
    for (const [network, vips] of this.#vips) {
      for (const { value } of vips.values())
        if (value.service === service) this.#dirtyNetworks.add(network)
    }
  }

  /** An endpoint of a dead host is no backend any more. */
  #markFallen(endpoint: LiveRecord<'endpoint'>): void {
    const name = recordName(endpoint)
    if (this.#netdb.find(name) === undefined) this.#numbers.forget(name)
    this.#dirtyNetworks.add(endpoint.value.network)
    this.#schedule()
  }

  /** A member's VTEP stands in the rows of its endpoints and in the flood lists of their networks, and of those it learns on. */
  #markEndpointsOf(member: string): void {
    for (const [network, endpoints] of this.#endpoints) {
      for (const endpoint of endpoints.values()) {
        if (endpoint.owner !== member) continue
        this.#dirtyRecords.set(recordName(endpoint), endpoint)
        this.#dirtyNetworks.add(network)
      }
    }
    for (const { key, value } of this.#netdb.list('network')) {
      if (value.learning.includes(member)) this.#dirtyNetworks.add(key)
    }
  }

  /** The first endpoint of this host on a network, or the last one gone: all rows of that network come or go. */
  #followActivity(network: string): void {
    const endpoints = [...(this.#endpoints.get(network)?.values() ?? [])]
    const active = endpoints.some(
      ({ owner, key }) => owner === this.#view.self && this.#ports.has(key),
    )
    if (active === this.#active.has(network)) return
    if (active) this.#active.add(network)
    else this.#active.delete(network)
    for (const endpoint of endpoints) this.#dirtyRecords.set(recordName(endpoint), endpoint)
  }

  #claimRecord(record: NetdbRecord): void {
    const name = recordName(record)
    // Not the record that the change spoke of: a later one may stand by now.
    const current = this.#netdb.find(name)
    const rows = current === undefined ? [] : this.#rowsOf(current)
    this.#claims.replace(name, claimOf(current ?? record), rows)
    if (current === undefined) this.#numbers.forget(name)
  }

  #rowsOf(record: NetdbRecord): Row[] {
    if (record.value === null) return []
    switch (record.kind) {
      case 'member':
        return memberRows(record as LiveRecord<'member'>, this.#view)
      case 'endpoint':
        if (!this.#active.has(record.value.network)) return []
        return endpointRows(record as LiveRecord<'endpoint'>, this.#view)
      case 'vip':
        return this.#rowsOfVip(record as LiveRecord<'vip'>)
      case 'network':
      case 'subnet':
        return [] // gathered in #claimNetwork
      case 'service':
      case 'backend': // in the rows of VIPs
      case 'node':
      case 'cluster':
        return [] // for others than the data plane
    }
  }

  #rowsOfVip(vip: LiveRecord<'vip'>): Row[] {
    const { network, service } = vip.value
    if (!this.#active.has(network)) return []
    return vipRows(
      {
        vip,
        service: this.#netdb.get('service', service),
        settings: this.#settings.get(service)?.values() ?? [],
        subnets: this.#subnets.get(network)?.values() ?? [],
        endpoints: this.#endpoints.get(network)?.values() ?? [],
      },
      this.#view,
    )
  }

  #claimNetwork(key: string): void {
    const claimant = `gathered/${key}`
    const network = this.#netdb.get('network', key)
    if (network === undefined || !this.#active.has(key)) {
      this.#claims.replace(claimant, OF_THE_NETWORK, [])
      return
    }
    const subnets = this.#subnets.get(key)?.values() ?? []
    const endpoints = this.#endpoints.get(key)?.values() ?? []
    const hasVips = this.#vips.has(key)
    const rows = networkRows({ network, subnets, endpoints, hasVips }, this.#view)
    this.#claims.replace(claimant, OF_THE_NETWORK, rows)
  }
}

function keep<R extends NetdbRecord>(
  index: Map<string, Map<string, R>>,
  network: string,
  record: R,
  present: boolean,
): void {
  let inner = index.get(network)
  if (inner === undefined) index.set(network, (inner = new Map<string, R>()))
  // By name: two hosts may have an endpoint of one key.
  if (present) inner.set(recordName(record), record)
  else inner.delete(recordName(record))
  if (inner.size === 0) index.delete(network)
}

// The rows of the native tables as TypeScript sees them; the counterpart of native/tables/rows.h.

import type { IpAddress } from '../net/ip-address.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import type { MacAddress } from '../net/mac-address.ts'
import type { Cidr } from '../net/cidr.ts'

/** A local endpoint's place in the dataplane: 1 or more, never used twice in a daemon's life. */
export type PortId = number
/** The programmer's number for the record that a row derives from; 0: none. */
export type RecordNumber = number

export interface NetworkRow {
  readonly table: 'network'
  readonly vni: number
  readonly record: RecordNumber
  /** The network that the subnet belongs to, as a number; 0: no gateway. */
  readonly router: number
  readonly mtu: number
  readonly gatewayMac: MacAddress
  readonly gateway4: Ipv4Address
  readonly gateway6: Ipv6Address | null
  /** The network has VIPs: frames from its endpoints are looked up among them. */
  readonly services: boolean
  readonly ports: readonly PortId[]
  readonly vteps: readonly Ipv4Address[]
  /** Foreign VTEPs whose endpoints nobody declares: their source MACs are not checked. */
  readonly learning: readonly Ipv4Address[]
}

export interface PortRow {
  readonly table: 'port'
  readonly port: PortId
  readonly record: RecordNumber
  readonly vni: number
}

export interface FdbRow {
  readonly table: 'fdb'
  readonly vni: number
  readonly mac: MacAddress
  readonly record: RecordNumber
  /** A local port, or the VTEP of another host. */
  readonly to: PortId | Ipv4Address
}

export interface NeighbourRow {
  readonly table: 'neighbour'
  readonly vni: number
  readonly ip: IpAddress
  readonly record: RecordNumber
  readonly mac: MacAddress
  readonly gateway: boolean
}

export interface RouterRow {
  readonly table: 'router'
  readonly router: number
  readonly record: RecordNumber
  readonly subnets: readonly { readonly cidr: Cidr; readonly vni: number }[]
  /** What the gateway answers to itself. */
  readonly addresses: readonly IpAddress[]
}

export interface VtepRow {
  readonly table: 'vtep'
  readonly vtep: Ipv4Address
  readonly record: RecordNumber
}

/** Round robin, least connections, source hash, Maglev: ipvsadm's names where it has one. */
export type Scheduler = 'rr' | 'lc' | 'sh' | 'maglev'

/**
 * healthy: takes new flows. draining: keeps those that it has. dead: takes none, its UDP flows go elsewhere, its TCP flows
 * wait. lost: as if it were not in the row, its TCP flows are reset.
 */
export type BackendState = 'healthy' | 'draining' | 'dead' | 'lost'

/** What a backend may weigh at most; 0: no new flows. */
export const MOST_WEIGHT = 256
export const MOST_BACKENDS = 1024

export interface BackendOfService {
  readonly record: RecordNumber
  readonly ip: IpAddress
  /** The subnet that it is in. */
  readonly vni: number
  readonly weight: number
  readonly state: BackendState
}

/** A VIP. Its neighbour row, which answers ARP and ND, is another row. */
export interface ServiceRow {
  readonly table: 'service'
  /** The subnet that the VIP is in. */
  readonly vni: number
  readonly vip: IpAddress
  readonly record: RecordNumber
  /** The service's number, 1 to 2^53 - 1: the same after a restart and on each of its networks; each family has its own. */
  readonly service: number
  readonly mac: MacAddress
  readonly scheduler: Scheduler
  /** Ports that backends have under another number; all others pass as they are. */
  readonly ports: readonly {
    /** 6 or 17. */
    readonly protocol: number
    readonly port: number
    readonly target: number
  }[]
  /** In the order in which they take turns. */
  readonly backends: readonly BackendOfService[]
}

export type Row = NetworkRow | PortRow | FdbRow | NeighbourRow | RouterRow | VtepRow | ServiceRow

/** The name of a row among all rows: its table and key. */
export function rowName(row: Row): string {
  switch (row.table) {
    case 'network':
      return `network/${row.vni}`
    case 'port':
      return `port/${row.port}`
    case 'fdb':
      return `fdb/${row.vni}/${row.mac}`
    case 'neighbour':
      return `neighbour/${row.vni}/${row.ip}`
    case 'router':
      return `router/${row.router}`
    case 'vtep':
      return `vtep/${row.vtep}`
    case 'service':
      return `service/${row.vni}/${row.vip}`
  }
}

/** A row stands before another leads to it. */
const TABLE_ORDER: readonly Row['table'][] = [
  'vtep',
  'router',
  'network',
  'neighbour',
  'fdb',
  'service',
  'port',
]

/** The order in which rows are put; they are removed the other way round. */
export function rowsInOrder<R extends Row>(rows: readonly R[]): R[] {
  return rows.toSorted((a, b) => TABLE_ORDER.indexOf(a.table) - TABLE_ORDER.indexOf(b.table))
}

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

export type Row = NetworkRow | PortRow | FdbRow | NeighbourRow | RouterRow | VtepRow

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
  }
}

/** A row stands before another leads to it. */
const TABLE_ORDER: readonly Row['table'][] = [
  'vtep',
  'router',
  'network',
  'neighbour',
  'fdb',
  'port',
]

/** The order in which rows are put; they are removed the other way round. */
export function rowsInOrder<R extends Row>(rows: readonly R[]): R[] {
  return rows.toSorted((a, b) => TABLE_ORDER.indexOf(a.table) - TABLE_ORDER.indexOf(b.table))
}

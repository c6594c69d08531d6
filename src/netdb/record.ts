// A record: one fact that one host asserts, versioned, and all that is needed to accept it.

import type { Ipv4Cidr, Ipv6Cidr } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import type { MacAddress } from '../net/mac-address.ts'
import type { Vni } from '../net/vni.ts'

/** When a record was written, by whom: a total order over all writes of a cluster. */
export interface Version {
  /** Lamport time: later than everything its writer had seen. */
  readonly lamport: number
  readonly writer: string
}

/** A host as the others see it. Key: the member's id. */
export interface MemberValue {
  readonly name: string
  readonly vtep: Ipv4Address
}

/** A network, without its subnets: those change on their own. Key: the network's id. */
export interface NetworkValue {
  readonly name: string
  /** Of the overlay, in bytes; null: each host's own underlay MTU - 50. */
  readonly mtu: number | null
  /** Members that are learning peers: foreign VTEPs whose endpoints nobody declares. */
  readonly learning: readonly string[]
}

/** One subnet of a network: one L2 segment, one VNI. Key: the VNI. */
export interface SubnetValue {
  readonly network: string
  readonly vni: Vni
  readonly cidr: Ipv4Cidr
  readonly gateway: Ipv4Address
  /** Both or neither. */
  readonly cidr6: Ipv6Cidr | null
  readonly gateway6: Ipv6Address | null
}

/** A sandbox's attachment to one network, on the host that owns the record. Key: the endpoint's id. */
export interface EndpointValue {
  readonly network: string
  readonly vni: Vni
  readonly name: string
  readonly mac: MacAddress
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
}

export interface ValueOf {
  readonly member: MemberValue
  readonly network: NetworkValue
  readonly subnet: SubnetValue
  readonly endpoint: EndpointValue
}

export type Kind = keyof ValueOf

export interface RecordOf<K extends Kind> {
  readonly kind: K
  readonly key: string
  /** The id of the member that it stands and falls with. */
  readonly owner: string
  readonly version: Version
  /** null: a tombstone, the fact is no longer so. */
  readonly value: ValueOf[K] | null
}

/** A record of any kind; `kind` tells which value it has. */
export type NetdbRecord = { [K in Kind]: RecordOf<K> }[Kind]

/** A record that holds. */
export type LiveRecord<K extends Kind> = RecordOf<K> & { readonly value: ValueOf[K] }

/** The name of a record among all records. */
export function recordName(record: { readonly kind: Kind; readonly key: string }): string {
  return `${record.kind}/${record.key}`
}

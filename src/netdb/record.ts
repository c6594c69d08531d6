// A record: one fact that one host asserts, versioned, and all that is needed to accept it.

import { type Ipv4Cidr, type Ipv6Cidr, formatCidr } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import type { MacAddress } from '../net/mac-address.ts'
import type { Vni } from '../net/vni.ts'
import type { HealthCheck, HealthStatus } from './health-check.ts'

/** When a record was written, by whom: a total order over all writes of a cluster. */
export interface Version {
  /** Lamport time: later than everything its writer had seen. */
  readonly lamport: number
  readonly writer: string
}

/** A host as it describes itself. Owned; key: the member's id. null: not told, as of a member of a facts file. */
export interface MemberValue {
  readonly name: string
  readonly vtep: Ipv4Address
  readonly vxlanPort: number | null
  /** The weft version that it runs. */
  readonly version: string | null
  readonly underlayMtuBytes: number | null
  /** Subnets that its kernel routes, as CIDRs: an overlay subnet may not cover them. */
  readonly routes: readonly string[]
}

export type Availability = 'active' | 'pause' | 'drain'

/** What was decided about a host, by anyone: it holds when the host is dead, too. Shared; key: the member's id. */
export interface NodeValue {
  /** Removed from the cluster: what it owns is dropped and not taken any more. */
  readonly expelled: boolean
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
}

/** What the cluster itself needs to be the same everywhere. Shared; key: `join-secret`, `key/<id>`. Only src/cluster reads it. */
export interface ClusterValue {
  readonly value: string
}

/** A network, without its subnets: those change on their own. Shared; key: the network's id. */
export interface NetworkValue {
  readonly name: string
  /** Of the overlay, in bytes; null: each host's own underlay MTU - 50. */
  readonly mtu: number | null
  /** Members that are learning peers: foreign VTEPs whose endpoints nobody declares. */
  readonly learning: readonly string[]
  /** By the clock of the host that made it; 0: not told, as of a network of a facts file. */
  readonly createdAtMs: number
  readonly internal: boolean
  readonly attachable: boolean
  /** Was made with IPv6: a subnet that is added gets it, too. */
  readonly ipv6: boolean
  /** As they were given, for those who look. */
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** Lamport time of its making: of two with one name the older has it. */
  readonly claimedAt: number
}

/** One subnet of a network: one L2 segment, one VNI. Shared; key: subnetKey(), the VNI may change. */
export interface SubnetValue {
  readonly network: string
  readonly vni: Vni
  readonly cidr: Ipv4Cidr
  readonly gateway: Ipv4Address
  /** Both or neither. */
  readonly cidr6: Ipv6Cidr | null
  readonly gateway6: Ipv6Address | null
  /** The part of `cidr` that addresses are chosen from; null: all of it. */
  readonly range: Ipv4Cidr | null
}

/** A sandbox's attachment to one network, on the host that owns the record. Owned; key: the endpoint's id. */
export interface EndpointValue {
  readonly network: string
  readonly vni: Vni
  readonly name: string
  readonly mac: MacAddress
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  /** Further names on the network. */
  readonly aliases: readonly string[]
  /** The service whose backend it is; null: none. */
  readonly service: string | null
  /** Names of the records of absent members that it took its addresses from. */
  readonly supersedes: readonly string[]
  /** Not there: nobody checks it. */
  readonly health?: HealthStatus
  /** Lamport time since when it has these addresses: of two that claim one, the lower (claimedAt, owner) keeps it. */
  readonly claimedAt: number
}

export type EndpointMode = 'vip' | 'dnsrr'
/** How a VIP's new flows are shared out: ipvsadm's names where it has one. */
export type SchedulerName = 'rr' | 'lc' | 'sh' | 'maglev'

/** A service: a name that endpoints stand behind. Shared; key: the service's id. */
export interface ServiceValue {
  readonly name: string
  readonly endpointMode: EndpointMode
  readonly scheduler: SchedulerName
  /** Ids of the networks that it is on. */
  readonly networks: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Of its backends, where they do not say another themselves; each host makes it of its own. */
  readonly healthCheck?: HealthCheck
  /** By the clock of the host that made it. */
  readonly createdAtMs: number
  /** Lamport time of its making: of two with one name the older has it. */
  readonly claimedAt: number
}

/** A service's address on one network. Shared; key: vipKey(). */
export interface VipValue {
  readonly service: string
  readonly network: string
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  /** Lamport time since when it has these addresses. */
  readonly claimedAt: number
}

/** What was decided about one backend of a service. Shared; key: backendKey(). Without a record: weight 1, not drained. */
export interface BackendValue {
  readonly service: string
  /** The endpoint's key. */
  readonly endpoint: string
  readonly weight: number
  /** It takes no new flows, and keeps those that it has. */
  readonly drain: boolean
}

export interface ValueOf {
  readonly member: MemberValue
  readonly node: NodeValue
  readonly cluster: ClusterValue
  readonly network: NetworkValue
  readonly subnet: SubnetValue
  readonly endpoint: EndpointValue
  readonly service: ServiceValue
  readonly vip: VipValue
  readonly backend: BackendValue
}

export type Kind = keyof ValueOf

/** What a writer says of a fact: since when it is claimed is for netdb to say. */
export type Written<K extends Kind> = K extends 'endpoint' | 'network' | 'service' | 'vip'
  ? Omit<ValueOf[K], 'claimedAt'>
  : ValueOf[K]

export interface RecordOf<K extends Kind> {
  readonly kind: K
  readonly key: string
  /** Of an owned kind: the member that it stands and falls with, its only writer. Of a shared one: who made it. */
  readonly owner: string
  readonly version: Version
  /** null: a tombstone, the fact is no longer so. */
  readonly value: ValueOf[K] | null
}

/** A record of any kind; `kind` tells which value it has. */
export type NetdbRecord = { [K in Kind]: RecordOf<K> }[Kind]

/** A record that holds. */
export type LiveRecord<K extends Kind> = RecordOf<K> & { readonly value: ValueOf[K] }

/** A record as it travels, read as far as we know its kind. */
export interface EncodedRecord {
  readonly name: string
  readonly kind: string
  readonly key: string
  readonly owner: string
  /** Written only by its owner. */
  readonly owned: boolean
  readonly version: Version
  readonly tombstone: boolean
  /** null: of a kind that we do not know. It is kept and relayed, and nobody is served it. */
  readonly record: NetdbRecord | null
  /** As its writer encoded it: the same bytes on every host. */
  readonly encoded: Uint8Array
}

const OWNED: Readonly<Record<Kind, boolean>> = {
  member: true,
  node: false,
  cluster: false,
  network: false,
  subnet: false,
  endpoint: true,
  service: false,
  vip: false,
  backend: false,
}

export const KINDS = Object.keys(OWNED) as readonly Kind[]

export function isKind(text: string): text is Kind {
  return Object.hasOwn(OWNED, text)
}

/** Whether records of the kind are written only by their owner; any host writes the others. */
export function isOwned(kind: Kind): boolean {
  return OWNED[kind]
}

/**
 * The key of a subnet's record. Not its VNI: two networks that took one VNI in two halves of a partition would write over each other,
 * and one would lose its subnet instead of its number.
 */
export function subnetKey({ network, cidr }: Pick<SubnetValue, 'network' | 'cidr'>): string {
  return `${network}/${formatCidr(cidr)}`
}

/** A service has one VIP on a network, of both families. */
export function vipKey({ service, network }: Pick<VipValue, 'service' | 'network'>): string {
  return `${service}/${network}`
}

export function backendKey({
  service,
  endpoint,
}: Pick<BackendValue, 'service' | 'endpoint'>): string {
  return `${service}/${endpoint}`
}

/** What names a record: the owner is part of the name of an owned one, so that nobody can write over another's. */
export interface Named {
  readonly kind: Kind
  readonly key: string
  readonly owner: string
}

/** The name of a record among all records. */
export function recordName({ kind, key, owner }: Named): string {
  return nameOf(kind, key, isOwned(kind) ? owner : null)
}

/** The same for any kind; `owner` null: it is shared. Neither key nor owner has an @. */
export function nameOf(kind: string, key: string, owner: string | null): string {
  return owner === null || owner === key ? `${kind}/${key}` : `${kind}/${key}@${owner}`
}

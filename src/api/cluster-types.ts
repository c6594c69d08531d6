// The shapes of docs/api.md for the cluster: joining, leaving, its hosts.

import type { MemberState } from '../gossip/member.ts'

/** In a request that one host's daemon passes on to another's: who passed it on. It is not passed on again. */
export const FORWARDED_HEADER = 'x-weft-forwarded'

/** POST /v1/cluster/address */
export interface SetAddress {
  /** An address or an interface of this host. */
  readonly advertiseAddr: string
}

export interface AddressChange {
  /** The daemon begins anew at once: ask it again when it answers from there. */
  readonly changed: boolean
}

/** POST /v1/cluster/join; the answer is a ClusterStatus. */
export interface JoinCluster {
  readonly token: string
  /** A host of the cluster: `ADDRESS` or `ADDRESS:PORT`. */
  readonly host: string
}

/** POST /v1/cluster/init, GET /v1/cluster/token, POST /v1/cluster/token/rotate */
export interface JoinToken {
  readonly token: string
  /** This host, as others reach it: `172.31.1.11`, with the port when it is not 7946. */
  readonly address: string
}

/** POST /v1/cluster/keys/rotate */
export interface RotatedKeys {
  /** The new key's id: 8 hex digits. The key itself is never shown. */
  readonly key: string
  /** How many keys are accepted now. */
  readonly accepted: number
}

/** POST /v1/cluster/leave */
export interface LeaveCluster {
  /** Ends the sandboxes of this host first. */
  readonly force: boolean
}

/** In Status: null outside of a cluster. */
export interface ClusterStatus {
  readonly id: string
  readonly memberId: string
  readonly address: string
  readonly port: number
  readonly members: Readonly<Record<MemberState, number>>
  readonly records: number
  /** Root of the digest of all records: the same on hosts that know the same. */
  readonly digest: string
}

export type NodeStatus = 'ready' | 'suspect' | 'down'
export type Availability = 'active' | 'pause' | 'drain'

/** GET /v1/nodes: an array of these, in the order of names. */
export interface NodeRow {
  readonly id: string
  readonly name: string
  readonly self: boolean
  readonly status: NodeStatus
  readonly availability: Availability
  /** Where its gossip is heard. */
  readonly address: string
  /** Where VXLAN is sent to; empty when its own record is not known yet. */
  readonly vtep: string
  /** Of weft there; empty when its own record is not known yet. */
  readonly version: string
  /** Its counter of starts and refutations. */
  readonly incarnation: number
  /** How long it has had this status, as this host believes. */
  readonly statusForMs: number
  readonly endpoints: number
}

/** GET /v1/nodes/NAME: docker's node inspect, where docker has the key. */
export interface NodeInspect {
  readonly ID: string
  readonly Spec: {
    readonly Labels: Readonly<Record<string, string>>
    readonly Availability: Availability
  }
  readonly Description: {
    readonly Hostname: string
    readonly Engine: { readonly EngineVersion: string }
  }
  readonly Status: { readonly State: NodeStatus; readonly Addr: string }
  /** What docker has no word for. */
  readonly Gossip: {
    readonly Port: number
    readonly Incarnation: number
    readonly StateForMs: number
  }
  readonly Dataplane: {
    readonly VTEP: string
    readonly Port: number
    readonly UnderlayMTU: number
    /** Prefixes that the host routes: overlay subnets stay clear of them. */
    readonly Routes: readonly string[]
  }
  /** Names of the sandboxes that have endpoints there. */
  readonly Endpoints: readonly string[]
}

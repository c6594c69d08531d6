// What a host remembers of its cluster between two starts: cluster.json in its state directory.

import type { MemberId } from '../gossip/member.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Version } from '../netdb/record.ts'
import type { ClusterId } from './token.ts'

export interface KnownPeer {
  readonly id: MemberId
  readonly name: string
  readonly ip: Ipv4Address
  readonly port: number
}

export interface StoredKey {
  readonly key: Uint8Array
  readonly order: Version
}

/** What a host is to a cluster; null: it is in none. */
export interface Membership {
  readonly clusterId: ClusterId
  readonly keys: readonly StoredKey[]
  readonly joinSecret: Uint8Array
}

export interface ClusterState {
  readonly memberId: MemberId
  readonly membership: Membership | null
  /** How often this host has started: the upper half of its sessions (seal.ts). */
  readonly bootNumber: number
  readonly incarnation: number
  /** Whom to ask first after a start. */
  readonly peers: readonly KnownPeer[]
  /** When another member was last heard; 0: never. Wall clock: it is compared across restarts. */
  readonly lastContactWallMs: number
}

export interface StateFileOptions {
  readonly directory: string
  readonly wallMs: () => number
  readonly randomBytes: (count: number) => Uint8Array
}

export class StateFile {
  /** Where a file that could not be read was put, and why it could not; null: there was none, or a good one. */
  readonly setAside: { readonly path: string; readonly reason: string } | null = null

  /** Reads the file, or makes one with a new member id. */
  static open(_options: StateFileOptions): Promise<StateFile> {
    throw new Error('not yet')
  }

  get state(): ClusterState {
    throw new Error('not yet')
  }

  /** Takes over what is given; done when it is on disk. */
  update(_change: Partial<ClusterState>): Promise<void> {
    throw new Error('not yet')
  }

  /** The number of this start, on disk before it is given. */
  nextBoot(): Promise<number> {
    throw new Error('not yet')
  }
}

// Joining: what a new host asks, what a member answers, and what either says when it cannot be.

import type { Address, Member, MemberId } from '../gossip/member.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Version } from '../netdb/record.ts'
import type { KnownPeer, StoredKey } from './state-file.ts'
import type { ClusterId, Token } from './token.ts'

export interface Joiner {
  readonly id: MemberId
  readonly name: string
  readonly address: Address
  readonly weftVersion: string
}

/** What a joiner is given: all that a member holds, but the records. */
export interface JoinGrant {
  readonly clusterId: ClusterId
  readonly keys: readonly StoredKey[]
  readonly joinSecret: Uint8Array
  /** Members that are present, the granter first. */
  readonly peers: readonly KnownPeer[]
}

export type RefusalReason =
  | 'version_mismatch'
  | 'not_in_cluster'
  | 'itself'
  | 'name_taken'
  | 'address_taken'
  | 'unreachable'

export interface Refusal {
  readonly reason: RefusalReason
  /** One line for people, in the joiner's terms. */
  readonly message: string
}

export type JoinAnswer = { readonly grant: JoinGrant } | { readonly refusal: Refusal }

export interface JoinRequest extends Joiner {
  /** Of this exchange. */
  readonly protocol: number
}

/** What the member that is asked knows, to decide by. */
export interface JoinView {
  readonly self: { readonly id: MemberId; readonly name: string; readonly address: Address }
  /** null: this host is itself in no cluster. */
  readonly membership: {
    readonly clusterId: ClusterId
    readonly keys: readonly { readonly key: Uint8Array; readonly order: Version }[]
    readonly joinSecret: Uint8Array
  } | null
  /** This host among them. */
  readonly members: readonly Member[]
}

/** Decides (pure); whether the joiner can be reached is asked only when all else is well: serveJoin. */
export function answerJoin(_request: JoinRequest, _view: JoinView): JoinAnswer {
  throw new Error('not yet')
}

/**
 * StreamHandlers.onJoin: reads the request, decides, makes sure that the joiner is reached where it says to be.
 * `view` is asked when a request comes.
 */
export function serveJoin(
  _body: Uint8Array,
  _source: Ipv4Address,
  _view: () => JoinView,
): Promise<Uint8Array | null> {
  throw new Error('not yet')
}

/** HOST of `weft join`: a name or an address, with the port when it is not 7946. */
export interface JoinTarget {
  readonly host: string
  readonly port: number
}

/** @throws WeftError invalid_argument */
export function parseJoinTarget(_text: string): JoinTarget {
  throw new Error('not yet')
}

/**
 * Asks `target` for a place in the cluster of `token`. This host must listen already, with the token's door open and
 * serveJoin behind it: the member that is asked makes sure that it reaches the joiner.
 *
 * @throws WeftError unavailable, join_refused, name_in_use, address_in_use, version_mismatch
 */
export function requestJoin(_options: {
  readonly target: JoinTarget
  readonly token: Token
  readonly me: Joiner
  readonly timeoutMs?: number
}): Promise<JoinGrant> {
  throw new Error('not yet')
}

// Whether a host may join, decided by the member that it asks. Pure; how they speak is join-protocol.ts.

import type { ErrorCode } from '../errors.ts'
import { type Address, type Member, type MemberId, isPresent } from '../gossip/member.ts'
import type { KnownPeer, Membership } from './state-file.ts'

export interface Joiner {
  readonly id: MemberId
  readonly name: string
  readonly address: Address
  readonly weftVersion: string
}

/** What a joiner is given: all that a member holds, but the records. */
export interface JoinGrant extends Membership {
  /** Members that are present, the granter first. */
  readonly peers: readonly KnownPeer[]
}

/** Why not. The code is what `weft join` fails with. */
export const REFUSALS = {
  version_mismatch: 'version_mismatch',
  itself: 'join_refused',
  not_in_cluster: 'join_refused',
  id_taken: 'join_refused',
  name_taken: 'name_in_use',
  address_taken: 'address_in_use',
  unreachable: 'join_refused',
} as const satisfies Record<string, ErrorCode>

export type RefusalReason = keyof typeof REFUSALS

export interface Refusal {
  readonly reason: RefusalReason
  /** One line for people at the joiner. */
  readonly message: string
}

export type JoinAnswer = { readonly grant: JoinGrant } | { readonly refusal: Refusal }

/** What the member that is asked knows, to decide by. */
export interface JoinView {
  readonly self: { readonly id: MemberId; readonly name: string; readonly address: Address }
  /** null: this host is itself in no cluster. */
  readonly membership: Membership | null
  /** This host among them. */
  readonly members: readonly Member[]
}

/** As many as a joiner needs to find one that is still up. */
const MAX_PEERS = 64

/** Decides (pure). Whether the joiner is reached at its address is found out only when all else is well: serveJoin. */
export function answerJoin(joiner: Joiner, { self, membership, members }: JoinView): JoinAnswer {
  if (joiner.id === self.id) {
    return refuse(
      'itself',
      `${textOf(self.address)} is this host itself; name a host of the cluster`,
    )
  }
  if (membership === null) {
    return refuse('not_in_cluster', `host ${self.name} is in no cluster (yet); run weft init there`)
  }
  const present = members.filter(({ state }) => isPresent(state))
  const where = (member: Member): string => `host ${member.name} (${textOf(member.address)})`
  const same = present.find(({ id }) => id === joiner.id)
  if (same !== undefined && textOf(same.address) !== textOf(joiner.address)) {
    return refuse(
      'id_taken',
      `${where(same)} is up with the id of this host, as if one were a copy of the other's disk; remove cluster.json in the state directory of this one`,
    )
  }
  const others = present.filter(({ id }) => id !== joiner.id)
  const namesake = others.find(({ name }) => name === joiner.name)
  if (namesake !== undefined) {
    return refuse(
      'name_taken',
      `${where(namesake)} has the name ${joiner.name}; give this one another (--name of weft daemon)`,
    )
  }
  const neighbour = others.find(({ address }) => textOf(address) === textOf(joiner.address))
  if (neighbour !== undefined) {
    return refuse(
      'address_taken',
      `${where(neighbour)} has the address ${textOf(joiner.address)}: one that several hosts have, as VirtualBox gives 10.0.2.15 to each machine, reaches none of them; name another with --advertise-addr`,
    )
  }
  const first = present.filter(({ id }) => id === self.id)
  const peers = [...first, ...present.filter(({ id }) => id !== self.id && id !== joiner.id)]
  return { grant: { ...membership, peers: peers.slice(0, MAX_PEERS).map(knownPeer) } }
}

export function refuse(reason: RefusalReason, message: string): JoinAnswer {
  return { refusal: { reason, message } }
}

/** As it is written for people, and compared. */
export function textOf({ ip, port }: Address): string {
  return `${ip}:${port}`
}

function knownPeer({ id, name, address }: Member): KnownPeer {
  return { id, name, ...address }
}

// A member: a host as gossip sees it. Values only; who may change them is membership.ts.

import type { Ipv4Address } from '../net/ipv4-address.ts'

/** 16 hex digits: 8 random bytes, made once for a host and kept in its state directory. */
export type MemberId = string

/** Where a member's gossip is heard: the same port for UDP and TCP. */
export interface Address {
  readonly ip: Ipv4Address
  readonly port: number
}

/** Whom a datagram or a stream is meant for. */
export interface Peer {
  readonly id: MemberId
  readonly address: Address
}

/**
 * alive: answers. suspect: did not answer, may still refute. dead: did not refute in time, still probed now and then.
 * left: said goodbye, or was removed.
 */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

/** One member as this host believes it to be. */
export interface Member extends Peer {
  readonly name: string
  /** Grows by one with each refutation and each start; of two claims about a member the higher one stands. */
  readonly incarnation: number
  readonly state: MemberState
  /** Clock.nowMs() of the last change of state. */
  readonly sinceMs: number
}

/** Whether what a member owns is served: a suspect is innocent until it is believed dead. */
export function isPresent(state: MemberState): boolean {
  return state === 'alive' || state === 'suspect'
}

// What gossip carries for others: the replicated table rides on it without knowing SWIM, and SWIM without knowing records.

import type { Member, MemberId } from './member.ts'

/** Bytes of one broadcast or message at most: several of them, and a probe, fit one datagram. */
export const MAX_CARGO_BYTES = 1_150

/** What a passenger may do; gossip.ts implements it. */
export interface Channel {
  /** This host's id. */
  readonly self: MemberId
  /**
   * Spreads `body` to all members by gossip: a transmit-limited rumour. A newer broadcast of the same name replaces
   * one that is still waiting. Best effort: whoever needs certainty compares digests.
   */
  broadcast(name: string, body: Uint8Array): void
  /** One message to one member; may be lost. Ignored when the member is unknown. */
  send(to: MemberId, body: Uint8Array): void
  /** Asks one member over a stream (Transport.request). */
  request(
    to: MemberId,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void
  /** Up to `count` different other members that are present, chosen at random. */
  someMembers(count: number): MemberId[]
  /** All members, this host among them, in the order of their ids. */
  members(): readonly Member[]
}

/** Who rides on gossip. No call throws, whatever the bytes. */
export interface Passenger {
  /** A broadcast of somebody's. The name to relay it under when it was news; null when it was not. */
  onBroadcast(body: Uint8Array, from: MemberId): string | null
  onMessage(body: Uint8Array, from: MemberId): void
  /** The reply; null refuses. */
  onRequest(body: Uint8Array, from: MemberId): Uint8Array | null
  /** A member came, went, or changed its name or address. `before` undefined: it was not known. `after` undefined: forgotten. */
  onMember(after: Member | undefined, before: Member | undefined): void
  /** Direct contact with a member that was not present until now: a join, a heal. The time to compare everything. */
  onContact(member: MemberId): void
  /** A suspect says itself that it is alive: it may be that for a second nothing passed between it and us. */
  onRecovery(member: MemberId): void
}

// The replicator: netdb's records ride on gossip, as rumours, as acknowledged messages, and by comparing tables.

import type { Clock } from '../clock.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Channel, Passenger } from './channel.ts'
import type { Member, MemberId } from './member.ts'

export interface ReplicatorSettings {
  /** Between two comparisons with a random member, when all is well. */
  readonly compareIntervalMs: number
  /** The same for a while after a member came, or after more was learned than rumours carry. */
  readonly hurriedIntervalMs: number
}

export const REPLICATOR_SETTINGS: ReplicatorSettings = {
  compareIntervalMs: 1_500,
  hurriedIntervalMs: 200,
}

export interface ReplicatorOptions {
  readonly netdb: Netdb
  readonly clock: Clock
  /** 0 to below 1. */
  readonly random: () => number
  readonly settings?: Partial<ReplicatorSettings>
  /** A record says that this member, maybe this host itself, is expelled. */
  readonly onExpelled?: (member: MemberId) => void
}

export class Replicator implements Passenger {
  constructor(_options: ReplicatorOptions) {
    // skeleton
  }

  /** Before start(): by what it sends. */
  attach(_channel: Channel): void {
    // skeleton
  }

  start(): void {
    // skeleton
  }

  stop(): void {
    // skeleton
  }

  /**
   * Sends the records that stand under these names straight to the members, and calls back once: with the members that
   * have not acknowledged all of them in time.
   */
  acknowledge(
    _names: readonly string[],
    _members: readonly MemberId[],
    done: (missing: MemberId[]) => void,
    _timeoutMs = 200,
  ): void {
    done([])
  }

  /** Compares with two members at random, now; calls back when it is done, or time is over. */
  refresh(done: () => void, _timeoutMs = 200): void {
    done()
  }

  counters(): Record<string, number> {
    return {}
  }

  onBroadcast(_body: Uint8Array, _from: MemberId): string | null {
    return null
  }

  onMessage(_body: Uint8Array, _from: MemberId): void {
    // skeleton
  }

  onRequest(_body: Uint8Array, _from: MemberId): Uint8Array | null {
    return null
  }

  onMember(_after: Member | undefined, _before: Member | undefined): void {
    // skeleton
  }

  onContact(_member: MemberId): void {
    // skeleton
  }
}

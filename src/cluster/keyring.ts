// The gossip keys of this host, and which of them a datagram to a given peer is sealed with.
//
// A rotation adds a key, waits until all have it, and takes the old one away; records carry each step, so hosts hear of it at
// different times. Nothing is lost in between because a host accepts every key that it holds, and seals with the newest one
// that the receiver has shown to hold: each datagram says the newest key that its sender holds (seal.ts).

import { createHash } from 'node:crypto'
import type { MemberId } from '../gossip/member.ts'
import { compareVersions } from '../netdb/merge.ts'
import type { Version } from '../netdb/record.ts'
import { BoundedMap } from './bounded-map.ts'

/** 8 hex digits: the first 4 bytes of SHA-256 of the key. Sent in the clear: it says which key, nothing of the key. */
export type KeyId = string

/** Bytes of a gossip key. */
export const GOSSIP_KEY_BYTES = 32

export interface GossipKey {
  readonly id: KeyId
  readonly key: Uint8Array
  /** When its record was written, by whom: so all hosts agree which of two keys is newer. */
  readonly order: Version
}

export function gossipKey(key: Uint8Array, order: Version): GossipKey {
  return { id: keyIdOf(key), key, order }
}

export function keyIdOf(key: Uint8Array): KeyId {
  return createHash('sha256').update(key).digest('hex').slice(0, 8)
}

export class Keyring {
  /** From the oldest to the newest. */
  #keys: GossipKey[] = []
  /** What a peer has shown to hold, by its last datagram. */
  readonly #held = new BoundedMap<MemberId, { readonly used: KeyId; readonly newest: KeyId }>(4096)

  constructor(keys: readonly GossipKey[] = []) {
    for (const key of keys) this.add(key)
  }

  /** Takes a key up; one that is held already keeps its place. Whether it was new. */
  add(key: GossipKey): boolean {
    if (this.get(key.id) !== undefined) return false
    this.#keys = [...this.#keys, key].toSorted((a, b) => compareVersions(a.order, b.order))
    return true
  }

  /** From now on what is sealed with it is foreign. Whether it was held. */
  remove(id: KeyId): boolean {
    const before = this.#keys.length
    this.#keys = this.#keys.filter((key) => key.id !== id)
    return this.#keys.length < before
  }

  get(id: KeyId): GossipKey | undefined {
    return this.#keys.find((key) => key.id === id)
  }

  /** From the oldest to the newest. */
  all(): readonly GossipKey[] {
    return this.#keys
  }

  newest(): GossipKey | undefined {
    return this.#keys.at(-1)
  }

  /** Takes note of what a datagram of `peer` showed: the key that it was sealed with, the newest that it says to hold. */
  noteHeld(peer: MemberId, used: KeyId, newest: KeyId): void {
    this.#held.set(peer, { used, newest })
  }

  /** The member is gone: forget what it held. */
  forget(peer: MemberId): void {
    this.#held.delete(peer)
  }

  /** Whether all of `peers` have shown to hold `id` as their newest key: the time when older ones may go. */
  heldByAll(id: KeyId, peers: readonly MemberId[]): boolean {
    return peers.every((peer) => this.#held.get(peer)?.newest === id)
  }

  /**
   * The key for a datagram to `peer`; undefined when there is none at all.
   *
   * Of a peer that has shown nothing yet we do not know whether a rotation has reached it, or left it behind: successive
   * attempts (counted by the caller from 0) try the keys in turn, the oldest first, since it is the one that all had.
   */
  keyFor(peer: MemberId, attempt: number): GossipKey | undefined {
    const held = this.#held.get(peer)
    // When its newest has not reached us, it seals with one that we hold both.
    const common = held === undefined ? undefined : (this.get(held.newest) ?? this.get(held.used))
    return common ?? this.#keys[attempt % Math.max(1, this.#keys.length)]
  }
}

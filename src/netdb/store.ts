// The store: every record that is held, found by name, by owner and by digest; bounded.
//
// The digest is kept as records come and go: 256 buckets by name, each the XOR of its records' hashes. Two tables are equal when
// their buckets are, whatever their size and the order in which they were filled.

import { type Hash, hashBytes, nameKeyOf } from './hash.ts'
import { compareVersions } from './merge.ts'
import type { EncodedRecord } from './record.ts'
import { Tombstones } from './tombstones.ts'

export const BUCKETS = 256

export interface Limits {
  /** Records in all, tombstones among them. */
  readonly records: number
  /** Facts of one owner; of a shared kind: that it made. */
  readonly factsOfOwner: number
  readonly tombstonesOfOwner: number
}

export const LIMITS: Limits = { records: 100_000, factsOfOwner: 19_000, tombstonesOfOwner: 1_000 }

/** A record where it is held. */
export interface Entry {
  readonly held: EncodedRecord
  /** The record's name as a number: what hosts call it when they compare. */
  readonly nameKey: number
  readonly hash: Hash
  /** Clock time since when a tombstone is known to be one. */
  readonly sinceMs: number
}

/** What of the table one may look at to compare it with another's. */
export interface Stored {
  readonly count: number
  /** Of all records: equal when the tables are. */
  readonly root: Hash
  readonly buckets: readonly StoredBucket[]
  get(name: string): Entry | undefined
  entries(): IterableIterator<Entry>
}

export interface StoredBucket {
  readonly hash: Hash
  /** By Entry.nameKey. */
  readonly entries: ReadonlyMap<number, Entry>
}

export type Full = 'owner_full' | 'table_full' | 'too_old'

export class RecordStore implements Stored {
  readonly #limits: Limits
  readonly #entries = new Map<string, Entry>()
  readonly #owners = new Map<string, Owner>()
  readonly #tombstones = new Set<string>()
  readonly buckets: readonly Bucket[] = Array.from({ length: BUCKETS }, () => new Bucket())
  #root = { high: 0, low: 0 }

  constructor(limits: Limits) {
    this.#limits = limits
  }

  get count(): number {
    return this.#entries.size
  }

  get root(): Hash {
    return this.#root
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name)
  }

  entries(): IterableIterator<Entry> {
    return this.#entries.values()
  }

  /** Names of all tombstones, those learned first in front. */
  tombstones(): IterableIterator<string> {
    return this.#tombstones.values()
  }

  /** Names of what falls with the owner. */
  ownedBy(owner: string): string[] {
    return [...(this.#owners.get(owner)?.owned ?? [])]
  }

  /** Why there is no place for the record; null: there is. */
  isFull({
    name,
    owner,
    tombstone,
    version,
  }: Pick<EncodedRecord, 'name' | 'owner' | 'tombstone' | 'version'>): Full | null {
    const held = this.#entries.get(name)?.held
    const { factsOfOwner, tombstonesOfOwner, records } = this.#limits
    const { facts = 0, tombstones } = this.#owners.get(owner) ?? {}
    if (!tombstone && facts >= factsOfOwner && (held?.tombstone ?? true)) return 'owner_full'
    if (held !== undefined) return null
    const oldest = tombstones?.oldest
    const spent = tombstone && tombstones !== undefined && tombstones.count >= tombstonesOfOwner
    if (spent && oldest !== undefined && compareVersions(version, oldest.version) < 0)
      return 'too_old'
    return this.#entries.size >= records && this.#tombstones.size === 0 ? 'table_full' : null
  }

  /** Puts the record in place of the one that is held; what there is no room for any more goes: tombstones, the oldest first. */
  set(record: EncodedRecord, sinceMs: number): void {
    this.delete(record.name)
    if (this.#entries.size >= this.#limits.records) {
      const [first] = this.#tombstones
      if (first !== undefined) this.delete(first)
    }
    const nameKey = nameKeyOf(record.name)
    const entry = { held: record, nameKey, hash: hashBytes(record.encoded), sinceMs }
    this.#entries.set(record.name, entry)
    this.#count(entry)
    const owner = this.#ownerOf(record.owner)
    if (record.owned) owner.owned.add(record.name)
    if (!record.tombstone) {
      owner.facts++
      return
    }
    this.#tombstones.add(record.name)
    owner.tombstones.add(record)
    const { oldest, count } = owner.tombstones
    if (count > this.#limits.tombstonesOfOwner && oldest !== undefined) this.delete(oldest.name)
  }

  delete(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    const { held } = entry
    this.#entries.delete(name)
    this.#count(entry)
    const owner = this.#ownerOf(held.owner)
    owner.owned.delete(name)
    if (held.tombstone) {
      this.#tombstones.delete(name)
      owner.tombstones.remove(held)
    } else {
      owner.facts--
    }
    if (owner.facts === 0 && owner.tombstones.count === 0) this.#owners.delete(held.owner)
  }

  #ownerOf(id: string): Owner {
    let owner = this.#owners.get(id)
    if (owner === undefined) {
      owner = { owned: new Set(), facts: 0, tombstones: new Tombstones() }
      this.#owners.set(id, owner)
    }
    return owner
  }

  /** Into the digest when it is held, out of it when it is not. */
  #count(entry: Entry): void {
    const { hash, nameKey, held } = entry
    this.buckets[nameKey % BUCKETS]?.toggle(entry, this.#entries.get(held.name) === entry)
    this.#root = {
      high: (this.#root.high ^ hash.high) >>> 0,
      low: (this.#root.low ^ hash.low) >>> 0,
    }
  }
}

interface Owner {
  /** Names of its records of owned kinds. */
  readonly owned: Set<string>
  facts: number
  readonly tombstones: Tombstones
}

class Bucket implements StoredBucket {
  readonly entries = new Map<number, Entry>()
  hash: Hash = { high: 0, low: 0 }

  toggle(entry: Entry, held: boolean): void {
    if (held) this.entries.set(entry.nameKey, entry)
    else this.entries.delete(entry.nameKey)
    const { high, low } = this.hash
    this.hash = { high: (high ^ entry.hash.high) >>> 0, low: (low ^ entry.hash.low) >>> 0 }
  }
}

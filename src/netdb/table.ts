// The table of all records that this host knows, and the one place where they change.
//
// Writers: what this host does itself (put, remove), and what it is told (merge). Both end in the same step, so watchers see
// a local attach and a remote one alike. Tombstones stay in the table: an older write that arrives late must lose to them.

import { encodeRecord } from './codec.ts'
import { LamportClock } from './lamport.ts'
import { replaces } from './merge.ts'
import {
  type EncodedRecord,
  type Kind,
  type LiveRecord,
  type NetdbRecord,
  type ValueOf,
  type Version,
  type Written,
  recordName,
} from './record.ts'

/** What changed: either side is undefined when there was, or is, no such fact. */
export interface Change {
  readonly before: NetdbRecord | undefined
  readonly after: NetdbRecord | undefined
}

export type Watcher = (change: Change) => void

export interface NetdbOptions {
  /** Nobody is hidden: without a cluster there is nobody to say who is present. */
  readonly everyonePresent?: boolean
  /** Begins with adoption, which ready() ends: records of this host's own past are kept until then. */
  readonly adopting?: boolean
  /** Clock.nowMs; without it nothing ages. */
  readonly nowMs?: () => number
}

export class Netdb {
  readonly self: string
  readonly #clock = new LamportClock()
  readonly #records = new Map<string, NetdbRecord>()
  readonly #watchers = new Set<Watcher>()

  /** @param self the id of this host's member */
  constructor(self: string, _options: NetdbOptions = {}) {
    this.self = self
  }

  /**
   * Writes a fact of this host's.
   *
   * @throws WeftError invalid_argument when it is too large to travel
   */
  put<K extends Kind>(kind: K, key: string, value: Written<K>): LiveRecord<K> {
    const version = this.nextVersion()
    const full = { claimedAt: version.lamport, ...value }
    const record = { kind, key, owner: this.self, version, value: full } as unknown as LiveRecord<K>
    this.merge(encodeRecord(record as unknown as NetdbRecord))
    return record
  }

  /** Takes a fact back: leaves a tombstone. Nothing happens when there is no such fact. */
  remove(kind: Kind, key: string): void {
    const held = this.#records.get(recordName({ kind, key, owner: this.self }))
    if (held === undefined || held.value === null) return
    this.merge(encodeRecord({ ...held, version: this.nextVersion(), value: null }))
  }

  /** Takes a record as another has written it. Whether it was news. */
  merge(encoded: EncodedRecord): boolean {
    const { record, name } = encoded
    if (record === null) return false
    this.#clock.witness(record.version.lamport)
    const held = this.#records.get(name)
    if (!replaces(record, held)) return false
    this.#records.set(name, record)
    const change = { before: living(held), after: living(record) }
    for (const watcher of this.#watchers) watcher(change)
    return true
  }

  /** Serves a fact that nobody wrote, as of a facts file: until a record of its name stands. Never sent. */
  assume<K extends Kind>(kind: K, key: string, owner: string, value: ValueOf[K]): void {
    const version = this.nextVersion()
    this.merge(encodeRecord({ kind, key, owner, version, value } as unknown as NetdbRecord))
  }

  unassume(kind: Kind, key: string, owner: string): void {
    const held = this.#records.get(recordName({ kind, key, owner }))
    if (held === undefined || held.value === null) return
    this.merge(encodeRecord({ ...held, version: this.nextVersion(), value: null }))
  }

  /** What a member owns is served while it is present. */
  setPresent(_member: string, _present: boolean): void {
    // skeleton
  }

  /** The member is no more: what it owns is dropped. */
  forget(_member: string): void {
    // skeleton
  }

  /** Ends adoption: what this host owned in its past and has not put again is taken back. */
  ready(): void {
    // skeleton
  }

  /** The fact of that key. `owner`: of an owned kind, whose; without it, whoever has one. */
  get<K extends Kind>(kind: K, key: string, owner?: string): LiveRecord<K> | undefined {
    const found = living(this.#records.get(recordName({ kind, key, owner: owner ?? this.self })))
    if (found !== undefined) return found as unknown as LiveRecord<K>
    return owner === undefined ? this.list(kind).find((record) => record.key === key) : undefined
  }

  /** The record of that name (recordName), whichever kind it is. */
  find(name: string): NetdbRecord | undefined {
    return living(this.#records.get(name))
  }

  /** All facts of a kind, in no order. */
  list<K extends Kind>(kind: K): LiveRecord<K>[] {
    const found: LiveRecord<K>[] = []
    for (const record of this.#records.values()) {
      if (record.kind === kind && record.value !== null)
        found.push(record as unknown as LiveRecord<K>)
    }
    return found
  }

  /** A member's name for people, also when it is absent; the id of one that is not known. */
  nameOfMember(id: string): string {
    return this.get('member', id, id)?.value.name ?? id
  }

  /** Calls back on each change from now on, in order; gives the function that ends it. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** The version for a write of this host's. */
  nextVersion(): Version {
    return { lamport: this.#clock.tick(), writer: this.self }
  }
}

function living(record: NetdbRecord | undefined): NetdbRecord | undefined {
  return record === undefined || record.value === null ? undefined : record
}

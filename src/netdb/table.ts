// The table of all records that this host knows, and the one place where they change.
//
// Writers: what this host does itself (put, remove), and what it is told (merge). Both end in the same step, so watchers see
// a local attach and a remote one alike. Tombstones stay in the table: an older write that arrives late must lose to them.

import { LamportClock } from './lamport.ts'
import { replaces } from './merge.ts'
import {
  type Kind,
  type LiveRecord,
  type NetdbRecord,
  type RecordOf,
  type ValueOf,
  type Version,
  recordName,
} from './record.ts'

/** What changed: either side is undefined when there was, or is, no such fact. */
export interface Change {
  readonly before: NetdbRecord | undefined
  readonly after: NetdbRecord | undefined
}

export type Watcher = (change: Change) => void

export class Netdb {
  readonly #self: string
  readonly #clock = new LamportClock()
  readonly #records = new Map<string, NetdbRecord>()
  readonly #watchers = new Set<Watcher>()

  /** @param self the id of this host's member */
  constructor(self: string) {
    this.#self = self
  }

  /** Writes a fact of this host's. */
  put<K extends Kind>(kind: K, key: string, value: ValueOf[K]): void {
    this.#write({ kind, key, owner: this.#self, value })
  }

  /** Takes a fact back: leaves a tombstone. Nothing happens when there is no such fact. */
  remove(kind: Kind, key: string): void {
    const held = this.#records.get(recordName({ kind, key }))
    if (held === undefined || held.value === null) return
    this.#write({ kind, key, owner: held.owner, value: null })
  }

  /** Takes a record as another has written it. Whether it changed anything. */
  merge(record: NetdbRecord): boolean {
    this.#clock.witness(record.version.lamport)
    const name = recordName(record)
    const held = this.#records.get(name)
    if (!replaces(record, held)) return false
    this.#records.set(name, record)
    const change = { before: living(held), after: living(record) }
    for (const watcher of this.#watchers) watcher(change)
    return true
  }

  get<K extends Kind>(kind: K, key: string): LiveRecord<K> | undefined {
    const record = living(this.#records.get(recordName({ kind, key })))
    return record as LiveRecord<K> | undefined
  }

  /** The record of that name (recordName), whichever kind it is. */
  find(name: string): NetdbRecord | undefined {
    return living(this.#records.get(name))
  }

  /** All facts of a kind, in no order. */
  list<K extends Kind>(kind: K): LiveRecord<K>[] {
    const found: LiveRecord<K>[] = []
    for (const record of this.#records.values()) {
      if (record.kind === kind && record.value !== null) found.push(record as LiveRecord<K>)
    }
    return found
  }

  /** Calls back on each change from now on, in order; gives the function that ends it. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** The version for a write of this host's. */
  nextVersion(): Version {
    return { lamport: this.#clock.tick(), writer: this.#self }
  }

  #write<K extends Kind>(fact: Omit<RecordOf<K>, 'version'>): void {
    this.merge({ ...fact, version: this.nextVersion() } as NetdbRecord)
  }
}

function living(record: NetdbRecord | undefined): NetdbRecord | undefined {
  return record === undefined || record.value === null ? undefined : record
}

// What is served: the facts that hold and may be seen, and those who watch them come and go.

import { type Kind, type NetdbRecord, nameOf, recordName } from './record.ts'

/** What changed: either side is undefined when there was, or is, no such fact. */
export interface Change {
  readonly before: NetdbRecord | undefined
  readonly after: NetdbRecord | undefined
}

export type Watcher = (change: Change) => void

export class Served {
  /** By name. */
  readonly #byKind = new Map<string, Map<string, NetdbRecord>>()
  /** Kind/key → names, of records whose name has the owner in it: who asks may not know that. */
  readonly #byKey = new Map<string, readonly string[]>()
  readonly #watchers = new Set<Watcher>()
  readonly #waiting: Change[] = []
  #telling = false

  find(name: string): NetdbRecord | undefined {
    return this.#byKind.get(name.slice(0, name.indexOf('/')))?.get(name)
  }

  /** All of that kind and key, whoever owns them. */
  ofKey(kind: Kind, key: string): NetdbRecord[] {
    const keyName = nameOf(kind, key, null)
    return [keyName, ...(this.#byKey.get(keyName) ?? [])].flatMap((name) => this.find(name) ?? [])
  }

  list(kind: Kind): NetdbRecord[] {
    return [...(this.#byKind.get(kind)?.values() ?? [])]
  }

  /** Serves `after` under the name from now on; undefined: nothing. */
  set(name: string, after: NetdbRecord | undefined): void {
    const before = this.find(name)
    if (before === after) return
    const record = (after ?? before) as NetdbRecord
    this.#index(record, after !== undefined)
    this.#waiting.push({ before, after })
    this.#tell()
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #index(record: NetdbRecord, served: boolean): void {
    const { kind, key } = record
    const name = recordName(record)
    let ofKind = this.#byKind.get(kind)
    if (ofKind === undefined) this.#byKind.set(kind, (ofKind = new Map<string, NetdbRecord>()))
    if (served) ofKind.set(name, record)
    else ofKind.delete(name)
    const keyName = nameOf(kind, key, null)
    if (name === keyName) return
    const others = (this.#byKey.get(keyName) ?? []).filter((other) => other !== name)
    if (served) this.#byKey.set(keyName, [...others, name])
    else if (others.length > 0) this.#byKey.set(keyName, others)
    else this.#byKey.delete(keyName)
  }

  /** A watcher that writes makes changes of its own: they wait until everybody has heard of this one. */
  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    try {
      for (
        let change = this.#waiting.shift();
        change !== undefined;
        change = this.#waiting.shift()
      ) {
        for (const watcher of [...this.#watchers]) watcher(change)
      }
    } finally {
      this.#telling = false
    }
  }
}

// The fallen: endpoints of hosts that are believed dead since a moment. They are no longer served, but what they are backends of
// keeps their connections for a while: a host that only paused loses none.
//
//   served ─ hidden ─► fallen ─ served again, removed, or the time is over ─► not fallen

import type { LiveRecord, NetdbRecord } from '../netdb/record.ts'
import { recordName } from '../netdb/record.ts'
import type { Change, Netdb } from '../netdb/table.ts'

type Endpoint = LiveRecord<'endpoint'>

export class Fallen {
  readonly #netdb: Pick<Netdb, 'stored'>
  readonly #later: (task: () => void) => unknown
  readonly #onOver: (endpoint: Endpoint) => void
  readonly #fallen = new Map<string, Endpoint>()

  /**
   * @param later does something when they have waited for long enough
   * @param onOver one is not fallen any more
   */
  constructor(
    netdb: Pick<Netdb, 'stored'>,
    later: (task: () => void) => unknown,
    onOver: (endpoint: Endpoint) => void,
  ) {
    this.#netdb = netdb
    this.#later = later
    this.#onOver = onOver
  }

  list(): Iterable<Endpoint> {
    return this.#fallen.values()
  }

  follow({ before, after }: Change): void {
    const record = after ?? before
    if (record?.kind === 'endpoint' && record.value !== null) {
      const name = recordName(record)
      if (after !== undefined) this.#end(name)
      else if (record.value.service !== null && this.#isHidden(name)) this.#begin(name, record)
    }
  }

  /** Ends those that were removed meanwhile, as with their host: of what is hidden nobody tells. */
  prune(): void {
    for (const name of [...this.#fallen.keys()]) if (!this.#isHidden(name)) this.#end(name)
  }

  #begin(name: string, record: NetdbRecord): void {
    const endpoint = record as Endpoint
    this.#fallen.set(name, endpoint)
    this.#later(() => {
      if (this.#fallen.get(name) === endpoint) this.#end(name)
    })
  }

  #end(name: string): void {
    const endpoint = this.#fallen.get(name)
    if (endpoint === undefined) return
    this.#fallen.delete(name)
    this.#onOver(endpoint)
  }

  /** The record is there, and its host is not. */
  #isHidden(name: string): boolean {
    const held = this.#netdb.stored.get(name)?.held
    return held !== undefined && !held.tombstone
  }
}

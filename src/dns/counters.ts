// How often what was asked and answered.

import { rcodeName } from './message.ts'
import type { Carrier } from './query.ts'

/**
 * Where a reply came from: our own names, an upstream, what an upstream said a moment ago; `none`: nobody was asked, or nobody
 * answered, or the query was wrong.
 */
export type Source = 'local' | 'upstream' | 'cache' | 'none'

export interface ResolverCounts {
  readonly queries: Readonly<Record<Carrier, number>>
  /** By source and rcode. */
  readonly replies: Readonly<Record<Source, Readonly<Record<string, number>>>>
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>
  /** Why others' names were not answered, by reason. */
  readonly failures: Readonly<Record<string, number>>
  /** Replies that the socket did not take. */
  readonly unsent: number
}

export class Counters {
  readonly #queries = { udp: 0, tcp: 0 }
  readonly #replies: Record<Source, number[]> = { local: [], upstream: [], cache: [], none: [] }
  readonly #dropped = new Map<string, number>()
  readonly #failures = new Map<string, number>()
  #unsent = 0

  query(carrier: Carrier): void {
    this.#queries[carrier]++
  }

  reply(source: Source, rcode: number): void {
    const counts = this.#replies[source]
    counts[rcode] = (counts[rcode] ?? 0) + 1
  }

  dropped(reason: string): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1)
  }

  failure(reason: string): void {
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1)
  }

  unsent(count: number): void {
    this.#unsent += count
  }

  read(): ResolverCounts {
    const { local, upstream, cache, none } = this.#replies
    return {
      queries: { ...this.#queries },
      replies: {
        local: byName(local),
        upstream: byName(upstream),
        cache: byName(cache),
        none: byName(none),
      },
      dropped: Object.fromEntries(this.#dropped),
      failures: Object.fromEntries(this.#failures),
      unsent: this.#unsent,
    }
  }
}

function byName(counts: readonly number[]): Record<string, number> {
  return Object.fromEntries(
    counts.flatMap((count, rcode) => (count > 0 ? [[rcodeName(rcode), count] as const] : [])),
  )
}

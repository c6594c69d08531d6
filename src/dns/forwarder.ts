// Questions about names that are not ours, on their way to the host's resolvers: as the bytes that they are. Pure but for its transport.

import type { Clock } from '../clock.ts'
import { withId } from './message.ts'
import { NegativeCache } from './negative-cache.ts'
import type { Query } from './query.ts'
import { Race } from './race.ts'
import { type Upstream, formatUpstream } from './upstream.ts'
import type { UpstreamTransport } from './upstream-transport.ts'

export const FORWARD_TIMEOUT_MS = 2_000
/** Docker's limit for a container is 1024, and a client that asks so many at once asks the same often. */
const MAX_PER_CLIENT = 128
/** Each is a socket for each upstream. */
const MAX_FLIGHTS = 512

export interface ForwarderOptions {
  readonly clock: Clock
  readonly transport: UpstreamTransport
  readonly randomId: () => number
  readonly timeoutMs?: number
}

/** Who asks: a sandbox may have so many questions under way. */
export interface Client {
  underway: number
}

/** Why there is no reply of an upstream. */
export type NoReply = 'no_upstream' | 'timeout' | 'client_limit' | 'limit' | 'loop'

export type ForwardEnd = (
  outcome: { readonly reply: Buffer; readonly cached: boolean } | { readonly failure: NoReply },
) => void

export interface ForwarderCounters {
  /** Questions that were sent, each once however many upstreams and tries. */
  readonly sent: number
  /** Questions that joined another one under way. */
  readonly joined: number
  readonly cached: number
  /** Messages of upstreams that answered nothing that was asked. */
  readonly mismatched: number
}

interface Flight {
  readonly waiting: ((reply: Buffer | null) => void)[]
  readonly race: () => Race | null
}

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #cache: NegativeCache
  readonly #flights = new Map<string, Flight>()
  #upstreams: readonly Upstream[] = []
  readonly #counts = { sent: 0, joined: 0, cached: 0, mismatched: 0 }

  constructor(options: ForwarderOptions) {
    this.#options = options
    this.#cache = new NegativeCache(options.clock)
  }

  get upstreams(): readonly Upstream[] {
    return this.#upstreams
  }

  /** From now on; what is under way ends as it began. */
  setUpstreams(upstreams: readonly Upstream[]): void {
    const names = (list: readonly Upstream[]): string => list.map(formatUpstream).join(' ')
    if (names(upstreams) === names(this.#upstreams)) return
    this.#upstreams = [...upstreams]
    this.#cache.clear()
  }

  counters(): ForwarderCounters {
    return { ...this.#counts }
  }

  /** Calls back once, at once or within the timeout. The reply has the id of the query. */
  forward(query: Query, client: Client, onEnd: ForwardEnd): void {
    const { bytes, id, carrier } = query
    // All but the id. A client that asks by TCP wants all of it, where another is content with a part.
    const key = `${carrier} ${bytes.toString('latin1', 2)}`
    const known = this.#cache.get(key)
    if (known !== undefined) {
      this.#counts.cached++
      onEnd(known === null ? { failure: 'timeout' } : { reply: withId(known, id), cached: true })
      return
    }
    if (this.#upstreams.length === 0) {
      onEnd({ failure: 'no_upstream' })
      return
    }
    if (client.underway >= MAX_PER_CLIENT) {
      onEnd({ failure: 'client_limit' })
      return
    }
    const flight = this.#flights.get(key)
    if (flight === undefined && this.#flights.size >= MAX_FLIGHTS) {
      onEnd({ failure: 'limit' })
      return
    }
    client.underway++
    const landed = (reply: Buffer | null): void => {
      client.underway--
      onEnd(reply === null ? { failure: 'timeout' } : { reply: withId(reply, id), cached: false })
    }
    if (flight === undefined) {
      this.#fly(key, query, landed)
      return
    }
    this.#counts.joined++
    flight.waiting.push(landed)
  }

  /** Ends all that is under way, without an answer. */
  close(): void {
    for (const { race } of this.#flights.values()) race()?.close()
    this.#flights.clear()
  }

  #fly(key: string, { bytes, carrier }: Query, first: (reply: Buffer | null) => void): void {
    const { clock, transport, randomId, timeoutMs = FORWARD_TIMEOUT_MS } = this.#options
    let race: Race | null = null
    const flight: Flight = { waiting: [first], race: () => race }
    this.#flights.set(key, flight)
    this.#counts.sent++
    race = new Race(
      {
        clock,
        transport,
        upstreams: this.#upstreams,
        message: bytes,
        whole: carrier === 'tcp',
        timeoutMs,
        randomId,
        onMismatch: () => {
          this.#counts.mismatched++
        },
      },
      (reply) => {
        this.#flights.delete(key)
        this.#cache.offer(key, reply)
        for (const land of flight.waiting) land(reply)
      },
    )
  }
}

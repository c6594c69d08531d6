// A scenario: a random cluster, random faults and writes, then peace, and what must hold. All of it follows from the seed.
//
// Most are honest. In some a member lies, and ends with the faults; in some the bytes of datagrams and streams are damaged, which
// the seal would not let through: there it matters that nobody falls over.

import { Random } from '../fixtures/random.ts'
import { Cluster } from './cluster.ts'
import { Faults, MAX_HOSTS } from './faults.ts'
import { Liar } from './liar.ts'
import { Ledger, forgery, misplaced, unequalTables, violation } from './properties.ts'

export interface Outcome {
  readonly seed: number
  /** One line; null: all properties held. */
  readonly problem: string | null
  readonly timeline: readonly string[]
  readonly hosts: number
  readonly virtualMs: number
  readonly events: number
  /** From the end of the faults until all were of one mind; null: they never were. */
  readonly settledMs: number | null
}

type Temper = 'honest' | 'lying' | 'tampered'

/** How long hosts may take until they agree, when only the network was at fault. */
const SETTLE_MS = 2_000
/**
 * The same when a host has died: 3 s in a quiet cluster, but a host that was itself in trouble waits for answers up to
 * nine times as long as usual, which is 4 s more.
 */
const SETTLE_AFTER_DEATH_MS = 7_500
/** A host that waits to be let in gives those 2 s whom it asks, five at a time, and begins again a second later. */
const SETTLE_AFTER_JOIN_MS = 4_000
const JOIN_ROUND_MS = 2_000
const JOIN_ROUND_HOSTS = 5
/** The liar has died, and its last lies have to be set right. */
const SETTLE_AFTER_LIES_MS = 5_000
/** Deaths within that time before the end may not have been noticed yet. */
const UNNOTICED_MS = 4_000
/** How long peace must last. */
const PEACE_MS = 3_000
const LOOK_MS = 1_000

export function runScenario(seed: number, options: { readonly timeline?: boolean } = {}): Outcome {
  const scenario = new Scenario(seed, options.timeline ?? false)
  const { cluster } = scenario
  let problem: string | null
  try {
    problem = scenario.passThrough() ?? scenario.settle() ?? scenario.peace()
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  return {
    seed,
    problem,
    timeline: cluster.timeline.lines(),
    hosts: cluster.hosts.length,
    virtualMs: cluster.time.nowMs(),
    events: cluster.time.happened,
    settledMs: scenario.settledMs,
  }
}

class Scenario {
  readonly cluster: Cluster
  settledMs: number | null = null
  readonly #random: Random
  readonly #temper: Temper
  readonly #durationMs: number
  readonly #faults: Faults
  readonly #ledger = new Ledger()

  constructor(seed: number, timeline: boolean) {
    const random = new Random(seed)
    this.#random = random
    // Small clusters mostly: they are quick, and have all kinds of troubles.
    const hosts = random.once(6) ? 9 + random.below(MAX_HOSTS - 8) : 2 + random.below(7)
    this.#temper = random.once(8) ? 'lying' : random.once(8) ? 'tampered' : 'honest'
    this.#durationMs = random.once(15)
      ? 60_000 + random.below(260_000)
      : 4_000 + random.below(16_000)
    this.cluster = new Cluster({ seed: random.next(), hosts, timeline, snapshots: true })
    this.#faults = new Faults(this.cluster, random)
    this.cluster.onStart = ({ name, life }) => {
      life.netdb.watchWrites((record) => {
        this.#ledger.note(record)
        const what = record.tombstone ? 'removes' : 'writes'
        this.cluster.timeline.note(
          name,
          `${what} ${record.name}, lamport ${record.version.lamport}`,
        )
      })
    }
  }

  /** The time of faults; what was violated meanwhile. */
  passThrough(): string | null {
    const { time, hosts, network } = this.cluster
    for (const [i, host] of hosts.entries()) host.start(hosts.slice(0, i))
    const liar =
      this.#temper === 'lying' && hosts.length > 2
        ? new Liar(this.cluster, this.#random.pick(hosts), this.#random)
        : null
    if (this.#temper === 'tampered') {
      network.tamper = (body) => (this.#random.once(4) ? this.#random.mutated(body) : body)
    }
    const everyMs = this.#faults.durationMs(100, 2_000)
    let faultMs = 500
    let lookMs = LOOK_MS
    while (time.nowMs() < this.#durationMs) {
      time.runUntil(Math.min(faultMs, lookMs, this.#durationMs))
      if (time.nowMs() >= faultMs) {
        this.#faults.happen()
        faultMs += this.#random.below(2 * everyMs)
      }
      if (time.nowMs() < lookMs) continue
      lookMs += LOOK_MS
      const found = this.#violation()
      if (found !== null) return found
    }
    liar?.end()
    network.tamper = null
    this.#faults.end()
    return this.#violation()
  }

  /** How long it took them to agree; what is wrong when it took too long. */
  settle(): string | null {
    const limitMs = this.#settleLimitMs()
    this.settledMs = this.cluster.time.runUntilTrue(() => this.#agree(), limitMs)
    return this.settledMs === null
      ? `no agreement within ${limitMs} ms: ${this.cluster.difference()}`
      : null
  }

  /** Once they agree they go on agreeing. */
  peace(): string | null {
    for (let ms = 0; ms < PEACE_MS; ms += LOOK_MS) {
      this.cluster.time.runFor(LOOK_MS)
      const found = this.#violation()
      if (found !== null) return found
      if (!this.#goOnAgreeing()) return `no agreement any more: ${this.cluster.difference()}`
    }
    if (this.#temper === 'tampered') return null
    return (
      misplaced(this.cluster) ?? forgery(this.cluster, this.#ledger) ?? unequalTables(this.cluster)
    )
  }

  #violation(): string | null {
    return violation(this.cluster, this.#temper === 'honest' ? this.#ledger : null)
  }

  /** Damage makes members and records that never were, and gives others wrong addresses: there nobody need agree. */
  #agree(): boolean {
    return this.#temper === 'tampered' || this.cluster.converged()
  }

  /** A probe that was sent in bad times may still fail, and be answered by the one who is suspected then. */
  #goOnAgreeing(): boolean {
    if (this.#temper === 'tampered') return true
    return this.cluster.membersAgree(true) && this.cluster.tablesAgree()
  }

  /** By what has happened last. */
  #settleLimitMs(): number {
    const { time, hosts } = this.cluster
    const running = this.cluster.running()
    const unnoticed = hosts.some(({ id, state, endedAtMs }) => {
      if (state !== 'down' && state !== 'left') return false
      const isRecent = time.nowMs() - endedAtMs < UNNOTICED_MS
      return isRecent || running.some((host) => host.believesPresent(id))
    })
    const rounds = Math.floor(hosts.length / JOIN_ROUND_HOSTS)
    const outside = running.some(({ searching }) => searching)
    const death = unnoticed ? SETTLE_AFTER_DEATH_MS : SETTLE_MS
    // A liar does not make those hear of a host that its own search has not brought to them yet.
    return Math.max(
      this.#temper === 'lying' ? SETTLE_AFTER_LIES_MS : death,
      outside ? SETTLE_AFTER_JOIN_MS + rounds * JOIN_ROUND_MS : 0,
    )
  }
}

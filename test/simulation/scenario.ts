// A scenario: a random cluster, random faults and writes, then peace, and what must hold. All of it follows from the seed.

import { Random } from '../fixtures/random.ts'
import { Cluster } from './cluster.ts'
import { Faults, MAX_HOSTS } from './faults.ts'
import { Ledger, unequalTables, violation } from './properties.ts'

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

/** How long hosts may take until they agree, when only the network was at fault; and after a host has died. */
const SETTLE_MS = 2_000
const SETTLE_AFTER_DEATH_MS = 3_000 + 500
/** A host that nobody has let in tries again each second. */
const SETTLE_AFTER_JOIN_MS = 3_000
/** Faults within that time before the end may not have been noticed yet. */
const UNNOTICED_MS = 4_000
/** How long peace must last. */
const PEACE_MS = 3_000
const LOOK_MS = 500

export function runScenario(seed: number, options: { readonly timeline?: boolean } = {}): Outcome {
  const random = new Random(seed)
  // Small clusters mostly: they are quick, and have all kinds of troubles.
  const hosts = random.once(6) ? 9 + random.below(MAX_HOSTS - 8) : 2 + random.below(7)
  const durationMs = random.once(15) ? 60_000 + random.below(260_000) : 4_000 + random.below(16_000)
  const cluster = new Cluster({ seed: random.next(), hosts, timeline: options.timeline ?? false })
  const ledger = new Ledger()
  cluster.onStart = ({ name, life }) => {
    life.netdb.watchWrites((record) => {
      ledger.note(record)
      const what = record.tombstone ? 'removes' : 'writes'
      cluster.timeline.note(name, `${what} ${record.name}, lamport ${record.version.lamport}`)
    })
  }
  let settledMs: number | null = null
  let problem: string | null
  try {
    problem = passThrough(cluster, ledger, new Faults(cluster, random), durationMs)
    if (problem === null) {
      const limitMs = settleLimitMs(cluster)
      settledMs = cluster.time.runUntilTrue(() => cluster.converged(), limitMs)
      problem =
        settledMs === null
          ? `no agreement within ${limitMs} ms: ${cluster.difference()}`
          : peace(cluster, ledger)
    }
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
    settledMs,
  }
}

/** The time of faults; what was violated meanwhile. */
function passThrough(
  cluster: Cluster,
  ledger: Ledger,
  faults: Faults,
  durationMs: number,
): string | null {
  const { time, hosts } = cluster
  for (const [i, host] of hosts.entries()) host.start(hosts.slice(0, i))
  const everyMs = faults.durationMs(100, 2_000)
  let nextMs = 500
  while (time.nowMs() < durationMs) {
    time.runUntil(Math.min(nextMs, durationMs))
    if (time.nowMs() >= nextMs) {
      faults.happen()
      nextMs += faults.random.below(2 * everyMs)
    }
    if (Math.floor(time.nowMs() / LOOK_MS) % 4 !== 0) continue
    const found = violation(cluster, ledger)
    if (found !== null) return found
  }
  faults.end()
  return violation(cluster, ledger)
}

/** By what has happened last. */
function settleLimitMs(cluster: Cluster): number {
  const nowMs = cluster.time.nowMs()
  const gone = cluster.hosts.filter(({ state }) => state === 'down' || state === 'left')
  const unnoticed = gone.some(
    ({ id, endedAtMs }) =>
      nowMs - endedAtMs < UNNOTICED_MS ||
      cluster.running().some((host) => host.believesPresent(id)),
  )
  const outside = cluster.running().some(({ joined }) => !joined)
  return Math.max(
    SETTLE_MS,
    unnoticed ? SETTLE_AFTER_DEATH_MS : 0,
    outside ? SETTLE_AFTER_JOIN_MS : 0,
  )
}

/** Once they agree they go on agreeing. */
function peace(cluster: Cluster, ledger: Ledger): string | null {
  for (let ms = 0; ms < PEACE_MS; ms += LOOK_MS) {
    cluster.time.runFor(LOOK_MS)
    const found = violation(cluster, ledger)
    if (found !== null) return found
    if (!cluster.converged()) return `in peace again: ${cluster.difference()}`
  }
  return unequalTables(cluster)
}

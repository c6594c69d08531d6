// scripts/simulate allocation: networks and addresses under all troubles, for as many seeds as one wants.

import { parseArgs } from 'node:util'
import type { AllocationCounts } from './allocation-host.ts'
import { NO_COUNTS } from './allocation-host.ts'
import { runAllocation } from './allocation-scenario.ts'
import {
  type Flow,
  type FlowCost,
  flowsOf,
  measureFlow,
  scopedBytesPerSecond,
} from './allocation-scope.ts'
import { inParallel, serve } from './workers.ts'

const HERE = new URL(import.meta.url)
const SEEDS_OF_PIECE = 25

/** Clusters and endpoints per second that the scopes of records are compared with. */
const SCOPE_HOSTS = [25, 100, 300]
const SCOPE_RATES = [5, 50]

/** Seeds from (inclusive) to (exclusive). */
interface Seeds {
  readonly from: number
  readonly to: number
}

type Piece = Seeds | { readonly seed: number; readonly flow: Flow }

interface Results {
  readonly seeds: number
  readonly failures: readonly { readonly seed: number; readonly problem: string }[]
  readonly counts: AllocationCounts
  readonly overlaps: number
  readonly orphans: number
  readonly virtualMs: number
  readonly settledMs: number
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function work(piece: Piece): Promise<Results> | FlowCost {
  return 'flow' in piece ? measureFlow(piece.seed, piece.flow) : runSeeds(piece)
}

async function runSeeds({ from, to }: Seeds): Promise<Results> {
  const failures: { seed: number; problem: string }[] = []
  const counts = { ...NO_COUNTS }
  let [overlaps, orphans, virtualMs, settledMs] = [0, 0, 0, 0]
  for (let seed = from; seed < to; seed++) {
    const outcome = await runAllocation(seed)
    if (outcome.problem !== null) failures.push({ seed, problem: outcome.problem })
    add(counts, outcome.counts)
    overlaps += outcome.overlaps
    orphans += outcome.orphans
    virtualMs += outcome.virtualMs
    settledMs = Math.max(settledMs, outcome.settledMs ?? 0)
  }
  return { seeds: to - from, failures, counts, overlaps, orphans, virtualMs, settledMs }
}

function add(sum: AllocationCounts, more: AllocationCounts): void {
  for (const key of Object.keys(sum) as (keyof AllocationCounts)[]) sum[key] += more[key]
}

/** The exit status is 1 when a property was violated. */
async function manySeeds(count: number, from: number, jobs: number): Promise<void> {
  const pieces: Piece[] = []
  for (let seed = from; seed < from + count; seed += SEEDS_OF_PIECE) {
    pieces.push({ from: seed, to: Math.min(seed + SEEDS_OF_PIECE, from + count) })
  }
  const began = performance.now()
  const counts = { ...NO_COUNTS }
  let [done, failed, overlaps, orphans, virtualMs, settledMs] = [0, 0, 0, 0, 0, 0]
  await inParallel<Results>(HERE, pieces, jobs, (result) => {
    for (const { seed, problem } of result.failures) say(`seed ${seed}: ${problem}`)
    done += result.seeds
    failed += result.failures.length
    add(counts, result.counts)
    overlaps += result.overlaps
    orphans += result.orphans
    virtualMs += result.virtualMs
    settledMs = Math.max(settledMs, result.settledMs)
    if (done % 1_000 === 0) say(`${done} seeds done`)
  })
  say(JSON.stringify({ ...counts, overlaps, orphans }))
  say(
    `${count} seeds, ${failed} failed; ${(virtualMs / 3_600_000).toFixed(1)} h of virtual time in ` +
      `${((performance.now() - began) / 1_000).toFixed(0)} s; all repaired after ${settledMs.toFixed(0)} ms at most`,
  )
  if (failed > 0) process.exitCode = 1
}

async function oneSeed(seed: number): Promise<void> {
  const { timeline, hosts, problem, settledMs, counts } = await runAllocation(seed, {
    timeline: true,
  })
  for (const line of timeline) say(line)
  say(JSON.stringify(counts))
  say(
    `seed ${seed}, ${hosts} hosts: ${problem ?? `all properties held, all repaired after ${settledMs} ms`}`,
  )
  if (problem !== null) process.exitCode = 1
}

/** What one host sends, and how long an attach waits: with records for all, and only for those on the network. */
async function compareScopes(seed: number, jobs: number): Promise<void> {
  const kB = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} kB/s`
  const waits = ({ acknowledgedMs, everywhereMs }: FlowCost): string =>
    `acknowledged ${JSON.stringify(acknowledgedMs)}, everywhere ${JSON.stringify(everywhereMs)}`
  for (const hosts of SCOPE_HOSTS) {
    for (const rate of SCOPE_RATES) {
      const flows = flowsOf(hosts, rate)
      const pieces = Object.values(flows).map((flow) => ({ seed, flow }))
      const costs = await inParallel<FlowCost>(HERE, pieces, jobs)
      const [all, quiet, network, quietNetwork] = costs as [FlowCost, FlowCost, FlowCost, FlowCost]
      say(`${hosts} hosts, ${rate} endpoints/s; quiet: ${kB(quiet.bytesPerSecond)} sent by each`)
      say(`  all hosts: ${kB(all.bytesPerSecond)}; ${waits(all)}`)
      const scoped = scopedBytesPerSecond({ quiet, network, quietNetwork })
      say(`  the ${flows.network.hosts} on the network: ${kB(scoped)}; ${waits(network)}`)
    }
  }
}

if (!serve((piece) => work(piece as Piece))) {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '10000' },
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      scope: { type: 'boolean', default: false },
      jobs: { type: 'string', default: '1' },
    },
  })
  if (values.scope) await compareScopes(Number(values.from), Number(values.jobs))
  else if (values.seed !== undefined) await oneSeed(Number(values.seed))
  else await manySeeds(Number(values.seeds), Number(values.from), Number(values.jobs))
}

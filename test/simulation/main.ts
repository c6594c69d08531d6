// scripts/simulate: what is asked for on the command line, in pieces that worker threads do.

import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { renderLineChart } from './line-chart.ts'
import { type Piece, type ResultOf, work } from './pieces.ts'
import { FULL, SHORT, measure } from './report.ts'
import { runScenario } from './scenario.ts'
import { inParallel, serve } from './workers.ts'

const HERE = new URL(import.meta.url)
const PLOTS = 'docs/plots'
const SEEDS_OF_PIECE = 50
/** False failures are looked for in clusters of these sizes, each for so long. */
const ENDURANCE_HOSTS = [3, 5, 10, 25]
const ENDURANCE_HOURS = 2

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function total<T>(results: readonly T[], of: (result: T) => number): number {
  return results.reduce((sum, result) => sum + of(result), 0)
}

/** The exit status is 1 when a property was violated. */
async function manySeeds(count: number, from: number, jobs: number): Promise<void> {
  const pieces: Piece[] = []
  for (let seed = from; seed < from + count; seed += SEEDS_OF_PIECE) {
    const to = Math.min(seed + SEEDS_OF_PIECE, from + count)
    pieces.push({ kind: 'scenarios', from: seed, to })
  }
  const began = performance.now()
  let done = 0
  const results = await inParallel<ResultOf['scenarios']>(HERE, pieces, jobs, (result) => {
    for (const { seed, problem } of result.failures) say(`seed ${seed}: ${problem}`)
    done += result.seeds
    if (done % 1_000 === 0) say(`${done} seeds done`)
  })
  const failed = total(results, ({ failures }) => failures.length)
  const hours = total(results, ({ virtualMs }) => virtualMs) / 3_600_000
  const events = total(results, (result) => result.events) / 1e6
  const seconds = (performance.now() - began) / 1_000
  const longest = Math.max(...results.map(({ settledMs }) => settledMs))
  say(
    `${count} seeds, ${failed} failed; ${hours.toFixed(1)} h of virtual time, ${events.toFixed(1)} M events ` +
      `in ${seconds.toFixed(0)} s; agreement after ${longest.toFixed(0)} ms at most`,
  )
  if (failed > 0) process.exitCode = 1
}

function oneSeed(seed: number): void {
  const { problem, timeline, hosts, settledMs } = runScenario(seed, { timeline: true })
  for (const line of timeline) say(line)
  say(
    `seed ${seed}, ${hosts} hosts: ${problem ?? `all properties held, agreement after ${settledMs} ms`}`,
  )
  if (problem !== null) process.exitCode = 1
}

async function manyHours(hostHours: number, jobs: number): Promise<void> {
  const pieces: Piece[] = []
  let planned = 0
  for (let seed = 1; planned < hostHours; seed++) {
    const hosts = ENDURANCE_HOSTS[seed % ENDURANCE_HOSTS.length] ?? 10
    const options = {
      hosts,
      hours: ENDURANCE_HOURS,
      loss: 0.05,
      pauseMs: 1_000,
      pausesPerHour: 6,
    }
    pieces.push({ kind: 'endure', seed, options })
    planned += hosts * ENDURANCE_HOURS
  }
  const began = performance.now()
  let [done, deaths, told] = [0, 0, 0]
  const results = await inParallel<ResultOf['endure']>(HERE, pieces, jobs, (result) => {
    done += result.hostHours
    deaths += result.falseDeaths
    if (done - told < hostHours / 20 && result.falseDeaths === 0) return
    told = done
    say(`${done.toFixed(0)} host-hours, ${deaths} false failures`)
  })
  const seconds = (performance.now() - began) / 1_000
  const sum = {
    hostHours: Math.round(total(results, (result) => result.hostHours)),
    pauses: total(results, ({ pauses }) => pauses),
    suspicions: total(results, ({ suspicions }) => suspicions),
    falseDeaths: total(results, ({ falseDeaths }) => falseDeaths),
    falseBeliefs: total(results, ({ falseBeliefs }) => falseBeliefs),
  }
  say(
    `${JSON.stringify(sum)}; ${(total(results, ({ events }) => events) / 1e6).toFixed(0)} M events in ${seconds.toFixed(0)} s`,
  )
  if (sum.falseDeaths > 0) process.exitCode = 1
}

async function distributions(short: boolean, jobs: number): Promise<void> {
  const report = await measure((pieces) => inParallel(HERE, pieces, jobs), short ? SHORT : FULL)
  for (const { what, figures, goal, met } of report.goals) {
    say(`${met ? 'met' : 'NOT MET'}  ${what}: ${JSON.stringify(figures)}; goal: ${goal}`)
  }
  if (!short) {
    mkdirSync(PLOTS, { recursive: true })
    writeFileSync(`${PLOTS}/gossip.json`, `${JSON.stringify(report.goals, null, 2)}\n`)
    for (const [name, chart] of Object.entries(report.plots)) {
      writeFileSync(`${PLOTS}/gossip-${name}.svg`, renderLineChart(chart))
    }
  }
  if (report.goals.some(({ met }) => !met)) process.exitCode = 1
}

if (!serve((piece) => work(piece as Piece))) {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '10000' },
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      hours: { type: 'string' },
      measure: { type: 'boolean', default: false },
      short: { type: 'boolean', default: false },
      jobs: { type: 'string', default: '1' },
    },
  })
  const jobs = Number(values.jobs)
  if (values.seed !== undefined) oneSeed(Number(values.seed))
  else if (values.hours !== undefined) await manyHours(Number(values.hours), jobs)
  else if (values.measure) await distributions(values.short, jobs)
  else await manySeeds(Number(values.seeds), Number(values.from), jobs)
}

// The report: the distributions that are measured, as figures with their goals and as plots for docs.

import { COLORS, type Curve, FOREIGN_COLORS, type LineChart, cumulative } from './line-chart.ts'
import { Distribution, type Summary, distributionOf } from './distribution.ts'
import type { Convergence, Detection, Spread } from './measurements.ts'
import type { Piece, ResultOf } from './pieces.ts'

/** How much is measured. */
export interface Extent {
  readonly detections: number
  readonly convergences: number
  readonly spreads: number
  /** Hosts of the largest cluster. */
  readonly largest: number
}

export const FULL: Extent = { detections: 200, convergences: 15, spreads: 3, largest: 1_000 }
export const SHORT: Extent = { detections: 40, convergences: 3, spreads: 1, largest: 100 }

const DETECTION_HOSTS = [3, 5, 7, 10]
const PARTITION_HOSTS = [3, 7, 15, 25]
const PARTITION_SECONDS = [1, 3, 10, 30, 100, 300]

export interface Goal {
  readonly what: string
  readonly figures: Readonly<Record<string, number>> | Summary
  readonly goal: string
  readonly met: boolean
}

export interface Report {
  readonly goals: readonly Goal[]
  readonly plots: Readonly<Record<string, LineChart>>
}

type Measure = <K extends Piece['kind']>(
  pieces: readonly (Piece & { readonly kind: K })[],
) => Promise<ResultOf[K][]>

export async function measure(run: Measure, extent: Extent): Promise<Report> {
  const detection = await detectionReport(run, extent)
  const convergence = await convergenceReport(run, extent)
  const spreading = await spreadReport(run, extent)
  return {
    goals: [...detection.goals, ...convergence.goals, ...spreading.goals],
    plots: { ...detection.plots, ...convergence.plots, ...spreading.plots },
  }
}

async function detectionReport(run: Measure, extent: Extent): Promise<Report> {
  const goals: Goal[] = []
  const curves: Curve[] = []
  for (const how of ['crash', 'cut'] as const) {
    const everywhere = new Distribution()
    for (const hosts of DETECTION_HOSTS) {
      const pieces = seeds(extent.detections, (seed) => ({
        kind: 'detect' as const,
        seed: how === 'cut' ? seed + 10_000 : seed,
        hosts,
        how,
      }))
      const times = distributionOf((await run(pieces)).map(({ allMs }: Detection) => allMs))
      everywhere.addAll(times)
      if (how === 'cut' || (hosts !== 3 && hosts !== 10)) continue
      curves.push({
        label: `weft, ${hosts} hosts`,
        points: cumulative(times.values(), 0.001),
        color: COLORS[curves.length] ?? COLORS[0],
      })
    }
    const met = everywhere.quantile(0.5) <= 2_000 && everywhere.quantile(0.99) <= 3_000
    goals.push({
      what: `${how} of a host of ${DETECTION_HOSTS.join(', ')}, until all others know (ms)`,
      figures: everywhere.summary(),
      goal: 'p50 ≤ 2000, p99 ≤ 3000',
      met,
    })
    if (how === 'cut') {
      const points = cumulative(everywhere.values(), 0.001)
      curves.push({ label: 'weft, cut off, 3-10 hosts', points, color: COLORS[2] })
    }
  }
  // Measured with Debian's serf on one machine: the range of ten runs each.
  curves.push(
    range('serf (memberlist LAN), 3 nodes', 5.2, 6.2, FOREIGN_COLORS[0]),
    range('serf (memberlist LAN), 7 nodes', 5.2, 5.7, FOREIGN_COLORS[1]),
  )
  const plot: LineChart = {
    title: 'From the crash of a host until all others believe it dead',
    subtitle: 'Quiet LAN of 0.2-2 ms; weft simulated, serf with its LAN defaults measured (range)',
    x: { label: 'seconds after the crash', min: 0, max: 7, ticks: [0, 1, 2, 3, 4, 5, 6, 7] },
    y: PERCENT('share of crashes, %'),
    curves,
    marks: [{ x: 3, label: 'goal for p99' }],
  }
  return { goals, plots: { detection: plot } }
}

async function convergenceReport(run: Measure, extent: Extent): Promise<Report> {
  const all = new Distribution()
  const curves: Curve[] = []
  for (const seconds of PARTITION_SECONDS) {
    const pieces = PARTITION_HOSTS.flatMap((hosts) =>
      seeds(extent.convergences, (seed) => ({
        kind: 'converge' as const,
        seed: seed + hosts * 1_000,
        hosts,
        partitionMs: seconds * 1_000,
      })),
    )
    const times = distributionOf(
      (await run(pieces)).map(({ convergedMs }: Convergence) => convergedMs),
    )
    all.addAll(times)
    curves.push({
      label: `weft, parted for ${seconds} s`,
      points: cumulative(
        times.values().map((ms) => Math.max(ms, 10)),
        0.001,
      ),
      color: COLORS[curves.length] ?? COLORS[0],
    })
  }
  const plot: LineChart = {
    title: 'From the end of a partition until all hosts agree',
    subtitle: `On members and records; ${PARTITION_HOSTS.join(', ')} hosts in two parts, both of which go on writing; simulated`,
    x: {
      label: 'seconds after the partition (logarithmic)',
      min: 0.01,
      max: 100,
      ticks: [0.01, 0.1, 1, 10, 100],
      logarithmic: true,
    },
    y: PERCENT('share of partitions, %'),
    curves,
    marks: [
      { x: 2, label: 'goal' },
      { x: 30, label: 'memberlist push/pull' },
    ],
  }
  const goals: Goal[] = [
    {
      what: `agreement after a partition of ${PARTITION_SECONDS.join(', ')} s, ${PARTITION_HOSTS.join(', ')} hosts (ms)`,
      figures: all.summary(),
      goal: 'max ≤ 2000',
      met: all.quantile(1) <= 2_000,
    },
  ]
  return { goals, plots: { convergence: plot } }
}

interface Spreading {
  readonly label: string
  readonly hosts: number
  readonly writesPerSecond: number
  readonly flapping?: boolean
  readonly durationMs: number
  readonly limitMs: number
}

async function spreadReport(run: Measure, extent: Extent): Promise<Report> {
  const cases: Spreading[] = [
    { label: '25 hosts', hosts: 25, writesPerSecond: 4, durationMs: 60_000, limitMs: 500 },
    {
      label: '25 hosts, 400 writes/s, one flapping',
      hosts: 25,
      writesPerSecond: 400,
      flapping: true,
      durationMs: 20_000,
      limitMs: 2_000,
    },
    { label: '100 hosts', hosts: 100, writesPerSecond: 10, durationMs: 20_000, limitMs: 1_000 },
    { label: '1,000 hosts', hosts: 1_000, writesPerSecond: 20, durationMs: 10_000, limitMs: 2_000 },
  ]
  const goals: Goal[] = []
  const curves: Curve[] = []
  for (const { label, limitMs, ...options } of cases.filter(
    ({ hosts }) => hosts <= extent.largest,
  )) {
    const count = options.hosts > 100 ? 1 : extent.spreads
    const pieces = seeds(count, (seed) => ({ kind: 'spread' as const, seed, options }))
    const results = await run(pieces)
    const each = distributionOf(results.flatMap(({ eachMs }) => eachMs))
    const last = distributionOf(results.flatMap(({ lastMs }) => lastMs))
    const mean = (of: (result: Spread) => number): number =>
      Math.round(results.reduce((sum, result) => sum + of(result), 0) / results.length)
    const missing = results.reduce((sum, result) => sum + result.missing, 0)
    goals.push({
      what: `a record at ${label} (ms)`,
      figures: {
        records: last.count,
        eachP50: Math.round(each.quantile(0.5)),
        eachP99: Math.round(each.quantile(0.99)),
        lastP50: Math.round(last.quantile(0.5)),
        lastP99: Math.round(last.quantile(0.99)),
        missing,
        sentBytesPerSecond: mean((result) => result.sentBytesPerSecond),
        busiestBytesPerSecond: mean((result) => result.busiestBytesPerSecond),
      },
      goal: `lastP99 ≤ ${limitMs}, missing = 0`,
      met: last.quantile(0.99) <= limitMs && missing === 0,
    })
    curves.push({
      label: `weft, ${label}`,
      points: cumulative(last.values()),
      color: COLORS[curves.length] ?? COLORS[0],
    })
  }
  const plot: LineChart = {
    title: 'From a write until the last host of the cluster has the record',
    subtitle:
      'LAN of 0.2-2 ms; simulated. memberlist: (log4 N + ln N / 3) · 200 ms, the model of its rounds',
    x: {
      label: 'milliseconds after the write',
      min: 0,
      max: 2_000,
      ticks: [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000],
    },
    y: PERCENT('share of records, %'),
    curves,
    marks: [
      { x: memberlistMs(100), label: 'memberlist, 100' },
      { x: memberlistMs(1_000), label: 'memberlist, 1,000' },
    ],
  }
  return { goals, plots: { spread: plot } }
}

/** Three random members each 200 ms: until some have it, and until the last has. */
function memberlistMs(hosts: number): number {
  return (Math.log(hosts) / Math.log(4) + Math.log(hosts) / 3) * 200
}

function PERCENT(label: string): LineChart['y'] {
  return { label, min: 0, max: 100, ticks: [0, 25, 50, 75, 100] }
}

function range(label: string, from: number, to: number, color: string): Curve {
  const points = [
    [from, 0],
    [to, 100],
  ] as const
  return { label, points, color, dashed: true }
}

function seeds<T>(count: number, piece: (seed: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => piece(i + 1))
}

// What a benchmark found, as data (`--json`) and as a table. Pure.

import { type Figures, METRICS, type Metric, type MetricId } from './metrics.ts'
import { ratio, type Summary, summarize } from './statistics.ts'
import type { Underlay } from './underlay.ts'

export type Side = 'weft' | 'kernel'

export const SIDES: readonly Side[] = ['weft', 'kernel']

/** One measurement's figures, and of whom. */
export interface Sample {
  readonly side: Side
  readonly round: number
  readonly figures: Figures
}

export interface Row {
  readonly metric: Metric
  readonly weft: Summary | null
  readonly kernel: Summary | null
  /** Of the medians, weft / kernel. */
  readonly ratio: number | null
}

/** Of all UDP trials together: what must be zero whatever the load. */
export interface Integrity {
  readonly received: number
  readonly duplicated: number
  readonly reordered: number
  readonly corrupted: number
}

export const NO_DATAGRAMS: Integrity = { received: 0, duplicated: 0, reordered: 0, corrupted: 0 }

export interface Machine {
  readonly cpus: number
  readonly model: string
  readonly kernel: string
  readonly node: string
  readonly iperf3: string
  readonly memoryGiB: number
  readonly loadAverage: readonly number[]
}

export interface BenchResult {
  readonly version: string
  readonly startedAt: string
  readonly seconds: number
  readonly machine: Machine
  readonly rounds: number
  readonly quick: boolean
  readonly underlay: Underlay
  readonly method: readonly string[]
  /** Share of the machine's CPU time that others used, before each TCP transfer. */
  readonly backgroundBusy: Summary | null
  readonly rows: readonly Row[]
  readonly integrity: Readonly<Record<Side, Integrity>>
}

export function rowsOf(samples: readonly Sample[]): Row[] {
  return METRICS.map((metric) => {
    const [weft = null, kernel = null] = SIDES.map((side) =>
      summarize(valuesOf(samples, side, metric.id)),
    )
    return { metric, weft, kernel, ratio: ratio(weft, kernel) }
  })
}

function valuesOf(samples: readonly Sample[], side: Side, id: MetricId): number[] {
  return samples
    .filter((sample) => sample.side === side)
    .flatMap((sample) => sample.figures[id] ?? [])
    .filter((value) => Number.isFinite(value))
}

export function addIntegrity(sum: Integrity, one: Integrity): Integrity {
  return {
    received: sum.received + one.received,
    duplicated: sum.duplicated + one.duplicated,
    reordered: sum.reordered + one.reordered,
    corrupted: sum.corrupted + one.corrupted,
  }
}

export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Medians with their ratio, and in brackets what they lie between. */
export function resultTable(rows: readonly Row[]): Table {
  return {
    header: ['METRIC', 'UNIT', 'WEFT', '[MIN, MAX]', 'KERNEL', '[MIN, MAX]', 'WEFT/KERNEL'],
    rows: rows.map(({ metric, weft, kernel, ratio: value }) => [
      metric.title,
      metric.unit,
      ...cells(weft, metric.digits),
      ...cells(kernel, metric.digits),
      value === null
        ? '-'
        : `${value.toFixed(2)}${metric.better === 'less' ? ' (less is better)' : ''}`,
    ]),
  }
}

function cells(summary: Summary | null, digits: number): [string, string] {
  if (summary === null) return ['-', '']
  const [median, min, max] = [summary.median, summary.min, summary.max].map((value) =>
    value.toFixed(digits),
  )
  return [median ?? '', `[${min ?? ''}, ${max ?? ''}]`]
}

/** Others' share of the CPUs from which on a result is not to be compared with another day's. */
const BUSY = 0.2

/** The machine and the circumstances, a line each. */
export function circumstances(result: BenchResult): string[] {
  const { machine, backgroundBusy: busy } = result
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`
  return [
    `${result.startedAt.slice(0, 16).replace('T', ' ')} UTC, weft ${result.version}, ` +
      `${result.rounds} ${result.rounds === 1 ? 'round' : 'rounds'}, ${result.seconds.toFixed(0)} s` +
      (result.underlay === 'wire' ? ', an underlay like a wire' : ''),
    `${machine.cpus} CPUs (${machine.model}), ${machine.memoryGiB.toFixed(0)} GiB, ` +
      `Linux ${machine.kernel}, Node ${machine.node}, ${machine.iperf3}`,
    `load average ${machine.loadAverage.map((value) => value.toFixed(1)).join(' ')}; ` +
      (busy === null
        ? 'background not measured'
        : `others used ${percent(busy.median)} of the CPUs (${percent(busy.min)} to ${percent(busy.max)})`),
    ...((busy?.median ?? 0) > BUSY
      ? ['a busy machine: believe the ratios more than the values']
      : []),
  ]
}

export function integrityLine(side: Side, integrity: Integrity): string {
  const { received, duplicated, reordered, corrupted } = integrity
  return (
    `${side}: of ${received} datagrams received ${duplicated} came twice, ` +
    `${reordered} out of order, ${corrupted} corrupted`
  )
}

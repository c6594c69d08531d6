// What a benchmark found, as data (`--json`) and as a table. Pure.

import { type Figures, METRICS, type Metric, type MetricId } from './metrics.ts'
import { ratio, type Summary, summarize } from './statistics.ts'

/** Who is measured. Ratios are those to the kernel. */
export const SIDES = ['weft', 'kernel', 'ovs', 'nebula', 'wireguard-go'] as const
export type Side = (typeof SIDES)[number]

export const UNDERLAYS = ['superframes', 'wire'] as const
export type Underlay = (typeof UNDERLAYS)[number]

export const UNDERLAY_TITLES: Readonly<Record<Underlay, string>> = {
  superframes: 'An underlay with all offloads',
  wire: 'An underlay like a wire',
}

/** One measurement's figures, and of whom: of a side, or of one of two directions. */
export interface Sample<Name extends string = Side> {
  readonly side: Name
  readonly round: number
  readonly figures: Figures
}

export interface Cell<Name extends string = Side> {
  readonly side: Name
  /** null: it was not measured. */
  readonly summary: Summary | null
  /** Of the medians, this side / kernel; null for the kernel itself, or when one of both is missing. */
  readonly toKernel: number | null
}

export interface Row<Name extends string = Side> {
  readonly metric: Metric
  /** In the order of the sides. */
  readonly cells: readonly Cell<Name>[]
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

/** All rounds on one underlay. */
export interface UnderlayResult {
  readonly underlay: Underlay
  /** Share of the machine's CPU time that others used, before each measurement that tells CPU time. */
  readonly backgroundBusy: Summary | null
  /** Share of it that the hypervisor gave to other machines, during each measurement. */
  readonly stolen: Summary | null
  readonly rows: readonly Row[]
  readonly integrity: Readonly<Partial<Record<Side, Integrity>>>
}

export interface BenchResult {
  readonly version: string
  readonly startedAt: string
  readonly seconds: number
  readonly machine: Machine
  readonly rounds: number
  readonly quick: boolean
  readonly sides: readonly Side[]
  readonly underlays: readonly UnderlayResult[]
  readonly method: readonly string[]
  /** What was not measured, and why. */
  readonly missing: readonly string[]
}

export interface PairEnd {
  /** As it was asked for. */
  readonly name: string
  readonly host: string
  readonly ip: string
}

/** Between two sandboxes of a cluster. */
export interface PairResult {
  readonly version: string
  readonly startedAt: string
  readonly seconds: number
  readonly network: string
  readonly from: PairEnd
  readonly to: PairEnd
  readonly rounds: number
  readonly quick: boolean
  /** `A > B`, `B > A`. */
  readonly directions: readonly string[]
  readonly rows: readonly Row<string>[]
  readonly integrity: Readonly<Record<string, Integrity>>
  readonly method: readonly string[]
  readonly missing: readonly string[]
}

/** Only what was measured of at least one. */
export function rowsOf<Name extends string>(
  samples: readonly Sample<Name>[],
  sides: readonly Name[],
): Row<Name>[] {
  return METRICS.map((metric) => {
    const summaries = sides.map(
      (side) => [side, summarize(valuesOf(samples, side, metric.id))] as const,
    )
    const kernel = summaries.find(([side]) => side === 'kernel')?.[1] ?? null
    return {
      metric,
      cells: summaries.map(([side, summary]) => ({
        side,
        summary,
        toKernel: side === 'kernel' ? null : ratio(summary, kernel),
      })),
    }
  }).filter(({ cells }) => cells.some(({ summary }) => summary !== null))
}

function valuesOf<Name extends string>(
  samples: readonly Sample<Name>[],
  side: Name,
  id: MetricId,
): number[] {
  return samples
    .filter((sample) => sample.side === side)
    .flatMap((sample) => sample.figures[id] ?? [])
    .filter((value) => Number.isFinite(value))
}

/** The lowest figure of a round; null: nobody's was measured. */
export function lowestOf<Name extends string>(
  samples: readonly Sample<Name>[],
  round: number,
  id: MetricId,
): number | null {
  const values = samples
    .filter((sample) => sample.round === round)
    .flatMap((sample) => sample.figures[id] ?? [])
  return values.length === 0 ? null : Math.min(...values)
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

/** Medians with what they lie between in brackets, then the ratios. */
export function resultTable<Name extends string>(
  rows: readonly Row<Name>[],
  sides: readonly Name[],
): Table {
  const compared = sides.includes('kernel' as Name) ? sides.filter((side) => side !== 'kernel') : []
  // Names of sandboxes are as they are.
  const upper = (text: string): string => (compared.length > 0 ? text.toUpperCase() : text)
  return {
    header: [
      ...['METRIC', 'UNIT', ...sides.flatMap((side) => [upper(side), '[MIN, MAX]'])],
      ...compared.map((side) => upper(`${side}/kernel`)),
    ],
    rows: rows.map(({ metric, cells }) => [
      compared.length > 1 && metric.better === 'less'
        ? `${metric.title} (less is better)`
        : metric.title,
      metric.unit,
      ...cells.flatMap(({ summary }) => columns(summary, metric.digits)),
      ...compared.map((side) =>
        ratioText(
          cells.find((cell) => cell.side === side)?.toKernel ?? null,
          // Said once where several columns would say it.
          compared.length === 1 && metric.better === 'less',
        ),
      ),
    ]),
  }
}

function ratioText(value: number | null, lessIsBetter: boolean): string {
  if (value === null) return '-'
  return `${value.toFixed(2)}${lessIsBetter ? ' (less is better)' : ''}`
}

function columns(summary: Summary | null, digits: number): [string, string] {
  if (summary === null) return ['-', '']
  const [median, min, max] = [summary.median, summary.min, summary.max].map((value) =>
    value.toFixed(digits),
  )
  return [median ?? '', `[${min ?? ''}, ${max ?? ''}]`]
}

/** Others' share of the CPUs from which on a result is not to be compared with another day's. */
const BUSY = 0.2

export function whenLine(
  result: Pick<BenchResult, 'startedAt' | 'version' | 'rounds' | 'seconds'>,
): string {
  const { startedAt, version, rounds, seconds } = result
  return (
    `${startedAt.slice(0, 16).replace('T', ' ')} UTC, weft ${version}, ` +
    `${rounds} ${rounds === 1 ? 'round' : 'rounds'}, ${seconds.toFixed(0)} s`
  )
}

/** The machine and the circumstances, a line each. */
export function circumstances(result: BenchResult): string[] {
  const { machine } = result
  return [
    whenLine(result),
    `${machine.cpus} CPUs (${machine.model}), ${machine.memoryGiB.toFixed(0)} GiB, ` +
      `Linux ${machine.kernel}, Node ${machine.node}, ${machine.iperf3}`,
    `load average at the start ${machine.loadAverage.map((value) => value.toFixed(1)).join(' ')}`,
  ]
}

/** What others did meanwhile. */
export function backgroundLine({
  backgroundBusy: busy,
  stolen,
}: Pick<UnderlayResult, 'backgroundBusy' | 'stolen'>): string {
  const used = busy === null ? 'was not measured' : shareRange(busy)
  const taken =
    stolen === null || stolen.max === 0 ? '' : `; the hypervisor took ${shareRange(stolen)}`
  const isBusy = (busy?.median ?? 0) + (stolen?.median ?? 0) > BUSY
  return (
    `what others used of the CPUs: ${used}${taken}` +
    (isBusy ? '. A busy machine: believe the ratios more than the values' : '')
  )
}

function shareRange({ median, min, max }: Summary): string {
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`
  return `${percent(median)} (${percent(min)} to ${percent(max)})`
}

export function integrityLine(side: string, integrity: Integrity): string {
  const { received, duplicated, reordered, corrupted } = integrity
  return (
    `${side}: of ${received} datagrams received ${duplicated} came twice, ` +
    `${reordered} out of order, ${corrupted} corrupted`
  )
}

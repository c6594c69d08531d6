// Few numbers as one: median, and between what they lie. Pure.

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  /** In the order in which they were measured. */
  readonly values: readonly number[]
}

/** null when nothing was measured. */
export function summarize(values: readonly number[]): Summary | null {
  const sorted = values.toSorted((a, b) => a - b)
  const [min] = sorted
  const max = sorted.at(-1)
  if (min === undefined || max === undefined) return null
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? max
  const lower = sorted[(sorted.length - 1) >> 1] ?? min
  return { median: (lower + upper) / 2, min, max, values }
}

/** The smallest value that a share (0.99) of all does not exceed; NaN when there is none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] ?? NaN
}

/** The same, of so many values that at least one lies beyond it; else NaN: p99.9 of 200 is their largest. */
export function tailPercentile(values: readonly number[], share: number): number {
  const enough = values.length * (1 - share) >= 1 - 1e-9
  return enough ? percentile(values, share) : NaN
}

/** null when it would say nothing. */
export function ratio(of: Summary | null, to: Summary | null): number | null {
  if (of === null || to === null || to.median === 0) return null
  return of.median / to.median
}

// A distribution: what was measured many times, and what one says of it.

export interface Summary {
  readonly count: number
  readonly min: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export class Distribution {
  readonly #values: number[] = []
  #sorted = true

  add(value: number): void {
    this.#values.push(value)
    this.#sorted = false
  }

  addAll(other: Distribution): void {
    for (const value of other.values()) this.add(value)
  }

  get count(): number {
    return this.#values.length
  }

  /** In ascending order. */
  values(): readonly number[] {
    if (!this.#sorted) this.#values.sort((a, b) => a - b)
    this.#sorted = true
    return this.#values
  }

  /** The smallest value that `share` (0 to 1) of all are not above; NaN of nothing. */
  quantile(share: number): number {
    const values = this.values()
    const rank = Math.max(1, Math.ceil(share * values.length))
    return values[rank - 1] ?? Number.NaN
  }

  /** The share of values that are at most `limit`. */
  shareWithin(limit: number): number {
    const values = this.values()
    const above = values.findIndex((value) => value > limit)
    return above === -1 ? 1 : above / values.length
  }

  /** @param digits after the point */
  summary(digits = 0): Summary {
    const round = (value: number): number => Number(value.toFixed(digits))
    return {
      count: this.count,
      min: round(this.quantile(0)),
      p50: round(this.quantile(0.5)),
      p99: round(this.quantile(0.99)),
      max: round(this.quantile(1)),
    }
  }
}

export function distributionOf(values: Iterable<number>): Distribution {
  const found = new Distribution()
  for (const value of values) found.add(value)
  return found
}

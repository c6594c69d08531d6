// How long this host took to make its latest endpoints: from the request to an interface that is up and known on all hosts.

/** Enough for a median that one slow minute does not move. */
const MOST_KEPT = 1_000

export interface EndpointTimesSummary {
  /** Endpoints made since the daemon began; the times are of the latest of them. */
  readonly made: number
  readonly medianMs: number
  readonly p99Ms: number
}

export class EndpointTimes {
  readonly #latestMs: number[] = []
  #made = 0

  /** So many were made together; each counts with its part. */
  add(ms: number, endpoints: number): void {
    for (let i = 0; i < endpoints; i++) this.#latestMs.push(ms / endpoints)
    this.#made += endpoints
    this.#latestMs.splice(0, Math.max(0, this.#latestMs.length - MOST_KEPT))
  }

  /** null: none was made. */
  summary(): EndpointTimesSummary | null {
    if (this.#made === 0) return null
    const sorted = this.#latestMs.toSorted((a, b) => a - b)
    const at = (part: number) => rounded(sorted[Math.floor((sorted.length - 1) * part)] ?? 0)
    return { made: this.#made, medianMs: at(0.5), p99Ms: at(0.99) }
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}

// What every measurement is given: how long it may take, and whom it tells.

import type { MetricId } from './metrics.ts'
import type { Integrity } from './result.ts'

/** How long and how often: `--quick` has smaller numbers. */
export interface Effort {
  readonly tcpSeconds: number
  readonly idleSeconds: number
  readonly trialSeconds: number
  /** Of a search for a rate with some loss. */
  readonly maxTrials: number
  /** So many more for the rate without. */
  readonly losslessTrials: number
  /** A trial is over when nothing came for so long. */
  readonly quietMs: number
  readonly pings: number
  /** Of pings beside other traffic. */
  readonly loadSeconds: number
  readonly connectSeconds: number
}

export const FULL: Effort = {
  tcpSeconds: 3,
  idleSeconds: 1,
  trialSeconds: 1,
  maxTrials: 8,
  losslessTrials: 4,
  quietMs: 250,
  pings: 5000,
  loadSeconds: 3,
  connectSeconds: 2,
}

export const QUICK: Effort = {
  tcpSeconds: 1,
  idleSeconds: 0.2,
  trialSeconds: 0.3,
  maxTrials: 4,
  losslessTrials: 2,
  quietMs: 100,
  pings: 1000,
  loadSeconds: 1,
  connectSeconds: 1,
}

export interface MeasureContext {
  readonly effort: Effort
  readonly signal: AbortSignal
  /** Whether all that is measured is on this machine: else its CPU time says nothing. */
  readonly oneMachine: boolean
  /** A step's outcome, in words. */
  report(text: string): void
  /** The share of the CPUs that others used. */
  noteBackground(share: number): void
  noteIntegrity(integrity: Integrity): void
  /** The lowest figure of all sides in this round; null: not measured. */
  lowest(id: MetricId): number | null
}

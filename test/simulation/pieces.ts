// Pieces of work of a long run: data that goes to a worker thread, and what comes back.

import {
  type Convergence,
  type Detection,
  type Loss,
  type Spread,
  type SpreadOptions,
  type Steadiness,
  converge,
  detect,
  endure,
  spread,
} from './measurements.ts'
import { runScenario } from './scenario.ts'

export type Piece =
  /** Seeds from (inclusive) to (exclusive). */
  | { readonly kind: 'scenarios'; readonly from: number; readonly to: number }
  | { readonly kind: 'detect'; readonly seed: number; readonly hosts: number; readonly how: Loss }
  | {
      readonly kind: 'converge'
      readonly seed: number
      readonly hosts: number
      readonly partitionMs: number
    }
  | { readonly kind: 'spread'; readonly seed: number; readonly options: SpreadOptions }
  | {
      readonly kind: 'endure'
      readonly seed: number
      readonly options: Parameters<typeof endure>[1]
    }

export interface ScenarioResults {
  readonly seeds: number
  readonly failures: readonly { readonly seed: number; readonly problem: string }[]
  readonly virtualMs: number
  readonly events: number
  readonly settledMs: number
}

export interface ResultOf {
  readonly scenarios: ScenarioResults
  readonly detect: Detection
  readonly converge: Convergence
  readonly spread: Spread
  readonly endure: Steadiness
}

export function work(piece: Piece): ResultOf[Piece['kind']] {
  switch (piece.kind) {
    case 'scenarios':
      return runScenarios(piece.from, piece.to)
    case 'detect':
      return detect(piece.seed, piece.hosts, piece.how)
    case 'converge':
      return converge(piece.seed, piece.hosts, piece.partitionMs)
    case 'spread':
      return spread(piece.seed, piece.options)
    case 'endure':
      return endure(piece.seed, piece.options)
  }
}

function runScenarios(from: number, to: number): ScenarioResults {
  const failures: { seed: number; problem: string }[] = []
  let [virtualMs, events, settledMs] = [0, 0, 0]
  for (let seed = from; seed < to; seed++) {
    const outcome = runScenario(seed)
    if (outcome.problem !== null) failures.push({ seed, problem: outcome.problem })
    virtualMs += outcome.virtualMs
    events += outcome.events
    settledMs = Math.max(settledMs, outcome.settledMs ?? 0)
  }
  return { seeds: to - from, failures, virtualMs, events, settledMs }
}

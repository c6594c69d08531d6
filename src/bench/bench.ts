// The benchmark: a lab for each side on underlays of one shape, measured in turns, and taken away whatever happens.
//
// The sides take turns measurement by measurement, and each round begins with another side: what else
// the machine does meanwhile meets all of them.

import type { LabContext } from '../lab/events.ts'
import { down } from '../lab/lab.ts'
import { readLab } from '../lab/state.ts'
import { VERSION } from '../version.ts'
import type { Contestant } from './contestant.ts'
import { makeKernelLab } from './kernel-lab.ts'
import { describeMachine } from './machine.ts'
import {
  type Effort,
  FULL,
  LAB_STEPS,
  type MeasureContext,
  memoryOf,
  QUICK,
  type Step,
} from './measure.ts'
import { methodOf } from './method.ts'
import type { Group } from './metrics.ts'
import { claimPlainLab, closePlainLab } from './plain-lab.ts'
import { weftFlood } from './programs.ts'
import {
  addIntegrity,
  type BenchResult,
  type Integrity,
  lowestOf,
  NO_DATAGRAMS,
  rowsOf,
  type Sample,
  type Side,
  type Underlay,
  type UnderlayResult,
} from './result.ts'
import { summarize } from './statistics.ts'
import { rotated } from './turns.ts'
import { makeWeftLab } from './weft-lab.ts'

export interface BenchOptions {
  /** Of the labs: that with a letter behind it. */
  readonly name: string
  readonly rounds: number
  readonly quick: boolean
  readonly underlays: readonly Underlay[]
  readonly groups: readonly Group[]
}

const SIDES: readonly Side[] = ['weft', 'kernel']

export async function bench(options: BenchOptions, context: LabContext): Promise<BenchResult> {
  weftFlood()
  const { rounds, quick, groups } = options
  const startedAt = new Date()
  const machine = await describeMachine()
  const underlays: UnderlayResult[] = []
  for (const underlay of options.underlays) {
    underlays.push(await benchOn(underlay, options, context))
  }
  return {
    version: VERSION,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    rounds,
    quick,
    sides: SIDES,
    underlays,
    method: methodOf(quick ? QUICK : FULL, groups),
    missing: [],
  }
}

async function benchOn(
  underlay: Underlay,
  options: BenchOptions,
  context: LabContext,
): Promise<UnderlayResult> {
  // Who has it, has all others: it is claimed first and let go last.
  const kernelName = `${options.name}k`
  const weftName = `${options.name}w`
  const shape = underlay === 'wire' ? 'that cut every packet, as a wire does' : 'with all offloads'
  context.report({
    kind: 'heading',
    text: `A lab of two hosts for each side, on underlays ${shape}`,
  })
  if (await claimPlainLab(kernelName)) {
    context.report({ kind: 'note', text: 'cleaned up after an earlier benchmark' })
    if (readLab(weftName) !== null) await down(weftName)
  }
  const contestants: Contestant[] = []
  try {
    contestants.push(await makeWeftLab(weftName, underlay, context))
    context.report({ kind: 'note', text: 'and the same with kernel VXLAN and bridges' })
    contestants.push(await makeKernelLab(kernelName, underlay, context.signal))
    const session = new Session(options, context)
    await session.run(contestants)
    return {
      underlay,
      backgroundBusy: summarize(session.background),
      rows: rowsOf(session.samples, SIDES),
      integrity: session.integrity,
    }
  } finally {
    for (const one of contestants.filter(({ side }) => side !== 'kernel')) await one.close()
    await closePlainLab(kernelName)
  }
}

class Session {
  readonly samples: Sample[] = []
  readonly background: number[] = []
  readonly integrity: Partial<Record<Side, Integrity>> = {}
  readonly #effort: Effort
  readonly #rounds: number
  readonly #steps: readonly Step[]
  readonly #context: LabContext

  constructor({ quick, rounds, groups }: BenchOptions, context: LabContext) {
    this.#effort = quick ? QUICK : FULL
    this.#rounds = rounds
    this.#steps = LAB_STEPS.filter(({ group }) => groups.includes(group))
    this.#context = context
  }

  async run(contestants: readonly Contestant[]): Promise<void> {
    for (let round = 1; round <= this.#rounds; round++) {
      this.#context.report({ kind: 'heading', text: `Round ${round} of ${this.#rounds}` })
      const turn = rotated(contestants, round - 1)
      for (const { title, measure } of this.#steps) {
        for (const one of turn) {
          this.#context.signal.throwIfAborted()
          const context = this.#measureContext(title, one.side, round)
          this.samples.push({ side: one.side, round, figures: await measure(one, context) })
        }
      }
      for (const one of turn) this.samples.push({ side: one.side, round, figures: memoryOf(one) })
    }
  }

  #measureContext(title: string, side: Side, round: number): MeasureContext {
    return {
      effort: this.#effort,
      signal: this.#context.signal,
      oneMachine: true,
      report: (text) => {
        const prefix = `${title.padEnd(16)} ${side.padEnd(7)}`
        this.#context.report({ kind: 'note', text: `${prefix} ${text}` })
      },
      noteBackground: (share) => {
        this.background.push(share)
      },
      noteIntegrity: ({ received, duplicated, reordered, corrupted }) => {
        const one = { received, duplicated, reordered, corrupted }
        this.integrity[side] = addIntegrity(this.integrity[side] ?? NO_DATAGRAMS, one)
      },
      lowest: (id) => lowestOf(this.samples, round, id),
    }
  }
}

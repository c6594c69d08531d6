// The benchmark: a lab for each side on underlays of one shape, measured in turns, and taken away whatever happens.
//
// The sides take turns measurement by measurement, and each round begins with another side: what else
// the machine does meanwhile meets all of them.

import type { LabContext } from '../lab/events.ts'
import { VERSION } from '../version.ts'
import type { Contestant } from './contestant.ts'
import { readCpuTime } from './cpu.ts'
import { availableSides, claimLabs, closeLabs, closeSide, makeSide } from './labs.ts'
import { describeMachine } from './machine.ts'
import { type Effort, FULL, type MeasureContext, QUICK } from './measure-context.ts'
import { methodOf } from './method.ts'
import type { Group } from './metrics.ts'
import { stolenShare } from './outputs.ts'
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
import { LAB_STEPS, memoryOf, type Step } from './steps.ts'
import { summarize } from './statistics.ts'
import { rotated } from './turns.ts'

export interface BenchOptions {
  /** Of the labs: that with a letter behind it. */
  readonly name: string
  readonly rounds: number
  readonly quick: boolean
  /** weft, and against whom. */
  readonly sides: readonly Side[]
  readonly underlays: readonly Underlay[]
  readonly groups: readonly Group[]
}

export async function bench(options: BenchOptions, context: LabContext): Promise<BenchResult> {
  weftFlood()
  const { rounds, quick, groups } = options
  const startedAt = new Date()
  const { sides, missing } = availableSides(options.sides)
  for (const text of missing) context.report({ kind: 'note', text })
  const machine = await describeMachine()
  const underlays: UnderlayResult[] = []
  for (const underlay of options.underlays) {
    underlays.push(await benchOn(underlay, sides, options, context))
  }
  return {
    version: VERSION,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    rounds,
    quick,
    sides,
    underlays,
    method: methodOf(quick ? QUICK : FULL, groups, sides),
    missing,
  }
}

async function benchOn(
  underlay: Underlay,
  sides: readonly Side[],
  options: BenchOptions,
  context: LabContext,
): Promise<UnderlayResult> {
  const { name } = options
  const shape = underlay === 'wire' ? 'that cut every packet, as a wire does' : 'with all offloads'
  context.report({
    kind: 'heading',
    text: `A lab of two hosts for each side, on underlays ${shape}`,
  })
  await claimLabs(name, context)
  const contestants: Contestant[] = []
  try {
    for (const side of sides) {
      if (side !== 'weft') context.report({ kind: 'note', text: `and the same for ${side}` })
      contestants.push(await makeSide(name, side, underlay, context))
    }
    const session = new Session(options, context)
    await session.run(contestants)
    return {
      underlay,
      backgroundBusy: summarize(session.background),
      stolen: summarize(session.stolen),
      rows: rowsOf(session.samples, sides),
      integrity: session.integrity,
    }
  } finally {
    for (const { side } of contestants) await closeSide(name, side)
    await closeLabs(name)
  }
}

class Session {
  readonly samples: Sample[] = []
  readonly background: number[] = []
  readonly stolen: number[] = []
  readonly integrity: Partial<Record<Side, Integrity>> = {}
  readonly #effort: Effort
  readonly #rounds: number
  readonly #steps: readonly Step[]
  readonly #context: LabContext
  readonly #sideWidth: number

  constructor({ quick, rounds, groups, sides }: BenchOptions, context: LabContext) {
    this.#effort = quick ? QUICK : FULL
    this.#rounds = rounds
    this.#steps = LAB_STEPS.filter(({ group }) => groups.includes(group))
    this.#context = context
    this.#sideWidth = Math.max(...sides.map((side) => side.length))
  }

  async run(contestants: readonly Contestant[]): Promise<void> {
    for (let round = 1; round <= this.#rounds; round++) {
      this.#context.report({ kind: 'heading', text: `Round ${round} of ${this.#rounds}` })
      const turn = rotated(contestants, round - 1)
      for (const { title, measure } of this.#steps) {
        for (const one of turn) {
          this.#context.signal.throwIfAborted()
          const context = this.#measureContext(title, one.side, round)
          const before = readCpuTime()
          this.samples.push({ side: one.side, round, figures: await measure(one, context) })
          this.stolen.push(stolenShare(before, readCpuTime()))
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
        const prefix = `${title.padEnd(16)} ${side.padEnd(this.#sideWidth)}`
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

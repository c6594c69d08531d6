// The benchmark: two labs on one underlay, measured in turns, and taken away whatever happens.
//
// The two sides take turns measurement by measurement, and every other round begins with the other
// side: what else the machine does meanwhile meets both.

import type { LabContext } from '../lab/events.ts'
import { down } from '../lab/lab.ts'
import { readLab } from '../lab/state.ts'
import { VERSION } from '../version.ts'
import type { Contestant } from './contestant.ts'
import { claimKernelLab, closeKernelLab, makeKernelLab } from './kernel-lab.ts'
import { describeMachine } from './machine.ts'
import { CONGESTION, type Effort, MAX_LOSS, MEASUREMENTS, type MeasureContext } from './measure.ts'
import { weftFlood } from './programs.ts'
import {
  addIntegrity,
  type BenchResult,
  type Integrity,
  NO_DATAGRAMS,
  rowsOf,
  type Sample,
  type Side,
} from './result.ts'
import { summarize } from './statistics.ts'
import type { Underlay } from './underlay.ts'
import { makeWeftLab } from './weft-lab.ts'

export interface BenchOptions {
  /** Of the labs: `<name>w` and `<name>k`. */
  readonly name: string
  readonly rounds: number
  readonly quick: boolean
  readonly underlay: Underlay
}

const FULL: Effort = {
  tcpSeconds: 3,
  idleSeconds: 1,
  trialSeconds: 1,
  maxTrials: 8,
  pings: 5000,
  connectSeconds: 2,
}

const QUICK: Effort = {
  tcpSeconds: 1,
  idleSeconds: 0.3,
  trialSeconds: 0.4,
  maxTrials: 5,
  pings: 1000,
  connectSeconds: 1,
}

export async function bench(options: BenchOptions, context: LabContext): Promise<BenchResult> {
  weftFlood()
  const startedAt = new Date()
  const machine = await describeMachine()
  const kernelName = `${options.name}k`
  const weftName = `${options.name}w`
  context.report({ kind: 'heading', text: 'Two labs of two hosts, on underlays of one shape' })
  if (await claimKernelLab(kernelName)) {
    context.report({ kind: 'note', text: 'cleaned up after an earlier benchmark' })
    if (readLab(weftName) !== null) await down(weftName)
  }
  const contestants: Contestant[] = []
  try {
    contestants.push(await makeWeftLab(weftName, options.underlay, context))
    context.report({ kind: 'note', text: 'and the same with kernel VXLAN and bridges' })
    contestants.push(await makeKernelLab(kernelName, options.underlay, context.signal))
    const session = new Session(options, context)
    await session.run(contestants)
    return {
      version: VERSION,
      startedAt: startedAt.toISOString(),
      seconds: (Date.now() - startedAt.getTime()) / 1000,
      machine,
      rounds: options.rounds,
      quick: options.quick,
      underlay: options.underlay,
      method: methodOf(session.effort, options.underlay),
      backgroundBusy: summarize(session.background),
      rows: rowsOf(session.samples),
      integrity: session.integrity,
    }
  } finally {
    // The name goes last: who finds it free finds nothing else either.
    for (const one of contestants.filter(({ side }) => side === 'weft')) await one.close()
    await closeKernelLab(kernelName)
  }
}

class Session {
  readonly effort: Effort
  readonly samples: Sample[] = []
  readonly background: number[] = []
  readonly integrity: Record<Side, Integrity> = { weft: NO_DATAGRAMS, kernel: NO_DATAGRAMS }
  readonly #rounds: number
  readonly #context: LabContext

  constructor(options: BenchOptions, context: LabContext) {
    this.effort = options.quick ? QUICK : FULL
    this.#rounds = options.rounds
    this.#context = context
  }

  async run(contestants: readonly Contestant[]): Promise<void> {
    for (let round = 1; round <= this.#rounds; round++) {
      this.#context.report({ kind: 'heading', text: `Round ${round} of ${this.#rounds}` })
      const turn = round % 2 === 1 ? contestants : contestants.toReversed()
      for (const { title, measure } of MEASUREMENTS) {
        for (const one of turn) {
          this.#context.signal.throwIfAborted()
          const context = this.#measureContext(`${title.padEnd(16)} ${one.side.padEnd(7)}`)
          this.samples.push({ side: one.side, round, figures: await measure(one, context) })
        }
      }
    }
  }

  #measureContext(prefix: string): MeasureContext {
    return {
      effort: this.effort,
      signal: this.#context.signal,
      report: (text) => {
        this.#context.report({ kind: 'note', text: `${prefix} ${text}` })
      },
      noteBackground: (share) => {
        this.background.push(share)
      },
      noteIntegrity: ({ side }, { received, duplicated, reordered, corrupted }) => {
        const one = { received, duplicated, reordered, corrupted }
        this.integrity[side] = addIntegrity(this.integrity[side], one)
      },
    }
  }
}

function methodOf(effort: Effort, underlay: Underlay): string[] {
  const { tcpSeconds, idleSeconds, trialSeconds, maxTrials, pings, connectSeconds } = effort
  const offloads =
    underlay === 'wire'
      ? 'no segmentation and no checksums by the underlay: each packet is cut and sent alone'
      : 'all offloads on'
  return [
    `weft and kernel VXLAN + bridge, each with two hosts at a router (no bridge between); namespaces and veth of one machine, ${offloads}; MTU 1450`,
    'the sides take turns measurement by measurement; medians of the rounds',
    `TCP: iperf3, ${tcpSeconds} s, ${CONGESTION} at both ends, what the receiver got`,
    `UDP: weft-flood, 4 flows, highest rate with at most ${MAX_LOSS * 100} % lost, what arrived; ` +
      `at most ${maxTrials} trials of ${trialSeconds} s; 64 B of payload are a frame of 106`,
    `ping: ${pings} of ping -A, one as soon as the other is answered`,
    `connections: 16 at a time for ${connectSeconds} s: connect, a byte there and back, close`,
    `all CPU: busy time of all cores (/proc/stat, without steal) during the TCP transfer, less the share that was busy in the ${idleSeconds} s before, for each byte received: both hosts, both ends, the kernel, and what others began meanwhile; not told when others used more than a fifth`,
    'own CPU: what the kernel charges to the daemons (/proc/PID/stat) and to both iperf3, for each byte received; with what interrupts did in their time, without ksoftirqd',
  ]
}

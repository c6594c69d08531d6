// The benchmark between two sandboxes of a running cluster: both directions, measured in turns.

import type { ApiClient } from '../api/client.ts'
import type { SandboxInspect } from '../api/types.ts'
import { WeftError } from '../errors.ts'
import type { LabContext } from '../lab/events.ts'
import { VERSION } from '../version.ts'
import type { Contestant } from './contestant.ts'
import { execPlace, type FoundPlace, TOOLS, type Tool } from './exec-place.ts'
import { FULL, type MeasureContext, QUICK } from './measure-context.ts'
import { pairMethodOf } from './method.ts'
import type { Group } from './metrics.ts'
import {
  addIntegrity,
  type Integrity,
  lowestOf,
  NO_DATAGRAMS,
  type PairEnd,
  type PairResult,
  rowsOf,
  type Sample,
} from './result.ts'
import { PAIR_STEPS, type Step } from './steps.ts'
import { rotated } from './turns.ts'

export interface PairOptions {
  /** NAME or HOST/NAME. */
  readonly from: string
  readonly to: string
  /** Which network, when they share several; undefined: the first. */
  readonly network: string | undefined
  readonly rounds: number
  readonly quick: boolean
  readonly groups: readonly Group[]
}

/** Of Debian's packages; weft-flood is weft's own. */
const PACKAGES: Readonly<Record<Tool, string>> = {
  iperf3: 'apt-get install iperf3 there',
  ping: 'apt-get install iputils-ping there',
  'weft-flood': 'build it there: scripts/setup',
}

interface End extends PairEnd {
  readonly place: FoundPlace
}

/** @throws WeftError when they share no network, do not run, or have nothing to measure with */
export async function benchPair(
  client: ApiClient,
  options: PairOptions,
  context: LabContext,
): Promise<PairResult> {
  const startedAt = new Date()
  const { rounds, quick, groups, from, to } = options
  const inspects = [await inspectRunning(client, from), await inspectRunning(client, to)] as const
  const network = sharedNetwork(inspects, options)
  const [near, far] = [
    await endOf(client, from, inspects[0], network, context.signal),
    await endOf(client, to, inspects[1], network, context.signal),
  ]
  const { steps, missing } = possibleSteps(
    PAIR_STEPS.filter(({ group }) => groups.includes(group)),
    [near, far],
  )
  context.report({
    kind: 'heading',
    text: `${from} (${near.ip} on ${near.host}) and ${to} (${far.ip} on ${far.host}), network ${network}`,
  })
  for (const line of missing) context.report({ kind: 'note', text: line })
  if (steps.length === 0) {
    throw new WeftError('unavailable', `nothing can be measured: ${missing.join('; ')}`)
  }
  const directions = [`${from} > ${to}`, `${to} > ${from}`]
  const contestants = [
    { direction: directions[0] ?? '', one: between(near, far) },
    { direction: directions[1] ?? '', one: between(far, near) },
  ]
  const effort = quick ? QUICK : FULL
  const samples: Sample<string>[] = []
  const integrity: Record<string, Integrity> = {}
  for (let round = 1; round <= rounds; round++) {
    context.report({ kind: 'heading', text: `Round ${round} of ${rounds}` })
    for (const { title, measure } of steps) {
      for (const { direction, one } of rotated(contestants, round - 1)) {
        context.signal.throwIfAborted()
        const measureContext: MeasureContext = {
          effort,
          signal: context.signal,
          oneMachine: false,
          report: (text) => {
            context.report({ kind: 'note', text: `${title.padEnd(16)} ${direction}: ${text}` })
          },
          noteBackground: () => undefined,
          noteIntegrity: ({ received, duplicated, reordered, corrupted }) => {
            const sum = integrity[direction] ?? NO_DATAGRAMS
            const datagrams = { received, duplicated, reordered, corrupted }
            integrity[direction] = addIntegrity(sum, datagrams)
          },
          lowest: (id) => lowestOf(samples, round, id),
        }
        samples.push({ side: direction, round, figures: await measure(one, measureContext) })
      }
    }
  }
  return {
    version: VERSION,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    network,
    from: shownEnd(near),
    to: shownEnd(far),
    rounds,
    quick,
    directions,
    rows: rowsOf(samples, directions),
    integrity,
    method: pairMethodOf(effort, groups),
    missing,
  }
}

async function inspectRunning(client: ApiClient, name: string): Promise<SandboxInspect> {
  const inspect = await client.inspectSandbox(name)
  const { Status } = inspect.State
  if (Status === 'running') return inspect
  throw new WeftError(
    'not_running',
    Status === 'attached'
      ? `${name} is an attached namespace, where weft runs no programs; name a sandbox of weft run`
      : `${name} is ${Status}; name a sandbox that runs (weft ps)`,
  )
}

function sharedNetwork(
  [a, b]: readonly [SandboxInspect, SandboxInspect],
  { from, to, network }: PairOptions,
): string {
  const theirs = Object.keys(b.NetworkSettings.Networks)
  const shared = Object.keys(a.NetworkSettings.Networks).filter((name) => theirs.includes(name))
  const found = network === undefined ? shared[0] : shared.find((name) => name === network)
  if (found !== undefined && a.Id !== b.Id) return found
  if (a.Id === b.Id) {
    throw new WeftError('invalid_argument', `--from ${from} and --to ${to} are one sandbox`)
  }
  throw new WeftError(
    'invalid_argument',
    network === undefined || shared.length === 0
      ? `${from} and ${to} share no network; connect one of them: weft network connect NET NAME`
      : `${from} and ${to} do not share ${network}, but ${shared.join(', ')}`,
  )
}

async function endOf(
  client: ApiClient,
  name: string,
  inspect: SandboxInspect,
  network: string,
  signal: AbortSignal,
): Promise<End> {
  const ip = inspect.NetworkSettings.Networks[network]?.IPAddress ?? ''
  return { name, host: inspect.Host, ip, place: await execPlace(client, name, ip, signal) }
}

function shownEnd({ name, host, ip }: End): PairEnd {
  return { name, host, ip }
}

function between(from: End, to: End): Contestant {
  return {
    side: 'weft',
    from: from.place,
    to: to.place,
    service: null,
    daemons: [],
    counters: null,
  }
}

/** Those for which both ends have the programs, and a line for each program that an end has not. */
export function possibleSteps(
  steps: readonly Step[],
  ends: readonly {
    readonly name: string
    readonly host: string
    readonly place: Pick<FoundPlace, 'tools'>
  }[],
): { steps: Step[]; missing: string[] } {
  const has = (tool: Tool) => ends.every(({ place }) => place.tools.has(tool))
  const missing = TOOLS.flatMap((tool) => {
    const without = steps.filter(({ needs }) => needs.includes(tool)).map(({ title }) => title)
    return ends
      .filter(({ place }) => !place.tools.has(tool) && without.length > 0)
      .map(
        ({ name, host }) =>
          `not measured: ${without.join('; ')}: ${name} on ${host} has no ${tool}; ${PACKAGES[tool]}`,
      )
  })
  return { steps: steps.filter(({ needs }) => needs.every(has)), missing }
}

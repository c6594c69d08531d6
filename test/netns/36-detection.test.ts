// How soon all others know that a host crashed or was cut off: real processes, Debian's serf beside them in the same run.
//
// Short here; scripts/measure-detection does many rounds, for several numbers of hosts, and writes the figures down.
//
// Runs with few: detection is timed, in seconds.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Test } from 'tap'
import { eventually } from '../fixtures/commands.ts'
import { inLab, type Lab } from '../fixtures/lab.ts'
import { Serf } from '../fixtures/serf.ts'

const HOSTS = Number(process.env['WEFT_SOAK_HOSTS'] ?? 3)
/** Of each kind. */
const ROUNDS = Number(process.env['WEFT_SOAK_ROUNDS'] ?? 1)
/** Where the figures go; nowhere when unset. */
const OUTPUT = process.env['WEFT_SOAK_OUTPUT']
const PATIENCE_MS = 20_000

const KINDS = ['kill', 'cut'] as const
type Kind = (typeof KINDS)[number]

/** From the fault to the last one of the others that noticed, in ms. */
interface Round {
  readonly kind: Kind
  readonly host: string
  readonly weftMs: number
  readonly serfMs: number
  /** From the restart or the heal to the last one that had it back. */
  readonly backMs: number
}

inLab(`detection with ${HOSTS} hosts`, HOSTS, async (t, lab) => {
  const hosts = lab.topology.hosts.map(({ name }) => name)
  const serf = new Serf(lab)
  t.teardown(() => serf.stop())
  await serf.start()
  await allReady(lab, hosts, hosts)
  const rounds: Round[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of KINDS) {
      // Not h1 alone: the first host is nothing special, and is to be seen as that.
      const host = hosts[(round + 1) % hosts.length] as string
      rounds.push(await measure(lab, serf, kind, host, hosts))
      // Whatever the phases of the timers are, the next fault meets others.
      await new Promise((resolve) => setTimeout(resolve, 300 + ((round * 137) % 500)))
    }
  }
  for (const kind of KINDS) report(t, kind, rounds)
  if (OUTPUT !== undefined) {
    mkdirSync(dirname(OUTPUT), { recursive: true })
    writeFileSync(OUTPUT, `${JSON.stringify({ hosts: HOSTS, rounds }, null, 2)}\n`)
  }
})

function report(t: Test, kind: Kind, rounds: readonly Round[]): void {
  const of = (pick: (round: Round) => number): number[] =>
    rounds.filter((round) => round.kind === kind).map(pick)
  const weft = of(({ weftMs }) => weftMs)
  const shown = `${kind}: weft ${shares(weft)}, serf ${shares(of(({ serfMs }) => serfMs))}, back ${shares(of(({ backMs }) => backMs))}`
  t.ok(quantile(weft, 0.5) <= 2_000, `p50 within 2 s; ${shown}`)
  t.ok(quantile(weft, 0.99) <= 3_000, `p99 within 3 s; of ${weft.length} it is the worst one`)
}

function shares(values: readonly number[]): string {
  return `p50 ${quantile(values, 0.5)} max ${quantile(values, 1)} ms`
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

async function measure(
  lab: Lab,
  serf: Serf,
  kind: Kind,
  host: string,
  hosts: readonly string[],
): Promise<Round> {
  const others = hosts.filter((name) => name !== host)
  const since = kind === 'kill' ? await kill(lab, serf, host) : setLink(lab, host, 'down')
  const [weft, failed] = await Promise.all([
    Promise.all(others.map((watcher) => saidDown(lab, watcher, host, since))),
    serf.failed(host, others, since),
  ])
  const weftMs = Math.max(...weft) - since
  const serfMs = Math.max(...failed) - since
  const again = Date.now()
  if (kind === 'kill') {
    await lab.lab('restart', host)
    await serf.restart(host)
  } else {
    setLink(lab, host, 'up')
  }
  await allReady(lab, hosts, hosts)
  const backMs =
    kind === 'kill' ? (await saidUp(lab, others, host, again)) - again : Date.now() - again
  await serf.together()
  return { kind, host, weftMs, serfMs, backMs }
}

/** Both at the same moment, as a crash of the host would. */
async function kill(lab: Lab, serf: Serf, host: string): Promise<number> {
  const since = Date.now()
  process.kill(lab.daemonPid(host), 'SIGKILL')
  await serf.kill(host)
  return since
}

/** At once and waited for: the moment counts. */
function setLink(lab: Lab, host: string, state: 'up' | 'down'): number {
  const since = Date.now()
  spawnSync('ip', ['-netns', lab.topology.router.netns, 'link', 'set', host, state])
  return since
}

/** When `watcher`'s log said so: the daemon's own time stamp. */
async function saidDown(lab: Lab, watcher: string, host: string, since: number): Promise<number> {
  const what = `${watcher} to say that ${host} is down`
  return await eventually(() => lab.said(watcher, `host ${host} is down`, since), PATIENCE_MS, what)
}

async function saidUp(
  lab: Lab,
  watchers: readonly string[],
  host: string,
  since: number,
): Promise<number> {
  const times = await Promise.all(
    watchers.map((watcher) =>
      eventually(() => lab.said(watcher, `host ${host} is up`, since), PATIENCE_MS, `${host} back`),
    ),
  )
  return Math.max(...times)
}

async function allReady(
  lab: Lab,
  watchers: readonly string[],
  hosts: readonly string[],
): Promise<void> {
  await eventually(
    async () => {
      const seen = await Promise.all(watchers.map((watcher) => lab.client(watcher).nodes()))
      return seen.every(
        (nodes) => nodes.filter(({ status }) => status === 'ready').length === hosts.length,
      )
    },
    PATIENCE_MS,
    'all hosts to be ready',
  )
}

// Names under load: dnsperf asks in a sandbox, alone and while endpoints come and go; dnsmasq serves the same names beside it.
//
// WEFT_SOAK_SECONDS has it measure in rounds, in turn with dnsmasq, and sets how long each part of one takes; WEFT_SOAK_SANDBOXES how many there are for the memory of one (0: not measured).
//
// Runs alone: answers are timed.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { openDatagrams } from '../../src/dataplane/datagrams.ts'
import { listenTcp } from '../../src/dns/tcp-listener.ts'
import { type Listener, listenUdp } from '../../src/dns/udp-listener.ts'
import { readCpuTime } from '../../src/bench/cpu.ts'
import { stolenShare } from '../../src/bench/outputs.ts'
import { summarize } from '../../src/bench/statistics.ts'
import { eventually, ok } from '../fixtures/commands.ts'
import { DnsWorld } from '../fixtures/dns.ts'
import { inLab, inNetns, type Lab, ROOT, type Sandbox } from '../fixtures/lab.ts'

const SOAK = process.env['WEFT_SOAK_SECONDS']
const SECONDS = Number(SOAK ?? 1)
const ROUNDS = SOAK === undefined ? 1 : 5
const SANDBOXES = Number(process.env['WEFT_SOAK_SANDBOXES'] ?? 0)
/** As many as a lab of some size has. */
const NAMES = 10
const QPS = 2_000
const CHURN_PER_S = 20
const WARM_UP_S = 1

interface Figures {
  readonly qps: number
  readonly lost: number
  readonly wrong: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all cores' time, what the machine below gave to others meanwhile: who waited for that was late for no fault of its own. */
  readonly stolen: number
}

inLab('names under load', 2, async (t, lab) => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-names-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  await lab.weftOk('h1', 'network', 'create', 'blue')
  const sandboxes: Sandbox[] = []
  for (let count = 0; count < NAMES; count++) {
    sandboxes.push(await lab.sandbox(count % 4 === 3 ? 'h2' : 'h1', 'blue', `s${count}`))
  }
  const [asker] = sandboxes as [Sandbox]
  const questions = join(directory, 'questions')
  writeFileSync(questions, sandboxes.map(({ name }) => `${name} A\n`).join(''))

  const other = asker.start([
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    '--user=root',
    '--pid-file=',
    '--listen-address=127.0.0.1',
    '--bind-interfaces',
    '--port=5353',
    '--local-ttl=1',
    ...sandboxes.map(({ name, ip }) => `--host-record=${name},${ip}`),
  ])
  await eventually(async () => (await asker.ok('ss', '-lnu')).includes('127.0.0.1:5353'))
  const weft = ['-s', '127.0.0.11', '-p', '53']
  const dnsmasq = ['-s', '127.0.0.1', '-p', '5353']

  const atRate = ['-Q', String(QPS)]
  // The daemon's code is compiled as it runs: what a sandbox meets is the rest.
  const first = await dnsperf(asker, questions, [...weft, ...atRate], WARM_UP_S)
  report(t, `weft at ${QPS} qps, the first that it is ever asked`, first)

  const sides = {
    weft: [] as Figures[],
    dnsmasq: [] as Figures[],
    'weft while endpoints come and go': [] as Figures[],
  }
  for (let round = 0; round < ROUNDS; round++) {
    sides.weft.push(await dnsperf(asker, questions, [...weft, ...atRate]))
    sides.dnsmasq.push(await dnsperf(asker, questions, [...dnsmasq, ...atRate]))
    const churn = churning(lab)
    await sleep(WARM_UP_S * 1_000)
    const beside = await dnsperf(asker, questions, [...weft, ...atRate])
    sides['weft while endpoints come and go'].push(beside)
    t.comment(`${(await churn.stop()).toFixed(0)} endpoints a second came and went`)
  }
  for (const [who, rounds] of Object.entries(sides)) {
    for (const figures of rounds) {
      report(t, `${who} at ${QPS} qps`, figures)
      t.equal(figures.lost, 0)
      t.equal(figures.wrong, 0)
    }
    const p99 = summarize(rounds.map(({ p99Ms }) => p99Ms))
    t.comment(
      `${who} at ${QPS} qps, p99 of ${rounds.length} rounds: median ${p99?.median.toFixed(2)} ms, ${p99?.min.toFixed(2)} to ${p99?.max.toFixed(2)}`,
    )
  }
  const peaks = { weft: 0, dnsmasq: 0 }
  for (const [who, where] of [
    ['weft', weft],
    ['dnsmasq', dnsmasq],
    ['dnsmasq', dnsmasq],
    ['weft', weft],
  ] as const) {
    const peak = await dnsperf(asker, questions, where)
    peaks[who] = Math.max(peaks[who], peak.qps)
    report(t, `${who}, as fast as it goes`, peak)
  }
  const ratio = peaks.weft / peaks.dnsmasq
  t.comment(`ratio of the peaks: ${ratio.toFixed(2)}`)
  // A second on a busy machine says nothing about rates.
  if (SOAK !== undefined) t.ok(ratio >= 0.5, `${ratio.toFixed(2)} of dnsmasq's rate`)
  await other.stop('SIGTERM')
  await fullBuffer(t, lab)
  if (SANDBOXES > 0) await memory(t)
})

/** Answers that the kernel has no room for are lost and counted, and nothing waits for them. */
async function fullBuffer(t: Test, lab: Lab): Promise<void> {
  await lab.addNetns('slow')
  const netns = lab.netns('slow')
  await ok(inNetns(netns, ['ip', 'link', 'set', 'lo', 'up']))
  const slow = ['tbf', 'rate', '4mbit', 'burst', '40000', 'limit', '3000000']
  await ok(inNetns(netns, ['tc', 'qdisc', 'add', 'dev', 'lo', 'root', ...slow]))
  const hook = `--import=${ROOT}/test/typescript.mjs`
  const argv = [process.execPath, hook, `${ROOT}/test/fixtures/full-buffer.ts`]
  const told = JSON.parse(await ok(inNetns(netns, argv))) as Record<
    'many' | 'then',
    { readonly taken: number; readonly unsent: number; readonly got: number }
  >
  const { many, then } = told
  t.equal(many.taken, 100)
  t.equal(
    many.got + many.unsent,
    100,
    `${many.unsent} of 100 answers were not taken, all others came`,
  )
  t.ok(many.unsent > 0 && many.got > 0)
  t.same(then, { ...many, taken: 101, got: many.got + 1 }, 'the next one is')
}

async function dnsperf(
  asker: Sandbox,
  questions: string,
  where: readonly string[],
  seconds = SECONDS,
): Promise<Figures> {
  const argv = ['dnsperf', ...where, '-d', questions, '-l', String(seconds), '-t', '2', '-v']
  // It writes a line for each answer. Whoever reads these as they come wakes as often as the resolver, beside it.
  const said = `${questions}.said`
  const command = ['sh', '-c', 'exec "$@" >"$0"', said, ...argv]
  const before = readCpuTime()
  await asker.run(command, { timeoutMs: (seconds + 20) * 1_000 })
  const stdout = readFileSync(said, 'utf8')
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? NaN)
  const times: number[] = []
  let wrong = 0
  for (const [, rcode, took] of stdout.matchAll(/^> (\S+) \S+ \S+ ([\d.]+)$/gm)) {
    if (rcode !== 'NOERROR') wrong++
    times.push(Number(took) * 1_000)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? NaN
  return {
    qps: number(/Queries per second:\s+([\d.]+)/),
    lost: number(/Queries lost:\s+(\d+)/),
    wrong,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    stolen: stolenShare(before, readCpuTime()),
  }
}

function report(t: Test, what: string, figures: Figures): void {
  const { qps, lost, p50Ms, p99Ms, stolen } = figures
  t.comment(
    `${what}: ${qps.toFixed(0)} qps, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, ${lost} lost; ${(stolen * 100).toFixed(1)} % of the CPU stolen`,
  )
}

/** Endpoints that come and go on the other host, and so as records on this one; ends with how many came in a second. */
function churning(lab: Lab): { stop(): Promise<number> } {
  const ending = new AbortController()
  let came = 0
  const client = lab.client('h2')
  const begunMs = performance.now()
  const done = (async () => {
    const goings: Promise<void>[] = []
    while (!ending.signal.aborted) {
      const name = `churn${came++}`
      goings.push(
        client
          .createSandbox({
            kind: 'run',
            name,
            attachments: [{ network: 'blue' }],
            argv: ['sleep', 'infinity'],
            env: {},
            tty: false,
            detach: true,
          })
          .then(() => client.removeSandbox(name, { force: true, graceMs: 0 })),
      )
      await sleep(Math.max(1, begunMs + (came * 1_000) / CHURN_PER_S - performance.now()))
    }
    await Promise.all(goings)
  })()
  return {
    stop: async () => {
      const perSecond = (came * 1_000) / (performance.now() - begunMs)
      ending.abort()
      await done
      return perSecond
    },
  }
}

/** What sockets at 127.0.0.11 cost the process that serves them, by sandbox. */
async function memory(t: Test): Promise<void> {
  const world = new DnsWorld()
  const resident = (): number => {
    global.gc?.()
    return process.memoryUsage().rss / 1024
  }
  const listeners: Listener[] = []
  const open = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const asker = world.asker('blue')
      listeners.push(
        listenUdp(
          (handlers) => openDatagrams({ address: '127.0.0.1', port: 0 }, handlers),
          world.resolver,
          asker,
        ),
      )
      listeners.push(await listenTcp({ address: '127.0.0.1', port: 0 }, world.resolver, asker))
    }
  }
  await open(20)
  const beforeKb = resident()
  await open(SANDBOXES)
  const eachKb = (resident() - beforeKb) / SANDBOXES
  t.comment(`${SANDBOXES} sandboxes: ${eachKb.toFixed(1)} kB of the daemon for the names of each`)
  await Promise.all(listeners.map((listener) => listener.close()))
}

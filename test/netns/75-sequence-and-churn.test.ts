// Every datagram of a flow arrives once, in order and unchanged, or is booked as dropped; also while
// endpoints come and go.
//
//      h1 172.31.1.11                                h2 192.168.1.12
//      │ c1 10.0.1.11                                │ c2 10.0.1.12      floods, both ways
//      │ a1 10.0.1.81                                │ a2 10.0.1.82      hold the endpoints that come and go
//      └──── 172.31.1.1 ──────────── r ──────────────┴── 192.168.1.1
//
// Short here; scripts/soak-sequence runs the same with more packets and for longer.
//
// Runs alone: half of the highest rate needs both CPUs.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { backgroundShare } from '../../src/bench/cpu.ts'
import { parseSend, parseSink, type SendReport, type SinkReport } from '../../src/bench/outputs.ts'
import { weftFlood } from '../../src/bench/programs.ts'
import { booked, datagramsOf, type Ledger, queuesOf, readLedger } from '../fixtures/drop-ledger.ts'
import { effort } from '../fixtures/effort.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

/** Of both directions together. */
const PACKETS = Number(process.env['WEFT_SOAK_PACKETS'] ?? 120_000)
const CHURN_SECONDS = Number(process.env['WEFT_SOAK_CHURN_SECONDS'] ?? effort(6, 3))

const FLOWS = 16
/** Of each direction; two cores carry it beside what else they do. */
const STEADY_PPS = Number(process.env['WEFT_SOAK_PPS'] ?? 15_000)
const ENDPOINTS_PER_SECOND = 50
/** Of the flood beside which endpoints come and go. */
const CHURN_PAYLOAD = 200

interface Flood {
  readonly send: SendReport
  readonly sink: SinkReport
}

let nextPort = 7000

async function flood(
  from: Sandbox,
  to: Sandbox,
  bytes: number,
  ...options: readonly string[]
): Promise<Flood> {
  const port = String(nextPort++)
  const sink = to.start([weftFlood(), 'sink', '--port', port, '--idle-ms', '500', '--progress'])
  await sink.until(/listening/)
  const send = from.start([
    ...[weftFlood(), 'send', '--to', to.ip, '--port', port, '--flows', String(FLOWS)],
    ...['--bytes', String(bytes), ...options],
  ])
  const [sent, received] = await Promise.all([send.ended, sink.ended])
  if (sent.code !== 0 || received.code !== 0) {
    throw new Error(`the flood to ${to.name} failed: ${sent.stderr}${received.stderr}`)
  }
  return { send: parseSend(sent.stdout), sink: parseSink(received.stdout) }
}

/** What holds at any rate. */
function isSound(t: Test, { send, sink }: Flood, title: string): void {
  const { duplicated, reordered, corrupted, foreign, tooOld, flows } = sink
  t.same(
    { duplicated, reordered, corrupted, foreign, tooOld, flows },
    { duplicated: 0, reordered: 0, corrupted: 0, foreign: 0, tooOld: 0, flows: FLOWS },
    `${title}: ${sink.received} of ${send.sent} received, ${Math.round(send.pps)} a second, ` +
      `latency p50 ${sink.latencyUs.p50} us, p99 ${sink.latencyUs.p99} us`,
  )
}

const lostOf = ({ send, sink }: Flood): number => send.sent - sink.received

/** With greetings and their answers: all that was sent and did not come. */
function missingOf({ send, sink }: Flood): number {
  return send.sent + send.hellos + sink.hellos - (sink.received + sink.hellos + send.answers)
}

inLab('sequences', 2, async (t, lab) => {
  const [c1, c2, a1, a2] = await Promise.all([
    lab.sandbox('h1', 'demo', 'c1'),
    lab.sandbox('h2', 'demo', 'c2'),
    lab.sandbox('h1', 'demo', 'a1'),
    lab.sandbox('h2', 'demo', 'a2'),
  ])
  // Neighbours that are asked for meanwhile would be booked, too.
  for (const [from, to] of [
    [c1, c2],
    [c2, c1],
  ] as const) {
    await from.ok(...`ip neigh replace ${to.ip} lladdr ${to.mac} dev eth0 nud permanent`.split(' '))
  }
  const ledger = () => readLedger(lab, [c1, c2])

  for (const [title, rate, share] of [
    ['at a steady rate', String(STEADY_PPS), 0.5],
    ['as fast as it can be sent', 'max', 0.5],
  ] as const) {
    await t.test(`both ways ${title}, nothing comes twice, late or changed`, async (t) => {
      const options = ['--packets', String(Math.round(PACKETS * share)), '--rate', rate]
      const before = await ledger()
      const floods = await Promise.all([
        flood(c1, c2, 64, ...options),
        flood(c2, c1, 1400, ...options),
      ])
      const book = await settledBook(before, ledger)
      isSound(t, floods[0], '64 B')
      isSound(t, floods[1], '1400 B')
      const missing = floods.reduce((sum, one) => sum + missingOf(one), 0)
      const { least, most } = datagramsOf(book)
      const title = `${missing} did not arrive, ${least === most ? least : `${least} to ${most}`} are booked`
      t.ok(missing >= least && missing <= most, `${title}: ${JSON.stringify(book)}`)
    })
  }

  await t.test(
    'workers run before ordinary work, and nothing else of the daemon does',
    async (t) => {
      const proc = `/proc/${lab.daemonPid('h1')}`
      const workers = readdirSync(`${proc}/task`).filter((thread) =>
        isWorker(`${proc}/task/${thread}`),
      )
      t.same(
        workers.map((thread) => niceOf(`${proc}/task/${thread}`)),
        [-10],
      )
      t.equal(niceOf(proc), 0)
      // What counts between sessions where there are autogroups.
      const autogroup = `${proc}/autogroup`
      if (existsSync(autogroup)) t.match(readFileSync(autogroup, 'latin1'), /nice -10$/m)
    },
  )

  await t.test('endpoints that come and go cost a flow nothing', async (t) => {
    const othersBefore = await backgroundShare(1)
    const rate = await halfTheLosslessRate(c1, c2)
    const options = ['--seconds', String(CHURN_SECONDS), '--rate', String(rate)]
    const round = async () => {
      const calm = await flood(c1, c2, CHURN_PAYLOAD, ...options)
      const before = await ledger()
      const churn = new Churn(lab, [
        { host: 'h1', place: a1 },
        { host: 'h2', place: a2 },
      ])
      const [beside] = await Promise.all([
        flood(c1, c2, CHURN_PAYLOAD, ...options),
        churn.run(CHURN_SECONDS),
      ])
      const book = await settledBook(before, ledger)
      isSound(t, calm, 'without')
      isSound(t, beside, 'with')
      t.same(churn.failures, [], `${churn.count} endpoints came and went in ${CHURN_SECONDS} s`)
      const { most } = datagramsOf(queuesOf(book))
      t.ok(lostOf(beside) <= most, `no verdict cost it a datagram: ${JSON.stringify(book)}`)
      return {
        noMore: lostOf(beside) <= lostOf(calm),
        asMany: churn.count >= 0.95 * ENDPOINTS_PER_SECOND * CHURN_SECONDS,
        lost: `${lostOf(beside)} of ${beside.send.sent} lost, without ${lostOf(calm)} of ${calm.send.sent}`,
        reached: `${(churn.count / CHURN_SECONDS).toFixed(1)} endpoints a second`,
      }
    }
    // What they cost, they cost each time; a CPU that is stolen for 30 ms fills a queue once.
    let last = await round()
    for (let rounds = 1; rounds < MOST_ROUNDS && !(last.noMore && last.asMany); rounds++) {
      t.comment(`once more: ${last.lost}; ${last.reached}`)
      last = await round()
    }
    const { noMore, asMany, lost, reached } = last
    const othersShare = Math.max(othersBefore, await backgroundShare(1))
    if (othersShare > MOST_OTHERS) {
      // A queue that overflows, a process that is late while somebody else has the CPU: it says nothing about us.
      t.comment(`others use ${othersShare.toFixed(2)} of the CPUs; ${lost}; ${reached}`)
      return
    }
    t.ok(noMore, lost)
    t.ok(asMany, reached)
  })
})

const isWorker = (thread: string) =>
  readFileSync(`${thread}/comm`, 'latin1').startsWith('weft-worker')

/** Field 19 of stat (proc(5)); the name before field 3 may hold anything. */
function niceOf(thread: string): number {
  const stat = readFileSync(`${thread}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19 - 3])
}

/** What is under way has arrived or is booked when two readings are the same. */
async function settledBook(
  before: Ledger,
  read: () => Promise<Ledger>,
): Promise<Record<string, number>> {
  let book = booked(before, await read())
  for (let attempt = 0; attempt < 10; attempt++) {
    await sleep(100)
    const again = booked(before, await read())
    if (JSON.stringify(again) === JSON.stringify(book)) return book
    book = again
  }
  return book
}

/** Half of the highest of some rates that lost nothing. */
async function halfTheLosslessRate(from: Sandbox, to: Sandbox): Promise<number> {
  let best = 8_000
  for (const rate of [16_000, 32_000, 64_000]) {
    const one = await flood(from, to, CHURN_PAYLOAD, '--seconds', '0.7', '--rate', String(rate))
    if (lostOf(one) > 0) break
    best = rate
  }
  return best / 2
}

const MOST_OTHERS = 0.15
const MOST_ROUNDS = 3

/** Attaches endpoints and takes them away again, on all hosts together so many a second. */
class Churn {
  /** Attached, and detached again. */
  count = 0
  readonly failures: string[] = []
  readonly #lab: Lab
  readonly #hosts: readonly { readonly host: string; readonly place: Sandbox }[]

  constructor(lab: Lab, hosts: readonly { readonly host: string; readonly place: Sandbox }[]) {
    this.#lab = lab
    this.#hosts = hosts
  }

  async run(seconds: number): Promise<void> {
    const began = Date.now()
    const lanes = this.#hosts.flatMap((host, at) =>
      Array.from({ length: LANES }, (_, lane) =>
        this.#lane(host.host, host.place, at * LANES + lane, began, began + seconds * 1000),
      ),
    )
    await Promise.all(lanes)
  }

  /** One endpoint after the other, always of the same address. */
  async #lane(
    host: string,
    place: Sandbox,
    lane: number,
    began: number,
    end: number,
  ): Promise<void> {
    const client = this.#lab.client(host)
    const everyMs = (1000 * LANES * this.#hosts.length) / ENDPOINTS_PER_SECOND
    const ip = `10.0.1.${200 + lane}`
    const name = `x${lane}`
    for (let turn = 0; this.failures.length < 5; turn++) {
      // Evenly over time, and by the clock: one that was late does not move those after it.
      const due = began + everyMs * turn + (lane * 1000) / ENDPOINTS_PER_SECOND
      if (due >= end) return
      await sleep(Math.max(0, due - Date.now()))
      // A new interface each time: one that was detached may be there for a moment more.
      const attachments = [{ network: 'demo', ip, interface: `${name}-${turn}` }]
      try {
        await client.createSandbox({ kind: 'attach', name, netns: place.netns, attachments })
        await client.removeSandbox(name, { force: true, graceMs: 0 })
        this.count += 1
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error))
      }
    }
  }
}

/** Of each host; that many endpoints are on their way at a time. */
const LANES = 4

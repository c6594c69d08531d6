// Many endpoints over five networks on three hosts, made one after the other: none fails, each is quick to make and small.
//
//      h1 ── r ── h2      networks n0 ... n4, endpoints e0, e1, ... in turns: host, network
//      h3 ───┘
//
// WEFT_SOAK_ENDPOINTS=200 is the long version (scripts/soak-networks). Runs alone: the time that a daemon takes is measured.

import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { SandboxInspect } from '../../src/api/types.ts'
import { run } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab } from '../fixtures/lab.ts'

// For the memory that is held, without what only waits to be collected.
process.env['WEFT_TEST_HOOKS'] = '1'

const ENDPOINTS = Number(process.env['WEFT_SOAK_ENDPOINTS'] ?? 45)
const NETWORKS = 5
const HOSTS = ['h1', 'h2', 'h3']
const IS_LONG = process.env['WEFT_SOAK_ENDPOINTS'] !== undefined
/** Made before memory is looked at. */
const FIRST = IS_LONG ? 201 : 0
/** In the suite, whose machine does other things, too, the bound is for what has gone wrong. */
const MOST_MS = IS_LONG ? 30 : 300
const MOST_KB = 200

inLab('many endpoints', HOSTS.length, async (t, lab) => {
  for (let n = 0; n < NETWORKS; n++) await lab.weftOk(HOSTS[n % 3]!, 'network', 'create', `n${n}`)
  // What the first endpoints bring to stay is none of theirs: code that is compiled, the size that V8 gives its young generation.
  await makeAll(lab, 0, FIRST)
  const before = await memoryOf(lab)
  const made = await makeAll(lab, FIRST, ENDPOINTS)

  await t.test(`${ENDPOINTS} on ${NETWORKS} networks are made, all are different`, (t) =>
    different(t, lab, made),
  )
  await t.test('each reaches another, on another host', (t) => reach(t, made))
  await t.test('the time that a daemon takes for one', async (t) => {
    for (const host of HOSTS) {
      const { endpoints } = await lab.client(host).status()
      t.equal(endpoints?.made, (FIRST + ENDPOINTS) / 3)
      const { medianMs = NaN, p99Ms = NaN } = endpoints ?? {}
      t.ok(medianMs <= MOST_MS, `${host}: ${medianMs} ms at the median, 99 % within ${p99Ms} ms`)
    }
    t.match(
      await lab.weftOk('h1', 'status'),
      /^Endpoints: +\d+ made, the latest in [\d.]+ ms each/m,
    )
  })
  await t.test('the memory of one', async (t) => {
    const after = await memoryOf(lab)
    // Each daemon has records of all of them, and the rest of its own.
    const grown = (of: keyof Memory) =>
      after.reduce((sum, memory, index) => sum + memory[of] - before[index]![of], 0) / 1024
    const residentKb = grown('rss') / ENDPOINTS
    const heldKb = (grown('heapUsed') + grown('external')) / ENDPOINTS
    const initsKb = made.map(({ inspect }) => privateKb(initOf(inspect)))
    const initKb = initsKb.reduce((sum, kb) => sum + kb, 0) / initsKb.length
    const shown =
      `an endpoint: ${residentKb.toFixed(0)} KB resident in the three daemons together, ` +
      `${heldKb.toFixed(0)} KB of it in JavaScript, and ${initKb.toFixed(0)} KB in its init`
    t.comment(shown)
    // V8 takes and gives back some 10 MB at a time: it needs many endpoints to be seen through that.
    if (ENDPOINTS >= 600) t.ok(residentKb + initKb <= MOST_KB, shown)
    // Of the first endpoints the code that is compiled for them is the larger part.
    t.ok((IS_LONG ? heldKb : 0) + initKb <= MOST_KB, shown)
  })
  await t.test('all are ended at once', async (t) => {
    await endAll(lab)
    for (let n = 0; n < NETWORKS; n++) await lab.weftOk('h1', 'network', 'rm', `n${n}`)
    for (const host of HOSTS) t.same(await lab.client(host).fdb(), [])
  })
})

interface Made {
  readonly host: string
  readonly network: string
  readonly inspect: SandboxInspect
}

async function makeAll(lab: Lab, first: number, count: number): Promise<Made[]> {
  const made: Made[] = []
  for (let index = first; index < first + count; index++) {
    const host = HOSTS[index % HOSTS.length]!
    const network = `n${Math.floor(index / HOSTS.length) % NETWORKS}`
    const inspect = await lab.client(host).createSandbox({
      ...{ kind: 'run', name: `e${index}`, env: {}, tty: false, detach: true },
      argv: ['sleep', 'infinity'],
      attachments: [{ network }],
    })
    lab.hold(inspect.NetworkSettings.SandboxKey)
    made.push({ host, network, inspect })
  }
  return made
}

async function endAll(lab: Lab): Promise<void> {
  await Promise.all(
    HOSTS.map(async (host) => {
      const client = lab.client(host)
      const all = await client.listSandboxes(true)
      await Promise.all(
        all.map(({ name }) => client.removeSandbox(name, { force: true, graceMs: 0 })),
      )
    }),
  )
}

function different(t: Test, lab: Lab, made: readonly Made[]): Promise<void> {
  t.equal(made.length, ENDPOINTS)
  const addresses = made.map((one) => addressOf(one))
  t.equal(new Set(addresses).size, ENDPOINTS)
  return Promise.all(
    HOSTS.map(async (host) => {
      const { sandboxes, silent } = await lab.client(host).listAllSandboxes(false)
      t.same([sandboxes.length, silent], [FIRST + ENDPOINTS, []], `as ${host} lists them`)
    }),
  ).then(() => undefined)
}

function addressOf({ inspect, network }: Made): string {
  return inspect.NetworkSettings.Networks[network]!.IPAddress
}

async function reach(t: Test, made: readonly Made[]): Promise<void> {
  const failed: string[] = []
  const left = made.map((from, index) => {
    // The next of its network on the next host, or any other.
    const others = made.filter(({ network }) => network === from.network)
    const to = others[(others.indexOf(from) + 1) % others.length]!
    return { from, to, index }
  })
  const work = async (): Promise<void> => {
    for (let one = left.pop(); one !== undefined; one = left.pop()) {
      const { from, to } = one
      const argv = ['ping', '-n', '-c', '1', '-W', '2', addressOf(to)]
      const { code } = await run(inNetns(from.inspect.NetworkSettings.SandboxKey, argv))
      if (code !== 0) failed.push(`${from.inspect.Name} → ${to.inspect.Name}`)
    }
  }
  await Promise.all([work(), work(), work(), work()])
  t.same(failed, [])
}

/** Of its path `/proc/PID/ns/net`. */
function initOf({ NetworkSettings }: SandboxInspect): number {
  return Number(NetworkSettings.SandboxKey.split('/')[2])
}

type Memory = Record<'rss' | 'heapUsed' | 'external', number>

/** Of each daemon, in bytes, when its garbage is collected. */
async function memoryOf(lab: Lab): Promise<Memory[]> {
  const collected = HOSTS.map((host) => lab.client(host).post('/v1/test/collect', undefined))
  return (await Promise.all(collected)) as Memory[]
}

/** What no other process shares (proc(5)). */
function privateKb(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return (
    kilobytes(text, /^Private_Clean:\s+(\d+) kB$/m) +
    kilobytes(text, /^Private_Dirty:\s+(\d+) kB$/m)
  )
}

function kilobytes(text: string, line: RegExp): number {
  return Number(line.exec(text)?.[1])
}

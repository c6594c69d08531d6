// More hosts, on both sides of a router: how soon a record is everywhere, and how soon halves that were parted agree.
//
//      h1, h3, ... 172.31.1.0/24 ───── r ───── 192.168.1.0/24 h2, h4, ...
//                              forwards, or not
//
// Short here; WEFT_SOAK_HOSTS, WEFT_SOAK_PARTED_SECONDS and WEFT_SOAK_RECORDS make it long (scripts/measure-agreement).
//
// Runs with few: agreement is timed, in seconds.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { eventually, ok } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab } from '../fixtures/lab.ts'

const HOSTS = Number(process.env['WEFT_SOAK_HOSTS'] ?? 6)
const PARTED_SECONDS = Number(process.env['WEFT_SOAK_PARTED_SECONDS'] ?? 4)
const RECORDS = Number(process.env['WEFT_SOAK_RECORDS'] ?? 10)
const PATIENCE_MS = 20_000
/** Between two looks at all hosts; what is measured is that much coarser. */
const POLL_MS = 20

inLab(`${HOSTS} hosts`, HOSTS, async (t, lab) => {
  const hosts = lab.topology.hosts.map(({ name }) => name)
  await agreed(lab, hosts)
  await t.test('a record is everywhere', (t) => spreads(t, lab, hosts))
  await t.test(`halves that were parted for ${PARTED_SECONDS} s agree`, (t) =>
    parted(t, lab, hosts),
  )
})

/** Until each host sees all the others, and all tables are equal; gives how long it took. */
async function agreed(lab: Lab, hosts: readonly string[]): Promise<number> {
  const since = performance.now()
  await eventually(
    async () => {
      const seen = await Promise.all(
        hosts.map(async (host) => (await lab.client(host).status()).cluster),
      )
      const digests = new Set(seen.map((cluster) => cluster?.digest))
      return digests.size === 1 && seen.every((cluster) => cluster?.members.alive === hosts.length)
    },
    PATIENCE_MS,
    'all hosts to agree',
  )
  return performance.now() - since
}

async function spreads(t: Test, lab: Lab, hosts: readonly string[]): Promise<void> {
  const times: number[] = []
  for (let record = 0; record < RECORDS; record++) {
    const writer = hosts[record % hosts.length] as string
    const name = `e${record}`
    const made = lab.client(writer).createSandbox({
      ...{ kind: 'run', name, argv: ['sleep', 'infinity'], env: {}, tty: false, detach: true },
      attachments: [{ network: 'demo', ip: `10.0.1.${200 + (record % 50)}` }],
    })
    // From when the writer itself shows it: before that it makes a namespace and an interface.
    await until(async () => await knows(lab, writer, writer, name))
    const since = performance.now()
    await until(async () => {
      const known = await Promise.all(hosts.map((host) => knows(lab, host, writer, name)))
      return known.every(Boolean)
    })
    times.push(performance.now() - since)
    await made
    await lab.client(writer).removeSandbox(name, { force: true, graceMs: 0 })
  }
  times.sort((a, b) => a - b)
  const worst = Math.round(times.at(-1) ?? 0)
  const median = Math.round(times[Math.floor(times.length / 2)] ?? 0)
  t.ok(
    worst <= 500,
    `${RECORDS} records were on ${hosts.length} hosts after ${median} ms, ${worst} ms at most`,
  )
}

async function knows(lab: Lab, host: string, writer: string, name: string): Promise<boolean> {
  const { Endpoints } = await lab.client(host).inspectNode(writer)
  return Endpoints.includes(name)
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!(await ask())) {
    if (performance.now() > end) throw new Error('a record did not come')
    await sleep(POLL_MS)
  }
}

async function parted(t: Test, lab: Lab, hosts: readonly string[]): Promise<void> {
  const forward = (value: 0 | 1) =>
    ok(inNetns(lab.netns('r'), ['sh', '-c', `echo ${value} > /proc/sys/net/ipv4/ip_forward`]))
  const began = performance.now()
  await forward(0)
  const [first, second] = hosts as [string, string]
  await eventually(
    async () => {
      const { cluster } = await lab.client(first).status()
      return cluster?.members.dead === Math.floor(hosts.length / 2)
    },
    PATIENCE_MS,
    'one half to believe the other dead',
  )
  await lab.sandbox(first, 'demo', 'one', undefined, ['--ip', '10.0.1.250'])
  await lab.sandbox(second, 'demo', 'two', undefined, ['--ip', '10.0.1.251'])
  await sleep(Math.max(0, PARTED_SECONDS * 1000 - (performance.now() - began)))
  await forward(1)
  const tookMs = Math.round(await agreed(lab, hosts))
  t.ok(tookMs <= 2_000, `everything is equal ${tookMs} ms after the heal`)
  await lab.weftOk(first, 'rm', '-f', 'one', 'two')
}

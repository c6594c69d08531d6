// A service under load from every host: backends come, are drained and go, are killed and cut off, and the daemon of a client dies.
//
//      h1: c1, b1, a3     h2: c2, b2, a4     h3: c3, a5          a3, a4, a5: namespaces that serve before they are attached
//
// WEFT_SOAK_LOAD_SECONDS: how long each part is watched before and behind what happens in it.
//
// Runs with few: 200 requests a second are timed.

import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { LbRow } from '../../src/api/lb-types.ts'
import { eventually, ok, run } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'
import { Asker, type Asked, byBackend, webServer } from '../fixtures/web.ts'

const HOSTS = ['h1', 'h2', 'h3'] as const
const RATE_PER_S = 200
const PATIENCE_MS = 15_000
const WATCHED_MS = 1_000 * Number(process.env['WEFT_SOAK_LOAD_SECONDS'] ?? 0.7)
/** From a host's end until the others believe it: the goal of test/netns/36. */
const DETECTION_MS = 3_000
/** A backend's end is told at once; the machine may be busy. */
const TOLD_MS = 2_000
/** RFC 6298: a SYN that was lost is sent again after one second. */
const SYN_AGAIN_MS = 900
/** Between a daemon's log and the rows that follow from the same change. */
const SLACK_MS = 50

inLab('a service under load', 3, async (t, lab) => {
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.0.0.0/24', 'blue')
  await lab.weftOk('h2', 'service', 'create', '--name', 'web', '--network', 'blue')
  const [clients] = await Promise.all([
    Promise.all(HOSTS.map((host, index) => lab.sandbox(host, 'blue', `c${index + 1}`))),
    ...[3, 4, 5].map((number) => prepare(lab, `a${number}`)),
  ])
  await serve(lab, 'h1', 'b1')
  await serve(lab, 'h2', 'b2')
  const vip = (await lbRow(lab, 'h1')).vip
  const world = { lab, clients, vip }

  await t.test('2 → 5 → 1 backends, drained before they go: no request fails', (t) =>
    growAndShrink(t, world),
  )
  await t.test('a daemon killed and started again: round robin goes on where it was', (t) =>
    goesOn(t, world),
  )
  await t.test('a backend is killed: what fails began before all hosts knew', (t) =>
    killed(t, world),
  )
  await t.test("a backend's host is cut off: what fails began before the client's knew", (t) =>
    cut(t, world),
  )
})

interface World {
  readonly lab: Lab
  readonly clients: readonly Sandbox[]
  readonly vip: string
}

/** Host and name of what is attached. */
type Place = readonly [host: string, name: string]

const A3: Place = ['h1', 'a3']
const A4: Place = ['h2', 'a4']
const A5: Place = ['h3', 'a5']

/** A namespace in which a server listens already: no request can come too early. */
async function prepare(lab: Lab, name: string): Promise<void> {
  const netns = await lab.addNetns(name)
  await ok(['ip', '-n', netns, 'link', 'set', 'lo', 'up'])
  lab.start(`/run/netns/${netns}`, webServer(name))
  await eventually(async () => {
    const { stdout } = await run(['ip', 'netns', 'exec', netns, 'ss', '-Hltn'])
    return stdout.includes(':80 ')
  }, PATIENCE_MS)
}

async function attach(lab: Lab, ...places: readonly Place[]): Promise<void> {
  const argv = ['attach', '--network', 'blue', '--service', 'web']
  await Promise.all(
    places.map(([host, name]) =>
      lab.weftOk(host, ...argv, '--name', name, '--netns', `${lab.name}-${name}`),
    ),
  )
}

async function detach(lab: Lab, ...places: readonly Place[]): Promise<void> {
  await Promise.all(places.map(([host, name]) => lab.weftOk(host, 'detach', name)))
}

async function serve(lab: Lab, host: string, name: string): Promise<Sandbox> {
  const sandbox = await lab.sandbox(host, 'blue', name, webServer(name), ['--service', 'web'])
  await eventually(async () => (await sandbox.ok('ss', '-Hltn')).includes(':80 '), PATIENCE_MS)
  return sandbox
}

async function lbRow(lab: Lab, host: string): Promise<LbRow> {
  return await eventually(
    async () => (await lab.client(host).lb()).find(({ service }) => service === 'web'),
    PATIENCE_MS,
  )
}

/** When each host's data plane had the backends of that state, and no others, by asking it all the time. */
async function allHave(lab: Lab, state: string, names: readonly string[]): Promise<number> {
  await Promise.all(
    HOSTS.map((host) =>
      eventually(
        async () => {
          const { backends } = await lbRow(lab, host)
          const those = backends.filter((backend) => backend.state === state)
          const there = those.map(({ endpoint }) => endpoint ?? '')
          return there.toSorted().join() === names.toSorted().join()
        },
        PATIENCE_MS,
        `${names.join()} ${state} on ${host}`,
      ),
    ),
  )
  return Date.now()
}

async function growAndShrink(t: Test, { lab, clients, vip }: World): Promise<void> {
  const asker = await Asker.start(lab, clients, vip, RATE_PER_S)
  await sleep(WATCHED_MS)
  await attach(lab, A3, A4, A5)
  await allHave(lab, 'healthy', ['b1', 'b2', 'a3', 'a4', 'a5'])
  await sleep(WATCHED_MS)
  const drained = ['b2', 'a3', 'a4', 'a5']
  const update = ['service', 'update', 'web', ...drained.flatMap((name) => ['--drain', name])]
  await lab.weftOk('h3', ...update)
  await allHave(lab, 'draining', drained)
  for (const host of HOSTS) {
    await eventually(async () => {
      const { backends } = await lbRow(lab, host)
      return backends.every(({ state, activeFlows }) => state === 'healthy' || activeFlows === 0)
    }, PATIENCE_MS)
  }
  await lab.weftOk('h2', 'rm', '-f', 'b2')
  await detach(lab, A3, A4, A5)
  await allHave(lab, 'healthy', ['b1'])
  await sleep(WATCHED_MS)
  const asked = await asker.stop()
  none(t, asked)
  const answered = byBackend(asked)
  t.same([...answered.keys()].sort(), ['a3', 'a4', 'a5', 'b1', 'b2'], 'each has served')
}

async function goesOn(t: Test, { lab, clients, vip }: World): Promise<void> {
  await attach(lab, A4, A5)
  await allHave(lab, 'healthy', ['b1', 'a4', 'a5'])
  // What h3 has heard of just now the next daemon knows when it has been written down; a4 and a5 were there before, at other addresses.
  const ips = (await lbRow(lab, 'h3')).backends.map(({ ip }) => `"${ip}"`)
  await eventually(() => ips.every((ip) => written(lab, 'h3').includes(ip)), PATIENCE_MS)
  const client = clients[2]!
  const asks = async (count: number): Promise<string[]> => {
    const loop = `for i in $(seq ${count}); do curl -s -m 5 http://${vip}/ || echo -; done`
    const { stdout } = await client.run(['sh', '-c', loop])
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0] ?? '')
  }
  const line = `
import socket, sys
s = socket.create_connection(('${vip}', 80), 5)
f = s.makefile('rwb')
for text in sys.stdin:
    f.write(text.encode()); f.flush()
    print(f.readline().decode(), end='', flush=True)
`
  const talk = client.start(['python3', '-c', line])
  talk.write('before\n')
  const [, backend] = await talk.until(/^(\w+) before\n/)
  const before = await asks(4)
  const { position } = await lbRow(lab, 'h3')
  process.kill(lab.daemonPid('h3'), 'SIGKILL')
  // Asked while nobody is there to answer: it waits in the kernel.
  const meanwhile = asks(1)
  await lab.lab('restart', 'h3')
  const after = [...before, ...(await meanwhile), ...(await asks(4))]
  const turn = after.slice(0, 3)
  t.equal(new Set(turn).size, 3)
  t.same(
    after,
    after.map((_, index) => turn[index % 3]),
    'in turn before, while and after it was away',
  )
  t.equal((await lbRow(lab, 'h3')).position, position + 5)
  talk.write('after\n')
  await talk.until(new RegExp(`^${backend} after\n`, 'm'))
  t.equal((await talk.stop()).stderr, '', 'what was connected still is')
  await detach(lab, A4, A5)
  await eventually(async () => (await ready(lab)) === HOSTS.length, PATIENCE_MS)
  await allHave(lab, 'healthy', ['b1'])
}

/** The records that a daemon keeps on disk. */
function written(lab: Lab, host: string): string {
  const { stateDir } = lab.directories(host)
  const names = readdirSync(stateDir, { withFileTypes: true }).filter((entry) => entry.isFile())
  return names.map(({ name }) => readFileSync(join(stateDir, name), 'latin1')).join('')
}

async function ready(lab: Lab): Promise<number> {
  const nodes = await Promise.all(HOSTS.map((host) => lab.client(host).nodes()))
  return Math.min(...nodes.map((those) => those.filter(({ status }) => status === 'ready').length))
}

async function killed(t: Test, { lab, clients, vip }: World): Promise<void> {
  const b2 = await serve(lab, 'h2', 'b2')
  await allHave(lab, 'healthy', ['b1', 'b2'])
  const asker = await Asker.start(lab, clients, vip, RATE_PER_S)
  await sleep(WATCHED_MS)
  const sinceMs = Date.now()
  process.kill(b2.pid, 'SIGKILL')
  const knownMs = await allHave(lab, 'healthy', ['b1'])
  await sleep(WATCHED_MS)
  const asked = await asker.stop()
  within(t, asked, sinceMs, () => knownMs)
  t.ok(knownMs - sinceMs < TOLD_MS, `all knew after ${knownMs - sinceMs} ms`)
}

async function cut(t: Test, { lab, clients, vip }: World): Promise<void> {
  await serve(lab, 'h2', 'b2')
  await allHave(lab, 'healthy', ['b1', 'b2'])
  // c2 is cut off as well: what it asks says nothing of detection.
  const others = [clients[0]!, clients[2]!]
  const asker = await Asker.start(lab, others, vip, RATE_PER_S)
  await sleep(WATCHED_MS)
  const sinceMs = setLink(lab, 'down')
  const known = await Promise.all(
    (['h1', 'h3'] as const).map((host) => saidDown(lab, host, sinceMs)),
  )
  await sleep(WATCHED_MS)
  const asked = await asker.stop()
  setLink(lab, 'up')
  within(t, asked, sinceMs, (from) => (known[from] ?? 0) + SLACK_MS)
  for (const [index, knownMs] of known.entries())
    t.ok(knownMs - sinceMs < DETECTION_MS, `h${2 * index + 1} knew after ${knownMs - sinceMs} ms`)
  const waited = `a request to b2 waited for ${asked.slowestMs.toFixed(0)} ms: until its SYN, said again, went elsewhere`
  t.ok(asked.failures.length > 0 || asked.slowestMs > SYN_AGAIN_MS, waited)
  await eventually(async () => (await ready(lab)) === HOSTS.length, PATIENCE_MS)
  await allHave(lab, 'healthy', ['b1', 'b2'])
  const again = await Asker.start(lab, clients, vip, RATE_PER_S)
  await sleep(WATCHED_MS)
  none(t, await again.stop())
}

/** The router's end of h2's cable. */
function setLink(lab: Lab, state: 'up' | 'down'): number {
  const sinceMs = Date.now()
  spawnSync('ip', ['-netns', lab.topology.router.netns, 'link', 'set', 'h2', state])
  return sinceMs
}

/** When a daemon's log said that h2 is down: its own time stamp. */
async function saidDown(lab: Lab, host: string, sinceMs: number): Promise<number> {
  return await eventually(
    () => {
      const times = lab
        .daemonLog(host)
        .split('\n')
        .filter((line) => line.includes('host h2 is down'))
        .map((line) => Date.parse((JSON.parse(line) as { time: string }).time))
      return times.find((time) => time >= sinceMs)
    },
    PATIENCE_MS,
    `${host} to say that h2 is down`,
  )
}

function none(t: Test, { asked, failures }: Asked): void {
  t.same(failures, [], `none of ${asked} failed`)
  // A machine that is busy asks fewer.
  t.ok(asked > (RATE_PER_S * WATCHED_MS) / 2_000, `${asked} were asked`)
}

/** What failed was under way between the fault and the moment at which its client's host knew of it. */
function within(
  t: Test,
  { asked, failures }: Asked,
  sinceMs: number,
  knownMs: (from: number) => number,
): void {
  const outside = failures.filter(
    ({ from, beganMs, endedMs }) => beganMs > knownMs(from) || endedMs < sinceMs,
  )
  t.same(outside, [], `${failures.length} of ${asked} failed, all of them in the window`)
}

// What one host does the others know: endpoints come, move, and are found again after cuts, kills and restarts.
//
//      h1 172.31.1.11      h3 172.31.1.13            h2 192.168.1.12
//      │ c1 10.0.1.11      │ c3 10.0.1.13            │ c2 10.0.1.12
//      └──── 172.31.1.1 ───┴──────── r ──────────────┴── 192.168.1.1
//
// Short here; scripts/soak-moves moves an address 1,000 times.

import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { eventually } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const MOVES = Number(process.env['WEFT_SOAK_MOVES'] ?? 20)
/** An address that no facts reserve. */
const MOVING = { ip: '10.0.1.200', mac: '02:42:0a:00:01:c8' } as const
const HOSTS = ['h1', 'h2', 'h3'] as const
const PATIENCE_MS = 10_000

inLab('facts across hosts', 3, async (t, lab) => {
  const sandboxes = await Promise.all(
    HOSTS.map((host, index) => lab.sandbox(host, 'demo', `c${index + 1}`)),
  )
  const [c1, c2, c3] = sandboxes as [Sandbox, Sandbox, Sandbox]

  await t.test('a new endpoint is reached from every host when run returns', async (t) => {
    const made = await lab.sandbox('h1', 'demo', 'a1')
    await t.resolves(Promise.all([reach(c2, made.ip), reach(c3, made.ip)]))
    await lab.weftOk('h1', 'rm', '-f', 'a1')
  })
  await t.test('a row tells the record that it derives from', (t) => rows(t, lab, c2))
  await t.test('any host answers for a sandbox of another', (t) => anywhere(t, lab))
  await t.test(`an address moves to another host ${MOVES} times`, (t) => moves(t, lab, c3))
  await t.test('both halves go on while they are cut off, and agree after', (t) =>
    cutAndHealed(t, lab, c1, c2),
  )
  await t.test('all daemons are killed at once, and everything comes back', (t) =>
    killedTogether(t, lab, sandboxes),
  )
  await t.test('all hosts were off for two days: what they shared holds again', (t) =>
    awayTogether(t, lab),
  )
})

/** One echo and its answer, within the second that a user waits. */
async function reach(from: Sandbox, ip: string): Promise<void> {
  await from.ok('ping', '-n', '-c', '1', '-W', '1', ip)
}

async function rows(t: Test, lab: Lab, c2: Sandbox): Promise<void> {
  const record = /endpoint\/[0-9a-f]{12} v\d+ h2/
  const line = (text: string) => text.split('\n').find((row) => row.includes(c2.mac)) ?? ''
  for (const table of ['fdb', 'neigh']) {
    t.match(line(await lab.weftOk('h1', table, 'ls', '--network', 'demo')), record, table)
  }
  const { memberId } = (await lab.client('h2').status()).cluster ?? {}
  const row = (await lab.client('h1').fdb()).find(({ mac }) => mac === c2.mac)
  t.match(row?.record, { owner: memberId, writer: memberId, ownerName: 'h2' })
}

async function anywhere(t: Test, lab: Lab): Promise<void> {
  const echo = ['sh', '-c', 'cat; echo to stderr >&2; exit 7']
  for (const name of ['c2', 'h2/c2']) {
    t.same(
      await lab.weft('h1', ['exec', name, '--', ...echo], { input: 'through h1\n' }),
      { code: 7, stdout: 'through h1\n', stderr: 'to stderr\n' },
      `exec ${name}`,
    )
  }
  t.match(await lab.weftOk('h3', 'exec', 'c2', '--', 'hostname'), 'c2')
  t.match(JSON.parse(await lab.weftOk('h1', 'inspect', 'c2')), [{ Name: 'c2', Host: 'h2' }])

  await lab.sandbox('h2', 'demo', 'a2', ['sh', '-c', 'echo said on h2; sleep infinity'])
  await eventually(async () => (await lab.weftOk('h1', 'logs', 'a2')) === 'said on h2\n')
  t.pass('logs')
  await lab.sandbox('h1', 'demo', 'twin', undefined, ['--ip', '10.0.1.210'])
  await lab.sandbox('h2', 'demo', 'twin', undefined, ['--ip', '10.0.1.211'])
  t.match(await lab.weft('h3', ['exec', 'twin', '--', 'true']), {
    code: 1,
    stderr: 'weft: several hosts have a sandbox twin; name one of h1/twin, h2/twin\n',
  })
  t.match(await lab.weftOk('h1', 'exec', 'twin', '--', 'ip', 'addr'), '10.0.1.210', 'own first')
  t.match(await lab.weftOk('h1', 'exec', 'h2/twin', '--', 'ip', 'addr'), '10.0.1.211')
  t.equal(await lab.weftOk('h3', 'rm', '-f', 'h1/twin', 'h2/twin', 'a2'), 'h1/twin\nh2/twin\na2\n')
  t.same(
    (await lab.client('h2').listSandboxes(true)).map(({ name }) => name),
    ['c2'],
    'gone there',
  )
  t.match(await lab.weft('h1', ['exec', 'nobody', '--', 'true']), {
    code: 1,
    stderr: 'weft: no sandbox nobody on this host; see weft ps -a\n',
  })
  t.match(await lab.weft('h1', ['exec', 'h9/c1', '--', 'true']), {
    code: 1,
    stderr: 'weft: no host h9 is up in this cluster; see weft node ls\n',
  })
}

async function moves(t: Test, lab: Lab, c3: Sandbox): Promise<void> {
  const times: number[] = []
  for (let move = 0; move < MOVES; move++) {
    const client = lab.client(move % 2 === 0 ? 'h1' : 'h2')
    await client.createSandbox({
      kind: 'run',
      name: 'mover',
      attachments: [{ network: 'demo', ip: MOVING.ip }],
      argv: ['sleep', 'infinity'],
      env: {},
      tty: false,
      detach: true,
    })
    const since = performance.now()
    await reach(c3, MOVING.ip)
    times.push(performance.now() - since)
    await client.removeSandbox('mover', { force: true, graceMs: 0 })
  }
  times.sort((a, b) => a - b)
  const worst = times.at(-1) ?? 0
  t.ok(worst <= 1_000, `traffic followed within ${Math.round(worst)} ms at worst`)
  await eventually(async () => (await staleRows(lab)).length === 0, PATIENCE_MS)
  t.same(await staleRows(lab), [], 'no row of it is left anywhere')
}

async function staleRows(lab: Lab): Promise<string[]> {
  const tables = await Promise.all(
    HOSTS.map(async (host) => {
      const [fdb, neighbours] = await Promise.all([
        lab.client(host).fdb(),
        lab.client(host).neighbours(),
      ])
      return [...fdb, ...neighbours].map(({ mac }) => ({ host, mac }))
    }),
  )
  return tables.flat().flatMap(({ host, mac }) => (mac === MOVING.mac ? [host] : []))
}

/** The root of the digest of each host's records. */
async function digests(lab: Lab): Promise<Set<string>> {
  return new Set(
    await Promise.all(
      HOSTS.map(async (host) => (await lab.client(host).status()).cluster?.digest ?? host),
    ),
  )
}

async function cutAndHealed(t: Test, lab: Lab, c1: Sandbox, c2: Sandbox): Promise<void> {
  await lab.lab('cut', 'h2')
  await eventually(async () => await isDown(lab, 'h1', 'h2'), PATIENCE_MS)
  t.notOk(
    (await lab.client('h1').fdb()).some(({ mac }) => mac === c2.mac),
    'its rows are hidden',
  )
  const one = await lab.sandbox('h1', 'demo', 'one', undefined, ['--ip', '10.0.1.220'])
  const two = await lab.sandbox('h2', 'demo', 'two', undefined, ['--ip', '10.0.1.221'])
  await lab.lab('heal', 'h2')
  const since = performance.now()
  await eventually(async () => (await digests(lab)).size === 1, PATIENCE_MS)
  const agreedMs = Math.round(performance.now() - since)
  t.comment(`tables equal ${agreedMs} ms after the heal`)
  await eventually(async () => !(await isDown(lab, 'h1', 'h2')), PATIENCE_MS)
  await t.resolves(Promise.all([reach(one, two.ip), reach(two, one.ip), reach(c1, c2.ip)]))
  await lab.weftOk('h3', 'rm', '-f', 'one', 'two')
}

async function isDown(lab: Lab, on: string, host: string): Promise<boolean> {
  return (await lab.client(on).nodes()).some(
    ({ name, status }) => name === host && status === 'down',
  )
}

async function killedTogether(t: Test, lab: Lab, sandboxes: readonly Sandbox[]): Promise<void> {
  await Promise.all(HOSTS.map((host) => lab.lab('kill', host)))
  await sleep(500)
  await Promise.all(HOSTS.map((host) => lab.lab('restart', host)))
  await eventually(async () => {
    const seen = await Promise.all(HOSTS.map((host) => lab.client(host).nodes()))
    return seen.every(
      (nodes) => nodes.length === 3 && nodes.every(({ status }) => status === 'ready'),
    )
  }, PATIENCE_MS)
  t.pass('each sees all')
  for (const from of sandboxes) {
    for (const to of sandboxes) if (from !== to) await reach(from, to.ip)
  }
  t.pass('every sandbox reaches every other')
  await eventually(async () => (await digests(lab)).size === 1, PATIENCE_MS)
  t.pass('the tables are equal')
}

async function awayTogether(t: Test, lab: Lab): Promise<void> {
  await Promise.all(HOSTS.map((host) => lab.lab('kill', host)))
  for (const host of HOSTS) setBack(`${lab.directories(host).stateDir}/records.bin`, 48)
  await Promise.all(HOSTS.map((host) => lab.lab('restart', host)))
  // Whoever was not away would have told them by then.
  const line = 'all hosts were away for more than a day: what they shared before holds again'
  await eventually(() => HOSTS.some((host) => lab.daemonLog(host).includes(line)), PATIENCE_MS)
  await eventually(async () => (await digests(lab)).size === 1, PATIENCE_MS)
  t.pass('the tables are equal')
  const { token, address } = await lab.client('h2').joinToken(true)
  await lab.weftOk('h3', 'leave', '--force')
  await lab.weftOk('h3', 'join', '--token', token, address)
  t.pass('and the cluster is one')
}

/** As if the host had written it so long ago (src/netdb/snapshot.ts). */
function setBack(path: string, hours: number): void {
  const bytes = readFileSync(path)
  const body = bytes.subarray(0, -32)
  body.writeBigUInt64BE(body.readBigUInt64BE(15) - BigInt(hours * 3_600_000), 15)
  createHash('sha256').update(body).digest().copy(bytes, body.length)
  writeFileSync(path, bytes)
}

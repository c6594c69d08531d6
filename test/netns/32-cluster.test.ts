// Hosts become a cluster, leave it, are put out of it; who may not come in is told why.
//
//      h1 172.31.1.11      h3 172.31.1.13            h2 192.168.1.12
//      └──── 172.31.1.1 ───┴──────── r ──────────────┴── 192.168.1.1

import type { Test } from 'tap'
import type { NodeStatus } from '../../src/api/cluster-types.ts'
import { residentBytes } from '../../src/bench/cpu.ts'
import { eventually } from '../fixtures/commands.ts'
import { effort } from '../fixtures/effort.ts'
import { inLab, type Lab } from '../fixtures/lab.ts'

/** To the gossip port of one host, from outside of the cluster. */
const JUNK = Number(process.env['WEFT_SOAK_JUNK'] ?? effort(100_000, 30_000))
/** How long what is to be seen everywhere may take on a machine that is busy. */
const PATIENCE_MS = 10_000
const ALL_UP = { h1: 'ready', h2: 'ready', h3: 'ready' } as const

inLab('cluster', 3, async (t, lab) => {
  await t.test('the lab is a cluster: every host sees every other', (t) => together(t, lab))
  await t.test(`${JUNK} junk datagrams are counted and change nothing`, (t) => junk(t, lab))
  await t.test('nothing of it travels in the clear', (t) => sealed(t, lab))
  await t.test('who may not come in is told why, and nothing changes', (t) => refused(t, lab))
  await t.test('a host leaves, and comes again as a new one', (t) => leaves(t, lab))
  await t.test('a host with sandboxes leaves only by force', (t) => leavesByForce(t, lab))
  await t.test('a join secret that was rotated out opens no door', (t) => rotatedOut(t, lab))
  await t.test('keys are rotated while a host is down, and it comes back', (t) => keys(t, lab))
  await t.test('a host that is down is removed; one that is up by force', (t) => removed(t, lab))
})

/** The state of each host as `on` believes it, by name. */
async function statesOn(lab: Lab, on: string): Promise<Record<string, NodeStatus>> {
  const rows = await lab.client(on).nodes()
  return Object.fromEntries(rows.map(({ name, status }) => [name, status]))
}

/** Waits until every one of `hosts` believes so. */
async function agreed(
  t: Test,
  lab: Lab,
  hosts: readonly string[],
  states: Record<string, NodeStatus>,
  title: string,
): Promise<void> {
  let last: unknown
  await eventually(async () => {
    last = await Promise.all(hosts.map((host) => statesOn(lab, host)))
    return (last as Record<string, NodeStatus>[]).every(
      (seen) => JSON.stringify(sorted(seen)) === JSON.stringify(sorted(states)),
    )
  }, PATIENCE_MS).catch(() => undefined)
  t.same(
    last,
    hosts.map(() => states),
    title,
  )
}

function sorted(states: Record<string, NodeStatus>): [string, NodeStatus][] {
  return Object.entries(states).sort(([a], [b]) => (a < b ? -1 : 1))
}

async function together(t: Test, lab: Lab): Promise<void> {
  await agreed(t, lab, ['h1', 'h2', 'h3'], ALL_UP, 'all are up, seen from each')
  t.match(
    await lab.weftOk('h2', 'node', 'ls'),
    /^[0-9a-f]{16} \* +h2 +Ready .* Active +192\.168\.1\.12 +0 +\d+\.\d+\.\d+$/m,
  )
  t.match(JSON.parse(await lab.weftOk('h1', 'node', 'inspect', 'h3')), [
    {
      Description: { Hostname: 'h3' },
      Status: { State: 'ready', Addr: '172.31.1.13' },
      Dataplane: { VTEP: '172.31.1.13', Port: 4789, UnderlayMTU: 1500 },
    },
  ])
  await eventually(async () => {
    const digests = await Promise.all(
      ['h1', 'h2', 'h3'].map(async (host) => (await lab.client(host).status()).cluster?.digest),
    )
    return new Set(digests).size === 1
  }, PATIENCE_MS)
  t.pass('the tables are equal')
}

/** Random bytes, and every tenth that begins as one of ours does; 20,000 a second. */
const JUNK_SENDER = `
  const { randomFillSync } = require('crypto')
  const socket = require('dgram').createSocket('udp4')
  const [ip, port, packets] = process.argv.slice(1)
  const bytes = Buffer.alloc(1200)
  let sent = 0
  const timer = setInterval(() => {
    randomFillSync(bytes)
    for (let n = 0; n < 200 && sent < Number(packets); n++, sent++) {
      if (n % 10 === 0) bytes[n] = 1
      socket.send(bytes.subarray(n, n + 20 + (n * 5) % 900), Number(port), ip)
    }
    if (sent >= Number(packets)) { clearInterval(timer); setTimeout(() => socket.close(), 200) }
  }, 10)`

async function junk(t: Test, lab: Lab): Promise<void> {
  const counted = async (): Promise<number> =>
    (await lab.client('h1').counters()).find(({ name }) => name === 'cluster_foreign')?.value ?? 0
  const rssBytes = (): number => residentBytes([lab.daemonPid('h1')])
  const flood = async (packets: number): Promise<void> => {
    const argv = [process.execPath, '-e', JUNK_SENDER, '172.31.1.11', '7946', String(packets)]
    const { code, stderr } = await lab.on('c', argv, { timeoutMs: 30_000 + packets })
    t.equal(code, 0, stderr)
  }
  const before = await counted()
  await flood(JUNK / 10)
  const settled = rssBytes()
  await flood(JUNK)
  const grownBytes = rssBytes() - settled
  t.ok((await counted()) - before > JUNK / 2, `${(await counted()) - before} were counted`)
  t.ok(grownBytes < 30 << 20, `the daemon grew by ${Math.round(grownBytes / 1024)} KB`)
  t.same(await statesOn(lab, 'h1'), ALL_UP, 'nobody was taken for dead on h1')
  t.same(await statesOn(lab, 'h2'), ALL_UP, 'nor h1 by others')
}

/** What tcpdump sees of UDP and TCP 7946 while an endpoint comes and goes. */
async function sealed(t: Test, lab: Lab): Promise<void> {
  const dump = lab.start('h1', [
    ...['tcpdump', '-i', 'eth0', '-n', '-U', '-A', '-s', '0', 'port', '7946'],
  ])
  await dump.until(/listening on/)
  await lab.sandbox('h1', 'demo', 'c1')
  const name = Buffer.from('c1 demo').toString()
  await lab.weftOk('h2', 'rm', '-f', 'c1')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  await dump.stop('SIGTERM')
  const { stdout } = await dump.ended
  t.match(stdout, /172\.31\.1\.11\.7946 > .*\.7946: UDP/, 'there is gossip')
  for (const secret of ['endpoint', '10.0.1.11', '02:42:0a:00:01:0b', name, '"h1"']) {
    t.notOk(stdout.includes(secret), `no ${secret} in it`)
  }
}

async function refused(t: Test, lab: Lab): Promise<void> {
  const token = (await lab.weftOk('h1', 'join-token', '-q')).trim()
  const before = await statesOn(lab, 'h1')
  t.match(await lab.weft('h2', ['join', '--token', token, '172.31.1.11']), {
    code: 1,
    stderr:
      /^weft: this host is in a cluster already \(weft node ls\); leave it first with weft leave\n$/,
  })
  t.match(await lab.weft('h2', ['init']), { code: 1, stderr: /in a cluster already/ })

  await lab.weftOk('h3', 'leave')
  const rows: [argv: string[], message: RegExp, code?: number][] = [
    [['join', '--token', 'nonsense', '172.31.1.11'], /this is not a join token/],
    [
      ['join', '--token', `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`, '172.31.1.11'],
      /mistyped/,
    ],
    [['join', '--token', token, '172.31.1.13'], /itself|this host/],
    [['join', '--token', token, '172.31.1.99'], /172\.31\.1\.99/],
    [['join', '--token', token, '203.0.113.2'], /203\.0\.113\.2/],
    [['join', '--token', token, 'no such host'], /no such host/],
    [['join-token'], /this host is in no cluster; begin one with weft init, or join one/],
    [['leave'], /this host is in no cluster/],
    [['node', 'ls'], /this host is in no cluster/],
  ]
  for (const [argv, message] of rows) {
    const { code, stdout, stderr } = await lab.weft('h3', argv)
    t.not(code, 0, argv.join(' '))
    t.equal(stdout, '')
    t.match(stderr, message)
    t.match(stderr, /^weft: [^\n]+\n$/, 'one line')
  }
  await t.test('two clusters do not mix', async (t) => {
    const other = JSON.parse(await lab.weftOk('h3', 'init', '--format', 'json')) as {
      token: string
    }
    await lab.weftOk('h3', 'leave')
    t.match(await lab.weft('h3', ['join', '--token', other.token, '172.31.1.11']), {
      code: 1,
      stderr: /^weft: [^\n]*cluster[^\n]*\n$/,
    })
  })
  await lab.weftOk('h3', 'join', '--token', token, '192.168.1.12')
  await agreed(t, lab, ['h1', 'h2', 'h3'], { ...ALL_UP }, 'and with the right one it is in')
  t.same(Object.keys(before).length, 3)
}

async function leaves(t: Test, lab: Lab): Promise<void> {
  const before = (await lab.client('h3').status()).cluster?.memberId
  t.equal(await lab.weftOk('h3', 'leave'), 'This host has left the cluster.\n')
  const since = Date.now()
  await agreed(t, lab, ['h1', 'h2'], { h1: 'ready', h2: 'ready' }, 'the others know')
  t.comment(`the others knew after ${Date.now() - since} ms`)
  t.equal((await lab.client('h3').status()).cluster, null)
  await rejoin(lab, 'h3')
  await agreed(t, lab, ['h1', 'h2', 'h3'], ALL_UP, 'it is back')
  t.not((await lab.client('h3').status()).cluster?.memberId, before, 'as another member')
}

async function rejoin(lab: Lab, host: string, by = 'h1'): Promise<void> {
  const { token, address } = await lab.client(by).joinToken(false)
  // One that was put out says that it is alone, and begins anew: for a moment nobody answers there.
  await eventually(async () => {
    const { code, stderr } = await lab.weft(host, ['join', '--token', token, address])
    if (code !== 0 && !stderr.includes('no daemon answers')) throw new Error(stderr)
    return code === 0
  }, PATIENCE_MS)
}

async function leavesByForce(t: Test, lab: Lab): Promise<void> {
  await lab.sandbox('h3', 'demo', 'c3')
  t.match(await lab.weft('h3', ['leave']), {
    code: 2,
    stderr:
      /^weft: sandboxes of this host are on the cluster's networks \(c3\); end them first with weft rm, or leave with --force\n$/,
  })
  t.match(
    (await lab.client('h3').listSandboxes(false)).map(({ name }) => name),
    ['c3'],
  )
  await lab.weftOk('h3', 'leave', '--force')
  t.same(await lab.client('h3').listSandboxes(false), [])
  await eventually(async () => !(await hasEndpoint(lab, 'h1', 'c3')), PATIENCE_MS)
  t.pass('nobody has a row of its endpoint')
  await rejoin(lab, 'h3')
}

async function hasEndpoint(lab: Lab, host: string, name: string): Promise<boolean> {
  return (await lab.client(host).fdb()).some(({ endpoint }) => endpoint === name)
}

async function rotatedOut(t: Test, lab: Lab): Promise<void> {
  const old = await lab.client('h1').joinToken(false)
  const line = await lab.weftOk('h2', 'join-token', '--rotate')
  const fresh = await lab.client('h1').joinToken(false)
  t.not(fresh.token, old.token, 'h1 has the new one from h2')
  t.ok(line.includes(fresh.token))
  await lab.weftOk('h3', 'leave')
  t.match(await lab.weft('h3', ['join', '--token', old.token, old.address]), {
    code: 1,
    stderr: /^weft: [^\n]*token[^\n]*\n$/,
  })
  await lab.weftOk('h3', 'join', '--token', fresh.token, fresh.address)
  await agreed(t, lab, ['h1', 'h2', 'h3'], ALL_UP, 'the new one opens it')
}

async function keys(t: Test, lab: Lab): Promise<void> {
  const c1 = await lab.sandbox('h1', 'demo', 'c1')
  await lab.lab('kill', 'h3')
  for (const by of ['h1', 'h2']) {
    t.match(await lab.weftOk(by, 'join-token', '--rotate-keys'), /^New gossip key [0-9a-f]{8}; /)
  }
  await agreed(t, lab, ['h1', 'h2'], { ...ALL_UP, h3: 'down' }, 'the two go on with the new keys')
  await lab.lab('restart', 'h3')
  await agreed(t, lab, ['h1', 'h2', 'h3'], ALL_UP, 'the third comes back with its old key')
  await eventually(async () => {
    const { Endpoints } = await lab.client('h3').inspectNode('h1')
    return Endpoints.includes(c1.name)
  }, PATIENCE_MS)
  t.pass('and knows what there is')
  await lab.weftOk('h1', 'rm', '-f', 'c1')
}

/** Its daemon begins anew meanwhile, and does not answer for a moment. */
async function isAlone(lab: Lab, host: string): Promise<boolean> {
  const status = await lab
    .client(host)
    .status()
    .catch(() => null)
  return status?.cluster === null
}

async function removed(t: Test, lab: Lab): Promise<void> {
  await lab.lab('kill', 'h3')
  t.match(await lab.weft('h1', ['node', 'rm', 'h1']), { code: 1, stderr: /weft leave/ })
  t.match(await lab.weft('h1', ['node', 'rm', 'h9']), {
    code: 1,
    stderr: /no host h9 in this cluster/,
  })
  t.match(await lab.weft('h1', ['node', 'rm', 'h2']), {
    code: 1,
    stderr: /host h2 is up; run weft leave there, or put it out with --force/,
  })
  await agreed(t, lab, ['h1', 'h2'], { ...ALL_UP, h3: 'down' }, 'h3 is down')
  t.equal(await lab.weftOk('h2', 'node', 'rm', 'h3'), 'h3\n')
  await agreed(t, lab, ['h1', 'h2'], { h1: 'ready', h2: 'ready' }, 'it is forgotten')

  await lab.lab('restart', 'h3')
  await eventually(() => isAlone(lab, 'h3'), PATIENCE_MS)
  t.pass('h3 learns of it when it comes back, and is in no cluster')
  await rejoin(lab, 'h3')
  await agreed(t, lab, ['h1', 'h2', 'h3'], ALL_UP, 'it may join as a new host')

  await lab.weftOk('h1', 'node', 'rm', '--force', 'h2')
  await eventually(() => isAlone(lab, 'h2'), PATIENCE_MS)
  await agreed(t, lab, ['h1', 'h3'], { h1: 'ready', h3: 'ready' }, 'one that is up is put out')
  await rejoin(lab, 'h2')
  await agreed(t, lab, ['h1', 'h2', 'h3'], ALL_UP, 'all are together again')
}

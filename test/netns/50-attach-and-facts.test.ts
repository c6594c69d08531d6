// What exists already is attached and let go; facts change under running endpoints; nobody else notices.
//
//      h1 172.31.1.11                                h2 192.168.1.12
//      │ c1 10.0.1.11                                │ c2 10.0.1.12      demo
//      │ a1 10.0.1.81   a namespace, a process,      │ y  10.0.1.221   comes and goes
//      │                h1 itself                    │
//      │ y  10.0.1.220  comes and goes               │
//      └──── 172.31.1.1 ──────────── r ──────────────┴── 192.168.1.1
//                       one facts file for both

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Test } from 'tap'
import { parsePing } from '../../src/lab/measurements.ts'
import { type Background, eventually, ok, run } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, type Sandbox } from '../fixtures/lab.ts'

/** What the facts give to a1. */
const A1 = { ip: '10.0.1.81', mac: '02:42:0a:00:01:51' } as const

inLab('attach and facts', 2, async (t, lab) => {
  const c1 = await lab.sandbox('h1', 'demo', 'c1')
  const c2 = await lab.sandbox('h2', 'demo', 'c2')
  const x1 = await lab.addNetns('x1')

  await t.test('a namespace of ip netns is attached by its name', (t) =>
    attached(t, lab, c2, ['--netns', x1], `/run/netns/${x1}`, 'eth0'),
  )
  await t.test('a namespace is attached by its path', (t) =>
    attached(t, lab, c2, ['--netns', `/run/netns/${x1}`], `/run/netns/${x1}`, 'eth0'),
  )
  await t.test('a process is attached, and detached when it ends', (t) => byPid(t, lab, c2))
  await t.test('the host itself is attached', (t) =>
    attached(t, lab, c2, ['--host'], lab.netns('h1'), 'weft0'),
  )
  await t.test('attachments outlive the daemon', (t) => outlives(t, lab, c2, x1))
  await t.test('an interface that is deleted is detached', (t) => deleted(t, lab, x1))
  await t.test('a namespace may be on several networks', async (t) => {
    await attach(lab, ['--netns', x1, '--name', 'a1'])
    const on = ['--network', 'routed', '--netns', x1, '--name', 'r1', '--interface', 'other']
    await lab.weftOk('h1', 'attach', ...on)
    t.same(await interfaces(`/run/netns/${x1}`), ['eth0', 'other'])
    t.match(await ping(`/run/netns/${x1}`, c2.ip), { lossPercent: 0 })
    t.match(await ping(`/run/netns/${x1}`, '10.1.1.1'), { lossPercent: 0 })
    t.equal(await lab.weftOk('h1', 'detach', 'a1', 'r1'), 'a1\nr1\n')
    t.same(await interfaces(`/run/netns/${x1}`), [])
  })
  await t.test('100 endpoints come and go: no other loses a frame', (t) => churn(t, lab, c1, c2))
  await t.test('the facts file is read again', (t) => facts(t, lab, c1, c2))
})

async function attach(lab: Lab, options: readonly string[]): Promise<string> {
  return (await lab.weftOk('h1', 'attach', '--network', 'demo', ...options)).trim()
}

/** Interfaces of a namespace, without those that every one has, and an underlay. */
async function interfaces(netns: string): Promise<string[]> {
  const links = JSON.parse(await ok(inNetns(netns, ['ip', '-j', 'link', 'show']))) as {
    ifname: string
  }[]
  return links.map(({ ifname }) => ifname).filter((name) => name !== 'lo')
}

async function ping(netns: string, address: string): Promise<unknown> {
  const argv = ['ping', '-n', '-c', '3', '-i', '0.05', '-W', '2', address]
  return parsePing((await run(inNetns(netns, argv))).stdout)
}

async function names(lab: Lab, host: string): Promise<string[]> {
  return (await lab.client(host).listSandboxes(true)).map(({ name }) => name)
}

async function attached(
  t: Test,
  lab: Lab,
  c2: Sandbox,
  place: readonly string[],
  netns: string,
  interfaceName: string,
): Promise<void> {
  const before = await interfaces(netns)
  const id = await attach(lab, [...place, '--name', 'a1'])
  t.match(id, /^[0-9a-f]{64}$/)
  t.same(await interfaces(netns), [...before, interfaceName])
  const show = ['ip', '-j', 'addr', 'show', 'dev', interfaceName]
  t.match(JSON.parse(await ok(inNetns(netns, show))), [
    { mtu: 1450, address: A1.mac, addr_info: [{ family: 'inet', local: A1.ip, prefixlen: 24 }] },
  ])
  t.match(await ping(netns, c2.ip), { lossPercent: 0, ttl: 64 }, 'from it')
  t.match(await ping(c2.netns, A1.ip), { lossPercent: 0, ttl: 64 }, 'to it')
  t.match(await lab.weftOk('h1', 'ps'), /Attached .* a1\n/)
  const inside = await lab.weftOk('h1', 'exec', 'a1', '--', 'ip', '-o', 'addr', 'show')
  t.match(inside, A1.ip, 'exec enters it')
  const row = (await lab.client('h1').fdb()).find(({ mac }) => mac === A1.mac)
  t.match(row, { kind: 'local', endpoint: 'a1', host: 'h1' })

  t.equal(await lab.weftOk('h1', 'detach', 'a1'), 'a1\n')
  t.same(await interfaces(netns), before, 'detached, the interface is gone')
  t.notOk((await names(lab, 'h1')).includes('a1'), 'and forgotten')
  t.notOk((await lab.client('h1').fdb()).some(({ mac }) => mac === A1.mac))
}

async function byPid(t: Test, lab: Lab, c2: Sandbox): Promise<void> {
  const sleeper = lab.start('h1', ['unshare', '--net', 'sleep', 'infinity'])
  const netns = await namespaceOf(sleeper, lab)
  await attached(t, lab, c2, ['--pid', String(sleeper.pid)], netns, 'eth0')

  await attach(lab, ['--pid', String(sleeper.pid), '--name', 'a1'])
  await sleeper.stop('SIGKILL')
  await eventually(async () => !(await names(lab, 'h1')).includes('a1'))
  t.pass('its end is the attachment’s')
  const again = ['run', '--network', 'demo', '--name', 'a1', '--', 'true']
  t.equal((await lab.weft('h1', again)).code, 0, 'name and address are free again')
  await lab.weftOk('h1', 'rm', 'a1')
  t.match(await lab.weft('h1', ['attach', '--network', 'demo', '--pid', String(sleeper.pid)]), {
    code: 1,
    stderr: new RegExp(`^weft: [^\\n]*pid ${sleeper.pid}[^\\n]*\\n$`),
  })
}

/** The namespace of a process that is about to make one. */
async function namespaceOf(process: Background, lab: Lab): Promise<string> {
  const path = `/proc/${process.pid}/ns/net`
  await eventually(async () => (await ok(['cat', `/proc/${process.pid}/comm`])) === 'sleep\n')
  lab.hold(path)
  return path
}

async function outlives(t: Test, lab: Lab, c2: Sandbox, netns: string): Promise<void> {
  await attach(lab, ['--netns', netns, '--name', 'a1'])
  await attach(lab, ['--host', '--name', 'b1'])
  await lab.lab('kill', 'h1')
  await lab.lab('restart', 'h1')
  t.match(await ping(`/run/netns/${netns}`, c2.ip), { lossPercent: 0 })
  t.match(await ping(lab.netns('h1'), c2.ip), { lossPercent: 0 })
  t.equal(await lab.weftOk('h1', 'detach', 'a1', 'b1'), 'a1\nb1\n')
  t.same(await interfaces(`/run/netns/${netns}`), [])
  t.same(await interfaces(lab.netns('h1')), ['eth0'])
}

async function deleted(t: Test, lab: Lab, netns: string): Promise<void> {
  await attach(lab, ['--netns', netns, '--name', 'a1'])
  await ok(['ip', '-n', netns, 'link', 'del', 'eth0'])
  await eventually(async () => !(await lab.client('h1').fdb()).some((row) => row.endpoint === 'a1'))
  t.match(lab.daemonLog('h1'), /interface eth0 of a1 was deleted/)
  t.equal(await lab.weftOk('h1', 'detach', 'a1'), 'a1\n')
}

const CYCLES = 50

async function churn(t: Test, lab: Lab, c1: Sandbox, c2: Sandbox): Promise<void> {
  const places = await Promise.all(
    ['h1', 'h2'].map(async (host, index) => {
      const netns = await lab.addNetns(`y${index}`)
      return { client: lab.client(host), netns, ip: `10.0.1.${220 + index}` }
    }),
  )
  const pinging = c1.start(['ping', '-n', '-q', '-i', '0.002', c2.ip])
  const began = Date.now()
  await Promise.all(
    places.map(async ({ client, netns, ip }) => {
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const attachments = [{ network: 'demo', ip }]
        await client.createSandbox({ kind: 'attach', name: 'y', netns, attachments })
        await client.removeSandbox('y', { force: false, graceMs: 0 })
      }
    }),
  )
  const seconds = (Date.now() - began) / 1000
  const { stdout } = await pinging.stop('SIGINT')
  const [, sent = '', received = ''] =
    /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? []
  t.ok(Number(sent) > 200, `${sent} pings in ${seconds.toFixed(1)} s`)
  // SIGINT does not wait for the answer to the last one.
  const missing = Number(sent) - Number(received)
  t.ok(missing <= 1, `each was answered, but for the last one maybe (${missing})`)
}

async function facts(t: Test, lab: Lab, c1: Sandbox, c2: Sandbox): Promise<void> {
  const original = readFileSync(lab.factsFile, 'utf8')
  const write = (text: string) => {
    // As an editor does it: the file is never half there.
    writeFileSync(`${lab.factsFile}.new`, text)
    renameSync(`${lab.factsFile}.new`, lab.factsFile)
  }
  const problem = async (host: string) => (await lab.client(host).status()).facts?.error ?? null
  const untilProblem = (wanted: RegExp) =>
    Promise.all(
      ['h1', 'h2'].map((host) =>
        eventually(async () => wanted.test((await problem(host)) ?? 'none'), 5000, String(wanted)),
      ),
    )
  const newLine = '  - { host: h2, network: demo, name: e2, ip: 10.0.1.230 }\n'
  const withLate =
    original.replace(
      'endpoints:\n',
      '  - name: late\n    subnets:\n      - { cidr: 10.0.9.0/24, vni: 4200 }\nendpoints:\n',
    ) +
    newLine +
    '  - { host: h1, network: late, name: l1, ip: 10.0.9.11 }\n' +
    '  - { host: h2, network: late, name: l2, ip: 10.0.9.12 }\n'

  t.test('what is new in it becomes reachable', async (t) => {
    const undeclared = ['--ip', '10.0.1.230']
    const early = await lab.sandbox('h2', 'demo', 'e2', undefined, undeclared)
    t.match(
      await ping(c1.netns, early.ip),
      { lossPercent: 0 },
      'an address of its own needs no facts',
    )
    write(withLate)
    await eventually(async () =>
      (await lab.client('h2').status()).networks.some(({ name }) => name === 'late'),
    )
    await lab.weftOk('h2', 'rm', '-f', 'e2')
    t.equal((await lab.sandbox('h2', 'demo', 'e2')).ip, '10.0.1.230', 'and reserved')
    const l1 = await lab.sandbox('h1', 'late', 'l1')
    const l2 = await lab.sandbox('h2', 'late', 'l2')
    t.match(await ping(l1.netns, l2.ip), { lossPercent: 0 }, 'on a new network, too')
    await lab.weftOk('h1', 'rm', '-f', 'l1')
    await lab.weftOk('h2', 'rm', '-f', 'l2', 'e2')
  })

  t.test('a broken file keeps the last good one, and status says where', async (t) => {
    const line = withLate.split('\n').findIndex((text) => text.includes('name: e2')) + 1
    write(withLate.replace('ip: 10.0.1.230', 'ip: 10.0.1.2300'))
    await untilProblem(/10\.0\.1\.2300/)
    const status = await lab.weftOk('h1', 'status')
    const column = (withLate.split('\n')[line - 1] ?? '').indexOf('10.0.1.230') + 1
    t.match(status, `${lab.factsFile}:${line}:${column}: `)
    t.match(status, /the file's newest version is not used/)
    write('members: [\n')
    await untilProblem(/:2:1: not valid YAML/)
    t.match(await ping(c1.netns, c2.ip), { lossPercent: 0 }, 'what was there works')
    const e2 = await lab.sandbox('h2', 'demo', 'e2')
    t.match(await ping(e2.netns, c1.ip), { lossPercent: 0 }, 'what was known is still known')
    await lab.weftOk('h2', 'rm', '-f', 'e2')
    write(withLate)
    await untilProblem(/^none$/)
    t.notMatch(await lab.weftOk('h1', 'status'), /not used/, 'repaired, all is well')
  })

  t.test('a network in use keeps its subnets', async (t) => {
    for (const [from, to] of [
      ['vni: 4097', 'vni: 4300'],
      ['cidr: 10.0.1.0/24, vni: 4097', 'cidr: 10.0.0.0/23, vni: 4097'],
    ] as const) {
      write(withLate.replace(from, to))
      await untilProblem(/network demo has endpoints on this host, its subnets cannot change/)
      t.match(await ping(c1.netns, c2.ip), { lossPercent: 0 }, to)
      const rows = await lab.client('h1').fdb()
      t.equal(rows.find(({ endpoint }) => endpoint === 'c2')?.vni, 4097)
    }
  })

  t.test('what is taken out is forgotten', async (t) => {
    write(original)
    const gone = async () => !(await lab.client('h1').fdb()).some((row) => row.endpoint === 'e2')
    await eventually(gone)
    await untilProblem(/^none$/)
    t.match(await ping(c1.netns, c2.ip), { lossPercent: 0 })
  })
}

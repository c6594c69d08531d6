// Services that two halves of a cluster made alike: when they meet, the older keeps what it has, the younger gets another address and
// goes on, and both are told.
//
//      h1 172.31.1.11 ── r ─✂─ 192.168.1.12 h2
//
// h1 is the older side in everything: h2 has counted on before it takes what h1 takes.

import { spawnSync } from 'node:child_process'
import type { Test } from 'tap'
import type { EventLine } from '../../src/api/event-types.ts'
import type { Report } from '../../src/api/doctor-types.ts'
import { eventually, type Result, run } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const HOSTS = ['h1', 'h2'] as const
const PATIENCE_MS = 10_000

/** Says its name to whoever connects. */
const server = (name: string): string[] => [
  'python3',
  '-c',
  `
import socket
s = socket.create_server(('', 80), backlog=64)
while True:
    c, _ = s.accept()
    c.sendall(b'${name}'); c.close()
`,
]

inLab('two halves make the same services', 2, async (t, lab) => {
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.0.0.0/24', 'blue')
  const clients: Sandbox[] = []
  for (const [index, host] of HOSTS.entries()) {
    const options = ['--ip', `10.0.0.${101 + index}`]
    clients.push(await lab.sandbox(host, 'blue', `c${index + 1}`, undefined, options))
  }
  setLink(lab, 'down')
  await eventually(async () => (await ready(lab, 'h1')) === 1, PATIENCE_MS)
  await eventually(async () => (await ready(lab, 'h2')) === 1, PATIENCE_MS)

  // The lowest free addresses, in both halves: .2, .3, ...
  const older = await create(lab, 'h1', 'web')
  await create(lab, 'h1', 'one')
  await create(lab, 'h1', 'theirs')
  await lab.sandbox('h1', 'blue', 'first', undefined, ['--ip', '10.0.0.5'])
  const b1 = await backend(lab, 'h1', 'b1', 'web', '10.0.0.111')
  for (let i = 0; i < 8; i++) await lab.client('h2').removeNetwork(await madeOnly(lab, 'h2'))
  const younger = await create(lab, 'h2', 'web')
  await create(lab, 'h2', 'two')
  await lab.sandbox('h2', 'blue', 'thief', undefined, ['--ip', '10.0.0.4'])
  await create(lab, 'h2', 'three')
  const b2 = await backend(lab, 'h2', 'b2', 'two', '10.0.0.112')
  const before = await addresses(lab, 'h2')
  t.same(before, { web: '10.0.0.2', two: '10.0.0.3', three: '10.0.0.5' }, 'what h1 has taken too')

  setLink(lab, 'up')
  await eventually(
    async () =>
      JSON.stringify(await addresses(lab, 'h1')) === JSON.stringify(await addresses(lab, 'h2')) &&
      new Set(Object.values(await all(lab, 'h1'))).size === 6,
    PATIENCE_MS,
    'both to have the same, and nothing twice',
  )
  const now = await all(lab, 'h2')
  t.same(await all(lab, 'h1'), now)
  const [webs, others] = [
    Object.entries(now).filter(([name]) => name.startsWith('web ')),
    Object.entries(now).filter(([name]) => !name.startsWith('web ')),
  ]
  const addressOf = new Map(others.map(([name, ip]) => [name.split(' ')[0], ip]))
  t.equal(now[`web ${older}`], '10.0.0.2', 'the older one keeps its address')
  t.same([addressOf.get('one'), addressOf.get('theirs')], ['10.0.0.3', '10.0.0.4'])
  const moved = [now[`web ${younger}`], addressOf.get('two'), addressOf.get('three')]
  // .4 and .5 are held: by an older VIP, and by an endpoint.
  t.same(moved.toSorted(), ['10.0.0.6', '10.0.0.7', '10.0.0.8'], 'the lowest that were free')
  t.equal(webs.length, 2)

  await t.test('each is reached where it is now, by its name, from both hosts', async (t) => {
    for (const client of clients) {
      t.equal((await inside(client, 'dig', '+short', 'web')).stdout.trim(), '10.0.0.2')
      t.equal((await inside(client, 'dig', '+short', 'two')).stdout.trim(), addressOf.get('two'))
      t.equal(await ask(client, 'web'), 'b1')
      t.equal(await ask(client, 'two'), 'b2')
    }
    for (const [host, backend] of [
      ['h1', b1],
      ['h2', b2],
    ] as const) {
      const { State } = await lab.client(host).inspectSandbox(backend.name)
      t.equal(State.Pid, backend.pid, `${backend.name} is the same process`)
    }
  })
  await t.test('who asked for an address that is an older VIP is ended', async (t) => {
    const status = async () => (await lab.client('h2').inspectSandbox('thief')).State
    await eventually(async () => (await status()).Status === 'exited', PATIENCE_MS)
    t.match(await status(), { Error: 'lost 10.0.0.4 on network blue to service theirs' })
  })
  await t.test('a name means the older, on both hosts; the younger is there by its id', (t) =>
    names(t, lab, older, younger),
  )
  await t.test('events tell, and the doctor finds nothing', (t) => told(t, lab))
})

/** The router's end of h2's cable. */
function setLink(lab: Lab, state: 'up' | 'down'): void {
  spawnSync('ip', ['-netns', lab.topology.router.netns, 'link', 'set', 'h2', state])
}

async function ready(lab: Lab, host: string): Promise<number> {
  return (await lab.client(host).nodes()).filter(({ status }) => status === 'ready').length
}

async function create(lab: Lab, host: string, name: string): Promise<string> {
  return (await lab.weftOk(host, 'service', 'create', '--name', name, '--network', 'blue')).trim()
}

/** A network that is there to be counted. */
async function madeOnly(lab: Lab, host: string): Promise<string> {
  const none = { subnets: [], gateways: [], ipRanges: [], options: {}, labels: {}, ipv6: false }
  const body = { name: 'counts', ...none, internal: false, attachable: false }
  return (await lab.client(host).createNetwork(body)).id
}

async function backend(
  lab: Lab,
  host: string,
  name: string,
  service: string,
  ip: string,
): Promise<Sandbox> {
  const sandbox = await lab.sandbox(host, 'blue', name, server(name), [
    ...['--service', service],
    ...['--ip', ip],
  ])
  await eventually(async () => (await sandbox.ok('ss', '-Hltn')).includes(':80 '), PATIENCE_MS)
  return sandbox
}

/** By the data plane: service → VIP. */
async function addresses(lab: Lab, host: string): Promise<Record<string, string>> {
  const rows = await lab.client(host).lb()
  return Object.fromEntries(rows.map(({ service, vip }) => [service ?? '?', vip]))
}

/** By the records: `NAME ID` → VIP. */
async function all(lab: Lab, host: string): Promise<Record<string, string>> {
  const ids = (await lab.weftOk(host, 'service', 'ls', '-q')).trim().split('\n')
  const inspects = await Promise.all(ids.map((id) => lab.client(host).inspectService(id)))
  return Object.fromEntries(
    inspects.map(({ ID, Spec, Endpoint }) => [
      `${Spec.Name} ${ID}`,
      (Endpoint.VirtualIPs?.[0]?.Addr ?? '').split('/')[0] ?? '',
    ]),
  )
}

async function inside({ pid }: Sandbox, ...argv: string[]): Promise<Result> {
  return await run(['nsenter', '-t', String(pid), '-n', '-m', '--', ...argv])
}

async function ask(client: Sandbox, name: string): Promise<string> {
  const script = `import socket; s = socket.create_connection(('${name}', 80), 5); print(s.recv(99).decode())`
  return (await inside(client, 'python3', '-c', script)).stdout.trim()
}

async function names(t: Test, lab: Lab, older: string, younger: string): Promise<void> {
  for (const host of HOSTS) {
    t.equal((await lab.client(host).inspectService('web')).ID, older, host)
    t.equal((await lab.client(host).inspectService(younger.slice(0, 12))).ID, younger, host)
  }
  await lab.weftOk('h1', 'service', 'rm', younger)
  t.equal((await lab.client('h2').inspectService('web')).ID, older)
}

async function told(t: Test, lab: Lab): Promise<void> {
  for (const host of HOSTS) {
    const text = await lab.weftOk(host, 'events', '--format', 'json')
    const events = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as EventLine)
    const of = (kind: string): string =>
      events
        .filter((event) => event.kind === kind)
        .map((event) => event.text)
        .join('\n')
    const collisions = of('collision')
    t.match(collisions, /^two services are called web: the name means \w+, which is older;/m, host)
    t.match(collisions, /^10\.0\.0\.2 on network blue is claimed by service web and service web:/m)
    t.match(collisions, /^10\.0\.0\.3 .* by service one and service two: service one was first/m)
    t.match(collisions, /^10\.0\.0\.4 .* by service theirs and h2\/thief: service theirs was/m)
    t.match(collisions, /^10\.0\.0\.5 .* by h1\/first and service three: h1\/first was first/m)
    t.match(
      of('service-readdressed'),
      /^service two has 10\.0\.0\.\d on network blue now, instead/m,
    )
    t.match(of('service-created'), /^service one \(\w{12}\) was made on h1$/m)
    t.match(of('service-removed'), /^service web \(\w{12}\) was removed$/m)
    t.equal(of('repair-failed'), '')
    const { stdout } = await lab.weft(host, ['doctor', '--format', 'json'])
    const { findings } = JSON.parse(stdout) as Report
    t.same(
      findings.filter(({ check, verdict }) => verdict !== 'ok' && check !== 'leftovers'),
      [],
      host,
    )
    t.match(findings, [{ check: 'tables' }])
  }
}

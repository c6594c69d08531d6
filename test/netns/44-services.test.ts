// Services: a name, a VIP, backends on two hosts of three, asked by real programs on every host.
//
//      h1: b1, c1        h2: b2, c2        h3: c3
//
// The numbers are the reference's tests.

import type { Test } from 'tap'
import type { ServiceInspect } from '../../src/api/service-types.ts'
import { eventually, run, type Result } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'
import { webServer } from '../fixtures/web.ts'

const HOSTS = ['h1', 'h2', 'h3'] as const
const PATIENCE_MS = 10_000
const VIP = '10.0.0.2'

inLab('services', 3, async (t, lab) => {
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.0.0.0/24', 'blue')
  const id = (
    await lab.weftOk('h2', 'service', 'create', '--name', 'web', '--network', 'blue')
  ).trim()
  const backends: Sandbox[] = []
  for (const [index, host] of (['h1', 'h2'] as const).entries()) {
    const name = `b${index + 1}`
    backends.push(await lab.sandbox(host, 'blue', name, webServer(name), ['--service', 'web']))
  }
  const clients: Sandbox[] = []
  for (const [index, host] of HOSTS.entries())
    clients.push(await lab.sandbox(host, 'blue', `c${index + 1}`))

  await t.test('the first address, the name, docker shapes, on every host (29, 41, 42)', (t) =>
    shown(t, lab, clients, id),
  )
  await t.test('strictly in turn, from every host; the client is seen as it is (43)', (t) =>
    turns(t, lab, clients),
  )
  await t.test('the VIP answers ping (44)', async (t) => {
    for (const client of clients) {
      const ping = await inside(client, 'ping', '-c', '3', '-i', '0.2', '-W', '2', 'web')
      t.match(ping.stdout, /3 received, 0% packet loss/)
      t.match(ping.stdout, /ttl=64/)
    }
  })
  await t.test('what cannot be is told', (t) => refused(t, lab))
  await t.test('drain and weight', (t) => drained(t, lab, clients))
  await t.test('a connection outlives the daemon of its client', (t) =>
    outlives(t, lab, clients[2]!),
  )
  await t.test('dnsrr: all backends, no VIP (45); no backend: refused at once', (t) =>
    others(t, lab, clients[0]!),
  )
  await t.test('a backend that ends takes nobody with it; a service that is removed is gone', (t) =>
    ends(t, lab, clients[1]!),
  )
})

async function inside({ pid }: Sandbox, ...argv: string[]): Promise<Result> {
  return await run(['nsenter', '-t', String(pid), '-n', '-m', '--', ...argv])
}

/** The answers of so many requests, one after the other; `-` for one that failed. */
async function requests(client: Sandbox, count: number): Promise<string[]> {
  const loop = `for i in $(seq ${count}); do curl -s -m 3 http://web/ || echo -; done`
  return (await inside(client, 'sh', '-c', loop)).stdout.trim().split('\n')
}

function countOf(answers: readonly string[], name: string): number {
  return answers.filter((line) => line.startsWith(`${name} `)).length
}

async function shown(t: Test, lab: Lab, clients: readonly Sandbox[], id: string): Promise<void> {
  for (const [index, host] of HOSTS.entries()) {
    await eventually(async () => {
      const addresses = (await inside(clients[index]!, 'dig', '+short', 'web')).stdout.trim()
      return addresses === VIP
    }, PATIENCE_MS)
    t.match((await inside(clients[index]!, 'getent', 'hosts', 'web')).stdout, `${VIP} `)
    const tasks = (await inside(clients[index]!, 'dig', '+short', 'tasks.web')).stdout
    t.equal(tasks.trim().split('\n').length, 2, `tasks.web on ${host} (47)`)
    const list = await lab.weftOk(host, 'service', 'ls')
    t.match(list, new RegExp(`^${id.slice(0, 12)} +web +replicated +2/2$`, 'm'))
    const [inspect] = JSON.parse(await lab.weftOk(host, 'service', 'inspect', 'web')) as [
      ServiceInspect,
    ]
    t.equal(inspect.ID, id)
    t.equal(inspect.Endpoint.Spec.Mode, 'vip')
    t.match(inspect.Endpoint.VirtualIPs, [{ Addr: `${VIP}/24` }])
    t.same(
      inspect.Weft.Backends.map(({ Host, Name, State }) => `${Host}/${Name} ${State}`).sort(),
      ['h1/b1 healthy', 'h2/b2 healthy'],
    )
  }
}

async function turns(t: Test, lab: Lab, clients: readonly Sandbox[]): Promise<void> {
  for (const client of clients) {
    const answers = await requests(client, 100)
    t.equal(countOf(answers, 'b1'), 50)
    t.equal(countOf(answers, 'b2'), 50)
    const repeated = answers.filter((line, index) => index > 0 && line === answers[index - 1])
    t.same(repeated, [], 'they alternate')
    const own = (await inside(client, 'hostname', '-I')).stdout.trim().split(' ')[0] ?? ''
    t.ok(
      answers.every((line) => line.endsWith(` ${own}`)),
      `each saw ${own}`,
    )
  }
  t.equal(await lab.counter('h1', 'drop_vip_backend_unknown'), 0)
}

async function refused(t: Test, lab: Lab): Promise<void> {
  const create = ['service', 'create', '--network', 'blue', '--name']
  const cases: readonly (readonly [string[], RegExp, number])[] = [
    [[...create, 'WEB'], /service web exists .*choose another name/, 1],
    [['service', 'create', '--name', 'x', '--network', 'none'], /there is no network 'none'/, 1],
    [[...create, 'x', '--scheduler', 'best'], /Allowed choices are rr, lc, sh, maglev/, 2],
    [[...create, 'a.b'], /'a\.b' is not a service name/, 2],
    [['service', 'update', 'web', '--weight', 'b1=-1'], /write BACKEND=N, with N from 0/, 2],
    [['service', 'update', 'web', '--drain', 'b9'], /has no backend 'b9'; it has h1\/b1/, 1],
    [['service', 'update', 'web'], /say what is to be another way/, 2],
    [['service', 'rm', 'none'], /there is no service 'none'/, 1],
    [['network', 'rm', 'blue'], /in use by/, 1],
    [
      ['run', '-d', '--network', 'blue', '--ip', VIP, '--name', 'thief', '--', 'sleep', '9'],
      /address 10\.0\.0\.2 .*is held by the VIP of service web; choose another/,
      1,
    ],
  ]
  for (const [argv, message, code] of cases) {
    const result = await lab.weft('h3', argv)
    t.match(result.stderr, message, argv.join(' '))
    t.equal(result.code, code, argv.join(' '))
  }
}

async function drained(t: Test, lab: Lab, clients: readonly Sandbox[]): Promise<void> {
  const under = requests(clients[2]!, 150)
  await lab.weftOk('h3', 'service', 'update', 'web', '--drain', 'b1')
  t.same(
    (await under).filter((line) => !/^b[12] /.test(line)),
    [],
    'none failed while it was drained',
  )
  for (const client of clients) {
    t.equal(countOf(await requests(client, 10), 'b2'), 10, 'b1 gets no new ones')
  }
  await lab.weftOk('h1', 'service', 'update', 'web', '--undrain', 'h1/b1', '--weight', 'b2=3')
  for (const client of clients) {
    const answers = await requests(client, 40)
    t.equal(countOf(answers, 'b2'), 30, 'three of four')
  }
  await lab.weftOk('h1', 'service', 'update', 'web', '--weight', 'b2=1')
}

async function outlives(t: Test, lab: Lab, client: Sandbox): Promise<void> {
  // A line each quarter of a second through one connection; the daemon is away for some of them.
  const script = `
import socket, time
s = socket.create_connection(('web', 80), 5)
s.settimeout(20)
f = s.makefile('rwb')
for i in range(24):
    f.write(b'line %d\\n' % i); f.flush()
    assert f.readline().endswith(b' line %d\\n' % i)
    time.sleep(0.25)
print('whole')
`
  const argv = ['nsenter', '-t', String(client.pid), '-n', '-m', '--', 'python3', '-c', script]
  const talk = run(argv)
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  process.kill(lab.daemonPid('h3'), 'SIGKILL')
  await lab.lab('restart', 'h3')
  const { stdout, stderr } = await talk
  t.equal(stdout, 'whole\n', stderr)
}

async function others(t: Test, lab: Lab, client: Sandbox): Promise<void> {
  const dnsrr = ['--network', 'blue', '--endpoint-mode', 'dnsrr']
  await lab.weftOk('h3', 'service', 'create', '--name', 'plain', ...dnsrr)
  await lab.sandbox('h2', 'blue', 'p1', undefined, ['--service', 'plain'])
  await lab.sandbox('h3', 'blue', 'p2', undefined, ['--service', 'plain'])
  const answer = await inside(client, 'dig', '+short', 'plain')
  t.equal(answer.stdout.trim().split('\n').length, 2)
  const [plain] = JSON.parse(await lab.weftOk('h1', 'service', 'inspect', 'plain')) as [
    ServiceInspect,
  ]
  t.notOk('VirtualIPs' in plain.Endpoint)
  await lab.weftOk('h3', 'service', 'create', '--name', 'empty', '--network', 'blue')
  const began = performance.now()
  const curl = await inside(client, 'curl', '-s', '-m', '5', 'http://empty/')
  t.equal(curl.code, 7, 'connection refused, no timeout')
  t.ok(performance.now() - began < 2_000, 'at once')
}

async function ends(t: Test, lab: Lab, client: Sandbox): Promise<void> {
  await lab.weftOk('h1', 'rm', '-f', 'b1')
  const answers = await requests(client, 20)
  t.equal(countOf(answers, 'b2'), 20, 'its end was told before it ended')
  // Nothing is under way on it: it is told all the same.
  const reader = client.start([
    'python3',
    '-uc',
    `
import socket
s = socket.create_connection(('${VIP}', 80), 5); s.settimeout(20)
s.sendall(b'line\\n'); print(s.recv(99))
try: print('then', s.recv(99))
except ConnectionResetError: print('reset')
`,
  ])
  await reader.until(/b'b2 line/)
  const since = performance.now()
  await lab.weftOk('h2', 'service', 'rm', 'web')
  await reader.until(/^reset$/m)
  const endedMs = performance.now() - since
  t.ok(endedMs < 5_000, `a connection through the VIP ended after ${endedMs.toFixed(0)} ms`)
  const events = await lab.weftOk('h1', 'events')
  t.match(events, /service-removed +service web \(\w{12}\) was removed/)
  t.equal((await inside(client, 'dig', '+short', 'web')).stdout.trim().split('\n').length, 1)
  t.not((await inside(client, 'dig', '+short', 'web')).stdout.trim(), VIP, 'backends, as before')
  const curl = await inside(client, 'curl', '-s', '-m', '5', `http://${VIP}/`)
  t.not(curl.code, 0)
}

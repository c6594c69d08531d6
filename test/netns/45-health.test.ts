// Health of backends: real checks in real sandboxes, and who is sent to then.
//
//      h1: b1, and all that misbehaves        h2: b2        h3: the client, which keeps connections open

import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Report } from '../../src/api/doctor-types.ts'
import type { LbRow } from '../../src/api/lb-types.ts'
import type { ServiceInspect } from '../../src/api/service-types.ts'
import { processSeconds, residentBytes } from '../../src/bench/cpu.ts'
import { type Background, eventually, type Result, run } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const PATIENCE_MS = 15_000
const OFTEN = ['--health-interval', '300ms', '--health-retries', '2']

/** Answers each line with its name. */
const server = (name: string, port = 80): string[] => [
  'python3',
  '-c',
  `
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: self.wfile.write(b'${name} ' + line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True
Server(('', ${port}), Handler).serve_forever()
`,
]

/** Two connections to web, which stay; each line of ours goes through both. */
const HOLDER = `
import socket, sys
held = [socket.create_connection(('web', 80), 5).makefile('rwb') for _ in range(2)]
for line in sys.stdin.buffer:
    answers = []
    for one in held:
        one.write(line); one.flush()
        answers.append(one.readline().decode().strip())
    print(';'.join(sorted(answers)), flush=True)
`

/** Connects so many times, one after the other; prints who answered, `-` for a failure. */
const ASKER = `
import socket, sys
for _ in range(int(sys.argv[2])):
    try:
        with socket.create_connection((sys.argv[1], 80), 5) as s:
            s.settimeout(5)
            s.sendall(b'x\\n')
            print(s.makefile().readline().split()[0], flush=True)
    except OSError as error:
        print('-', error, flush=True)
`

inLab('health', 3, async (t, lab) => {
  const ill = mkdtempSync(join(tmpdir(), 'weft-health-'))
  t.teardown(() => {
    rmSync(ill, { recursive: true })
  })
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.0.0.0/24', 'blue')
  await lab.weftOk('h2', 'service', 'create', '--name', 'web', '--network', 'blue')
  const client = await lab.sandbox('h3', 'blue', 'c')
  for (const [host, name] of [
    ['h1', 'b1'],
    ['h2', 'b2'],
  ] as const) {
    const check = ['--health-cmd', `echo ${name} looks; test ! -e ${ill}/${name}`, ...OFTEN]
    await lab.sandbox(host, 'blue', name, server(name), ['--service', 'web', ...check])
  }
  await t.test('starting: no connection and no name; then both', (t) => starts(t, lab, client, ill))
  const holder = client.start(['nsenter', '-t', String(client.pid), '-m', 'python3', '-c', HOLDER])
  t.equal(await say(holder, 1), 'b1 1;b2 1')
  await t.test('unhealthy: no new connection, the open one goes on; then it comes back', (t) =>
    falls(t, lab, client, holder, ill),
  )
  await t.test('none is healthy: refused at once', (t) => none(t, lab, client, holder, ill))
  await t.test('a daemon that is killed takes nobody out of rotation', (t) =>
    restarts(t, lab, client, holder, ill),
  )
  await t.test('a command that hangs, and ones that flood: ended, bounded, nobody suffers', (t) =>
    misbehaves(t, lab),
  )
  await t.test('http: a status; tcp: of an attached namespace, at its own address', (t) =>
    sockets(t, lab, ill),
  )
  await t.test("a service's check: for its backends that have none of their own", (t) =>
    ofService(t, lab),
  )
  await t.test('what cannot be is told', (t) => refused(t, lab))
  await holder.stop()
})

async function say(holder: Background, count: number): Promise<string> {
  const lines = (): string[] => holder.stdout.split('\n').slice(0, -1)
  const before = lines().length
  holder.write(`${count}\n`)
  return await eventually(() => lines()[before], PATIENCE_MS, `answer ${count}`)
}

async function inside({ pid }: Sandbox, ...argv: string[]): Promise<Result> {
  return await run(['nsenter', '-t', String(pid), '-n', '-m', '--', ...argv])
}

async function ask(client: Sandbox, count: number, name = 'web'): Promise<string[]> {
  const { stdout } = await inside(client, 'python3', '-c', ASKER, name, String(count))
  return stdout.trim().split('\n')
}

async function addresses(client: Sandbox, name: string): Promise<string[]> {
  const { stdout } = await inside(client, 'dig', '+short', name)
  return stdout.split('\n').filter((line) => line !== '')
}

async function states(lab: Lab, host: string, service = 'web'): Promise<string> {
  const { Weft } = await lab.client(host).inspectService(service)
  return Weft.Backends.map(({ Name, State }) => `${Name} ${State}`).join(', ')
}

async function balanced(lab: Lab, host: string): Promise<string> {
  const rows: readonly LbRow[] = await lab.client(host).lb()
  const web = rows.find(({ service }) => service === 'web')
  return (web?.backends ?? []).map(({ endpoint, state }) => `${endpoint} ${state}`).join(', ')
}

/** On all hosts. */
async function become(lab: Lab, wanted: string, service = 'web'): Promise<void> {
  for (const host of ['h1', 'h2', 'h3'])
    await eventually(
      async () => (await states(lab, host, service)) === wanted,
      PATIENCE_MS,
      `${wanted} on ${host}`,
    )
}

async function health(lab: Lab, name: string) {
  const { State } = await lab.client('h1').inspectSandbox(name)
  return State.Health
}

async function waitForHealth(lab: Lab, name: string, status: string): Promise<void> {
  await eventually(
    async () => (await health(lab, name))?.Status === status,
    PATIENCE_MS,
    `${name} ${status}`,
  )
}

async function starts(t: Test, lab: Lab, client: Sandbox, ill: string): Promise<void> {
  await become(lab, 'b1 healthy, b2 healthy')
  writeFileSync(`${ill}/b3`, '')
  const check = ['--health-cmd', `test ! -e ${ill}/b3`, '--health-interval', '30s']
  const beginning = ['--health-start-period', '1m', '--health-start-interval', '300ms']
  const argv = ['--service', 'web', ...check, ...beginning]
  await lab.sandbox('h1', 'blue', 'b3', server('b3'), argv)
  await become(lab, 'b1 healthy, b2 healthy, b3 starting')
  t.equal(await balanced(lab, 'h3'), 'b1 healthy, b2 healthy, b3 starting')
  t.same((await ask(client, 20)).filter((name) => name === 'b3').length, 0)
  t.same(await addresses(client, 'b3'), [])
  t.equal((await addresses(client, 'tasks.web')).length, 2)
  t.match(await lab.weftOk('h1', 'ps'), /Up .* \(health: starting\).* b3$/m)
  await eventually(async () => ((await health(lab, 'b3'))?.Log.length ?? 0) > 2, PATIENCE_MS)
  t.match(await health(lab, 'b3'), { Status: 'starting', FailingStreak: 0 })
  rmSync(`${ill}/b3`)
  await become(lab, 'b1 healthy, b2 healthy, b3 healthy')
  t.same([...new Set(await ask(client, 12))].sort(), ['b1', 'b2', 'b3'])
  t.equal((await addresses(client, 'b3')).length, 1)
  await lab.weftOk('h1', 'rm', '-f', 'b3')
  await become(lab, 'b1 healthy, b2 healthy')
}

async function falls(
  t: Test,
  lab: Lab,
  client: Sandbox,
  holder: Background,
  ill: string,
): Promise<void> {
  writeFileSync(`${ill}/b1`, '')
  const told = async (): Promise<boolean> =>
    / health .*h1\/b1 is unhealthy/.test(await lab.weftOk('h1', 'events'))
  await waitForHealth(lab, 'b1', 'unhealthy')
  const began = performance.now()
  await eventually(async () => (await states(lab, 'h3')) === 'b1 unhealthy, b2 healthy')
  t.comment(`h3 knew ${(performance.now() - began).toFixed(0)} ms after h1`)
  t.ok(performance.now() - began < 2_000)
  t.equal(await balanced(lab, 'h3'), 'b1 unhealthy, b2 healthy')
  t.same(await ask(client, 20), Array<string>(20).fill('b2'))
  t.equal((await addresses(client, 'tasks.web')).length, 1)
  t.same(await addresses(client, 'b1'), [])
  t.equal(await say(holder, 2), 'b1 2;b2 2', 'both open connections go on')
  t.ok(await told())
  t.match(
    await lab.weftOk('h1', 'events'),
    /is unhealthy: 2 checks in a row failed, the last with 1: 'b1 looks'/,
  )
  t.match(await lab.weftOk('h1', 'ps'), /Up .* \(unhealthy\).* b1$/m)
  t.match(await lab.weftOk('h3', 'service', 'ls'), /^\S+ +web +replicated +1\/2/m)
  t.match(await lab.weftOk('h3', 'lb', 'ls'), / h1\/b1 +unhealthy /)
  const state = await health(lab, 'b1')
  t.match(state?.Log.at(-1), { ExitCode: 1, Output: 'b1 looks\n' })
  t.ok((state?.FailingStreak ?? 0) >= 2)
  await audit(t, lab, 'h3')
  await lab.weftOk('h3', 'service', 'update', 'web', '--drain', 'b1')
  t.equal(await balanced(lab, 'h3'), 'b1 draining, b2 healthy', 'what was decided stands first')
  await lab.weftOk('h3', 'service', 'update', 'web', '--undrain', 'b1')
  rmSync(`${ill}/b1`)
  await become(lab, 'b1 healthy, b2 healthy')
  t.same((await ask(client, 20)).filter((name) => name === 'b1').length, 10, 'in turn again')
  t.equal((await addresses(client, 'tasks.web')).length, 2)
  t.equal(await say(holder, 3), 'b1 3;b2 3')
}

async function audit(t: Test, lab: Lab, host: string): Promise<void> {
  const { stdout } = await lab.weft(host, ['doctor', '--format', 'json'])
  const { findings } = JSON.parse(stdout) as Report
  const tables = findings.filter(({ check }) => check === 'tables')
  t.ok(tables.length > 0)
  t.same(
    tables.filter(({ verdict }) => verdict !== 'ok'),
    [],
    'native rows are what records say',
  )
}

async function none(
  t: Test,
  lab: Lab,
  client: Sandbox,
  holder: Background,
  ill: string,
): Promise<void> {
  for (const name of ['b1', 'b2']) writeFileSync(`${ill}/${name}`, '')
  await become(lab, 'b1 unhealthy, b2 unhealthy')
  const began = performance.now()
  const [answer] = await ask(client, 1)
  t.match(answer, /Connection refused/)
  t.ok(performance.now() - began < 2_000, 'no timeout')
  t.equal(await say(holder, 4), 'b1 4;b2 4')
  for (const name of ['b1', 'b2']) rmSync(`${ill}/${name}`)
  await become(lab, 'b1 healthy, b2 healthy')
}

async function restarts(
  t: Test,
  lab: Lab,
  client: Sandbox,
  holder: Background,
  ill: string,
): Promise<void> {
  writeFileSync(`${ill}/sick`, '')
  const sick = ['--health-cmd', `test ! -e ${ill}/sick`, ...OFTEN]
  await lab.sandbox('h1', 'blue', 'sick', undefined, sick)
  await waitForHealth(lab, 'sick', 'unhealthy')
  const seen = new Set<string>()
  const over = new AbortController()
  const watching = (async () => {
    while (!over.signal.aborted) {
      for (const one of (await states(lab, 'h3')).split(', ')) seen.add(one)
      await sleep(20)
    }
  })()
  process.kill(lab.daemonPid('h1'), 'SIGKILL')
  const asked = ask(client, 200)
  await lab.lab('restart', 'h1')
  const after = await health(lab, 'sick')
  t.match(after, { Status: 'unhealthy' }, 'what was known is known')
  t.match((await health(lab, 'b1'))?.Status, 'healthy')
  await become(lab, 'b1 healthy, b2 healthy')
  await eventually(async () => ((await health(lab, 'b1'))?.Log.length ?? 0) > 0, PATIENCE_MS)
  over.abort()
  await watching
  t.same(
    [...seen].filter((one) => /starting|unhealthy/.test(one)),
    [],
    'nobody saw it leave',
  )
  t.same(
    (await asked).filter((one) => !/^b[12]$/.test(one)),
    [],
    'no connection failed',
  )
  t.equal(await say(holder, 5), 'b1 5;b2 5')
  rmSync(`${ill}/sick`)
  await waitForHealth(lab, 'sick', 'healthy')
  writeFileSync(`${ill}/b1`, '')
  await become(lab, 'b1 unhealthy, b2 healthy')
  rmSync(`${ill}/b1`)
  await become(lab, 'b1 healthy, b2 healthy')
  await lab.weftOk('h1', 'rm', '-f', 'sick')
}

/** User and system time of a process, in ms. */
const cpuMs = (pid: number): number => processSeconds([pid]) * 1_000

/** Processes of that command line, in any namespace. */
function processes(line: string): number {
  return readdirSync('/proc').filter((pid) => {
    const path = `/proc/${pid}/cmdline`
    if (!/^\d+$/.test(pid) || !existsSync(path)) return false
    try {
      return readFileSync(path, 'utf8').replaceAll('\0', ' ').trim() === line
    } catch {
      return false
    }
  }).length
}

async function misbehaves(t: Test, lab: Lab): Promise<void> {
  const check = (command: string, timeout: string): string[] => [
    ...['--health-cmd', command, ...OFTEN, '--health-timeout', timeout],
  ]
  const long = `sleep 98${process.pid}`
  const word = `flood${process.pid}`
  const idle = { cpu: cpuMs(lab.daemonPid('h1')), atMs: performance.now() }
  await sleep(2_000)
  const idleShare = (cpuMs(lab.daemonPid('h1')) - idle.cpu) / (performance.now() - idle.atMs)
  // Children of the shell, too; with a trap for all that can be trapped.
  await lab.sandbox(
    'h1',
    'blue',
    'hangs',
    undefined,
    check(`trap '' 1 2 15; ${long} & wait`, '500ms'),
  )
  await lab.sandbox('h1', 'blue', 'floods', undefined, check(`yes ${word}`, '3s'))
  const much = check('head -c 2000000 /dev/zero | tr "\\0" x; echo well >&2', '5s')
  await lab.sandbox('h1', 'blue', 'much', undefined, much)
  const pid = lab.daemonPid('h1')
  const memory = residentBytes([pid])
  const cpu = cpuMs(pid)
  const began = performance.now()
  const latencies: number[] = []
  while (performance.now() - began < 6_000) {
    const asked = performance.now()
    await lab.client('h1').status()
    latencies.push(performance.now() - asked)
    await sleep(50)
  }
  const share = (cpuMs(pid) - cpu) / (performance.now() - began)
  const worst = Math.max(...latencies)
  const grown = (residentBytes([pid]) - memory) / 2 ** 20
  t.comment(
    `daemon: ${(idleShare * 100).toFixed(0)} % of a CPU before, ${(share * 100).toFixed(0)} % meanwhile; ` +
      `worst answer ${worst.toFixed(0)} ms; ${grown.toFixed(0)} MiB more`,
  )
  t.ok(share - idleShare < 0.5, 'a flood costs the daemon little')
  t.ok(worst < 1_000, 'it answers')
  t.ok(grown < 64, 'it keeps little')
  await waitForHealth(lab, 'hangs', 'unhealthy')
  await waitForHealth(lab, 'floods', 'unhealthy')
  await waitForHealth(lab, 'much', 'healthy')
  t.match((await health(lab, 'hangs'))?.Log.at(-1), { ExitCode: -1, Output: 'no end after 0.5 s' })
  t.match((await health(lab, 'floods'))?.Log.at(-1), { ExitCode: -1 })
  const { Output = '' } = (await health(lab, 'much'))?.Log.at(-1) ?? {}
  t.equal(Output.length, 4096 + '...'.length)
  t.ok(processes(long) <= 1, `${processes(long)} that hang: those before are gone`)
  t.ok(processes(`yes ${word}`) <= 1)
  await lab.weftOk('h1', 'rm', '-f', 'hangs', 'floods', 'much')
  t.equal(processes(long) + processes(`yes ${word}`), 0)
}

async function sockets(t: Test, lab: Lab, ill: string): Promise<void> {
  writeFileSync(`${ill}/ok`, 'ok')
  const files = ['python3', '-m', 'http.server', '8000', '--directory', ill]
  const http = (path: string): string[] => ['--health-http', `8000/${path}`, ...OFTEN]
  await lab.sandbox('h1', 'blue', 'good', files, http('ok'))
  await lab.sandbox('h1', 'blue', 'bad', files, http('missing'))
  await waitForHealth(lab, 'good', 'healthy')
  await waitForHealth(lab, 'bad', 'unhealthy')
  // Before its server listened it was refused.
  const found = await eventually(async () => {
    const last = (await health(lab, 'bad'))?.Log.at(-1)
    return last?.Output.startsWith('GET') === true && last
  }, PATIENCE_MS)
  t.match(found, {
    ExitCode: 1,
    Output: /^GET http:\/\/10\.0\.0\.\d+:8000\/missing: 404 File not found$/,
  })
  // What is no HTTP, and what accepts and says nothing.
  await lab.sandbox('h1', 'blue', 'line', server('line', 8000), [
    ...http('x'),
    ...['--health-timeout', '400ms'],
  ])
  await eventually(async () => {
    const last = (await health(lab, 'line'))?.Log.at(-1)?.Output ?? ''
    return /Parse Error|no end after/.test(last)
  }, PATIENCE_MS)
  await waitForHealth(lab, 'line', 'unhealthy')
  // Only on 127.0.0.1: its clients do not reach it there.
  const local = ['python3', '-m', 'http.server', '8000', '--bind', '127.0.0.1']
  await lab.sandbox('h1', 'blue', 'local', local, ['--health-tcp', '8000', ...OFTEN])
  await waitForHealth(lab, 'local', 'unhealthy')
  t.match((await health(lab, 'local'))?.Log.at(-1)?.Output, /ECONNREFUSED 10\.0\.0\.\d+:8000/)

  const netns = await lab.addNetns('x')
  const attach = [
    'attach',
    '--network',
    'blue',
    '--netns',
    netns,
    '--name',
    'x',
    '--service',
    'web',
  ]
  await lab.weftOk('h1', ...attach, '--health-tcp', '80', ...OFTEN)
  await become(lab, 'b1 healthy, b2 healthy, x starting')
  await become(lab, 'b1 healthy, b2 healthy, x unhealthy')
  t.match(await lab.weftOk('h1', 'ps'), /Attached .* \(unhealthy\).* x$/m)
  const listening = lab.start(`/run/netns/${netns}`, server('x'))
  await become(lab, 'b1 healthy, b2 healthy, x healthy')
  await listening.stop()
  await become(lab, 'b1 healthy, b2 healthy, x unhealthy')
  await lab.weftOk('h1', 'detach', 'x')
  await lab.weftOk('h1', 'rm', '-f', 'good', 'bad', 'line', 'local')
}

async function ofService(t: Test, lab: Lab): Promise<void> {
  const create = ['service', 'create', '--name', 'own', '--network', 'blue']
  await lab.weftOk('h3', ...create, '--health-tcp', '80', ...OFTEN)
  const backend = ['--service', 'own']
  await lab.sandbox('h1', 'blue', 'o1', server('o1'), backend)
  await lab.sandbox('h2', 'blue', 'o2', undefined, [...backend, '--no-healthcheck'])
  await lab.sandbox('h2', 'blue', 'o3', undefined, [...backend, '--health-cmd', 'true', ...OFTEN])
  await become(lab, 'o1 healthy, o2 healthy, o3 healthy', 'own')
  await lab.weftOk('h2', 'service', 'update', 'own', '--health-tcp', '81')
  await become(lab, 'o1 unhealthy, o2 healthy, o3 healthy', 'own')
  const inspected = await lab.weftOk('h1', 'service', 'inspect', 'own')
  const [{ Spec }] = JSON.parse(inspected) as [ServiceInspect]
  t.match(Spec.TaskTemplate.ContainerSpec?.Healthcheck, {
    Test: ['TCP', '81'],
    Interval: 300_000_000,
    Retries: 2,
  })
  await lab.weftOk('h3', 'service', 'update', 'own', '--no-healthcheck')
  await become(lab, 'o1 healthy, o2 healthy, o3 healthy', 'own')
  const { Config } = await lab.client('h1').inspectSandbox('o1')
  t.notOk('Healthcheck' in Config)
  await lab.weftOk('h3', 'service', 'rm', 'own')
}

async function refused(t: Test, lab: Lab): Promise<void> {
  const long = 'x'.repeat(1_200)
  const cases: readonly (readonly [string[], RegExp])[] = [
    [
      ['service', 'update', 'web', '--health-interval', '1s'],
      /service web has no health check yet; say how it is made/,
    ],
    [
      ['service', 'create', '--name', 'y', '--network', 'blue', '--health-cmd', long],
      /has \d+ bytes; a record may have 1100/,
    ],
    [
      ['run', '-d', '--network', 'blue', '--health-cmd', 'x'.repeat(5_000), '--', 'true'],
      /a command has at most 4096 characters/,
    ],
    [
      ['run', '-d', '--network', 'blue', '--health-http', `80/${'x'.repeat(300)}`, '--', 'true'],
      /a path has at most 256 characters/,
    ],
  ]
  for (const [argv, message] of cases) {
    const { code, stderr } = await lab.weft('h3', argv)
    t.not(code, 0)
    t.match(stderr, message, argv.slice(0, 3).join(' '))
    t.equal(stderr.trim().split('\n').length, 1)
  }
  t.notMatch(await lab.weftOk('h3', 'service', 'ls'), / y /)
}

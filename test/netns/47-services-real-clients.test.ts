// Programs that people have, through VIPs: curl, wrk, redis, iperf3, dig and dnsmasq, a flow of datagrams, many flows, much data.
//
//      h1: c1, and half of the backends      h2: the other half
//
// WEFT_SOAK_VIP_BYTES: how much goes through a VIP each way (scripts/soak-vip). WEFT_SOAK_VIP_ROUNDS: how often bulk TCP with and
// without a VIP take turns; not measured when unset.

import type { Test } from 'tap'
import type { LbRow } from '../../src/api/lb-types.ts'
import { eventually, type Result, run } from '../fixtures/commands.ts'
import { effort } from '../fixtures/effort.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const BYTES = Number(process.env['WEFT_SOAK_VIP_BYTES'] ?? 128 * 2 ** 20)
const ROUNDS = Number(process.env['WEFT_SOAK_VIP_ROUNDS'] ?? 0)
const PATIENCE_MS = 15_000
/** A slow machine moves this much a second. */
const SLOWEST_BYTES_PER_S = 10e6
const FLOWS = effort(100_000, 40_000)
const SINKS = 7

inLab('real clients', 2, async (t, lab) => {
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.0.0.0/24', 'blue')
  const client = await lab.sandbox('h1', 'blue', 'c1')
  const world = { lab, client }
  await t.test('curl keeps a connection, wrk many: each stays with its backend', (t) =>
    http(t, world),
  )
  await t.test('redis: transactions, one that waits, a benchmark', (t) => redis(t, world))
  await t.test('iperf3: its two connections meet by the source hash', (t) => iperf(t, world))
  await t.test(
    'questions by UDP take turns; datagrams from one port stay, until their backend goes',
    (t) => datagrams(t, world),
  )
  await t.test(`${FLOWS} flows over ${SINKS} backends: each as often as the next`, (t) =>
    many(t, world),
  )
  await t.test(`${BYTES} bytes each way, and every one of them right`, (t) => bulk(t, world))
})

interface World {
  readonly lab: Lab
  readonly client: Sandbox
}

/** A service with these backends, by turns on h1 and h2; each is there when its port is. */
async function serve(
  lab: Lab,
  name: string,
  port: string,
  commands: readonly (readonly string[])[],
  options: readonly string[] = [],
): Promise<Sandbox[]> {
  const create = ['service', 'create', '--name', name, '--network', 'blue']
  await lab.weftOk('h2', ...create, ...options)
  return await Promise.all(
    commands.map(async (command, index) => {
      const host = index % 2 === 0 ? 'h1' : 'h2'
      const backend = `${name}${index + 1}`
      const made = await lab.sandbox(host, 'blue', backend, command, ['--service', name])
      await eventually(
        async () => (await made.ok('ss', '-Hltun')).includes(`:${port} `),
        PATIENCE_MS,
      )
      return made
    }),
  )
}

async function remove(lab: Lab, name: string, backends: readonly Sandbox[]): Promise<void> {
  await lab.weftOk('h1', 'service', 'rm', name)
  for (const host of ['h1', 'h2']) {
    const names = backends.filter((backend) => backend.host === host).map(({ name }) => name)
    if (names.length > 0) await lab.weftOk(host, 'rm', '-f', ...names)
  }
}

async function inside(
  { pid }: Sandbox,
  argv: readonly string[],
  timeoutMs = 30_000,
): Promise<Result> {
  return await run(['nsenter', '-t', String(pid), '-n', '-m', '--', ...argv], { timeoutMs })
}

async function lbRow(lab: Lab, name: string): Promise<LbRow> {
  const rows = await lab.client('h1').lb()
  return rows.find(({ service }) => service === name)!
}

const webServer = (name: string): string[] => [
  'python3',
  '-c',
  `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '${name.length}')
        self.end_headers()
        self.wfile.write(b'${name}')
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server(('', 80), Handler).serve_forever()
`,
]

async function http(t: Test, { lab, client }: World): Promise<void> {
  const backends = await serve(lab, 'web', '80', ['one', 'two'].map(webServer))
  const ask = async (): Promise<string> => {
    const urls = Array.from({ length: 5 }, () => 'http://web/')
    const { stdout } = await inside(client, [
      'curl',
      '-s',
      '-m',
      '9',
      '-w',
      ' %{num_connects};',
      ...urls,
    ])
    return stdout
  }
  const [first, second] = [await ask(), await ask()]
  t.match(first, /^(one|two) 1;(\1 0;){4}$/, 'five requests, one connection, one backend')
  t.match(second, /^(one|two) 1;(\1 0;){4}$/)
  t.not(first, second, 'the next connection goes to the other')
  const before = await lbRow(lab, 'web')
  const wrk = await inside(client, [
    'wrk',
    '-t',
    '1',
    '-c',
    '16',
    '-d',
    '2',
    '--timeout',
    '9',
    'http://web/',
  ])
  t.match(wrk.stdout, /\d+ requests in/, wrk.stderr)
  t.notMatch(wrk.stdout, /Socket errors|Non-2xx/, wrk.stdout)
  const after = await lbRow(lab, 'web')
  const flows = after.backends.map(
    (backend, index) => backend.flows - before.backends[index]!.flows,
  )
  t.ok(flows.reduce((sum, count) => sum + count, 0) >= 16, `${flows.join(' and ')} connections`)
  t.ok(Math.abs(flows[0]! - flows[1]!) <= 1, 'shared out evenly')
  await remove(lab, 'web', backends)
}

async function redis(t: Test, { lab, client }: World): Promise<void> {
  const server = ['redis-server', '--protected-mode', 'no', '--save', '', '--port', '6379']
  const backends = await serve(lab, 'db', '6379', [server])
  const cli = ['redis-cli', '-h', 'db']
  const waiting = inside(client, [...cli, 'blpop', 'queue', '9'])
  const transaction = await run(['nsenter', '-t', String(client.pid), '-n', '-m', '--', ...cli], {
    input: 'multi\nincr n\nincr n\nexec\nlpush queue late\n',
  })
  t.match(transaction.stdout, /OK\nQUEUED\nQUEUED\n1\n2\n/)
  t.equal((await waiting).stdout, 'queue\nlate\n', 'who waited is told')
  const benchmark = [
    'redis-benchmark',
    '-h',
    'db',
    '-q',
    '-n',
    '5000',
    '-c',
    '20',
    '-t',
    'set,get',
    '--csv',
  ]
  const { stdout, code } = await inside(client, benchmark)
  t.equal(code, 0)
  t.match(stdout, /"SET","[\d.]+"/)
  t.match(stdout, /"GET","[\d.]+"/)
  await remove(lab, 'db', backends)
}

async function iperf(t: Test, { lab, client }: World): Promise<void> {
  const server = ['iperf3', '-s']
  const backends = await serve(lab, 'perf', '5201', [server, server], ['--scheduler', 'sh'])
  const direct = backends.find(({ host }) => host === 'h2')!
  const measured = async (to: string, seconds: number): Promise<number> => {
    const argv = ['iperf3', '-c', to, '-t', String(seconds), '-J']
    const { stdout } = await inside(client, argv)
    const { end } = JSON.parse(stdout) as {
      end?: { sum_received?: { bits_per_second: number } }
    }
    return (end?.sum_received?.bits_per_second ?? 0) / 1e6
  }
  t.ok((await measured('perf', 1)) > 1, 'a test through the VIP is whole')
  const { backends: had } = await lbRow(lab, 'perf')
  t.same(
    had.map(({ flows }) => flows).sort(),
    [0, 2],
    'both of its connections went to one backend',
  )
  await lab.weftOk('h1', 'rm', '-f', backends[0]!.name)
  const figures: { direct: number[]; vip: number[] } = { direct: [], vip: [] }
  for (let round = 0; round < ROUNDS; round++) {
    figures.direct.push(await measured(direct.ip, 5))
    figures.vip.push(await measured('perf', 5))
  }
  if (ROUNDS > 0) {
    const [plain, vip] = [median(figures.direct), median(figures.vip)]
    t.comment(
      `TCP from h1 to h2, medians of ${ROUNDS}: ${plain.toFixed(0)} Mbit/s without a VIP, ` +
        `${vip.toFixed(0)} through one (${(vip / plain).toFixed(2)}x)`,
    )
  }
  await remove(lab, 'perf', [direct])
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const dnsServer = (last: number): string[] => [
  ...[
    '/usr/sbin/dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
  ],
  ...[
    '--user=root',
    '--pid-file=',
    '--port=53',
    '--interface=eth0',
    '--except-interface=lo',
    '--bind-interfaces',
  ],
  `--address=/who.test/192.0.2.${last}`,
]

/** Says its name to each datagram. */
const echoServer = (name: string): string[] => [
  'python3',
  '-c',
  `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 4433))
while True:
    data, who = s.recvfrom(2048)
    s.sendto(b'${name} ' + data, who)
`,
]

async function datagrams(t: Test, { lab, client }: World): Promise<void> {
  const resolvers = await serve(lab, 'ns', '53', [1, 2].map(dnsServer))
  const { vip } = await lbRow(lab, 'ns')
  const dig = `for i in $(seq 10); do dig +short +tries=1 +time=5 @${vip} who.test; done`
  const answers = (await inside(client, ['sh', '-c', dig])).stdout.trim().split('\n')
  t.same(
    answers,
    answers.map((_, index) => answers[index % 2]),
    'each question is a flow of its own',
  )
  t.same(answers.slice(0, 2).sort(), ['192.0.2.1', '192.0.2.2'])
  await remove(lab, 'ns', resolvers)

  const echoes = await serve(lab, 'quic', '4433', ['q1', 'q2'].map(echoServer))
  const { vip: to } = await lbRow(lab, 'quic')
  const talk = client.start([
    'python3',
    '-uc',
    `
import itertools, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('${to}', 4433)); s.settimeout(0.2)
for i in itertools.count():
    try:
        s.send(b'%d' % i); print(s.recv(2048).decode())
    except OSError as error: print('-', error)
    time.sleep(0.02)
`,
  ])
  await talk.until(/\b30\n/)
  const [, mine = ''] = /^(q[12]) /.exec(talk.stdout)!
  t.notMatch(talk.stdout, mine === 'q1' ? /q2|-/ : /q1|-/, 'one port, one backend')
  const gone = echoes[mine === 'q1' ? 0 : 1]!
  await lab.weftOk(gone.host, 'rm', '-f', gone.name)
  const other = mine === 'q1' ? 'q2' : 'q1'
  await talk.until(new RegExp(`${other} (\\d+)\\n(${other} \\d+\\n){20}`))
  const lost = (await talk.stop()).stdout.split('\n').filter((line) => line.startsWith('-'))
  t.ok(lost.length <= 2, `${lost.length} lost when it went to the other one`)
  await remove(lab, 'quic', [echoes[mine === 'q1' ? 1 : 0]!])
}

/** Takes what comes, and says nothing. */
const SINK = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9))
while True: s.recv(2048)
`

/** A datagram from each of so many ports, 40 in a millisecond at most: what waits in a TAP's queue is bounded. */
const FLOOD = `
import socket, sys, time
to, count = sys.argv[1], int(sys.argv[2])
for i in range(count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', 10000 + i)); s.sendto(b'x', (to, 9)); s.close()
    if i % 40 == 0: time.sleep(0.001)
`

async function many(t: Test, { lab, client }: World): Promise<void> {
  const command = ['python3', '-c', SINK]
  const sinks = await serve(
    lab,
    'sink',
    '9',
    Array.from({ length: SINKS }, () => command),
  )
  // One address has too few ports.
  const second = await lab.sandbox('h1', 'blue', 'c2')
  const { vip } = await lbRow(lab, 'sink')
  const floods = [client, second].map((one) =>
    one.run(['python3', '-c', FLOOD, vip, String(FLOWS / 2)]),
  )
  for (const { code, stderr } of await Promise.all(floods)) t.equal(code, 0, stderr)
  const { backends } = await lbRow(lab, 'sink')
  const flows = backends.map((backend) => backend.flows)
  t.equal(
    flows.reduce((sum, count) => sum + count, 0),
    FLOWS,
    'none was lost',
  )
  t.ok(Math.max(...flows) - Math.min(...flows) <= 1, flows.join(' '))
  const packets = backends.map(({ toBackend }) => toBackend.packets)
  t.same(packets, flows, 'a packet each')
  await remove(lab, 'sink', sinks)
}

/** Both ends: bytes that stand nowhere twice, then their hash. */
const NOISE = `
import hashlib, random, socket, sys
noise = random.Random(7).randbytes(1_000_003)
def send(s, count):
    digest, sent = hashlib.sha256(), 0
    while sent < count:
        at = sent % len(noise)
        piece = noise[at:at + min(262144, count - sent)]
        s.sendall(piece); digest.update(piece); sent += len(piece)
    s.sendall(digest.digest())
def take(s, count):
    digest, got = hashlib.sha256(), 0
    while got < count:
        piece = s.recv(min(262144, count - got))
        assert piece, got
        digest.update(piece); got += len(piece)
    told = b''
    while len(told) < 32: told += s.recv(32 - len(told))
    assert told == digest.digest(), 'other bytes'
    return digest.hexdigest()
`

async function bulk(t: Test, { lab, client }: World): Promise<void> {
  const server = `${NOISE}
l = socket.create_server(('', 7000))
while True:
    s, _ = l.accept()
    count = int(s.makefile('rb', 0).readline())
    take(s, count); send(s, count); s.close()
`
  const command = ['python3', '-c', server]
  const backends = await serve(lab, 'bulk', '7000', [command, command])
  const { vip } = await lbRow(lab, 'bulk')
  const program = `${NOISE}
s = socket.create_connection((sys.argv[1], 7000), 9); s.settimeout(60)
count = int(sys.argv[2])
s.sendall(b'%d\\n' % count)
send(s, count); print(take(s, count))
`
  const timeoutMs = 30_000 + (2_000 * BYTES) / SLOWEST_BYTES_PER_S
  // One to the backend on this host, one to the other host's.
  for (let turn = 0; turn < 2; turn++) {
    const argv = ['python3', '-c', program, vip, String(BYTES / 2)]
    const { stdout, stderr } = await inside(client, argv, timeoutMs)
    t.match(stdout, /^[0-9a-f]{64}\n$/, stderr)
  }
  const { backends: had } = await lbRow(lab, 'bulk')
  for (const { endpoint, toBackend, fromBackend } of had) {
    t.ok(toBackend.bytes >= BYTES / 2, `${endpoint} was sent ${toBackend.bytes} bytes`)
    t.ok(fromBackend.bytes >= BYTES / 2, `and sent ${fromBackend.bytes}`)
  }
  await remove(lab, 'bulk', backends)
}

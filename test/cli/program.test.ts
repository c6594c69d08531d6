// argv to what is asked of the daemon, and what is said of wrong usage.

import t from 'tap'
import type { NodeRow } from '../../src/api/cluster-types.ts'
import type { FdbRow, SandboxInspect } from '../../src/api/types.ts'
import { parseAttachments, parseEnvironment } from '../../src/cli/options.ts'
import { VERSION } from '../../src/version.ts'
import { weft } from '../fixtures/weft.ts'
import { type Asked, type Behaviour, fakeDaemon } from './fixtures/fake-daemon.ts'

t.test('wrong usage: one line that says what, exit 2', async (t) => {
  const rows: [string, RegExp][] = [
    ['pss', /^weft: unknown command 'pss' \(Did you mean ps\?\); see `weft --help`$/],
    ['ps --foo', /^weft: unknown option '--foo'; see `weft ps --help`$/],
    ['ps extra', /^weft: too many arguments for 'ps'.*; see `weft ps --help`$/],
    [
      'ps --format yaml',
      /'yaml' is invalid\. Allowed choices are table, json; see `weft ps --help`$/,
    ],
    ['lab upp', /unknown command 'upp' \(Did you mean up\?\); see `weft lab --help`$/],
    ['lab up --hosts 0', /Use a whole number from 1 to 64; see `weft lab up --help`$/],
    ['lab up --name Bad', /'Bad' is not a lab's name; use at most 8 small letters/],
    ['lab exec h1', /missing required argument 'command'/],
    ['run -- true', /required option '--network <net>' not specified; see `weft run --help`$/],
    ['run --network demo', /missing required argument 'command'/],
    ['run --network a --network b --ip 10.0.0.1 -- x', /--ip is not clear with several networks/],
    ['run --network ip=10.0.0.1 -- x', /name= is missing/],
    [
      'run --network name=a,foo=1 -- x',
      /'foo=1' is none of name=, ip=, ip6=, mac=, interface=, alias=/,
    ],
    ['run --network a -e =1 -- x', /-e '=1': use -e NAME=VALUE/],
    ['exec c1', /missing required argument 'command'/],
    ['exec c1 --', /no command given after '--'/],
    ['attach --network a', /say one of --netns NAME\|PATH, --pid PID and --host/],
    ['attach --network a --host --pid 5', /say one of --netns/],
    ['attach --network a --pid x', /Use a whole number from 1 to/],
    ['rm', /missing required argument 'name'/],
    ['rm -t -1 x', /Use a whole number from 0 to 3600/],
    ['daemon --vxlan-port 70000', /Use a whole number from 1 to 65535/],
    ['daemon --log-level loud', /Allowed choices are trace, debug/],
  ]
  for (const [line, message] of rows) {
    const { code, stdout, stderr } = await weft(line.split(' '))
    t.equal(code, 2, line)
    t.equal(stdout, '', line)
    t.match(stderr.trimEnd(), message, line)
    t.match(stderr, /^weft: [^\n]+\n$/, `one line: ${line}`)
  }
})

t.test('help and versions need no daemon', async (t) => {
  const help = await weft(['--help'])
  t.equal(help.code, 0)
  for (const verb of ['run', 'exec', 'ps', 'lab', 'fdb', 'daemon']) t.match(help.stdout, verb)
  t.match(await weft(['help', 'run']), { code: 0, stdout: /Usage: weft run .*--network NET/ })
  t.match(await weft(['lab', 'up', '--help']), { code: 0, stdout: /--hosts <n>/ })
  t.match(await weft([]), { code: 2, stdout: '', stderr: /Usage: weft/ })
  t.same(await weft(['--version']), { code: 0, stdout: `${VERSION}\n`, stderr: '' })
  t.same(await weft(['version', '--client']), {
    code: 0,
    stdout: `Client: ${VERSION}\n`,
    stderr: '',
  })
  t.match(await weft(['version', '--format', 'json']), {
    code: 1,
    stdout: `{"Client":{"Version":"${VERSION}"},"Server":null}\n`,
    stderr: /^weft: no daemon answers on \/nonexistent\/weft\.sock; start it: weft daemon/,
  })
})

function inspectOf(name: string, status = 'running'): SandboxInspect {
  return { Id: `id-of-${name}`, Name: name, State: { Status: status } } as SandboxInspect
}

/** Runs the CLI against a daemon that behaves so; gives both sides. */
async function ask(line: string | string[], behaviour: Behaviour, input = '') {
  const daemon = await fakeDaemon(behaviour)
  const argv = typeof line === 'string' ? line.split(' ') : line
  try {
    const result = await weft(argv, {
      socketPath: daemon.socketPath,
      input,
      env: { HOME: '/root', TERM: 'xterm' },
    })
    return { ...result, asked: daemon.asked }
  } finally {
    await daemon.close()
  }
}

const making: Behaviour = {
  answer: ({ body }) => ({ body: inspectOf((body as { name: string }).name) }),
}

t.test('run -d: the whole request, the id printed; argv verbatim', async (t) => {
  const line = [
    ...'run -d --network name=demo,ip=10.0.1.5,mac-address=02:42:0a:00:01:05'.split(' '),
    ...'--network other --name c1 -t -e A=1 -e HOME -e UNSET -w /tmp --'.split(' '),
    ...['sh', '-c', 'echo "$1"', '--', '--network'],
  ]
  const { code, stdout, stderr, asked } = await ask(line, making)
  t.match({ code, stdout, stderr }, { code: 0, stdout: 'id-of-c1\n', stderr: '' })
  t.same(asked[0]?.body, {
    kind: 'run',
    name: 'c1',
    attachments: [
      { network: 'demo', ip: '10.0.1.5', mac: '02:42:0a:00:01:05' },
      { network: 'other' },
    ],
    argv: ['sh', '-c', 'echo "$1"', '--', '--network'],
    cwd: '/tmp',
    env: { TERM: 'xterm', A: '1', HOME: '/root' },
    tty: true,
    detach: true,
  })
  t.match(await ask('run -d --network demo ls -la', making), {
    asked: [{ body: { argv: ['ls', '-la'], tty: false, name: /^[a-z]+-[a-z]+-[0-9a-f]{2}$/ } }],
  })
})

t.test('run without a name tries another when its own is taken, but not for ever', async (t) => {
  const taken = (times: number): Behaviour => ({
    answer: ({ body }) => {
      if (times-- <= 0) return { body: inspectOf((body as { name: string }).name) }
      return { status: 409, body: { error: { code: 'name_in_use', message: 'taken' } } }
    },
  })
  t.match(await ask('run -d --network demo true', taken(2)), { code: 0, asked: { length: 3 } })
  t.match(await ask('run -d --network demo true', taken(99)), { code: 1, stderr: 'weft: taken\n' })
  t.match(await ask('run -d --name a --network demo true', taken(1)), { code: 1 }, 'a given name')
})

t.test("the daemon's word: invalid_argument is wrong usage, all else a failure", async (t) => {
  const failing = (code: string): Behaviour => ({
    answer: () => ({ status: 400, body: { error: { code, message: `because ${code}` } } }),
  })
  const line = 'run -d --network demo true'
  t.match(await ask(line, failing('invalid_argument')), {
    code: 2,
    stderr: 'weft: because invalid_argument\n',
  })
  t.match(await ask(line, failing('no_address')), { code: 1, stderr: 'weft: because no_address\n' })
})

t.test('rm, inspect, detach: each name for itself', async (t) => {
  const noB: Behaviour = {
    answer: ({ url }: Asked) => {
      if (url.includes('/b')) {
        return { status: 404, body: { error: { code: 'not_found', message: 'no sandbox b' } } }
      }
      return { body: inspectOf('x', url.endsWith('/run') ? 'running' : 'attached') }
    },
  }
  const removed = await ask('rm -t 3 a b c', noB)
  t.match(removed, { code: 1, stdout: 'a\nc\n', stderr: 'weft: no sandbox b\n' })
  t.equal(removed.asked[0]?.url, '/v1/sandboxes/a?timeoutMs=3000')
  t.match(await ask('rm -f a', noB), { code: 0, asked: [{ url: '/v1/sandboxes/a?force=1' }] })
  t.match(await ask('inspect b', noB), { code: 1, stdout: '[]\n', stderr: 'weft: no sandbox b\n' })
  const inspected = await ask('inspect a c', noB)
  t.equal((JSON.parse(inspected.stdout) as unknown[]).length, 2)
  t.match(await ask('detach a', noB), { code: 0, stdout: 'a\n', asked: { length: 2 } })
  t.match(await ask('detach run', noB), { code: 1, stderr: /end it with `weft rm run`/ })
})

t.test('attach names itself after what it is attached to', async (t) => {
  const bodyOf = async (line: string) => (await ask(line, making)).asked[0]?.body
  t.same(await bodyOf('attach --network demo --interface demo0 --netns blue'), {
    kind: 'attach',
    name: 'blue',
    attachments: [{ network: 'demo', interface: 'demo0' }],
    netns: 'blue',
  })
  t.match(await bodyOf('attach --network demo --netns ./ns'), {
    name: 'ns',
    netns: `${process.cwd()}/ns`,
  })
  t.match(await bodyOf('attach --network demo --pid 42'), { name: 'pid-42', pid: 42 })
  t.match(await bodyOf('attach --network demo --host --name me'), { name: 'me', host: true })
})

t.test('fdb ls and neigh ls: one network, three forms', async (t) => {
  const row: FdbRow = {
    network: 'demo',
    vni: 4097,
    mac: '02:42:0a:00:01:0c',
    endpoint: 'c2',
    host: 'h2',
    kind: 'remote',
    vtep: '192.168.1.12',
    record: {
      kind: 'endpoint',
      key: 'f00dfeedf00dfeed',
      owner: '22',
      ownerName: 'h2',
      lamport: 3,
      writer: '22',
    },
  }
  const gateway = { ...row, network: 'other', kind: 'gateway', vtep: null, record: null } as const
  const answer: Behaviour = { answer: () => ({ body: [row, gateway] }) }
  t.match(await ask('fdb ls --network demo -q', answer), { stdout: '02:42:0a:00:01:0c\n' })
  const json = await ask('fdb ls --format json', answer)
  t.same(
    json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [row, gateway],
  )
  t.match(await ask('fdb ls', answer), {
    stdout:
      /^demo +4097 +02:42:0a:00:01:0c +remote +192\.168\.1\.12 +h2 +c2 +endpoint\/f00dfeedf00d v3 h2$/m,
  })
  const neighbours: Behaviour = { answer: () => ({ body: [{ ...row, ip: '10.0.1.12' }] }) }
  t.match(await ask('neigh ls -q', neighbours), { stdout: '10.0.1.12\n' })
})

t.test('the verbs of a cluster: what is asked, what is said', async (t) => {
  const line = { token: 'WEFT-1-aaaa-bbbb', address: '172.31.1.11' }
  const init = await ask('init', { answer: () => ({ body: line }) })
  t.match(init.stdout, /^ {4}weft join --token WEFT-1-aaaa-bbbb 172\.31\.1\.11$/m)
  t.match(init.asked, [{ method: 'POST', url: '/v1/cluster/init' }])
  t.same(
    (await ask('join-token -q --rotate', { answer: () => ({ body: line }) })).stdout,
    'WEFT-1-aaaa-bbbb\n',
  )
  const members = { alive: 2, suspect: 0, dead: 0, left: 0 }
  const join = await ask('join --token T h1', { answer: () => ({ body: { members } }) })
  t.equal(join.stdout, 'This host has joined a cluster of 1 other host.\n')
  t.match(join.asked, [{ url: '/v1/cluster/join', body: { token: 'T', host: 'h1' } }])
  t.match(await ask('join h1', {}), { code: 2, stderr: /required option '--token <token>'/ })
  t.match(await ask('join-token --rotate --rotate-keys', {}), { code: 2 })
  let beganAt = 0
  const leave = await ask('leave --force', {
    answer: ({ method }) =>
      method === 'POST' ? { status: 204 } : { body: { beganAt: beganAt++ } },
  })
  t.equal(leave.stdout, 'This host has left the cluster.\n', 'when the daemon has begun anew')
  t.match(leave.asked.slice(0, 2), [
    { url: '/v1/status' },
    { url: '/v1/cluster/leave', body: { force: true } },
  ])
})

t.test('node ls: docker node, with where and since when', async (t) => {
  const node: NodeRow = {
    id: '0123456789abcdef',
    name: 'h2',
    self: true,
    status: 'down',
    availability: 'active',
    address: '192.168.1.12',
    vtep: '192.168.1.12',
    version: '0.1.0',
    incarnation: 3,
    statusForMs: 61_000,
    endpoints: 2,
  }
  const answer: Behaviour = { answer: () => ({ body: [node] }) }
  t.match(await ask('node ls', answer), {
    stdout: /^0123456789abcdef \* +h2 +Down +About a minute +Active +192\.168\.1\.12 +2 +0\.1\.0$/m,
  })
  t.equal((await ask('node ls -q', answer)).stdout, '0123456789abcdef\n')
  const removed = await ask('node rm -f h2', { answer: () => ({ status: 204 }) })
  t.match(removed.asked, [{ method: 'DELETE', url: '/v1/nodes/h2?force=1' }])
})

t.test('--socket counts before and behind the verb, before WEFT_SOCKET', async (t) => {
  const daemon = await fakeDaemon({ answer: () => ({ body: [] }) })
  t.teardown(() => daemon.close())
  t.match(await weft(['--socket', daemon.socketPath, 'ps', '-q']), { code: 0 })
  t.match(await weft(['ps', '-q', '--socket', daemon.socketPath]), { code: 0 })
  t.match(await weft(['ps', '-q']), { code: 1, stderr: /\/nonexistent\/weft\.sock/ })
})

t.test('options as values', (t) => {
  t.same(
    parseAttachments({ network: ['a', 'name=b,ip6=fd::5,alias=x,alias=y'], networkAlias: ['web'] }),
    [
      { network: 'a', aliases: ['web'] },
      { network: 'b', ip6: 'fd::5', aliases: ['x', 'y', 'web'] },
    ],
  )
  t.same(parseAttachments({ network: ['demo'], ip: '10.0.1.5', interface: 'x0' }), [
    { network: 'demo', ip: '10.0.1.5', interface: 'x0' },
  ])
  t.same(parseEnvironment(['A=b=c', 'B', 'E='], { B: '2' }), { A: 'b=c', B: '2', E: '' })
  t.end()
})

// Names in sandboxes on several hosts, asked by the programs that people use: getent, ping, curl, nslookup, dig, musl's resolver.
//
//      h1 172.31.1.11 ── r ── 192.168.1.12 h2        h3 172.31.1.13        c 203.0.113.2: the host's resolver (dnsmasq)
//
// The numbers are the reference's tests. WEFT_SOAK_CUTS names how long a host is cut off, in seconds: '1 30 300'.

import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { eventually, ok, type Result, run } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const HOSTS = ['h1', 'h2', 'h3'] as const
const PATIENCE_MS = 10_000
const directory = mkdtempSync(join(tmpdir(), 'weft-names-'))
const resolvConf = join(directory, 'resolv.conf')
const RESOLV_CONF = 'search lab.example\nnameserver 203.0.113.2\n'
writeFileSync(resolvConf, RESOLV_CONF)
// The lab's daemons take it from their environment; the machine's own is left alone.
process.env['WEFT_RESOLV_CONF'] = resolvConf
/** On each host, for the host itself. */
const HOST_PORT = '5300'
process.env['WEFT_DNS_LISTEN'] = `127.0.0.1:${HOST_PORT}`
/** Without it: one, until it is noticed. */
const CUTS_S = (process.env['WEFT_SOAK_CUTS'] ?? '0').split(' ').map(Number)
/** Until a host that is cut off is believed dead (36-detection). */
const DETECTION_S = 4

inLab('names', 3, async (t, lab) => {
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  const outside = lab.start('c', [
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    '--user=root',
    '--pid-file=',
    '--log-queries',
    '--log-facility=-',
    '--address=/www.example.net/198.51.100.7',
    '--host-record=short.lab.example,198.51.100.8',
    '--txt-record=long.example.net,' +
      'x'.repeat(200) +
      ',' +
      'y'.repeat(200) +
      ',' +
      'z'.repeat(200),
  ])
  await lab.weftOk('h1', 'network', 'create', '--ipv6', 'blue')
  await lab.weftOk('h1', 'network', 'create', 'red')
  await lab.weftOk('h1', 'network', 'create', '--internal', 'inner')
  const tasks: Sandbox[] = []
  for (const [index, host] of HOSTS.entries()) {
    const web = ['python3', '-m', 'http.server', '--bind', '::', '80']
    tasks.push(
      await lab.sandbox(host, 'blue', `t${index + 1}`, web, [
        '--service',
        'web',
        '--network-alias',
        'All',
      ]),
    )
  }
  await lab.sandbox('h2', 'red', 'db')
  const inner = await lab.sandbox('h3', 'inner', 'in')
  await t.test('resolvers of libc and tools, on every host (53, 54, 58)', (t) => tools(t, tasks))
  await t.test('dig in all its ways', (t) => dig(t, tasks))
  await t.test('holders of a name take turns (45, 47)', (t) => turns(t, tasks))
  await t.test('addresses have names; traceroute and tshark read them (38)', (t) =>
    reverse(t, tasks),
  )
  await t.test('names of networks that one is on, and no others (55, 57)', (t) =>
    scopes(t, lab, tasks),
  )
  await t.test("other names go to the host's resolver (56)", (t) =>
    forwarded(t, lab, tasks, inner, () => outside.stdout + outside.stderr),
  )
  await t.test('the host itself asks where it was told to listen', (t) => onHosts(t, lab, tasks))
  await t.test('attached namespaces', (t) => attached(t, lab))
  await t.test('processes with mounts of their own', (t) => attachedProcess(t, lab))
  await t.test('a daemon that is killed', (t) => killedDaemon(t, lab))
  await t.test('a name follows its endpoint', (t) => follows(t, lab, tasks))
  await t.test('the names of a host that is killed go, and come back', (t) =>
    killedHost(t, lab, tasks),
  )
  for (const seconds of CUTS_S) {
    const title = seconds === 0 ? 'after a cut' : `after a cut of ${seconds} s`
    await t.test(title, (t) => cut(t, lab, tasks, seconds))
  }
  await t.test('what cannot be is told', (t) => refused(t, lab))
})

/** With the sandbox's own resolv.conf. */
async function inside({ pid }: Sandbox, ...argv: string[]): Promise<Result> {
  return await run(['nsenter', '-t', String(pid), '-n', '-m', '--', ...argv])
}

async function lines(sandbox: Sandbox, ...argv: string[]): Promise<string[]> {
  const { stdout } = await inside(sandbox, ...argv)
  return stdout.split('\n').filter((line) => line !== '')
}

/** As `dig +short` gives them, in order. */
async function short(sandbox: Sandbox, ...argv: string[]): Promise<string[]> {
  return await lines(sandbox, 'dig', '+short', '+tries=1', '+time=5', ...argv)
}

async function tools(t: Test, tasks: readonly Sandbox[]): Promise<void> {
  const musl = join(directory, 'lookup')
  const source = join(directory, 'lookup.c')
  writeFileSync(
    source,
    `#include <netdb.h>
#include <stdio.h>
#include <arpa/inet.h>
int main(int argc, char **argv) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int error = argc < 2 ? EAI_NONAME : getaddrinfo(argv[1], 0, &hints, &found);
  if (error) return puts(gai_strerror(error)), 1;
  for (; found; found = found->ai_next)
    puts(inet_ntoa(((struct sockaddr_in *)found->ai_addr)->sin_addr));
}
`,
  )
  await ok(['musl-gcc', '-static', '-o', musl, source])
  for (const sandbox of tasks) {
    t.equal(
      (await inside(sandbox, 'cat', '/etc/resolv.conf')).stdout,
      'search lab.example\nnameserver 127.0.0.11\noptions ndots:0\n',
    )
    for (const other of tasks) {
      t.match((await inside(sandbox, 'getent', 'ahostsv4', other.name)).stdout, other.ip)
      t.match((await inside(sandbox, 'getent', 'ahostsv6', other.name)).stdout, other.ip6)
      t.same(await lines(sandbox, musl, `${other.name}.BLUE`), [other.ip], "musl's resolver")
      const ping = await inside(sandbox, 'ping', '-4', '-c1', '-W5', other.name)
      t.match(ping.stdout, new RegExp(`from ${other.name}\\.blue \\(${other.ip}\\)`))
      t.equal(ping.code, 0, `${sandbox.name} pings ${other.name}`)
      const { stdout } = await inside(sandbox, 'nslookup', other.name)
      t.match(stdout, /Server:\t\t127\.0\.0\.11\nAddress:\t127\.0\.0\.11#53\n/)
      t.match(stdout, `Address: ${other.ip}\n`)
    }
    t.match(
      (await inside(sandbox, 'curl', '-sS', '-m5', 'http://web/')).stdout,
      'Directory listing',
    )
  }
}

async function dig(t: Test, tasks: readonly Sandbox[]): Promise<void> {
  const [sandbox, other] = tasks as [Sandbox, Sandbox]
  for (const way of [
    '+notcp',
    '+tcp',
    '+noedns',
    '+bufsize=512',
    '+ednsopt=65001:0102',
    '+nocookie',
    '+cd',
    '+dnssec',
  ]) {
    const { stdout } = await inside(sandbox, 'dig', way, '@127.0.0.11', other.name, 'A')
    t.match(stdout, new RegExp(`^${other.name}\\.\\s+1\\s+IN\\s+A\\s+${other.ip}$`, 'm'), way)
    t.match(stdout, 'status: NOERROR', way)
    t.notMatch(stdout, /WARNING|malformed|FORMERR/, way)
    if (way !== '+noedns') t.match(stdout, 'EDNS: version: 0', way)
  }
  const badvers = (await inside(sandbox, 'dig', '+edns=1', '+noednsneg', other.name)).stdout
  t.match(badvers, 'status: BADVERS')
  const kept = await lines(
    sandbox,
    'dig',
    '+tcp',
    '+keepopen',
    '+short',
    other.name,
    'A',
    other.name,
    'AAAA',
  )
  t.same(kept, [other.ip, other.ip6], 'two questions on one connection')
  const none = (await inside(sandbox, 'dig', other.name, 'MX')).stdout
  t.match(none, /status: NOERROR[^]*ANSWER: 0, AUTHORITY: 1/)
  t.match((await inside(sandbox, 'dig', other.name, 'TYPE65280')).stdout, /NOERROR[^]*ANSWER: 0/)
  t.match((await inside(sandbox, 'dig', other.name, 'ANY')).stdout, 'HINFO\t"RFC8482" ""')
  t.match(
    (await inside(sandbox, 'dig', '+short', '_80._tcp.web', 'SRV')).stdout,
    /^0 0 80 t\d\.blue\.$/m,
  )
}

async function turns(t: Test, tasks: readonly Sandbox[]): Promise<void> {
  const [sandbox] = tasks as [Sandbox]
  const all = tasks.map(({ ip }) => ip).sort()
  const firsts = new Map<string, number>()
  const names = Array.from({ length: 30 }, () => 'web')
  const answers = await short(sandbox, '+nosearch', ...names)
  for (let index = 0; index < answers.length; index += 3) {
    const three = answers.slice(index, index + 3)
    t.same(three.toSorted(), all)
    firsts.set(three[0]!, (firsts.get(three[0]!) ?? 0) + 1)
  }
  t.same([...firsts.values()], [10, 10, 10])
  t.same((await short(sandbox, 'tasks.web')).sort(), all)
  t.same((await short(sandbox, 'ALL')).sort(), all, 'an alias that all of them have')
}

async function reverse(t: Test, tasks: readonly Sandbox[]): Promise<void> {
  const [sandbox, other] = tasks as [Sandbox, Sandbox]
  t.same(await short(sandbox, '-x', other.ip), [`${other.name}.blue.`])
  t.same(await short(sandbox, '-x', other.ip6), [`${other.name}.blue.`])
  t.match((await inside(sandbox, 'dig', '-x', other.gateway)).stdout, 'status: NXDOMAIN')
  const route = await lines(sandbox, 'traceroute', '-4', '-q1', '-N1', other.name)
  t.match(route.at(-1), new RegExp(`^ 1  ${other.name}\\.blue \\(${other.ip}\\)`))

  // tshark reads all types that we answer with, and finds nothing wrong.
  const file = join(directory, 'answers.pcap')
  const capture = sandbox.start(['tcpdump', '-i', 'lo', '-U', '-w', file, 'udp port 53'])
  await eventually(async () => capture.stderr.includes('listening on'), PATIENCE_MS)
  for (const [name, type] of [
    ['web', 'A'],
    ['web', 'AAAA'],
    ['_80._tcp.web', 'SRV'],
    ['web', 'ANY'],
    ['web', 'TXT'],
  ] as const) {
    await inside(sandbox, 'dig', '+notcp', name, type)
  }
  await inside(sandbox, 'dig', '-x', other.ip)
  await eventually(
    async () => existsSync(file) && readFileSync(file).includes('RFC8482'),
    PATIENCE_MS,
  )
  await capture.stop('SIGINT')
  const read = await ok([
    'tshark',
    '-r',
    file,
    '-Y',
    'dns.flags.response == 1',
    '-T',
    'fields',
    '-e',
    'dns.resp.type',
    '-e',
    'dns.a',
    '-e',
    'dns.srv.port',
    '-e',
    'dns.ptr.domain_name',
    '-e',
    '_ws.malformed',
    '-e',
    '_ws.expert',
  ])
  for (const type of [1, 28, 33, 13, 6, 12])
    t.match(read, new RegExp(`(^|,)${type}(,|\\t)`, 'm'), `type ${type}`)
  t.match(read, other.ip)
  t.match(read, 'blue')
  t.notMatch(read, /malformed|expert/i)
}

async function scopes(t: Test, lab: Lab, tasks: readonly Sandbox[]): Promise<void> {
  const [sandbox] = tasks as [Sandbox]
  t.same(await short(sandbox, 'db'), [], 'on red, where t1 is not')
  t.same(await short(sandbox, 'db.red'), [])
  await lab.weftOk('h1', 'network', 'connect', 'red', 't1')
  const db = await short(sandbox, 'db')
  t.equal(db.length, 1)
  t.same(await short(sandbox, '-x', db[0]!), ['db.red.'])
  await lab.weftOk('h1', 'network', 'disconnect', 'red', 't1')
  t.same(await short(sandbox, 'db'), [])
  t.match(await lab.weftOk('h3', 'dns', 'query', 'db', '--network', 'red'), /^db\t1\tIN\tA\t10\./)
  t.match(await lab.weftOk('h3', 'dns', 'ls', '--network', 'red'), /^red +db +10\.[\d.]+ +h2\/db$/m)
  t.equal((await lab.weft('h3', ['dns', 'query', 't1', '--network', 'red'])).code, 1)
}

async function forwarded(
  t: Test,
  lab: Lab,
  tasks: readonly Sandbox[],
  inner: Sandbox,
  log: () => string,
): Promise<void> {
  const [sandbox] = tasks as [Sandbox]
  t.same(await short(sandbox, 'www.example.net'), ['198.51.100.7'])
  t.match(
    (await inside(sandbox, 'getent', 'ahostsv4', 'short')).stdout,
    '198.51.100.8',
    'by the search domain',
  )
  t.match(log(), 'query[A] www.example.net from 172.31.1.11', 'from the host')
  t.match((await inside(sandbox, 'dig', 'nowhere.example.net')).stdout, /NXDOMAIN|REFUSED/)
  const long = await inside(sandbox, 'dig', '+noedns', 'long.example.net', 'TXT')
  t.match(long.stdout, 'Truncated, retrying in TCP mode')
  t.match(long.stdout, 'z'.repeat(200))

  const before = log().length
  t.match(
    (await inside(inner, 'dig', 'www.example.net')).stdout,
    'status: NXDOMAIN',
    'an internal network',
  )
  t.notMatch(log().slice(before), 'www.example.net')

  // The host's resolv.conf changes: nobody to ask, then somebody again.
  writeFileSync(resolvConf, 'search other.example\n')
  await eventually(
    async () => (await inside(sandbox, 'dig', 'www.example.net')).stdout.includes('SERVFAIL'),
    PATIENCE_MS,
  )
  const startMs = performance.now()
  t.match((await inside(sandbox, 'dig', 'www.example.net')).stdout, 'status: SERVFAIL')
  t.ok(performance.now() - startMs < 1_500, 'at once')
  t.match((await inside(sandbox, 'cat', '/etc/resolv.conf')).stdout, 'search other.example\n')
  writeFileSync(resolvConf, RESOLV_CONF)
  await eventually(async () => (await short(sandbox, 'www.example.net')).length === 1, PATIENCE_MS)
  t.match(await lab.weftOk('h1', 'status'), /^dns_upstream_noerror +\d+/m)
}

async function onHosts(t: Test, lab: Lab, tasks: readonly Sandbox[]): Promise<void> {
  const [first] = tasks as [Sandbox]
  for (const host of HOSTS) {
    const asked = async (...argv: string[]): Promise<string> => {
      const dig = ['dig', '+short', '+tries=1', '+time=5', '@127.0.0.1', '-p', HOST_PORT, ...argv]
      return (await lab.on(host, dig)).stdout.trim()
    }
    t.equal(await asked('t1'), first.ip, `names of all networks, on ${host}`)
    t.equal(await asked('+tcp', 't1.blue'), first.ip)
    t.match(await asked('db.red'), /^10\./)
    t.equal(await asked('www.example.net'), '198.51.100.7', 'others are forwarded')
  }
}

async function attached(t: Test, lab: Lab): Promise<void> {
  const name = await lab.addNetns('a1')
  const path = `/etc/netns/${name}/resolv.conf`
  await lab.weftOk('h1', 'attach', '--network', 'blue', '--netns', name, '--name', 'a1')
  t.match(readFileSync(path, 'utf8'), 'nameserver 127.0.0.11')
  const { stdout } = await run(['ip', 'netns', 'exec', name, 'getent', 'ahostsv4', 't2'])
  t.match(stdout, /^10\./, 'lo was down, and is up')
  // A second attachment shares the resolver, with its own network; it stays when the first one goes.
  await lab.weftOk('h1', 'attach', '--network', 'red', '--netns', name, '--name', 'a2')
  const digs = (what: string): Promise<Result> =>
    run(['ip', 'netns', 'exec', name, 'dig', '+short', '@127.0.0.11', what])
  t.match((await digs('db')).stdout, /^10\./)
  await lab.weftOk('h1', 'detach', 'a1')
  t.match((await digs('db')).stdout, /^10\./, 'the other one took over')
  t.equal((await digs('t2')).stdout, '')
  await lab.weftOk('h1', 'detach', 'a2')
  t.notOk(existsSync(`/etc/netns/${name}`), 'what was made is removed')

  // Somebody else's resolver there, and somebody's resolv.conf.
  const holder = lab.start(`/run/netns/${name}`, [
    'socat',
    'UDP4-LISTEN:53,bind=127.0.0.11',
    'OPEN:/dev/null',
  ])
  await eventually(
    async () =>
      (await run(['nsenter', `--net=/run/netns/${name}`, 'ss', '-lnu'])).stdout.includes(
        '127.0.0.11:53',
      ),
    PATIENCE_MS,
  )
  await lab.weftOk('h1', 'attach', '--network', 'blue', '--netns', name, '--name', 'a3')
  const inspect = await lab.client('h1').inspectSandbox('a3')
  t.match(inspect.Warnings, [/127\.0\.0\.11:53 is in use/])
  const ping = await run([
    'nsenter',
    `--net=/run/netns/${name}`,
    'ping',
    '-c1',
    '-W5',
    (await lab.client('h2').inspectSandbox('t2')).NetworkSettings.Networks['blue']!.IPAddress,
  ])
  t.equal(ping.code, 0, 'the endpoint works without')
  await lab.weftOk('h1', 'detach', 'a3')
  await holder.stop('SIGTERM')
}

async function attachedProcess(t: Test, lab: Lab): Promise<void> {
  const name = await lab.addNetns('a2')
  for (const [what, flags, sees] of [
    ['its own mounts', ['unshare', '-m', '--propagation', 'private'], true],
    ["the host's mounts", [], false],
    ['mounts that are passed on', ['unshare', '-m', '--propagation', 'shared'], false],
    ['an /etc that cannot be written to', etc('mount --bind -o ro /etc /etc'), true],
    ['an /etc without resolv.conf', etc('mount -t tmpfs none /etc'), false],
  ] as const) {
    const process = lab.start(`/run/netns/${name}`, [...flags, 'sleep', 'infinity'])
    const pid = String(process.pid)
    await eventually(
      async () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n',
      PATIENCE_MS,
    )
    await lab.weftOk('h1', 'attach', '--network', 'blue', '--pid', pid, '--name', 'p1')
    const read = (): Promise<Result> =>
      run(['nsenter', '-t', pid, '-m', '-n', 'cat', '/etc/resolv.conf'])
    const { Warnings } = await lab.client('h1').inspectSandbox('p1')
    t.equal((await read()).stdout.includes('127.0.0.11'), sees, what)
    t.equal(Warnings.length, sees ? 0 : 1, what)
    t.match(
      (await run(['nsenter', '-t', pid, '-n', 'dig', '+short', '@127.0.0.11', 't2'])).stdout,
      /^10\./,
      what,
    )
    await lab.weftOk('h1', 'detach', 'p1')
    t.notMatch((await read()).stdout, '127.0.0.11', `${what}: taken back`)
    await process.stop('SIGKILL')
  }
  t.notMatch(readFileSync('/etc/resolv.conf', 'utf8'), '127.0.0.11', "the host's own is as it was")
}

/** Runs a command whose /etc is another one. */
function etc(change: string): string[] {
  const script = `${change} && exec "$@"`
  return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh']
}

async function killedDaemon(t: Test, lab: Lab): Promise<void> {
  const sandbox = await lab.sandbox('h1', 'blue', 'asker')
  await lab.lab('kill', 'h1')
  const waiting = inside(sandbox, 'dig', '+short', '+tries=1', '+time=20', 'asker')
  const byTcp = inside(sandbox, 'dig', '+short', '+tcp', '+tries=1', '+time=20', 'asker')
  await lab.lab('restart', 'h1')
  t.equal((await waiting).stdout, `${sandbox.ip}\n`, 'asked while no daemon ran')
  t.equal((await byTcp).stdout, `${sandbox.ip}\n`, 'by TCP, too')
  t.match((await inside(sandbox, 'getent', 'ahostsv4', 't1')).stdout, /^10\./)
}

/** How long until `sandbox` is answered with just these, in ms. */
async function answeredAfter(
  sandbox: Sandbox,
  name: string,
  expected: readonly string[],
): Promise<number> {
  const startMs = performance.now()
  await eventually(
    async () => (await short(sandbox, name)).toSorted().join() === expected.toSorted().join(),
    PATIENCE_MS,
  )
  return Math.round(performance.now() - startMs)
}

async function follows(t: Test, lab: Lab, tasks: readonly Sandbox[]): Promise<void> {
  const [, , asker] = tasks as [Sandbox, Sandbox, Sandbox]
  await lab.sandbox('h1', 'blue', 'mover')
  await lab.weftOk('h1', 'rm', '--force', 'mover')
  const there = await lab.sandbox('h2', 'blue', 'mover')
  const tookMs = await answeredAfter(asker, 'mover', [there.ip])
  t.comment(`${tookMs} ms after it ran on the other host`)
  t.ok(tookMs <= 1_000, `${tookMs} ms`)
}

async function killedHost(t: Test, lab: Lab, tasks: readonly Sandbox[]): Promise<void> {
  const [asker, , third] = tasks as [Sandbox, Sandbox, Sandbox]
  const rest = tasks.filter(({ host }) => host !== 'h2').map(({ ip }) => ip)
  await lab.lab('kill', 'h2')
  const startMs = performance.now()
  await eventually(
    async () =>
      (await lab.client('h1').nodes()).some(
        ({ name, status }) => name === 'h2' && status === 'down',
      ),
    PATIENCE_MS,
  )
  const detectedMs = Math.round(performance.now() - startMs)
  t.same(
    (await short(asker, 'web')).toSorted(),
    rest.toSorted(),
    `${detectedMs} ms: with detection`,
  )
  await lab.lab('restart', 'h2')
  await answeredAfter(
    third,
    'web',
    tasks.map(({ ip }) => ip),
  )
}

/** @param seconds 0: until both sides have noticed */
async function cut(t: Test, lab: Lab, tasks: readonly Sandbox[], seconds: number): Promise<void> {
  const [asker, , third] = tasks as [Sandbox, Sandbox, Sandbox]
  const all = tasks.map(({ ip }) => ip)
  const leaving = `leaving${seconds}`
  await lab.sandbox('h2', 'blue', leaving)
  await lab.lab('cut', 'h3')
  const cutMs = performance.now()
  if (seconds === 0 || seconds > DETECTION_S) {
    await answeredAfter(asker, 'web', all.slice(0, 2))
    await answeredAfter(third, 'web', all.slice(2))
  }
  const born = await lab.sandbox('h1', 'blue', `born${seconds}`)
  const elsewhere = await lab.sandbox('h3', 'blue', `elsewhere${seconds}`)
  await lab.weftOk('h2', 'rm', '--force', leaving)
  await sleep(Math.max(0, cutMs + seconds * 1_000 - performance.now()))
  await lab.lab('heal', 'h3')
  const startMs = performance.now()
  await Promise.all(
    tasks.flatMap((task) => [
      answeredAfter(task, 'web', all),
      answeredAfter(task, born.name, [born.ip]),
      answeredAfter(task, elsewhere.name, [elsewhere.ip]),
      answeredAfter(task, leaving, []),
    ]),
  )
  const tookMs = Math.round(performance.now() - startMs)
  t.comment(`${tookMs} ms after the heal`)
  t.ok(tookMs <= 2_000, `${tookMs} ms`)
}

async function refused(t: Test, lab: Lab): Promise<void> {
  for (const [argv, message] of [
    [['--name', 'n'.repeat(64)], 'use at most 63'],
    [['--name', 'a.b'], "'a.b' is not a sandbox name"],
    [['--name', 'ok', '--service', 'tasks.x'], "'tasks.x' is not a service name"],
    [['--name', 'ok', '--service', 's'.repeat(300)], 'use at most 63'],
  ] as const) {
    const { code, stderr } = await lab.weft('h1', [
      'run',
      '-d',
      '--network',
      'blue',
      ...argv,
      '--',
      'true',
    ])
    t.equal(code, 2)
    t.match(stderr, message)
  }
  for (const name of ['n'.repeat(64), 'a..b', 'x.'.repeat(150), 'bad name']) {
    const { code, stderr } = await lab.weft('h1', ['dns', 'query', name, '--network', 'blue'])
    t.equal(code, 2)
    t.match(stderr, 'is not a name')
  }
  t.match((await lab.weft('h1', ['dns', 'query', 't1', '--network', 'none'])).stderr, 'none')
  t.match(
    (await lab.weft('h1', ['dns', 'query', 't1', '--network', 'blue', '--type', 'X'])).stderr,
    'is not a type',
  )
  // An alias that is also a service: both hold the name.
  await lab.sandbox('h1', 'blue', 'same', undefined, ['--network-alias', 'web'])
  const asker = await lab.sandbox('h1', 'blue', 'other')
  t.equal((await short(asker, 'web')).length, 4)
}

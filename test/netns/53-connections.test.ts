// A living sandbox is put on networks and taken off them, from any host; what it is on outlives the daemon. A network grows while it is used.
//
//      h1 172.31.1.11            h2 192.168.1.12            h3 172.31.1.13
//      │ t1  red, blue           │ r2 red   b2 blue         │ asks
//      │ a1  a namespace         │ w2 wide
//      └─────────────── r ───────┴──────────────────────────┘

import { readdirSync } from 'node:fs'
import type { Test } from 'tap'
import type { SandboxInspect } from '../../src/api/types.ts'
import { eventually, ok, run } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, type Sandbox } from '../fixtures/lab.ts'

inLab('connections', 3, async (t, lab) => {
  await lab.weftOk('h1', 'network', 'create', '--ipv6', 'red')
  await lab.weftOk('h1', 'network', 'create', 'blue')
  const r2 = await lab.sandbox('h2', 'red', 'r2')
  const b2 = await lab.sandbox('h2', 'blue', 'b2')

  await t.test('a sandbox joins a second network and leaves it, asked from another host', (t) =>
    joins(t, lab, r2, b2),
  )
  await t.test('what it is on outlives the daemon, also one that is killed on the way', (t) =>
    outlives(t, lab, r2, b2),
  )
  await t.test('a namespace and the host are connected, too', (t) => attached(t, lab, b2))
  await t.test('run is on several networks at once, with aliases', (t) => several(t, lab, r2, b2))
  await t.test('what cannot be is refused, and nothing is half-done', (t) => refused(t, lab))
  await t.test('a network in use is given a further subnet', (t) => grows(t, lab))
  await t.test('sandboxes of the cluster, and of one host', (t) => listed(t, lab))
})

async function inspect(lab: Lab, host: string, name: string): Promise<SandboxInspect> {
  return (JSON.parse(await lab.weftOk(host, 'inspect', name)) as SandboxInspect[])[0]!
}

/** Interface → network, as inspect shows it. */
async function networksOf(lab: Lab, host: string, name: string): Promise<Record<string, string>> {
  const { NetworkSettings } = await inspect(lab, host, name)
  return Object.fromEntries(
    Object.entries(NetworkSettings.Networks).map(([network, { Interface }]) => [
      Interface,
      network,
    ]),
  )
}

async function links(netns: string): Promise<string[]> {
  const all = JSON.parse(await ok(inNetns(netns, ['ip', '-j', 'link', 'show']))) as {
    ifname: string
  }[]
  return all.map(({ ifname }) => ifname).filter((name) => name !== 'lo')
}

/** How long who should not come is waited for. */
const BRIEFLY_S = 0.5

async function reaches(netns: string, address: string, waitS = 3): Promise<boolean> {
  const argv = ['ping', '-n', '-c', '2', '-i', '0.1', '-W', String(waitS), address]
  return (await run(inNetns(netns, argv))).stdout.includes(' 0% packet loss')
}

async function joins(t: Test, lab: Lab, r2: Sandbox, b2: Sandbox): Promise<void> {
  const t1 = await lab.sandbox('h1', 'red', 't1')
  t.notOk(await reaches(t1.netns, b2.ip, BRIEFLY_S), 'blue is another network')
  const { State } = await inspect(lab, 'h1', 't1')
  t.equal(await lab.weftOk('h3', 'network', 'connect', '--alias', 'also', 'blue', 't1'), '')
  t.same(await networksOf(lab, 'h3', 't1'), { eth0: 'red', eth1: 'blue' })
  t.same(await links(t1.netns), ['eth0', 'eth1'])
  t.ok(await reaches(t1.netns, b2.ip), 'at once')
  t.ok(await reaches(t1.netns, r2.ip), 'and red as before')
  const on = (await inspect(lab, 'h1', 't1')).NetworkSettings.Networks['blue']!
  t.match(on, { Aliases: ['also'], Interface: 'eth1', IPPrefixLen: 24, MTU: 1450 })
  t.ok(await reaches(b2.netns, on.IPAddress), 'the other way, too')
  t.match(Object.values((await lab.client('h2').inspectNetwork('blue')).Containers ?? {}), [
    { Name: 'b2' },
    { Name: 't1', IPv4Address: `${on.IPAddress}/24`, Host: 'h1' },
  ])

  t.equal(await lab.weftOk('h3', 'network', 'disconnect', 'red', 'h1/t1'), '')
  t.same(await networksOf(lab, 'h1', 't1'), { eth1: 'blue' })
  t.same(await links(t1.netns), ['eth1'], 'the interface is gone')
  t.notOk(await reaches(t1.netns, r2.ip, BRIEFLY_S))
  t.ok(await reaches(t1.netns, b2.ip))
  t.notOk(Object.values((await lab.client('h2').inspectNetwork('red')).Containers ?? {}).length > 1)

  await lab.weftOk('h2', 'network', 'disconnect', 'blue', 't1')
  t.same(await networksOf(lab, 'h1', 't1'), {}, 'it may be on none, as with docker')
  t.same(await links(t1.netns), [])
  t.equal((await inspect(lab, 'h1', 't1')).State.Pid, State.Pid, 'its process knows nothing of it')
  // By its own name on its own host: no endpoint of it tells the others where it is.
  await lab.weftOk(
    'h1',
    'network',
    'connect',
    '--ip6',
    r2.ip6.replace(/[0-9a-f]+$/, '99'),
    'red',
    't1',
  )
  const back = (await inspect(lab, 'h1', 't1')).NetworkSettings.Networks['red']!
  t.match(back, { Interface: 'eth0', GlobalIPv6Address: /::99$/, IPAddress: /\.153$/ })
  t.ok(await reaches(t1.netns, r2.ip6))
  await lab.weftOk('h1', 'network', 'connect', 'blue', 't1')
}

async function outlives(t: Test, lab: Lab, r2: Sandbox, b2: Sandbox): Promise<void> {
  const { NetworkSettings } = await inspect(lab, 'h1', 't1')
  const netns = NetworkSettings.SandboxKey
  await lab.lab('kill', 'h1')
  await lab.lab('restart', 'h1')
  t.same((await inspect(lab, 'h1', 't1')).NetworkSettings, NetworkSettings)
  t.ok((await reaches(netns, b2.ip)) && (await reaches(netns, r2.ip)))

  // Wherever SIGKILL meets it: afterwards what is written down, what there is, and what others know are the same.
  const client = lab.client('h1')
  for (const delayMs of [0, 5, 10, 18]) {
    const on = Object.values(await networksOf(lab, 'h1', 't1')).includes('blue')
    const change = on
      ? client.disconnectSandbox('t1', 'blue')
      : client.connectSandbox('t1', { network: 'blue' })
    const done = change.then(
      () => true,
      () => false,
    )
    await new Promise((resolve) => setTimeout(resolve, delayMs))
    await lab.lab('kill', 'h1')
    const told = await done
    await lab.lab('restart', 'h1')
    const known = await networksOf(lab, 'h1', 't1')
    t.same(Object.keys(known).sort(), (await links(netns)).sort(), `killed after ${delayMs} ms`)
    if (told) t.not(Object.values(known).includes('blue'), on, 'what was said to be done is done')
    for (const [network, peer] of [
      ['red', r2],
      ['blue', b2],
    ] as const) {
      const is = Object.values(known).includes(network)
      const waitS = is ? undefined : BRIEFLY_S
      t.equal(await reaches(netns, peer.ip, waitS), is, `${network}: ${String(is)}`)
      await eventually(async () => {
        const containers = (await lab.client('h2').inspectNetwork(network)).Containers ?? {}
        return Object.values(containers).some(({ Name }) => Name === 't1') === is
      })
    }
  }
  await lab.weftOk('h1', 'rm', '-f', 't1')
}

async function attached(t: Test, lab: Lab, b2: Sandbox): Promise<void> {
  const x = await lab.addNetns('x')
  await lab.weftOk('h1', 'attach', '--network', 'red', '--netns', x, '--name', 'a1')
  await lab.weftOk('h2', 'network', 'connect', '--interface', 'more', 'blue', 'a1')
  t.same(await links(`/run/netns/${x}`), ['eth0', 'more'])
  t.ok(await reaches(`/run/netns/${x}`, b2.ip))
  await lab.weftOk('h1', 'network', 'disconnect', 'red', 'a1')
  await lab.weftOk('h1', 'network', 'disconnect', 'blue', 'a1')
  t.same(await links(`/run/netns/${x}`), [])
  t.match(await lab.weftOk('h1', 'ps'), /Attached .* a1\n/, 'it is still attached, to nothing')
  await lab.weftOk('h1', 'detach', 'a1')

  await lab.weftOk('h1', 'attach', '--network', 'red', '--host', '--name', 'host')
  await lab.weftOk('h1', 'network', 'connect', 'blue', 'host')
  t.same(await links(lab.netns('h1')), ['eth0', 'weft0', 'weft1'])
  t.ok(await reaches(lab.netns('h1'), b2.ip))
  await lab.weftOk('h1', 'detach', 'host')
  t.same(await links(lab.netns('h1')), ['eth0'])
}

async function several(t: Test, lab: Lab, r2: Sandbox, b2: Sandbox): Promise<void> {
  const networks = ['--network', 'red', '--network', 'name=blue,alias=b1,interface=lan']
  const aliases = ['--network-alias', 'web', '--network-alias', 'www']
  await lab.weftOk('h1', 'run', '-d', ...networks, ...aliases, '--name', 'm1', '--', 'sleep', '99')
  const { NetworkSettings } = await inspect(lab, 'h3', 'm1')
  t.match(NetworkSettings.Networks, {
    red: { Interface: 'eth0', Aliases: ['web', 'www'] },
    blue: { Interface: 'lan', Aliases: ['b1', 'web', 'www'] },
  })
  t.ok(await reaches(NetworkSettings.SandboxKey, r2.ip))
  t.ok(await reaches(NetworkSettings.SandboxKey, b2.ip))
  t.match(await lab.weftOk('h1', 'ps'), / red,blue +10\.[\d.]+,10\.[\d.]+ +m1\n/)
  await lab.weftOk('h1', 'rm', '-f', 'm1')
}

async function refused(t: Test, lab: Lab): Promise<void> {
  await lab.sandbox('h1', 'red', 't1')
  await lab.weftOk('h1', 'run', '--network', 'red', '--name', 'past', '--', 'true')
  const connect = (...argv: string[]) => ['network', 'connect', ...argv]
  const disconnect = (...argv: string[]) => ['network', 'disconnect', ...argv]
  const long = 'x'.repeat(300)
  const aliases = Array.from({ length: 17 }, (_, index) => ['--alias', `a${index}`]).flat()
  const rows: readonly [readonly string[], number, RegExp][] = [
    [connect('red', 't1'), 1, /sandbox t1 is on network red already; it can be on it once/],
    [connect('nowhere', 't1'), 1, /no network 'nowhere'; see weft network ls --all/],
    [connect('blue', 'nobody'), 1, /no sandbox nobody on this host/],
    [connect('blue', 'h9/t1'), 1, /no host h9 is up in this cluster/],
    [connect('blue', 'past'), 1, /sandbox past has ended/],
    [connect(long, 't1'), 1, /no network 'x+/],
    [connect('blue', long), 1, /no sandbox x+/],
    [connect('--alias', long, 'blue', 't1'), 2, /alias name 'x+'\.\.\. has 300 characters/],
    [
      connect('--alias', 'a.b', 'blue', 't1'),
      2,
      /'a\.b' is not a alias name|'a\.b' is not an? alias/,
    ],
    [connect(...aliases, 'blue', 't1'), 2, /at most 16 aliases/],
    [connect('--ip', '192.0.2.1', 'blue', 't1'), 2, /192\.0\.2\.1 is not in network blue/],
    [connect('--ip', '10.0.1', 'blue', 't1'), 2, /10\.0\.1/],
    [connect('--ip6', 'fd00::1', 'blue', 't1'), 2, /network blue has no IPv6; leave --ip6 out/],
    [connect('--interface', 'eth0', 'blue', 't1'), 1, /interface eth0 exists/],
    [connect('--interface', 'a/b', 'blue', 't1'), 2, /'a\/b'/],
    [connect('blue'), 2, /missing required argument 'name'/],
    [disconnect('blue', 't1'), 1, /sandbox t1 is not on network blue; it is on red/],
    [disconnect('nowhere', 't1'), 1, /no network 'nowhere'/],
    [disconnect('red', 'past'), 1, /sandbox past has ended/],
    [['network', 'update', 'red'], 2, /--subnet-add CIDR/],
    [['network', 'update', '--subnet-add', '10.1.2.3/24', 'red'], 2, /host bits/],
    [['network', 'update', '--subnet-add', '10.60.0.0/24', 'nowhere'], 1, /no network 'nowhere'/],
    [['network', 'update', '--subnet-add', '10.60.0.0/24', 'demo'], 2, /facts file/],
    [['network', 'update', '--subnet-add', 'fd00:5::/64', 'blue'], 2, /made without IPv6/],
    [
      ['network', 'update', '--subnet-add', '10.60.0.0/24', '--gateway', '10.61.0.1', 'red'],
      2,
      /gateway 10\.61\.0\.1 is outside of 10\.60\.0\.0\/24/,
    ],
    [
      ['network', 'update', '--subnet-add', '172.31.1.0/25', 'red'],
      1,
      /overlaps route 172\.31\.1\./,
    ],
  ]
  const picture = async () => ({
    inspect: await inspect(lab, 'h1', 't1'),
    links: await links((await inspect(lab, 'h1', 't1')).NetworkSettings.SandboxKey),
    networks: (await lab.client('h2').status()).networks,
    files: readdirSync(`${lab.directories('h1').stateDir}/sandboxes`),
  })
  const before = await picture()
  for (const [argv, code, message] of rows) {
    const result = await lab.weft('h1', argv)
    t.match(result, { code, stdout: '', stderr: message }, argv.join(' ').slice(0, 80))
    t.match(result.stderr, /^weft: [^\n]+\n$/, 'one line')
  }
  t.same(await picture(), before, 'nothing half-done')

  // Two at once: they follow each other, and one is refused.
  const twice = await Promise.allSettled(
    ['h1', 'h2'].map((host) => lab.client(host).connectSandbox('h1/t1', { network: 'blue' })),
  )
  t.same(twice.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  t.same(await networksOf(lab, 'h1', 't1'), { eth0: 'red', eth1: 'blue' })
  await lab.weftOk('h1', 'rm', '-f', 't1', 'past')
}

async function grows(t: Test, lab: Lab): Promise<void> {
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.50.0.0/30', 'wide')
  const w1 = await lab.sandbox('h1', 'wide', 'w1')
  const start = ['run', '-d', '--network', 'wide', '--name', 'w2', '--', 'sleep', '99']
  t.match(await lab.weft('h2', start), { code: 1, stderr: /1 of 1 held \(10\.50\.0\.0\/30\)/ })
  const add = ['network', 'update', '--subnet-add', '10.51.0.0/24', '--gateway', '10.51.0.254']
  t.equal(await lab.weftOk('h3', ...add, 'wide'), 'wide\n')
  t.match(await lab.weft('h3', [...add, 'wide']), {
    code: 1,
    stderr: /subnet 10\.51\.0\.0\/24 overlaps 10\.51\.0\.0\/24 of network wide/,
  })
  t.match(await lab.client('h2').inspectNetwork('wide'), {
    IPAM: {
      Config: [
        { Subnet: '10.50.0.0/30', Gateway: '10.50.0.1' },
        { Subnet: '10.51.0.0/24', Gateway: '10.51.0.254' },
      ],
    },
    Options: { 'com.docker.network.driver.overlay.vxlanid_list': /^\d+,\d+$/ },
  })
  const w2 = await lab.sandbox('h2', 'wide', 'w2')
  t.match(w2.ip, /^10\.51\.0\./, 'there is room again')
  const route = () => w1.ok('ip', 'route', 'show', '10.51.0.0/24')
  await eventually(async () => (await route()).includes('via 10.50.0.1 dev eth0'))
  t.ok(await reaches(w1.netns, w2.ip), 'who was there is routed to who comes')
  t.ok(await reaches(w2.netns, w1.ip))

  // While a daemon is away, too.
  await lab.lab('kill', 'h1')
  await lab.weftOk('h2', 'network', 'update', '--subnet-add', '10.52.0.0/24', 'wide')
  await lab.lab('restart', 'h1')
  const w3 = await lab.sandbox('h3', 'wide', 'w3', undefined, ['--ip', '10.52.0.9'])
  await eventually(async () => await reaches(w1.netns, w3.ip))
  await Promise.all([
    lab.weftOk('h1', 'rm', '-f', 'w1'),
    lab.weftOk('h2', 'rm', '-f', 'w2'),
    lab.weftOk('h3', 'rm', '-f', 'w3'),
  ])
  await lab.weftOk('h3', 'network', 'rm', 'wide')
  t.same(
    (await lab.client('h1').fdb()).filter(({ network }) => network === 'wide'),
    [],
  )
}

async function listed(t: Test, lab: Lab): Promise<void> {
  await lab.sandbox('h1', 'red', 't1')
  const rows = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/))
  const [header, ...all] = rows(await lab.weftOk('h3', 'ps', '--cluster'))
  t.same(header, ['ID', 'COMMAND', 'CREATED', 'STATUS', 'HOST', 'NETWORKS', 'IP', 'NAMES'])
  t.same(
    all.map((row) => [row[4], row.at(-1)]),
    [
      ['h1', 't1'],
      ['h2', 'b2'],
      ['h2', 'r2'],
    ],
  )
  const [plain, ...ofH2] = rows(await lab.weftOk('h3', 'ps', '--host', 'h2'))
  t.same(plain, ['ID', 'COMMAND', 'CREATED', 'STATUS', 'NETWORKS', 'IP', 'NAMES'])
  t.same(
    ofH2.map((row) => row.at(-1)),
    ['b2', 'r2'],
  )
  t.equal(await lab.weftOk('h1', 'ps', '-q', '--host', 'h1'), await lab.weftOk('h1', 'ps', '-q'))
  t.match(await lab.weft('h1', ['ps', '--host', 'h9']), { code: 1, stderr: /no host h9 is up/ })
  t.match(await lab.weft('h1', ['ps', '--host', 'h2', '--cluster']), { code: 2 })
  await lab.lab('kill', 'h2')
  // Believed up still, or known to be down already: either way it is said, or nothing of it is listed.
  const { code, stdout, stderr } = await lab.weft('h3', ['ps', '--cluster', '--format', 'json'])
  t.notMatch(stdout, /"Host":"h2"/)
  t.match(stdout, /"Host":"h1"/)
  t.equal(code === 1, /^weft: the sandboxes of h2 are missing: /m.test(stderr), stderr)
  await lab.lab('restart', 'h2')
}

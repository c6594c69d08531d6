// Networks are made by a verb on one host and used on others; addresses come by themselves. The articles' first walk, and what is refused.
//
//      h1 172.31.1.11 ── r ── 192.168.1.12 h2        h3 172.31.1.13

import type { Test } from 'tap'
import type { NetworkInspect } from '../../src/api/network-types.ts'
import { eventually } from '../fixtures/commands.ts'
import { inLab, type Lab } from '../fixtures/lab.ts'

const PATIENCE_MS = 10_000

inLab('networks', 3, async (t, lab) => {
  await t.test('the first walk: a network over two hosts', (t) => walk(t, lab))
  await t.test('addresses come by themselves, also IPv6, each once', (t) => addresses(t, lab))
  await t.test('subnets as they are asked for, several are routed', (t) => subnets(t, lab))
  await t.test('a network that is full says so with numbers', (t) => full(t, lab))
  await t.test('what cannot be is refused in one line', (t) => refused(t, lab))
  await t.test('a route of any host is in the way', (t) => routes(t, lab))
  await t.test('networks of all hosts at once', (t) => together(t, lab))
})

/** What `network ls` lists there, by name. */
async function listed(lab: Lab, host: string, ...flags: string[]): Promise<string[]> {
  const text = await lab.weftOk(host, 'network', 'ls', '--format', 'json', ...flags)
  const rows = text.split('\n').filter((line) => line !== '')
  return rows.map((line) => (JSON.parse(line) as { Name: string }).Name)
}

async function inspect(lab: Lab, host: string, network: string): Promise<NetworkInspect> {
  const text = await lab.weftOk(host, 'network', 'inspect', network)
  return (JSON.parse(text) as NetworkInspect[])[0]!
}

async function walk(t: Test, lab: Lab): Promise<void> {
  const id = (await lab.weftOk('h1', 'network', 'create', 'uber-net')).trim()
  t.match(id, /^[0-9a-z]{25}$/)
  t.match(
    await lab.weftOk('h1', 'network', 'ls'),
    new RegExp(
      `^NETWORK ID +NAME +DRIVER +SCOPE\n[^]*^${id.slice(0, 12)} +uber-net +overlay +swarm$`,
      'm',
    ),
  )
  t.notOk((await listed(lab, 'h2')).includes('uber-net'), 'h2 does not list it before it uses it')
  t.ok((await listed(lab, 'h2', '--all')).includes('uber-net'), 'but knows it')
  t.equal((await inspect(lab, 'h2', 'uber-net')).Containers, null)

  const t1 = await lab.sandbox('h1', 'uber-net', 't1')
  const t2 = await lab.sandbox('h2', 'uber-net', 't2')
  t.ok((await listed(lab, 'h2')).includes('uber-net'), 'it is there while an endpoint is')
  t.notOk((await listed(lab, 'h3')).includes('uber-net'), 'and nowhere else')
  for (const { ip, mac, gateway } of [t1, t2]) {
    t.match(ip, /^10\.\d+\.\d+\.\d+$/)
    t.equal(gateway, ip.replace(/\d+$/, '1'))
    const bytes = ip.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))
    t.equal(mac, `02:42:${bytes.join(':')}`, 'the MAC follows the address')
  }
  for (const host of ['h1', 'h2', 'h3']) {
    const shown = await inspect(lab, host, id.slice(0, 8))
    t.match(shown, {
      Name: 'uber-net',
      Id: id,
      Scope: 'swarm',
      Driver: 'overlay',
      EnableIPv6: false,
      IPAM: { Config: [{ Subnet: /^10\.\d+\.\d+\.0\/24$/, Gateway: t1.gateway }] },
      Options: { 'com.docker.network.driver.mtu': '1450' },
      Peers: [
        { Name: /^h1-[0-9a-f]{12}$/, IP: '172.31.1.11' },
        { Name: /^h2-[0-9a-f]{12}$/, IP: '192.168.1.12' },
      ],
    })
    const containers = Object.values(shown.Containers ?? {})
    t.same(
      containers.map(({ Name, IPv4Address, Host }) => [Name, IPv4Address, Host]),
      [
        ['t1', `${t1.ip}/24`, 'h1'],
        ['t2', `${t2.ip}/24`, 'h2'],
      ],
      `the same endpoints, seen from ${host}`,
    )
  }
  // As the README's tour has it.
  const inT1 = (...argv: string[]) => lab.weftOk('h1', 'exec', 't1', '--', ...argv)
  t.match(await inT1('ping', '-c', '3', t2.ip), / 0% packet loss/)
  t.match(await t1.ok('ip', 'neigh', 'show', t2.ip), new RegExp(t2.mac))
  const hops = await inT1('traceroute', t2.ip)
  t.match(hops, new RegExp(`^ 1  .*${t2.ip.replaceAll('.', '\\.')}.*$`, 'm'), 'one hop')
  t.notMatch(hops, /^ 2 /m)

  t.match(await lab.weft('h3', ['network', 'rm', 'uber-net']), {
    code: 1,
    stdout: '',
    stderr: 'weft: network uber-net is in use by t1 on h1, t2 on h2; end them first with weft rm\n',
  })
  await lab.weftOk('h3', 'rm', '-f', 'h1/t1', 'h2/t2')
  t.notOk((await listed(lab, 'h2')).includes('uber-net'), 'with the last endpoint it goes from h2')
  t.equal(await lab.weftOk('h3', 'network', 'rm', 'uber-net'), 'uber-net\n')
  for (const host of ['h1', 'h2', 'h3']) {
    t.notOk((await listed(lab, host, '--all')).includes('uber-net'), `gone from ${host}`)
  }
}

async function addresses(t: Test, lab: Lab): Promise<void> {
  await lab.weftOk('h2', 'network', 'create', '--ipv6', 'six')
  const hosts = ['h1', 'h2', 'h3']
  // Two on each host, all at once.
  const all = await Promise.all(
    hosts.flatMap((host) => ['a', 'b'].map((letter) => lab.sandbox(host, 'six', `s${letter}`))),
  )
  t.equal(new Set(all.map(({ ip }) => ip)).size, all.length, all.map(({ ip }) => ip).join(' '))
  t.equal(new Set(all.map(({ ip6 }) => ip6)).size, all.length, all.map(({ ip6 }) => ip6).join(' '))
  for (const { ip6 } of all) t.match(ip6, /^fd[0-9a-f]{2}:/)
  const [first, , , , , last] = all
  t.match(await first!.ok('ping', '-c', '2', '-i', '0.2', last!.ip), / 0% packet loss/)
  t.match(await first!.ok('ping', '-6', '-c', '2', '-i', '0.2', last!.ip6), / 0% packet loss/)

  const { ip } = first!
  await lab.weftOk('h1', 'rm', '-f', 'sa')
  const again = await lab.sandbox('h1', 'six', 'sa')
  t.not(again.ip, ip, 'what was released is not given again at once')
  const asked = await lab.sandbox('h3', 'six', 'asked', undefined, ['--ip', ip])
  t.equal(asked.ip, ip, 'but to whom asks for it')
  t.match(await lab.weft('h2', ['run', '--network', 'six', '--ip', ip, '--', 'true']), {
    code: 1,
    stderr: new RegExp(`^weft: address ${ip} of network six is held by asked on h3; choose`),
  })
  await Promise.all([
    ...hosts.map((host) => lab.weftOk(host, 'rm', '-f', 'sa', 'sb')),
    lab.weftOk('h3', 'rm', '-f', 'asked'),
  ])
  await lab.weftOk('h1', 'network', 'rm', 'six')
}

async function subnets(t: Test, lab: Lab): Promise<void> {
  const flags = ['--subnet', '10.31.1.0/24', '--subnet', '10.31.2.0/24', '--gateway', '10.31.2.254']
  const range = ['--ip-range', '10.31.1.128/25', '--opt', 'mtu=1400', '--label', 'who=me']
  await lab.weftOk('h1', 'network', 'create', ...flags, ...range, '--attachable', 'two')
  const shown = await inspect(lab, 'h3', 'two')
  t.match(shown, {
    Attachable: true,
    IPAM: {
      Config: [
        { Subnet: '10.31.1.0/24', IPRange: '10.31.1.128/25', Gateway: '10.31.1.1' },
        { Subnet: '10.31.2.0/24', Gateway: '10.31.2.254' },
      ],
    },
    Labels: { who: 'me' },
    Options: {
      'com.docker.network.driver.overlay.vxlanid_list': /^\d+,\d+$/,
      'com.docker.network.driver.mtu': '1400',
    },
  })
  const t1 = await lab.sandbox('h1', 'two', 't1')
  const t2 = await lab.sandbox('h2', 'two', 't2', undefined, ['--ip', '10.31.2.7'])
  t.ok(Number(t1.ip.split('.')[3]) >= 128, `${t1.ip} is of the range`)
  t.match(t1.ip, /^10\.31\.1\./)
  t.match(await t1.ok('ip', 'link', 'show', 'eth0'), /mtu 1400 /)
  t.match(await t1.ok('ping', '-c', '2', '-i', '0.2', t2.ip), / 0% packet loss/, 'routed')
  await Promise.all([lab.weftOk('h1', 'rm', '-f', 't1'), lab.weftOk('h2', 'rm', '-f', 't2')])
  await lab.weftOk('h2', 'network', 'rm', 'two')
}

async function full(t: Test, lab: Lab): Promise<void> {
  await lab.weftOk('h1', 'network', 'create', '--subnet', '10.32.0.0/29', 'small')
  const ips: string[] = []
  for (const host of ['h1', 'h2', 'h3', 'h1', 'h2']) {
    ips.push((await lab.sandbox(host, 'small', `f${ips.length}`)).ip)
  }
  t.same(
    ips.sort(),
    [2, 3, 4, 5, 6].map((last) => `10.32.0.${last}`),
  )
  t.match(await lab.weft('h3', ['run', '--network', 'small', '--name', 'f9', '--', 'true']), {
    code: 1,
    stderr: /^weft: network small has no free address: 5 of 5 held \(10\.32\.0\.0\/29\)[^\n]*\n$/,
  })
  t.same(
    (await lab.client('h3').listSandboxes(true)).map(({ name }) => name),
    ['f2'],
    'nothing is half-made',
  )
  await Promise.all([
    lab.weftOk('h1', 'rm', '-f', 'f0', 'f3'),
    lab.weftOk('h2', 'rm', '-f', 'f1', 'f4'),
    lab.weftOk('h3', 'rm', '-f', 'f2'),
  ])
  await lab.weftOk('h1', 'network', 'rm', 'small')
}

async function refused(t: Test, lab: Lab): Promise<void> {
  const before = await listed(lab, 'h1', '--all')
  await lab.weftOk('h2', 'network', 'create', '--subnet', '10.33.0.0/16', 'there')
  const create = (...argv: string[]) => ['network', 'create', ...argv]
  const rows: readonly [readonly string[], RegExp][] = [
    [create('there'), /network there exists \([0-9a-z]{12}, made on h2\); choose another name/],
    [create('demo'), /network demo exists \([0-9a-z]{12}, of the facts file\)/],
    [create('x'.repeat(300)), /network name 'x+'\.\.\. has 300 characters; use at most 63/],
    [create('a b'), /'a b' is not a network name/],
    [create('--subnet', '10.33.4.0/24', 'n'), /overlaps 10\.33\.0\.0\/16 of network there/],
    [create('--subnet', '10.34.0.1/24', 'n'), /has host bits; write 10\.34\.0\.0\/24/],
    [create('--subnet', '10.34.0.0/31', 'n'), /no room for a gateway and an endpoint; use \/30/],
    [create('--subnet', '10.34.0.0/32', 'n'), /no room/],
    [create('--subnet', 'fd00::1::/64', 'n'), /fd00::1::/],
    [create('--subnet', 'fd00::/127', 'n'), /no room/],
    [create('--subnet', '224.0.0.0/8', 'n'), /multicast/],
    [
      create('--subnet', '10.34.0.0/24', '--gateway', '10.35.0.1', 'n'),
      /gateway 10\.35\.0\.1 is outside of 10\.34\.0\.0\/24/,
    ],
    [create('--subnet', '10.34.0.0/24', '--gateway', '10.34.0.255', 'n'), /broadcast address/],
    [create('--gateway', '10.34.0.1', 'n'), /needs its subnet/],
    [
      create('--subnet', '10.34.0.0/24', '--ip-range', '10.35.0.0/24', 'n'),
      /ip-range 10\.35\.0\.0\/24 is outside/,
    ],
    [
      create('--subnet', '10.34.0.0/24', '--subnet', '10.34.0.0/25', 'n'),
      /10\.34\.0\.0\/24 and 10\.34\.0\.0\/25 overlap/,
    ],
    [create('--opt', 'mtu=60', 'n'), /MTU '60' cannot be/],
    [create('--opt', 'encrypted', 'n'), /not encrypted/],
    [create('-d', 'bridge', 'n'), /no driver 'bridge'/],
    [['network', 'rm', 'nowhere'], /no network 'nowhere'; see weft network ls --all/],
    [['network', 'rm', 'demo'], /network demo stands in the facts file; remove it there/],
    [
      ['run', '--network', 'there', '--network', 'there', '--name', 'n', '--', 'true'],
      /sandbox n is on network there already/,
    ],
    [
      ['run', '--network', 'there', '--ip', '10.34.0.9', '--', 'true'],
      /10\.34\.0\.9 is not in network there \(10\.33\.0\.0\/16\)/,
    ],
    [['run', '--network', 'there', '--ip', '10.33.0.0', '--', 'true'], /network address/],
  ]
  for (const [argv, message] of rows) {
    const { code, stdout, stderr } = await lab.weft('h1', argv)
    t.not(code, 0, argv.join(' ').slice(0, 80))
    t.equal(stdout, '')
    t.match(stderr, message)
    t.match(stderr, /^weft: [^\n]+\n$/, 'one line')
  }
  t.same(await listed(lab, 'h1', '--all'), [...before, 'there'].sort(), 'nothing is half-made')
  t.same(await lab.client('h1').listSandboxes(true), [])
  await lab.weftOk('h1', 'network', 'rm', 'there')
}

async function routes(t: Test, lab: Lab): Promise<void> {
  await lab.on('h3', ['ip', 'route', 'add', '10.77.0.0/16', 'via', '172.31.1.1'])
  await eventually(async () => {
    const { Dataplane } = await lab.client('h2').inspectNode('h3')
    return Dataplane.Routes.includes('10.77.0.0/16')
  }, PATIENCE_MS)
  const create = ['network', 'create', '--subnet', '10.77.3.0/24', 'n']
  t.match(await lab.weft('h2', create), {
    code: 1,
    stderr: 'weft: subnet 10.77.3.0/24 overlaps route 10.77.0.0/16 of host h3; choose another\n',
  })
  await lab.on('h2', ['ip', 'route', 'add', '10.78.0.0/16', 'via', '192.168.1.1'])
  t.match(
    await lab.weft('h2', ['network', 'create', '--subnet', '10.78.3.0/24', 'n']),
    { code: 1, stderr: /overlaps route 10\.78\.0\.0\/16 of host h2/ },
    "this host's own at once",
  )
  await lab.on('h3', ['ip', 'route', 'del', '10.77.0.0/16'])
  await lab.on('h2', ['ip', 'route', 'del', '10.78.0.0/16'])
}

async function together(t: Test, lab: Lab): Promise<void> {
  const hosts = ['h1', 'h2', 'h3']
  const ids = await Promise.all(
    [0, 1, 2, 3].flatMap((n) =>
      hosts.map((host) => lab.client(host).createNetwork(plain(`n${n}${host}`))),
    ),
  )
  const all = await Promise.all(ids.map(({ id }) => lab.client('h2').inspectNetwork(id)))
  const of = (pick: (network: NetworkInspect) => string | undefined) => new Set(all.map(pick)).size
  t.equal(
    of(({ IPAM }) => IPAM.Config[0]?.Subnet),
    all.length,
    'each has a subnet of its own',
  )
  t.equal(
    of(({ Options }) => Options['com.docker.network.driver.overlay.vxlanid_list']),
    all.length,
  )

  const same = await Promise.allSettled(
    hosts.map((host) => lab.client(host).createNetwork(plain('same'))),
  )
  const made = same.filter(({ status }) => status === 'fulfilled')
  t.equal(made.length, 1, 'of three that want one name one gets it')
  await lab.weftOk('h3', 'network', 'rm', 'same', ...ids.map(({ id }) => id))
}

function plain(name: string) {
  const none = { subnets: [], gateways: [], ipRanges: [], options: {}, labels: {} }
  return { name, ...none, ipv6: false, internal: false, attachable: false }
}

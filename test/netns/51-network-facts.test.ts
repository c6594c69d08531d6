// Facts 13 to 37 of how Docker's overlay behaves (docs/networks.md), one by one, as far as they are of networks and endpoints.
//
//      h1 172.31.1.11 ── r ── 192.168.1.12 h2        h3 172.31.1.13
//      │ t1 uber-net           │ t2 uber-net
//      │ o1 other-net          tcpdump on r

import type { Test } from 'tap'
import type { NetworkInspect } from '../../src/api/network-types.ts'
import { Capture, ETHERTYPE } from '../fixtures/capture.ts'
import { eventually } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const VNI_LIST = 'com.docker.network.driver.overlay.vxlanid_list'

inLab('network facts', 3, async (t, lab) => {
  const names = ['uber-net', 'other-net', 'third-net']
  await t.test('13: network ls has docker’s columns; there is no default set', async (t) => {
    const [header, ...rows] = (await lab.weftOk('h1', 'network', 'ls')).trimEnd().split('\n')
    t.match(header, /^NETWORK ID +NAME +DRIVER +SCOPE$/)
    // Those of the lab's facts file, and no bridge, host, none.
    t.same(
      rows.map((row) => row.split(/ +/).slice(1)),
      ['demo', 'other', 'routed'].map((name) => [name, 'overlay', 'swarm']),
    )
  })
  const ids: string[] = []
  await t.test('14: create prints an id of 25 characters', async (t) => {
    for (const name of names) {
      ids.push((await lab.weftOk('h1', 'network', 'create', '-d', 'overlay', name)).trim())
    }
    for (const id of ids) t.match(id, /^[0-9a-z]{25}$/)
  })
  await t.test('15: default subnets are /24 of 10.0.0.0/8, each its own, gateway .1', (t) =>
    subnets(t, lab, names),
  )
  await t.test('16: --subnet is taken as it is, and once', async (t) => {
    await lab.weftOk('h1', 'network', 'create', '--subnet=172.30.0.0/24', 'fixed')
    const { Config } = (await inspect(lab, 'h2', 'fixed')).IPAM
    t.same(Config, [{ Subnet: '172.30.0.0/24', Gateway: '172.30.0.1' }])
    const again = ['network', 'create', '--subnet=172.30.0.0/24', 'again']
    t.match(await lab.weft('h2', again), {
      code: 1,
      stderr: /overlaps 172\.30\.0\.0\/24 of network/,
    })
  })
  await t.test('17: two subnets are one network, routed between hosts', (t) => routed(t, lab))

  await t.test('21: a network that nobody uses has no containers and no peers', async (t) => {
    const unused = await inspect(lab, 'h3', 'uber-net')
    t.equal(unused.Containers, null)
    t.notOk('Peers' in unused)
    // Docker forgets when it was made on hosts that do not use it; here all know.
    t.match(unused.Created, /^20\d\d-/)
  })
  await t.test('23: a host lists a network while it uses it', (t) => lazy(t, lab))
  const t1 = await lab.sandbox('h1', 'uber-net', 't1')
  const t2 = await lab.sandbox('h2', 'uber-net', 't2')
  const o1 = await lab.sandbox('h1', 'other-net', 'o1')
  await t.test('18, 24, 33, 34, 36: what the underlay sees of a ping', (t) =>
    underlay(t, lab, t1, t2),
  )
  await t.test('19, 20: network inspect has docker’s keys, and a peer for each host', (t) =>
    shape(t, lab, ids[0]!, t1, t2),
  )
  await t.test('22: every process may join, with or without --attachable', async (t) => {
    const x = await lab.addNetns('x')
    t.equal((await inspect(lab, 'h1', 'uber-net')).Attachable, false)
    await lab.weftOk('h1', 'attach', '--network', 'uber-net', '--netns', x, '--name', 'x')
    await lab.weftOk('h1', 'detach', 'x')
  })
  await t.test('25: neither the host nor another network reaches an endpoint', async (t) => {
    const ping = ['ping', '-n', '-c', '1', '-W', '1', t1.ip]
    t.not((await lab.on('h1', ping)).code, 0, 'its own host')
    t.not((await lab.on('h2', ping)).code, 0, 'another')
    t.not((await lab.on('c', ping)).code, 0, 'who is outside')
    t.not((await o1.run(ping)).code, 0, 'another network on the same host')
    t.equal(await t1.ok('ip', 'route', 'show', 'default'), '', 'nor is there a way out')
    await lab.weftOk('h1', 'network', 'create', '--internal', 'inner')
    t.equal((await inspect(lab, 'h2', 'inner')).Internal, true)
    const i1 = await lab.sandbox('h1', 'inner', 'i1')
    const lines = (text: string) => text.replaceAll(/\d+\.\d+\.\d+\.\d+/g, 'IP').split('\n')
    t.same(
      lines(await i1.ok('ip', 'route')),
      lines(await t1.ok('ip', 'route')),
      '--internal is what every network is',
    )
    await lab.weftOk('h1', 'rm', '-f', 'i1')
  })
  await t.test('26, 28: MAC and link-local address follow the IPv4 address; eth0, then eth1', (t) =>
    interfaces(t, lab, t1),
  )
  await t.test('27: 1422 bytes of ping fit, 1423 are refused at once', async (t) => {
    t.match(await t1.ok('ip', 'link', 'show', 'eth0'), /mtu 1450 /)
    const whole = ['ping', '-n', '-c', '1', '-W', '2', '-M', 'do', '-s']
    t.equal((await t1.run([...whole, '1422', t2.ip])).code, 0)
    const large = await t1.run([...whole, '1423', t2.ip])
    t.match(`${large.stdout}${large.stderr}`, /message too long, mtu=1450/i)
  })
  await t.test('29, 30: no address is anybody’s but a gateway’s and an endpoint’s', async (t) => {
    const { Containers, IPAM } = await inspect(lab, 'h1', 'uber-net')
    const held = Object.values(Containers ?? {}).map(({ IPv4Address }) => IPv4Address)
    t.same(held.sort(), [`${t1.ip}/24`, `${t2.ip}/24`].sort(), 'no load balancer’s on each host')
    for (const ip of [t1.ip, t2.ip]) t.not(ip, IPAM.Config[0]!.Gateway)
    const rows = (await lab.client('h1').neighbours()).filter(
      ({ network }) => network === 'uber-net',
    )
    const ipv4 = rows.map(({ ip }) => ip).filter((ip) => !ip.includes(':'))
    t.same(ipv4.sort(), [t1.gateway, t1.ip, t2.ip].sort())
  })
  await t.test('35: a new endpoint is known on the other hosts within a second', async (t) => {
    const began = Date.now()
    const t3 = await lab.client('h3').createSandbox({
      ...{ kind: 'run', name: 't3', env: {}, tty: false, detach: true },
      argv: ['sleep', 'infinity'],
      attachments: [{ network: 'uber-net' }],
    })
    const { IPAddress, MacAddress } = t3.NetworkSettings.Networks['uber-net']!
    await eventually(async () => {
      const fdb = (await lab.client('h1').fdb()).find(({ mac }) => mac === MacAddress)
      const neighbour = (await lab.client('h1').neighbours()).find(({ ip }) => ip === IPAddress)
      return fdb?.vtep === '172.31.1.13' && neighbour?.mac === MacAddress
    }, 5_000)
    const tookMs = Date.now() - began
    t.ok(tookMs <= 1_000, `${tookMs} ms from the request on h3 to the rows on h1`)
    await lab.weftOk('h3', 'rm', '-f', 't3')
  })
  await t.test('37: an endpoint of another host is one hop away', async (t) => {
    const hops = await t1.ok('traceroute', '-n', '-q', '1', '-N', '1', '-w', '2', t2.ip)
    t.match(hops, new RegExp(`^ 1  ${t2.ip.replaceAll('.', '\\.')} `, 'm'))
    t.notMatch(hops, /^ 2 /m)
  })
})

async function inspect(lab: Lab, host: string, network: string): Promise<NetworkInspect> {
  const text = await lab.weftOk(host, 'network', 'inspect', network)
  return (JSON.parse(text) as NetworkInspect[])[0]!
}

async function listed(lab: Lab, host: string): Promise<string> {
  return await lab.weftOk(host, 'network', 'ls')
}

async function subnets(t: Test, lab: Lab, names: readonly string[]): Promise<void> {
  const all = await Promise.all(names.map((name) => inspect(lab, 'h2', name)))
  const configs = all.map(({ IPAM }) => IPAM.Config)
  for (const [config, more] of configs) {
    t.equal(more, undefined)
    t.match(config, { Subnet: /^10\.\d+\.\d+\.0\/24$/, Gateway: /^10\.\d+\.\d+\.1$/ })
    t.equal(config!.Gateway.replace(/1$/, '0/24'), config!.Subnet)
  }
  t.equal(new Set(configs.map(([config]) => config!.Subnet)).size, names.length)
}

async function routed(t: Test, lab: Lab): Promise<void> {
  const two = ['--subnet=10.1.16.0/24', '--subnet=11.1.1.0/24']
  await lab.weftOk('h1', 'network', 'create', ...two, 'two')
  t.match((await inspect(lab, 'h1', 'two')).Options[VNI_LIST], /^\d+,\d+$/)
  const r1 = await lab.sandbox('h1', 'two', 'r1', undefined, ['--ip', '10.1.16.7'])
  const r2 = await lab.sandbox('h2', 'two', 'r2', undefined, ['--ip', '11.1.1.7'])
  t.match(await r1.ok('ping', '-n', '-c', '2', '-i', '0.1', r2.ip), / 0% packet loss/)
  await Promise.all([lab.weftOk('h1', 'rm', '-f', 'r1'), lab.weftOk('h2', 'rm', '-f', 'r2')])
}

async function lazy(t: Test, lab: Lab): Promise<void> {
  t.notMatch(await listed(lab, 'h2'), /uber-net/, 'not yet')
  await lab.sandbox('h2', 'uber-net', 'first')
  t.match(await listed(lab, 'h2'), /uber-net +overlay +swarm$/m, 'now')
  t.notMatch(await listed(lab, 'h3'), /uber-net/, 'only there')
  await lab.weftOk('h2', 'rm', '-f', 'first')
  t.notMatch(await listed(lab, 'h2'), /uber-net/, 'no longer')
}

async function underlay(t: Test, lab: Lab, t1: Sandbox, t2: Sandbox): Promise<void> {
  const vni = Number((await inspect(lab, 'h1', 'uber-net')).Options[VNI_LIST])
  t.ok(vni >= 4097)
  await t1.run(['ip', 'neigh', 'flush', 'dev', 'eth0'])
  const capture = await Capture.start(lab, `${t.testdir()}/underlay.pcap`)
  const ping = await t1.ok('ping', '-n', '-c', '3', '-i', '0.2', t2.ip)
  t.match(ping, /64 bytes from .*: icmp_seq=1 ttl=64 time=/, '36: ttl 64')
  t.match(ping, / 0% packet loss/, '24')
  t.match(
    await t1.ok('ip', 'neigh', 'show', t2.ip),
    new RegExp(`dev eth0 lladdr ${t2.mac} `),
    '24, 34: it has t2’s own MAC',
  )
  const { packets } = await capture.stop()
  const of = packets.filter(
    ({ inner }) => inner !== null && [t1.mac, t2.mac].includes(inner.source),
  )
  t.ok(of.length >= 6, `${of.length} frames seen`)
  for (const { ip, vxlan, inner, udp } of of) {
    t.equal(vxlan?.vni, vni, '18, 33')
    t.equal(vxlan?.flags, 0x08)
    t.equal(udp?.destinationPort, 4789)
    const [from, to] =
      inner!.source === t1.mac ? ['172.31.1.11', '192.168.1.12'] : ['192.168.1.12', '172.31.1.11']
    t.match(ip, { source: from, destination: to }, 'between the VTEPs')
  }
  // A sandbox that has just come up also says which multicast groups it is in.
  const toT2 = of.find(
    ({ inner }) => inner!.source === t1.mac && inner!.ethertype === ETHERTYPE.ipv4,
  )!.inner!
  t.equal(toT2.destination, t2.mac)
  t.equal(toT2.bytes.subarray(26, 30).join('.'), t1.ip, 'the inner frame is the sandbox’s')
  t.equal(toT2.bytes.subarray(30, 34).join('.'), t2.ip)
  t.equal(of.filter(({ inner }) => inner!.ethertype === ETHERTYPE.arp).length, 0, '34: no ARP')
}

/** Keys of docker's `network inspect` of an overlay. */
const KEYS = [
  ...['Name', 'Id', 'Created', 'Scope', 'Driver', 'EnableIPv4', 'EnableIPv6', 'IPAM', 'Internal'],
  ...[
    'Attachable',
    'Ingress',
    'ConfigFrom',
    'ConfigOnly',
    'Containers',
    'Options',
    'Labels',
    'Peers',
  ],
]

async function shape(t: Test, lab: Lab, id: string, t1: Sandbox, t2: Sandbox): Promise<void> {
  for (const host of ['h1', 'h2', 'h3']) {
    const shown = await inspect(lab, host, 'uber-net')
    t.same(Object.keys(shown), KEYS, host)
    t.match(shown, { Id: id, Scope: 'swarm', Driver: 'overlay', Internal: false, Labels: {} })
    t.same(Object.keys(shown.IPAM), ['Driver', 'Options', 'Config'])
    t.same(
      Object.values(shown.Containers ?? {}).map(
        ({ Name, MacAddress, IPv4Address, IPv6Address }) => [
          ...[Name, MacAddress, IPv4Address, IPv6Address],
        ],
      ),
      [t1, t2].map(({ name, mac, ip }) => [name, mac, `${ip}/24`, '']),
    )
    t.match(shown.Peers, [
      { Name: /^h1-[0-9a-f]{12}$/, IP: '172.31.1.11' },
      { Name: /^h2-[0-9a-f]{12}$/, IP: '192.168.1.12' },
    ])
    t.equal(shown.Peers?.length, 2, 'the hosts with an endpoint, and no other')
  }
}

async function interfaces(t: Test, lab: Lab, t1: Sandbox): Promise<void> {
  await lab.weftOk('h1', 'network', 'connect', 'third-net', 't1')
  const all = JSON.parse(await t1.ok('ip', '-j', 'addr', 'show')) as {
    ifname: string
    address: string
    addr_info: { family: string; local: string; scope: string; prefixlen: number }[]
  }[]
  t.same(
    all.map(({ ifname }) => ifname),
    ['lo', 'eth0', 'eth1'],
  )
  for (const { address, addr_info } of all.slice(1)) {
    const ip = addr_info.find(({ family }) => family === 'inet')!
    const bytes = ip.local.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))
    t.equal(address, `02:42:${bytes.join(':')}`)
    t.equal(ip.prefixlen, 24)
    const local = addr_info.find(({ scope }) => scope === 'link')?.local
    const half = (at: number) => parseInt(`${bytes[at]}${bytes[at + 1]}`, 16).toString(16)
    t.equal(
      local,
      `fe80::42:${parseInt(`${bytes[0]}ff`, 16).toString(16)}:fe${bytes[1]}:${half(2)}`,
    )
  }
  await lab.weftOk('h1', 'network', 'disconnect', 'third-net', 't1')
}

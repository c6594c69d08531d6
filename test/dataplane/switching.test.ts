// Switching: what is a frame, where does it go, in which wrapping, and what of the underlay is let in.
//
// The pictured network is that of fixtures/switchboard.ts; `a` sends where nothing else is said.

import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { COUNTERS } from '../../src/dataplane/binding.ts'
import { type Case, drop, flood, hex, run, toPort, toVtep } from '../fixtures/cases.ts'
import {
  BROADCAST,
  ETHER_TYPE,
  type Packet,
  type Transport,
  arp,
  data,
  ethernet,
  extension,
  fragment6,
  ipv4,
  ipv6,
  packet,
  padded,
  pattern,
  tcp,
  udp,
  vlan,
  vxlan,
} from '../fixtures/frames.ts'
import { ENDPOINTS, GATEWAYS, KERNEL_COUNTERS, Switchboard } from '../fixtures/switchboard.ts'

const { a, b, c, d, g, r, s } = ENDPOINTS
const NOBODY = '02:00:00:00:00:99'

const board = new Switchboard()
t.teardown(() => {
  board.close()
})

/** From a to `to`, UDP over IPv4 unless it is something else. */
function toMac(to: string, inner?: Packet): Uint8Array {
  const hello = udp({ from: 1000, to: 2000 }, pattern(20))
  return ethernet({ from: a.mac, to }, inner ?? ipv4({ from: a.ip, to: c.ip }, hello))
}

const hello6 = (transport: Transport, more = {}): Packet =>
  ipv6({ from: a.ip6, to: c.ip6, ...more }, transport)

/** Cases of which the title is the same: a frame that c gets as it was sent. */
const passes = (frames: Readonly<Record<string, Uint8Array>>): Case[] =>
  Object.entries(frames).map(([title, frame]) => ({
    title: `${title}: switched by its MAC, unchanged`,
    frame,
    expect: toVtep('h2', 4097, frame),
  }))

t.test('classify: what is no frame is dropped', async (t) => {
  const whole = toMac(c.mac)
  run(t, board, [
    { title: 'nothing at all', frame: new Uint8Array(0), expect: drop('runt_frame') },
    { title: 'one byte less than a header', frame: whole.slice(0, 13), expect: drop('runt_frame') },
    {
      title: 'a source that is a group',
      frame: ethernet({ from: '01:00:5e:00:00:01', to: c.mac }, packet(0x88b5, pattern(46))),
      expect: drop('source_is_group'),
    },
    {
      title: 'a source of zeros',
      frame: ethernet({ from: '00:00:00:00:00:00', to: c.mac }, packet(0x88b5, pattern(46))),
      expect: drop('source_is_group'),
    },
    {
      title: 'a spanning tree frame',
      frame: ethernet({ from: a.mac, to: '01:80:c2:00:00:00' }, packet(38, pattern(46))),
      expect: drop('bridge_reserved'),
    },
    {
      title: 'the last of the addresses that no bridge forwards',
      frame: ethernet({ from: a.mac, to: '01:80:c2:00:00:0f' }, packet(0x88cc, pattern(46))),
      expect: drop('bridge_reserved'),
    },
  ])
  const next = ethernet({ from: a.mac, to: '01:80:c2:00:00:10' }, packet(0x88cc, pattern(46)))
  run(t, board, [
    { title: 'the address after it', frame: next, expect: flood(['b', 'h3', 'h2'], 4097, next) },
  ])
})

t.test('classify: a switch forwards what it does not understand', async (t) => {
  const inner = udp({ from: 1, to: 2 }, pattern(30))
  const v4 = (options: Partial<Parameters<typeof ipv4>[0]>): Uint8Array =>
    toMac(c.mac, ipv4({ from: a.ip, to: c.ip, ...options }, inner))
  const v6 = (options: Partial<Parameters<typeof ipv6>[0]>): Uint8Array =>
    toMac(c.mac, hello6(inner, options))
  const good = v4({})
  run(
    t,
    board,
    passes({
      'an Ethernet header and no more': good.slice(0, 14),
      'an IPv4 header cut short': good.slice(0, 33),
      'IPv4 of version 5': v4({ version: 5 }),
      'an IPv4 header of four words': v4({ headerWords: 4 }),
      'an IPv4 header longer than the frame': v4({ headerWords: 15 }).slice(0, 60),
      'an IPv4 length shorter than its header': v4({ totalLength: 19 }),
      'an IPv4 length longer than the frame': v4({ totalLength: 59 }),
      'an IPv4 length of zero': v4({ totalLength: 0 }),
      'a wrong IPv4 header checksum (for the receiver to judge)': v4({ checksum: 'bad' }),
      'IPv4 with options': v4({ options: pattern(40) }),
      'padding behind a short packet': padded(good.slice(0, 44), 60, 0xee),
      'an IPv6 header cut short': v6({}).slice(0, 53),
      'IPv6 of version 4': v6({ version: 4 }),
      'an IPv6 length longer than the frame': v6({ payloadLength: 39 }),
      'a TCP header cut short': toMac(c.mac, ipv4({ from: a.ip, to: c.ip }, data(6, pattern(19)))),
      'a TCP header of four words': toMac(
        c.mac,
        ipv4({ from: a.ip, to: c.ip }, tcp({ from: 1, to: 2, headerWords: 4 }, pattern(9))),
      ),
      'TCP options cut short': toMac(
        c.mac,
        ipv4({ from: a.ip, to: c.ip }, tcp({ from: 1, to: 2, headerWords: 15 }, pattern(39))),
      ),
      'a UDP header cut short': toMac(c.mac, hello6(data(17, pattern(7)))),
      'an IPv6 extension header cut short': toMac(c.mac, hello6(data(0, pattern(1)))),
      'an IPv6 extension header longer than the frame': toMac(
        c.mac,
        hello6(data(60, Uint8Array.of(17, 255, 0, 0, 0, 0, 0, 0))),
      ),
      'an IPv6 fragment header cut short': toMac(c.mac, hello6(data(44, pattern(7)))),
      'more IPv6 extension headers than anybody needs': toMac(
        c.mac,
        hello6(
          Array.from({ length: 12 }).reduce<Transport>((t) => extension('hopByHop', t), inner),
        ),
      ),
      'an Ethernet type that nobody knows': toMac(c.mac, packet(0x88b5, pattern(46))),
      'an 802.3 length instead of a type': toMac(c.mac, packet(46, pattern(46))),
      'a VLAN tag': toMac(c.mac, vlan({ id: 7 }, ipv4({ from: a.ip, to: c.ip }, inner))),
      'two VLAN tags': toMac(c.mac, vlan({ id: 7, service: true }, vlan({ id: 8 }, hello6(inner)))),
      'three VLAN tags': toMac(
        c.mac,
        vlan({ id: 7 }, vlan({ id: 8 }, vlan({ id: 9 }, hello6(inner)))),
      ),
      'half a VLAN tag': toMac(c.mac, packet(ETHER_TYPE.vlan, pattern(3))),
    }),
  )

  const asked = arp({ senderMac: a.mac, senderIp: a.ip, targetIp: c.ip })
  const tagged = toMac(BROADCAST, vlan({ id: 7 }, asked))
  run(t, board, [
    {
      title: 'a tagged ARP request is of another network: flooded, not answered',
      frame: tagged,
      expect: flood(['b', 'h3', 'h2'], 4097, tagged),
    },
  ])
})

t.test('forward: to one, to all, and not back', async (t) => {
  const frames = {
    b: toMac(b.mac),
    c: toMac(c.mac),
    g: toMac(g.mac),
    nobody: toMac(NOBODY),
    d: toMac(d.mac),
    all: toMac(BROADCAST, packet(0x88b5, pattern(46))),
    group: toMac('01:00:5e:00:00:fb', ipv4({ from: a.ip, to: '224.0.0.251' }, data(2, pattern(8)))),
  }
  run(t, board, [
    { title: 'an endpoint of this host', frame: frames.b, expect: toPort('b', frames.b) },
    { title: 'an endpoint of h2', frame: frames.c, expect: toVtep('h2', 4097, frames.c) },
    { title: 'an endpoint of h3', frame: frames.g, expect: toVtep('h3', 4097, frames.g) },
    {
      title: 'an unknown unicast address',
      frame: frames.nobody,
      expect: flood(['b', 'h3', 'h2'], 4097, frames.nobody),
    },
    {
      title: 'an endpoint of another subnet is unknown in this one',
      frame: frames.d,
      expect: flood(['b', 'h3', 'h2'], 4097, frames.d),
    },
    {
      title: 'broadcast',
      frame: frames.all,
      expect: flood(['b', 'h3', 'h2'], 4097, frames.all),
    },
    {
      title: 'multicast',
      frame: frames.group,
      expect: flood(['b', 'h3', 'h2'], 4097, frames.group),
    },
    { title: 'its own address', frame: toMac(a.mac), expect: drop('to_own_port') },
    {
      title: 'broadcast in another network goes to the hosts of that one, in its VNI',
      from: 'r',
      frame: frames.all,
      expect: flood(['h2'], 16777215, frames.all),
    },
    {
      title: 'a MAC of one network is unknown in another',
      from: 'r',
      frame: frames.b,
      expect: flood(['h2'], 16777215, frames.b),
    },
  ])
})

t.test('forward: endpoints that come and go', async (t) => {
  const board = new Switchboard()
  const toB = toMac(b.mac)
  board.unplug('b')
  run(t, board, [
    {
      title: 'an endpoint whose interface has just gone',
      frame: toB,
      expect: { action: 'toPort', counted: { port_gone: 1 } },
    },
    {
      title: 'a flood that such an endpoint would get its copy of',
      frame: toMac(NOBODY),
      expect: { ...flood(['h3', 'h2'], 4097, toMac(NOBODY)), counted: { port_gone: 1 } },
    },
  ])
  board.forget('a')
  run(t, board, [
    {
      title: 'from an endpoint whose record has just gone',
      frame: toB,
      expect: drop('port_not_programmed'),
    },
  ])
  board.detach('b')
  board.attach('b')
  board.detach('a')
  board.attach('a')
  run(t, board, [{ title: 'both are back', frame: toB, expect: toPort('b', toB) }])
  for (const name of ['a', 'b', 'd']) board.detach(name)
  const fromC = ethernet({ from: c.mac, to: a.mac }, packet(0x88b5, pattern(46)))
  run(t, board, [
    {
      title: 'the last endpoint of a network has left this host',
      host: 'h2',
      frame: vxlan({ vni: 4097 }, fromC),
      expect: drop('unknown_vni'),
    },
  ])
  board.attach('a')
  board.close()
  board.close()
  t.throws(() => board.from('a', toB), /no such memory port/, 'a closed data plane takes no frame')
  const late = vxlan({ vni: 4097 }, fromC)
  const { outputs } = board.dataplane.injectFromUnderlay(board.vtepOf('h2'), late, 0n)
  t.same(outputs, [], 'nor a datagram')
})

t.test('a verdict names the records that it rests on', async (t) => {
  const trail = (frame: Uint8Array): string[] =>
    board.from('a', frame).verdict.trail.map(({ table, record }) => {
      const { kind, key } = board.programmer.recordOf(record) ?? { kind: 'no', key: 'record' }
      return `${table}: ${kind} ${key.replace(/^\w{25}\b/, 'blue')}`
    })
  t.strictSame(trail(toMac(c.mac)), [
    'port: endpoint h1.blue.a',
    'network: subnet blue/10.0.1.0/24',
    'fdb: endpoint h2.blue.c',
  ])
  const routed = ipv4({ from: a.ip, to: ENDPOINTS.e.ip }, udp({ from: 1, to: 2 }, pattern(9)))
  t.strictSame(trail(toMac(GATEWAYS.blue1.mac, routed)), [
    'port: endpoint h1.blue.a',
    'network: subnet blue/10.0.1.0/24',
    'router: network blue',
    'network: subnet blue/10.0.2.0/24',
    'neighbour: endpoint h2.blue.e',
    'fdb: endpoint h2.blue.e',
  ])
})

t.test('encapsulation: the header, byte for byte', async (t) => {
  const frame = toMac(c.mac)
  const [sent] = board.from('a', frame).outputs
  t.equal(hex(sent!.datagram!), `0800000000100100${hex(frame)}`)
  const red = ethernet({ from: r.mac, to: s.mac }, packet(0x88b5, pattern(46)))
  const [wide] = board.from('r', red).outputs
  t.equal(hex(wide!.datagram!), `08000000ffffff00${hex(red)}`, 'all 24 bits of a VNI')
})

t.test('encapsulation: one source port for a flow, its answers and its fragments', async (t) => {
  const there = new Switchboard(undefined, 'h2')
  t.teardown(() => {
    there.close()
  })
  const port = (frame: Uint8Array): number => board.from('a', frame).outputs[0]!.sourcePortIndex!
  const back = (frame: Uint8Array): number => there.from('c', frame).outputs[0]!.sourcePortIndex!
  const toC = (inner: Packet): Uint8Array => ethernet({ from: a.mac, to: c.mac }, inner)
  const toA = (inner: Packet): Uint8Array => ethernet({ from: c.mac, to: a.mac }, inner)
  const v4 = { from: a.ip, to: c.ip }
  const v6 = { from: a.ip6, to: c.ip6 }
  const v4back = { from: c.ip, to: a.ip }
  const v6back = { from: c.ip6, to: a.ip6 }

  const used = new Array<number>(64).fill(0)
  let asymmetric = 0
  for (let flow = 0; flow < 640; flow++) {
    const [from, to] = [1024 + flow * 7, flow % 2 === 0 ? 80 : 443]
    const layer = flow % 4 < 2 ? udp : tcp
    const [out, answer] =
      flow % 3 === 0
        ? [
            toC(ipv6(v6, layer({ from, to }, pattern(9)))),
            toA(ipv6(v6back, layer({ from: to, to: from }, pattern(4)))),
          ]
        : [
            toC(ipv4(v4, layer({ from, to }, pattern(9)))),
            toA(ipv4(v4back, layer({ from: to, to: from }, pattern(4)))),
          ]
    const index = port(out)
    used[index]!++
    if (back(answer) !== index) asymmetric++
  }
  t.equal(asymmetric, 0, 'TCP and UDP of both families')
  t.ok(Math.min(...used) > 0 && Math.max(...used) < 30, `640 flows spread over 64 ports: ${used}`)

  const other = packet(0x88b5, pattern(46))
  t.equal(port(toC(other)), back(toA(other)), 'what is not IP, by its MACs')

  const whole = pattern(1200)
  const v4parts = [0, 400, 800].map((offset) =>
    port(
      toC(
        ipv4(
          { ...v4, id: 77, fragment: { offset, more: offset < 800 } },
          data(17, whole.subarray(offset, offset + 400)),
        ),
      ),
    ),
  )
  t.equal(new Set(v4parts).size, 1, 'fragments of IPv4')
  t.equal(
    back(toA(ipv4({ ...v4back, fragment: { offset: 0, more: true } }, data(17, whole)))),
    v4parts[0],
    'and those of the answer',
  )
  const v6parts = [0, 400, 800].map((offset) =>
    port(
      toC(
        ipv6(
          v6,
          // What is fragmented begins with an extension header, so only the first one shows that it is UDP.
          fragment6(
            { offset, more: offset < 800 },
            offset === 0
              ? extension('destination', data(17, whole.subarray(0, 392)))
              : data(60, whole.subarray(offset, offset + 400)),
          ),
        ),
      ),
    ),
  )
  t.equal(new Set(v6parts).size, 1, 'fragments of IPv6')

  const plain = udp({ from: 5001, to: 5002 }, pattern(9))
  const index = port(toC(ipv6(v6, plain)))
  for (const [what, wrapped] of Object.entries({
    'a hop-by-hop header': extension('hopByHop', plain),
    'a routing header': extension('routing', plain, 3),
    'destination options': extension('destination', plain, 2),
    'an atomic fragment': fragment6({}, plain),
    'all of them': extension(
      'hopByHop',
      extension('routing', fragment6({}, extension('destination', plain))),
    ),
  })) {
    t.equal(port(toC(ipv6(v6, wrapped))), index, `${what} before UDP does not change the flow`)
  }
})

t.test('decapsulation: what is let in', async (t) => {
  const frame = ethernet({ from: c.mac, to: a.mac }, packet(0x88b5, pattern(46)))
  const from = (more: Partial<Case>, expect: Case['expect'], title: string): Case => ({
    title,
    host: 'h2',
    frame: vxlan({ vni: 4097 }, frame),
    ...more,
    expect,
  })
  run(t, board, [
    from({}, toPort('a', frame), 'a frame for an endpoint of this host'),
    from({ frame: new Uint8Array(0) }, drop('vxlan_short'), 'an empty datagram'),
    from({ frame: pattern(7) }, drop('vxlan_short'), 'less than a VXLAN header'),
    from(
      { frame: vxlan({ vni: 4097 }, frame.slice(0, 13)) },
      drop('vxlan_short'),
      'less than an Ethernet header inside',
    ),
    from(
      { frame: vxlan({ vni: 4097 }, frame.slice(0, 14)) },
      toPort('a', frame.slice(0, 14)),
      'an Ethernet header and no more',
    ),
    from({ frame: vxlan({ vni: 4097, flags: 0 }, frame) }, drop('vxlan_flags'), 'no flags'),
    from(
      { frame: vxlan({ vni: 4097, flags: 0xf7 }, frame) },
      drop('vxlan_flags'),
      'every flag but the one that says that there is a VNI',
    ),
    from(
      { frame: vxlan({ vni: 4097, flags: 0xff, reserved: [0xffffff, 0xff] }, frame) },
      toPort('a', frame),
      'reserved bits are ignored',
    ),
    from({ host: '198.51.100.7' }, drop('unknown_vtep'), 'from an address that is no member'),
    from({ host: 'h1' }, drop('unknown_vtep'), 'from the address of this host itself'),
    from({ frame: vxlan({ vni: 0 }, frame) }, drop('doctor_probe'), 'VNI 0'),
    from({ frame: vxlan({ vni: 4096 }, frame) }, drop('unknown_vni'), 'a VNI that nobody has'),
    from(
      { frame: vxlan({ vni: 4200 }, frame) },
      drop('unknown_vni'),
      'a network that no endpoint of this host is on',
    ),
    from(
      { frame: vxlan({ vni: 4099 }, frame) },
      drop('unknown_vni'),
      'a subnet that is known here for routing only',
    ),
    from(
      { frame: vxlan({ vni: 4098 }, frame) },
      drop('unknown_source'),
      'in another VNI: there its sender is nobody',
    ),
  ])
})

t.test('decapsulation: split horizon', async (t) => {
  const inside = (
    to: string,
    inner = packet(0x88b5, pattern(46)),
    sender: string = c.mac,
  ): Uint8Array => ethernet({ from: sender, to }, inner)
  const question = arp({ senderMac: c.mac, senderIp: c.ip, targetIp: a.ip })
  const all = inside(BROADCAST)
  const asked = inside(BROADCAST, question)
  const unknown = inside(NOBODY)
  const large = inside(a.mac, packet(0x88b5, pattern(9000)))
  const cases: [string, Uint8Array, Case['expect']][] = [
    ['broadcast goes to the endpoints here, and to no host', all, flood(['a', 'b'], 4097, all)],
    ['so does an unknown address', unknown, flood(['a', 'b'], 4097, unknown)],
    [
      'and an ARP request: the host of who asked has answered if it could',
      asked,
      flood(['a', 'b'], 4097, asked),
    ],
    ['an endpoint of another host', inside(g.mac), drop('split_horizon')],
    ["a gateway's address", inside(GATEWAYS.blue1.mac), drop('gateway_from_underlay')],
    ['a source that is a group', inside(a.mac, undefined, BROADCAST), drop('source_is_group')],
    ['a bridge protocol', inside('01:80:c2:00:00:02'), drop('bridge_reserved')],
    ['more than the MTU, which is for the sender to keep', large, toPort('a', large)],
  ]
  run(
    t,
    board,
    cases.map(([title, frame, expect]) => ({
      title,
      host: 'h2',
      frame: vxlan({ vni: 4097 }, frame),
      expect,
    })),
  )
})

t.test('what one host wraps, another unwraps', async (t) => {
  const there = new Switchboard(undefined, 'h2')
  t.teardown(() => {
    there.close()
  })
  const frame = toMac(c.mac)
  const [sent] = board.from('a', frame).outputs
  const [got] = there.fromHost('h1', sent!.datagram!).outputs
  t.equal(got!.to, 'c')
  t.equal(hex(got!.frame), hex(frame))
})

t.test('every counter has a case, or is one of the kernel', async (t) => {
  // Frames and bytes in and out are held by the switchboard's accounts, at every injection.
  const accounts = /^(tap|underlay)_[rt]x_/
  const here = new URL('.', import.meta.url)
  const sources = readdirSync(here).map((name) => readFileSync(new URL(name, here), 'utf8'))
  const all = sources.join('\n')
  const missing = COUNTERS.map(({ name }) => name).filter(
    (name) =>
      !accounts.test(name) &&
      !KERNEL_COUNTERS.test(name) &&
      !all.includes(`'${name}'`) &&
      !all.includes(`${name}: 1`),
  )
  t.strictSame(missing, [])
})

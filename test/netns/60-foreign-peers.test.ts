// Peers that we did not write: the kernel's VXLAN device, Open vSwitch, and tshark as a reader.
//
//      h1 172.31.1.11            h2 192.168.1.12          c 203.0.113.2
//      │ c1 10.0.1.11            │ c2 10.0.1.12           │ vx0 10.0.1.200, fd57:1::200     VNI 4097
//      └── 172.31.1.1 ────────── r ── 192.168.1.1         │ (or behind br0, or Open vSwitch)
//                                └──── 203.0.113.1 ───────┘
//
// Over veth a kernel peer hands over what it had in memory: superframes, and inner checksums that
// nobody has finished. What of that reaches us depends on the offloads of every device on the way;
// a bridge, such as the router's, finishes it all. So the router's is taken away after the first.

import type { Test } from 'tap'
import { parsePing } from '../../src/lab/measurements.ts'
import { run } from '../fixtures/commands.ts'
import { changeLinks, setFeatures } from '../fixtures/devices.ts'
import { inLab, inNetns, type Lab, type Sandbox } from '../fixtures/lab.ts'
import { NO_OPEN_VSWITCH, OpenVSwitchPeer } from '../fixtures/open-vswitch.ts'
import {
  declareLearningPeer,
  declarePeer,
  KernelPeer,
  type KernelPeerOptions,
  PEER,
} from '../fixtures/peers.ts'
import { conversation, largestDatagram, type Question, Talker } from '../fixtures/talker.ts'
import { TsharkCapture } from '../fixtures/tshark.ts'

/** What is on by default (of a VXLAN device or a veth) is turned off, and gro of a veth on. */
const OFFLOADS: readonly (readonly [Where, feature: string, on: boolean])[] = [
  ['vx0', 'tx', false],
  ['vx0', 'tso', false],
  ['vx0', 'gso', false],
  ['vx0', 'gro', false],
  ["the peer's underlay", 'tx', false],
  ["the peer's underlay", 'tso', false],
  ["the peer's underlay", 'gso', false],
  ["the peer's underlay", 'gro', true],
  ["the peer's underlay", 'tx-udp_tnl-segmentation', false],
  ["the peer's underlay", 'tx-udp_tnl-csum-segmentation', false],
  ['our underlay', 'tx', false],
  ['our underlay', 'gso', false],
  ['our underlay', 'gro', true],
]

const TCP_BYTES = 4_000_000

inLab('foreign peers', 2, async (t, lab) => {
  const [c1, c2] = await Promise.all([
    lab.sandbox('h1', 'demo', 'c1'),
    lab.sandbox('h2', 'demo', 'c2'),
  ])
  const world: World = { lab, c1, c2, talker: await Talker.start(lab, c1.netns) }

  await declarePeer(lab)
  await withKernel(t, 'a kernel VXLAN device, a bridge on the way', world, {}, talk)
  await takeBridgeAway(lab)
  await withKernel(t, 'a kernel VXLAN device', world, {}, async (t, ends) => {
    await t.test('is reached, and reaches', (t) => pings(t, ends))
    await t.test('TCP, UDP, superframes, fragments', (t) => talk(t, ends))
    await t.test('every size of datagram that fits', (t) => everySize(t, ends))
    await t.test('larger than the MTU', (t) => tooLarge(t, ends))
    await t.test('it sends superframes and owes their checksums', (t) => owes(t, ends))
    for (const [where, feature, on] of OFFLOADS) {
      await t.test(`${feature} ${on ? 'on' : 'off'} on ${where}`, async (t) => {
        const [node, device] = PLACES[where]
        await setFeatures(lab.netns(node), device, { [feature]: on })
        await talk(t, ends)
        await setFeatures(lab.netns(node), device, { [feature]: !on })
      })
    }
  })
  await withKernel(t, 'without outer checksums', world, { udpChecksum: false }, talk)
  await withKernel(t, 'a namespace behind a bridge', world, { bridge: true }, async (t, ends) => {
    await t.test('is reached, and reaches', (t) => pings(t, ends))
    await t.test('all its offloads on', (t) => talk(t, ends))
    await setFeatures(ends.peer.netns, 'eth0', { tso: false, gso: false })
    await t.test('its tso and gso off', (t) => talk(t, ends))
    await setFeatures(ends.peer.netns, 'eth0', { tx: false })
    await t.test('its tx off as well', (t) => talk(t, ends))
  })

  await declareLearningPeer(lab)
  await withKernel(t, 'a device that learns', world, { learning: true }, async (t, ends) => {
    await t.test('is reached, and reaches', (t) => pings(t, ends))
    await t.test('TCP, UDP, superframes, fragments', (t) => talk(t, ends))
  })

  await declarePeer(lab)
  await t.test('Open vSwitch, its datapath in userspace', { skip: NO_OPEN_VSWITCH }, async (t) => {
    for (const host of ['h1', 'h2']) await setFeatures(lab.netns(host), 'eth0', { tx: false })
    await withTalker(t, world, await OpenVSwitchPeer.start(lab), async (t, ends) => {
      await t.test('is reached, and reaches', (t) => pings(t, ends))
      await t.test('TCP and UDP', (t) => talkSlowly(t, ends))
    })
  })

  t.test('no host dropped a frame for a reason that is its own', async (t) => {
    for (const host of ['h1', 'h2']) await dropsNothing(t, lab, host)
  })
})

interface World {
  readonly lab: Lab
  readonly c1: Sandbox
  readonly c2: Sandbox
  /** In c1. */
  readonly talker: Talker
}

type Where = keyof typeof PLACES

const PLACES = {
  vx0: ['c', 'vx0'],
  "the peer's underlay": ['c', 'eth0'],
  'our underlay': ['h1', 'eth0'],
} as const

interface Ends extends World {
  readonly peer: { readonly netns: string; readonly interface: string }
  readonly peerTalker: Talker
}

async function withKernel(
  t: Test,
  title: string,
  world: World,
  options: KernelPeerOptions,
  body: (t: Test, ends: Ends) => Promise<void>,
): Promise<void> {
  const { lab, c1, c2 } = world
  await t.test(title, async (t) => {
    await withTalker(t, world, await KernelPeer.start(lab, [c1, c2], options), body)
  })
}

async function withTalker(
  t: Test,
  world: World,
  peer: Ends['peer'] & { stop(): Promise<void> },
  body: (t: Test, ends: Ends) => Promise<void>,
): Promise<void> {
  const peerTalker = await Talker.start(world.lab, peer.netns)
  await body(t, { ...world, peer, peerTalker })
  await peerTalker.stop()
  await peer.stop()
}

/** The way to h1 is then from one veth to another. */
async function takeBridgeAway(lab: Lab): Promise<void> {
  await changeLinks(lab.netns('r'), [
    'addr del 172.31.1.1/24 dev br1',
    'link set h1 nomaster',
    'addr add 172.31.1.1/24 dev h1',
  ])
}

async function pings(t: Test, { c1, c2, peer }: Ends): Promise<void> {
  for (const sandbox of [c1, c2]) {
    const both = [
      ...addressesOf(PEER, sandbox.interface).map((to) => [sandbox.netns, to] as const),
      ...addressesOf(sandbox, peer.interface).map((to) => [peer.netns, to] as const),
    ]
    for (const [netns, to] of both) {
      // Without -w it takes an answer for lost that comes after twice the time of the first.
      const ping = ['ping', '-n', '-c', '3', '-i', '0.02', '-w', '5', to]
      const { code, stdout } = await run(inNetns(netns, ping))
      t.equal(code, 0, to)
      t.equal(parsePing(stdout)?.ttl, 64)
    }
  }
}

/** Both ends ask at the same time, by each kind of address. */
async function talk(t: Test, ends: Ends): Promise<void> {
  await bothAsk(t, ends, (to) => conversation(to, TCP_BYTES))
}

/** For who drops datagrams when it is busy: one after the other, TCP last. */
async function talkSlowly(t: Test, { c1, peer, talker, peerTalker }: Ends): Promise<void> {
  const datagrams = (to: string): Question[] => [
    { do: 'udp', to, sizes: [1, 17, 18, 19, 500, 1001, largestDatagram(to)], df: true },
    { do: 'udp', to, sizes: [4000] },
  ]
  const stream = (to: string): Question[] => [{ do: 'tcp', to, bytes: TCP_BYTES }]
  const [outward, inward] = [addressesOf(PEER, c1.interface), addressesOf(c1, peer.interface)]
  for (const questions of [datagrams, stream]) {
    t.same(await talker.complaints(outward.flatMap(questions)), [], 'c1 asks')
    t.same(await peerTalker.complaints(inward.flatMap(questions)), [], 'the peer asks')
  }
}

async function everySize(t: Test, ends: Ends): Promise<void> {
  await bothAsk(t, ends, (to) => {
    const sizes = Array.from({ length: largestDatagram(to) + 1 }, (_, size) => size)
    return [{ do: 'udp', to, sizes, df: true }]
  })
}

async function bothAsk(
  t: Test,
  { c1, peer, talker, peerTalker }: Ends,
  questions: (to: string) => Question[],
): Promise<void> {
  const complaints = await Promise.all([
    talker.complaints(addressesOf(PEER, c1.interface).flatMap(questions)),
    peerTalker.complaints(addressesOf(c1, peer.interface).flatMap(questions)),
  ])
  t.same(complaints, [[], []], 'c1 and the peer have nothing to complain of')
}

async function tooLarge(t: Test, { c1, peer, talker, peerTalker }: Ends): Promise<void> {
  const over = (to: string): Question[] => [
    { do: 'udp', to, sizes: [largestDatagram(to) + 1], df: true },
  ]
  for (const [asking, to] of [
    [talker, addressesOf(PEER, c1.interface)],
    [peerTalker, addressesOf(c1, peer.interface)],
  ] as const) {
    const answers = await asking.ask(to.flatMap(over))
    for (const answer of answers) t.match(answer, /^EMSGSIZE/)
  }

  // Its datagrams are fragments outside, and whole again when our socket has them.
  await setMtu(peer, 9000)
  t.same(
    await peerTalker.complaints([
      { do: 'udp', to: c1.ip, sizes: [1423, 1450, 1472, 1473, 3000, 8972], df: true },
      { do: 'udp', to: c1.ip6, sizes: [1403, 1430, 1452, 1453, 3000, 8952], df: true },
      { do: 'tcp', to: c1.ip, bytes: TCP_BYTES },
      { do: 'tcp', to: c1.ip6, bytes: TCP_BYTES },
    ]),
    [],
    'what a peer sends that thinks it has 9000 arrives',
  )
  await setMtu(peer, 1450)
}

async function setMtu({ netns, interface: device }: Ends['peer'], mtu: number): Promise<void> {
  await changeLinks(netns, [`link set ${device} mtu ${mtu}`])
}

/** What makes this peer special (performance.md P9, P10) is really there, and the data right. */
async function owes(t: Test, { lab, c1, peerTalker }: Ends): Promise<void> {
  const file = `${t.testdir()}/underlay.pcap`
  const capture = await TsharkCapture.start(lab, 'h1', 'eth0', file)
  const complaints = await peerTalker.complaints(conversation(c1.ip, TCP_BYTES))
  const fromPeer = (await capture.stop()).filter(({ sources }) => sources[1] === PEER.mac)
  t.same(complaints, [])
  const tcp = fromPeer.filter(({ checksums }) => checksums.tcp.length === 1)
  const unfinished = tcp.filter(({ checksums }) => checksums.tcp[0] === 'bad')
  const large = tcp.filter(({ length }) => length > 1514)
  t.ok(unfinished.length > 0, `${unfinished.length} of ${tcp.length} TCP checksums are unfinished`)
  t.ok(large.length > 0, `${large.length} are superframes, up to ${max(large)} bytes`)
}

function max(frames: readonly { readonly length: number }[]): number {
  return Math.max(...frames.map(({ length }) => length))
}

async function dropsNothing(t: Test, lab: Lab, host: string): Promise<void> {
  const ours = /^(?:bad_offload|port_|too_big|handover_full|underlay_refused|spoofed|tap_refused)/
  const counters = await lab.client(host).counters()
  const counted = counters.filter(({ name, value }) => ours.test(name) && value > 0)
  t.same(counted, [], host)
}

interface Addresses {
  readonly mac: string
  readonly ip: string
  readonly ip6: string
}

/** By which one reaches an endpoint from an interface. */
function addressesOf({ mac, ip, ip6 }: Addresses, device: string): string[] {
  const [a = 0, b = 0, c = 0, ...rest] = mac.split(':').map((part) => Number.parseInt(part, 16))
  const [d = 0, e = 0, f = 0] = rest
  // As the kernel derives it (EUI-64).
  const groups = [
    [a ^ 2, b],
    [c, 0xff],
    [0xfe, d],
    [e, f],
  ] as const
  const id = groups.map(([high, low]) => ((high << 8) | low).toString(16)).join(':')
  return [ip, ip6, `fe80::${id}%${device}`]
}

// What weft puts on the wire, tshark reads as VXLAN, with good checksums outside and inside.
//
//      h1 172.31.1.11                                h2 192.168.1.12
//      │ c1 10.0.1.11                                │ c2 10.0.1.12      VNI 4097
//      └──── 172.31.1.1 ──────────── r ──────────────┴── 192.168.1.1
//                       tcpdump here, on h1's cable

import type { Test } from 'tap'
import { eventually } from '../fixtures/commands.ts'
import {
  arp,
  BROADCAST,
  echo,
  ethernet,
  icmp,
  ipv4,
  ipv6,
  type Packet,
  packet,
  tcp,
  udp,
  vlan,
} from '../fixtures/frames.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'
import { setFeatures } from '../fixtures/devices.ts'
import { conversation, type Question, Talker } from '../fixtures/talker.ts'
import { type Checksum, type Dissected, TsharkCapture } from '../fixtures/tshark.ts'

const TUNNEL = 'eth:ethertype:ip:udp:vxlan:eth'

/** What is sent, and how tshark calls it inside of the tunnel. */
const KINDS: readonly (readonly [string, (frame: Dissected) => boolean])[] = [
  ['TCP', inside(/^:ethertype:ip:tcp/)],
  ['UDP', inside(/^:ethertype:ip:udp/)],
  ['ICMP', inside(/^:ethertype:ip:icmp/)],
  ['ARP', inside(/^:ethertype:arp$/)],
  ['TCP over IPv6', inside(/^:ethertype:ipv6:tcp/)],
  ['UDP over IPv6', inside(/^:ethertype:ipv6:udp/)],
  ['ICMPv6', inside(/^:ethertype:ipv6:icmpv6/)],
  ['neighbour discovery', ({ neighbourDiscovery }) => neighbourDiscovery],
  ['IPv4 fragments', inside(/^:ethertype:ip:data$/)],
  ['IPv6 fragments', inside(/^:ethertype:ipv6:ipv6\.fraghdr:data$/)],
  ['VLAN-tagged ARP', inside(/^:ethertype:vlan:ethertype:arp$/)],
  ['two tags', inside(/^:ethertype:ieee8021ad:.*:udp/)],
  ['VLAN-tagged UDP', inside(/^:ethertype:vlan:ethertype:ip:udp/)],
  ['VLAN-tagged ICMP', inside(/^:ethertype:vlan:ethertype:ip:icmp/)],
  ['VLAN-tagged TCP', inside(/^:ethertype:vlan:ethertype:ip:tcp/)],
  ['IPv4 multicast', to(/^01:00:5e:/)],
  ['IPv6 multicast', to(/^33:33:/)],
  ['broadcast', to(/^ff:ff:ff:ff:ff:ff$/)],
  ['an experimental ethertype', inside(/^:ethertype:(?:ieee802a|data)$/)],
  ['IEEE 802.3 with a length', inside(/^:llc/)],
]

inLab('what weft sends, read by tshark', 2, async (t, lab) => {
  const [c1, c2] = await Promise.all([
    lab.sandbox('h1', 'demo', 'c1'),
    lab.sandbox('h2', 'demo', 'c2'),
  ])
  const talkers = [await Talker.start(lab, c1.netns), await Talker.start(lab, c2.netns)] as const

  await t.test('no offload on the underlay: all checksums are good', async (t) => {
    for (const host of ['h1', 'h2']) await setFeatures(lab.netns(host), 'eth0', { tx: false })
    const frames = await capture(t, lab, () => sendOfEachKind(t, c1, c2, talkers))
    const tunnelled = areVxlan(t, frames)
    for (const [kind, is] of KINDS) {
      const count = tunnelled.filter(is).length
      t.ok(count > 0, `${count} frames of ${kind}`)
    }
    t.same(checksumsOf(tunnelled, 0), ['good'], 'each checksum, outside and inside')
  })

  await t.test('offloads on: the inner ones are good', async (t) => {
    for (const host of ['h1', 'h2']) await setFeatures(lab.netns(host), 'eth0', { tx: true })
    const frames = await capture(t, lab, () => sendOfEachKind(t, c1, c2, talkers))
    t.same(checksumsOf(areVxlan(t, frames), 1), ['good'], 'each checksum inside')
  })
})

async function capture(t: Test, lab: Lab, send: () => Promise<void>): Promise<Dissected[]> {
  const running = await TsharkCapture.start(lab, 'r', 'h1', `${t.testdir()}/underlay.pcap`)
  await send()
  return await running.stop()
}

/** All of IPv4; gives those. The underlay's own ARP and IPv6 are not ours. */
function areVxlan(t: Test, frames: readonly Dissected[]): Dissected[] {
  const tunnelled = frames.filter(({ protocols }) => protocols.startsWith('eth:ethertype:ip:'))
  const strange = tunnelled.filter(
    ({ protocols, vni, malformed }) => !protocols.startsWith(TUNNEL) || vni !== '4097' || malformed,
  )
  t.same(strange, [], `all of ${tunnelled.length} frames are VXLAN and well-formed`)
  return tunnelled
}

/** The different ones that there are. `from` 1 leaves out those of the outermost headers. */
function checksumsOf(frames: readonly Dissected[], from: 0 | 1): Checksum[] {
  const all = frames.flatMap(({ checksums: { ip, udp, tcp, icmp, icmpv6 } }) => [
    ...[...ip.slice(from), ...udp.slice(from)],
    ...[...tcp, ...icmp, ...icmpv6],
  ])
  return [...new Set(all)]
}

async function sendOfEachKind(
  t: Test,
  c1: Sandbox,
  c2: Sandbox,
  [t1, t2]: readonly [Talker, Talker],
): Promise<void> {
  const ping = (...argv: string[]) => c1.run(['ping', '-n', '-c', '2', '-i', '0.02', ...argv])
  const complaints = [
    ...(await t1.complaints([c2.ip, c2.ip6].flatMap((to) => conversation(to, 500_000)))),
    ...(await t2.complaints([c1.ip, c1.ip6].flatMap((to) => conversation(to, 500_000)))),
  ]
  t.same(complaints, [], 'TCP and UDP had their answers')
  for (const argv of [
    [c2.ip],
    [c2.ip6],
    ['-s', '4000', c2.ip],
    ['-s', '4001', c2.ip6],
    [`ff02::1%${c1.interface}`],
  ]) {
    t.equal((await ping(...argv)).code, 0, `ping ${argv.join(' ')}`)
  }
  // Nobody answers these; that they arrive is asked below.
  await ping('-I', c1.interface, '-W', '0.1', '224.1.2.3')
  await c1.run(['arping', '-U', '-c', '1', '-w', '1', '-I', c1.interface, c1.ip])
  // No record has it, so all are asked for it.
  await ping('-W', '0.1', 'fd57:1::99')
  await frames(t, c1, c2, t1)
}

/** Of kinds that no socket sends, or only where the kernel has VLANs. They arrive as they were. */
async function frames(t: Test, c1: Sandbox, c2: Sandbox, talker: Talker): Promise<void> {
  const [one, all] = [
    { from: c1.mac, to: c2.mac },
    { from: c1.mac, to: BROADCAST },
  ]
  const ends = { from: c1.ip, to: c2.ip }
  const ports = { from: 7101, to: 7102 }
  const payload = Buffer.from('weft'.repeat(15))
  const tagged = (inside: Packet) => vlan({ id: 7, priority: 3 }, inside)
  const whole = [
    ethernet(one, packet(EXPERIMENTAL, payload)),
    ethernet(all, packet(EXPERIMENTAL, payload)),
    // A length instead of an ethertype (802.3), then LLC: SNAP.
    ethernet(one, packet(63, Buffer.concat([Buffer.from('aaaa03', 'hex'), payload]))),
    ethernet(all, tagged(arp({ senderMac: c1.mac, senderIp: c1.ip, targetIp: c2.ip }))),
    ethernet(one, tagged(ipv4(ends, icmp({ type: 8, rest: echo(1, 1) }, payload)))),
    ethernet(one, tagged(ipv4(ends, udp(ports, payload)))),
    ethernet(one, tagged(ipv4(ends, tcp(ports, payload)))),
    ethernet(one, tagged(ipv6({ from: c1.ip6, to: c2.ip6 }, tcp(ports, payload)))),
    ethernet(one, vlan({ id: 8, service: true }, tagged(ipv4(ends, udp(ports, payload))))),
  ]
  const owing = { checksum: 'partial' } as const
  const large = new Uint8Array(4000).fill(0x77)
  const ofTcp = tagged(ipv4(ends, tcp({ ...ports, ...owing }, large)))
  const ofUdp = tagged(ipv4(ends, udp({ ...ports, ...owing }, payload)))
  const questions: Question[] = [
    ...whole.map((frame) => frameQuestion(c1.interface, frame)),
    // Behind the tag, the transport header is at 38.
    frameQuestion(c1.interface, ethernet(one, ofUdp), virtioHeader(0, 0, 0, 38, 6)),
    frameQuestion(c1.interface, ethernet(one, ofTcp), virtioHeader(1, 58, 1000, 38, 16)),
  ]
  const watch = c2.start(['tcpdump', '-l', '-n', '-xx', '-i', c2.interface])
  await watch.until(/listening on/)
  t.same(await talker.complaints(questions), [], 'frames made by hand are sent')
  const missing = () => {
    const seen = watch.stdout.replaceAll(/0x[0-9a-f]+:|\s/g, '')
    return whole.map(toHex).filter((hex) => !seen.includes(hex))
  }
  await eventually(() => missing().length === 0, 3000).catch(() => undefined)
  await watch.stop('SIGINT')
  t.same(missing(), [], 'they arrived as they were')
}

const EXPERIMENTAL = 0x88b5

function frameQuestion(device: string, frame: Uint8Array, offload?: string): Question {
  const question = {
    do: 'frame',
    interface: device,
    hex: Buffer.from(frame).toString('hex'),
  } as const
  return offload === undefined ? question : { ...question, offload }
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** A checksum is owed, and with a `gsoType` (1: TCP over IPv4) segmentation. */
function virtioHeader(
  gsoType: number,
  headerLength: number,
  gsoSize: number,
  checksumStart: number,
  checksumOffset: number,
): string {
  const fields = Uint16Array.of(headerLength, gsoSize, checksumStart, checksumOffset)
  return Buffer.concat([Uint8Array.of(1, gsoType), new Uint8Array(fields.buffer)]).toString('hex')
}

function inside(pattern: RegExp): (frame: Dissected) => boolean {
  return ({ protocols }) => pattern.test(protocols.slice(TUNNEL.length))
}

/** To a MAC inside. */
function to(pattern: RegExp): (frame: Dissected) => boolean {
  return ({ destinations }) => pattern.test(destinations[1] ?? '')
}

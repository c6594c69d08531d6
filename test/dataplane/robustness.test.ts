// 100,000 frames and datagrams of every sort, whole, mutated and random, with whatever offload metadata, through both
// directions: nothing crashes, all that comes out can be accounted for, and what the data plane has made is right.

import t from 'tap'
import { COUNTERS, type InjectedOne } from '../../src/dataplane/binding.ts'
import type { NativeOffload, NativeOutput } from '../../src/dataplane/binding-types.ts'
import { hex } from '../fixtures/cases.ts'
import { type Decoded, decode, decodeVxlan } from '../fixtures/decode-frame.ts'
import {
  BROADCAST,
  type Packet,
  TIMESTAMPS,
  type Transport,
  arp,
  concat,
  data,
  ethernet,
  extension,
  fragment6,
  icmp,
  icmp6,
  ipv4,
  ipv6,
  linkLayerOption,
  packet,
  padded,
  pattern,
  solicitation,
  solicitedNode,
  tcp,
  udp,
  vlan,
  vxlan,
} from '../fixtures/frames.ts'
import { Random, SEED } from '../fixtures/random.ts'
import {
  ENDPOINTS,
  FACTS,
  GATEWAYS,
  KERNEL_COUNTERS,
  Switchboard,
} from '../fixtures/switchboard.ts'

const FRAMES = 100_000
/** What a TAP can hand over: 64 KB of GSO, Ethernet and tags. */
const LONGEST = 65536 + 32
const { a, b, c, d, e, r, s } = ENDPOINTS
const { blue1, blue2, red } = GATEWAYS

const random = new Random()
// h3 is a learning peer, so that random source MACs get further than the first check.
const board = new Switchboard(FACTS.replace('- name: blue\n', '- name: blue\n    learning: [h3]\n'))
t.teardown(() => {
  board.close()
})

/** Frames of all sorts, from an endpoint of blue; what they become by mutation is up to chance. */
function seeds(): Uint8Array[] {
  const { ip: from, ip6: from6 } = a
  const transports: Transport[] = [
    udp({ from: 1000, to: 53 }, pattern(40)),
    udp({ from: 1000, to: 53, checksum: 'partial' }, pattern(1423)),
    udp({ from: 1000, to: 53, checksum: 'partial' }, pattern(4001)),
    tcp({ from: 1000, to: 80, flags: ['syn'], options: TIMESTAMPS }, pattern(0)),
    tcp(
      { from: 1000, to: 80, flags: ['ack', 'psh', 'fin', 'cwr'], checksum: 'partial' },
      pattern(5001),
    ),
    tcp({ from: 1000, to: 80, checksum: 'partial', options: TIMESTAMPS }, pattern(1500)),
    data(132, pattern(60)),
    data(6, pattern(13)),
  ]
  const v4: Transport[] = [
    icmp({ type: 8 }, pattern(56)),
    icmp({ type: 3, code: 4 }, pattern(1500)),
    data(1, pattern(5)),
  ]
  const v6: Transport[] = [
    icmp6({ type: 128 }, pattern(57)),
    icmp6({ type: 2 }, pattern(1500)),
    solicitation(c.ip6, { options: linkLayerOption('source', a.mac) }),
    solicitation(blue1.ip6),
    extension('hopByHop', tcp({ from: 1, to: 2, checksum: 'partial' }, pattern(3000))),
    extension('routing', extension('destination', udp({ from: 1, to: 2 }, pattern(30))), 3),
    fragment6({ more: true }, udp({ from: 1, to: 2 }, pattern(1464))),
    fragment6({ offset: 1464 }, data(17, pattern(100))),
    fragment6({}, tcp({ from: 1, to: 2 }, pattern(30))),
  ]
  const packets: Packet[] = []
  for (const transport of [...transports, ...v4]) {
    for (const to of [
      b.ip,
      c.ip,
      blue1.ip,
      d.ip,
      e.ip,
      s.ip,
      '10.0.2.99',
      '224.0.0.251',
      '255.255.255.255',
    ]) {
      const more = random.once(3)
        ? { ttl: random.below(3), options: pattern(random.below(11) * 4) }
        : {}
      const fragment = random.once(6)
        ? { fragment: { offset: random.below(3) * 8, more: random.once(2) } }
        : {}
      packets.push(ipv4({ from, to, id: random.below(65536), ...more, ...fragment }, transport))
    }
  }
  for (const transport of [...transports, ...v6]) {
    for (const to of [
      b.ip6,
      c.ip6,
      blue1.ip6,
      d.ip6,
      e.ip6,
      'fd57:2::99',
      'ff02::fb',
      'fe80::42:aff:fe00:101',
    ]) {
      packets.push(
        ipv6({ from: from6, to, hopLimit: random.once(4) ? random.below(3) : 255 }, transport),
      )
    }
  }
  const frames = packets.flatMap((inner) => {
    const tagged = random.once(8)
      ? vlan({ id: 7 }, random.once(2) ? inner : vlan({ id: 8 }, inner))
      : inner
    return [random.pick([b.mac, c.mac, BROADCAST]), blue1.mac].map((to) =>
      ethernet({ from: a.mac, to }, tagged),
    )
  })
  const group = solicitedNode(c.ip6)
  const asks = [c.ip, b.ip, a.ip, blue1.ip, '10.0.1.99'].map((targetIp) =>
    ethernet(
      { from: a.mac, to: random.pick([BROADCAST, c.mac]) },
      arp({ senderMac: a.mac, senderIp: a.ip, targetIp }),
    ),
  )
  return [
    ...frames,
    ...asks,
    ...asks.map((frame) => padded(frame, 60)),
    ethernet(
      { from: a.mac, to: group.mac },
      ipv6({ from: a.ip6, to: group.ip, hopLimit: 255 }, solicitation(c.ip6)),
    ),
    ethernet({ from: a.mac, to: c.mac }, packet(0x88b5, pattern(1451))),
    ethernet({ from: a.mac, to: '01:80:c2:00:00:00' }, packet(38, pattern(46))),
    ethernet(
      { from: a.mac, to: c.mac },
      ipv4({ from: a.ip, to: c.ip }, tcp({ from: 1, to: 2, checksum: 'partial' }, pattern(64000))),
    ),
  ]
}

const CORPUS = seeds()
const MACS = [a, b, c, d, e, r, s, blue1, blue2, red].map((of) => of.mac)
const SIZES = [0, 1, 63, 64, 536, 1000, 1398, 1410, 1448, 8960, 65535]

/** VNI → hosts in its flood list; h3, which learns, is in all of blue. */
const FLOODED = new Map([
  [4097, 2],
  [4098, 2],
  [4099, 1],
  [16777215, 1],
])

function frameFrom(): Uint8Array {
  if (random.once(5)) {
    const [to, from] = [random.pick([...MACS, BROADCAST]), random.pick(MACS)]
    const type = random.pick([0x0800, 0x86dd, 0x0806, 0x8100, random.below(65536)])
    const bytes = random.bytes(random.below(random.once(10) ? 2000 : 90))
    return random.once(3) ? bytes : ethernet({ from, to }, packet(type, bytes))
  }
  const seed = random.pick(CORPUS)
  return random.once(3) ? seed : random.mutated(seed).subarray(0, LONGEST)
}

function offloadFor(frame: Uint8Array): Partial<NativeOffload> {
  if (random.once(2)) return {}
  const near = random.pick([
    0,
    14,
    34,
    54,
    58,
    frame.length - 2,
    frame.length - 1,
    frame.length,
    random.below(65536),
  ])
  return {
    gso: random.pick(['none', 'tcp4', 'tcp6', 'udp'] as const),
    ecn: random.once(2),
    gsoSize: random.once(4) ? random.below(65536) : random.pick(SIZES),
    needsChecksum: random.once(2),
    checksumStart: Math.max(0, near) & 0xffff,
    checksumOffset: random.once(8) ? random.below(65536) : random.pick([0, 2, 6, 16]),
  }
}

interface Given {
  readonly frame: Uint8Array
  readonly offload: Partial<NativeOffload>
  /** null: from the underlay. */
  readonly from: string | null
}

/** What is wrong with a result; nothing, as a rule. */
function faults(given: Given, { verdict, outputs }: InjectedOne): string[] {
  const found: string[] = []
  const fault = (what: string): unknown => found.push(what)
  const [, home] = given.from === 'r' ? ['red', 16777215] : ['blue', 0]
  const replies = verdict.action === 'reply'
  if (verdict.action === 'continue') fault('no verdict')
  if (verdict.action === 'drop' && outputs.length > 0) fault('dropped and yet there')
  if (replies && (outputs.length !== 1 || outputs[0]?.port !== board.portOf(given.from ?? ''))) {
    fault('a reply to somebody else')
  }
  const superframe = (given.offload.gso ?? 'none') !== 'none'
  for (const output of outputs) {
    if (output.port !== 0) {
      const isRed = output.port === board.portOf('r')
      if (given.from !== null && isRed !== (given.from === 'r'))
        fault('out of one network into another')
      if (replies) wrong(decode(output.bytes)).forEach(fault)
      else if (verdict.routed) routedFaults(given.frame, output.bytes).forEach(fault)
      else if (given.from === null) recoveredFaults(given.frame.subarray(8), output).forEach(fault)
      else if (!same(output.bytes, given.frame)) fault('changed on its way')
      continue
    }
    const { flags, reserved, vni, frame } = decodeVxlan(output.bytes)
    if (flags !== 8 || reserved[0] !== 0 || reserved[1] !== 0) fault('a wrong VXLAN header')
    if (home === 0 ? vni < 4097 || vni > 4099 : vni !== home) fault(`VNI ${vni}`)
    if (given.from === null) fault('sent on, in spite of split horizon')
    if (superframe) wrong(decode(frame)).forEach(fault)
    else if (verdict.routed)
      routedFaults(given.frame, frame, given.offload.needsChecksum).forEach(fault)
    else if (differing(frame, given.frame) > (given.offload.needsChecksum === true ? 2 : 0)) {
      fault('changed on its way')
    }
  }
  if (superframe) segmentFaults(given, outputs).forEach(fault)
  return found
}

/** Replies and segments are made here: lengths and checksums must be right. */
function wrong(decoded: Decoded): readonly string[] {
  return decoded.problems
}

/** Routing changes both MACs, the TTL and the header checksum; behind them a transport checksum may be finished. */
function routedFaults(before: Uint8Array, after: Uint8Array, needsChecksum = false): string[] {
  const [was, is] = [decode(before), decode(after)]
  if (was.ip === null || is.ip === null) return ['routed, and no IP']
  const faults: string[] = []
  if (is.ip.ttl !== was.ip.ttl - 1) faults.push(`TTL ${was.ip.ttl} became ${is.ip.ttl}`)
  const header = 'IPv4 header checksum'
  if (was.problems.includes(header) !== is.problems.includes(header)) faults.push(header)
  const changes = 3 + (needsChecksum ? 2 : 0)
  if (differing(before.subarray(14), after.subarray(14)) > changes)
    faults.push('changed on its way')
  return faults
}

/** From another host a frame comes as it is; one whose checksum is owed loses its padding and gets metadata. */
function recoveredFaults(inner: Uint8Array, { bytes, offload }: NativeOutput): string[] {
  if (!same(bytes, inner.subarray(0, bytes.length))) return ['changed on its way']
  return bytes.length < inner.length && !offload.needsChecksum ? ['cut short'] : []
}

function segmentFaults({ frame, offload }: Given, outputs: readonly NativeOutput[]): string[] {
  const sizes = new Map<number, number>()
  for (const { port, vtep, bytes } of outputs) {
    if (port === 0)
      sizes.set(vtep, (sizes.get(vtep) ?? 0) + decode(bytes.subarray(8)).payload.length)
  }
  const payload = decode(frame).payload.length
  return [...sizes.values()]
    .filter((size) => size !== payload)
    .map(
      (size) => `${size} bytes in segments of a payload of ${payload} (${JSON.stringify(offload)})`,
    )
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

/** How many bytes differ; a length that does counts as all. */
function differing(one: Uint8Array, other: Uint8Array): number {
  if (one.length !== other.length) return Infinity
  if (same(one, other)) return 0
  let count = 0
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) count++
  return count
}

t.test(`${FRAMES} frames of all sorts (seed ${SEED})`, async (t) => {
  const expected: Record<string, number> = {}
  const add = (name: string, amount = 1): void => {
    expected[name] = (expected[name] ?? 0) + amount
  }
  const actions: Record<string, number> = {}
  const failures: string[] = []
  for (let i = 0; i < FRAMES && failures.length < 5; i++) {
    board.nowNs += BigInt(random.below(20_000_000))
    const inside = frameFrom()
    const fromHost = random.once(3)
    let given: Given
    let result: InjectedOne
    if (fromHost) {
      const wrapped = vxlan(
        { vni: random.once(50) ? random.pick([0, random.below(2 ** 24)]) : 4097 },
        swapped(inside),
      )
      const datagram = (random.once(4) ? random.mutated(wrapped) : wrapped).subarray(0, LONGEST)
      given = { frame: datagram, offload: {}, from: null }
      const vtep = board.vtepOf(random.pick(['h2', 'h3', 'h3', 'h1']))
      result = board.dataplane.injectFromUnderlay(vtep, datagram, board.nowNs)
      add('underlay_rx_datagrams')
      add('underlay_rx_bytes', datagram.length)
    } else {
      const from = random.pick(['a', 'a', 'b', 'd', 'r'])
      given = { frame: inside, offload: offloadFor(inside), from }
      result = board.dataplane.injectFromPort(
        board.portOf(from),
        inside,
        given.offload,
        board.nowNs,
      )
      add('tap_rx_frames')
      add('tap_rx_bytes', inside.length)
    }
    const { verdict, outputs } = result
    actions[verdict.action] = (actions[verdict.action] ?? 0) + 1
    if (verdict.counter !== null) add(verdict.counter)
    if (verdict.routed) add('routed')
    const served = new Map<number, number>()
    for (const { port, vtep, bytes } of outputs) {
      add(port === 0 ? 'underlay_tx_datagrams' : 'tap_tx_frames')
      add(port === 0 ? 'underlay_tx_bytes' : 'tap_tx_bytes', bytes.length)
      if (port === 0) served.set(vtep, (served.get(vtep) ?? 0) + 1)
    }
    for (const segments of served.values()) if (segments > 1) add('superframes_cut')
    add('bad_offload', refusals(given, result, served.size))
    for (const what of faults(given, result)) {
      failures.push(
        `${what}: ${JSON.stringify(verdict)} ${JSON.stringify(given.offload)} ${hex(given.frame)}`,
      )
    }
  }
  t.strictSame(failures, [], 'what comes out is what went in, or was made well')

  const counted = Object.entries(board.counters()).filter(([, value]) => value > 0)
  const wanted = Object.entries(expected).filter(([, value]) => value > 0)
  t.strictSame(
    Object.fromEntries(counted),
    Object.fromEntries(wanted),
    'every frame is accounted for',
  )
  t.comment(JSON.stringify(actions), JSON.stringify(Object.fromEntries(counted)))

  const missed = ['reply', 'toPort', 'toVtep', 'flood', 'drop'].filter(
    (action) => (actions[action] ?? 0) < 500,
  )
  t.strictSame(missed, [], 'every kind of verdict has come up')
  const rare = [
    'congestion',
    'gateway_fragment',
    'icmp_rate_limited',
    'port_gone',
    'port_not_programmed',
    'vxlan_flags',
    'vxlan_short',
  ]
  const drops = COUNTERS.filter(({ kind }) => kind === 'drop').map(({ name }) => name)
  // There are no VIPs here: test/dataplane/vip-model.test.ts.
  const never = drops.filter(
    (name) =>
      !(name in expected) &&
      !rare.includes(name) &&
      !/^vip_/.test(name) &&
      !KERNEL_COUNTERS.test(name),
  )
  t.strictSame(never, [], 'and nearly every reason to drop one')
})

/** How often the lane to other hosts must have refused what it was given: each VTEP that got nothing. */
function refusals(given: Given, { verdict, outputs }: InjectedOne, served: number): number {
  if (given.from === null) return 0
  if (verdict.action === 'toVtep') return served === 0 ? 1 : 0
  if (verdict.action !== 'flood') return 0
  const vteps = FLOODED.get(verdict.vni)
  if (vteps === undefined)
    throw new Error(`flooded in VNI ${verdict.vni}: ${outputs.length} outputs`)
  return vteps - served
}

/** As if c had sent it to a: what the frames of the corpus say, the other way. */
function swapped(frame: Uint8Array): Uint8Array {
  if (frame.length < 14 || random.once(10)) return frame
  const to = random.pick([a.mac, a.mac, b.mac, BROADCAST, blue1.mac, c.mac])
  const from = random.once(10) ? random.pick(MACS) : c.mac
  return concat(
    ethernet({ from, to }, packet(0, new Uint8Array(0))).subarray(0, 12),
    frame.subarray(12),
  )
}

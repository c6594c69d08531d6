// Offload metadata: superframes and unfinished checksums, as a TAP hands them over.
//
// A superframe is built here from the same parts as its segments, so every segment is compared byte for byte with the one
// that fixtures/frames.ts builds, read again by the decoder, and the payloads are put together again.

import t from 'tap'
import type { NativeOffload } from '../../src/dataplane/binding-types.ts'
import { type Case, drop, hex, routed, run, toPort, toVtep } from '../fixtures/cases.ts'
import { decode, decodeGood } from '../fixtures/decode-frame.ts'
import {
  BROADCAST,
  TIMESTAMPS,
  type Transport,
  arp,
  concat,
  data,
  ethernet,
  extension,
  fragment6,
  ipv4,
  ipv6,
  packet,
  padded,
  pattern,
  put16,
  tcp,
  vlan,
} from '../fixtures/frames.ts'
import { type Parts, build, owed, superframe } from '../fixtures/superframe.ts'
import { ENDPOINTS, GATEWAYS, Switchboard } from '../fixtures/switchboard.ts'

const { a, b, c, d, e, r, s } = ENDPOINTS
const NOBODY = '02:00:00:00:00:99'

const board = new Switchboard()
t.teardown(() => {
  board.close()
})

t.test('a superframe is cut for the underlay', async (t) => {
  const whole = (length: number, seed = 0): Uint8Array => pattern(length, seed)
  const all: Record<string, Parts> = {}
  for (const family of [4, 6] as const) {
    const headers = family === 4 ? 20 : 40
    const size = 1450 - headers - 20
    const base = { family, kind: 'tcp', size } as const
    const v = `IPv${family} TCP`
    all[`${v}: one byte more than a segment`] = { ...base, payload: whole(size + 1) }
    all[`${v}: two whole segments`] = { ...base, payload: whole(size * 2) }
    all[`${v}: one byte less than three`] = { ...base, payload: whole(size * 3 - 1) }
    all[`${v}: 64 KB`] = { ...base, payload: whole(65535 - headers - 20) }
    all[`${v}: an odd segment size`] = { ...base, size: size - 1, payload: whole(20001) }
    all[`${v}: timestamps`] = {
      ...base,
      size: size - 12,
      tcpOptions: TIMESTAMPS,
      payload: whole(20000),
    }
    all[`${v}: all the options there are room for`] = {
      ...base,
      size: size - 40,
      tcpOptions: pattern(40),
      payload: whole(20000),
    }
    all[`${v}: FIN and PSH stand in the last`] = {
      ...base,
      flags: ['ack', 'psh', 'fin'],
      payload: whole(5000),
    }
    all[`${v}: CWR of an ECN connection stands in the first`] = {
      ...base,
      ecn: true,
      flags: ['ack', 'cwr', 'psh'],
      tos: 2,
      payload: whole(5000),
    }
    all[`${v}: CWR without ECN stands in all, ECE anyway`] = {
      ...base,
      flags: ['ack', 'cwr', 'ece'],
      tos: 1,
      payload: whole(5000),
    }
    all[`${v}: RST and URG are nobody's business here`] = {
      ...base,
      flags: ['ack', 'rst', 'urg'],
      payload: whole(5000),
    }
    all[`${v}: the sequence number goes round`] = {
      ...base,
      sequence: 0xffffff00,
      payload: whole(5000),
    }
    all[`${v}: every byte 0xff, the largest sums`] = {
      ...base,
      payload: new Uint8Array(60000).fill(0xff),
    }
    all[`${v}: every byte zero`] = { ...base, payload: new Uint8Array(60000) }
    all[`${v}: behind a VLAN tag`] = { ...base, tags: 1, payload: whole(20000) }
    all[`${v}: behind two`] = { ...base, tags: 2, payload: whole(20000) }
    all[`${v}: 1000 segments of 64 bytes`] = { ...base, size: 64, payload: whole(64000) }
    all[`${v}: segments of one byte`] = { ...base, size: 1, payload: whole(99) }
    const burst = { family, kind: 'udp', size: size + 12 } as const
    const u = `IPv${family} UDP`
    all[`${u}: one byte more than a datagram`] = { ...burst, payload: whole(size + 13) }
    all[`${u}: whole datagrams`] = { ...burst, payload: whole((size + 12) * 4) }
    all[`${u}: an odd size and an odd rest`] = { ...burst, size: 1199, payload: whole(12001) }
    all[`${u}: 64 KB`] = { ...burst, payload: whole(65535 - headers - 8) }
    all[`${u}: behind a VLAN tag`] = { ...burst, tags: 1, payload: whole(20000) }
  }
  const v4 = { kind: 'tcp', size: 1410 } as const
  all['IPv4: the id counts on, and goes round'] = { ...v4, id: 0xfffe, payload: whole(8000) }
  all['IPv4: without DF'] = { ...v4, dontFragment: false, id: 5, payload: whole(8000) }
  all['IPv4: with IP options'] = { ...v4, size: 1370, ipOptions: pattern(40), payload: whole(8000) }
  all['IPv6: behind extension headers'] = {
    ...v4,
    family: 6,
    size: 1366,
    extended: true,
    payload: whole(8000),
  }
  all['IPv6 UDP: behind extension headers'] = {
    kind: 'udp',
    family: 6,
    size: 1378,
    extended: true,
    payload: whole(8000),
  }
  all['into a network of large frames'] = {
    ...v4,
    size: 8960,
    from: r,
    to: s,
    payload: whole(60000),
  }

  for (const [title, parts] of Object.entries(all)) {
    const { frame, offload, segments } = superframe(parts)
    const [from, vni] = parts.from === r ? ['r', 16777215] : ['a', 4097]
    const expect = { ...toVtep('h2', vni, ...segments), counted: { superframes_cut: 1 } }
    run(t, board, [{ title, from, frame, offload, expect }])
    const read = board.from(from, frame, offload).outputs.map((output) => decodeGood(output.frame))
    const together = concat(...read.map(({ payload }) => payload))
    t.ok(
      Buffer.compare(together, parts.payload) === 0,
      `${title}: and together they are what was sent`,
    )
  }

  const { frame, offload, segments } = superframe({ ...v4, payload: whole(8000) })
  run(t, board, [
    {
      title: 'bytes behind the IP packet are no payload',
      frame: padded(frame, frame.length + 9, 0xee),
      offload,
      expect: { ...toVtep('h2', 4097, ...segments), counted: { superframes_cut: 1 } },
    },
    {
      title: 'a superframe of less than a segment is one segment, and not cut',
      frame: build({ ...v4, payload: whole(900) }, whole(900), 0, 1, 'partial'),
      offload,
      expect: toVtep('h2', 4097, build({ ...v4, payload: whole(900) }, whole(900), 0, 1)),
    },
  ])
  const ports = board.from('a', frame, offload).outputs.map((output) => output.sourcePortIndex)
  t.equal(new Set(ports).size, 1, 'all segments leave by the same source port')
})

t.test('UDP: a checksum that comes to zero is sent as ones, in segments too', async (t) => {
  for (const family of [4, 6] as const) {
    const parts = { family, kind: 'udp', size: 100, payload: pattern(300) } as const
    // The word that makes the sum of the second datagram come to 0xffff, whose complement is 0.
    const second = parts.payload.subarray(100, 200)
    put16(second, 0, 0)
    const at = decode(build(parts, second, 1, 3)).l4Offset + 6
    put16(second, 0, new DataView(build(parts, second, 1, 3).buffer).getUint16(at))
    const { frame, offload, segments } = superframe(parts)
    t.equal(hex(segments[1]!.subarray(at, at + 2)), 'ffff', 'the case is what it says')
    run(t, board, [
      {
        title: `IPv${family}`,
        frame,
        offload,
        expect: { ...toVtep('h2', 4097, ...segments), counted: { superframes_cut: 1 } },
      },
    ])
  }
})

t.test('a superframe stays whole on its host, metadata unchanged', async (t) => {
  const size = 1398
  const parts = {
    kind: 'tcp',
    size,
    tcpOptions: TIMESTAMPS,
    payload: pattern(50001),
    flags: ['ack', 'psh'],
  } as const
  const here = superframe({ ...parts, to: b })
  const burst = superframe({ kind: 'udp', family: 6, size: 1400, payload: pattern(20001), to: b })
  const gateway = GATEWAYS.blue1.mac
  const toD = superframe({ ...parts, to: { ...d, mac: gateway } })
  const toE = superframe({ ...parts, to: { ...e, mac: gateway } })
  const leaving = { ...parts, ttl: 63, from: { ...a, mac: GATEWAYS.blue2.mac } }
  const routedHere = superframe({ ...leaving, to: d })
  const routedAway = superframe({ ...leaving, to: e })
  const everywhere = superframe({ ...parts, to: { ...c, mac: NOBODY } })
  run(t, board, [
    {
      title: 'TCP',
      frame: here.frame,
      offload: here.offload,
      expect: toPort('b', here.frame, here.offload),
    },
    {
      title: 'UDP over IPv6',
      frame: burst.frame,
      offload: burst.offload,
      expect: toPort('b', burst.frame, burst.offload),
    },
    {
      title: 'routed to another subnet: one header changes, once',
      frame: toD.frame,
      offload: toD.offload,
      expect: routed(toPort('d', routedHere.frame, toD.offload)),
    },
    {
      title: 'routed to another host: cut after that',
      frame: toE.frame,
      offload: toE.offload,
      expect: routed({
        ...toVtep('h2', 4098, ...routedAway.segments),
        counted: { superframes_cut: 1 },
      }),
    },
    {
      title: 'flooded: whole to those here, cut for each host',
      frame: everywhere.frame,
      offload: everywhere.offload,
      expect: {
        action: 'flood',
        counter: 'flooded',
        counted: { superframes_cut: 2 },
        out: [
          { to: 'b', frame: everywhere.frame, offload: everywhere.offload },
          ...['h3', 'h2'].flatMap((to) =>
            everywhere.segments.map((frame) => ({ to, vni: 4097, frame })),
          ),
        ],
      },
    },
  ])
})

t.test('an unfinished checksum is finished for the underlay, and only for it', async (t) => {
  const cases: Case[] = []
  const row = (
    title: string,
    parts: Omit<Parts, 'size' | 'payload'>,
    payload: Uint8Array,
  ): void => {
    const all = { ...parts, payload, size: 1 }
    const frame = build(all, payload, 0, 1, 'partial')
    const offload = owed(frame, parts.kind)
    const expect = toVtep('h2', 4097, build(all, payload, 0, 1))
    cases.push({ title, frame, offload, expect })
    decodeGood(expect.out![0]!.frame)
    const local = build({ ...all, to: b }, payload, 0, 1, 'partial')
    cases.push({
      title: `${title}, to this host: as it is`,
      frame: local,
      offload,
      expect: toPort('b', local, offload),
    })
  }
  for (const family of [4, 6] as const) {
    for (const kind of ['tcp', 'udp'] as const) {
      const name = `IPv${family} ${kind}`
      row(`${name}, an even payload`, { family, kind }, pattern(1000))
      row(`${name}, an odd payload`, { family, kind }, pattern(1001))
      row(`${name}, no payload`, { family, kind, flags: ['syn'] }, pattern(0))
      row(`${name}, every byte 0xff`, { family, kind }, new Uint8Array(1200).fill(0xff))
      row(`${name}, behind a VLAN tag`, { family, kind, tags: 1 }, pattern(99))
    }
  }
  row(
    'IPv4 with options',
    { kind: 'tcp', ipOptions: pattern(12), tcpOptions: TIMESTAMPS },
    pattern(333),
  )
  row('IPv6 behind extension headers', { family: 6, kind: 'udp', extended: true }, pattern(333))
  run(t, board, cases)

  for (const family of [4, 6] as const) {
    const payload = pattern(64)
    const parts = { family, kind: 'udp', size: 1, payload } as const
    put16(payload, 0, 0)
    const at = decode(build(parts, payload, 0, 1)).l4Offset + 6
    put16(payload, 0, new DataView(build(parts, payload, 0, 1).buffer).getUint16(at))
    const frame = build(parts, payload, 0, 1, 'partial')
    const finished = build(parts, payload, 0, 1)
    t.equal(hex(finished.subarray(at, at + 2)), 'ffff', 'the case is what it says')
    run(t, board, [
      {
        title: `IPv${family} UDP whose sum comes to zero`,
        frame,
        offload: owed(frame, 'udp'),
        expect: toVtep('h2', 4097, finished),
      },
    ])
  }

  const flooded = {
    kind: 'udp',
    size: 1,
    payload: pattern(77),
    to: { ...c, mac: BROADCAST },
  } as const
  const frame = build(flooded, flooded.payload, 0, 1, 'partial')
  const finished = build(flooded, flooded.payload, 0, 1)
  const offload = owed(frame, 'udp')
  run(t, board, [
    {
      title: 'flooded: unfinished to those here, finished for each host',
      frame,
      offload,
      expect: {
        action: 'flood',
        counter: 'flooded',
        out: [
          { to: 'b', frame, offload },
          { to: 'h3', vni: 4097, frame: finished },
          { to: 'h2', vni: 4097, frame: finished },
        ],
      },
    },
    {
      title: 'what is finished, or wrong, is left as it is',
      frame: build(flooded, flooded.payload, 0, 1, 'bad'),
      expect: {
        action: 'flood',
        counter: 'flooded',
        out: ['b', 'h3', 'h2'].map((to) => ({
          to,
          ...(to === 'b' ? {} : { vni: 4097 }),
          frame: build(flooded, flooded.payload, 0, 1, 'bad'),
        })),
      },
    },
  ])
  const asked = arp({ senderMac: a.mac, senderIp: a.ip, targetIp: c.ip })
  const [answer] = board.from('a', ethernet({ from: a.mac, to: BROADCAST }, asked), offload).outputs
  t.strictSame(
    answer?.offload.needsChecksum,
    false,
    'an answer owes nothing, whatever the question did',
  )
})

t.test('metadata that contradicts the frame', async (t) => {
  const tcp4 = superframe({ kind: 'tcp', size: 1000, payload: pattern(5000) })
  const tcp6 = superframe({ kind: 'tcp', family: 6, size: 1000, payload: pattern(5000) })
  const udp4 = superframe({ kind: 'udp', size: 1000, payload: pattern(5000) })
  const long = superframe({ kind: 'tcp', size: 63, payload: pattern(65000) })
  const most = superframe({ kind: 'tcp', size: 64, payload: pattern(65495) })
  const empty = superframe({ kind: 'tcp', size: 1000, payload: pattern(0) })
  const noIp = ethernet({ from: a.mac, to: c.mac }, packet(0x88b5, pattern(3000)))
  const v4 = (inner: Transport, more = {}): Uint8Array =>
    ethernet({ from: a.mac, to: c.mac }, ipv4({ from: a.ip, to: c.ip, ...more }, inner))
  const v6 = (inner: Transport, more = {}): Uint8Array =>
    ethernet({ from: a.mac, to: c.mac }, ipv6({ from: a.ip6, to: c.ip6, ...more }, inner))
  const stream = tcp({ from: 1, to: 2, checksum: 'partial' }, pattern(3000))
  const gso = { gso: 'tcp4', gsoSize: 1000 } as const
  const gso6 = { gso: 'tcp6', gsoSize: 1000 } as const

  /** The frame got as far as the lane to the other host, which finds out. */
  const refused = (title: string, frame: Uint8Array, offload: Partial<NativeOffload>): Case => ({
    title,
    frame,
    offload,
    expect: { action: 'toVtep', counted: { bad_offload: 1 } },
  })
  /** There is no transport header to tell the segments' size by. */
  const senseless = (
    title: string,
    frame: Uint8Array,
    offload: Partial<NativeOffload> = gso,
  ): Case => ({
    title,
    frame,
    offload,
    expect: drop('bad_offload'),
  })
  const length = tcp4.segments[0]!.length
  run(t, board, [
    refused('segments of no bytes', tcp4.frame, { ...tcp4.offload, gsoSize: 0 }),
    refused('more segments than a sender has reason for', long.frame, long.offload),
    refused('TSO for IPv4 of an IPv6 packet', tcp6.frame, { ...tcp6.offload, gso: 'tcp4' }),
    refused('TSO for IPv6 of an IPv4 packet', tcp4.frame, { ...tcp4.offload, gso: 'tcp6' }),
    refused('TSO of UDP', udp4.frame, { ...udp4.offload, gso: 'tcp4' }),
    refused('USO of TCP', tcp4.frame, { ...tcp4.offload, gso: 'udp' }),
    refused('headers without a payload', empty.frame, empty.offload),
    refused('more headers than a kernel makes', v6(extension('hopByHop', stream, 26)), gso6),
    refused('USO of ICMP', v4(data(1, pattern(1000))), { gso: 'udp', gsoSize: 500 }),
    refused('a first fragment', v4(stream, { fragment: { offset: 0, more: true } }), gso),
    refused('a first fragment of IPv6', v6(fragment6({ more: true }, stream)), gso6),
    senseless('a later fragment', v4(stream, { fragment: { offset: 64, more: true } })),
    senseless('what is not IP', noIp),
    senseless(
      'what is not IP behind a VLAN tag',
      ethernet({ from: a.mac, to: c.mac }, vlan({ id: 7 }, packet(0x88b5, pattern(3000)))),
    ),
    senseless('a TCP header cut short', v4(data(6, pattern(19)))),
    senseless('an IPv4 length that ends inside of the TCP header', v4(stream, { totalLength: 39 })),
    senseless(
      'an IPv6 length that ends inside of the TCP header',
      v6(stream, { payloadLength: 19 }),
      gso6,
    ),
    senseless(
      'IPv4 addresses in an IPv6 packet',
      ethernet(
        { from: a.mac, to: c.mac },
        ipv6({ from: `::ffff:${a.ip}`, to: `::ffff:${c.ip}` }, stream),
      ),
    ),
    ...[0, 12, 14, 24, 33].map((checksumStart) =>
      refused(
        `a checksum from byte ${checksumStart} on, in headers that are judged already`,
        tcp4.segments[0]!,
        {
          needsChecksum: true,
          checksumStart,
          checksumOffset: 40,
        },
      ),
    ),
    refused(
      'a checksum in a later fragment',
      v4(data(6, pattern(99)), { fragment: { offset: 64, more: false } }),
      {
        needsChecksum: true,
        checksumStart: 34,
        checksumOffset: 16,
      },
    ),
    refused(
      'a checksum from the middle of an Ethernet header that nothing known follows',
      noIp.slice(0, 1000),
      {
        needsChecksum: true,
        checksumStart: 6,
        checksumOffset: 0,
      },
    ),
    refused('a checksum that begins behind the frame', tcp4.segments[0]!, {
      needsChecksum: true,
      checksumStart: length,
      checksumOffset: 0,
    }),
    refused('a checksum field that is half outside', tcp4.segments[0]!, {
      needsChecksum: true,
      checksumStart: length - 7,
      checksumOffset: 6,
    }),
    refused('a checksum field far outside', tcp4.segments[0]!, {
      needsChecksum: true,
      checksumStart: 65535,
      checksumOffset: 65535,
    }),
    {
      title: 'as many segments as there may be',
      frame: most.frame,
      offload: most.offload,
      expect: { ...toVtep('h2', 4097, ...most.segments), counted: { superframes_cut: 1 } },
    },
    {
      title:
        "a flood with such metadata is dropped once for each host; what stays here is the kernel's to judge",
      frame: ethernet({ from: a.mac, to: NOBODY }, ipv4({ from: a.ip, to: c.ip }, stream)),
      offload: { gso: 'tcp6', gsoSize: 1000 },
      expect: {
        action: 'flood',
        counter: 'flooded',
        counted: { bad_offload: 2 },
        out: [
          {
            to: 'b',
            frame: ethernet({ from: a.mac, to: NOBODY }, ipv4({ from: a.ip, to: c.ip }, stream)),
            offload: { gso: 'tcp6', gsoSize: 1000 },
          },
        ],
      },
    },
  ])
})

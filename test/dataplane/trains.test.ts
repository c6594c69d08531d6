// What is sent as one, and what is received and written as one: trains of datagrams outward, superframes put together
// from datagrams inward.
//
// Two hosts' data planes in memory. What h1's sends is what h2's receives, as a socket with UDP_GRO gives it: whole trains,
// pieces of them, or one by one.

import t from 'tap'
import { CHECKSUM_SUMS, type FromHost } from '../../src/dataplane/binding.ts'
import type { NativeOffload } from '../../src/dataplane/binding-types.ts'
import { hex } from '../fixtures/cases.ts'
import { decode, decodeGood } from '../fixtures/decode-frame.ts'
import {
  TIMESTAMPS,
  type TcpFlag,
  concat,
  ethernet,
  data,
  echo,
  icmp,
  ipv4,
  padded,
  pattern,
  udp,
  vxlan,
} from '../fixtures/frames.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { type Parts, build, superframe } from '../fixtures/superframe.ts'
import { ENDPOINTS, FACTS, type Output, Switchboard } from '../fixtures/switchboard.ts'

const { a, c, g, r, s } = ENDPOINTS
const VNI = 4097

const here = new Switchboard()
const there = new Switchboard(undefined, 'h2')
t.teardown(() => {
  here.close()
  there.close()
})

type Arrival = Omit<FromHost, 'source'>

/** The datagrams of a frame's way to h2. */
function cut(frame: Uint8Array, offload: Partial<NativeOffload> = {}, from = 'a'): Output[] {
  return [...here.from(from, frame, offload).outputs]
}

/** As a socket gives what was sent as one. */
function arrivalsOf(outputs: readonly Output[]): Arrival[] {
  const trains = new Map<number, Uint8Array[]>()
  for (const { train = 0, datagram } of outputs) {
    if (datagram === undefined) throw new Error('not to a host')
    trains.set(train, [...(trains.get(train) ?? []), datagram])
  }
  return [...trains.values()].map((datagrams) =>
    datagrams.length === 1
      ? { bytes: datagrams[0]! }
      : { bytes: concat(...datagrams), segment: datagrams[0]!.length },
  )
}

function alone(frames: readonly Uint8Array[], vni = VNI): Arrival[] {
  return frames.map((frame) => ({ bytes: vxlan({ vni }, frame) }))
}

/** What the endpoints of h2 got, as frames that owe nothing: cut again, superframes. */
function unjoined(outputs: readonly Output[]): Uint8Array[] {
  return outputs.flatMap(({ frame, offload }) =>
    offload.gso === 'none' ? [frame] : cut(frame, offload).map((output) => output.frame),
  )
}

const hexes = (frames: readonly Uint8Array[]): string[] =>
  frames.map((each) => hex(withoutId(each)))

/** The id of an IPv4 packet with DF means nothing (RFC 6864), and a superframe has but one. */
function withoutId(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset)
  if (view.getUint16(12) !== 0x0800 || (view.getUint8(20) & 0x40) === 0) return frame
  const copy = Uint8Array.from(frame)
  copy.fill(0, 18, 20)
  copy.fill(0, 24, 26)
  return copy
}

t.test('checksums: every way to sum gives what the portable one gives', async (t) => {
  const random = new Random()
  const names = CHECKSUM_SUMS.map(({ name }) => name)
  t.equal(names[0], 'portable', names.join(', '))
  const [portable] = CHECKSUM_SUMS
  const bytes = random.bytes(70_000)
  const lengths = [...Array(1024).keys(), 1398, 1410, 1448, 9000, 65_000, 65_535]
  for (const { name, sum } of CHECKSUM_SUMS) {
    const wrong = lengths.filter((length) => {
      const at = random.below(64)
      const piece = bytes.subarray(at, at + length)
      let expected = 0
      for (let i = 0; i < length; i++) expected += (piece[i] ?? 0) * (i % 2 === 0 ? 1 : 256)
      return sum(piece) !== expected % 0xffff || sum(piece) !== portable!.sum(piece)
    })
    t.strictSame(wrong, [], `${name}: of random bytes (seed ${SEED})`)
    const ones = new Uint8Array(65_535).fill(0xff)
    t.equal(sum(ones), portable!.sum(ones), `${name}: of the largest sums`)
    t.equal(sum(new Uint8Array(999)), 0, `${name}: of zeroes`)
  }
})

t.test('what is sent as one', async (t) => {
  /** A number for each train, in the order of the datagrams. */
  const trains = (outputs: readonly Output[]): number[] => {
    const first = outputs[0]?.train ?? 0
    return outputs.map(({ train = 0 }) => train - first)
  }
  const datagram = (bytes: number, port = 40000, to: { mac: string; ip: string } = c) =>
    ethernet(
      { from: a.mac, to: to.mac },
      ipv4({ from: a.ip, to: to.ip }, udp({ from: port, to: 9 }, pattern(bytes))),
    )
  const atOnce = (...frames: readonly Uint8Array[]): Output[] => [
    ...here.fromAtOnce(
      'a',
      frames.map((bytes) => ({ bytes })),
    ).outputs,
  ]

  const { frame, offload } = superframe({
    kind: 'tcp',
    size: 1398,
    tcpOptions: TIMESTAMPS,
    payload: pattern(44 * 1398),
  })
  t.strictSame(new Set(trains(cut(frame, offload))), new Set([0]), 'a superframe of 44 segments')
  const long = superframe({ kind: 'tcp', size: 1410, payload: pattern(46 * 1410) })
  t.strictSame(
    trains(cut(long.frame, long.offload)),
    [...Array<number>(44).fill(0), 1, 1],
    'of 46: no more than 65,493 bytes at once',
  )
  const small = superframe({ kind: 'udp', size: 100, payload: pattern(300 * 100) })
  t.strictSame(
    [0, 1, 2].map(
      (train) => trains(cut(small.frame, small.offload)).filter((n) => n === train).length,
    ),
    [128, 128, 44],
    'no more than 128 datagrams at once',
  )

  t.strictSame(trains(atOnce(datagram(64), datagram(64), datagram(64))), [0, 0, 0], 'equal ones')
  t.strictSame(trains(atOnce(datagram(64), datagram(63))), [0, 0], 'a smaller one ends it')
  t.strictSame(trains(atOnce(datagram(64), datagram(63), datagram(63))), [0, 0, 1])
  t.strictSame(trains(atOnce(datagram(64), datagram(65))), [0, 1], 'a larger one begins another')
  t.strictSame(
    trains(atOnce(datagram(64), datagram(64, 40000, g))),
    [0, 1],
    'each host has its own',
  )

  const marked = (tos: number) =>
    ethernet(
      { from: a.mac, to: c.mac },
      ipv4({ from: a.ip, to: c.ip, tos }, udp({ from: 40000, to: 9 }, pattern(64))),
    )
  const ecn = atOnce(marked(2), marked(2), marked(3), marked(2))
  t.strictSame(trains(ecn), [0, 0, 1, 2], 'what is marked otherwise')
  t.strictSame(
    ecn.map(({ tos }) => tos),
    [2, 2, 3, 2],
  )

  const ports = [40000, 40001, 40002, 40003]
  const mixed = Array.from({ length: 32 }, (_, i) => datagram(64 + (i % 4), ports[i % 4]))
  const outputs = atOnce(...mixed)
  t.equal(outputs.length, 32, 'flows that take turns')
  const indices = new Set(outputs.map(({ sourcePortIndex }) => sourcePortIndex))
  t.equal(new Set(trains(outputs)).size, indices.size, 'one train for each source port')
  for (const port of ports) {
    const sent = mixed.filter((each) => portOf(each) === port)
    const got = outputs.map((each) => each.frame).filter((each) => portOf(each) === port)
    t.strictSame(hexes(got), hexes(sent), 'and each in its order')
  }
})

t.test('what was cut is put together again, byte for byte', async (t) => {
  const all: Record<string, Parts> = {}
  for (const family of [4, 6] as const) {
    const size = 1450 - (family === 4 ? 40 : 60)
    const base = { family, kind: 'tcp', size, payload: pattern(size * 9 + 77) } as const
    const v = `IPv${family}`
    all[`${v} TCP`] = base
    all[`${v} TCP: whole segments`] = { ...base, payload: pattern(size * 4) }
    all[`${v} TCP: one byte more than a segment`] = { ...base, payload: pattern(size + 1) }
    all[`${v} TCP: timestamps`] = { ...base, size: size - 12, tcpOptions: TIMESTAMPS }
    all[`${v} TCP: all its options`] = { ...base, size: size - 40, tcpOptions: pattern(40) }
    all[`${v} TCP: FIN and PSH`] = { ...base, flags: ['ack', 'psh', 'fin'] }
    all[`${v} TCP: ECN, CWR in the first`] = {
      ...base,
      ecn: true,
      tos: 2,
      flags: ['ack', 'cwr', 'psh'],
    }
    all[`${v} TCP: ECE in all`] = { ...base, tos: 2, flags: ['ack', 'ece'] }
    all[`${v} TCP: the sequence number goes round`] = { ...base, sequence: 0xffffff00 }
    all[`${v} TCP: every byte 0xff`] = { ...base, payload: new Uint8Array(9000).fill(0xff) }
    all[`${v} TCP: every byte zero`] = { ...base, payload: new Uint8Array(9000) }
    all[`${v} TCP: segments of an odd size`] = { ...base, size: 999 }
    all[`${v} TCP: 128 segments of 64 bytes`] = { ...base, size: 64, payload: pattern(128 * 64) }
    all[`${v} UDP`] = { ...base, kind: 'udp', size: size + 12 }
    all[`${v} UDP: an odd rest`] = { ...base, kind: 'udp', size: 1199, payload: pattern(12001) }
    all[`${v} UDP: small ones`] = { ...base, kind: 'udp', size: 3, payload: pattern(127 * 3 + 1) }
  }
  all['IPv4: the id goes round'] = { kind: 'tcp', size: 1410, id: 0xfffe, payload: pattern(8000) }
  all['IPv4: without DF'] = {
    kind: 'tcp',
    size: 1410,
    id: 5,
    dontFragment: false,
    payload: pattern(8000),
  }
  all['large frames'] = { kind: 'tcp', size: 8960, from: r, to: s, payload: pattern(60_000) }
  for (const [title, parts] of Object.entries(all)) {
    const from = parts.from === r ? 'r' : 'a'
    const { frame, offload } = superframe(parts)
    const sent = cut(frame, offload, from)
    const one = { superframes_joined: 1 }
    for (const [way, arrivals] of [
      ['as one', arrivalsOf(sent)],
      ['one by one', sent.map(({ datagram }) => ({ bytes: datagram! }))],
    ] as const) {
      const { verdicts, outputs, counted } = there.fromHostAtOnce('h1', arrivals)
      t.strictSame(counted, one, `${title}, ${way}`)
      t.equal(verdicts.length, 1, 'judged once')
      t.strictSame(
        outputs.map(({ to }) => to),
        [from === 'r' ? 's' : 'c'],
      )
      t.ok(Buffer.compare(outputs[0]!.frame, frame) === 0, 'what it was')
      t.strictSame(outputs[0]!.offload, offload, 'with what it owes')
    }
  }
  const whole = superframe({ kind: 'tcp', size: 1410, payload: pattern(65_495) })
  const { outputs } = there.fromHostAtOnce('h1', arrivalsOf(cut(whole.frame, whole.offload)))
  t.ok(Buffer.compare(outputs[0]!.frame, whole.frame) === 0, '64 KB that came as two trains')
})

/** Segments of one stream or burst, and then something that has to end it. */
t.test('what ends a superframe', async (t) => {
  const size = 500
  const tcp = { kind: 'tcp', size, payload: pattern(size * 6) } as const
  const udp6 = { kind: 'udp', family: 6, size, payload: pattern(size * 6) } as const
  /** Lengths of what comes out, in datagrams. */
  const joined = (segments: readonly Uint8Array[]): number[] => {
    const { outputs } = there.fromHostAtOnce('h1', alone(segments))
    t.strictSame(hexes(unjoined(outputs)), hexes(segments), 'nothing changed, nothing moved')
    return outputs.map(({ frame, offload }) =>
      offload.gso === 'none'
        ? 1
        : Math.ceil(decode(frame, { partial: true }).payload.length / size),
    )
  }
  const piece = (parts: Parts, index: number, more: Partial<Parts> = {}): Uint8Array =>
    build(
      { ...parts, ...more },
      parts.payload.subarray(index * size, (index + 1) * size),
      index,
      99,
    )
  const with3 = (
    title: string,
    parts: Parts,
    expected: readonly number[],
    more: Partial<Parts>,
  ) => {
    const segments = [0, 1, 2, 3, 4, 5].map((index) => piece(parts, index, index === 3 ? more : {}))
    t.strictSame(joined(segments), expected, title)
  }
  t.strictSame(joined([0, 1, 2, 3, 4, 5].map((i) => piece(tcp, i))), [6], 'nothing')
  t.strictSame(joined([0, 1, 3, 4, 5].map((i) => piece(tcp, i))), [2, 3], 'one is missing')
  t.strictSame(
    joined([0, 1, 3, 2, 4, 5].map((i) => piece(tcp, i))),
    [2, 1, 1, 2],
    'one came too late',
  )
  t.strictSame(joined([0, 1, 1, 2].map((i) => piece(tcp, i))), [2, 2], 'one came twice')
  with3('other options', tcp, [3, 1, 2], { tcpOptions: TIMESTAMPS })
  with3('another TTL', tcp, [3, 1, 2], { ttl: 63 })
  with3('marked congested', tcp, [3, 1, 2], { tos: 3 })
  with3('another flag: ECE', tcp, [3, 1, 2], { flags: ['ack', 'ece'] })
  with3('CWR, which begins one', tcp, [3, 3], { flags: ['ack', 'cwr'] })
  with3('a fragment may follow, DF is gone', tcp, [3, 1, 2], { dontFragment: false })
  with3('URG', tcp, [3, 1, 2], { flags: ['ack', 'urg'] })
  with3('RST', tcp, [3, 1, 2], { flags: ['ack', 'rst'] })
  with3('SYN', tcp, [3, 1, 2], { flags: ['syn'] })
  with3('IP options', tcp, [3, 1, 2], { ipOptions: pattern(4) })
  with3('a VLAN tag, which makes it another network', tcp, [3, 1, 2], { tags: 1 })
  with3('IPv6: another TTL', udp6, [3, 1, 2], { ttl: 63 })
  with3('IPv6: another traffic class', udp6, [3, 1, 2], { tos: 8 })
  with3('IPv6: extension headers', udp6, [3, 1, 2], { extended: true })
  for (const flag of ['psh', 'fin'] as const) {
    // `build` gives them to the last of as many as it is told.
    const flags: TcpFlag[] = ['ack', flag]
    const last = build({ ...tcp, flags }, tcp.payload.subarray(2 * size, 3 * size), 2, 3)
    t.strictSame(
      joined([piece(tcp, 0), piece(tcp, 1), last, piece(tcp, 3), piece(tcp, 4)]),
      [3, 2],
      `${flag} ends it`,
    )
  }
  const short = build(tcp, tcp.payload.subarray(2 * size, 2 * size + 9), 2, 9)
  t.strictSame(joined([piece(tcp, 0), piece(tcp, 1), short]), [3], 'a smaller one is the last')
  t.strictSame(
    joined([piece(tcp, 0), piece(tcp, 1), padded(short, short.length + 3, 0)]),
    [2, 1],
    'padding',
  )
  const without = { ...tcp, dontFragment: false, id: 7 } as const
  t.strictSame(joined([0, 1, 2].map((i) => piece(without, i))), [3])
  t.strictSame(
    joined([piece(without, 0), piece({ ...without, id: 9 }, 1), piece({ ...without, id: 9 }, 2)]),
    [1, 2],
    'without DF an id that does not count up',
  )
  t.strictSame(joined([piece(tcp, 0), piece({ ...tcp, id: 9 }, 1)]), [2], 'with DF it is nothing')

  for (const kind of ['tcp', 'udp'] as const) {
    const parts = { ...tcp, kind } as const
    for (const index of [0, 1, 2]) {
      const segments = [0, 1, 2].map((i) => piece(parts, i))
      const bad = segments[index]!
      bad[bad.length - 1]! ^= 1
      const { outputs } = there.fromHostAtOnce('h1', alone(segments))
      t.strictSame(
        outputs
          .filter(({ frame }) => hex(frame) === hex(bad))
          .map(({ offload }) => offload.needsChecksum),
        [false],
        `${kind}: a wrong checksum in ${index} is its receiver's to find`,
      )
      t.equal(outputs.length, index === 1 ? 3 : 2)
    }
  }
  const zero = build({ ...tcp, kind: 'udp' }, pattern(size), 0, 1, 'zero')
  t.strictSame(joined([zero, zero]), [1, 1], 'UDP without a checksum')
  const ping = ethernet(
    { from: a.mac, to: c.mac },
    ipv4({ from: a.ip, to: c.ip }, icmp({ type: 8, rest: echo(1, 1) }, pattern(8))),
  )
  t.strictSame(
    joined([piece(tcp, 0), ping, piece(tcp, 1)]),
    [1, 1, 1],
    'what is neither TCP nor UDP',
  )
  const fragment = ethernet(
    { from: a.mac, to: c.mac },
    ipv4({ from: a.ip, to: c.ip, fragment: { offset: 64, more: true } }, data(17, pattern(64))),
  )
  t.strictSame(joined([piece(tcp, 0), fragment, piece(tcp, 1)]), [1, 1, 1], 'a fragment')
})

t.test('a superframe of UDP that a kernel peer hands over whole', async (t) => {
  for (const family of [4, 6] as const) {
    for (const [size, length] of [
      [1300, 20_000],
      [100, 250],
      [8, 1000],
    ] as const) {
      const parts = { kind: 'udp', family, size, payload: pattern(length) } as const
      const { frame, offload } = superframe(parts)
      const bytes = vxlan({ vni: VNI }, frame)
      // UDP_GRO tells the size of the inner segments.
      const { outputs, counted } = there.fromHostAtOnce('h1', [{ bytes, segment: size }], 1)
      t.strictSame(counted, {}, `IPv${family}: ${length} bytes in datagrams of ${size}`)
      t.strictSame(outputs, [{ to: 'c', frame: Buffer.from(frame), offload }])
    }
  }
})

t.test('all of a superframe shares its verdict, and counts for what it was', async (t) => {
  const { frame, offload } = superframe({ kind: 'tcp', size: 1000, payload: pattern(9000) })
  const arrivals = arrivalsOf(cut(frame, offload))
  const none = there.fromHostAtOnce('203.0.113.9', arrivals)
  t.strictSame(none.counted, { unknown_vtep: 9, superframes_joined: 1 })
  t.strictSame(none.outputs, [])
  const spoofed = there.fromHostAtOnce('h3', arrivals)
  t.strictSame(spoofed.counted, { spoofed_source: 9, superframes_joined: 1 })
  there.unplug('c')
  const gone = there.fromHostAtOnce('h1', arrivals)
  t.strictSame(gone.counted, { port_gone: 9, superframes_joined: 1 })
  there.dataplane.openMemory(there.portOf('c'))
})

t.test(`flows that arrive mixed, in every way to arrive (seed ${SEED})`, async (t) => {
  const random = new Random()
  let superframes = 0
  for (let round = 0; round < 300; round++) {
    const flows = Array.from({ length: 1 + random.below(12) }, (_, index) => {
      const kind = random.once(3) ? 'udp' : 'tcp'
      const parts: Parts = {
        kind,
        family: random.once(3) ? 6 : 4,
        size: 1 + random.below(1300),
        payload: pattern(1 + random.below(20_000), index),
        port: 40_000 + index,
        flags: random.once(4) ? ['ack', 'psh'] : ['ack'],
        sequence: random.next(),
        dontFragment: !random.once(3),
        id: random.below(65_536),
      }
      const small = { ...parts, size: Math.max(parts.size, Math.ceil(parts.payload.length / 100)) }
      return superframe(small).segments
    })
    const sent = flows.map((segments) =>
      random.once(3) ? disturbed(random, segments) : [...segments],
    )
    const left = sent.map((segments) => [...segments])
    const arrivals: Arrival[] = []
    while (left.some((segments) => segments.length > 0)) {
      const flow = random.pick(left.filter((segments) => segments.length > 0))
      arrivals.push(...gathered(random, flow.splice(0, 1 + random.below(50))))
    }
    const got: Output[] = []
    while (arrivals.length > 0) {
      const turn = arrivals.splice(0, 32)
      const { outputs } = there.fromHostAtOnce('h1', turn)
      got.push(...outputs)
    }
    superframes += got.filter(({ offload }) => offload.gso !== 'none').length
    const frames = unjoined(got)
    const wrong = sent.filter((segments, index) => {
      const mine = frames.filter((frame) => portOf(frame) === 40_000 + index)
      return hexes(mine).join() !== hexes(segments).join()
    })
    if (wrong.length > 0) t.fail(`round ${round}: ${wrong.length} of ${flows.length} flows`)
  }
  t.ok(superframes > 1000, `${superframes} superframes were put together`)
})

/** Read where it stands, whatever else is wrong with the frame. */
function portOf(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset)
  return view.getUint16(view.getUint16(12) === 0x86dd ? 54 : 34)
}

/** With some lost, doubled, late or changed. */
function disturbed(random: Random, segments: readonly Uint8Array[]): Uint8Array[] {
  const out = [...segments]
  for (let i = 0; i < 3; i++) {
    const at = random.below(out.length)
    switch (random.below(4)) {
      case 0:
        if (out.length > 1) out.splice(at, 1)
        break
      case 1:
        out.splice(at, 0, out[at]!)
        break
      case 2:
        out.push(...out.splice(at, 1))
        break
      case 3: {
        const changed = Uint8Array.from(out[at]!)
        changed[changed.length - 1]! ^= 1 + random.below(255)
        out[at] = changed
        break
      }
    }
  }
  return out
}

/** As UDP_GRO would: runs of equal length, the last may be smaller; or one by one. */
function gathered(random: Random, frames: readonly Uint8Array[]): Arrival[] {
  if (random.once(3)) return alone(frames)
  const arrivals: Arrival[] = []
  let run: Uint8Array[] = []
  const end = (): void => {
    const [first] = run
    if (first === undefined) return
    arrivals.push({ bytes: concat(...run), ...(run.length > 1 ? { segment: first.length } : {}) })
    run = []
  }
  for (const { bytes } of alone(frames)) {
    const size = run[0]?.length ?? bytes.length
    if (bytes.length > size || (run.length + 1) * size > 60_000) end()
    run.push(bytes)
    if (bytes.length < (run[0]?.length ?? 0)) end()
  }
  end()
  return arrivals
}

t.test('ECN of both headers (RFC 6040)', async (t) => {
  // Section 4.2: rows the inner header's field, columns the outer's: not-ECT, ECT(1), ECT(0), CE.
  const TABLE: readonly (readonly (number | null)[])[] = [
    [0, 0, 0, null],
    [1, 1, 1, 3],
    [2, 1, 2, 3],
    [3, 3, 3, 3],
  ]
  for (const family of [4, 6] as const) {
    for (const inner of [0, 1, 2, 3]) {
      const parts = (tos: number): Parts => ({
        family,
        kind: 'udp',
        size: 1,
        payload: pattern(80),
        tos,
      })
      const frame = (tos: number): Uint8Array => build(parts(tos), pattern(80), 0, 1)
      const sent = here.from('a', frame(0xb8 | inner)).outputs[0]!
      t.equal(sent.tos, inner, `IPv${family}: ${inner} is told outside, DSCP is not`)
      for (const outer of [0, 1, 2, 3]) {
        const title = `IPv${family}: ${inner} inside, ${outer} outside`
        const got = there.fromHost('h1', vxlan({ vni: VNI }, frame(0xb8 | inner)), 0x48 | outer)
        const expected = TABLE[inner]?.[outer] ?? null
        if (expected === null) {
          t.strictSame([got.verdict.counter, got.outputs.length], ['congestion', 0], title)
        } else {
          t.equal(hex(got.outputs[0]!.frame), hex(frame(0xb8 | expected)), title)
        }
      }
    }
  }
  const copying = new Switchboard(FACTS, 'h1', { copyDscp: true })
  t.teardown(() => {
    copying.close()
  })
  const parts: Parts = { kind: 'tcp', size: 1400, payload: pattern(4000), tos: 0xba }
  const { frame, offload, segments } = superframe(parts)
  const { outputs } = copying.from('a', frame, offload)
  t.strictSame(
    outputs.map(({ tos }) => tos),
    [0xba, 0xba, 0xba],
    'DSCP is copied where that is wanted',
  )
  const joinedAndMarked = there.fromHostAtOnce(
    'h1',
    alone(segments).map((arrival) => ({ ...arrival, tos: 3 })),
  )
  decodeGood(joinedAndMarked.outputs[0]!.frame, { partial: true })
  t.strictSame(joinedAndMarked.counted, { superframes_joined: 1 }, 'a superframe is marked as one')
  const two = alone(segments).map((arrival, index) => ({ ...arrival, tos: index === 1 ? 3 : 0 }))
  const apart = there.fromHostAtOnce('h1', two)
  t.equal(apart.outputs.length, 3, 'what is marked otherwise is no part of one')
})

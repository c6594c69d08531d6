// VIPs, byte by byte: what a client's frame becomes, what its answer becomes, and what is answered here.
//
// The pictured network is that of fixtures/switchboard.ts, the VIP that of fixtures/vips.ts; `a` is the client where nothing
// else is said, b a backend on the same host, c one on h2.

import t from 'tap'
import { type Arrival, type Case, drop, reply, run } from '../fixtures/cases.ts'
import { decode } from '../fixtures/decode-frame.ts'
import {
  BROADCAST,
  type Packet,
  TIMESTAMPS,
  type TcpFlag,
  type TcpOptions,
  type Transport,
  arp,
  data,
  echo,
  ethernet,
  fragment6,
  icmp,
  icmp6,
  ipv4,
  ipv6,
  linkLayerOption,
  advertisement,
  pattern,
  solicitation,
  solicitedNode,
  tcp,
  udp,
  vxlan,
} from '../fixtures/frames.ts'
import { ENDPOINTS, GATEWAYS, Switchboard } from '../fixtures/switchboard.ts'
import { WEB, enableServices, putService } from '../fixtures/vips.ts'

const { a, b, c, d } = ENDPOINTS
const { blue1, blue2 } = GATEWAYS

type Place = { readonly mac: string; readonly ip: string; readonly ip6?: string }

/** A board of its own with one VIP of both families, whose backends are those. */
function boardWith(...backends: readonly Place[]): Switchboard {
  const board = new Switchboard()
  t.teardown(() => {
    board.close()
  })
  enableServices(board.dataplane)
  const of = (family: 'ip' | 'ip6') => backends.map((place) => ({ ip: place[family]! }))
  putService(board.dataplane, { backends: of('ip'), ports: PORTS })
  putService(board.dataplane, { vip: WEB.ip6, backends: of('ip6'), ports: PORTS, service: 78 })
  return board
}

const PORTS = [{ protocol: 6, port: 8000, target: 80 }]

/** A frame from one to another; of IPv6 where `six`. */
function between(from: Place, to: Place, transport: Transport, six = false, more = {}): Uint8Array {
  const packet: Packet = six
    ? ipv6({ from: from.ip6!, to: to.ip6!, ...more }, transport)
    : ipv4({ from: from.ip, to: to.ip, id: 7, ...more }, transport)
  return ethernet({ from: from.mac, to: to.mac }, packet)
}

const segment = (
  from: number,
  to: number,
  flags: readonly TcpFlag[],
  more: Partial<TcpOptions> = {},
  payload = pattern(0),
): Transport => tcp({ from, to, flags, sequence: 1000, ...more }, payload)

const NEW = { vip_flows: 1, vip_translated: 1 }
const OLD = { vip_translated: 1 }

const toC = (
  frame: Uint8Array,
  counted: Readonly<Record<string, number>> = OLD,
): Case['expect'] => ({
  action: 'toVtep',
  counted,
  out: [{ to: 'h2', vni: 4097, frame }],
})
const to = (
  name: string,
  frame: Uint8Array,
  counted: Readonly<Record<string, number>> = OLD,
  offload: Arrival['offload'] = {},
): Case['expect'] => ({ action: 'toPort', counted, out: [{ to: name, frame, offload }] })

for (const six of [false, true]) {
  const name = six ? 'IPv6' : 'IPv4'

  t.test(`a connection and its answer, ${name}`, async (t) => {
    const board = boardWith(c, b)
    const web = WEB as Place
    const send = (to: Place, transport: Transport): Uint8Array => between(a, to, transport, six)
    const answer = (from: Place, transport: Transport): Uint8Array =>
      between(from, a, transport, six)
    const syn = segment(5000, 80, ['syn'], { options: TIMESTAMPS })
    const data100 = segment(5000, 80, ['ack', 'psh'], { acknowledgement: 77 }, pattern(101))
    const synAck = segment(80, 5000, ['syn', 'ack'], { acknowledgement: 1001 })
    run(t, board, [
      {
        title: 'a SYN goes to the first backend',
        frame: send(web, syn),
        expect: toC(send(c, syn), NEW),
      },
      { title: 'again: to the same', frame: send(web, syn), expect: toC(send(c, syn)) },
      {
        title: 'its answer comes from the VIP',
        host: 'h2',
        frame: vxlan({ vni: 4097 }, answer(c, synAck)),
        expect: to('a', answer(web, synAck)),
      },
      { title: 'what follows', frame: send(web, data100), expect: toC(send(c, data100)) },
      {
        title: 'another connection: the next backend, on this host',
        frame: send(web, segment(5001, 80, ['syn'])),
        expect: to('b', send(b, segment(5001, 80, ['syn'])), NEW),
      },
      {
        title: 'whose answer comes from the VIP too',
        from: 'b',
        frame: answer(b, segment(80, 5001, ['syn', 'ack'])),
        expect: to('a', answer(web, segment(80, 5001, ['syn', 'ack']))),
      },
      {
        title: 'what a backend sends of its own accord is its own',
        from: 'b',
        frame: answer(b, segment(81, 5001, ['syn'])),
        expect: {
          action: 'toPort',
          out: [{ to: 'a', frame: answer(b, segment(81, 5001, ['syn'])) }],
        },
      },
      {
        title: 'a mapped port: the first backend again',
        frame: send(web, segment(5002, 8000, ['syn'])),
        expect: toC(send(c, segment(5002, 80, ['syn'])), NEW),
      },
      {
        title: 'and back',
        host: 'h2',
        frame: vxlan({ vni: 4097 }, answer(c, segment(80, 5002, ['syn', 'ack']))),
        expect: to('a', answer(web, segment(8000, 5002, ['syn', 'ack']))),
      },
      {
        title: 'UDP',
        frame: send(web, udp({ from: 5003, to: 53 }, pattern(33))),
        expect: to('b', send(b, udp({ from: 5003, to: 53 }, pattern(33))), NEW),
      },
      {
        title: 'and back',
        from: 'b',
        frame: answer(b, udp({ from: 53, to: 5003 }, pattern(34))),
        expect: to('a', answer(web, udp({ from: 53, to: 5003 }, pattern(34)))),
      },
      {
        title: 'UDP without a checksum keeps none',
        frame: send(web, udp({ from: 5003, to: 53, checksum: 'zero' }, pattern(33))),
        expect: to('b', send(b, udp({ from: 5003, to: 53, checksum: 'zero' }, pattern(33)))),
      },
    ])
    const bad = send(web, udp({ from: 5003, to: 53, checksum: 'bad' }, pattern(33)))
    const wrong = board.from('a', bad).outputs[0]!.frame
    t.strictSame(decode(wrong).problems, ['UDP checksum'], 'a wrong checksum stays wrong')
    const verdict = board.from('a', send(web, syn)).verdict
    t.match(
      verdict.trail.map(({ table }) => table).join(' '),
      /^port network service neighbour flow fdb$/,
      'a verdict names the rows that it rests on',
    )
  })

  t.test(`what the sender has left to the offload, ${name}`, async (t) => {
    const board = boardWith(b, c)
    const web = WEB as Place
    const l4 = six ? 54 : 34
    const owed = { needsChecksum: true, checksumStart: l4, checksumOffset: 16 }
    const partial = (to: Place, port: number, length: number): Uint8Array =>
      between(a, to, segment(port, 80, ['ack'], { checksum: 'partial' }, pattern(length)), six)
    run(t, board, [
      {
        title: 'opened, to b',
        frame: between(a, web, segment(6000, 80, ['syn']), six),
        expect: to('b', between(a, b, segment(6000, 80, ['syn']), six), NEW),
      },
      {
        title: 'opened, to c',
        frame: between(a, web, segment(6001, 80, ['syn']), six),
        expect: toC(between(a, c, segment(6001, 80, ['syn']), six), NEW),
      },
      {
        title: 'a partial checksum: still partial, and right for the new addresses',
        frame: partial(web, 6000, 300),
        offload: owed,
        expect: to('b', partial(b, 6000, 300), OLD, owed),
      },
      {
        title: 'finished on its way to another host',
        frame: partial(web, 6001, 301),
        offload: owed,
        expect: toC(between(a, c, segment(6001, 80, ['ack'], {}, pattern(301)), six)),
      },
    ])
    const gso = { ...owed, gso: six ? 'tcp6' : 'tcp4', gsoSize: 1390 } as const
    run(t, board, [
      {
        title: 'a superframe stays one',
        frame: partial(web, 6000, 40_000),
        offload: gso,
        expect: to('b', partial(b, 6000, 40_000), OLD, gso),
      },
    ])
    const { outputs } = board.from('a', partial(web, 6001, 10_000), gso)
    t.equal(outputs.length, Math.ceil(10_000 / 1390), 'and is cut where it leaves the host')
    for (const { frame } of outputs) {
      const decoded = decode(frame)
      t.strictSame(decoded.problems, [])
      t.equal(decoded.ip?.to, six ? c.ip6 : c.ip)
      t.equal(decoded.tcp?.to, 80)
    }
  })

  t.test(`pings and what nobody answers, ${name}`, async (t) => {
    const board = boardWith(b)
    const web = WEB as Place
    const ping = (type: number, length: number): Transport =>
      six
        ? icmp6({ type, rest: echo(9, 1) }, pattern(length))
        : icmp({ type, rest: echo(9, 1) }, pattern(length))
    const [request, answer] = six ? [128, 129] : [8, 0]
    const whole = between(web, a, ping(request, 2000), six)
    const split = six ? 14 + 40 : 14 + 20
    const bytes = whole.subarray(split)
    const part = (from: Place, to: Place, at: number, end: number, of: Uint8Array): Uint8Array => {
      const more = end < of.length
      const piece = of.subarray(at, end)
      return six
        ? between(from, to, fragment6({ offset: at, more, id: 99 }, data(58, piece)), true)
        : between(from, to, data(1, piece), false, { fragment: { offset: at, more } })
    }
    const answered = between(web, a, ping(answer, 2000), six).subarray(split)
    run(t, board, [
      {
        title: 'a ping is answered',
        frame: between(a, web, ping(request, 56), six),
        expect: reply('vip_echo_answered', 'a', between(web, a, ping(answer, 56), six)),
      },
      {
        title: 'the first part of a long one',
        frame: part(a, web, 0, 1400, between(a, web, ping(request, 2000), six).subarray(split)),
        expect: reply('vip_echo_answered', 'a', part(web, a, 0, 1400, answered)),
      },
      {
        title: 'and the rest of it',
        frame: part(a, web, 1400, bytes.length, bytes),
        expect: reply('vip_echo_answered', 'a', part(web, a, 1400, bytes.length, answered)),
      },
      {
        title: "other ICMP is nobody's",
        frame: between(a, web, ping(six ? 130 : 13, 12), six),
        expect: drop('vip_not_answered'),
      },
      {
        title: 'a UDP header cut short',
        frame: between(a, web, data(17, pattern(7)), six),
        expect: drop('vip_not_answered'),
      },
      {
        title: 'half of a packet of which the first half was not seen',
        frame: six
          ? between(a, web, fragment6({ offset: 1400, id: 5 }, data(17, pattern(50))), true)
          : between(a, web, data(17, pattern(50)), false, {
              fragment: { offset: 1400, more: false },
            }),
        expect: drop('vip_fragment'),
      },
    ])
    const sctp = board.from('a', between(a, web, data(132, pattern(60)), six))
    t.strictSame([sctp.verdict.action, sctp.verdict.counter], ['reply', 'icmp_errors_sent'])
    const { icmp: told } = decode(sctp.outputs[0]!.frame)
    t.strictSame([told?.type, told?.code], six ? [1, 4] : [3, 2], 'another protocol: told so')
  })

  t.test(`refused at once, ${name}`, async (t) => {
    const board = boardWith(b)
    const web = WEB as Place
    const resets = (title: string, sent: Transport, answer: Transport): Case => ({
      title,
      frame: between(a, web, sent, six),
      expect: reply(
        'tcp_resets_sent',
        'a',
        six
          ? between(web, a, answer, true)
          : between(web, a, answer, false, { id: 0, dontFragment: true }),
      ),
    })
    const rst = (sequence: number): Transport =>
      tcp({ from: 80, to: 7000, flags: ['rst'], sequence, window: 0 }, pattern(0))
    const rstAck = (acknowledgement: number): Transport =>
      tcp({ from: 80, to: 7000, flags: ['rst', 'ack'], acknowledgement, window: 0 }, pattern(0))
    run(t, board, [
      resets(
        'data of a connection that is not known',
        segment(7000, 80, ['ack'], { acknowledgement: 4711 }, pattern(10)),
        rst(4711),
      ),
      resets(
        'the same without an acknowledgement',
        segment(7000, 80, ['fin'], {}, pattern(10)),
        rstAck(1011),
      ),
      {
        title: 'but a reset is not answered by a reset',
        frame: between(a, web, segment(7000, 80, ['rst']), six),
        expect: drop('vip_no_flow'),
      },
    ])
    for (const backends of [
      [],
      [{ ip: six ? b.ip6 : b.ip, state: 'dead' as const }],
      [{ ip: six ? b.ip6 : b.ip, weight: 0 }],
    ]) {
      putService(board.dataplane, { vip: six ? WEB.ip6 : WEB.ip, backends })
      run(t, board, [resets('no backend takes it', segment(7000, 80, ['syn']), rstAck(1001))])
      const { verdict, outputs } = board.from(
        'a',
        between(a, web, udp({ from: 1, to: 2 }, pattern(9)), six),
      )
      t.strictSame([verdict.action, verdict.counter], ['reply', 'icmp_errors_sent'])
      const told = decode(outputs[0]!.frame)
      t.strictSame(
        [told.icmp?.type, told.icmp?.code],
        six ? [1, 4] : [3, 3],
        'UDP: port unreachable',
      )
      t.strictSame(told.problems, [])
    }
  })

  t.test(`ICMP errors about what was translated, both ways, ${name}`, async (t) => {
    const board = boardWith(c)
    const web = WEB as Place
    const error = (
      about: Uint8Array,
      [type, code]: readonly [number, number],
      rest = 0,
    ): Transport => (six ? icmp6 : icmp)({ type, code, rest }, about.subarray(14, 14 + 548))
    const [big, unreachable] = six
      ? ([
          [2, 0],
          [1, 4],
        ] as const)
      : ([
          [3, 4],
          [3, 3],
        ] as const)
    const sent = (to: Place): Uint8Array =>
      between(a, to, udp({ from: 5000, to: 4433 }, pattern(1200)), six)
    const came = (from: Place): Uint8Array =>
      between(from, a, udp({ from: 4433, to: 5000 }, pattern(900)), six)
    const router = { ...blue1, mac: c.mac }
    const wrap = (frame: Uint8Array): Uint8Array => vxlan({ vni: 4097 }, frame)
    run(t, board, [
      { title: 'UDP out', frame: sent(web), expect: toC(sent(c), NEW) },
      {
        title: 'the backend says that the port is closed',
        host: 'h2',
        frame: wrap(between(c, a, error(sent(c), unreachable), six)),
        expect: to('a', between(web, a, error(sent(web), unreachable), six)),
      },
      {
        title: 'a router on its way says that the packet is too big; it speaks for itself',
        host: 'h2',
        frame: wrap(between(router, a, error(sent(c), big, 1300), six)),
        expect: to(
          'a',
          ethernet(
            { from: WEB.mac, to: a.mac },
            six
              ? ipv6({ from: blue1.ip6, to: a.ip6 }, error(sent(web), big, 1300))
              : ipv4({ from: blue1.ip, to: a.ip, id: 7 }, error(sent(web), big, 1300)),
          ),
        ),
      },
      {
        title: 'the client says it of an answer',
        frame: between(a, web, error(came(web), unreachable), six),
        expect: toC(between(a, c, error(came(c), unreachable), six)),
      },
      {
        title: "an error about another flow is nobody's",
        frame: between(
          a,
          web,
          error(between(web, a, udp({ from: 4433, to: 5999 }, pattern(20)), six), unreachable),
          six,
        ),
        expect: drop('vip_no_flow'),
      },
    ])
    const large = (to: Place): Uint8Array =>
      between(a, to, udp({ from: 5000, to: 4433 }, pattern(1500)), six)
    const { verdict, outputs, counted } = board.from('a', large(web))
    t.strictSame(
      [verdict.action, verdict.counter],
      ['reply', 'icmp_errors_sent'],
      'too big for the network',
    )
    t.equal(counted['vip_translated'], 2, 'translated, and back')
    const told = decode(outputs[0]!.frame)
    t.strictSame(told.problems, [])
    t.strictSame(
      [told.icmp?.type, told.icmp?.code, (told.icmp?.rest ?? 0) & 0xffff],
      [...big, 1450],
    )
    t.strictSame(
      Buffer.from(told.payload),
      Buffer.from(large(web).subarray(14, 14 + told.payload.length)),
      'what is quoted is what the client has sent',
    )
  })

  t.test(`fragments, ${name}`, async (t) => {
    const board = boardWith(c)
    const web = WEB as Place
    const parts = (
      from: Place,
      to: Place,
      ports: readonly [number, number],
      id: number,
    ): Uint8Array[] => {
      const whole = between(from, to, udp({ from: ports[0], to: ports[1] }, pattern(3000)), six)
      const body = whole.subarray(14 + (six ? 40 : 20))
      return [0, 1400, 2800].map((offset) => {
        const piece = body.subarray(offset, offset + 1400)
        const more = offset < 2800
        return six
          ? between(from, to, fragment6({ offset, more, id }, data(17, piece)), true)
          : between(from, to, data(17, piece), false, { fragment: { offset, more }, id })
      })
    }
    const out = (id: number, to: Place): Uint8Array[] => parts(a, to, [5000, 53], id)
    const back = (id: number, from: Place): Uint8Array[] => parts(from, a, [53, 5000], id)
    const pairs = (from: Uint8Array[], to: Uint8Array[]): [Uint8Array, Uint8Array][] =>
      from.map((frame, index) => [frame, to[index]!])
    run(t, board, [
      ...pairs(out(11, web), out(11, c)).map(
        ([frame, expected], index): Case => ({
          title: `part ${index} of a packet to the VIP`,
          frame,
          expect: toC(expected, index === 0 ? NEW : OLD),
        }),
      ),
      ...pairs(back(12, c), back(12, web)).map(
        ([frame, expected], index): Case => ({
          title: `part ${index} of the answer`,
          host: 'h2',
          frame: vxlan({ vni: 4097 }, frame),
          expect: to('a', expected),
        }),
      ),
      {
        title: 'a later part before the first: dropped and counted',
        frame: out(13, web)[1]!,
        expect: drop('vip_fragment'),
      },
      {
        title: 'then the first',
        frame: out(13, web)[0]!,
        expect: toC(out(13, c)[0]!),
      },
      { title: 'and the rest', frame: out(13, web)[2]!, expect: toC(out(13, c)[2]!) },
    ])
    board.nowNs += 31_000_000_000n
    run(t, board, [
      {
        title: 'nobody waits for the rest for ever',
        frame: out(13, web)[1]!,
        expect: drop('vip_fragment'),
      },
    ])
    const before = board.counters()['vip_fragments_forgotten'] ?? 0
    for (let id = 100; id < 5000; id++) board.from('a', out(id, web)[0]!)
    t.ok(
      (board.counters()['vip_fragments_forgotten'] ?? 0) - before >= 4900 - 1024,
      'they are bounded',
    )
  })

  t.test(`a backend that reaches itself, ${name}`, async (t) => {
    const board = boardWith(a)
    const web = WEB as Place
    const seen = (from: Place, to: Place, transport: Transport): Uint8Array => {
      const packet = six
        ? ipv6({ from: from.ip6!, to: to.ip6! }, transport)
        : ipv4({ from: from.ip, to: to.ip, id: 7 }, transport)
      return ethernet({ from: WEB.mac, to: a.mac }, packet)
    }
    const send = (transport: Transport): Uint8Array => between(a, web, transport, six)
    const quote = (frame: Uint8Array): Transport =>
      six
        ? icmp6({ type: 1, code: 4 }, frame.subarray(14))
        : icmp({ type: 3, code: 3 }, frame.subarray(14))
    const datagram = udp({ from: 5001, to: 53 }, pattern(20))
    const answer = udp({ from: 53, to: 5001 }, pattern(21))
    run(t, board, [
      {
        title: 'its SYN comes back to it, from the VIP',
        frame: send(segment(5000, 80, ['syn'])),
        expect: to('a', seen(web, a, segment(5000, 80, ['syn'])), NEW),
      },
      {
        title: 'its answer, too',
        frame: send(segment(80, 5000, ['syn', 'ack'])),
        expect: to('a', seen(web, a, segment(80, 5000, ['syn', 'ack']))),
      },
      {
        title: 'and what it sends on',
        frame: send(segment(5000, 80, ['ack'], {}, pattern(99))),
        expect: to('a', seen(web, a, segment(5000, 80, ['ack'], {}, pattern(99)))),
      },
      {
        title: 'a mapped port',
        frame: send(segment(5000, 8000, ['syn'])),
        expect: to('a', seen(web, a, segment(1024 + 5000, 80, ['syn'])), NEW),
      },
      { title: 'UDP', frame: send(datagram), expect: to('a', seen(web, a, datagram), NEW) },
      { title: 'and its answer', frame: send(answer), expect: to('a', seen(web, a, answer)) },
      {
        title: 'an error about the question',
        frame: send(quote(seen(web, a, datagram))),
        expect: to('a', seen(web, a, quote(send(datagram)))),
      },
      {
        title: 'an error about the answer',
        frame: send(quote(seen(web, a, answer))),
        expect: to('a', seen(web, a, quote(send(answer)))),
      },
    ])
  })
}

t.test('who asks where the VIP is gets an answer here', async (t) => {
  const board = boardWith(c)
  const asked = arp({ senderMac: a.mac, senderIp: a.ip, targetIp: WEB.ip })
  const told = arp({
    operation: 'reply',
    senderMac: WEB.mac,
    senderIp: WEB.ip,
    targetMac: a.mac,
    targetIp: a.ip,
  })
  const group = solicitedNode(WEB.ip6)
  const flags = { router: false, solicited: true, override: true }
  const here = advertisement(WEB.ip6, flags, linkLayerOption('target', WEB.mac))
  run(t, board, [
    {
      title: 'ARP',
      frame: ethernet({ from: a.mac, to: BROADCAST }, asked),
      expect: reply('arp_answered', 'a', ethernet({ from: WEB.mac, to: a.mac }, told)),
    },
    {
      title: 'ND',
      frame: ethernet(
        { from: a.mac, to: group.mac },
        ipv6({ from: a.ip6, to: group.ip, hopLimit: 255 }, solicitation(WEB.ip6)),
      ),
      expect: reply(
        'nd_answered',
        'a',
        ethernet(
          { from: WEB.mac, to: a.mac },
          ipv6({ from: WEB.ip6, to: a.ip6, hopLimit: 255 }, here),
        ),
      ),
    },
  ])
})

t.test('between subnets of a network', async (t) => {
  const board = boardWith(d)
  putService(board.dataplane, { backends: [{ ip: d.ip, vni: 4098 }, { ip: b.ip }] })
  const viaGateway = (
    from: Place,
    gateway: Place,
    to: Place,
    transport: Transport,
    ttl = 64,
  ): Uint8Array =>
    ethernet(
      { from: from.mac, to: gateway.mac },
      ipv4({ from: from.ip, to: to.ip, ttl }, transport),
    )
  const syn = (port: number): Transport => segment(port, 80, ['syn'])
  const synAck = (port: number): Transport => segment(80, port, ['syn', 'ack'])
  const routedTo = (name: string, frame: Uint8Array): Case['expect'] => ({
    action: 'toPort',
    routed: true,
    counted: { ...NEW, routed: 1 },
    out: [{ to: name, frame }],
  })
  const frameTo = (gateway: Place, from: Place, to: Place, transport: Transport): Uint8Array =>
    ethernet(
      { from: gateway.mac, to: to.mac },
      ipv4({ from: from.ip, to: to.ip, ttl: 63 }, transport),
    )
  const hello = udp({ from: 1, to: 2 }, pattern(4))
  const web = WEB as Place
  run(t, board, [
    {
      title: 'the VIP is here, the backend in another subnet: routed',
      frame: ethernet({ from: a.mac, to: WEB.mac }, ipv4({ from: a.ip, to: WEB.ip }, syn(5000))),
      expect: routedTo('d', frameTo(blue2, a, d, syn(5000))),
    },
    {
      title: 'its answer comes by the gateway',
      from: 'd',
      frame: viaGateway(d, blue2, a, synAck(5000)),
      expect: {
        action: 'toPort',
        routed: true,
        counted: { ...OLD, routed: 1 },
        out: [
          {
            to: 'a',
            frame: ethernet(
              { from: WEB.mac, to: a.mac },
              ipv4({ from: WEB.ip, to: a.ip, ttl: 63 }, synAck(5000)),
            ),
          },
        ],
      },
    },
    {
      title: 'the client is in another subnet than VIP and backend',
      from: 'd',
      frame: viaGateway(d, blue2, web, syn(6000)),
      expect: routedTo('b', frameTo(blue1, d, b, syn(6000))),
    },
    {
      title: 'its answer',
      from: 'b',
      frame: viaGateway(b, blue1, d, synAck(6000)),
      expect: {
        action: 'toPort',
        routed: true,
        counted: { ...OLD, routed: 1 },
        out: [{ to: 'd', frame: frameTo(blue2, web, d, synAck(6000)) }],
      },
    },
    {
      title: 'the client is beside the backend, the VIP elsewhere: no hop (and here: itself)',
      from: 'd',
      frame: viaGateway(d, blue2, web, syn(6001)),
      expect: {
        action: 'toPort',
        counted: NEW,
        out: [
          {
            to: 'd',
            frame: ethernet(
              { from: blue2.mac, to: d.mac },
              ipv4({ from: WEB.ip, to: d.ip }, syn(6001)),
            ),
          },
        ],
      },
    },
    {
      title: 'a TTL that ends on the way: the error quotes what was sent',
      from: 'd',
      frame: viaGateway(d, blue2, web, hello, 1),
      expect: {
        action: 'reply',
        counter: 'icmp_errors_sent',
        counted: { vip_flows: 1, vip_translated: 2 },
        out: [
          {
            to: 'd',
            frame: ethernet(
              { from: blue2.mac, to: d.mac },
              ipv4(
                { from: blue2.ip, to: d.ip },
                icmp({ type: 11 }, viaGateway(d, blue2, web, hello, 1).subarray(14)),
              ),
            ),
          },
        ],
      },
    },
  ])
})

t.test('two ways to one backend from one port are told apart', async (t) => {
  const board = boardWith(c)
  const other = { ip: '10.0.1.201', mac: '02:42:0a:00:01:c9' }
  putService(board.dataplane, {
    vip: other.ip,
    mac: other.mac,
    service: 79,
    backends: [{ ip: c.ip }],
  })
  const web = WEB as Place
  const wrap = (frame: Uint8Array): Uint8Array => vxlan({ vni: 4097 }, frame)
  run(t, board, [
    {
      title: 'by the one VIP',
      frame: between(a, web, segment(5000, 80, ['syn'])),
      expect: toC(between(a, c, segment(5000, 80, ['syn'])), NEW),
    },
    {
      title: 'by the other: from another port, as the backend sees it',
      frame: between(a, other, segment(5000, 80, ['syn'])),
      expect: toC(between(a, c, segment(6024, 80, ['syn'])), NEW),
    },
    {
      title: 'an answer to the one',
      host: 'h2',
      frame: wrap(between(c, a, segment(80, 5000, ['syn', 'ack']))),
      expect: to('a', between(web, a, segment(80, 5000, ['syn', 'ack']))),
    },
    {
      title: 'an answer to the other',
      host: 'h2',
      frame: wrap(between(c, a, segment(80, 6024, ['syn', 'ack']))),
      expect: to('a', between(other, a, segment(80, 5000, ['syn', 'ack']))),
    },
  ])
})

t.test('a client that speaks to a backend without the VIP, too, from the same port', async (t) => {
  const board = boardWith(c)
  const web = WEB as Place
  const wrap = (frame: Uint8Array): Uint8Array => vxlan({ vni: 4097 }, frame)
  const synAck = (port: number): Uint8Array =>
    between(c, a, segment(80, port, ['syn', 'ack'], { acknowledgement: 1001 }))
  const answerFrom = (place: Place, port: number): Uint8Array =>
    between(place, a, segment(80, port, ['syn', 'ack'], { acknowledgement: 1001 }))
  run(t, board, [
    {
      title: 'by the VIP',
      frame: between(a, web, segment(5000, 80, ['syn'])),
      expect: toC(between(a, c, segment(5000, 80, ['syn'])), NEW),
    },
    {
      title: 'its answer',
      host: 'h2',
      frame: wrap(synAck(5000)),
      expect: to('a', answerFrom(web, 5000)),
    },
    {
      title: 'directly: to the backend it is another port',
      frame: between(a, c, segment(5000, 80, ['syn'])),
      expect: toC(between(a, c, segment(6024, 80, ['syn']))),
    },
    {
      title: 'and the answer comes from the backend',
      host: 'h2',
      frame: wrap(synAck(6024)),
      expect: to('a', answerFrom(c, 5000)),
    },
    {
      title: 'what follows',
      frame: between(a, c, segment(5000, 80, ['ack'], {}, pattern(50))),
      expect: toC(between(a, c, segment(6024, 80, ['ack'], {}, pattern(50)))),
    },
    {
      title: 'from other ports nothing is changed',
      frame: between(a, c, segment(5001, 80, ['syn'])),
      expect: toC(between(a, c, segment(5001, 80, ['syn'])), {}),
    },
    {
      title: 'UDP by the VIP',
      frame: between(a, web, udp({ from: 5000, to: 53 }, pattern(9))),
      expect: toC(between(a, c, udp({ from: 5000, to: 53 }, pattern(9))), NEW),
    },
    {
      title: 'UDP directly',
      frame: between(a, c, udp({ from: 5000, to: 53 }, pattern(9))),
      expect: toC(between(a, c, udp({ from: 6024, to: 53 }, pattern(9)))),
    },
    {
      title: 'and back',
      host: 'h2',
      frame: wrap(between(c, a, udp({ from: 53, to: 6024 }, pattern(9)))),
      expect: to('a', between(c, a, udp({ from: 53, to: 5000 }, pattern(9)))),
    },
    {
      title: 'a connection by the VIP is reset',
      frame: between(a, web, segment(5000, 80, ['rst'])),
      expect: toC(between(a, c, segment(5000, 80, ['rst']))),
    },
    {
      title: 'so is the other one',
      frame: between(a, c, segment(5000, 80, ['rst'])),
      expect: toC(between(a, c, segment(6024, 80, ['rst']))),
    },
    {
      title: 'what is over makes way: directly, from the same port',
      frame: between(a, c, segment(5000, 80, ['syn'])),
      expect: toC(between(a, c, segment(5000, 80, ['syn'])), {}),
    },
    {
      title: 'and back',
      host: 'h2',
      frame: wrap(synAck(5000)),
      expect: to('a', answerFrom(c, 5000), {}),
    },
  ])
  t.strictSame(
    board.dataplane
      .serviceEntries()
      .find(({ service }) => service === 77)
      ?.backends.map(({ flows }) => flows),
    [2],
    'which is no flow of the service',
  )
})

// What the data plane answers itself: ARP, neighbour discovery, the gateway, routing, and ICMP errors.
//
// The pictured network is that of fixtures/switchboard.ts; `a` sends where nothing else is said. Every answer is compared
// byte for byte with one that fixtures/frames.ts builds.

import t from 'tap'
import {
  type Case,
  type Expected,
  drop,
  flood,
  reply,
  routed,
  run,
  toPort,
  toVtep,
} from '../fixtures/cases.ts'
import { decode, decodeGood } from '../fixtures/decode-frame.ts'
import {
  BROADCAST,
  type IcmpOptions,
  type Ipv4Options,
  type Packet,
  type Transport,
  advertisement,
  arp,
  concat,
  data,
  echo,
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
  put16,
  solicitation,
  solicitedNode,
  tcp,
  udp,
  vlan,
} from '../fixtures/frames.ts'
import { ENDPOINTS, GATEWAYS, Switchboard } from '../fixtures/switchboard.ts'

const { a, b, c, d, e, k, r, s } = ENDPOINTS
const { blue1, blue2, blue3, red } = GATEWAYS
const LINK_LOCAL = {
  a: 'fe80::42:aff:fe00:102',
  c: 'fe80::42:aff:fe00:104',
  gateway: 'fe80::42:aff:fe00:101',
}
const EVERYBODY = ['b', 'h3', 'h2']

const board = new Switchboard()
t.teardown(() => {
  board.close()
})

const out = (to: string, inner: Packet): Uint8Array => ethernet({ from: a.mac, to }, inner)
const dgram = (length = 20, from = 1000, to = 2000): Transport => udp({ from, to }, pattern(length))

/** A case whose frame is flooded as it is. */
const left = (title: string, frame: Uint8Array): Case => ({
  title,
  frame,
  expect: flood(EVERYBODY, 4097, frame),
})

t.test('ARP', async (t) => {
  const ask = (
    targetIp: string,
    { to = BROADCAST, ...more }: Partial<Parameters<typeof arp>[0]> & { to?: string } = {},
  ): Uint8Array => out(to, arp({ senderMac: a.mac, senderIp: a.ip, targetIp, ...more }))
  const told = (ip: string, by: string, asker = a): Expected =>
    reply(
      'arp_answered',
      'a',
      ethernet(
        { from: by, to: asker.mac },
        arp({
          operation: 'reply',
          senderMac: by,
          senderIp: ip,
          targetMac: asker.mac,
          targetIp: asker.ip,
        }),
      ),
    )
  const answer = out(
    c.mac,
    arp({ operation: 'reply', senderMac: a.mac, senderIp: a.ip, targetMac: c.mac, targetIp: c.ip }),
  )
  run(t, board, [
    { title: 'an endpoint of another host', frame: ask(c.ip), expect: told(c.ip, c.mac) },
    { title: 'an endpoint of this host', frame: ask(b.ip), expect: told(b.ip, b.mac) },
    { title: 'the gateway', frame: ask(blue1.ip), expect: told(blue1.ip, blue1.mac) },
    {
      title: 'a request padded to 60 bytes is answered with 42',
      frame: padded(ask(c.ip), 60),
      expect: told(c.ip, c.mac),
    },
    {
      title: 'a request to the MAC that is asked for (a cache that checks its entry)',
      frame: ask(c.ip, { to: c.mac, targetMac: c.mac }),
      expect: told(c.ip, c.mac),
    },
    {
      title: "the same to the gateway's",
      frame: ask(blue1.ip, { to: blue1.mac }),
      expect: told(blue1.ip, blue1.mac),
    },
    {
      title: 'a stranger that is asked for at the gateway',
      frame: ask('10.0.1.99', { to: blue1.mac }),
      expect: drop('gateway_not_ip'),
    },
    left('an unknown address is flooded', ask('10.0.1.99')),
    left('so is one of another subnet', ask(d.ip)),
    left('gratuitous ARP', ask(a.ip)),
    left(
      "gratuitous ARP for somebody else's address: only the holder may object",
      ask(c.ip, { senderIp: c.ip }),
    ),
    left('a gratuitous reply', ask(a.ip, { operation: 'reply', targetMac: BROADCAST })),
    left('a probe for an address that is held', ask(c.ip, { senderIp: '0.0.0.0' })),
    left(
      'its own address, asked for from another of its addresses',
      ask(a.ip, { senderIp: '10.0.1.77' }),
    ),
    left('ARP for other hardware', ask(c.ip, { hardwareType: 6 })),
    left('ARP cut short', ask(c.ip).slice(0, 14 + 27)),
    { title: 'a reply goes its way', frame: answer, expect: toVtep('h2', 4097, answer) },
  ])
})

t.test('neighbour discovery', async (t) => {
  const source = linkLayerOption('source', a.mac)
  const ask = (
    target: string,
    {
      to = solicitedNode(target),
      from = a.ip6,
      hopLimit = 255,
      message = solicitation(target, { options: source }),
    }: {
      to?: { ip: string; mac: string }
      from?: string
      hopLimit?: number
      message?: Transport
    } = {},
  ): Uint8Array => out(to.mac, ipv6({ from, to: to.ip, hopLimit }, message))
  const told = (ip: string, by: string, router = false, to: string = a.ip6): Expected =>
    reply(
      'nd_answered',
      'a',
      ethernet(
        { from: by, to: a.mac },
        ipv6(
          { from: ip, to, hopLimit: 255 },
          advertisement(
            ip,
            { router, solicited: true, override: true },
            linkLayerOption('target', by),
          ),
        ),
      ),
    )
  const nonce = concat(source, Uint8Array.of(14, 1, 1, 2, 3, 4, 5, 6))
  const advertised = out(
    c.mac,
    ipv6(
      { from: a.ip6, to: c.ip6, hopLimit: 255 },
      advertisement(
        a.ip6,
        { router: false, solicited: true, override: true },
        linkLayerOption('target', a.mac),
      ),
    ),
  )
  run(t, board, [
    { title: 'an endpoint of another host', frame: ask(c.ip6), expect: told(c.ip6, c.mac) },
    { title: 'an endpoint of this host', frame: ask(b.ip6), expect: told(b.ip6, b.mac) },
    {
      title: 'the link-local address of an endpoint',
      frame: ask(LINK_LOCAL.c, { from: LINK_LOCAL.a }),
      expect: told(LINK_LOCAL.c, c.mac, false, LINK_LOCAL.a),
    },
    {
      title: 'the gateway, which says that it is a router',
      frame: ask(blue1.ip6),
      expect: told(blue1.ip6, blue1.mac, true),
    },
    {
      title: 'the link-local address of the gateway',
      frame: ask(LINK_LOCAL.gateway),
      expect: told(LINK_LOCAL.gateway, blue1.mac, true),
    },
    {
      title: 'a solicitation without options',
      frame: ask(c.ip6, { message: solicitation(c.ip6) }),
      expect: told(c.ip6, c.mac),
    },
    {
      title: 'a solicitation with a nonce (RFC 3971)',
      frame: ask(c.ip6, { message: solicitation(c.ip6, { options: nonce }) }),
      expect: told(c.ip6, c.mac),
    },
    {
      title: 'a solicitation to the address itself (reachability)',
      frame: ask(c.ip6, { to: { ip: c.ip6, mac: c.mac } }),
      expect: told(c.ip6, c.mac),
    },
    {
      title: "the same to the gateway's",
      frame: ask(blue1.ip6, { to: { ip: blue1.ip6, mac: blue1.mac } }),
      expect: told(blue1.ip6, blue1.mac, true),
    },
    left('an unknown address is flooded', ask('fd57:1::99')),
    left('its own address', ask(a.ip6)),
    left('duplicate address detection', ask(c.ip6, { from: '::' })),
    left('a hop limit of 254: it came through a router', ask(c.ip6, { hopLimit: 254 })),
    left('a code that means nothing', ask(c.ip6, { message: solicitation(c.ip6, { code: 1 }) })),
    left(
      'a message cut short, whatever stands behind it',
      padded(ask(c.ip6, { message: icmp6({ type: 135 }, pattern(15)) }), 120),
    ),
    left(
      'behind an extension header, which a solicitation never is',
      ask(c.ip6, { message: extension('hopByHop', solicitation(c.ip6)) }),
    ),
    left('an IPv4 address asked for as IPv6', ask('::ffff:10.0.1.4')),
    {
      title: 'an advertisement goes its way',
      frame: advertised,
      expect: toVtep('h2', 4097, advertised),
    },
  ])
})

/** An ICMP error about `about`, which a sent, from its gateway. */
function error(of: IcmpOptions, about: Uint8Array, quote = about.length - 14): Uint8Array {
  const quoted = about.subarray(14, 14 + Math.min(quote, 576 - 28))
  return ethernet(
    { from: blue1.mac, to: a.mac },
    ipv4({ from: blue1.ip, to: a.ip }, icmp(of, quoted)),
  )
}

function error6(of: IcmpOptions, about: Uint8Array, to: string = a.ip6): Uint8Array {
  const quoted = about.subarray(14, 14 + 1280 - 48)
  return ethernet({ from: blue1.mac, to: a.mac }, ipv6({ from: blue1.ip6, to }, icmp6(of, quoted)))
}

const told = (frame: Uint8Array): Expected => reply('icmp_errors_sent', 'a', frame)

const NET_UNREACHABLE = { type: 3, code: 0 }
const HOST_UNREACHABLE = { type: 3, code: 1 }
const PROTOCOL_UNREACHABLE = { type: 3, code: 2 }
const PORT_UNREACHABLE = { type: 3, code: 3 }
const TIME_EXCEEDED = { type: 11, code: 0 }
const NO_ROUTE_6 = { type: 1, code: 0 }
const ADDRESS_UNREACHABLE_6 = { type: 1, code: 3 }
const PORT_UNREACHABLE_6 = { type: 1, code: 4 }
const TIME_EXCEEDED_6 = { type: 3, code: 0 }

t.test('the gateway answers for itself', async (t) => {
  const v4 = (transport: Transport, more: Partial<Ipv4Options> = {}): Uint8Array =>
    out(blue1.mac, ipv4({ from: a.ip, to: blue1.ip, ...more }, transport))
  const v6 = (transport: Transport, to: string = blue1.ip6, from: string = a.ip6): Uint8Array =>
    out(blue1.mac, ipv6({ from, to }, transport))
  const back = (inner: Packet): Expected =>
    reply('gateway_echo_answered', 'a', ethernet({ from: blue1.mac, to: a.mac }, inner))
  const ping = (type: number, length = 56): Transport =>
    icmp({ type, rest: echo(7, 1) }, pattern(length))
  const ping6 = (type: number): Transport => icmp6({ type, rest: echo(7, 1) }, pattern(57))

  const dns = v4(dgram(30, 1000, 53))
  const web = v4(tcp({ from: 1000, to: 80, flags: ['syn'] }, pattern(0)))
  const sctp = v4(data(132, pattern(32)))
  const dns6 = v6(dgram(1400, 1000, 53))
  const web6 = v6(tcp({ from: 1000, to: 80, flags: ['syn'] }, pattern(0)))
  const sctp6 = v6(data(132, pattern(32)))
  const behind6 = v6(extension('destination', dgram(30)))
  run(t, board, [
    {
      title: 'a ping',
      frame: v4(ping(8), { id: 99, dontFragment: true }),
      expect: back(ipv4({ from: blue1.ip, to: a.ip, id: 99, dontFragment: true }, ping(0))),
    },
    {
      title: 'a ping with an odd number of bytes, TTL 1 and IP options',
      frame: v4(ping(8, 33), { ttl: 1, options: pattern(8) }),
      expect: back(ipv4({ from: blue1.ip, to: a.ip, options: pattern(8) }, ping(0, 33))),
    },
    {
      title: 'a ping of no bytes; the padding stays behind it',
      frame: padded(v4(ping(8, 0)), 60),
      expect: reply(
        'gateway_echo_answered',
        'a',
        padded(
          ethernet({ from: blue1.mac, to: a.mac }, ipv4({ from: blue1.ip, to: a.ip }, ping(0, 0))),
          60,
        ),
      ),
    },
    {
      title: "a ping of another subnet's gateway: it is the same router",
      frame: v4(ping(8), { to: blue2.ip }),
      expect: back(ipv4({ from: blue2.ip, to: a.ip }, ping(0))),
    },
    {
      title: 'a ping over IPv6',
      frame: v6(ping6(128)),
      expect: back(ipv6({ from: blue1.ip6, to: a.ip6 }, ping6(129))),
    },
    {
      title: "a ping of the gateway's link-local address",
      frame: v6(ping6(128), LINK_LOCAL.gateway, LINK_LOCAL.a),
      expect: back(ipv6({ from: LINK_LOCAL.gateway, to: LINK_LOCAL.a }, ping6(129))),
    },
    {
      title: 'the first fragment of a ping',
      frame: v4(ping(8), { fragment: { offset: 0, more: true } }),
      expect: drop('gateway_fragment'),
    },
    {
      title: 'and its last',
      frame: v4(data(1, pattern(40)), { fragment: { offset: 64, more: false } }),
      expect: drop('gateway_fragment'),
    },
    {
      title: 'a fragment of a ping over IPv6',
      frame: v6(fragment6({ offset: 64 }, data(58, pattern(40)))),
      expect: drop('gateway_fragment'),
    },
    { title: 'UDP: nobody listens', frame: dns, expect: told(error(PORT_UNREACHABLE, dns)) },
    { title: 'TCP: nobody listens', frame: web, expect: told(error(PORT_UNREACHABLE, web)) },
    {
      title: 'SCTP: nobody speaks it',
      frame: sctp,
      expect: told(error(PROTOCOL_UNREACHABLE, sctp)),
    },
    {
      title: 'UDP over IPv6, quoted up to 1280 bytes',
      frame: dns6,
      expect: told(error6(PORT_UNREACHABLE_6, dns6)),
    },
    { title: 'TCP over IPv6', frame: web6, expect: told(error6(PORT_UNREACHABLE_6, web6)) },
    { title: 'SCTP over IPv6', frame: sctp6, expect: told(error6(PORT_UNREACHABLE_6, sctp6)) },
    {
      title: 'UDP behind an extension header',
      frame: behind6,
      expect: told(error6(PORT_UNREACHABLE_6, behind6)),
    },
    {
      title: 'ICMP of another type is discarded, not answered',
      frame: v4(icmp({ type: 13 }, pattern(12))),
      expect: drop('no_icmp_allowed'),
    },
    {
      title: 'so is an echo reply that nobody asked for',
      frame: v4(ping(0)),
      expect: drop('no_icmp_allowed'),
    },
    {
      title: 'and a router solicitation that came by unicast',
      frame: v6(icmp6({ type: 133 }, pattern(0))),
      expect: drop('no_icmp_allowed'),
    },
    {
      title: 'half an ICMP header, whatever stands behind the packet',
      frame: padded(v4(data(1, Uint8Array.of(8, 0, 0, 0))), 60, 8),
      expect: drop('no_icmp_allowed'),
    },
    {
      title: 'a later fragment of UDP',
      frame: v4(data(17, pattern(40)), { fragment: { offset: 64, more: false } }),
      expect: drop('no_icmp_allowed'),
    },
    {
      title: 'what is not IP',
      frame: out(blue1.mac, packet(0x88b5, pattern(46))),
      expect: drop('gateway_not_ip'),
    },
    {
      title: 'IP of another VLAN',
      frame: out(blue1.mac, vlan({ id: 7 }, ipv4({ from: a.ip, to: blue1.ip }, ping(8)))),
      expect: drop('gateway_not_ip'),
    },
    {
      title: 'IPv4 that contradicts the frame',
      frame: v4(ping(8), { totalLength: 200 }),
      expect: drop('gateway_malformed'),
    },
    {
      title: 'IPv4 that is shorter than its header',
      frame: v4(ping(8), { totalLength: 19 }),
      expect: drop('gateway_malformed'),
    },
    {
      title: 'IPv6 that contradicts the frame',
      frame: v6(ping6(128)).slice(0, 60),
      expect: drop('gateway_malformed'),
    },
    {
      title: 'the IPv4 address of the gateway in an IPv6 header',
      frame: v6(ping6(128), `::ffff:${blue1.ip}`, `::ffff:${a.ip}`),
      expect: drop('gateway_malformed'),
    },
  ])
})

t.test('the gateway routes between the subnets of a network', async (t) => {
  const v4 = (to: string, more: Partial<Ipv4Options> = {}, transport = dgram()): Uint8Array =>
    out(blue1.mac, ipv4({ from: a.ip, to, ...more }, transport))
  const v6 = (to: string, hopLimit = 64, from: string = a.ip6): Uint8Array =>
    out(blue1.mac, ipv6({ from, to, hopLimit }, dgram()))
  const arrives = (
    from: string,
    to: string,
    ip: string,
    more: Partial<Ipv4Options> = {},
  ): Uint8Array => ethernet({ from, to }, ipv4({ from: a.ip, to: ip, ttl: 63, ...more }, dgram()))

  const failing = {
    stranger: v4('192.0.2.1'),
    red: v4(s.ip),
    group: v4('224.0.0.1'),
    nobody: v4('10.0.2.99'),
    dying: v4(d.ip, { ttl: 1 }),
    dead: v4(d.ip, { ttl: 0 }),
    linkLocal: v4(d.ip, { from: '169.254.7.7' }),
    stranger6: v6('2001:db8::1'),
    nobody6: v6('fd57:2::99'),
    dying6: v6(d.ip6, 1),
    linkLocal6: v6(d.ip6, 64, LINK_LOCAL.a),
    toLinkLocal6: v6('fe80::42:aff:fe00:202'),
  }
  run(t, board, [
    {
      title: 'to an endpoint of this host: TTL one less, right MACs and checksum',
      frame: v4(d.ip),
      expect: routed(toPort('d', arrives(blue2.mac, d.mac, d.ip))),
    },
    {
      title: 'to one of another host, in the VNI of its subnet',
      frame: v4(e.ip),
      expect: routed(toVtep('h2', 4098, arrives(blue2.mac, e.mac, e.ip))),
    },
    {
      title: 'into a subnet that has no endpoint here',
      frame: v4(k.ip),
      expect: routed(toVtep('h3', 4099, arrives(blue3.mac, k.mac, k.ip))),
    },
    {
      title: 'over IPv6, to this host',
      frame: v6(d.ip6),
      expect: routed(
        toPort(
          'd',
          ethernet(
            { from: blue2.mac, to: d.mac },
            ipv6({ from: a.ip6, to: d.ip6, hopLimit: 63 }, dgram()),
          ),
        ),
      ),
    },
    {
      title: 'over IPv6, to another',
      frame: v6(e.ip6),
      expect: routed(
        toVtep(
          'h2',
          4098,
          ethernet(
            { from: blue2.mac, to: e.mac },
            ipv6({ from: a.ip6, to: e.ip6, hopLimit: 63 }, dgram()),
          ),
        ),
      ),
    },
    {
      title: 'TTL 2 arrives with 1',
      frame: v4(d.ip, { ttl: 2 }),
      expect: routed(toPort('d', arrives(blue2.mac, d.mac, d.ip, { ttl: 1 }))),
    },
    {
      title: 'a fragment is routed like a whole packet',
      frame: v4(d.ip, { fragment: { offset: 64, more: true } }),
      expect: routed(
        toPort('d', arrives(blue2.mac, d.mac, d.ip, { fragment: { offset: 64, more: true } })),
      ),
    },
    {
      title: 'to an endpoint of the same subnet, by a host that has no route to it',
      frame: v4(b.ip),
      expect: routed(toPort('b', arrives(blue1.mac, b.mac, b.ip))),
    },
    {
      title: 'to itself',
      frame: v4(a.ip),
      expect: { ...drop('to_own_port'), routed: true, counted: { routed: 1 } },
    },
    { title: 'TTL 1', frame: failing.dying, expect: told(error(TIME_EXCEEDED, failing.dying)) },
    { title: 'TTL 0', frame: failing.dead, expect: told(error(TIME_EXCEEDED, failing.dead)) },
    {
      title: 'no such subnet',
      frame: failing.stranger,
      expect: told(error(NET_UNREACHABLE, failing.stranger)),
    },
    {
      title: 'another network',
      frame: failing.red,
      expect: told(error(NET_UNREACHABLE, failing.red)),
    },
    {
      title: 'no such endpoint',
      frame: failing.nobody,
      expect: told(error(HOST_UNREACHABLE, failing.nobody)),
    },
    { title: 'a multicast address', frame: failing.group, expect: drop('no_icmp_allowed') },
    {
      title: 'from a link-local address',
      frame: failing.linkLocal,
      expect: told(
        ethernet(
          { from: blue1.mac, to: a.mac },
          ipv4(
            { from: blue1.ip, to: '169.254.7.7' },
            icmp(NET_UNREACHABLE, failing.linkLocal.subarray(14)),
          ),
        ),
      ),
    },
    {
      title: 'IPv6: hop limit 1',
      frame: failing.dying6,
      expect: told(error6(TIME_EXCEEDED_6, failing.dying6)),
    },
    {
      title: 'IPv6: no such subnet',
      frame: failing.stranger6,
      expect: told(error6(NO_ROUTE_6, failing.stranger6)),
    },
    {
      title: 'IPv6: no such endpoint',
      frame: failing.nobody6,
      expect: told(error6(ADDRESS_UNREACHABLE_6, failing.nobody6)),
    },
    {
      title: 'IPv6: from a link-local address',
      frame: failing.linkLocal6,
      expect: told(error6(NO_ROUTE_6, failing.linkLocal6, LINK_LOCAL.a)),
    },
    {
      title: 'IPv6: to the link-local address of another subnet',
      frame: failing.toLinkLocal6,
      expect: told(error6(NO_ROUTE_6, failing.toLinkLocal6)),
    },
  ])

  const wrong = v4(d.ip, { checksum: 'bad' })
  t.strictSame(
    decode(board.from('a', wrong).outputs[0]!.frame).problems,
    ['IPv4 header checksum'],
    'a wrong header checksum stays wrong: it is not repaired on the way',
  )
  let checked = 0
  for (let id = 0; id < 0x10000; id += 13) {
    const frame = v4(d.ip, { id, ttl: 2 + (id % 254), options: pattern((id % 11) * 4, id) })
    const { ip } = decodeGood(board.from('a', frame).outputs[0]!.frame)
    if (ip?.ttl === 1 + (id % 254)) checked++
  }
  t.equal(
    checked,
    Math.ceil(0x10000 / 13),
    'the header checksum is right for headers of every sort',
  )
})

t.test('a path of more than one hop', async (t) => {
  // Its sender's gateway routes; the other host only delivers, and its gateway takes nothing from outside.
  const there = new Switchboard(undefined, 'h2')
  const frame = out(blue1.mac, ipv4({ from: a.ip, to: e.ip }, dgram()))
  const got = there.fromHost('h1', board.from('a', frame).outputs[0]!.datagram!)
  there.close()
  t.strictSame(
    got.outputs.map((output) => [output.to, decodeGood(output.frame).ip?.ttl]),
    [['e', 63]],
    'one hop across hosts too',
  )
})

t.test('MTU', async (t) => {
  const sized = (
    ipLength: number,
    more: Partial<Ipv4Options> = {},
    to: string = c.mac,
  ): Uint8Array => out(to, ipv4({ from: a.ip, to: c.ip, ...more }, dgram(ipLength - 28)))
  const sized6 = (
    ipLength: number,
    to = { ip: c.ip6 as string, mac: c.mac as string },
  ): Uint8Array => out(to.mac, ipv6({ from: a.ip6, to: to.ip }, dgram(ipLength - 48)))
  const fits = (title: string, frame: Uint8Array): Case => ({
    title,
    frame,
    expect: toVtep('h2', 4097, frame),
  })
  const tooBig = { type: 3, code: 4, rest: 1450 }
  const tooBig6 = { type: 2, rest: 1450 }

  const large = {
    df: sized(1451, { dontFragment: true }),
    noDf: sized(1451),
    huge: sized(65535),
    here: out(b.mac, ipv4({ from: a.ip, to: b.ip }, dgram(1451 - 28))),
    ping: out(c.mac, ipv4({ from: a.ip, to: c.ip }, icmp({ type: 8 }, pattern(1423)))),
    fragment: sized(1472, { fragment: { offset: 0, more: true } }),
    v6: sized6(1451),
    ping6: out(c.mac, ipv6({ from: a.ip6, to: c.ip6 }, icmp6({ type: 128 }, pattern(1450)))),
    group6: sized6(1451, { ip: 'ff02::fb', mac: '33:33:00:00:00:fb' }),
    fragment6: out(c.mac, ipv6({ from: a.ip6, to: c.ip6 }, fragment6({ more: true }, dgram(1448)))),
    routed: out(blue1.mac, ipv4({ from: a.ip, to: d.ip }, dgram(1451 - 28))),
    optioned: sized(1451, { options: pattern(40) }),
  }
  const routedBy = large.routed.slice()
  routedBy[14 + 8]! -= 1
  put16(routedBy, 14 + 10, ((routedBy[14 + 10]! << 8) | routedBy[14 + 11]!) + 0x100)
  run(t, board, [
    fits('1450 bytes of IPv4 fit', sized(1450, { dontFragment: true })),
    fits('1450 bytes of IPv6 fit', sized6(1450)),
    fits('1450 bytes of another kind fit', out(c.mac, packet(0x88b5, pattern(1450)))),
    fits(
      '1450 bytes behind a VLAN tag fit',
      out(c.mac, vlan({ id: 7 }, ipv4({ from: a.ip, to: c.ip }, dgram(1422)))),
    ),
    { title: 'one byte more, DF', frame: large.df, expect: told(error(tooBig, large.df)) },
    {
      title: 'one byte more without DF: nobody here would fragment it',
      frame: large.noDf,
      expect: told(error(tooBig, large.noDf)),
    },
    {
      title: '65535 bytes, of which 548 are quoted',
      frame: large.huge,
      expect: told(error(tooBig, large.huge, 548)),
    },
    {
      title: 'with IP options, which are quoted',
      frame: large.optioned,
      expect: told(error(tooBig, large.optioned)),
    },
    {
      title: 'to an endpoint of the same host: a network has one MTU',
      frame: large.here,
      expect: told(error(tooBig, large.here)),
    },
    { title: 'a ping', frame: large.ping, expect: told(error(tooBig, large.ping)) },
    {
      title: 'a first fragment',
      frame: large.fragment,
      expect: told(error(tooBig, large.fragment)),
    },
    {
      title: 'after routing, as the router saw it: with the TTL that it left',
      frame: large.routed,
      expect: routed(told(error(tooBig, routedBy))),
    },
    { title: 'IPv6, one byte more', frame: large.v6, expect: told(error6(tooBig6, large.v6)) },
    {
      title: 'IPv6, a ping',
      frame: large.ping6,
      expect: told(error6(tooBig6, large.ping6)),
    },
    {
      title: 'IPv6, a first fragment',
      frame: large.fragment6,
      expect: told(error6(tooBig6, large.fragment6)),
    },
    {
      title: 'IPv6 to a group: the one error about groups that there is',
      frame: large.group6,
      expect: told(error6(tooBig6, large.group6)),
    },
    {
      title: 'what is not IP cannot be told',
      frame: out(c.mac, packet(0x88b5, pattern(1451))),
      expect: drop('too_big'),
    },
    {
      title: 'nor can what is tagged',
      frame: out(c.mac, vlan({ id: 7 }, ipv4({ from: a.ip, to: c.ip }, dgram(1423)))),
      expect: drop('too_big'),
    },
    {
      title: 'nor what contradicts itself',
      frame: sized(1451, { version: 7 }),
      expect: drop('too_big'),
    },
  ])

  const silent = (title: string, frame: Uint8Array): Case => ({
    title,
    frame,
    expect: drop('no_icmp_allowed'),
  })
  const big = pattern(1450)
  const v4 = (
    transport: Transport,
    more: Partial<Ipv4Options> = {},
    to: string = c.mac,
  ): Uint8Array => out(to, ipv4({ from: a.ip, to: c.ip, ...more }, transport))
  const v6 = (transport: Transport): Uint8Array =>
    out(c.mac, ipv6({ from: a.ip6, to: c.ip6 }, transport))
  run(t, board, [
    ...[3, 4, 5, 11, 12].map((type) =>
      silent(`no error about an ICMP error (type ${type})`, v4(icmp({ type }, big))),
    ),
    ...[1, 2, 3, 4, 127].map((type) =>
      silent(`about an ICMPv6 error (type ${type})`, v6(icmp6({ type }, big))),
    ),
    silent('about an ICMP header cut short', padded(v4(data(1, pattern(7))), 1500)),
    silent('about a later fragment', v4(data(17, big), { fragment: { offset: 64, more: true } })),
    silent('about a later fragment of IPv6', v6(fragment6({ offset: 64 }, data(17, big)))),
    silent('about IPv4 multicast', v4(dgram(1450), { to: '224.0.0.251' }, '01:00:5e:00:00:fb')),
    silent('about a broadcast frame', v4(dgram(1450), {}, BROADCAST)),
    silent('about 255.255.255.255', v4(dgram(1450), { to: '255.255.255.255' })),
    silent('to nobody', v4(dgram(1450), { from: '0.0.0.0' })),
    silent('to a group', v4(dgram(1450), { from: '224.0.0.1' })),
  ])

  const jumbo = (ipLength: number): Uint8Array =>
    ethernet({ from: r.mac, to: s.mac }, ipv4({ from: r.ip, to: s.ip }, dgram(ipLength - 28)))
  const local6 = ethernet(
    { from: r.mac, to: s.mac },
    ipv6({ from: 'fe80::2', to: 'fe80::4' }, dgram(8961)),
  )
  run(t, board, [
    {
      title: "a network's own MTU",
      from: 'r',
      frame: jumbo(9000),
      expect: toVtep('h2', 16777215, jumbo(9000)),
    },
    {
      title: 'and one byte more than that',
      from: 'r',
      frame: jumbo(9001),
      expect: reply(
        'icmp_errors_sent',
        'r',
        ethernet(
          { from: red.mac, to: r.mac },
          ipv4(
            { from: red.ip, to: r.ip },
            icmp({ ...tooBig, rest: 9000 }, jumbo(9001).subarray(14, 14 + 548)),
          ),
        ),
      ),
    },
    {
      title: 'a gateway without an IPv6 address speaks from its link-local one',
      from: 'r',
      frame: local6,
      expect: reply(
        'icmp_errors_sent',
        'r',
        ethernet(
          { from: red.mac, to: r.mac },
          ipv6(
            { from: 'fe80::42:aff:fe07:1', to: 'fe80::2' },
            icmp6({ type: 2, rest: 9000 }, local6.subarray(14, 14 + 1232)),
          ),
        ),
      ),
    },
  ])

  const gso = (size: number, kind: 'tcp4' | 'tcp6' | 'udp') => ({ gso: kind, gsoSize: size })
  const stream = v4(
    tcp(
      { from: 1, to: 2, checksum: 'partial', options: new Uint8Array(12).fill(1) },
      pattern(4000),
    ),
  )
  const stream6 = v6(tcp({ from: 1, to: 2, checksum: 'partial' }, pattern(4000)))
  const burst = v4(udp({ from: 1, to: 2, checksum: 'partial' }, pattern(4000)))
  const small = v4(tcp({ from: 1, to: 2, checksum: 'partial' }, pattern(1000)))
  for (const [title, frame, offload, count] of [
    ['TSO segments of 1398 bytes and 52 of headers fit', stream, gso(1398, 'tcp4'), 3],
    ['TSO segments of 1390 bytes and 60 of headers fit', stream6, gso(1390, 'tcp6'), 3],
    ['USO datagrams of 1422 bytes fit', burst, gso(1422, 'udp'), 3],
    ['a superframe smaller than its segment size counts as it is', small, gso(9000, 'tcp4'), 1],
  ] as const) {
    const { outputs } = board.from('a', frame, offload)
    t.equal(outputs.length, count, title)
    t.ok(outputs.every((output) => (decodeGood(output.frame).ip?.length ?? 0) <= 1450))
  }
  run(t, board, [
    {
      title: 'TSO segments of one byte more',
      frame: stream,
      offload: gso(1399, 'tcp4'),
      expect: told(error(tooBig, stream, 548)),
    },
    {
      title: 'TSO segments of one byte more, IPv6',
      frame: stream6,
      offload: gso(1391, 'tcp6'),
      expect: told(error6(tooBig6, stream6)),
    },
    {
      title: 'USO datagrams of one byte more',
      frame: burst,
      offload: gso(1423, 'udp'),
      expect: told(error(tooBig, burst, 548)),
    },
  ])
})

t.test(
  'ICMP errors are limited: a burst of 50, then 100 a second, for each endpoint',
  async (t) => {
    const board = new Switchboard()
    t.teardown(() => {
      board.close()
    })
    const dying = out(blue1.mac, ipv4({ from: a.ip, to: d.ip, ttl: 1 }, dgram()))
    const errors = (from: string, tries: number): number => {
      let sent = 0
      for (let i = 0; i < tries; i++) {
        const { verdict } = board.from(from, dying)
        if (verdict.action === 'reply') sent++
        else t.equal(verdict.counter, 'icmp_rate_limited')
      }
      return sent
    }
    const ms = 1_000_000n
    t.equal(errors('a', 60), 50, 'the burst')
    t.equal(errors('b', 60), 50, 'which is not taken from others')
    board.nowNs += 10n * ms - 1n
    t.equal(errors('a', 2), 0, 'nothing for 10 ms less 1 ns')
    board.nowNs += 1n
    t.equal(errors('a', 2), 1, 'one after 10 ms')
    board.nowNs += 250n * ms
    t.equal(errors('a', 60), 25, '25 in a quarter of a second')
    board.nowNs += 3_600_000n * ms
    t.equal(errors('a', 60), 50, 'no more than the burst after an hour')
    board.nowNs -= 5n * ms
    t.equal(errors('a', 2), 0, 'a clock that steps back gives nothing away')
    t.equal(
      board.from('a', out(blue1.mac, ipv4({ from: a.ip, to: d.ip }, dgram()))).verdict.action,
      'toPort',
    )
  },
)

// What comes from other hosts, weft or not: whose MAC may come from where, and what a kernel peer on the same machine
// leaves undone.

import t from 'tap'
import { type Case, drop, flood, run, toPort } from '../fixtures/cases.ts'
import {
  BROADCAST,
  type Checksum,
  TIMESTAMPS,
  ethernet,
  fragment6,
  ipv4,
  ipv6,
  padded,
  packet,
  pattern,
  tcp,
  udp,
  vxlan,
} from '../fixtures/frames.ts'
import { ENDPOINTS, FACTS, GATEWAYS, MTU, Switchboard } from '../fixtures/switchboard.ts'

const { a, b, c, g } = ENDPOINTS
const NOBODY = '02:00:00:00:00:99'

/** Blue, with h3 as a VTEP whose endpoints nobody declares but g and k. */
const LEARNING = FACTS.replace('- name: blue\n', '- name: blue\n    learning: [h3]\n')

function board(yaml?: string): Switchboard {
  const made = new Switchboard(yaml)
  t.teardown(() => {
    made.close()
  })
  return made
}

const from = (source: string, to: string = a.mac): Uint8Array =>
  ethernet({ from: source, to }, packet(0x88b5, pattern(64)))
const inBlue = (frame: Uint8Array, vni = 4097): Uint8Array => vxlan({ vni }, frame)

t.test('a source MAC must be that of an endpoint of the host that sent it', async (t) => {
  const cases: [string, string, Uint8Array, Case['expect'], number?][] = [
    ['of an endpoint there', 'h2', from(c.mac), toPort('a', from(c.mac))],
    ['of an endpoint of a third host', 'h2', from(g.mac), drop('spoofed_source')],
    ['of an endpoint of this host', 'h2', from(b.mac), drop('spoofed_source')],
    ['of the endpoint that it is for', 'h2', from(a.mac), drop('spoofed_source')],
    ['of nobody', 'h2', from(NOBODY), drop('unknown_source')],
    ['of nobody, flooded', 'h2', from(NOBODY, BROADCAST), drop('unknown_source')],
    [
      'of an endpoint there, in another subnet',
      'h2',
      from(c.mac, ENDPOINTS.d.mac),
      drop('unknown_source'),
      4098,
    ],
    [
      'of the gateway: every host routes for its own',
      'h2',
      from(GATEWAYS.blue1.mac),
      toPort('a', from(GATEWAYS.blue1.mac)),
    ],
    ["of another subnet's gateway", 'h2', from(GATEWAYS.blue2.mac), drop('unknown_source')],
  ]
  run(
    t,
    board(),
    cases.map(([title, host, frame, expect, vni]) => ({
      title,
      host,
      frame: inBlue(frame, vni),
      expect,
    })),
  )
})

t.test('a learning peer may send from MACs that nobody declares, and no others', async (t) => {
  const there = board(LEARNING)
  const cases: [string, string, Uint8Array, Case['expect']][] = [
    ['a MAC of nobody', 'h3', from(NOBODY), toPort('a', from(NOBODY))],
    ['a MAC that it has', 'h3', from(g.mac), toPort('a', from(g.mac))],
    ['a MAC of another host', 'h3', from(c.mac), drop('spoofed_source')],
    ['a MAC of this host', 'h3', from(b.mac), drop('spoofed_source')],
    ['another host may not', 'h2', from(NOBODY), drop('unknown_source')],
  ]
  run(
    t,
    there,
    cases.map(([title, host, frame, expect]) => ({ title, host, frame: inBlue(frame), expect })),
  )
  const asked = from(a.mac, BROADCAST)
  run(t, there, [
    {
      title: 'it gets what is flooded in its subnet',
      frame: asked,
      expect: flood(['b', 'h3', 'h2'], 4097, asked),
    },
    {
      title: 'and what is flooded in the others',
      from: 'd',
      frame: from(ENDPOINTS.d.mac, BROADCAST),
      expect: flood(['h3', 'h2'], 4098, from(ENDPOINTS.d.mac, BROADCAST)),
    },
    {
      title: 'and, as nobody knows where that is, frames for its MACs',
      frame: from(a.mac, NOBODY),
      expect: flood(['b', 'h3', 'h2'], 4097, from(a.mac, NOBODY)),
    },
  ])
  there.tell(FACTS)
  run(t, there, [
    {
      title: 'until it is one no more',
      host: 'h3',
      frame: inBlue(from(NOBODY)),
      expect: drop('unknown_source'),
    },
  ])
})

const ETHERNET = 14
const MAC = { from: c.mac, to: a.mac }
const V4 = { from: c.ip, to: a.ip }
const V6 = { from: c.ip6, to: a.ip6 }

const tcp4 = (length: number, checksum: Checksum, options?: Uint8Array): Uint8Array =>
  ethernet(
    MAC,
    ipv4(V4, tcp({ from: 1, to: 2, checksum, ...(options && { options }) }, pattern(length))),
  )
const tcp6 = (length: number, checksum: Checksum): Uint8Array =>
  ethernet(MAC, ipv6(V6, tcp({ from: 1, to: 2, checksum }, pattern(length))))
const udp4 = (length: number, checksum: Checksum): Uint8Array =>
  ethernet(MAC, ipv4(V4, udp({ from: 1, to: 2, checksum }, pattern(length))))
const udp6 = (length: number, checksum: Checksum): Uint8Array =>
  ethernet(MAC, ipv6(V6, udp({ from: 1, to: 2, checksum }, pattern(length))))

const owedTcp4 = { needsChecksum: true, checksumStart: ETHERNET + 20, checksumOffset: 16 }
const owedTcp6 = { needsChecksum: true, checksumStart: ETHERNET + 40, checksumOffset: 16 }
const owedUdp4 = { needsChecksum: true, checksumStart: ETHERNET + 20, checksumOffset: 6 }
const owedUdp6 = { needsChecksum: true, checksumStart: ETHERNET + 40, checksumOffset: 6 }

t.test('a checksum that holds only the sum of the pseudo-header is owed', async (t) => {
  const arrives = (title: string, frame: Uint8Array, offload = {}, as = frame): Case => ({
    title,
    host: 'h2',
    frame: inBlue(frame),
    expect: toPort('a', as, offload),
  })
  const broken = ethernet(
    MAC,
    ipv4(
      { ...V4, fragment: { offset: 0, more: true } },
      tcp({ from: 1, to: 2, checksum: 'partial' }, pattern(600)),
    ),
  )
  const broken6 = ethernet(
    MAC,
    ipv6(V6, fragment6({ more: true }, udp({ from: 1, to: 2, checksum: 'partial' }, pattern(600)))),
  )
  run(t, board(), [
    arrives('TCP', tcp4(200, 'partial'), owedTcp4),
    arrives('TCP with options', tcp4(201, 'partial', TIMESTAMPS), owedTcp4),
    arrives('TCP over IPv6', tcp6(200, 'partial'), owedTcp6),
    arrives('UDP', udp4(33, 'partial'), owedUdp4),
    arrives('UDP over IPv6', udp6(33, 'partial'), owedUdp6),
    arrives(
      'a pure ACK, padded to the least length of Ethernet: the padding goes',
      padded(tcp4(0, 'partial'), 60),
      owedTcp4,
      tcp4(0, 'partial'),
    ),
    arrives('one that is right is left alone', tcp4(200, 'good')),
    arrives('one that is wrong is left alone: its receiver shall see it', tcp4(200, 'bad')),
    arrives('UDP without a checksum is left alone', udp4(33, 'zero')),
    arrives('padding of a finished packet is left alone', padded(tcp4(0, 'good'), 60)),
    arrives('a fragment: the sum of the whole is not to be had from it', broken),
    arrives('a fragment of IPv6', broken6),
  ])
})

t.test('a TCP packet above the MTU whose checksum is owed is a superframe', async (t) => {
  const blue = board()
  const superframe = (gso: 'tcp4' | 'tcp6', headers: number, owed: object) => ({
    ...owed,
    gso,
    gsoSize: MTU - headers,
  })
  const arrives = (title: string, frame: Uint8Array, offload = {}): Case => ({
    title,
    host: 'h2',
    frame: inBlue(frame),
    expect: toPort('a', frame, offload),
  })
  run(t, blue, [
    arrives(
      '60 KB over IPv4',
      tcp4(60_000, 'partial', TIMESTAMPS),
      superframe('tcp4', 52, owedTcp4),
    ),
    arrives('60 KB over IPv6', tcp6(60_000, 'partial'), superframe('tcp6', 60, owedTcp6)),
    arrives('one byte too much', tcp4(MTU - 40 + 1, 'partial'), superframe('tcp4', 40, owedTcp4)),
    arrives('just the MTU is none', tcp4(MTU - 40, 'partial'), owedTcp4),
    arrives(
      "with a finished checksum it is a large packet, its receiver's to judge",
      tcp4(9000, 'good'),
    ),
    arrives('UDP has no size to cut it to', udp4(3000, 'partial'), owedUdp4),
  ])
})

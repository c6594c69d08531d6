// Replication: rumours, acknowledged records, and comparing tables until they are equal.

import t from 'tap'
import { MAX_CARGO_BYTES } from '../../src/gossip/channel.ts'
import {
  decodeCompareReply,
  decodeMessage,
  decodeRequest,
  decodeSwapReply,
  encodeAck,
  encodeCompare,
  encodeCompareReply,
  encodeDigest,
  encodePut,
  encodeSwap,
  encodeSwapReply,
} from '../../src/gossip/record-messages.ts'
import { MAX_RECORD_BYTES } from '../../src/netdb/codec.ts'
import { recordName } from '../../src/netdb/record.ts'
import { effort } from '../fixtures/effort.ts'
import { heldMb } from '../fixtures/heap.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { RecordNetwork } from '../fixtures/record-network.ts'
import { endpoint, member, network, tableOf, written } from '../fixtures/records.ts'

const DAY_MS = 24 * 3_600_000
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function allEqual({ hosts }: RecordNetwork): boolean {
  return (
    new Set([...hosts.values()].map(({ netdb }) => JSON.stringify(netdb.stored.root))).size === 1
  )
}

t.test('the messages, byte for byte', async (t) => {
  const root = { high: 0x01020304, low: 0x05060708 }
  const record = Uint8Array.of(0xaa, 0xbb)
  const given = [{ encoded: record, ageMs: 7_000 }]
  const nameKey = 2 ** 40 + 3
  const summary = { nameKey, lamport: 9, hash: 10 }
  const rows = [
    [
      'digest',
      encodeDigest({ root, count: 9 }),
      '01010203040506070800000009',
      decodeMessage,
      { type: 'digest', root, count: 9 },
    ],
    [
      'put',
      encodePut(5, record),
      '0200000005aabb',
      decodeMessage,
      { type: 'put', token: 5, record },
    ],
    ['ack', encodeAck(5), '0300000005', decodeMessage, { type: 'ack', token: 5 }],
    [
      'compare',
      encodeCompare(255, [root]),
      '0100ff0102030405060708',
      decodeRequest,
      { type: 'compare', first: 255, hashes: [root] },
    ],
    [
      'swap',
      encodeSwap([nameKey], given),
      '02000000010000010000000003' + '000000070002aabb',
      decodeRequest,
      { type: 'swap', wanted: [nameKey], given },
    ],
    [
      'compare reply',
      encodeCompareReply({ next: 256, buckets: [{ bucket: 255, summaries: [summary] }] }),
      '0100' + '00ff00000001' + '000001000000000300000000000000090000000a',
      decodeCompareReply,
      { next: 256, buckets: [{ bucket: 255, summaries: [summary] }] },
    ],
    [
      'swap reply',
      encodeSwapReply({ answered: 1, given }),
      '00000001' + '000000070002aabb',
      decodeSwapReply,
      { answered: 1, given },
    ],
  ] as const
  for (const [what, bytes, expected, decode, value] of rows) {
    t.equal(hex(bytes), expected, what)
    t.same(decode(bytes), value, `${what}, read`)
    for (let cut = 1; cut < bytes.length; cut++) decode(bytes.subarray(0, cut))
  }
  t.ok(
    encodePut(1, new Uint8Array(MAX_RECORD_BYTES)).length <= MAX_CARGO_BYTES,
    'a record fits a message',
  )
})

t.test('a write is told at once, and relayed as long as it is news', async (t) => {
  const net = new RecordNetwork(new Random())
  const [h1, h2, h3] = ['h1', 'h2', 'h3'].map((id) => net.add(id))
  net.reaches = (from, to) => !(from === 'h1' && to === 'h3')
  h1!.netdb.put('endpoint', 'a', endpoint(1))
  net.clock.runFor(5)
  t.ok(h2!.netdb.get('endpoint', 'a'))
  t.ok(h3!.netdb.get('endpoint', 'a'), 'by way of another')
  h1!.netdb.remove('endpoint', 'a')
  net.clock.runFor(5)
  t.strictSame(
    [h2!, h3!].map(({ netdb }) => netdb.list('endpoint')),
    [[], []],
  )
  t.ok(allEqual(net))
})

t.test(`tables become equal by comparing alone (seed ${SEED})`, async (t) => {
  const random = new Random()
  const net = new RecordNetwork(random)
  net.rumours = false
  const hosts = Array.from({ length: 10 }, (_, i) => net.add(`h${i}`))
  for (const { id, netdb } of hosts) {
    netdb.put('member', id, { ...member(1), name: id })
    for (let i = 0; i < 200; i++) netdb.put('endpoint', `e${i}`, endpoint(i))
    for (let i = 0; i < 50; i++) netdb.remove('endpoint', `e${i}`)
    netdb.put('network', `n${random.below(4)}`, network(`by-${id}`))
  }
  const tookMs = net.clock.runUntilTrue(() => allEqual(net), 20_000)
  t.ok(tookMs !== null, `after ${tookMs} ms`)
  t.strictSame([...new Set(hosts.map(({ netdb }) => tableOf(netdb)))].length, 1, 'byte for byte')
  t.equal(hosts[3]!.netdb.list('endpoint').length, 1_500)
  const before = net.streamBytes
  net.clock.runFor(60_000)
  t.equal(net.streamBytes, before, 'and then only digests are exchanged')
})

/** Endpoints of each of 25 hosts: together far more than rumours may carry. */
const EACH = effort(200, 80)

t.test('25 hosts in two halves are one table within 2 s of the heal', async (t) => {
  const random = new Random()
  const net = new RecordNetwork(random)
  const ids = Array.from({ length: 25 }, (_, i) => `h${i}`)
  const hosts = ids.map((id) => net.add(id))
  const half = (id: string): boolean => Number(id.slice(1)) < 12
  net.clock.runFor(5_000)
  net.reaches = (from, to) => half(from) === half(to)
  for (const { id, netdb, replicator } of hosts) {
    for (const other of ids)
      if (half(other) !== half(id))
        replicator.onMember(net.memberOf(other, 'dead'), net.memberOf(other))
    for (let i = 0; i < EACH; i++) netdb.put('endpoint', `e${i}`, endpoint(i))
    netdb.put('network', 'n1', network(`by-${id}`))
  }
  net.clock.runFor(5_000)
  t.equal(
    hosts[0]!.netdb.list('endpoint').length,
    12 * EACH,
    'the other half is hidden, or unknown',
  )
  net.reaches = () => true
  const { rumoursSent } = net
  // One pair meets; the rest hears that the others are alive.
  hosts[0]!.replicator.onContact('h24')
  for (const { id, replicator } of hosts)
    for (const other of ids)
      if (half(other) !== half(id))
        replicator.onMember(net.memberOf(other), net.memberOf(other, 'dead'))
  const tookMs = net.clock.runUntilTrue(() => allEqual(net), 5_000)
  t.ok(tookMs !== null && tookMs <= 2_000, `after ${tookMs} ms`)
  t.ok(
    net.rumoursSent - rumoursSent < 25 * EACH,
    `${net.rumoursSent - rumoursSent} rumours for ${25 * EACH} records`,
  )
  t.equal(new Set(hosts.map(({ netdb }) => tableOf(netdb))).size, 1, 'byte for byte')
  t.equal(hosts[0]!.netdb.list('endpoint').length, 25 * EACH)
})

t.test('an acknowledged record is there when it is said to be', async (t) => {
  const net = new RecordNetwork(new Random())
  net.rumours = false
  const [h1, h2, h3] = ['h1', 'h2', 'h3'].map((id) => net.add(id))
  const ask = (members: string[], timeoutMs?: number): { missing?: string[]; atMs?: number } => {
    const result: { missing?: string[]; atMs?: number } = {}
    const beganMs = net.clock.nowMs()
    const names = ['a', 'b'].map((key) => recordName(h1!.netdb.put('endpoint', key, endpoint(1))))
    h1!.replicator.acknowledge(
      names,
      members,
      (missing) => Object.assign(result, { missing, atMs: net.clock.nowMs() - beganMs }),
      timeoutMs,
    )
    return result
  }
  const both = ask(['h2', 'h3', 'h1'])
  t.equal(both.missing, undefined)
  net.clock.runFor(2)
  t.strictSame(both, { missing: [], atMs: 2 }, 'as soon as all have it; oneself has it anyway')
  t.ok(h2!.netdb.get('endpoint', 'b') && h3!.netdb.get('endpoint', 'a'))

  let lost = 0
  net.reaches = (from, to) => !(from === 'h1' && to === 'h3' && lost++ < 2)
  const lossy = ask(['h2', 'h3'])
  net.clock.runFor(100)
  t.strictSame(lossy, { missing: [], atMs: 52 }, 'what is lost is sent again')
  net.reaches = (_, to) => to !== 'h3'
  const cut = ask(['h2', 'h3'])
  net.clock.runFor(200)
  t.strictSame(cut, { missing: ['h3'], atMs: 200 }, 'the time is bounded')
  const none = ask([])
  net.clock.runFor(0)
  t.strictSame(none, { missing: [], atMs: 0 })
  t.equal(h1!.replicator.counters()['acksMissing'], 1)
})

t.test('refresh: what two others know is here before a name is said to be unknown', async (t) => {
  const net = new RecordNetwork(new Random())
  net.rumours = false
  const [h1, h2] = ['h1', 'h2', 'h3'].map((id) => net.add(id))
  h2!.netdb.put('endpoint', 'a', endpoint(1))
  let doneMs = -1
  h1!.replicator.refresh(() => (doneMs = net.clock.nowMs()))
  net.clock.runFor(10)
  t.equal(doneMs, 4, 'two round trips')
  t.ok(h1!.netdb.get('endpoint', 'a'))
  net.reaches = () => false
  let alone = false
  h1!.replicator.refresh(() => (alone = true))
  net.clock.runFor(0)
  t.ok(alone, 'nobody to ask')
})

t.test('members come, go, are forgotten and expelled', async (t) => {
  const net = new RecordNetwork(new Random())
  const [h1, h2] = ['h1', 'h2'].map((id) => net.add(id))
  h2!.netdb.put('endpoint', 'a', endpoint(1))
  net.clock.runFor(5)
  h1!.replicator.onMember(net.memberOf('h2', 'suspect'), net.memberOf('h2'))
  t.ok(h1!.netdb.get('endpoint', 'a'), 'a suspect is innocent')
  h1!.replicator.onMember(net.memberOf('h2', 'dead'), net.memberOf('h2', 'suspect'))
  t.notOk(h1!.netdb.get('endpoint', 'a'))
  h1!.replicator.onMember(net.memberOf('h2'), net.memberOf('h2', 'dead'))
  t.ok(h1!.netdb.get('endpoint', 'a'))
  h1!.netdb.put('node', 'h2', { expelled: true, availability: 'active', labels: {} })
  h1!.netdb.put('node', 'h2', { expelled: true, availability: 'drain', labels: {} })
  net.clock.runFor(5)
  t.strictSame([h1!.expelled, h2!.expelled], [['h2'], ['h2']], 'told once, to the expelled as well')
  t.notOk(h1!.netdb.stored.get('endpoint/a@h2'))
  h1!.replicator.stop()
  h1!.replicator.start()
  t.strictSame(h1!.expelled, ['h2', 'h2'], 'and at the start')
  h1!.replicator.onMember(undefined, net.memberOf('h2', 'dead'))
  t.equal(h1!.netdb.counters().refused.expelled, undefined)
})

t.test(
  'a tombstone ends a day after the removal on every host, however late some heard of it',
  async (t) => {
    const net = new RecordNetwork(new Random())
    const [h1] = ['h1', 'h2'].map((id) => net.add(id))
    h1!.netdb.put('network', 'n1', network('blue'))
    h1!.netdb.remove('network', 'n1')
    net.clock.runFor(DAY_MS - 60_000)
    t.equal(h1!.netdb.stored.count, 1)
    const h3 = net.add('h3')
    net.clock.runFor(30_000)
    t.equal(h3.netdb.stored.count, 1, 'a host that joins gets it')
    net.clock.runFor(3 * 60_000)
    t.strictSame(
      [...net.hosts.values()].map(({ netdb }) => netdb.stored.count),
      [0, 0, 0],
    )
    net.clock.runFor(3_600_000)
    t.strictSame(
      [...net.hosts.values()].map(({ netdb }) => netdb.stored.count),
      [0, 0, 0],
    )
  },
)

t.test('a liar is refused and counted, and nobody else notices', async (t) => {
  const net = new RecordNetwork(new Random())
  const [h1, h2] = ['h1', 'h2'].map((id) => net.add(id))
  h2!.netdb.put('endpoint', 'a', endpoint(1))
  net.clock.runFor(5)
  const foreign = written('h2', 99, 'endpoint', 'a', endpoint(9)).encoded.slice()
  foreign[18] = 0x33 // the writer: h3
  const liar = net.add('h3').id
  for (const bytes of [foreign, new Uint8Array(2_000), Uint8Array.of(1, 0)]) {
    h1!.replicator.onBroadcast(bytes)
    h1!.replicator.onMessage(encodePut(1, bytes), liar)
    h1!.replicator.onRequest(encodeSwap([], [{ encoded: bytes, ageMs: 0 }]))
  }
  const counters = h1!.replicator.counters()
  t.match(counters, {
    'refused.not_its_owner': 3,
    'refused.too_large': 3,
    'refused.truncated': 3,
  })
  // A record in h2's name reaches h1, and h2 sets it right.
  h1!.replicator.onBroadcast(written('h2', 99, 'endpoint', 'a', endpoint(9)).encoded)
  h1!.replicator.onBroadcast(written('h2', 99, 'endpoint', 'ghost', endpoint(9)).encoded)
  t.equal(h1!.netdb.get('endpoint', 'a')?.value.ip, '10.0.0.9')
  net.clock.runFor(5_000)
  t.equal(h1!.netdb.get('endpoint', 'a')?.value.ip, '10.0.0.1')
  t.notOk(h1!.netdb.get('endpoint', 'ghost'))
  t.ok(allEqual(net))
})

const JUNK = effort(1_000_000, 100_000)

t.test(`${JUNK} junk messages (seed ${SEED})`, async (t) => {
  const random = new Random()
  const net = new RecordNetwork(random)
  const [h1, h2] = ['h1', 'h2'].map((id) => net.add(id))
  for (let i = 0; i < 20; i++) h1!.netdb.put('endpoint', `e${i}`, endpoint(i))
  net.clock.runFor(5_000)
  const record = h1!.netdb.stored.get('endpoint/e1@h1')!.held.encoded
  const root = { high: 1, low: 2 }
  const good = [
    encodeDigest({ root, count: 3 }),
    encodePut(7, record),
    encodeAck(7),
    encodeCompare(0, Array(256).fill(root)),
    encodeSwap([1, 2], [{ encoded: record, ageMs: 1_000 }]),
    record,
  ]
  const { replicator, netdb } = h2!
  const junk = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const bytes = random.once(3)
        ? random.bytes(random.below(60))
        : random.mutated(random.pick(good))
      if (random.once(3)) replicator.onBroadcast(bytes)
      else if (random.once(2)) replicator.onMessage(bytes, random.once(2) ? 'h1' : `x${i}`)
      else replicator.onRequest(bytes)
      if (i % 1_000 === 0) net.clock.runFor(10)
    }
  }
  junk(JUNK / 10)
  const [before, records] = [heldMb(), netdb.stored.count]
  junk(0.9 * JUNK)
  const grownMb = heldMb() - before
  t.ok(grownMb < 10, `${grownMb.toFixed(1)} MiB more, ${netdb.stored.count - records} records more`)
  t.ok(replicator.counters()['malformed']! > JUNK / 10)
  t.equal(netdb.list('endpoint').filter(({ owner }) => owner === 'h1').length >= 20, true)
})

// DNS on the wire: what is refused, dropped, repeated, cut; dns-packet reads what we write.

import { Buffer } from 'node:buffer'
import { type DecodedPacket, decode, encode } from 'dns-packet'
import t from 'tap'
import { readQuestion } from '../../src/dns/message.ts'
import { reverseOf, addressOfReverse } from '../../src/dns/reverse-name.ts'
import { TcpFrames, tcpFrame } from '../../src/dns/tcp-frames.ts'
import { DnsWorld, dataIn, query, rcodeIn } from '../fixtures/dns.ts'

/** A header with these counts, and then these bytes. */
function message(counts: readonly number[], body: readonly number[], flags = 0x0100): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(4711, 0)
  header.writeUInt16BE(flags, 2)
  counts.forEach((count, index) => header.writeUInt16BE(count, 4 + 2 * index))
  return Buffer.concat([header, Buffer.from(body)])
}

const labels = (...texts: readonly string[]): number[] => [
  ...texts.flatMap((text) => [Buffer.byteLength(text, 'latin1'), ...Buffer.from(text, 'latin1')]),
  0,
]
const A_IN = [0, 1, 0, 1]

/** An OPT record by hand: dns-packet would not write a wrong one. */
function opt(size: number, ttl = 0, options: readonly number[] = [], owner = [0]): number[] {
  const bytes = Buffer.alloc(10)
  bytes.writeUInt16BE(41, 0)
  bytes.writeUInt16BE(size, 2)
  bytes.writeUInt32BE(ttl >>> 0, 4)
  bytes.writeUInt16BE(options.length, 8)
  return [...owner, ...bytes, ...options]
}

function world(): DnsWorld {
  const made = new DnsWorld()
  made.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  return made
}

/** OPT as dns-packet reads it. */
function optIn({ additionals = [] }: DecodedPacket) {
  return additionals.find((record) => record.type === 'OPT')
}

t.test('what is no query is dropped, and what is a wrong one is told so', async (t) => {
  const made = world()
  const blue = made.asker('blue')
  const ask = (bytes: Buffer): Buffer | undefined => made.ask(bytes, blue, { waitMs: 1 })

  t.equal(ask(Buffer.alloc(0)), undefined)
  t.equal(ask(Buffer.alloc(11)), undefined, 'no whole header')
  t.equal(ask(message([1, 0, 0, 0], [...labels('web'), ...A_IN], 0x8100)), undefined, 'a reply')
  t.same(made.counters.read().dropped, { short: 2, response: 1 })

  const rcodes = {
    'no question': [message([0, 0, 0, 0], []), 1],
    'two questions': [
      message([2, 0, 0, 0], [...labels('web'), ...A_IN, ...labels('web'), ...A_IN]),
      1,
    ],
    'a question that is cut': [message([1, 0, 0, 0], [3, 0x77]), 1],
    'a label of 64 bytes': [message([1, 0, 0, 0], [...labels('w'.repeat(64)), ...A_IN]), 1],
    'a length that is none': [message([1, 0, 0, 0], [0x80, 1, 0, ...A_IN]), 1],
    'a name of 300 bytes': [
      message(
        [1, 0, 0, 0],
        [...labels(...Array.from({ length: 6 }, () => 'w'.repeat(49))), ...A_IN],
      ),
      1,
    ],
    'a pointer to itself': [message([1, 0, 0, 0], [0xc0, 12, ...A_IN]), 1],
    'something behind the end': [message([1, 0, 0, 0], [...labels('web'), ...A_IN, 0]), 1],
    'a record that is not there': [message([1, 0, 0, 1], [...labels('web'), ...A_IN]), 1],
    'a record whose name is a loop': [
      message([1, 0, 0, 1], [...labels('web'), ...A_IN, 0xc0, 21, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]),
      1,
    ],
    'another opcode': [message([1, 0, 0, 0], [...labels('web'), ...A_IN], 0x2800), 4],
    'a zone transfer': [message([1, 0, 0, 0], [...labels('web'), 0, 252, 0, 1]), 5],
  } as const
  for (const [what, [bytes, rcode]] of Object.entries(rcodes)) {
    const reply = ask(bytes)
    t.ok(reply, what)
    t.equal(reply!.readUInt16BE(0), 4711, `${what}: the id`)
    t.equal(reply!.readUInt16BE(2) & 0xf, rcode, what)
    t.doesNotThrow(() => decode(reply!), what)
  }
  t.same(made.bugs, [])
})

t.test('the longest name is a question like any other', async (t) => {
  const made = world()
  const long = [...Array.from({ length: 3 }, () => 'w'.repeat(63)), 'w'.repeat(61)]
  const bytes = message([1, 0, 0, 0], [...labels(...long), ...A_IN])
  t.equal(readQuestion(bytes)?.name.length, 253)
  const reply = made.ask(bytes, made.asker('blue'))
  t.equal(reply!.readUInt16BE(2) & 0xf, 2, 'no upstream: SERVFAIL')
})

t.test('the question comes back as it was asked, letter by letter', async (t) => {
  const made = world()
  const reply = made.ask(query('wEB.bLuE', 'A'), made.asker('blue'))
  const { questions, answers } = decode(reply!)
  t.equal(questions?.[0]?.name, 'wEB.bLuE')
  t.equal(answers?.[0]?.name, 'wEB.bLuE', 'also in the answer, by a pointer')
  t.same(dataIn(decode(reply!)), ['10.0.1.2'])
})

t.test('a dot inside a label divides nothing', async (t) => {
  const made = world()
  made.use({ '192.0.2.1': () => undefined })
  const bytes = message([1, 0, 0, 0], [...labels('web.blue'), ...A_IN])
  made.ask(bytes, made.asker('blue'), { waitMs: 10 })
  t.equal(made.asked.length, 1, 'it is another name than web.blue, so others are asked')
})

t.test('OPT is answered by OPT (RFC 6891)', async (t) => {
  const made = world()
  const blue = made.asker('blue')
  const ask = (record: number[]): DecodedPacket =>
    decode(made.ask(message([1, 0, 0, 1], [...labels('web'), ...A_IN, ...record]), blue)!)
  const plain = decode(made.ask(query('web', 'A'), blue)!)
  t.equal(optIn(plain), undefined, 'none was sent')

  const reply = ask(opt(1232))
  t.match(optIn(reply), { udpPayloadSize: 4096, ednsVersion: 0, extendedRcode: 0 })
  t.same(dataIn(reply), ['10.0.1.2'])
  t.equal(optIn(ask(opt(1232, 0x8000)))?.flag_do, true, 'DO is copied')
  t.same(dataIn(ask(opt(1232, 0, [0xff, 0xfe, 0, 2, 1, 2]))), ['10.0.1.2'], 'an unknown option')

  const badvers = ask(opt(1232, 0x0001_0000))
  t.equal(rcodeIn(badvers), 0)
  t.match(optIn(badvers), { extendedRcode: 1, ednsVersion: 0 }, 'BADVERS, and which one we have')
  t.same(dataIn(badvers), [])

  for (const [what, record] of Object.entries({
    'an option that is cut': opt(1232, 0, [0, 10, 0, 8, 1]),
    'an owner that is not the root': opt(1232, 0, [], labels('web')),
  })) {
    t.equal(rcodeIn(ask(record)), 1, what)
  }
  const two = message([1, 0, 0, 2], [...labels('web'), ...A_IN, ...opt(512), ...opt(512)])
  t.equal(rcodeIn(decode(made.ask(two, blue)!)), 1, 'two of them')
  const answer = message([1, 1, 0, 0], [...labels('web'), ...A_IN, ...opt(512)])
  t.equal(rcodeIn(decode(made.ask(answer, blue)!)), 1, 'in another section')
})

t.test('what does not fit is cut, and says so; by TCP all of it comes', async (t) => {
  const made = world()
  for (let last = 1; last <= 100; last++) {
    made.endpoint('blue', { name: `b${last}`, ip: `10.0.1.${100 + last}`, service: 'many' })
  }
  const blue = made.asker('blue')
  const many = (size?: number): Buffer =>
    size === undefined
      ? query('many', 'A')
      : message([1, 0, 0, 1], [...labels('many'), ...A_IN, ...opt(size)])
  const TC = 0x0200
  for (const [size, limit, count] of [
    [undefined, 512, 30],
    [0, 512, 29],
    [512, 512, 29],
    [1232, 1232, 74],
    [4096, 4096, 100],
    [65_535, 4096, 100],
  ] as const) {
    const reply = made.ask(many(size), blue)!
    t.ok(reply.length <= limit, `${size}: ${reply.length} bytes`)
    t.equal(dataIn(decode(reply)).length, count, `${size}: as many as fit`)
    t.equal((reply.readUInt16BE(2) & TC) !== 0, count < 100, `${size}: TC`)
  }
  const whole = decode(made.ask(many(), blue, { carrier: 'tcp' })!)
  t.equal(new Set(dataIn(whole)).size, 100)
  t.equal((whole.flags ?? 0) & TC, 0)
})

t.test('reverse names', async (t) => {
  for (const [address, name] of [
    ['10.0.1.2', '2.1.0.10.in-addr.arpa'],
    ['fd00:1::2', '2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa'],
    ['::1', `1.${'0.'.repeat(31)}ip6.arpa`],
  ] as const) {
    t.equal(reverseOf(address), name)
    t.equal(addressOfReverse(name), address)
  }
  for (const name of [
    '256.1.0.10.in-addr.arpa',
    '1.0.10.in-addr.arpa',
    '01.1.0.10.in-addr.arpa',
    'x.ip6.arpa',
  ]) {
    t.equal(addressOfReverse(name), null, name)
  }
})

t.test('messages in a stream, however it is cut', async (t) => {
  const sent = [query('web', 'A'), Buffer.alloc(0), query('web', 'AAAA')]
  const stream = Buffer.concat(sent.map(tcpFrame))
  for (let cut = 1; cut < stream.length; cut++) {
    const frames = new TcpFrames()
    const got = [...frames.push(stream.subarray(0, cut)), ...frames.push(stream.subarray(cut))]
    t.same(got, sent, `cut at ${cut}`)
  }
})

t.test('the header of a reply', async (t) => {
  const made = world()
  const flags = 0x0010 | 0x0100
  const reply = made.ask(encode({ ...decode(query('web', 'A')), flags }), made.asker('blue'))!
  t.equal(reply.readUInt16BE(2), 0x8000 | 0x0400 | 0x0100 | 0x0080 | 0x0010, 'QR AA RD RA CD')
})

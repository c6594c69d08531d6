// Messages that somebody has damaged, or made up: never a crash, never a wrong answer, from clients and from upstreams.
//
// WEFT_TEST_DNS_MESSAGES sets how many.

import { Buffer } from 'node:buffer'
import { decode } from 'dns-packet'
import t from 'tap'
import { reverseOf } from '../../src/dns/reverse-name.ts'
import { DnsWorld, answerTo, dataIn, query } from '../fixtures/dns.ts'
import { Random, SEED } from '../fixtures/random.ts'

const COUNT = Number(process.env['WEFT_TEST_DNS_MESSAGES'] ?? 100_000)

const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  web: ['10.0.1.2'],
  'web.blue': ['10.0.1.2'],
  db: ['10.0.1.3', '10.0.1.4'],
  'db.blue': ['10.0.1.3', '10.0.1.4'],
  'tasks.db': ['10.0.1.3', '10.0.1.4'],
  'tasks.db.blue': ['10.0.1.3', '10.0.1.4'],
  d1: ['10.0.1.3'],
  d2: ['10.0.1.4'],
  'd1.blue': ['10.0.1.3'],
  'd2.blue': ['10.0.1.4'],
}

function world(): DnsWorld {
  const made = new DnsWorld()
  made.endpoint('blue', { name: 'web', ip: '10.0.1.2', ip6: 'fd00:1::2' })
  made.endpoint('blue', { name: 'd1', ip: '10.0.1.3', service: 'db' })
  made.endpoint('blue', { name: 'd2', ip: '10.0.1.4', service: 'db' })
  return made
}

/** An OPT record with an option, as dig sends it. */
const OPT = Buffer.from([
  0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8,
])

function withOpt(message: Buffer): Buffer {
  const both = Buffer.concat([message, OPT])
  both.writeUInt16BE(1, 10)
  return both
}

const QUERIES = [
  query('web', 'A'),
  query('web.blue', 'AAAA'),
  query('tasks.db', 'A'),
  query('_8080._tcp.db', 'SRV'),
  query(reverseOf('10.0.1.2'), 'PTR'),
  query('web', 'ANY'),
  withOpt(query('db', 'A')),
  withOpt(query('example.com', 'TXT')),
]

t.test(`${COUNT} damaged queries (seed ${SEED})`, async (t) => {
  const random = new Random()
  const made = world()
  const blue = made.asker('blue')
  const wrong: string[] = []
  let answered = 0
  for (let index = 0; index < COUNT; index++) {
    const message = random.once(20)
      ? Buffer.from(random.bytes(random.below(80)))
      : Buffer.from(random.mutated(random.pick(QUERIES)))
    const carrier = random.once(4) ? 'tcp' : 'udp'
    const replies: Buffer[] = []
    // Without upstreams everything is answered at once.
    made.resolver.handle(message, blue, carrier, (reply) => replies.push(reply))
    const fault = faultOf(message, replies, carrier)
    if (fault !== null) wrong.push(`${fault}: ${message.toString('hex')}`)
    if (replies.length > 0) answered++
  }
  t.same(wrong.slice(0, 10), [])
  t.same(made.bugs, [])
  t.ok(answered > COUNT / 2, `${answered} of ${COUNT} were worth an answer`)
  const { dropped, replies } = made.counters.read()
  const count = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((sum, each) => sum + each, 0)
  t.equal(count(dropped) + count(replies.local) + count(replies.none), COUNT, 'each was counted')
})

/** What is wrong about what a message was answered with; null: nothing. */
function faultOf(
  message: Buffer,
  replies: readonly Buffer[],
  carrier: 'udp' | 'tcp',
): string | null {
  if (replies.length > 1) return 'two replies'
  const [reply] = replies
  const isQuery = message.length >= 12 && (message.readUInt16BE(2) & 0x8000) === 0
  if (reply === undefined) return isQuery ? 'no reply' : null
  if (!isQuery) return 'a reply to no query'
  if (reply.readUInt16BE(0) !== message.readUInt16BE(0)) return 'another id'
  if (carrier === 'udp' && reply.length > 4096) return 'too long'
  const read = decode(reply)
  if (!read.flag_qr) return 'no reply'
  const addresses = dataIn(read)
  if (addresses.length === 0) return null
  const question = read.questions?.[0]
  if (question === undefined) return 'an answer without a question'
  if (
    !message.subarray(12).equals(reply.subarray(12, message.length)) &&
    !sameStart(message, reply)
  )
    return 'another question'
  const name = question.name.toLowerCase()
  const type: string = question.type
  if (type === 'A') {
    const right = ADDRESSES[name]?.toSorted().join()
    return addresses.map(String).toSorted().join() === right ? null : 'a wrong address'
  }
  if (type === 'AAAA') return /^web(\.blue)?$/.test(name) ? null : 'a wrong address'
  if (type === 'PTR') {
    const right = Object.entries(ADDRESSES).some(
      ([known, [address = '']]) => reverseOf(address) === name && addresses[0] === known,
    )
    return right ? null : 'a wrong name'
  }
  if (type === 'SRV') return /^_\d+\._(tcp|udp|sctp)\.(.*)$/.test(name) ? null : 'a wrong port'
  return read.answers?.[0]?.type === 'HINFO' ? null : `an answer of type ${type}`
}

/** The name and type of the question, byte for byte. */
function sameStart(message: Buffer, reply: Buffer): boolean {
  const end = reply.indexOf(0, 12) + 5
  return message.subarray(12, end).equals(reply.subarray(12, end))
}

const UPSTREAM_COUNT = Math.ceil(COUNT / 20)
t.test(`${UPSTREAM_COUNT} damaged answers of upstreams (seed ${SEED})`, async (t) => {
  const random = new Random()
  const made = world()
  made.use({
    '192.0.2.1': (question, reply) => {
      const right = answerTo(question, {
        answers: [{ type: 'A', name: 'example.com', ttl: 60, data: '198.51.100.1' }],
        authorities: [
          {
            type: 'SOA',
            name: 'com',
            ttl: 900,
            data: {
              mname: 'a',
              rname: 'b',
              serial: 1,
              refresh: 1,
              retry: 1,
              expire: 1,
              minimum: 0,
            },
          },
        ],
      })
      reply(Buffer.from(random.mutated(right)))
      if (random.once(2)) right.writeUInt16BE(3 | right.readUInt16BE(2), 2)
      reply(random.once(2) ? right : Buffer.from(random.mutated(right)))
    },
  })
  const wrong: string[] = []
  const asker = made.asker('blue')
  for (let index = 0; index < UPSTREAM_COUNT; index++) {
    const message = query(`n${index}.example.com`, 'A', { id: index & 0xffff })
    const reply = made.ask(message, asker, { waitMs: 3_000 })
    if (reply === undefined) wrong.push('no reply')
    else if (reply.readUInt16BE(0) !== (index & 0xffff)) wrong.push('another id')
    else if (reply.readUInt16BE(4) === 1 && !sameStart(message, reply)) {
      // Upper and lower case may differ: an upstream may change it.
      const name = decode(message).questions?.[0]?.name.toLowerCase()
      const theirs = reply.toString('latin1', 12, message.length - 5).toLowerCase()
      if (theirs !== message.toString('latin1', 12, message.length - 5).toLowerCase())
        wrong.push(`another question than ${name}`)
    }
  }
  t.same(wrong.slice(0, 10), [])
  t.same(made.bugs, [])
  t.equal(asker.underway, 0)
})

// Other names: asked of all upstreams at once, on a virtual clock.

import { Buffer } from 'node:buffer'
import { type DecodedPacket, type Packet, decode } from 'dns-packet'
import t from 'tap'
import {
  DnsWorld,
  type UpstreamBehaviour,
  answerTo,
  dataIn,
  query,
  rcodeIn,
} from '../fixtures/dns.ts'

const SERVFAIL = 2
const NXDOMAIN = 3

const says =
  (more: Partial<Packet>, afterMs = 0, world?: DnsWorld): UpstreamBehaviour =>
  (question, reply) => {
    const answer = answerTo(question, more)
    if (world === undefined) reply(answer)
    else world.clock.setTimeout(() => reply(answer), afterMs)
  }
const address = (data: string): Partial<Packet> => ({
  answers: [{ type: 'A', name: 'example.com', ttl: 60, data }],
})
const soa = (minimum: number): Partial<Packet> => ({
  flags: NXDOMAIN,
  authorities: [
    {
      type: 'SOA',
      name: 'com',
      ttl: 900,
      data: { mname: 'a', rname: 'b', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
    },
  ],
})
const silent: UpstreamBehaviour = () => undefined

/** Asks; the reply, and how long it took on the virtual clock. */
function timed(world: DnsWorld, name = 'example.com'): DecodedPacket & { tookMs: number } {
  const startMs = world.clock.nowMs()
  const reply = world.query(name, 'A', world.asker('blue'))
  return { ...reply, tookMs: world.clock.nowMs() - startMs }
}

t.test('the first that answers is taken, and one that is dead costs nothing', async (t) => {
  const world = new DnsWorld()
  world.use({ '192.0.2.1': silent, '192.0.2.2': says(address('198.51.100.1')) })
  const reply = timed(world)
  t.same(dataIn(reply), ['198.51.100.1'])
  t.equal(reply.id, 4711, 'under the id of the client')
  t.ok(reply.tookMs < 20, `${reply.tookMs} ms`)
})

t.test('a "no" waits a little for the one in front, and a refusal for all', async (t) => {
  const world = new DnsWorld()
  world.use({
    '192.0.2.1': says(address('198.51.100.1'), 150, world),
    '192.0.2.2': says(soa(0)),
  })
  t.same(dataIn(timed(world)), ['198.51.100.1'], 'the first one knows the name')

  world.use({ '192.0.2.1': silent, '192.0.2.2': says(soa(0)) })
  const no = timed(world)
  t.equal(rcodeIn(no), NXDOMAIN)
  t.ok(no.tookMs >= 200 && no.tookMs < 250, `${no.tookMs} ms`)

  world.use({ '192.0.2.1': says(soa(0)), '192.0.2.2': silent })
  t.ok(timed(world).tookMs < 20, 'the first says no: nobody else is waited for')

  world.use({
    '192.0.2.1': says({ flags: 5 }),
    '192.0.2.2': says(address('198.51.100.2'), 900, world),
  })
  t.same(dataIn(timed(world)), ['198.51.100.2'])
  world.use({ '192.0.2.1': says({ flags: 5 }), '192.0.2.2': says({ flags: SERVFAIL }) })
  const refused = timed(world)
  t.equal(rcodeIn(refused), 5, 'as the first one said')
  t.ok(refused.tookMs < 20)
})

t.test('nobody to ask, nobody who answers', async (t) => {
  const world = new DnsWorld()
  const none = timed(world)
  t.equal(rcodeIn(none), SERVFAIL)
  t.equal(none.tookMs, 0, 'at once')

  world.use({ '192.0.2.1': silent, '192.0.2.2': silent })
  const late = timed(world)
  t.equal(rcodeIn(late), SERVFAIL)
  t.equal(late.tookMs, 2_000)
  t.equal(world.asked.length, 6, 'each was asked three times')
  t.equal(timed(world).tookMs, 0, 'for a second nobody is asked again (RFC 9520)')
  world.clock.runFor(1_000)
  t.equal(timed(world).tookMs, 2_000)

  // No server at that address at all.
  world.use({ '192.0.2.1': silent })
  world.upstreams.clear()
  t.ok(timed(world).tookMs < 20, 'refused by ICMP')
  t.same(world.counters.read().failures, { no_upstream: 1, timeout: 4 })
})

t.test('a datagram that is lost is sent again', async (t) => {
  const world = new DnsWorld()
  let lost = 0
  world.use({
    '192.0.2.1': (question, reply) => {
      if (++lost > 2) reply(answerTo(question, address('198.51.100.1')))
    },
  })
  const reply = timed(world)
  t.same(dataIn(reply), ['198.51.100.1'])
  t.ok(reply.tookMs < 1_400)
})

t.test('what answers something else is not listened to', async (t) => {
  const world = new DnsWorld()
  const right = (question: Buffer): Buffer => answerTo(question, address('198.51.100.1'))
  const forged: Record<string, (question: Buffer) => Buffer> = {
    'another id': (question) => {
      const reply = answerTo(question, address('203.0.113.66'))
      reply.writeUInt16BE(reply.readUInt16BE(0) ^ 1, 0)
      return reply
    },
    'another name': (question) => {
      const reply = answerTo(query('example.org', 'A'), address('203.0.113.66'))
      question.copy(reply, 0, 0, 2)
      return reply
    },
    'another type': (question) => {
      const reply = answerTo(query('example.com', 'AAAA'), {})
      question.copy(reply, 0, 0, 2)
      return reply
    },
    'the question itself': (question) => question,
    garbage: () => Buffer.from('not a message at all'),
    nothing: () => Buffer.alloc(0),
  }
  for (const [what, make] of Object.entries(forged)) {
    world.use({
      '192.0.2.1': (question, reply) => {
        reply(make(question))
        reply(right(question))
      },
    })
    t.same(dataIn(timed(world)), ['198.51.100.1'], what)
  }
  t.equal(world.forwarder.counters().mismatched, Object.keys(forged).length)
  t.same(world.bugs, [])
})

t.test('letters are kept as the client wrote them, and a server may change them', async (t) => {
  const world = new DnsWorld()
  let seen: string | undefined
  world.use({
    '192.0.2.1': (question, reply) => {
      seen = decode(question).questions?.[0]?.name
      reply(answerTo(question, address('198.51.100.1')))
    },
  })
  t.equal(timed(world, 'eXample.COM').questions?.[0]?.name, 'eXample.COM')
  t.equal(seen, 'eXample.COM')
})

t.test('the same question of many is one question', async (t) => {
  const world = new DnsWorld()
  world.use({ '192.0.2.1': says(address('198.51.100.1'), 100, world) })
  const replies: Buffer[] = []
  const asker = world.asker('blue')
  for (let id = 0; id < 50; id++) {
    const message = query('example.com', 'A', { id })
    world.resolver.handle(message, asker, 'udp', (reply) => replies.push(reply))
  }
  world.clock.runFor(200)
  t.same(
    replies.map((reply) => reply.readUInt16BE(0)),
    Array.from({ length: 50 }, (_, id) => id),
  )
  t.equal(world.asked.length, 1)
  t.match(world.forwarder.counters(), { sent: 1, joined: 49 })
  t.equal(asker.underway, 0)
})

t.test(
  'a client has so many questions under way, and others are not kept waiting by it',
  async (t) => {
    const world = new DnsWorld()
    world.use({ '192.0.2.1': silent })
    const greedy = world.asker('blue')
    const rcodes: number[] = []
    for (let count = 0; count < 200; count++) {
      world.resolver.handle(query(`n${count}.com`, 'A'), greedy, 'udp', (reply) => {
        rcodes.push(reply.readUInt16BE(2) & 0xf)
      })
    }
    t.same(
      rcodes,
      Array.from({ length: 72 }, () => SERVFAIL),
      'at once',
    )
    world.resolver.handle(query('other.com', 'A'), world.asker('red'), 'udp', () => undefined)
    t.equal(world.asked.length, 129, 'another client is served')
    world.clock.runFor(2_100)
    t.equal(rcodes.length, 200)
    t.equal(greedy.underway, 0)
    t.same(world.counters.read().failures, { client_limit: 72, timeout: 129 })
  },
)

t.test('a "no" is remembered as long as it says, five seconds at most (RFC 2308)', async (t) => {
  const world = new DnsWorld()
  for (const [minimum, keptMs] of [
    [0, 0],
    [2, 2_000],
    [3_600, 5_000],
  ] as const) {
    world.use({ '192.0.2.1': says(soa(minimum)) })
    const name = `n${minimum}.com`
    timed(world, name)
    world.asked.length = 0
    world.clock.runFor(Math.max(0, keptMs - 100))
    timed(world, name)
    t.equal(world.asked.length, keptMs === 0 ? 1 : 0, `${minimum} s: kept`)
    world.clock.runFor(200)
    t.equal(rcodeIn(timed(world, name)), NXDOMAIN)
    t.equal(world.asked.length, keptMs === 0 ? 2 : 1, `${minimum} s: no longer`)
  }
  world.use({ '192.0.2.1': says(address('198.51.100.1')) })
  timed(world)
  timed(world)
  t.equal(world.asked.length, 2, 'what is there is not remembered')

  world.use({ '192.0.2.1': says(soa(60)) })
  timed(world, 'new.com')
  world.endpoint('blue', { name: 'new', ip: '10.0.1.2' })
  t.same(dataIn(timed(world, 'new')), ['10.0.1.2'], 'nor does a "no" stand before a name of ours')
  world.use({ '192.0.2.2': says(address('198.51.100.9')) })
  t.same(dataIn(timed(world, 'new.com')), ['198.51.100.9'], 'other upstreams know other names')
})

t.test('a long answer: a part by UDP, all by TCP', async (t) => {
  const world = new DnsWorld()
  const long: UpstreamBehaviour = (question, reply, carrier) => {
    reply(answerTo(question, carrier === 'udp' ? { flags: 0x0200 } : address('198.51.100.1')))
  }
  world.use({ '192.0.2.1': long })
  t.ok(timed(world).flag_tc, 'the client asks again by TCP')
  t.same(world.asked, ['192.0.2.1 udp example.com'])
  const whole = world.query('example.com', 'A', world.asker('blue'), { carrier: 'tcp' })
  t.same(dataIn(whole), ['198.51.100.1'])
  t.ok(world.asked.includes('192.0.2.1 tcp example.com'))

  world.use({
    '192.0.2.1': (question, reply, carrier) => {
      if (carrier === 'udp') reply(answerTo(question, { flags: 0x0200 }))
    },
  })
  const cut = world.query('example.com', 'A', world.asker('blue'), { carrier: 'tcp' })
  t.ok(cut.flag_tc, 'an upstream that has no TCP')

  const answers = Array.from({ length: 40 }, (_, last) => ({
    type: 'A' as const,
    name: 'example.com',
    ttl: 60,
    data: `198.51.100.${last}`,
  }))
  world.use({ '192.0.2.1': says({ answers }) })
  const tooLong = timed(world)
  t.ok(tooLong.flag_tc, 'one that does not keep to 512 bytes')
  t.same(tooLong.answers, [])
})

t.test('an upstream that asks us is found, and not asked again', async (t) => {
  const world = new DnsWorld()
  const host = world.asker()
  const loop: UpstreamBehaviour = (question, reply) => {
    world.resolver.handle(Buffer.from(question), host, 'udp', reply)
  }
  world.use({ '192.0.2.1': loop, '192.0.2.2': says(address('198.51.100.1')) })
  world.clock.runFor(100)
  t.same(world.looping, ['192.0.2.1'])
  world.asked.length = 0
  t.same(dataIn(timed(world)), ['198.51.100.1'])
  t.same(world.asked, ['192.0.2.2 udp example.com'])

  world.upstreams.set('192.0.2.1', says(address('198.51.100.2')))
  world.clock.runFor(40_000)
  world.asked.length = 0
  timed(world)
  t.equal(world.asked.length, 2, 'once it is mended it is asked again')

  // One that is not found out: what goes round joins itself.
  world.use({
    '192.0.2.1': (question, reply) => {
      if (!question.includes('weft')) loop(question, reply, 'udp')
    },
  })
  world.clock.runFor(100)
  world.asked.length = 0
  t.equal(rcodeIn(timed(world)), SERVFAIL)
  t.equal(world.asked.length, 3, 'sent three times in two seconds, not for ever')
  t.equal(host.underway, 0)
})

t.test('what is no name of this world is forwarded as it is', async (t) => {
  const world = new DnsWorld()
  const sent: Buffer[] = []
  world.use({
    '192.0.2.1': (question, reply) => {
      sent.push(question)
      reply(answerTo(question, {}))
    },
  })
  const message = query('example.com', 'A')
  message.writeUInt16BE(65, message.length - 4)
  world.ask(message, world.asker('blue'))
  t.same(
    sent.at(-1)?.subarray(2),
    message.subarray(2),
    'all but the id, a type that we do not know',
  )
})

// The real transport on loopback: datagrams and TLS streams between members, and all who are none.

import { once } from 'node:events'
import { type Socket as TcpSocket, connect } from 'node:net'
import { createSocket } from 'node:dgram'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { type GossipKey, Keyring, gossipKey } from '../../src/cluster/keyring.ts'
import { type StreamFailure, StreamError, openStream } from '../../src/cluster/open-stream.ts'
import { readFrame, writeFrame } from '../../src/cluster/stream-frames.ts'
import {
  type Credential,
  PROTOCOLS,
  type Protocol,
  joinCredential,
  memberCredential,
} from '../../src/cluster/stream-security.ts'
import { type StreamHandlers, Streams } from '../../src/cluster/streams.ts'
import { UdpTransport } from '../../src/cluster/udp-transport.ts'
import type { Address, MemberId, Peer } from '../../src/gossip/member.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { Random, SEED } from '../fixtures/random.ts'

const LOOPBACK = '127.0.0.1' as Ipv4Address
const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(16)) as [string, string, string]
const KEYS = [1, 2, 3].map((n) => gossipKey(Buffer.alloc(32, n), { lamport: n, writer: 'h1' }))
const [K1, K2, K3] = KEYS as [GossipKey, GossipKey, GossipKey]
const DOOR = { clusterDigest: 'cluster', secret: Buffer.alloc(16, 7) }

async function newTransport(
  t: Test,
  self: MemberId,
  keys: readonly GossipKey[] = [K1],
  options: { boot?: number; address?: Address } = {},
) {
  const heard: string[] = []
  const sources: Address[] = []
  const overtaken: number[] = []
  const keyring = new Keyring(keys)
  const transport = new UdpTransport({
    self,
    bootNumber: options.boot ?? 1,
    address: options.address ?? { ip: LOOPBACK, port: 0 },
    keyring,
    door: () => DOOR,
    clock: systemClock,
    onJoin: () => Promise.resolve(null),
    onApi: (stream) => stream.destroy(),
    onOvertaken: (boot) => overtaken.push(boot),
  })
  let wake = (): void => undefined
  transport.attach({
    onDatagram: (from, body, source) => {
      sources.push(source)
      heard.push(`${from.charAt(0)} ${Buffer.from(body).toString()}`)
      wake()
    },
    onRequest: (from, body) =>
      body.length === 0 ? null : Buffer.concat([Buffer.from(`${from.charAt(0)} `), body]),
  })
  const address = await transport.listen()
  t.teardown(() => transport.close())
  /** Until so many have been heard, or no more for 2 s. */
  const hear = async (count: number): Promise<string[]> => {
    const deadline = Date.now() + 2_000
    while (heard.length < count && Date.now() < deadline) {
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimeout(resolve, 50)
      })
    }
    return heard
  }
  return { transport, keyring, peer: { id: self, address }, hear, sources, overtaken }
}

function ask(from: UdpTransport | Streams, to: Peer, body: Uint8Array, timeoutMs = 2_000) {
  return new Promise<string | null>((resolve) => {
    let returned = false
    from.request(to, body, timeoutMs, (reply) => {
      if (!returned) throw new Error('called back before it returned')
      resolve(reply === null ? null : Buffer.from(reply).toString())
    })
    returned = true
  })
}

t.test('datagrams go both ways, the first one with a hello before it', async (t) => {
  const [a, b] = [await newTransport(t, A), await newTransport(t, B)]
  a.transport.send(b.peer, Buffer.from('one'))
  t.same(await b.hear(1), ['a one'])
  b.transport.send(a.peer, Buffer.from('two'))
  t.same(await a.hear(1), ['b two'])
  t.same(
    [a.sources, b.sources],
    [[b.peer.address], [a.peer.address]],
    'and with where they came from',
  )
  t.match(a.transport.counters(), { datagramsOut: 2, datagramsIn: 2, hellosIn: 1, sendErrors: 0 })
  t.match(b.transport.counters(), { datagramsOut: 2, datagramsIn: 2, stale: 1, hellosOut: 1 })
  t.throws(() => a.transport.send(b.peer, Buffer.alloc(1301)), RangeError)
})

t.test('an address to which nothing can be sent is counted', async (t) => {
  const { transport } = await newTransport(t, A)
  const nowhere = { id: B, address: { ip: LOOPBACK, port: 0 } }
  transport.send(nowhere, Buffer.from('x'))
  t.equal(await ask(transport, nowhere, Buffer.from('x')), null)
  t.match(transport.counters(), { datagramsOut: 0, sendErrors: 1 })
})

t.test(
  'after a restart of either, and of one with a state from before, they hear each other',
  async (t) => {
    const a = await newTransport(t, A)
    const b = await newTransport(t, B, [K1], { boot: 5 })
    a.transport.send(b.peer, Buffer.from('1'))
    await b.hear(1)
    b.transport.send(a.peer, Buffer.from('2'))
    await a.hear(1)
    await b.transport.close()
    const again = await newTransport(t, B, [K1], { boot: 6, address: b.peer.address })
    again.transport.send(a.peer, Buffer.from('3'))
    t.same(await a.hear(2), ['b 2', 'b 3'])
    await again.transport.close()
    const old = await newTransport(t, B, [K1], { boot: 2, address: b.peer.address })
    old.transport.send(a.peer, Buffer.from('lost'))
    while (old.overtaken.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    t.equal(old.overtaken[0], 6)
    old.transport.renew(7)
    old.transport.send(a.peer, Buffer.from('4'))
    t.same(await a.hear(3), ['b 2', 'b 3', 'b 4'])
  },
)

t.test(
  `junk on both ports is counted, and members are heard all the same (seed ${SEED})`,
  async (t) => {
    const random = new Random()
    const [a, b] = [await newTransport(t, A), await newTransport(t, B)]
    const junk = createSocket('udp4')
    t.teardown(() => junk.close())
    for (let n = 0; n < 500; n++) {
      const bytes = random.bytes(random.below(1400))
      await new Promise((resolve) => junk.send(bytes, b.peer.address.port, LOOPBACK, resolve))
    }
    const strangers = Array.from({ length: 20 }, () => strange(b.peer.address, random.bytes(300)))
    a.transport.send(b.peer, Buffer.from('x'))
    t.same(await b.hear(1), ['a x'])
    t.equal(await ask(a.transport, b.peer, Buffer.from('y')), 'a y')
    await Promise.all(strangers)
    const { foreign, streamsForeign, datagramsIn } = b.transport.counters()
    t.ok(foreign > 400 && foreign <= 500, `${foreign} of ${datagramsIn}`)
    t.equal(streamsForeign, 20)
  },
)

/** Somebody on the TCP port who says `bytes`; done when the connection is closed. */
async function strange({ ip, port }: Address, bytes: Uint8Array): Promise<void> {
  const socket = connect(port, ip)
  socket.on('error', () => undefined)
  socket.write(bytes)
  socket.resume()
  await once(socket, 'close')
}

t.test('a port in use, and an address of nobody here, are told', async (t) => {
  const a = await newTransport(t, A)
  const make = (address: Address): Promise<unknown> => newTransport(t, B, [K1], { address })
  await t.rejects(make(a.peer.address), { code: 'address_in_use', message: /TCP 127\.0\.0\.1:/ })
  await t.rejects(make({ ip: '192.0.2.77' as Ipv4Address, port: 0 }), { code: 'invalid_argument' })
  const udp = createSocket('udp4')
  t.teardown(() => udp.close())
  await new Promise<void>((resolve) => udp.bind(0, LOOPBACK, resolve))
  const { port } = udp.address()
  await t.rejects(make({ ip: LOOPBACK, port }), { code: 'address_in_use', message: /UDP/ })
})

// --- streams ---

async function newStreams(
  t: Test,
  self: MemberId,
  { maxStreams = 256, ...handlers }: Partial<StreamHandlers> & { maxStreams?: number } = {},
) {
  const keyring = new Keyring([K1])
  const streams = new Streams({
    self,
    address: { ip: LOOPBACK, port: 0 },
    keyring,
    door: () => DOOR,
    handshakeTimeoutMs: 300,
    exchangeTimeoutMs: 600,
    maxStreams,
    handlers: {
      onRequest: (_from, body) => body,
      onJoin: (body, source) =>
        Promise.resolve(Buffer.from(`${source} ${Buffer.from(body).toString()}`)),
      onApi: (stream) => stream.pipe(stream),
      ...handlers,
    },
  })
  const address = await streams.listen()
  t.teardown(() => streams.close())
  return { streams, keyring, peer: { id: self, address } }
}

t.test(
  'a request is answered, also one of a megabyte; one that is refused, or too long, is not',
  async (t) => {
    const [a, b] = [await newTransport(t, A), await newTransport(t, B)]
    t.equal(await ask(a.transport, b.peer, Buffer.from('hello')), 'a hello')
    const large = 'x'.repeat((1 << 20) - 2)
    t.equal(await ask(a.transport, b.peer, Buffer.from(large), 5_000), `a ${large}`)
    t.equal(await ask(a.transport, b.peer, Buffer.alloc(0)), null, 'refused')
    t.equal(await ask(a.transport, b.peer, Buffer.alloc((1 << 20) + 1)), null, 'too long')
    t.equal(await ask(a.transport, { ...b.peer, id: C }, Buffer.from('x')), null, 'another host')
    t.match(b.transport.counters(), { streamsMisdirected: 1, streamsAnswered: 2 })
    t.match(a.transport.counters(), { streamsRequests: 5, streamsReplies: 2 })
    await b.transport.close()
    t.equal(await ask(a.transport, b.peer, Buffer.from('x')), null, 'nobody there')
    await a.transport.close()
    t.equal(await ask(a.transport, b.peer, Buffer.from('x')), null, 'closed here')
  },
)

t.test(
  'keys of a rotation under way are all tried, a key that was taken away opens nothing',
  async (t) => {
    const [a, b] = [await newStreams(t, A), await newStreams(t, B)]
    const rows: [GossipKey[], GossipKey[], boolean][] = [
      [[K1], [K1, K2], true],
      [[K1, K2], [K2], true],
      [[K1, K2, K3], [K3], true],
      [[K3], [K1, K2, K3], true],
      [[K1], [K2], false],
      [[], [K1], false],
      [[K1], [], false],
    ]
    for (const [mine, theirs, answered] of rows) {
      for (const { id } of KEYS) {
        a.keyring.remove(id)
        b.keyring.remove(id)
      }
      for (const key of mine) a.keyring.add(key)
      for (const key of theirs) b.keyring.add(key)
      const names = (keys: GossipKey[]): string => keys.map(({ order }) => order.lamport).join(' ')
      const reply = await ask(a.streams, b.peer, Buffer.from('x'))
      t.equal(reply, answered ? 'x' : null, `${names(mine)} to ${names(theirs)}`)
    }
  },
)

t.test('who may open what', async (t) => {
  const { peer, streams } = await newStreams(t, B)
  const member = memberCredential(K1)
  const joiner = joinCredential(DOOR)
  const other: Protocol = 'weft-gossip/2' as Protocol
  const rows: [string, Credential, Protocol, StreamFailure | 'answered'][] = [
    ['a member asks', member, PROTOCOLS.gossip, 'answered'],
    ['a joiner asks to join', joiner, PROTOCOLS.join, 'answered'],
    ['a joiner asks as a member', joiner, PROTOCOLS.gossip, 'not_weft'],
    ['a joiner asks for the API', joiner, PROTOCOLS.api, 'not_weft'],
    ['a member asks to join', member, PROTOCOLS.join, 'not_weft'],
    ['a key that is none of ours', memberCredential(K2), PROTOCOLS.gossip, 'unknown_identity'],
    [
      'a key with the name of ours',
      { ...member, psk: Buffer.alloc(32, 9) },
      PROTOCOLS.gossip,
      'wrong_key',
    ],
    [
      'a secret that was rotated',
      { ...joiner, psk: Buffer.alloc(32, 9) },
      PROTOCOLS.join,
      'wrong_key',
    ],
    [
      'a token of another cluster',
      { ...joiner, identity: 'j:another' },
      PROTOCOLS.join,
      'unknown_identity',
    ],
    ['an identity of no kind', { ...joiner, identity: 'x' }, PROTOCOLS.join, 'unknown_identity'],
    ['a protocol that we do not speak', member, other, 'not_weft'],
  ]
  for (const [what, credential, protocol, expected] of rows) {
    t.equal(await outcome(peer.address, credential, protocol), expected, what)
  }
  t.equal(streams.counters.foreign, rows.length - 2)
})

/** What came of one exchange. Closed after the handshake or at its end: either is no answer. */
async function outcome(
  { ip, port }: Address,
  credential: Credential,
  protocol: Protocol,
): Promise<StreamFailure | 'answered'> {
  try {
    const from = LOOPBACK
    const socket = await openStream({
      host: ip,
      port,
      from,
      protocol,
      credential,
      timeoutMs: 2_000,
    })
    if (protocol === PROTOCOLS.join) writeFrame(socket, Buffer.from('x'))
    else {
      writeFrame(socket, Buffer.from(A + B, 'hex'))
      writeFrame(socket, Buffer.from('x'))
    }
    const reply = await readFrame(socket, 1000)
    socket.destroy()
    return reply === null ? 'not_weft' : 'answered'
  } catch (error) {
    if (error instanceof StreamError) return error.failure
    throw error
  }
}

t.test('who connects and says nothing, or too little, is shown out', async (t) => {
  const { peer, streams } = await newStreams(t, B)
  const started = Date.now()
  const silent = strange(peer.address, Buffer.alloc(0))
  const half = strange(peer.address, Buffer.from([22, 3, 1, 2, 0, 1]))
  const trickle = new Promise<void>((resolve) => {
    const socket: TcpSocket = connect(peer.address.port, LOOPBACK)
    const timer = setInterval(() => socket.write(Buffer.from([22])), 50)
    socket.on('error', () => undefined)
    socket.resume()
    socket.on('close', () => {
      clearInterval(timer)
      resolve()
    })
  })
  await Promise.all([silent, half, trickle])
  t.ok(Date.now() - started < 1_500, `${Date.now() - started} ms`)
  t.equal(streams.counters.foreign, 3)
  // With a key: the exchange as a whole has its time, whatever trickles.
  const { ip, port } = peer.address
  const credential = memberCredential(K1)
  const protocol = PROTOCOLS.gossip
  const slow = await openStream({
    host: ip,
    port,
    from: LOOPBACK,
    protocol,
    credential,
    timeoutMs: 1_000,
  })
  writeFrame(slow, Buffer.from(A + B, 'hex'))
  slow.write(Buffer.from([0, 0, 1, 0]))
  const timer = setInterval(() => slow.write(Buffer.from([0])), 100)
  t.equal(await readFrame(slow, 1000), null)
  clearInterval(timer)
})

t.test('a flood of connections leaves room for a member afterwards', async (t) => {
  const [a, b] = [await newStreams(t, A), await newStreams(t, B, { maxStreams: 20 })]
  const strangers = Array.from({ length: 100 }, () => strange(b.peer.address, Buffer.alloc(0)))
  await Promise.all(strangers)
  const { accepted, crowded } = b.streams.counters
  t.ok(crowded >= 50, `${crowded} were turned away`)
  t.equal(accepted + crowded, 100)
  t.equal(await ask(a.streams, b.peer, Buffer.from('x')), 'x')
})

t.test('junk and cuts inside an authenticated stream end that stream only', async (t) => {
  const random = new Random()
  const [a, b] = [await newStreams(t, A), await newStreams(t, B)]
  const { ip, port } = b.peer.address
  for (let n = 0; n < 20; n++) {
    const protocol = random.pick(Object.values(PROTOCOLS))
    const credential = protocol === PROTOCOLS.join ? joinCredential(DOOR) : memberCredential(K1)
    const target = { host: ip, port, from: LOOPBACK, protocol, credential, timeoutMs: 2_000 }
    const socket = await openStream(target)
    socket.resume()
    socket.write(random.bytes(random.below(200)))
    if (random.once(2)) socket.destroy()
    else socket.end()
    if (!socket.closed) await once(socket, 'close')
  }
  t.equal(await ask(a.streams, b.peer, Buffer.from('x')), 'x')
})

t.test("an API stream carries bytes both ways and tells when it is another host's", async (t) => {
  const from: MemberId[] = []
  const [a, b] = [
    await newStreams(t, A),
    await newStreams(t, B, {
      onApi: (stream: Duplex, member) => {
        from.push(member)
        stream.pipe(stream)
      },
    }),
  ]
  const stream = await a.streams.openApi(b.peer, 2_000)
  t.same(from, [A])
  const sent = new Random().bytes(300_000)
  const received: Buffer[] = []
  stream.write(sent)
  for await (const chunk of stream) {
    received.push(chunk as Buffer)
    if (Buffer.concat(received).length === sent.length) break
  }
  t.ok(Buffer.concat(received).equals(sent))
  t.ok(stream.destroyed)
  await t.rejects(a.streams.openApi({ ...b.peer, id: C }, 2_000), {
    code: 'unavailable',
    message: /another host has this address/,
  })
  await b.streams.close()
  await t.rejects(a.streams.openApi(b.peer, 2_000), {
    code: 'unavailable',
    message: /ECONNREFUSED/,
  })
})

t.test('an API stream outlives the time of an exchange', async (t) => {
  const [a, b] = [await newStreams(t, A), await newStreams(t, B)]
  const stream = await a.streams.openApi(b.peer, 300)
  await new Promise((resolve) => setTimeout(resolve, 900))
  stream.write('still here')
  const [chunk] = (await once(stream, 'data')) as [Buffer]
  t.equal(chunk.toString(), 'still here')
  const closed = once(stream, 'close')
  await b.streams.close()
  await closed
})

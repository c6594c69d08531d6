// The resolver on sockets: UDP, TCP with many questions on one connection, upstreams that are reached. On loopback.

import { Buffer } from 'node:buffer'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type Socket, createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { decode } from 'dns-packet'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Counters } from '../../src/dns/counters.ts'
import { Answers } from '../../src/dns/answers.ts'
import { Forwarder } from '../../src/dns/forwarder.ts'
import { LoopGuard } from '../../src/dns/loop-guard.ts'
import { Resolver } from '../../src/dns/resolver.ts'
import { TcpFrames, tcpFrame } from '../../src/dns/tcp-frames.ts'
import { type Datagrams, openDatagrams } from '../../src/dataplane/datagrams.ts'
import { listenTcp } from '../../src/dns/tcp-listener.ts'
import { type UdpHandlers, listenUdp } from '../../src/dns/udp-listener.ts'
import { parseUpstream } from '../../src/dns/upstream.ts'
import { upstreamSockets } from '../../src/dns/upstream-sockets.ts'
import { DnsWorld, answerTo, dataIn, query, rcodeIn } from '../fixtures/dns.ts'

const HERE = { address: '127.0.0.1', port: 0 }

const open = (handlers: UdpHandlers): Datagrams => openDatagrams(HERE, handlers)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

/** Sends by UDP; the reply. */
async function ask(port: number, message: Buffer): Promise<Buffer> {
  const socket = createSocket('udp4')
  socket.send(message, port, '127.0.0.1')
  const [reply] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  return reply
}

/** A client that asks much by UDP, and keeps what it is told. */
class Client {
  readonly got: Buffer[] = []
  readonly from = new Set<string>()
  readonly #socket = createSocket('udp4')

  constructor() {
    this.#socket.on('message', (reply, { address, port }) => {
      this.got.push(reply)
      this.from.add(`${address}:${port}`)
    })
  }

  async bind(): Promise<this> {
    this.#socket.bind(0, '127.0.0.1')
    await once(this.#socket, 'listening')
    return this
  }

  /** Of a bound socket the message is in the kernel when this returns. */
  send(message: Buffer, port: number): void {
    this.#socket.send(message, port, '127.0.0.1')
  }

  /** What it was told: id and what the answer says. */
  told(): [id: number, data: string][] {
    return this.got
      .map((reply): [number, string] => [reply.readUInt16BE(0), String(dataIn(decode(reply)))])
      .sort(([a], [b]) => a - b)
  }

  close(): void {
    this.#socket.close()
  }
}

async function clients(count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => new Client().bind()))
}

/** Messages that come on a connection, as they come; ends when it does. */
function repliesOn(socket: Socket): {
  readonly got: Buffer[]
  until(count: number): Promise<void>
} {
  const frames = new TcpFrames()
  const got: Buffer[] = []
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => got.push(...frames.push(chunk)))
  return {
    got,
    until: async (count) => {
      while (got.length < count) await sleep(5)
    },
  }
}

t.test('UDP and TCP', async (t) => {
  const world = new DnsWorld()
  world.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  const asker = world.asker('blue')
  const udp = listenUdp(open, world.resolver, asker)
  const tcp = await listenTcp(HERE, world.resolver, asker)
  t.teardown(() => Promise.all([udp.close(), tcp.close()]))

  t.same(dataIn(decode(await ask(udp.port, query('web', 'A')))), ['10.0.1.2'])
  const socket = createSocket('udp4')
  socket.send('garbage', udp.port, '127.0.0.1')
  socket.close()
  t.same(dataIn(decode(await ask(udp.port, query('web', 'A')))), ['10.0.1.2'], 'after garbage')

  const connection = createConnection(tcp.port, '127.0.0.1')
  const replies = repliesOn(connection)
  const many = Array.from({ length: 500 }, (_, id) => tcpFrame(query('web', 'A', { id })))
  const stream = Buffer.concat(many)
  connection.write(stream.subarray(0, 777))
  await sleep(20)
  connection.write(stream.subarray(777))
  await replies.until(500)
  t.same(
    new Set(replies.got.map((reply) => reply.readUInt16BE(0))).size,
    500,
    'all of them, on one connection',
  )
  connection.write(tcpFrame(query('web', 'A')))
  await replies.until(501)
  t.pass('and it can be used again')
  connection.write(tcpFrame(Buffer.from('short')))
  await once(connection, 'close')
  t.pass('until something comes that nothing answers')
})

t.test('many at once: each is told what it asked, by the address that it asked', async (t) => {
  const world = new DnsWorld()
  for (let last = 0; last < 20; last++) {
    world.endpoint('blue', { name: `s${last}`, ip: `10.0.1.${last}` })
  }
  const udp = listenUdp(open, world.resolver, world.asker('blue'))
  const all = await clients(20)
  t.teardown(() => {
    for (const each of all) each.close()
    return udp.close()
  })
  // More than one batch, before the first is taken: by whom, and what, differ.
  for (let round = 0; round < 10; round++) {
    for (const [index, client] of all.entries()) {
      client.send(query(`s${index}`, 'A', { id: 100 * index + round }), udp.port)
    }
  }
  await until(() => all.every(({ got }) => got.length === 10))
  await sleep(10)
  for (const [index, client] of all.entries()) {
    const told = Array.from({ length: 10 }, (_, round) => [100 * index + round, `10.0.1.${index}`])
    t.same(client.told(), told, `client ${index}`)
    t.same([...client.from], [`127.0.0.1:${udp.port}`])
  }
  t.equal(world.counters.read().queries.udp, 200)
})

t.test(
  "clients that are gone, and messages that nothing answers, are in nobody's way",
  async (t) => {
    const world = new DnsWorld()
    world.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
    const udp = listenUdp(open, world.resolver, world.asker('blue'))
    const stays = await new Client().bind()
    t.teardown(() => {
      stays.close()
      return udp.close()
    })
    for (let id = 0; id < 60; id += 3) {
      const goes = await new Client().bind()
      goes.send(query('web', 'A', { id }), udp.port)
      goes.close()
      stays.send(query('web', 'A', { id: id + 1 }), udp.port)
      stays.send(id % 2 === 0 ? Buffer.alloc(0) : Buffer.alloc(65_000, id), udp.port)
      await until(() => stays.told().some(([told]) => told === id + 1))
    }
    const told = Array.from({ length: 20 }, (_, count) => [3 * count + 1, '10.0.1.2'])
    t.same(
      stays.told().filter(([, data]) => data !== ''),
      told,
    )
    t.same(dataIn(decode(await ask(udp.port, query('web', 'A')))), ['10.0.1.2'])
  },
)

t.test('answers that come later go to those who asked', async (t) => {
  const world = new DnsWorld()
  world.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  world.use({
    '192.0.2.1': (question, reply) => {
      const [asked] = decode(question).questions ?? []
      const name = asked?.name ?? ''
      const data = `198.51.100.${/\d+/.exec(name)?.[0] ?? ''}`
      reply(answerTo(question, { answers: [{ type: 'A', name, ttl: 60, data }] }))
    },
  })
  const udp = listenUdp(open, world.resolver, world.asker('blue'))
  const all = await clients(10)
  t.teardown(() => {
    for (const each of all) each.close()
  })
  const askAll = (id: number): void => {
    for (const [index, client] of all.entries()) {
      client.send(query(`n${10 * id + index}.example`, 'A', { id }), udp.port)
      client.send(query('web', 'A', { id: id + 1 }), udp.port)
    }
  }
  askAll(0)
  await until(() => all.every(({ got }) => got.length === 1))
  // What is taken meanwhile is in the slots that theirs were in.
  for (const client of all) client.send(query('web', 'A', { id: 2 }), udp.port)
  await until(() => all.every(({ got }) => got.length === 2))
  world.clock.runUntilTrue(() => world.counters.read().replies.upstream['NOERROR'] === 10, 5_000, 1)
  await until(() => all.every(({ got }) => got.length === 3))
  for (const [index, client] of all.entries()) {
    t.same(
      client.told(),
      [
        [0, `198.51.100.${index}`],
        [1, '10.0.1.2'],
        [2, '10.0.1.2'],
      ],
      `client ${index}`,
    )
  }

  askAll(10)
  await until(() => all.every(({ got }) => got.length === 4))
  await udp.close()
  world.clock.runUntilTrue(() => world.counters.read().replies.upstream['NOERROR'] === 20, 5_000, 1)
  await sleep(20)
  t.ok(
    all.every(({ got }) => got.length === 4),
    'not when the socket is closed meanwhile',
  )
  t.same([world.bugs, world.counters.read().unsent], [[], 10])
  const again = openDatagrams(
    { address: '127.0.0.1', port: udp.port },
    { onMessage: () => false, onUnsent: () => undefined },
  )
  t.equal(again.port, udp.port, 'its port is free at once')
  again.close()
})

t.test("who connects and says nothing is in nobody's way", async (t) => {
  const world = new DnsWorld()
  world.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  const tcp = await listenTcp(HERE, world.resolver, world.asker('blue'))
  t.teardown(() => tcp.close())
  const silent = Array.from({ length: 80 }, () => createConnection(tcp.port, '127.0.0.1'))
  for (const each of silent) each.on('error', () => undefined)
  let closed = 0
  for (const each of silent) each.on('close', () => closed++)
  while (closed < 16) await sleep(5)
  t.equal(closed, 16, '64 are held')
  silent.find(({ destroyed }) => !destroyed)?.destroy()
  await sleep(20)
  const connection = createConnection(tcp.port, '127.0.0.1')
  const replies = repliesOn(connection)
  connection.write(tcpFrame(query('web', 'A')))
  await replies.until(1)
  t.same(dataIn(decode(replies.got[0]!)), ['10.0.1.2'])
  for (const each of [...silent, connection]) each.destroy()
})

t.test('upstreams by real sockets', async (t) => {
  const world = new DnsWorld()
  const counters = new Counters()
  const randomId = (): number => Math.floor(Math.random() * 0x10000)
  const forwarder = new Forwarder({ clock: systemClock, transport: upstreamSockets, randomId })
  const loopGuard = new LoopGuard({
    clock: systemClock,
    transport: upstreamSockets,
    randomId,
    onUsable: (usable) => {
      forwarder.setUpstreams(usable)
    },
    onLoop: () => undefined,
  })
  const { names } = world
  const resolver = new Resolver({
    names,
    answers: new Answers({ names, ttlSeconds: 1 }),
    forwarder,
    loopGuard,
    counters,
    onBug: (error) => t.fail('a bug', { error }),
  })
  const asker = world.asker('blue')
  const udp = listenUdp(open, resolver, asker)
  const tcp = await listenTcp(HERE, resolver, asker)

  // The upstream: a resolver as well, whose one name has too many addresses for UDP.
  const ports = new Set<number>()
  const ids = new Set<number>()
  const answers = Array.from({ length: 60 }, (_, last) => ({
    type: 'A' as const,
    name: 'big.example',
    ttl: 60,
    data: `198.51.100.${last}`,
  }))
  const server = createSocket('udp4')
  server.on('message', (question, from) => {
    ports.add(from.port)
    ids.add(question.readUInt16BE(0))
    const big = decode(question).questions?.[0]?.name === 'big.example'
    const reply = answerTo(question, big ? { flags: 0x0200 } : { answers: answers.slice(0, 1) })
    server.send(reply, from.port, from.address)
  })
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const { createServer } = await import('node:net')
  const stream = createServer((socket) => {
    const frames = new TcpFrames()
    socket.on('data', (chunk: Buffer) => {
      for (const question of frames.push(chunk))
        socket.write(tcpFrame(answerTo(question, { answers })))
    })
  }).listen(port, '127.0.0.1')
  t.teardown(async () => {
    forwarder.close()
    loopGuard.close()
    server.close()
    stream.close()
    await Promise.all([udp.close(), tcp.close()])
  })

  loopGuard.setUpstreams([parseUpstream(`127.0.0.1:${port}`)])
  for (let count = 0; count < 20; count++) {
    t.same(dataIn(decode(await ask(udp.port, query(`n${count}.example`, 'A')))), ['198.51.100.0'])
  }
  t.ok(ports.size >= 20, `${ports.size} ports`)
  t.ok(ids.size >= 20, `${ids.size} ids`)

  t.ok(decode(await ask(udp.port, query('big.example', 'A'))).flag_tc)
  const connection = createConnection(tcp.port, '127.0.0.1')
  const replies = repliesOn(connection)
  connection.write(tcpFrame(query('big.example', 'A')))
  await replies.until(1)
  t.equal(dataIn(decode(replies.got[0]!)).length, 60)
  connection.destroy()

  // Nobody listens: the kernel says so at once.
  const free = createSocket('udp4').bind(0, '127.0.0.1')
  await once(free, 'listening')
  const closedPort = free.address().port
  free.close()
  loopGuard.setUpstreams([parseUpstream(`127.0.0.1:${closedPort}`)])
  const startMs = performance.now()
  t.equal(rcodeIn(decode(await ask(udp.port, query('gone.example', 'A')))), 2)
  t.ok(performance.now() - startMs < 1_000, 'at once')
  loopGuard.setUpstreams([parseUpstream('[2001:db8::1]')])
  t.equal(rcodeIn(decode(await ask(udp.port, query('far.example', 'A')))), 2, 'unreachable')
})

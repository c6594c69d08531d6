// The simulator itself: its time, its network and its charts do what the simulations rely on.

import t from 'tap'
import type { Peer } from '../../src/gossip/member.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { Random } from '../fixtures/random.ts'
import { HostClock, VirtualClock } from '../fixtures/virtual-clock.ts'
import { Distribution } from './distribution.ts'
import { cumulative, renderLineChart } from './line-chart.ts'
import { LAN, SimulatedNetwork, type Socket } from './simulated-network.ts'

t.test('what is due happens in the order of its time, then in that of its making', async (t) => {
  const time = new VirtualClock()
  const random = new Random(1)
  const happened: number[] = []
  const delays = Array.from({ length: 500 }, () => random.below(50))
  for (const [i, delayMs] of delays.entries()) time.setTimeout(() => happened.push(i), delayMs)
  time.setTimeout(() => happened.push(-1), 10).cancel()
  time.runUntil(49)
  const expected = delays.map((delayMs, i) => ({ delayMs, i }))
  t.strictSame(
    happened,
    expected.sort((a, b) => a.delayMs - b.delayMs).map(({ i }) => i),
  )
  t.equal(time.pending, 0)
  t.equal(time.nowMs(), 49, 'and afterwards it is then')
  t.equal(
    time.runUntilTrue(() => time.nowMs() >= 60, 100),
    20,
    'a condition is waited for, looking now and then',
  )
  t.equal(
    time.runUntilTrue(() => false, 100),
    null,
    'but not for ever',
  )
})

t.test('the clock of a host', async (t) => {
  const time = new VirtualClock()
  const clock = new HostClock(time, 5_000)
  const happened: string[] = []
  t.equal(clock.nowMs(), 5_000, 'has an origin of its own')
  const wallMs = clock.wallMs()
  clock.jumpWall(-3_600_000)
  t.strictSame(
    [clock.wallMs(), clock.nowMs()],
    [wallMs - 3_600_000, 5_000],
    'is set without intervals noticing',
  )
  for (const delayMs of [30, 10, 20]) {
    clock.setTimeout(() => {
      happened.push(`${delayMs} at ${clock.nowMs()}`)
      clock.setTimeout(() => happened.push(`${delayMs} again`), 1)
    }, delayMs)
  }
  clock.setTimeout(() => happened.push('cancelled'), 15).cancel()
  clock.stall()
  time.runFor(25)
  t.strictSame(happened, [], 'stands still with its process')
  clock.resume()
  t.strictSame(happened, ['10 at 5025', '20 at 5025'], 'then runs what is late, in order')
  time.runFor(2)
  t.strictSame(happened.slice(2), ['10 again', '20 again'])
  clock.end()
  time.runFor(100)
  t.equal(happened.length, 4, 'and ends with it')
})

interface Station {
  readonly clock: HostClock
  readonly socket: Socket
  readonly peer: Peer
  readonly heard: string[]
}

function stations(network: SimulatedNetwork, count: number): Station[] {
  return Array.from({ length: count }, (_, i) => {
    const ip = `10.99.0.${i + 1}` as Ipv4Address
    const id = `h${i + 1}`
    const clock = new HostClock(network.time)
    const peer = { id, address: { ip, port: 7946 } }
    const socket = network.open(network.addSlot(peer.address), peer, clock)
    const heard: string[] = []
    socket.listen({
      onDatagram: (from, body) => {
        heard.push(`${from} ${Buffer.from(body).toString()}`)
      },
      onRequest: (from, body) =>
        body.length === 0 ? null : Buffer.from(`to ${from}: ${Buffer.from(body).toString()}`),
    })
    return { clock, socket, peer, heard }
  })
}

function world(count = 2): { time: VirtualClock; network: SimulatedNetwork; hosts: Station[] } {
  const time = new VirtualClock()
  const network = new SimulatedNetwork(time, new Random(7))
  return { time, network, hosts: stations(network, count) }
}

t.test('a datagram', async (t) => {
  const { time, network, hosts } = world(3)
  const [one, two, three] = hosts as [Station, Station, Station]
  const body = Buffer.from('a')
  one.socket.send(two.peer, body)
  body.write('b')
  time.runFor(0.19)
  t.strictSame(two.heard, [], 'is under way for a while')
  time.runFor(2)
  t.strictSame(two.heard, ['h1 a'], 'and arrives as it was sent')

  one.socket.send({ id: 'h9', address: two.peer.address }, body)
  one.socket.send(
    { id: 'h9', address: { ...two.peer.address, ip: '10.99.9.9' as Ipv4Address } },
    body,
  )
  time.runFor(10)
  t.equal(two.heard.length, 1, 'for another member, or for nobody, is not heard')

  network.cut(0, 1)
  one.socket.send(two.peer, body)
  two.socket.send(one.peer, body)
  time.runFor(10)
  t.strictSame([one.heard.length, two.heard.length], [1, 1], 'a way may be cut in one direction')
  network.heal()
  network.partition([0, 1, 0])
  for (const to of [two, three]) one.socket.send(to.peer, body)
  time.runFor(10)
  t.strictSame([two.heard.length, three.heard.length], [1, 1], 'and groups be parted')
  network.heal()

  network.setProfile({ ...LAN, loss: 0.2, duplicated: 0.1, late: 0.1, maxLateMs: 100 })
  for (let i = 0; i < 1_000; i++) one.socket.send(two.peer, Buffer.from(String(i)))
  time.runFor(200)
  const heard = two.heard.slice(1)
  const different = new Set(heard).size
  t.ok(different > 750 && different < 850, `of 1000 at 20 % loss ${different} arrive`)
  t.ok(heard.length > different + 50, `${heard.length - different} of them twice`)
  t.notSame([...heard].sort(byNumber), heard, 'not in order')
  t.equal(network.traffic[0]?.datagrams, 1_006)
})

function byNumber(a: string, b: string): number {
  return Number(a.slice(3)) - Number(b.slice(3))
}

t.test('a process that stands still', async (t) => {
  const { time, network, hosts } = world()
  const [one, two] = hosts as [Station, Station]
  two.clock.stall()
  two.clock.setTimeout(() => two.heard.push('timer'), 50)
  for (let i = 0; i < 1_000; i++) one.socket.send(two.peer, Buffer.from(String(i)))
  let reply: Uint8Array | null | undefined
  one.socket.request(two.peer, Buffer.from('x'), 100, (answer) => (reply = answer))
  time.runFor(99)
  t.strictSame([two.heard.length, reply], [0, undefined], 'hears and answers nothing')
  time.runFor(2)
  t.equal(reply, null, 'until who asks has had enough')
  two.clock.resume()
  two.socket.drain()
  t.equal(two.heard[0], 'timer', 'then runs its timers first')
  t.equal(two.heard.length, 1 + Math.floor(212_992 / 770), 'and has what its socket buffer held')
  t.ok((network.traffic[1]?.overflowed ?? 0) > 500, 'the rest is lost')
})

t.test('a request', async (t) => {
  const { time, network, hosts } = world()
  const [one, two] = hosts as [Station, Station]
  let [asked, answers, early] = [0, 0, false]
  const ask = (body = 'x'): { ms: number; reply: string | null } => {
    let found: { ms: number; reply: string | null } | undefined
    const began = time.nowMs()
    one.socket.request(two.peer, Buffer.from(body), 1_000, (reply) => {
      answers++
      found = { ms: time.nowMs() - began, reply: reply && Buffer.from(reply).toString() }
    })
    early ||= found !== undefined
    asked++
    time.runFor(5_000)
    return found!
  }
  const { ms, reply } = ask()
  t.equal(reply, 'to h1: x')
  t.ok(ms > 7 * 0.2 && ms < 7 * 2, `costs the round trips of TCP and TLS: ${ms} ms`)
  t.equal(ask('').reply, null, 'may be refused')
  network.cut(1, 0)
  t.strictSame(ask(), { ms: 1_000, reply: null }, 'needs both directions')
  network.heal()
  network.setProfile({ ...LAN, loss: 0.5 })
  const some = Array.from({ length: 20 }, () => ask())
  t.ok(
    some.some(({ ms, reply }) => reply !== null && ms > 200),
    'waits for retransmissions',
  )
  network.setProfile(LAN)
  network.close(1, true)
  t.ok(ask().ms < 20, 'to a process that is gone is refused at once')
  network.close(1, false)
  t.equal(ask().ms, 1_000, 'to a machine that is off runs into its timeout')
  t.strictSame([answers, early], [asked, false], 'is answered exactly once, after it was made')
})

t.test('a request of a process that stands still, or ends, while it connects', async (t) => {
  /** h2 hears of each request once, whatever becomes of the asker. */
  const asked = (meanwhile: (one: Station, time: VirtualClock) => void): string[] => {
    const { time, hosts } = world()
    const [one, two] = hosts as [Station, Station]
    const requests: string[] = []
    two.socket.listen({
      onDatagram: () => undefined,
      onRequest: (_from, body) => {
        requests.push(`${Buffer.from(body).toString()} at ${time.nowMs() < 100 ? 'once' : 'last'}`)
        return null
      },
    })
    one.socket.request(two.peer, Buffer.from('x'), 1_000, () => undefined)
    meanwhile(one, time)
    time.runFor(5_000)
    return requests
  }
  t.strictSame(
    asked(() => undefined),
    ['x at once'],
  )
  t.strictSame(
    asked(({ clock, socket }, time) => {
      clock.stall()
      time.runFor(500)
      clock.resume()
      socket.drain()
    }),
    ['x at last'],
    'is written when the process goes on',
  )
  t.strictSame(
    asked(({ clock }) => clock.end()),
    [],
    'is never written',
  )
})

t.test('a distribution says what it was asked for', async (t) => {
  const values = new Distribution()
  for (const value of new Random(1).shuffled(Array.from({ length: 200 }, (_, i) => i + 1))) {
    values.add(value)
  }
  t.strictSame(values.summary(), { count: 200, min: 1, p50: 100, p99: 198, max: 200 })
  t.equal(values.shareWithin(50), 0.25)
  t.equal(values.shareWithin(500), 1)
  const points = cumulative(values.values(), 0.5)
  t.strictSame(
    [points[0], points.at(-1)],
    [
      [0.5, 0.5],
      [100, 100],
    ],
  )
})

t.test('a chart is SVG with axes, units and a legend', async (t) => {
  const axis = { label: 'time & <place>, s', min: 0.1, max: 10, ticks: [0.1, 1, 10] }
  const svg = renderLineChart({
    title: 'A title',
    subtitle: 'and more',
    x: { ...axis, logarithmic: true },
    y: { label: 'share, %', min: 0, max: 100, ticks: [0, 100] },
    curves: [
      {
        label: 'ours',
        points: [
          [0.1, 0],
          [1, 50],
          [20, 100],
        ],
        color: '#0072b2',
        dashed: true,
      },
    ],
    marks: [{ x: 1, label: 'goal' }],
  })
  t.match(svg, /^<svg [^>]*viewBox/)
  for (const text of ['A title', 'time &amp; &lt;place>, s', 'share, %', 'ours', 'goal']) {
    t.ok(svg.includes(text), text)
  }
  const points = /<polyline points="([^"]+)"/.exec(svg)?.[1]?.split(' ')
  t.strictSame(points, ['74.0,378.0', '405.0,222.0'], 'what is beyond the axis is not drawn')
})

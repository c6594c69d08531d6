// Suspicions and what they stand on: how long they last, who is asked, and what a pause of this host is worth.

import t from 'tap'
import { Awareness } from '../../src/gossip/awareness.ts'
import { GOSSIP_SETTINGS, retransmitLimit, suspicionScale } from '../../src/gossip/defaults.ts'
import { Prober } from '../../src/gossip/prober.ts'
import { Relay } from '../../src/gossip/relay.ts'
import { Roster } from '../../src/gossip/roster.ts'
import { Suspicion, suspicionTimeoutMs } from '../../src/gossip/suspicion.ts'
import { Suspicions } from '../../src/gossip/suspicions.ts'
import { Timekeeper } from '../../src/gossip/timekeeper.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { Random } from '../fixtures/random.ts'
import { HostClock, VirtualClock } from '../fixtures/virtual-clock.ts'

const bounds = { minMs: 1_000, maxMs: 2_000, confirmations: 3 }

t.test('confirmations shorten a suspicion, the first ones the most', async (t) => {
  const rows: [confirmed: number, ms: number][] = [
    [0, 2_000],
    [1, 1_500],
    [2, 1_208],
    [3, 1_000],
    [9, 1_000],
  ]
  for (const [confirmed, ms] of rows) t.equal(Math.round(suspicionTimeoutMs(bounds, confirmed)), ms)
  t.equal(suspicionTimeoutMs({ ...bounds, confirmations: 0 }, 0), 1_000, 'nobody can confirm')
})

t.test('numbers grow with the logarithm of the members', async (t) => {
  t.same([1, 10, 100, 1_000].map(suspicionScale).map(Math.round), [1, 1, 2, 3])
  t.same(
    [1, 3, 10, 25, 100, 1_000].map((members) => retransmitLimit(4, members)),
    [2, 3, 5, 6, 9, 13],
  )
})

t.test('each accuser counts once, and only so many', async (t) => {
  const suspicion = new Suspicion('x', 'a', bounds, 0, 10)
  t.equal(suspicion.dueMs, 2_000)
  t.notOk(suspicion.confirm('a'))
  t.ok(suspicion.confirm('b'))
  t.equal(suspicion.dueMs, 1_500)
  t.ok(suspicion.confirm('c'))
  t.ok(suspicion.confirm('d'))
  t.notOk(suspicion.confirm('e'))
  t.equal(suspicion.dueMs, 1_000)
  suspicion.extend(300)
  t.equal(suspicion.dueMs, 1_300)
})

t.test('who answers what was sent after it began is not dead', async (t) => {
  const suspicion = new Suspicion('x', 'a', bounds, 0, 10)
  suspicion.answer(9)
  t.equal(suspicion.conclude(2_000), 'dead', 'an answer to what was sent before')
  suspicion.answer(10)
  t.equal(suspicion.conclude(2_000), 'again')
  t.equal(suspicion.dueMs, 4_000)
  t.equal(suspicion.conclude(4_000), 'dead', 'once answered is not answered for ever')
})

t.test(
  'a death by hearsay ends a suspicion, but not before the suspect could answer',
  async (t) => {
    const young = new Suspicion('x', 'a', bounds, 1_000, 1)
    young.declaredDead(400)
    t.equal(young.dueMs, 1_400)
    young.extend(100)
    t.equal(young.dueMs, 1_500)
  },
)

t.test('awareness stays within its bounds', async (t) => {
  const awareness = new Awareness(2)
  awareness.better()
  t.equal(awareness.multiplier, 1)
  for (let i = 0; i < 5; i++) awareness.worse()
  t.equal(awareness.multiplier, 3)
  awareness.better()
  t.equal(awareness.score, 1)
})

/** A clock, its keeper, and all that is noted with the time. */
function stage(): {
  time: VirtualClock
  clock: HostClock
  keeper: Timekeeper
  log: string[]
  note: (text: string) => void
} {
  const time = new VirtualClock()
  const clock = new HostClock(time)
  const log: string[] = []
  const note = (text: string): void => {
    log.push(`${Math.round(time.nowMs())} ${text}`)
  }
  const keeper = new Timekeeper(clock, 150, (lateMs) => note(`paused ${lateMs}`))
  return { time, clock, keeper, log, note }
}

t.test(
  'a pause is told once, before the first late timer, and not when timers are a little late',
  async (t) => {
    const { time, clock, keeper, log, note } = stage()
    for (const ms of [100, 300, 1_050, 1_500]) keeper.after(ms, () => note(`due ${ms}`))
    keeper.after(400, () => note('cancelled')).cancel()
    time.runUntil(200)
    clock.stall()
    time.runUntil(1_100)
    clock.resume()
    time.runUntil(1_400)
    clock.stall()
    time.runUntil(1_600)
    clock.resume()
    t.same(log, [
      '100 due 100',
      '1100 paused 800',
      '1100 due 300',
      '1100 due 1050',
      '1600 due 1500',
    ])
    keeper.after(10, () => note('after stop'))
    keeper.stop()
    time.runFor(1_000)
    t.equal(log.length, 5)
  },
)

t.test('a suspect is asked again and again, and declared dead in the end', async (t) => {
  const { time, keeper, log, note } = stage()
  const suspicions = new Suspicions({
    self: 'me',
    settings: GOSSIP_SETTINGS,
    timekeeper: keeper,
    random: () => 0.5,
    members: () => 5,
    hands: { chase: () => note('chase'), onDead: (id) => note(`dead ${id}`) },
  })
  const suspicion = suspicions.begin('x', 'me', 1)
  time.runUntil(250)
  t.ok(suspicions.confirm(suspicion, 'a'))
  t.ok(suspicions.confirm(suspicion, 'b'))
  t.ok(suspicions.confirm(suspicion, 'c'))
  time.runUntil(5_000)
  t.same(log.slice(0, 3), ['0 chase', '100 chase', '200 chase'])
  t.same(log.slice(-2), ['900 chase', '1000 dead x'])

  log.length = 0
  suspicions.begin('y', 'a', 1)
  time.runFor(150)
  suspicions.end('y')
  time.runFor(5_000)
  t.same(log, ['5000 chase', '5100 chase'], 'who has refuted is left alone')
})

function proberOn(members: number) {
  const scene = stage()
  const { keeper, note } = scene
  const random = new Random(7)
  const present = new Roster(() => random.next() / 2 ** 32)
  for (let i = 1; i <= members; i++) present.add(`m${i}`)
  const awareness = new Awareness(8)
  let seq = 0
  const prober = new Prober({
    settings: GOSSIP_SETTINGS,
    timekeeper: keeper,
    awareness,
    present,
    hands: {
      nextSeq: () => ++seq,
      ping: (target, number) => note(`ping ${target} ${number}`),
      pingReq: (relay, target, number) => note(`ping-req ${relay} ${target} ${number}`),
      stream: (target, number, ms) => note(`stream ${target} ${number} ${ms}`),
      onFailed: (target) => note(`failed ${target}`),
    },
  })
  return { ...scene, prober, awareness, present }
}

t.test('a probe: ping, then all other ways at once, then it has failed', async (t) => {
  const { time, prober, log, awareness } = proberOn(2)
  prober.tick()
  t.same(
    log.map((line) => line.split(' ')[1]),
    ['ping', 'ping'],
  )
  t.ok(prober.ack('m1', log[0] === '0 ping m1 1' ? 1 : 2))
  const seq = log[0] === '0 ping m2 1' ? 1 : 2
  t.notOk(prober.ack('m1', seq), 'nobody answers for another without being asked')
  log.length = 0
  time.runUntil(300)
  t.same(log, [`200 ping-req m1 m2 ${seq}`, `200 stream m2 ${seq} 250`, `200 ping m2 ${seq}`])
  log.length = 0
  time.runUntil(440)
  prober.nack('m1', seq)
  time.runUntil(1_000)
  t.same(log, ['450 failed m2'])
  t.equal(awareness.score, 0, 'the relay was well: it is not us')
  t.notOk(prober.ack('m2', seq), 'too late')
})

t.test('a relay answers for the target, and silent relays are our own trouble', async (t) => {
  const { time, prober, log, awareness } = proberOn(2)
  prober.tick()
  time.runUntil(300)
  const seq = log[0] === '0 ping m2 1' ? 1 : 2
  t.ok(prober.ack('m1', seq), 'as a relay')
  time.runUntil(460)
  t.same(log.at(-1), '450 failed m1')
  t.equal(awareness.score, 1)

  log.length = 0
  prober.tick()
  const late = log.length
  const running = log.find((line) => line.includes('ping m2'))?.split(' ')[3]
  time.runUntil(700)
  t.equal(log.length, late, 'with awareness 1 all takes twice as long')
  time.runUntil(870)
  t.ok(log.length > late)
  log.length = 0
  prober.tick()
  t.ok(log.includes(`870 ping m2 ${running}`), 'who is still being probed is pinged for that probe')
  prober.abandon()
  log.length = 0
  time.runUntil(5_000)
  t.same(log, [], 'what was abandoned has no verdict')
})

t.test('a relay pings, and says yes or no by the number of who asked', async (t) => {
  const { time, keeper, log, note } = stage()
  let seq = 100
  const relay = new Relay(keeper, 150, {
    nextSeq: () => ++seq,
    ping: ({ id }, number) => note(`ping ${id} ${number}`),
    ack: (to, number, incarnation) => note(`ack ${to} ${number} ${incarnation}`),
    nack: (to, number) => note(`nack ${to} ${number}`),
  })
  const target = { id: 'x', address: { ip: parseIpv4Address('10.0.0.1'), port: 1 } }
  relay.pingReq('a', 1, target)
  relay.pingReq('b', 1, target)
  relay.ack('y', 101, 5)
  relay.ack('x', 101, 5)
  relay.ack('x', 101, 5)
  time.runUntil(1_000)
  t.same(log, ['0 ping x 101', '0 ping x 102', '0 ack a 1 5', '150 nack b 1'])
  for (let i = 0; i < 1_000; i++) relay.pingReq('a', i, target)
  t.equal(log.filter((line) => line.startsWith('1000 ping')).length, 256, 'within bounds')
})

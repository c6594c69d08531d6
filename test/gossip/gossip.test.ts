// One host's gossip: the test plays all the others by hand, datagram by datagram, on virtual time.

import t from 'tap'
import type { Passenger } from '../../src/gossip/channel.ts'
import {
  decodeDatagram,
  decodeListed,
  decodeStream,
  encodeDatagram,
  encodeListed,
  encodeStream,
} from '../../src/gossip/codec.ts'
import type { GossipEvent } from '../../src/gossip/event.ts'
import { Gossip, type GossipOptions } from '../../src/gossip/gossip.ts'
import type { Address, Member, MemberId, Peer } from '../../src/gossip/member.ts'
import type { Alive, Listed, Part } from '../../src/gossip/message.ts'
import type { Transport } from '../../src/gossip/transport.ts'
import { type Ipv4Address, parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { heldMb } from '../fixtures/heap.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { HostClock, VirtualClock } from '../fixtures/virtual-clock.ts'

const idOf = (number: number): MemberId => number.toString(16).padStart(16, '0')
const addressOf = (number: number) => ({ ip: `10.0.0.${number}` as Ipv4Address, port: 7946 })
const peerOf = (number: number) => ({ id: idOf(number), address: addressOf(number) })
const aliveOf = (number: number, incarnation = 1): Alive => ({
  type: 'alive',
  id: idOf(number),
  incarnation,
  address: addressOf(number),
  name: `h${number}`,
})

interface Sent {
  readonly atMs: number
  readonly to: MemberId
  readonly address: Address
  readonly parts: readonly Part[]
}

interface Asked {
  readonly to: MemberId
  readonly body: Uint8Array
  readonly done: (reply: Uint8Array | null) => void
}

/** Host 0 with nobody around but the test. */
class Stage implements Transport, Passenger {
  readonly time = new VirtualClock()
  readonly clock = new HostClock(this.time, 5_000)
  readonly sent: Sent[] = []
  readonly asked: Asked[] = []
  readonly events: GossipEvent[] = []
  readonly heard: string[] = []
  readonly gossip: Gossip
  /** Members that answer pings by themselves, with their incarnation. */
  readonly answering = new Map<MemberId, number>()

  constructor(settings: GossipOptions['settings'] = {}) {
    const random = new Random(3)
    this.gossip = new Gossip({
      self: { ...peerOf(0), name: 'h0', address: addressOf(100) },
      incarnation: 1,
      clock: this.clock,
      random: () => random.next() / 2 ** 32,
      transport: this,
      passenger: this,
      settings,
      onEvent: (event) => this.events.push(event),
    })
    this.gossip.start()
  }

  send(to: Peer, body: Uint8Array): void {
    const { parts, intact } = decodeDatagram(body)
    if (!intact) throw new Error('sent what cannot be read')
    this.sent.push({ atMs: this.time.nowMs(), to: to.id, address: to.address, parts })
    const incarnation = this.answering.get(to.id)
    const ping = parts.find((part) => part.type === 'ping')
    if (incarnation === undefined || ping === undefined) return
    const ack = encodeDatagram({ type: 'ack', seq: ping.seq, incarnation })
    this.time.setTimeout(() => this.gossip.onDatagram(to.id, ack, to.address), 1)
  }

  request(
    to: { id: MemberId },
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void {
    let open = true
    const once = (reply: Uint8Array | null): void => {
      if (open) done(reply)
      open = false
    }
    this.asked.push({ to: to.id, body, done: once })
    this.clock.setTimeout(() => once(null), timeoutMs)
  }

  onBroadcast(body: Uint8Array): string | null {
    this.heard.push(`broadcast ${body.join()}`)
    return body[0] === 0 ? null : `b${body.join()}`
  }

  onMessage(body: Uint8Array, from: MemberId): void {
    this.heard.push(`message ${body.join()} from ${Number.parseInt(from, 16)}`)
  }

  onRequest(body: Uint8Array): Uint8Array | null {
    return body[0] === 0 ? null : body.toReversed()
  }

  onMember(after: Member | undefined, before: Member | undefined): void {
    const who = after ?? before
    this.heard.push(`${who?.name} ${before?.state ?? 'new'} > ${after?.state ?? 'forgotten'}`)
  }

  onContact(member: MemberId): void {
    this.heard.push(`contact ${Number.parseInt(member, 16)}`)
  }

  onRecovery(member: MemberId): void {
    this.heard.push(`recovery ${Number.parseInt(member, 16)}`)
  }

  /** Datagrams from these members that they are alive; from now on they answer. */
  meet(...numbers: number[]): this {
    for (const number of numbers) {
      this.hear(number, aliveOf(number))
      this.answering.set(idOf(number), 1)
    }
    return this
  }

  hear(from: number, ...parts: Part[]): void {
    this.hearAt(addressOf(from), from, ...parts)
  }

  hearAt(source: Address, from: number, ...parts: Part[]): void {
    this.gossip.onDatagram(idOf(from), encodeDatagram(...parts), source)
  }

  run(ms: number): this {
    this.time.runFor(ms)
    return this
  }

  stateOf(number: number): string | undefined {
    return this.gossip.member(idOf(number))?.state
  }

  /** What was sent since the last call, of some kinds. */
  take(...types: Part['type'][]): { to: number; part: Part }[] {
    return this.sent.splice(0).flatMap(({ to, parts }) => {
      return parts
        .filter(({ type }) => types.includes(type))
        .map((part) => ({ to: Number.parseInt(to, 16), part }))
    })
  }
}

t.test('alone it sends nothing and asks nobody', async (t) => {
  const stage = new Stage().run(60_000)
  t.equal(stage.sent.length + stage.asked.length, 0)
  t.ok(stage.time.happened < 60 * 2 * 2 + 60, 'and few timers run')
  t.match(stage.gossip.members(), [{ id: idOf(0), state: 'alive', incarnation: 1, name: 'h0' }])
})

t.test('who says that it is there becomes a member, is told of us, and is met', async (t) => {
  const stage = new Stage().meet(1)
  t.same(stage.heard, ['h1 new > alive', 'contact 1'])
  t.match(stage.events, [{ kind: 'joined', member: { name: 'h1' } }])
  stage.run(600)
  const alive = stage
    .take('alive')
    .filter(({ part }) => part.type === 'alive' && part.id === idOf(0))
  t.ok(alive.length > 0, 'by rumour and with the first ping')
  stage.run(10_000)
  t.equal(stage.take('alive').length, 0, 'once it knows us pings are bare')
  stage.hear(1, aliveOf(1))
  t.equal(stage.heard.length, 2, 'the same again is no news')
})

t.test('each tick probes up to three members, each of four every time or nearly so', async (t) => {
  const stage = new Stage().meet(1, 2, 3, 4).run(500)
  stage.take()
  stage.run(10_000)
  const pings = stage.take('ping')
  t.equal(pings.length, 60)
  for (const number of [1, 2, 3, 4]) {
    const count = pings.filter(({ to }) => to === number).length
    t.ok(count >= 13 && count <= 17, `${count} to ${number}`)
  }
})

t.test('a ping is acked with its number, and with our last word if it knows less', async (t) => {
  const stage = new Stage().meet(1).run(5_000)
  stage.take()
  const ping = { type: 'ping', seq: 77, target: idOf(0), incarnation: 1, state: 'alive' } as const
  stage.hear(1, ping)
  t.match(stage.take('ack', 'alive'), [{ to: 1, part: { type: 'ack', seq: 77, incarnation: 1 } }])
  stage.hear(1, { ...ping, incarnation: 0 })
  t.match(stage.take('ack', 'alive'), [{ part: { type: 'alive' } }, { part: { type: 'ack' } }])
  stage.hear(1, { ...ping, target: idOf(9) })
  t.same(stage.take('ack'), [], 'meant for another')
  stage.hear(9, ping)
  t.same(stage.take('ack'), [], 'from one whose address we do not know')
  t.match(stage.gossip.counters(), { misdirected: 1, from_strangers: 1 })
})

t.test('doubts about this host are refuted at once, to who has them and to all', async (t) => {
  const rows: [what: string, part: Part, incarnation: number][] = [
    ['suspected', { type: 'suspect', id: idOf(0), incarnation: 1, by: idOf(2) }, 2],
    ['dead', { type: 'dead', id: idOf(0), incarnation: 4, by: idOf(2) }, 5],
    ['left', { type: 'dead', id: idOf(0), incarnation: 1, by: idOf(0) }, 2],
    ['remembered', { ...aliveOf(0), incarnation: 7 }, 8],
    ['elsewhere', aliveOf(0), 2],
    ['pinged', { type: 'ping', seq: 1, target: idOf(0), incarnation: 1, state: 'suspect' }, 2],
  ]
  for (const [what, part, incarnation] of rows) {
    const stage = new Stage().meet(1, 2, 3).run(5_000)
    stage.take()
    stage.hear(1, part)
    t.equal(stage.gossip.incarnation, incarnation, what)
    const at = stage.sent.filter(({ parts }) => parts.some((sent) => sent.type === 'alive'))
    t.ok(
      at.some(({ to }) => to === idOf(1)),
      `${what}: to who said so, at once`,
    )
    stage.run(5)
    const told = stage.take('alive').map(({ to }) => to)
    for (const number of [1, 2, 3]) t.ok(told.includes(number), `${what}: to ${number}`)
    t.match(stage.events.at(-1), { kind: 'refuted', incarnation })
    stage.hear(3, part)
    t.equal(stage.gossip.incarnation, incarnation, `${what}: once is enough`)
  }
  const stage = new Stage().meet(1)
  stage.hear(1, { type: 'dead', id: idOf(0), incarnation: 2 ** 31, by: idOf(1) })
  t.equal(stage.gossip.incarnation, 1, 'a leap is not followed')
})

t.test('who does not answer is suspected, asked, and declared dead', async (t) => {
  const stage = new Stage().meet(1, 2, 3).run(5_000)
  stage.take()
  stage.answering.delete(idOf(3))
  const crashedAt = stage.time.nowMs()
  const suspectedMs = stage.time.runUntilTrue(() => stage.stateOf(3) === 'suspect', 5_000) ?? 0
  t.ok(suspectedMs >= 450 && suspectedMs <= 960, `suspected after ${suspectedMs} ms`)
  const asked = stage.sent.filter(({ parts }) => parts.some(({ type }) => type === 'ping-req'))
  t.same(asked.map(({ to }) => to).sort(), [idOf(1), idOf(2)])
  const probe = stage.asked.find(({ to }) => to === idOf(3))
  t.equal(decodeStream(probe?.body ?? new Uint8Array())?.type, 'probe')
  stage.run(100)
  const told = stage.take('suspect', 'ping')
  t.ok(told.some(({ to, part }) => to === 3 && part.type === 'ping' && part.state === 'suspect'))
  for (const to of [1, 2]) t.ok(told.some((sent) => sent.to === to && sent.part.type === 'suspect'))
  t.notOk(
    told.some((sent) => sent.to === 3 && sent.part.type === 'suspect'),
    'rumours go elsewhere',
  )
  stage.time.runUntilTrue(() => stage.stateOf(3) === 'dead', 5_000)
  const deadMs = stage.time.nowMs() - crashedAt - suspectedMs
  t.ok(deadMs >= 1_990 && deadMs <= 2_020, `nobody confirmed: dead after ${deadMs} ms more`)
  t.same(stage.heard.at(-1), 'h3 alive > dead'.replace('alive', 'suspect'))
  stage.run(2_000)
  const pings = stage.take('ping').filter(({ to }) => to === 3)
  t.ok(pings.length >= 3, 'it goes on being pinged')
  t.match(pings.at(-1), { part: { state: 'dead', incarnation: 1 } })
})

t.test('confirmations make it quicker, a refutation ends it', async (t) => {
  const stage = new Stage().meet(1, 2, 3, 4, 5).run(2_000)
  const suspect = { type: 'suspect', id: idOf(5), incarnation: 1 } as const
  stage.answering.delete(idOf(5))
  for (const number of [1, 2, 3, 4]) stage.hear(number, { ...suspect, by: idOf(number) })
  stage.run(900)
  t.equal(stage.stateOf(5), 'suspect')
  stage.run(120)
  t.equal(stage.stateOf(5), 'dead')

  stage.hear(1, { ...suspect, id: idOf(4), by: idOf(1) })
  t.equal(stage.stateOf(4), 'suspect')
  stage.hear(2, aliveOf(4, 1))
  t.equal(stage.stateOf(4), 'suspect', 'not with the same incarnation')
  stage.hear(2, aliveOf(4, 2))
  t.equal(stage.stateOf(4), 'alive')
  t.match(stage.events.at(-1), { kind: 'recovered' })
  stage.run(10_000)
  t.equal(stage.stateOf(4), 'alive')
})

t.test(
  'a suspect that refutes to us itself is compared with: rumours may have been lost',
  async (t) => {
    const stage = new Stage().meet(1, 2, 3).run(2_000)
    const suspect = { type: 'suspect', id: idOf(3), incarnation: 1, by: idOf(1) } as const
    stage.heard.splice(0)
    stage.hear(1, suspect)
    stage.hear(3, aliveOf(3, 1))
    t.same(stage.heard, [], 'that is no refutation')
    stage.hear(3, aliveOf(3, 2))
    t.same(stage.heard, ['recovery 3'])
    stage.hear(1, { ...suspect, incarnation: 2 })
    stage.hear(2, aliveOf(3, 3))
    t.same(
      stage.heard,
      ['recovery 3'],
      'others may say so without our ever having been parted from it',
    )
  },
)

t.test('a suspect that answers us is not declared dead, though it never refutes', async (t) => {
  const stage = new Stage().meet(1, 2, 3).run(2_000)
  stage.hear(1, { type: 'suspect', id: idOf(3), incarnation: 1, by: idOf(1) })
  stage.run(20_000)
  t.equal(stage.stateOf(3), 'suspect')
})

t.test('a death by hearsay is checked first', async (t) => {
  const dead = { type: 'dead', id: idOf(3), incarnation: 1, by: idOf(1) } as const
  const stage = new Stage().meet(1, 2, 3).run(2_000)
  stage.hear(1, dead)
  t.equal(stage.stateOf(3), 'suspect')
  stage.run(3_000)
  t.equal(stage.stateOf(3), 'suspect', 'it answers')

  const other = new Stage().meet(1, 2, 3).run(2_000)
  other.answering.delete(idOf(3))
  other.hear(1, dead)
  other.run(390)
  t.equal(other.stateOf(3), 'suspect')
  other.run(20)
  t.equal(other.stateOf(3), 'dead', 'it does not')
})

t.test('a pause of this host proves nothing about the others', async (t) => {
  const stage = new Stage().meet(1, 2, 3).run(3_000)
  stage.hear(1, { type: 'suspect', id: idOf(3), incarnation: 1, by: idOf(1) })
  stage.answering.clear()
  // What they answered meanwhile waits.
  stage.clock.stall()
  stage.run(20_000)
  stage.clock.resume()
  t.match(stage.events.at(-1), { kind: 'paused' })
  t.equal(stage.stateOf(3), 'suspect')
  t.same(
    [1, 2].map((number) => stage.stateOf(number)),
    ['alive', 'alive'],
  )
  t.equal(stage.events.filter(({ kind }) => kind === 'paused').length, 1)
  stage.hear(3, aliveOf(3, 2))
  for (const number of [1, 2, 3]) stage.answering.set(idOf(number), 1)
  stage.run(5_000)
  t.same(
    [1, 2, 3].map((number) => stage.stateOf(number)),
    ['alive', 'alive', 'alive'],
  )
  stage.clock.jumpWall(3_600_000)
  stage.run(5_000)
  t.equal(stage.events.filter(({ kind }) => kind === 'died').length, 0)
})

t.test('whoever is heard of though it is dead is told so, and all is compared', async (t) => {
  const stage = new Stage().meet(1, 2).run(2_000)
  stage.answering.delete(idOf(2))
  stage.run(5_000)
  t.equal(stage.stateOf(2), 'dead')
  stage.take()
  stage.asked.length = 0
  stage.hear(2, { type: 'ping', seq: 5, target: idOf(0), incarnation: 1, state: 'dead' })
  t.equal(stage.gossip.incarnation, 2, 'it believed the same of us')
  const sent = stage.take('ping', 'ack', 'alive')
  t.match(
    sent.find(({ to, part }) => to === 2 && part.type === 'ping'),
    {
      part: { state: 'dead', incarnation: 1 },
    },
  )
  t.ok(sent.some(({ part }) => part.type === 'ack' && part.seq === 5))
  t.same(
    stage.asked.map(({ to, body }) => [to, decodeStream(body)?.type]),
    [[idOf(2), 'push-pull']],
  )
  stage.heard.length = 0
  stage.hear(2, aliveOf(2, 2))
  t.equal(stage.stateOf(2), 'alive')
  t.same(stage.heard, ['h2 dead > alive', 'contact 2'])
})

const listedOf = (number: number, state: Listed['state'] = 'alive', incarnation = 1): Listed => ({
  ...aliveOf(number, incarnation),
  state,
  ageSeconds: 1,
})

t.test('a join learns all that the other knows, and counts who answers', async (t) => {
  const stage = new Stage()
  let answered = -1
  for (const number of [1, 3]) stage.answering.set(idOf(number), 1)
  stage.gossip.join([peerOf(1), peerOf(2), peerOf(0)], (count) => {
    answered = count
  })
  t.same(
    stage.asked.map(({ to }) => to),
    [idOf(1), idOf(2)],
    'it does not ask itself',
  )
  const own = decodeListed(
    decodeStream(stage.asked[0]?.body ?? new Uint8Array())?.body ?? new Uint8Array(),
  )
  t.match(own, [{ id: idOf(0), state: 'alive', name: 'h0' }])
  const list = [listedOf(1), listedOf(3), listedOf(4, 'dead'), listedOf(5, 'left')]
  stage.asked[0]?.done(encodeStream('push-pull', encodeListed(list)))
  t.equal(answered, -1)
  stage.run(2_100)
  t.equal(answered, 1)
  t.same(
    [1, 2, 3, 4, 5].map((number) => stage.stateOf(number)),
    ['alive', undefined, 'alive', 'dead', 'left'],
  )
  t.ok(stage.heard.includes('contact 1'))
  t.notOk(stage.heard.includes('contact 3'))
  t.same(
    stage.gossip.members().map(({ name }) => name),
    ['h0', 'h1', 'h3', 'h4', 'h5'],
    'in the order of their ids',
  )
  let none = -1
  stage.gossip.join([], (count) => {
    none = count
  })
  t.equal(none, -1, 'not before it returns')
  stage.run(1)
  t.equal(none, 0)
})

t.test('a push/pull is answered with all that is known; deaths in it are suspicions', async (t) => {
  const stage = new Stage().meet(1, 2).run(2_000)
  const list = [listedOf(3), listedOf(2, 'dead'), listedOf(0, 'dead')]
  const reply = stage.gossip.onRequest(idOf(3), encodeStream('push-pull', encodeListed(list)))
  const message = decodeStream(reply ?? new Uint8Array())
  t.equal(message?.type, 'push-pull')
  t.same(
    decodeListed(message?.body ?? new Uint8Array())?.map(({ id }) => id),
    [0, 1, 2].map(idOf),
  )
  t.equal(stage.stateOf(2), 'suspect')
  t.equal(stage.stateOf(3), 'alive')
  t.ok(stage.heard.includes('contact 3'))
  t.equal(stage.gossip.incarnation, 2)
  for (const bad of ['0102ff', '0100', '', '0203']) {
    t.equal(stage.gossip.onRequest(idOf(3), Buffer.from(bad, 'hex')), null)
  }
})

t.test('a probe over a stream is answered as a ping is', async (t) => {
  const stage = new Stage().meet(1)
  const ping = { type: 'ping', seq: 9, target: idOf(0), incarnation: 1, state: 'alive' } as const
  const ask = (part: Part): Uint8Array | null =>
    stage.gossip.onRequest(idOf(1), encodeStream('probe', encodeDatagram(part)))
  const reply = decodeStream(ask(ping) ?? new Uint8Array())
  t.match(decodeDatagram(reply?.body ?? new Uint8Array()).parts, [
    { type: 'alive', incarnation: 1 },
    { type: 'ack', seq: 9 },
  ])
  t.equal(ask({ ...ping, target: idOf(7) }), null)
  t.equal(ask({ type: 'nack', seq: 1 }), null)
})

t.test('who leaves says so several times, and is no member of its own any more', async (t) => {
  const stage = new Stage().meet(1, 2, 3).run(3_000)
  stage.take()
  let toldMs = -1
  const began = stage.time.nowMs()
  stage.gossip.leave(() => {
    toldMs = stage.time.nowMs() - began
  })
  stage.run(1_000)
  t.ok(toldMs > 0 && toldMs <= 500, `told after ${toldMs} ms`)
  const told = stage.take('dead', 'ping')
  for (const number of [1, 2, 3]) t.ok(told.filter(({ to }) => to === number).length >= 3)
  t.ok(
    told.every(({ part }) => part.type === 'dead' && part.id === part.by),
    'and asks nobody',
  )
  t.equal(stage.stateOf(0), 'left')
  stage.hear(1, { type: 'ping', seq: 1, target: idOf(0), incarnation: 1, state: 'suspect' })
  t.match(stage.take('ack', 'alive', 'dead'), [{ to: 1, part: { type: 'dead' } }])
  stage.gossip.stop()
  stage.hear(1, { type: 'ping', seq: 1, target: idOf(0), incarnation: 1, state: 'suspect' })
  stage.run(60_000)
  t.equal(stage.sent.length, 0, 'stopped is stopped')
})

t.test('a member that leaves is gone at once; old rumours do not bring it back', async (t) => {
  const stage = new Stage().meet(1, 2)
  stage.hear(2, { type: 'dead', id: idOf(2), incarnation: 1, by: idOf(2) })
  t.equal(stage.stateOf(2), 'left')
  t.match(stage.events.at(-1), { kind: 'left' })
  stage.hear(1, aliveOf(2))
  stage.hear(1, { type: 'suspect', id: idOf(2), incarnation: 1, by: idOf(1) })
  t.equal(stage.stateOf(2), 'left')
  stage.run(1_000)
  stage.take()
  stage.run(10_000)
  t.notOk(
    stage.take('ping').some(({ to }) => to === 2),
    'nor is it probed',
  )
  stage.hear(2, aliveOf(2, 2))
  t.equal(stage.stateOf(2), 'alive', 'it does come back itself')
})

t.test('who is expelled is nobody', async (t) => {
  const stage = new Stage().meet(1, 2, 3)
  stage.gossip.expel(idOf(2))
  t.equal(stage.stateOf(2), undefined)
  t.equal(stage.heard.at(-1), 'h2 alive > forgotten')
  stage.heard.length = 0
  stage.hear(2, aliveOf(2, 9))
  stage.hear(1, aliveOf(2, 9))
  stage.hear(2, { type: 'message', body: Uint8Array.of(1) })
  const request = encodeStream('push-pull', encodeListed([listedOf(2, 'alive', 9)]))
  const reply = stage.gossip.onRequest(idOf(2), request)
  t.not(decodeStream(reply ?? new Uint8Array())?.type, 'push-pull')
  stage.gossip.onRequest(idOf(1), request)
  t.equal(stage.stateOf(2), undefined)
  t.same(stage.heard, [])
  t.match(stage.gossip.counters(), { from_expelled: 3 })
  stage.gossip.expel(idOf(0))
  t.equal(stage.stateOf(0), 'alive', 'that this host is expelled others decide')
})

t.test('another address of this host, or of a member', async (t) => {
  const stage = new Stage().meet(1, 2).run(3_000)
  stage.take()
  stage.gossip.setSelf({ address: { ip: parseIpv4Address('10.9.9.9'), port: 1 }, name: 'new' })
  stage.run(5)
  t.match(stage.take('alive')[0]?.part, {
    incarnation: 2,
    name: 'new',
    address: { ip: '10.9.9.9' },
  })
  t.match(stage.gossip.members()[0], { incarnation: 2, name: 'new' })
  stage.hear(1, { ...aliveOf(2, 2), address: addressOf(77) })
  t.match(stage.gossip.member(idOf(2)), { address: { ip: '10.0.0.77' }, state: 'alive' })
  t.match(stage.events.at(-1), { kind: 'changed', before: { address: { ip: '10.0.0.2' } } })
})

t.test('who is said to be elsewhere is told so where it is', async (t) => {
  const ping = { type: 'ping', seq: 5, target: idOf(0), incarnation: 1, state: 'alive' } as const
  const wrong = { ...aliveOf(2, 3), address: addressOf(77) }
  const gone: Part = { type: 'dead', id: idOf(2), incarnation: 4, by: idOf(2) }
  for (const [what, lies, incarnation, state] of [
    ['elsewhere', [wrong], 3, 'alive'],
    ['elsewhere, and gone', [wrong, gone], 4, 'left'],
  ] as const) {
    const stage = new Stage().meet(1, 2).run(3_000)
    stage.answering.delete(idOf(2))
    stage.take()
    stage.hear(1, ...lies)
    const toldAt = (): Part[] => {
      const there = stage.sent.splice(0).filter(({ to, address }) => {
        return to === idOf(2) && address.ip === addressOf(2).ip
      })
      return there.flatMap(({ parts }) => parts)
    }
    stage.run(400)
    t.same(toldAt(), [], `${what}: nothing goes to the right address any more`)
    stage.hear(2, ping)
    t.match(
      toldAt(),
      [
        { type: 'alive', id: idOf(0) },
        { ...wrong, incarnation },
        { type: 'ping', target: idOf(2), incarnation, state },
      ],
      `${what}: but to where it was heard`,
    )
    stage.run(100)
    stage.hear(2, ping)
    t.same(toldAt(), [], `${what}: not with each datagram`)
    stage.hear(2, aliveOf(2, 5))
    t.match(stage.gossip.member(idOf(2)), { address: addressOf(2), state: 'alive' }, what)
    stage.run(1_000)
    t.ok(toldAt().length > 0)
    stage.hear(2, ping)
    t.match(toldAt(), [{ type: 'ack', seq: 5 }], `${what}: then it is answered as ever`)
  }
})

t.test('passengers: rumours are passed on when they were news, messages go to one', async (t) => {
  const stage = new Stage().meet(1, 2, 3).run(3_000)
  stage.take()
  const { channel } = stage.gossip
  stage.hear(1, { type: 'broadcast', body: Uint8Array.of(0) })
  stage.hear(1, { type: 'broadcast', body: Uint8Array.of(5) })
  stage.hear(2, { type: 'message', body: Uint8Array.of(6) })
  t.same(stage.heard.slice(-3), ['broadcast 0', 'broadcast 5', 'message 6 from 2'])
  channel.broadcast('mine', Uint8Array.of(7))
  stage.run(25)
  const bodies = stage
    .take('broadcast')
    .map(({ part }) => part.type === 'broadcast' && part.body[0])
  t.same([...new Set(bodies)].sort(), [5, 7])
  channel.send(idOf(2), Uint8Array.of(8))
  channel.send(idOf(9), Uint8Array.of(8))
  t.match(stage.take('message'), [{ to: 2, part: { body: Uint8Array.of(8) } }])
  t.throws(() => channel.send(idOf(2), new Uint8Array(1_151)))
  t.equal(channel.someMembers(2).length, 2)
  t.same(channel.members(), stage.gossip.members())

  const replies: (string | null)[] = []
  const note = (reply: Uint8Array | null): void => {
    replies.push(reply === null ? null : reply.join())
  }
  channel.request(idOf(1), Uint8Array.of(1, 2), 100, note)
  stage.asked.at(-1)?.done(encodeStream('passenger', Uint8Array.of(3, 4)))
  channel.request(idOf(1), Uint8Array.of(1, 2), 100, note)
  stage.asked.at(-1)?.done(encodeStream('probe', Uint8Array.of(3, 4)))
  channel.request(idOf(9), Uint8Array.of(1), 100, note)
  t.equal(replies.length, 2)
  stage.run(1)
  t.same(replies, ['3,4', null, null])
  const ask = (...bytes: number[]) =>
    stage.gossip.onRequest(idOf(1), encodeStream('passenger', Uint8Array.from(bytes)))
  t.same(decodeStream(ask(1, 2) ?? new Uint8Array())?.body, Uint8Array.of(2, 1))
  t.equal(ask(0), null)
})

t.test(`whatever a member sends, nothing is thrown and nothing grows (seed ${SEED})`, async (t) => {
  const stage = new Stage({ maxMembers: 50, maxRumours: 100 }).meet(1, 2, 3)
  const random = new Random()
  const claims: Part[] = [0, 1, 2, 3].flatMap((number): Part[] => [
    aliveOf(number, 2),
    { type: 'suspect', id: idOf(number), incarnation: 2, by: idOf(1) },
    { type: 'dead', id: idOf(number), incarnation: 2, by: idOf(number) },
    { type: 'ping', seq: 3, target: idOf(number), incarnation: 1, state: 'dead' },
    { type: 'ping-req', seq: 3, target: idOf(number), address: addressOf(number) },
    { type: 'ack', seq: 3, incarnation: 4 },
    { type: 'broadcast', body: Uint8Array.of(number) },
  ])
  const datagrams = claims.map((part) => encodeDatagram(part))
  const list = encodeStream('push-pull', encodeListed([listedOf(0), listedOf(1), listedOf(9)]))
  let heapMb = 0
  for (let i = 0; i < 100_000; i++) {
    const from = idOf(1 + random.below(4))
    stage.gossip.onDatagram(from, random.mutated(random.pick(datagrams)), addressOf(1))
    if (random.once(20)) stage.gossip.onRequest(from, random.mutated(list))
    if (random.once(50)) stage.run(random.below(200))
    stage.sent.length = stage.asked.length = stage.events.length = stage.heard.length = 0
    if (i === 20_000) heapMb = heldMb()
  }
  const grownMb = heldMb() - heapMb
  t.ok(grownMb < 10, `${grownMb.toFixed(1)} MiB more`)
  t.ok(stage.gossip.members().length <= 50)
  t.ok((stage.gossip.counters()['rumours_waiting'] ?? 0) <= 100)
})

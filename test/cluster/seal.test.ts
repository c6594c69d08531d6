// Sealed datagrams: what is believed and what is not, over rotation, restarts, recordings, disorder and junk.

import { hkdfSync } from 'node:crypto'
import t from 'tap'
import type { MemberId, Peer } from '../../src/gossip/member.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { BoundedMap } from '../../src/cluster/bounded-map.ts'
import { type GossipKey, Keyring, gossipKey } from '../../src/cluster/keyring.ts'
import { REPLAY_WINDOW, ReplayWindow } from '../../src/cluster/replay-window.ts'
import { type Opened, Seal, type SealCounters } from '../../src/cluster/seal.ts'
import { SEAL_BYTES, deriveKey, newSession } from '../../src/cluster/sealed-datagram.ts'
import { heldMb } from '../fixtures/heap.ts'
import { Random, SEED } from '../fixtures/random.ts'

const KEYS = [1, 2, 3].map((n) => gossipKey(Buffer.alloc(32, n), { lamport: n, writer: 'h1' }))
const [K1, K2, K3] = KEYS as [GossipKey, GossipKey, GossipKey]
const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(16)) as [string, string, string]

interface Host {
  readonly peer: Peer
  readonly keyring: Keyring
  seal: Seal
  readonly heard: string[]
  boot: number
}

let nowMs = 0

function newHost(id: MemberId, keys: readonly GossipKey[] = [K1], boot = 1): Host {
  const peer = { id, address: { ip: '127.0.0.1' as Ipv4Address, port: 7946 } }
  const keyring = new Keyring(keys)
  const seal = new Seal({ self: id, session: newSession(boot, 7), keyring, nowMs: () => nowMs })
  return { peer, keyring, seal, heard: [], boot }
}

/** The same host after a restart: what it held in memory of others is gone. */
function restart(host: Host, boot = host.boot + 1): void {
  host.boot = boot
  host.seal = newHost(host.peer.id, host.keyring.all(), boot).seal
}

/** A network of these hosts: everything arrives at once. What was on the wire is recorded. */
function network(...hosts: Host[]) {
  const wire: { to: MemberId; datagram: Uint8Array }[] = []
  const deliver = (from: Host, to: MemberId, datagram: Uint8Array | null): Opened | null => {
    const receiver = hosts.find(({ peer }) => peer.id === to)
    if (datagram === null || receiver === undefined) return null
    wire.push({ to, datagram })
    const opened = receiver.seal.open(datagram)
    if (opened === null) return null
    if (opened.body !== null) receiver.heard.push(text(opened.body))
    if (opened.answer !== null) deliver(receiver, from.peer.id, opened.answer)
    for (const { to, datagram } of opened.released) deliver(receiver, to.id, datagram)
    return opened
  }
  const say = (from: Host, to: Host, body: string): Opened | null =>
    deliver(from, to.peer.id, from.seal.seal(to.peer, Buffer.from(body)))
  return { wire, deliver, say }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

/** Counters that are not 0. */
function counted(host: Host): Partial<SealCounters> {
  return Object.fromEntries(Object.entries(host.seal.counters).filter(([, value]) => value !== 0))
}

t.test('first contact costs one round trip more, and nothing is lost', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  const { wire, say } = network(a, b)
  say(a, b, 'one')
  t.same(b.heard, ['one'])
  t.equal(wire.length, 3, 'knock, hello, what waited')
  t.same(
    wire.map(({ datagram }) => datagram.length),
    [SEAL_BYTES, SEAL_BYTES, SEAL_BYTES + 3],
  )
  say(b, a, 'two')
  say(a, b, 'three')
  t.same([a.heard, b.heard], [['two'], ['one', 'three']])
  t.equal(wire.length, 5, 'from then on one each, in both directions')
  t.same(counted(a), { hellosIn: 1 })
  t.same(counted(b), { stale: 1, hellosOut: 1 })
})

t.test('what waits for a hello is bounded in number and time', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  for (let n = 0; n < 10; n++) a.seal.seal(b.peer, Buffer.from(`${n}`))
  t.equal(a.seal.counters.unsent, 2)
  nowMs += 1_001
  const { say } = network(a, b)
  say(a, b, 'late')
  t.same(b.heard, ['late'], 'what had waited for too long is not sent')
  t.equal(a.seal.counters.unsent, 10)
})

t.test('both begin at once', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  const knocks = [a.seal.seal(b.peer, Buffer.from('a')), b.seal.seal(a.peer, Buffer.from('b'))]
  const { deliver } = network(a, b)
  deliver(a, B, knocks[0]!)
  deliver(b, A, knocks[1]!)
  t.same([a.heard, b.heard], [['b'], ['a']])
})

t.test('a recording is worth nothing', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  const { wire, say } = network(a, b)
  say(a, b, 'x')
  say(b, a, 'y')
  const recorded = [...wire]
  const replay = (): void => {
    for (const { to, datagram } of recorded) (to === A ? a : b).seal.open(datagram)
  }
  await t.test('in the session in which it was made', async (t) => {
    replay()
    t.match([counted(a), counted(b)], [{ replayed: 2 }, { replayed: 1 }])
  })
  await t.test('after the receiver has started again', async (t) => {
    restart(b)
    const opened = recorded
      .filter(({ to }) => to === B)
      .map(({ datagram }) => b.seal.open(datagram))
    t.ok(opened.every((one) => one?.body === null && one.released.length === 0))
    t.match(counted(b), { stale: 2, hellosOut: 2 })
    t.equal(b.seal.counters.replayed, 0)
  })
  await t.test('after the sender has started again', async (t) => {
    say(b, a, 'z')
    const before = a.seal.counters.replayed
    replay()
    t.equal(a.seal.counters.replayed, before + 2, 'B of its first session speaks no more')
  })
  t.same([a.heard, b.heard], [['y', 'z'], ['x']])
})

t.test('after a restart of either side both are heard again', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  const { say } = network(a, b)
  say(a, b, '1')
  restart(b)
  say(a, b, '2')
  t.same(b.heard, ['1'], 'sealed for a session that is no more; gossip says it again')
  say(a, b, '3')
  restart(a)
  say(a, b, '4')
  say(b, a, '5')
  t.same([a.heard, b.heard], [['5'], ['1', '3', '4']])
})

t.test('a host that was rolled back is told so, instead of being deaf for ever', async (t) => {
  const [a, b] = [newHost(A), newHost(B, [K1], 9)]
  const { say, wire } = network(a, b)
  say(b, a, 'before')
  restart(b, 3)
  const overtaken: number[] = []
  const open = b.seal.open.bind(b.seal)
  b.seal.open = (bytes) => {
    const opened = open(bytes)
    overtaken.push(...[opened?.overtakenBy ?? []].flat())
    return opened
  }
  const before = wire.length
  say(b, a, 'lost')
  t.same(overtaken, [9])
  t.ok(wire.length - before < 8, 'without a quarrel')
  b.seal.renew(newSession(10, 0))
  say(b, a, 'after')
  t.same(a.heard, ['before', 'after'])
})

t.test('hellos are limited, and never longer than what they answer', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  let answers = 0
  for (let n = 0; n < 100; n++) {
    const knock = a.seal.seal(b.peer, Buffer.from('x'))!
    const answer = b.seal.open(knock)?.answer ?? null
    if (answer !== null) {
      answers += 1
      t.ok(answer.length <= knock.length)
    }
  }
  t.equal(answers, 8)
  nowMs += 250
  t.not(b.seal.open(a.seal.seal(b.peer, Buffer.from('x'))!)?.answer, null)
})

t.test('what is meant for another is not believed', async (t) => {
  const [a, b, c] = [newHost(A), newHost(B), newHost(C)]
  network(a, b).say(a, b, 'x')
  c.seal.open(a.seal.seal(b.peer, Buffer.from('x'))!)
  t.same(counted(c), { misdirected: 1 })
  a.seal.open(a.seal.seal(b.peer, Buffer.from('x'))!)
  t.equal(a.seal.counters.misdirected, 1, "a datagram of one's own comes back")
})

t.test('one altered byte anywhere, a byte less or more: foreign', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  network(a, b).say(a, b, 'x')
  const good = a.seal.seal(b.peer, Buffer.from('body'))!
  for (let at = 0; at < good.length; at++) {
    const bad = Uint8Array.from(good)
    bad[at]! ^= 1 << (at % 8)
    t.equal(b.seal.open(bad), null, `byte ${at}`)
  }
  for (let length = 0; length < good.length; length++) b.seal.open(good.subarray(0, length))
  b.seal.open(Buffer.concat([good, Buffer.alloc(1)]))
  t.equal(b.seal.counters.foreign, 2 * good.length + 1)
  t.equal(text(b.seal.open(good)!.body!), 'body', 'none of them has used up the counter')
})

t.test('two hosts on their way through a rotation lose nothing', async (t) => {
  /** Keys that a host may hold at some moment: K1 → K1 K2 → K2 → K2 K3. Neighbours in it meet. */
  const stages = [[K1], [K1, K2], [K2], [K2, K3]]
  for (const [i, mine] of stages.entries()) {
    for (const [j, theirs] of stages.entries()) {
      if (Math.abs(i - j) > 1) continue
      const [a, b] = [newHost(A, mine), newHost(B, theirs)]
      const { say } = network(a, b)
      for (let n = 0; n < 4; n++) say(n % 2 === 0 ? a : b, n % 2 === 0 ? b : a, `${n}`)
      const all = [...a.heard, ...b.heard].toSorted()
      // The first try may be with a key that the other has no more; what waits goes with the next.
      t.same(all, ['0', '1', '2', '3'], `stage ${i} speaks to stage ${j}`)
    }
  }
})

t.test('a rotation under way loses nothing and ends with the new key', async (t) => {
  const [a, b] = [newHost(A), newHost(B)]
  const { wire, say } = network(a, b)
  let sent = 0
  const talk = (): void => {
    for (let n = 0; n < 3; n++) {
      say(a, b, `${sent}`)
      say(b, a, `${sent++}`)
    }
  }
  const keyOf = (datagram: Uint8Array): string => Buffer.from(datagram).toString('hex', 1, 5)
  talk()
  a.keyring.add(K2)
  talk()
  t.notOk(
    wire.some(({ datagram }) => keyOf(datagram) === K2.id),
    'B has not said that it has it',
  )
  b.keyring.add(K2)
  talk()
  t.equal(keyOf(wire.at(-1)!.datagram), K2.id)
  t.ok(a.keyring.heldByAll(K2.id, [B]) && b.keyring.heldByAll(K2.id, [A]))
  b.keyring.remove(K1.id)
  talk()
  a.keyring.remove(K1.id)
  talk()
  t.equal(a.heard.length, sent)
  t.equal(b.heard.length, sent)
  t.match([counted(a), counted(b)], [{ foreign: undefined }, { foreign: undefined }])
})

t.test(
  'a host that comes back from before a rotation is heard while its key is accepted',
  async (t) => {
    const [a, b] = [newHost(A, [K1, K2]), newHost(B, [K1, K2])]
    const { say } = network(a, b)
    say(a, b, '1')
    const old = newHost(B, [K1], 2)
    const again = network(a, old)
    again.say(old, a, '2')
    again.say(a, old, '3')
    t.same([a.heard, old.heard], [['2'], ['3']])
  },
)

t.test('the key of a session is HKDF of the gossip key', async (t) => {
  const header = { keyId: K1.id, sender: A, session: newSession(3, 4), counter: 1 }
  const info = Buffer.concat([Buffer.from('weft datagram'), Buffer.from(A + header.session, 'hex')])
  t.same(deriveKey(K1, header), Buffer.from(hkdfSync('sha256', K1.key, '', info, 32)))
})

t.test('keys: the order is the same whatever order they came in', async (t) => {
  const orders = [
    [K1, K2, K3],
    [K3, K1, K2],
    [K2, K3, K1],
  ].map((keys) => new Keyring(keys).all().map(({ id }) => id))
  t.same(orders[1], orders[0])
  t.same(orders[2], orders[0])
  const ring = new Keyring([K1])
  t.notOk(ring.add(K1), 'a key is held once')
  t.ok(ring.remove(K1.id))
  t.notOk(ring.remove(K1.id))
  t.equal(ring.keyFor(A, 0), undefined)
})

t.test(
  `the window takes each counter once in any order that it spans (seed ${SEED})`,
  async (t) => {
    const random = new Random()
    const window = new ReplayWindow()
    const accepted = new Map<number, number>()
    let highest = 0
    for (let n = 0; n < 200_000; n++) {
      const counter = Math.max(
        0,
        highest - 1500 + random.below(1502) + (random.once(500) ? 3000 : 0),
      )
      const isNew = !accepted.has(counter) && highest - counter < REPLAY_WINDOW
      if (window.accept(counter) !== isNew) t.fail(`${counter} with ${highest} as the highest`)
      if (isNew) accepted.set(counter, n)
      highest = Math.max(highest, counter)
    }
    t.ok(accepted.size > 10_000)
  },
)

t.test(`10^5 datagrams of junk are counted and leave nothing behind (seed ${SEED})`, async (t) => {
  const random = new Random()
  const [a, b] = [newHost(A), newHost(B)]
  network(a, b).say(a, b, 'x')
  const good = a.seal.seal(b.peer, Buffer.alloc(100))!
  const junk = Array.from({ length: 1000 }, (_, n) => {
    // Noise, and what looks right up to its tag: a known key, senders and sessions without end.
    if (n % 2 === 0) return random.bytes(random.below(1500))
    const forged = Uint8Array.from(good)
    forged.set(random.bytes(24), 5)
    return forged
  })
  const round = (): void => {
    for (const bytes of junk) if (b.seal.open(bytes) !== null) t.fail('junk was believed')
  }
  for (let n = 0; n < 10; n++) round()
  const before = heldMb()
  for (let n = 0; n < 90; n++) round()
  const grownMb = heldMb() - before
  t.equal(b.seal.counters.foreign, 100_000)
  t.ok(grownMb < 5, `${grownMb.toFixed(1)} MiB more`)
  t.equal(text(b.seal.open(good)!.body!).length, 100)
})

t.test('a bounded map forgets what was not used the longest', async (t) => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.get('a')
  map.set('c', 3)
  t.same([map.get('a'), map.get('b'), map.get('c')], [1, undefined, 3])
  t.equal(map.size, 2)
})

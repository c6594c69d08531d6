// What is believed of members: which claims stand, who is kept, who is drawn.

import t from 'tap'
import { MAX_INCARNATION, MAX_LEAP, Membership, judge } from '../../src/gossip/membership.ts'
import type { MemberState } from '../../src/gossip/member.ts'
import { SEVERITY } from '../../src/gossip/message.ts'
import { Roster } from '../../src/gossip/roster.ts'
import { Self } from '../../src/gossip/self.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { Random, SEED } from '../fixtures/random.ts'

const address = { ip: parseIpv4Address('10.0.0.1'), port: 7946 }
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left']
const idOf = (number: number): string => number.toString(16).padStart(16, '0')

function membershipOf(maxMembers = 10): Membership {
  const random = new Random(1)
  return new Membership({
    self: idOf(0),
    random: () => random.next() / 2 ** 32,
    maxMembers,
    forgetMs: 1_000,
  })
}

t.test('the higher incarnation stands, and of the same the worse state', async (t) => {
  for (const claimed of STATES) {
    for (const believed of STATES) {
      const verdict = (claim: number, belief: number): string =>
        judge({ incarnation: claim, state: claimed }, { incarnation: belief, state: believed })
      const what = `${claimed} against ${believed}`
      t.equal(verdict(2, 1), 'news', `${what}, higher`)
      t.equal(verdict(1, 2), 'stale', `${what}, lower`)
      const worse = SEVERITY[claimed] - SEVERITY[believed]
      t.equal(verdict(3, 3), worse > 0 ? 'news' : worse < 0 ? 'stale' : 'known', `${what}, same`)
      t.equal(verdict(1 + MAX_LEAP, 1), 'news', `${what}, as far as may be`)
      t.equal(verdict(2 + MAX_LEAP, 1), 'refused', `${what}, a leap`)
      t.equal(verdict(MAX_INCARNATION + 1, MAX_INCARNATION), 'refused', `${what}, at the end`)
    }
  }
})

t.test(
  `in whatever order claims come, all believe the same in the end (seed ${SEED})`,
  async (t) => {
    const random = new Random()
    for (let round = 0; round < 200; round++) {
      const claims = Array.from({ length: 8 }, (_, i) => ({
        id: idOf(1),
        incarnation: random.below(4),
        state: random.pick(STATES),
        address,
        name: `n${i}`,
      }))
      const [one, other] = [claims, random.shuffled([...claims, ...claims])].map((order) => {
        const membership = membershipOf()
        for (const claim of order) {
          if (membership.judge(claim) === 'news') membership.accept(claim, 0)
        }
        return membership.get(idOf(1))?.member
      })
      t.equal(one?.incarnation, other?.incarnation)
      t.equal(one?.state, other?.state)
    }
  },
)

t.test('who may become known, and who not', async (t) => {
  const membership = membershipOf(4)
  const alive = { incarnation: 1, state: 'alive', address, name: 'x' } as const
  t.equal(membership.judge({ ...alive, id: idOf(0) }), 'refused', 'this host')
  t.equal(membership.judge({ id: idOf(1), incarnation: 1, state: 'suspect' }), 'unknown')
  t.equal(membership.judge({ ...alive, id: idOf(1), incarnation: 2 ** 32 - 1 }), 'refused')
  for (const i of [1, 2, 3]) {
    t.equal(membership.judge({ ...alive, id: idOf(i) }), 'news')
    membership.accept({ ...alive, id: idOf(i) }, 0)
  }
  t.equal(membership.judge({ ...alive, id: idOf(4) }), 'refused', 'there are enough')
  t.same(membership.expel(idOf(3))?.id, idOf(3))
  t.equal(membership.judge({ ...alive, id: idOf(3), incarnation: 9 }), 'refused', 'expelled')
  t.equal(membership.judge({ ...alive, id: idOf(4) }), 'news', 'there is room again')

  const dead = { ...alive, id: idOf(4), state: 'dead' } as const
  t.equal(membership.judge({ ...dead, ageMs: 999 }), 'news')
  t.equal(membership.judge({ ...dead, ageMs: 1_000 }), 'refused', 'gone for too long')
})

t.test('who is gone is remembered for a while, by the age that it has everywhere', async (t) => {
  const membership = membershipOf()
  const claim = { id: idOf(1), incarnation: 1, address, name: 'x' }
  membership.accept({ ...claim, state: 'alive' }, 0)
  t.equal(membership.present.size, 1)
  t.same(membership.forgetOld(5_000), [], 'the living are not forgotten')
  membership.accept({ ...claim, state: 'dead', ageMs: 400 }, 5_000)
  t.equal(membership.present.size, 0)
  t.equal(membership.dead.size, 1)
  t.same(membership.forgetOld(5_599), [])
  t.same(
    membership.forgetOld(5_600).map(({ id }) => id),
    [idOf(1)],
  )
  t.equal(membership.dead.size, 0)
})

t.test('an alive with a higher incarnation brings another address and name', async (t) => {
  const membership = membershipOf()
  const claim = { id: idOf(1), incarnation: 1, state: 'alive', address, name: 'x' } as const
  membership.accept(claim, 0)
  const moved = { ip: parseIpv4Address('10.0.0.9'), port: 1 }
  t.equal(membership.judge({ ...claim, address: moved }), 'known', 'not with the same one')
  const { entry, before } = membership.accept(
    { ...claim, incarnation: 2, address: moved, name: 'y' },
    10,
  )
  t.equal(before?.name, 'x')
  t.match(entry.member, { name: 'y', address: moved, incarnation: 2, sinceMs: 0 })
})

t.test('what this host must refute', async (t) => {
  const self = new Self({ id: idOf(0), name: 'me', address }, 5)
  const me = { address, name: 'me' }
  const other = { address: { ip: parseIpv4Address('10.0.0.2'), port: 7946 }, name: 'me' }
  t.notOk(self.mustRefute({ incarnation: 5, state: 'alive', ...me }), 'our own word')
  t.notOk(self.mustRefute({ incarnation: 4, state: 'dead' }), 'an old doubt')
  t.ok(self.mustRefute({ incarnation: 5, state: 'suspect' }))
  t.ok(self.mustRefute({ incarnation: 5, state: 'left' }))
  t.ok(self.mustRefute({ incarnation: 6, state: 'alive', ...me }), 'who remembers more')
  t.ok(self.mustRefute({ incarnation: 5, state: 'alive', ...other }), 'who says to be us')
  t.notOk(self.mustRefute({ incarnation: 6 + MAX_LEAP, state: 'dead' }), 'a leap')
  self.raise(9)
  t.equal(self.incarnation, 10)
  t.match(self.said(), { type: 'alive', incarnation: 10, name: 'me' })
  self.leave()
  t.notOk(self.mustRefute({ incarnation: 10, state: 'dead' }), 'who leaves')
  t.match(self.said(), { type: 'dead', by: idOf(0) })
})

t.test(`a roster gives everybody a turn in a round, and draws fairly (seed ${SEED})`, async (t) => {
  const random = new Random()
  const roster = new Roster(() => random.next() / 2 ** 32)
  for (let i = 1; i <= 10; i++) roster.add(idOf(i))
  const turns = new Map<string, number>()
  for (let i = 0; i < 40; i++) {
    const ids = roster.next(3)
    t.equal(new Set(ids).size, 3)
    for (const id of ids) turns.set(id, (turns.get(id) ?? 0) + 1)
  }
  for (const [id, count] of turns) t.equal(count, 12, `${id} had ${count} of 120`)

  const drawn = new Map<string, number>()
  for (let i = 0; i < 4_000; i++) {
    for (const id of roster.sample(3, new Set([idOf(1)]))) drawn.set(id, (drawn.get(id) ?? 0) + 1)
  }
  t.notOk(drawn.has(idOf(1)))
  for (const [id, count] of drawn) t.ok(Math.abs(count - 4_000 / 3) < 200, `${id}: ${count}`)

  t.equal(roster.sample(20).length, 10)
  for (let i = 1; i <= 9; i++) roster.remove(idOf(i))
  t.same(roster.next(3), [idOf(10)])
  t.same(roster.sample(3, new Set([idOf(10)])), [])
  roster.remove(idOf(10))
  t.same(roster.next(3), [])
})

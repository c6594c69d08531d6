// The broadcast queue: order, limits, replacement, and what goes when there is too much.

import t from 'tap'
import { BroadcastQueue } from '../../src/gossip/broadcast-queue.ts'

const part = (mark: number, length = 10): Uint8Array => new Uint8Array(length).fill(mark)
const marks = (lists: Uint8Array[][]): number[][] =>
  lists.map((list) => list.map((bytes) => bytes[0] ?? -1))
const queueOf = (rumours = 100, bytes = 10_000): BroadcastQueue =>
  new BroadcastQueue({ rumours, bytes })

t.test(
  'the fewest times sent goes first, then what came or went last; members before passengers',
  async (t) => {
    const queue = queueOf()
    queue.put('passenger', 'a', part(1))
    queue.put('passenger', 'b', part(2))
    t.same(marks(queue.take(10, 1, 3)), [[2]])
    t.same(marks(queue.take(10, 1, 3)), [[1]])
    queue.put('passenger', 'c', part(3))
    queue.put('membership', 'a', part(4))
    t.same(marks(queue.take(1_000, 1, 3)), [[4, 3, 1, 2]])
  },
)

t.test('a rumour is sent as often as the limit says', async (t) => {
  const queue = queueOf()
  queue.put('passenger', 'a', part(1))
  t.same(marks(queue.take(10, 1, 3)), [[1]])
  t.same(marks(queue.take(10, 1, 3)), [[1]])
  t.equal(queue.bytes, 10)
  t.same(marks(queue.take(10, 1, 3)), [[1]])
  t.same(queue.take(10, 1, 3), [])
  t.equal(queue.size, 0)
  t.equal(queue.bytes, 0)
})

t.test('one turn tells nothing twice, in several datagrams if need be', async (t) => {
  const queue = queueOf()
  for (let i = 1; i <= 7; i++) queue.put('passenger', `${i}`, part(i))
  t.same(marks(queue.take(20, 3, 2)), [
    [7, 6],
    [5, 4],
    [3, 2],
  ])
  t.same(marks(queue.take(20, 9, 2)), [[1, 7], [6, 5], [4, 3], [2]])
  t.same(marks(queue.take(20, 9, 2)), [[1]])
})

t.test('what does not fit lets smaller ones pass and stays in its place', async (t) => {
  const queue = queueOf()
  queue.put('passenger', 'small', part(1, 5))
  queue.put('passenger', 'large', part(2, 50))
  t.same(marks(queue.take(20, 1, 4)), [[1]])
  t.same(marks(queue.take(60, 1, 4)), [[2, 1]])
})

t.test('a newer rumour takes the place of the one with its name, and begins anew', async (t) => {
  const queue = queueOf()
  queue.put('passenger', 'a', part(1))
  queue.take(10, 1, 2)
  queue.put('passenger', 'a', part(2))
  t.equal(queue.size, 1)
  t.same(marks(queue.take(100, 1, 2)), [[2]])
  t.same(marks(queue.take(100, 1, 2)), [[2]])
  t.same(queue.take(100, 1, 2), [])
  queue.put('membership', 'a', part(3))
  queue.put('passenger', 'a', part(4))
  queue.remove('membership', 'a')
  t.same(
    marks(queue.take(100, 1, 2)),
    [[4]],
    'names of members and of passengers are different ones',
  )
})

t.test(
  'what is too much is shed: passengers first, of these what was sent most, then the oldest',
  async (t) => {
    const queue = queueOf(4)
    queue.put('membership', 'm', part(9))
    for (const i of [1, 2, 3]) queue.put('passenger', `${i}`, part(i))
    t.same(marks(queue.take(20, 1, 5)), [[9, 3]])
    queue.put('passenger', '4', part(4))
    t.equal(queue.shed, 1)
    queue.put('passenger', '5', part(5))
    t.same(marks(queue.take(100, 1, 5)), [[9, 5, 4, 2]])
    t.equal(queue.shed, 2)

    const heavy = queueOf(1_000, 100)
    for (let i = 0; i < 50; i++) heavy.put('passenger', `${i}`, part(i))
    t.equal(heavy.bytes, 100)
    t.equal(heavy.size, 10)
    t.same(marks(heavy.take(100, 1, 1)), [[49, 48, 47, 46, 45, 44, 43, 42, 41, 40]])
  },
)

t.test('rumours that are replaced all the time leave nothing behind', async (t) => {
  const queue = queueOf(64, 1 << 20)
  for (let i = 0; i < 200_000; i++) {
    queue.put('passenger', `${i % 50}`, part(i & 0xff))
    if (i % 3 === 0) queue.take(10, 1, 2)
  }
  t.ok(queue.size <= 50)
  t.equal(queue.bytes, queue.size * 10)
  while (queue.take(100, 8, 2).length > 0);
  t.equal(queue.size, 0)
  t.equal(queue.bytes, 0)
})

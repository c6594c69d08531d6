// How long a worker looks again before it sleeps: when packets follow one another, and nothing large does.

import t from 'tap'
import { lookForNs } from '../../src/dataplane/binding.ts'

const MOST_NS = 200_000
const SMALL = 98
const BULK = 16_384

/** Turns that came after these waits, one behind the other; gives what is decided right after the last. */
function after(waitsNs: readonly number[], bytes = SMALL, sinceNs = 0): number {
  let atNs = 1_000_000_000
  const turns = waitsNs.map((waitedNs) => ({ waitedNs, bytes, atNs: (atNs += waitedNs) }))
  return lookForNs(MOST_NS, turns, atNs + sinceNs)
}

t.test('what follows quickly, three times, is waited for awake', async (t) => {
  t.equal(after([]), 0, 'at first it sleeps')
  t.equal(after([50_000, 50_000]), 0, 'twice may be chance')
  t.equal(after([50_000, 50_000, 50_000]), MOST_NS)
  t.equal(after([MOST_NS, MOST_NS, MOST_NS]), MOST_NS)
  t.equal(after([50_000, 50_000, 50_000, MOST_NS + 1]), 0, 'one long wait is enough to sleep')
  t.equal(after([MOST_NS + 1, 50_000, 50_000, 50_000]), MOST_NS)
})

t.test('after bulk it sleeps, for a millisecond', async (t) => {
  const waits = [50_000, 50_000, 50_000, 50_000]
  t.equal(after(waits, BULK), 0)
  t.equal(after(waits, BULK - 1), MOST_NS)
  t.equal(after(waits, BULK, 999_999), 0)
  t.equal(after(waits, BULK, 1_000_000), MOST_NS)
})

t.test('where another thread ran for long it sleeps, for a second', async (t) => {
  const at = (yieldedNs: number, sinceNs: number): number => {
    const turn = { waitedNs: 50_000, bytes: SMALL, atNs: 1_000_000_000 }
    return lookForNs(MOST_NS, [turn, turn, turn, { ...turn, yieldedNs }], turn.atNs + sinceNs)
  }
  t.equal(at(200, 0), MOST_NS, 'nobody')
  t.equal(at(20_000, 0), MOST_NS, 'somebody who had little to do')
  t.equal(at(4_000_000, 0), 0)
  t.equal(at(4_000_000, 999_999_999), 0)
  t.equal(at(4_000_000, 1_000_000_000), MOST_NS)
})

t.test('who may not look sleeps at once', async (t) => {
  const turns = [0, 0, 0, 0].map(() => ({ waitedNs: 0, bytes: SMALL, atNs: 1 }))
  t.equal(lookForNs(0, turns, 2), 0)
})

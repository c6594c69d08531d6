// When idle CPUs are kept awake: while packets follow one another, and nothing large does.

import t from 'tap'
import { awakeForNs } from '../../src/dataplane/binding.ts'

const SMALL = 98
const BULK = 16_384
const SHORT_NS = 1_000_000
const HOLD_NS = 5_000_000

/** Turns that came after these waits, one behind the other; gives what is decided so long after the last. */
function after(
  waitsNs: readonly number[],
  { bytes = SMALL, sinceNs = 0, allowed = true } = {},
): number {
  let atNs = 1_000_000_000
  const turns = waitsNs.map((waitedNs) => ({ waitedNs, bytes, atNs: (atNs += waitedNs) }))
  return awakeForNs(allowed, turns, atNs + sinceNs)
}

t.test('what follows quickly, three times, is waited for awake', async (t) => {
  t.equal(after([]), 0, 'at first they sleep')
  t.equal(after([50_000, 50_000]), 0, 'twice may be chance')
  t.equal(after([50_000, 50_000, 50_000]), HOLD_NS)
  t.equal(after([SHORT_NS, SHORT_NS, SHORT_NS]), HOLD_NS)
  t.equal(after([SHORT_NS + 1, 50_000, 50_000, 50_000]), HOLD_NS)
  t.equal(after([SHORT_NS + 1, 50_000, 50_000]), 0)
  t.equal(after([50_000, 50_000, 50_000], { sinceNs: HOLD_NS - 1 }), 1)
  t.equal(after([50_000, 50_000, 50_000], { sinceNs: HOLD_NS }), 0, 'then they sleep again')
  t.equal(
    after([50_000, 50_000, 50_000, SHORT_NS + 1]),
    HOLD_NS - SHORT_NS - 1,
    'one long wait adds nothing',
  )
})

t.test('after bulk they sleep, for 20 milliseconds', async (t) => {
  const waits = [50_000, 50_000, 50_000, 50_000]
  t.equal(after(waits, { bytes: BULK }), 0)
  t.equal(after(waits, { bytes: BULK - 1 }), HOLD_NS)
  const turn = (bytes: number, atNs: number) => ({ waitedNs: 50_000, bytes, atNs })
  const quick = [1, 2, 3].map((n) => turn(SMALL, n * 50_000))
  const bulk = turn(BULK, 200_000)
  t.equal(awakeForNs(true, [...quick, bulk], 200_000), 0, 'at once')
  t.equal(awakeForNs(true, [...quick, bulk, turn(SMALL, 20_199_999)], 20_199_999), 0)
  t.equal(awakeForNs(true, [...quick, bulk, turn(SMALL, 20_200_000)], 20_200_000), HOLD_NS)
})

t.test('not where it is not allowed', async (t) => {
  t.equal(after([0, 0, 0, 0], { allowed: false }), 0)
})

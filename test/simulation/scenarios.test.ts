// Random clusters with random faults: whatever happens, hosts agree soon afterwards, and nobody holds what nobody wrote.

import t from 'tap'
import { effort } from '../fixtures/effort.ts'
import { SEED } from '../fixtures/random.ts'
import { Distribution, distributionOf } from './distribution.ts'
import { converge, detect, endure, spread } from './measurements.ts'
import { runScenario } from './scenario.ts'

/** Others each time, unless WEFT_TEST_SEED says which; scripts/simulate runs as many as one wants. */
const FIRST = SEED * 1_000
const COUNT = Number(process.env['WEFT_SIMULATE_SEEDS'] ?? effort(300, 20))

t.test(`${COUNT} random clusters from seed ${FIRST} on keep all properties`, async (t) => {
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const { problem } = runScenario(seed)
    if (problem === null) continue
    const { timeline } = runScenario(seed, { timeline: true })
    t.fail(`seed ${seed}: ${problem}`, {
      again: `scripts/simulate --seed ${seed}`,
      timeline: timeline.slice(-200),
    })
    return
  }
})

t.test('a seed replays exactly', async (t) => {
  const runs = [1, 2].map(() => runScenario(FIRST, { timeline: true }))
  t.strictSame(runs[0], runs[1])
  t.ok(runs[0]!.timeline.length > 10)
})

t.test('a host that goes away is believed dead everywhere within 3 s', async (t) => {
  const times = new Distribution()
  for (const hosts of [3, 4, 5, 7, 10]) {
    for (const how of ['crash', 'cut'] as const) {
      for (let i = 0; i < 4; i++) times.add(detect(FIRST + i, hosts, how).allMs)
    }
  }
  t.comment(JSON.stringify(times.summary()))
  t.ok(times.quantile(0.5) <= 2_000, `half of them within ${times.quantile(0.5)} ms`)
  t.ok(times.quantile(1) <= 3_000, `all of them within ${times.quantile(1)} ms`)
})

t.test('after a partition all agree within a second', async (t) => {
  const times = new Distribution()
  for (const hosts of [3, 8, 25]) {
    for (const seconds of [1, 5, 60]) {
      times.add(converge(FIRST + seconds, hosts, seconds * 1_000).convergedMs)
    }
  }
  t.comment(JSON.stringify(times.summary()))
  t.ok(times.quantile(1) <= 1_000, `all of them within ${times.quantile(1)} ms`)
})

t.test('a record is at 25 hosts', async (t) => {
  const quiet = spread(FIRST, { hosts: 25, writesPerSecond: 20, durationMs: 10_000 })
  const busy = spread(FIRST, {
    hosts: 25,
    writesPerSecond: 400,
    durationMs: 2_000,
    flapping: true,
  })
  // Of a hundred records some rumour may miss some host; scripts/simulate --measure looks at thousands.
  for (const [found, share, limitMs] of [
    [quiet, 0.95, 500],
    [busy, 0.99, 2_000],
  ] as const) {
    const last = distributionOf(found.lastMs)
    const each = distributionOf(found.eachMs)
    t.comment(`${JSON.stringify(last.summary())}, ${found.sentBytesPerSecond.toFixed(0)} B/s each`)
    t.equal(found.missing, 0, 'without fail')
    t.ok(each.quantile(0.99) <= limitMs, `at 99 % of them within ${each.quantile(0.99)} ms`)
    t.ok(last.quantile(share) <= limitMs, `at all of them within ${last.quantile(share)} ms`)
  }
})

t.test('nobody who lives is believed dead for losses and pauses', async (t) => {
  const options = { hosts: 5, hours: 1, loss: 0.05, pauseMs: 1_000, pausesPerHour: 60 }
  const { falseDeaths, hostHours, pauses, suspicions } = endure(FIRST, options)
  t.equal(falseDeaths, 0, `in ${hostHours} host-hours, ${pauses} pauses, ${suspicions} suspicions`)
})

// Networks and addresses under all troubles: after convergence nothing has two owners, and nobody claims what he knows to be held.

import t from 'tap'
import { effort } from '../fixtures/effort.ts'
import { SEED } from '../fixtures/random.ts'
import { runAllocation } from './allocation-scenario.ts'

/** Others each time, unless WEFT_TEST_SEED says which; scripts/simulate allocation runs as many as one wants. */
const FIRST = SEED * 1_000
const COUNT = Number(process.env['WEFT_SIMULATE_SEEDS'] ?? effort(500, 30))

t.test(`${COUNT} random clusters from seed ${FIRST} on allocate nothing twice`, async (t) => {
  let [allocated, repaired] = [0, 0]
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const { problem, counts } = await runAllocation(seed)
    allocated += counts.endpoints + counts.networks
    repaired += counts.readdress + counts.renumber + counts.stop
    if (problem === null) continue
    const { timeline } = await runAllocation(seed, { timeline: true })
    t.fail(`seed ${seed}: ${problem}`, {
      again: `scripts/simulate allocation --seed ${seed}`,
      timeline: timeline.slice(-200),
    })
    return
  }
  t.ok(allocated > 10 * COUNT, `${allocated} networks and endpoints`)
  t.ok(repaired > 0, `${repaired} were taken twice and repaired`)
})

t.test('a seed replays exactly', async (t) => {
  const runs = [
    await runAllocation(FIRST, { timeline: true }),
    await runAllocation(FIRST, { timeline: true }),
  ]
  t.strictSame(runs[0], runs[1])
  t.ok(runs[0]!.timeline.length > 10)
})

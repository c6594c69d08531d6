// A flock of changes is one piece of work, and pieces come one after the other.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { SettledWork } from '../../src/network/settled-work.ts'
import { eventually } from '../fixtures/commands.ts'

t.test(
  'who asks again until it begins asks for the same, who asks later for another',
  async (t) => {
    let [begun, running, most] = [0, 0, 0]
    let finish = (): void => undefined
    const work = new SettledWork(async () => {
      begun++
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => (finish = resolve))
      running--
    })
    for (let i = 0; i < 5; i++) work.soon()
    t.equal(begun, 0, 'not at once')
    await eventually(() => begun === 1)
    work.soon()
    await sleep(60)
    t.equal(begun, 1, 'the next waits for the end of the first')
    finish()
    await eventually(() => begun === 2)
    finish()
    t.equal(most, 1)

    work.soon()
    work.close()
    work.soon()
    await sleep(60)
    t.equal(begun, 2, 'nothing begins after close')
  },
)

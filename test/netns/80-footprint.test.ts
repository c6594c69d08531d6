// A daemon costs little while nothing happens, and does not grow with what has come and gone.
//
//      h1 172.31.1.11   a daemon, looked at in /proc
//      │ soak           endpoints, one after the other: a namespace, a process, a namespace, ...
//      │ e0 ... e9      10 endpoints that do nothing
//      └──── 172.31.1.1 ── r
//
// Runs with few: the CPU time of an idle daemon is measured, whatever others take.

import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { residentBytes } from '../../src/bench/cpu.ts'
import { run } from '../fixtures/commands.ts'
import { effort } from '../fixtures/effort.ts'
import { inLab, type Lab, ROOT } from '../fixtures/lab.ts'

const ENDPOINTS = effort(60, 30)

inLab('footprint', 1, async (t, lab) => {
  await t.test(`${ENDPOINTS} endpoints come and go: nothing of them stays`, async (t) => {
    const argv = [`${ROOT}/scripts/soak-endpoints`, String(ENDPOINTS), lab.name]
    const { code, stdout, stderr } = await run(argv, { timeoutMs: 60_000 })
    t.same([code, stderr], [0, ''], 'no descriptor, no thread and no file more than before')
    for (const line of stdout.trim().split('\n')) t.comment(line)
    const rss = [...stdout.matchAll(/([\d.]+) MB$/gm)].map(([, megabytes]) => Number(megabytes))
    t.equal(rss.length, 6)
    // The heap grows until its next great collection, which so few may not see.
    t.ok(rss.at(-1)! - rss[0]! < 30, `${rss[0]} MB before, ${rss.at(-1)} MB after`)
  })

  await t.test('with 10 endpoints an idle daemon is idle', async (t) => {
    const client = lab.client('h1')
    for (let index = 0; index < 10; index++) {
      await client.createSandbox({
        ...{ kind: 'run', name: `e${index}`, env: {}, tty: false, detach: true },
        argv: ['sleep', 'infinity'],
        attachments: [{ network: 'demo', ip: `10.0.1.${200 + index}` }],
      })
    }
    t.equal(
      (await client.status()).networks.find(({ name }) => name === 'demo')?.localEndpoints,
      10,
    )
    // What comes with a new interface: duplicate address detection, multicast reports.
    await sleep(2000)
    const before = look(lab)
    const percents: number[] = []
    let after = before
    // Some seconds after the last endpoint was made V8 collects what that has left: once.
    while (percents.length < MOST_LOOKS && !percents.some((percent) => percent <= 1)) {
      const earlier = after
      await sleep(SECONDS * 1000)
      after = look(lab)
      const threads = spentBetween(earlier, after)
      const seconds = threads.reduce((sum, [, spent]) => sum + spent, 0)
      percents.push((seconds / SECONDS) * 100)
      const shown = threads.map(([name, spent]) => `${name} ${(spent * 1000).toFixed(0)} ms`)
      if (seconds > 0.01 * SECONDS) t.comment(shown.slice(0, 4).join(', '))
    }
    const shown = percents.map((percent) => `${percent.toFixed(2)} %`).join(', ')
    t.ok(percents.at(-1)! <= 1, `${shown} of a core, in ${SECONDS} s each`)
    t.ok(after.rssMegabytes < 120, `${after.rssMegabytes.toFixed(1)} MB`)
    t.equal(after.threads.size, before.threads.size)
    t.equal(after.descriptors, before.descriptors)
  })
})

const SECONDS = 5
const MOST_LOOKS = 3

interface Look {
  /** What it is called, and the CPU time that it has had, in seconds; by its id. */
  readonly threads: ReadonlyMap<string, readonly [name: string, seconds: number]>
  readonly rssMegabytes: number
  readonly descriptors: number
}

/** What the daemon of h1 has used, and holds (proc(5)). */
function look(lab: Lab): Look {
  const pid = lab.daemonPid('h1')
  const proc = `/proc/${pid}`
  const threads = readdirSync(`${proc}/task`).map(
    (id) => [id, thread(`${proc}/task/${id}`)] as const,
  )
  return {
    threads: new Map(threads),
    rssMegabytes: residentBytes([pid]) / 2 ** 20,
    descriptors: readdirSync(`${proc}/fd`).length,
  }
}

function thread(task: string): [name: string, seconds: number] {
  const [nanoseconds] = readFileSync(`${task}/schedstat`, 'latin1').split(' ')
  return [readFileSync(`${task}/comm`, 'latin1').trim(), Number(nanoseconds) / 1e9]
}

/** The busiest thread first. */
function spentBetween(before: Look, after: Look): [name: string, seconds: number][] {
  return [...after.threads]
    .map(([id, [name, seconds]]): [string, number] => [
      name,
      seconds - (before.threads.get(id)?.[1] ?? 0),
    ])
    .toSorted(([, one], [, other]) => other - one)
}

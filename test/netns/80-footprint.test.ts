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
    while (percents.length < 3 && !percents.some((percent) => percent <= 1)) {
      const { cpuSeconds } = after
      await sleep(SECONDS * 1000)
      after = look(lab)
      percents.push(((after.cpuSeconds - cpuSeconds) / SECONDS) * 100)
    }
    const shown = percents.map((percent) => `${percent.toFixed(2)} %`).join(', ')
    t.ok(percents.at(-1)! <= 1, `${shown} of a core, in ${SECONDS} s each`)
    t.ok(after.rssMegabytes < 120, `${after.rssMegabytes.toFixed(1)} MB`)
    t.equal(after.threads, before.threads)
    t.equal(after.descriptors, before.descriptors)
  })
})

const SECONDS = 5

interface Look {
  readonly cpuSeconds: number
  readonly rssMegabytes: number
  readonly threads: number
  readonly descriptors: number
}

/** USER_HZ, which is 100 on all that Node runs on. */
const TICKS_PER_SECOND = 100

/** What the daemon of h1 has used, and holds (proc(5)). */
function look(lab: Lab): Look {
  const proc = `/proc/${lab.daemonPid('h1')}`
  const stat = readFileSync(`${proc}/stat`, 'utf8')
  // From field 3 on; the name before it may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]
  return {
    cpuSeconds: (Number(fields[14 - 3]) + Number(fields[15 - 3])) / TICKS_PER_SECOND,
    rssMegabytes: Number(rss) / 1024,
    threads: readdirSync(`${proc}/task`).length,
    descriptors: readdirSync(`${proc}/fd`).length,
  }
}

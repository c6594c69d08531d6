// Health on a virtual clock: which results make what of a sandbox, when checks are made, and whose check it is.

import t from 'tap'
import {
  type Health,
  type Outcome,
  newHealth,
  untilNextMs,
  whyHealth,
  withResult,
} from '../../src/health/health.ts'
import { Monitor } from '../../src/health/monitor.ts'
import { wantedCheck } from '../../src/health/wanted-check.ts'
import {
  HEALTH_CHECK,
  type HealthCheck,
  type HealthTest,
  describeHealthTest,
  isServing,
  sameHealthCheck,
} from '../../src/netdb/health-check.ts'
import type { LiveRecord } from '../../src/netdb/record.ts'
import { VirtualClock } from '../fixtures/virtual-clock.ts'

const TCP = { kind: 'tcp', port: 80 } as const

function check(parts: Partial<HealthCheck> = {}): HealthCheck {
  return HEALTH_CHECK.parse({ test: TCP, ...parts })
}

function after(health: Health, exitCodes: readonly number[], begunMs = 60_000): Health {
  return exitCodes.reduce<Health>(
    (now, exitCode) =>
      withResult(now, { exitCode, output: '', startedAtMs: 0, endedAtMs: 1 }, begunMs),
    health,
  )
}

t.test("results in a row make the status, by docker's rules", async (t) => {
  const cases: readonly (readonly [string, number[], string, number])[] = [
    ['nothing yet', [], 'starting', 0],
    ['one success', [0], 'healthy', 0],
    ['two failures of three', [1, 1], 'starting', 2],
    ['three', [1, 1, 1], 'unhealthy', 3],
    ['a success between them', [1, 1, 0, 1, 1], 'healthy', 2],
    ['healthy before', [0, 1, -1, 127], 'unhealthy', 3],
    ['one success is enough', [1, 1, 1, 1, 0], 'healthy', 0],
    ['it goes on counting', [0, 1, 1, 1, 1, 1], 'unhealthy', 5],
  ]
  for (const [title, codes, status, streak] of cases) {
    const health = after(newHealth(check()), codes)
    t.strictSame([health.status, health.failingStreak], [status, streak], title)
    t.equal(health.log.length, Math.min(5, codes.length), 'the latest five are kept')
  }
  t.equal(after(newHealth(check({ retries: 1 })), [1]).status, 'unhealthy')
  const log = after(newHealth(check()), [1, 2, 3, 4, 5, 6]).log
  t.same(
    log.map(({ exitCode }) => exitCode),
    [2, 3, 4, 5, 6],
  )
})

t.test('in the start period failures do not count, unless one has succeeded', async (t) => {
  const beginning = newHealth(check({ startPeriodMs: 10_000, retries: 2 }))
  const early = after(beginning, [1, 1, 1, 1], 9_999)
  t.strictSame([early.status, early.failingStreak, early.log.length], ['starting', 0, 4])
  t.equal(after(early, [1, 1], 10_000).status, 'unhealthy')
  t.equal(after(early, [0, 1, 1], 5_000).status, 'unhealthy', 'it had started')
  t.equal(untilNextMs(beginning, 0), 5_000, 'the start interval')
  t.equal(untilNextMs(beginning, 10_000), 30_000)
  t.equal(untilNextMs(after(beginning, [0], 1), 2), 30_000, 'healthy')
})

t.test('without a start period nothing counts in the first interval but a success', async (t) => {
  const beginning = newHealth(check())
  t.equal(untilNextMs(beginning, 0), 500, 'it is looked at soon')
  t.equal(untilNextMs(newHealth(check({ intervalMs: 200 })), 0), 200)
  const early = after(beginning, [1, 1, 1, 1], 29_999)
  t.strictSame([early.status, early.failingStreak], ['starting', 0])
  t.equal(after(early, [0], 29_999).status, 'healthy')
  t.equal(after(early, [1, 1, 1], 30_000).status, 'unhealthy')
  t.equal(untilNextMs(early, 30_000), 30_000)
})

t.test('what was known before stays until checks say otherwise', async (t) => {
  t.equal(after(newHealth(check(), 'healthy'), [1, 1]).status, 'healthy')
  t.equal(after(newHealth(check(), 'healthy'), [1, 1, 1]).status, 'unhealthy')
  t.equal(after(newHealth(check(), 'unhealthy'), [1]).status, 'unhealthy')
  t.equal(after(newHealth(check(), 'unhealthy'), [0]).status, 'healthy')
  for (const [status, serves] of [
    ['healthy', true],
    ['starting', false],
    ['unhealthy', false],
    [undefined, true],
    [null, true],
  ] as const)
    t.equal(isServing(status), serves, String(status))
})

t.test('the reason is one line', async (t) => {
  const say = (exitCode: number, output: string, times = 1): string =>
    whyHealth(
      Array.from({ length: times }).reduce<Health>(
        (now) => withResult(now, { exitCode, output, startedAtMs: 0, endedAtMs: 0 }, 1e9),
        newHealth(check()),
      ),
    )
  t.equal(whyHealth(newHealth(check())), 'not checked yet')
  t.equal(say(0, ''), 'a check succeeded')
  t.equal(say(1, '\n  curl: (7) refused \nmore'), "a check failed with 1: 'curl: (7) refused'")
  t.equal(say(2, '', 3), '3 checks in a row failed, the last with 2')
  t.equal(say(-1, 'no end after 2 s', 2), "2 checks in a row failed, the last: 'no end after 2 s'")
  t.equal(
    say(0, '\u001B[31mred\r\n'),
    "a check succeeded: '\\u{1b}[31mred'",
    'no word to a terminal',
  )
  t.ok(say(1, 'x'.repeat(4096)).length < 300)
})

/** Checks that are answered by hand. */
class Bench {
  readonly clock = new VirtualClock()
  readonly begun: { atMs: number; test: HealthTest; signal: AbortSignal }[] = []
  readonly found: string[] = []
  readonly monitor: Monitor
  #answer: (outcome: Outcome | Error) => void = () => undefined

  constructor(parts: Partial<HealthCheck>, startedMs = 0) {
    const { clock } = this
    const run = (test: HealthTest, signal: AbortSignal): Promise<Outcome> => {
      this.begun.push({ atMs: clock.nowMs(), test, signal })
      return new Promise((resolve, reject) => {
        this.#answer = (outcome) => {
          if (outcome instanceof Error) reject(outcome)
          else resolve(outcome)
        }
      })
    }
    const onResult = ({ status, log }: Health): void => {
      const { exitCode, output } = log.at(-1)!
      this.found.push(`${clock.nowMs()} ${status} ${exitCode} ${output}`.trim())
    }
    this.monitor = new Monitor({ clock, startedMs, run, onResult }, newHealth(check(parts)))
  }

  async answer(outcome: Outcome | Error): Promise<void> {
    this.#answer(outcome)
    await this.settled()
  }

  async runFor(ms: number): Promise<void> {
    this.clock.runFor(ms)
    await this.settled()
  }

  async settled(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }
}

const WELL: Outcome = { exitCode: 0, output: '' }

t.test('an interval is from the end of one check to the beginning of the next', async (t) => {
  const bench = new Bench({ intervalMs: 1_000 })
  bench.monitor.start()
  await bench.runFor(499)
  t.equal(bench.begun.length, 0)
  await bench.runFor(401)
  t.equal(bench.begun.length, 1, 'the first one comes soon')
  await bench.answer(WELL)
  t.same(bench.found, ['900 healthy 0'])
  await bench.runFor(999)
  t.equal(bench.begun.length, 1)
  await bench.runFor(1)
  t.same(
    bench.begun.map(({ atMs }) => atMs),
    [500, 1900],
  )
  await bench.answer(new Error('init does not answer'))
  t.equal(bench.found[1], '1900 healthy -1 init does not answer')
  bench.monitor.close()
  await bench.runFor(60_000)
  t.equal(bench.begun.length, 2, 'closed')
})

t.test('one that takes too long has failed and is ended; its answer is nothing then', async (t) => {
  const bench = new Bench({ intervalMs: 1_000, timeoutMs: 500, retries: 2 }, -1_000)
  bench.monitor.start()
  await bench.runFor(1_499)
  t.notOk(bench.begun[0]!.signal.aborted)
  await bench.runFor(1)
  t.ok(bench.begun[0]!.signal.aborted)
  t.same(bench.found, ['1500 starting -1 no end after 0.5 s'])
  await bench.answer(WELL)
  t.equal(bench.found.length, 1)
  await bench.runFor(1_500)
  t.equal(bench.found[1], '3000 unhealthy -1 no end after 0.5 s')
  bench.monitor.close()
})

t.test('the start period counts from the start of the sandbox, not of the daemon', async (t) => {
  const parts = { intervalMs: 1_000, startPeriodMs: 60_000, startIntervalMs: 200, retries: 1 }
  const young = new Bench(parts, 0)
  young.monitor.start()
  await young.runFor(200)
  await young.answer({ exitCode: 1, output: '' })
  t.same(young.found, ['200 starting 1'])
  const old = new Bench(parts, -60_000)
  old.monitor.start()
  await old.runFor(1_000)
  await old.answer({ exitCode: 1, output: '' })
  t.same(old.found, ['1000 unhealthy 1'])
  young.monitor.close()
  old.monitor.close()
})

t.test('another check: one that runs is ended, the status stays', async (t) => {
  const bench = new Bench({ intervalMs: 1_000 })
  bench.monitor.start()
  await bench.runFor(1_000)
  await bench.answer(WELL)
  await bench.runFor(1_000)
  const http = { kind: 'http', port: 80, path: '/' } as const
  bench.monitor.change(check({ test: http, intervalMs: 300 }))
  t.ok(bench.begun[1]!.signal.aborted)
  await bench.answer({ exitCode: 1, output: 'of the old one' })
  t.equal(bench.found.length, 1)
  await bench.runFor(300)
  t.strictSame([bench.begun.length, bench.begun[2]!.test], [3, http])
  t.equal(bench.monitor.health.status, 'healthy')
  bench.monitor.close()
  t.ok(bench.begun[2]!.signal.aborted)
})

t.test('whose check it is: its own, none that was asked for, its service’s', async (t) => {
  const service = (name: string, healthCheck?: HealthCheck): LiveRecord<'service'> => ({
    kind: 'service',
    key: name,
    owner: 'h1',
    version: { lamport: 1, writer: 'h1' },
    value: {
      name,
      endpointMode: 'vip',
      scheduler: 'rr',
      networks: ['n'],
      labels: {},
      createdAtMs: 0,
      claimedAt: 1,
      ...(healthCheck === undefined ? {} : { healthCheck }),
    },
  })
  const tcp = check()
  const command = check({ test: { kind: 'cmd', command: 'true' } })
  const records = [service('Web', tcp), service('cmd', command), service('plain')]
  const own = check({ test: { kind: 'tcp', port: 1 } })
  const cases = [
    [{ kind: 'run', own: undefined, services: [null] }, null],
    [{ kind: 'run', own: undefined, services: ['web'] }, tcp],
    [{ kind: 'run', own: undefined, services: ['plain', 'none', 'WEB'] }, tcp],
    [{ kind: 'run', own, services: ['web'] }, own],
    [{ kind: 'run', own: null, services: ['web'] }, null],
    [{ kind: 'run', own: undefined, services: ['cmd'] }, command],
    [{ kind: 'attach', own: undefined, services: ['web'] }, tcp],
    [{ kind: 'attach', own: undefined, services: ['cmd'] }, null],
  ] as const
  for (const [checked, wanted] of cases)
    t.strictSame(wantedCheck(checked, records), wanted, JSON.stringify(checked))
})

t.test('a check: what it may be, and when two are one', async (t) => {
  const wrong: readonly unknown[] = [
    { test: { kind: 'tcp', port: 0 } },
    { test: { kind: 'tcp', port: 65_536 } },
    { test: { kind: 'http', port: 80, path: 'x' } },
    { test: { kind: 'http', port: 80, path: '/a b' } },
    { test: { kind: 'http', port: 80, path: '/\r\nx: y' } },
    { test: { kind: 'cmd', command: '' } },
    { test: { kind: 'cmd', command: 'a\0b' } },
    { test: { kind: 'udp', port: 1 } },
    { test: TCP, intervalMs: 99 },
    { test: TCP, intervalMs: 86_400_001 },
    { test: TCP, timeoutMs: 0 },
    { test: TCP, retries: 0 },
    { test: TCP, retries: 1.5 },
    { test: TCP, startPeriodMs: -1 },
    {},
  ]
  for (const one of wrong) t.notOk(HEALTH_CHECK.safeParse(one).success, JSON.stringify(one))
  const http = check({ test: { kind: 'http', port: 8080, path: '/x' } })
  t.ok(sameHealthCheck(http, { ...http, test: { path: '/x', port: 8080, kind: 'http' } }))
  t.notOk(sameHealthCheck(http, { ...http, retries: 4 }))
  t.notOk(sameHealthCheck(http, null))
  t.ok(sameHealthCheck(null, null))
  t.same([http.test, TCP, { kind: 'cmd', command: 'true' } as const].map(describeHealthTest), [
    'http 8080/x',
    'tcp 80',
    'true',
  ])
})

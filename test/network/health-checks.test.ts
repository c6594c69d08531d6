// Health of this host's sandboxes on a virtual clock: what becomes of records, when a service's check changes, and over a restart.

import t from 'tap'
import { pino } from 'pino'
import type { Happening } from '../../src/events/event.ts'
import type { Outcome } from '../../src/health/health.ts'
import { HEALTH_CHECK, type HealthChange } from '../../src/netdb/health-check.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { HealthChecks } from '../../src/network/health-checks.ts'
import {
  type OpenEndpoint,
  type Sandbox,
  type SandboxState,
  newSandbox,
} from '../../src/network/sandbox.ts'
import type { EndpointSpec, SandboxSpec } from '../../src/network/sandbox-spec.ts'
import { member } from '../fixtures/records.ts'
import { VirtualClock } from '../fixtures/virtual-clock.ts'

const TCP = { kind: 'tcp', port: 80 } as const
const WELL: Outcome = { exitCode: 0, output: '' }
const ILL: Outcome = { exitCode: 1, output: 'connect ECONNREFUSED' }

class Bench {
  readonly clock: VirtualClock
  readonly netdb = new Netdb('h1', { everyonePresent: true })
  readonly sandboxes: Sandbox[] = []
  readonly told: Happening[] = []
  readonly done: string[] = []
  readonly checks: HealthChecks
  outcome: Outcome = WELL
  probes = 0

  constructor(clock = new VirtualClock()) {
    this.clock = clock
    this.netdb.put('member', 'h1', { ...member(1), name: 'one' })
    this.checks = new HealthChecks({
      netdb: this.netdb,
      clock,
      sandboxes: () => this.sandboxes,
      endpoints: {
        setHealth: (name, endpoint, health) => {
          if (endpoint.spec.health === health) return false
          endpoint.spec = { ...endpoint.spec, health }
          this.done.push(`${name} ${health ?? 'none'}`)
          return true
        },
        known: async () => undefined,
      },
      noteEndpoints: async ({ spec }) => void this.done.push(`note ${spec.name}`),
      probe: async () => {
        this.probes += 1
        return this.outcome
      },
      tell: (happening) => this.told.push(happening),
      log: pino({ level: 'silent' }),
    })
  }

  service(health: HealthChange | null, name = 'web'): void {
    this.netdb.put('service', name, {
      name,
      endpointMode: 'vip',
      scheduler: 'rr',
      networks: ['n'],
      labels: {},
      createdAtMs: 0,
      ...(health === null ? {} : { healthCheck: HEALTH_CHECK.parse({ test: TCP, ...health }) }),
    })
  }

  /** One that was made by the controller and has one endpoint. */
  sandbox(
    name: string,
    state: SandboxState,
    parts: Partial<SandboxSpec> = {},
    service: string | null = 'web',
  ): Sandbox {
    const spec = { id: name, name, kind: 'run', createdAtMs: this.clock.wallMs(), ...parts }
    const sandbox = newSandbox(spec as SandboxSpec, state)
    this.sandboxes.push(sandbox)
    const endpoint: OpenEndpoint = {
      spec: { id: `${name}0`, service, health: null } as EndpointSpec,
      port: 1,
      isUp: true,
    }
    sandbox.endpoints.push(endpoint)
    sandbox.made = true
    return sandbox
  }

  make(name: string, parts: Partial<SandboxSpec> = {}, service: string | null = 'web'): Sandbox {
    const sandbox = this.sandbox(name, 'running', parts, service)
    this.checks.prepare(sandbox, [service])
    const health = sandbox.health?.status ?? null
    const [endpoint] = sandbox.endpoints as [OpenEndpoint]
    endpoint.spec = { ...endpoint.spec, health }
    this.checks.begin(sandbox)
    return sandbox
  }

  async runFor(ms: number): Promise<void> {
    for (const end = this.clock.nowMs() + ms; this.clock.nowMs() < end; ) {
      this.clock.runFor(100)
      for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    }
  }
}

const statusOf = ({ endpoints }: Sandbox) => endpoints[0]?.spec.health

t.test('from starting to healthy and back: records, what is written down, an event', async (t) => {
  const bench = new Bench()
  const healthCheck = HEALTH_CHECK.parse({ test: TCP, intervalMs: 1_000, retries: 2 })
  const sandbox = bench.make('a', { healthCheck }, null)
  t.equal(statusOf(sandbox), 'starting')
  await bench.runFor(1_000)
  t.same(bench.done.splice(0), ['a healthy', 'note a'])
  await bench.runFor(3_000)
  t.same(bench.done, [], 'what has not changed is not told')
  bench.outcome = ILL
  await bench.runFor(2_000)
  t.same(bench.done, ['a unhealthy', 'note a'])
  t.same(
    bench.told.map(({ kind, object, text }) => `${kind} ${object}: ${text}`),
    [
      'health one/a: one/a is healthy: a check succeeded',
      "health one/a: one/a is unhealthy: 2 checks in a row failed, the last with 1: 'connect ECONNREFUSED'",
    ],
  )
  t.match(sandbox.health, { status: 'unhealthy', failingStreak: 2 })
  bench.checks.end(sandbox)
  const { probes } = bench
  await bench.runFor(5_000)
  t.equal(bench.probes, probes, 'it has ended')
})

t.test('one that is ended just then is told nothing of', async (t) => {
  const bench = new Bench()
  const healthCheck = HEALTH_CHECK.parse({ test: TCP, intervalMs: 1_000, retries: 1 })
  const sandbox = bench.make('a', { healthCheck }, null)
  bench.outcome = ILL
  sandbox.ending = true
  await bench.runFor(2_000)
  t.same(bench.done, [])
  t.same(bench.told, [])
  bench.checks.close()
})

t.test('one that has ended is not looked at any more, whatever comes later', async (t) => {
  const bench = new Bench()
  const sandbox = bench.sandbox('short', 'created')
  bench.service({ intervalMs: 1_000 })
  bench.checks.prepare(sandbox, ['web'])
  // Its end was heard of before that it was started.
  sandbox.ending = true
  bench.checks.end(sandbox)
  bench.checks.begin(sandbox)
  bench.service({ intervalMs: 500 })
  await bench.runFor(5_000)
  t.equal(bench.probes, 0)
})

t.test("its service's check: for new ones, and for those that are served", async (t) => {
  const bench = new Bench()
  bench.service(null)
  const old = bench.make('old')
  t.equal(statusOf(old), null)
  bench.service({ intervalMs: 1_000, retries: 2 })
  t.equal(statusOf(old), 'healthy', 'it was served, and goes on until checks say otherwise')
  const young = bench.make('young')
  t.equal(statusOf(young), 'starting')
  const none = bench.make('none', { healthCheck: null })
  t.equal(statusOf(none), null, '--no-healthcheck')
  const { probes } = bench
  await bench.runFor(100)
  t.equal(bench.probes, probes + 1, 'the old one is looked at now')
  bench.outcome = ILL
  await bench.runFor(2_200)
  t.same([old, young, none].map(statusOf), ['unhealthy', 'unhealthy', null])
  bench.service({ intervalMs: 500, retries: 2 })
  t.same([old, young].map(statusOf), ['unhealthy', 'unhealthy'], 'another check, no other health')
  bench.outcome = WELL
  await bench.runFor(500)
  t.same([old, young].map(statusOf), ['healthy', 'healthy'])
  bench.outcome = ILL
  await bench.runFor(1_500)
  bench.service(null)
  t.same([old, young].map(statusOf), [null, null], 'no check: served')
  t.equal(old.health, null)
  const after = bench.probes
  await bench.runFor(5_000)
  t.equal(bench.probes, after)
  bench.checks.close()
})

t.test('one that waits for its start, or for its service, is not looked at', async (t) => {
  const bench = new Bench()
  bench.service({ intervalMs: 1_000 })
  const waiting = bench.sandbox('waiting', 'created')
  bench.checks.prepare(waiting, ['web'])
  t.equal(waiting.health?.status, 'starting')
  await bench.runFor(5_000)
  t.equal(bench.probes, 0)
  bench.checks.begin(waiting)
  await bench.runFor(1_000)
  t.equal(bench.probes, 1)
  const early = bench.make('early', {}, 'later')
  t.equal(early.health, null)
  bench.service({ intervalMs: 1_000 }, 'later')
  t.equal(statusOf(early), 'healthy')
  bench.checks.close()
})

t.test('after a restart what was known stands, and is looked at within a second', async (t) => {
  for (const [known, stands] of [
    ['healthy', 'healthy'],
    ['unhealthy', 'unhealthy'],
    ['starting', 'starting'],
    [null, 'healthy'],
  ] as const) {
    const bench = new Bench()
    const healthCheck = HEALTH_CHECK.parse({ test: TCP, retries: 2, intervalMs: 30_000 })
    const sandbox = bench.sandbox('a', 'running', { healthCheck }, null)
    const [endpoint] = sandbox.endpoints as [OpenEndpoint]
    endpoint.spec = { ...endpoint.spec, health: known }
    bench.checks.adopt(sandbox)
    t.equal(statusOf(sandbox), stands, String(known))
    bench.outcome = ILL
    await bench.runFor(1_000)
    t.equal(bench.probes, 1)
    t.equal(statusOf(sandbox), stands, 'one failure of two changes nothing')
    bench.outcome = WELL
    await bench.runFor(30_000)
    t.equal(statusOf(sandbox), 'healthy')
    bench.checks.close()
  }
  const bench = new Bench()
  const sandbox = bench.sandbox('a', 'running')
  const [endpoint] = sandbox.endpoints as [OpenEndpoint]
  endpoint.spec = { ...endpoint.spec, health: 'unhealthy' }
  bench.checks.adopt(sandbox)
  t.equal(statusOf(sandbox), null, 'its service has no check any more')
  bench.checks.close()
})

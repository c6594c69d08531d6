// Options of health checks: durations, and what flags become of in a request.

import t from 'tap'
import { parseDuration } from '../../src/cli/health-options.ts'
import { weft } from '../fixtures/weft.ts'
import { type Behaviour, fakeDaemon } from './fixtures/fake-daemon.ts'

async function ask(argv: readonly string[], behaviour: Behaviour) {
  const daemon = await fakeDaemon(behaviour)
  try {
    const result = await weft(argv, { socketPath: daemon.socketPath })
    return { ...result, asked: daemon.asked }
  } finally {
    await daemon.close()
  }
}

const words = (line: string): string[] => line.split(' ')
const made: Behaviour = { answer: () => ({ status: 201, body: { Id: 'a', id: 'a', Name: 'x' } }) }

t.test("durations are docker's", async (t) => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['500ms', 500],
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5s', 1_500],
    ['1h', 3_600_000],
    ['1h1m1s1ms', 3_661_001],
    ['0.25ms', 0],
    ['0s', 0],
    ['0', 0],
    ['10', undefined],
    ['', undefined],
    ['s', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['1S', undefined],
    ['1m30', undefined],
    ['1d', undefined],
    ['.5s', undefined],
    ['1e3s', undefined],
  ]
  for (const [text, ms] of cases) t.equal(parseDuration(text), ms, text)
})

t.test('run and attach: a check, none, or nothing said', async (t) => {
  const run = ['run', '-d', '--network', 'blue', '--name', 'x']
  const all =
    '--health-interval 5s --health-timeout 500ms --health-retries 2 --health-start-period 1m --health-start-interval 1s'
  const cases: readonly (readonly [string[], unknown])[] = [
    [['--health-cmd', 'curl -f localhost || exit 1'], { test: { kind: 'cmd' } }],
    [words('--health-tcp 80'), { test: { kind: 'tcp', port: 80 } }],
    [words('--health-http 8080/ready'), { test: { kind: 'http', port: 8080, path: '/ready' } }],
    [words('--health-http 80'), { test: { kind: 'http', port: 80, path: '/' } }],
    [
      [...words('--health-tcp 80'), ...words(all)],
      {
        test: { kind: 'tcp', port: 80 },
        intervalMs: 5_000,
        timeoutMs: 500,
        retries: 2,
        startPeriodMs: 60_000,
        startIntervalMs: 1_000,
      },
    ],
  ]
  for (const [flags, health] of cases) {
    const { code, asked, stderr } = await ask([...run, ...flags, '--', 'true'], made)
    t.equal(code, 0, stderr)
    t.match(asked[0]?.body, { health })
  }
  const none = await ask([...run, '--no-healthcheck', '--', 'true'], made)
  t.match(none.asked[0]?.body, { health: null })
  const silent = await ask([...run, '--', 'true'], made)
  t.notOk('health' in (silent.asked[0]?.body as object))
  const attach = await ask(words('attach --network blue --pid 1 --health-tcp 80'), made)
  t.match(attach.asked[0]?.body, { kind: 'attach', health: { test: { kind: 'tcp', port: 80 } } })
})

t.test('services: as a default for their backends', async (t) => {
  const create = words('service create --name web --network blue')
  const one = await ask([...create, '--health-http', '80/'], made)
  t.match(one.asked[0]?.body, { health: { test: { kind: 'http' } } })
  const update = words('service update web')
  const two = await ask([...update, '--health-interval', '2s'], made)
  t.strictSame(two.asked[0]?.body, { health: { intervalMs: 2_000 } })
  const three = await ask([...update, '--no-healthcheck'], made)
  t.strictSame(three.asked[0]?.body, { health: null })
})

t.test('wrong usage is told before anybody is asked', async (t) => {
  const run = 'run -d --network blue'
  const cases: readonly (readonly [string, RegExp])[] = [
    [`${run} --health-interval 10 -- true`, /--health-interval '10': write a time as 500ms, 10s/],
    [`${run} --health-interval 1ms -- true`, /'1ms': from 100ms to 24h/],
    [`${run} --health-timeout 25h -- true`, /'25h': from 10ms to 24h/],
    [`${run} --health-interval 10s -- true`, /say how health is checked: --health-cmd/],
    [`${run} --health-tcp 80 --health-http 80/ -- true`, /say one of --health-cmd/],
    [`${run} --health-tcp 80 --no-healthcheck -- true`, /contradict each other/],
    [`${run} --health-tcp 0 -- true`, /whole number from 1 to 65535/],
    [`${run} --health-tcp x -- true`, /whole number from 1 to 65535/],
    [`${run} --health-retries 0 -- true`, /whole number from 1 to 1000/],
    [`${run} --health-http /x -- true`, /--health-http '\/x': write PORT\/PATH/],
    [`${run} --health-http 99999/x -- true`, /write PORT\/PATH/],
    ['attach --network blue --pid 1 --health-cmd true', /unknown option '--health-cmd'/],
  ]
  for (const [line, message] of cases) {
    const { code, stderr, asked } = await ask(words(line), made)
    t.equal(code, 2, line)
    t.match(stderr, message, line)
    t.same(asked, [], line)
  }
})

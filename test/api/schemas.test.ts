// What a request to make a sandbox may hold of health, and what becomes of what is left out.

import t from 'tap'
import { parseCreate } from '../../src/api/schemas.ts'

const ATTACHMENTS = [{ network: 'blue' }]
const run = (health?: unknown): object => ({
  kind: 'run',
  name: 'x',
  attachments: ATTACHMENTS,
  argv: ['true'],
  env: {},
  tty: false,
  detach: true,
  ...(health === undefined ? {} : { health }),
})
const attach = (health?: unknown): object => ({
  kind: 'attach',
  name: 'x',
  attachments: ATTACHMENTS,
  pid: 1,
  ...(health === undefined ? {} : { health }),
})
const TCP = { kind: 'tcp', port: 80 } as const
const COMMAND = { kind: 'cmd', command: 'true' } as const

t.test("a health check is docker's where nothing is said", async (t) => {
  const defaults = {
    intervalMs: 30_000,
    timeoutMs: 30_000,
    retries: 3,
    startPeriodMs: 0,
    startIntervalMs: 5_000,
  }
  t.strictSame(parseCreate(run({ test: COMMAND })).health, { test: COMMAND, ...defaults })
  const said = { test: TCP, intervalMs: 100, retries: 1 }
  t.strictSame(parseCreate(attach(said)).health, { ...defaults, ...said })
})

t.test('none is another thing than nothing said', async (t) => {
  for (const request of [run, attach]) {
    t.equal(parseCreate(request(null)).health, null)
    t.equal(parseCreate(request()).health, undefined)
  }
})

t.test('what cannot be is refused', async (t) => {
  const rows: readonly (readonly [object, RegExp])[] = [
    [attach({ test: COMMAND }), /health: a command is for what weft runs/],
    [run({ test: TCP, intervalMs: 10 }), /health\.intervalMs: is 100 ms at least/],
    [run({ test: TCP, timeoutMs: 1e9 }), /health\.timeoutMs: is 24h at most/],
    [run({ test: { kind: 'udp' } }), /health\.test/],
    [run({ retries: 3 }), /health\.test/],
    [run({ test: { kind: 'http', port: 80, path: 'x' } }), /health\.test\.path: a path begins/],
  ]
  for (const [body, message] of rows)
    t.throws(() => parseCreate(body), { code: 'invalid_argument', message })
})

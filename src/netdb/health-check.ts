// A health check: how it is found out whether an endpoint serves. Records, requests and spec.json hold the same.

import * as z from 'zod'

export type HealthTest =
  /** Run by a shell of the sandbox: 0 is well. */
  | { readonly kind: 'cmd'; readonly command: string }
  /** A connection is accepted. */
  | { readonly kind: 'tcp'; readonly port: number }
  /** A GET is answered with a status from 200 to 399. */
  | { readonly kind: 'http'; readonly port: number; readonly path: string }

export interface HealthCheck {
  readonly test: HealthTest
  /** From the end of one to the beginning of the next. */
  readonly intervalMs: number
  /** One that takes longer has failed, and is ended. */
  readonly timeoutMs: number
  /** Failures in a row that make it unhealthy. */
  readonly retries: number
  /** For so long after the start failures do not count, unless one has succeeded. */
  readonly startPeriodMs: number
  /** The interval in the start period. */
  readonly startIntervalMs: number
}

/** What one of an endpoint has found; an endpoint without one has none. */
export const HEALTH_STATUSES = ['starting', 'healthy', 'unhealthy'] as const
export type HealthStatus = (typeof HEALTH_STATUSES)[number]

/** Whether it takes new connections. What nobody checks does. */
export function isServing(health: HealthStatus | null | undefined): boolean {
  return health !== 'starting' && health !== 'unhealthy'
}

const MAX_TIME_MS = 86_400_000
/** A process each, perhaps: no busy loop. */
const MIN_INTERVAL_MS = 100
const MIN_TIMEOUT_MS = 10
const MAX_COMMAND = 4_096
const MAX_PATH = 256

const time = (minMs: number) =>
  z.number().int().min(minMs, `is ${minMs} ms at least`).max(MAX_TIME_MS, 'is 24h at most')
const port = z.number().int().min(1).max(65_535)

const TEST = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('cmd'),
    command: z
      .string()
      .min(1, 'there is no command')
      .max(MAX_COMMAND, `a command has at most ${MAX_COMMAND} characters`)
      .refine((text) => !text.includes('\0'), 'a command has no NUL'),
  }),
  z.object({ kind: z.literal('tcp'), port }),
  z.object({
    kind: z.literal('http'),
    port,
    path: z
      .string()
      .max(MAX_PATH, `a path has at most ${MAX_PATH} characters`)
      .regex(/^\/[\x21-\x7e]*$/, 'a path begins with / and has no spaces'),
  }),
])

/** docker's defaults. */
const DEFAULTS = {
  intervalMs: 30_000,
  timeoutMs: 30_000,
  retries: 3,
  startPeriodMs: 0,
  startIntervalMs: 5_000,
} as const

const PARTS = {
  test: TEST,
  intervalMs: time(MIN_INTERVAL_MS),
  timeoutMs: time(MIN_TIMEOUT_MS),
  retries: z.number().int().min(1).max(1_000),
  startPeriodMs: time(0),
  startIntervalMs: time(MIN_INTERVAL_MS),
}

/** What is left out is as docker has it. */
export const HEALTH_CHECK = z.object({
  test: PARTS.test,
  intervalMs: PARTS.intervalMs.default(DEFAULTS.intervalMs),
  timeoutMs: PARTS.timeoutMs.default(DEFAULTS.timeoutMs),
  retries: PARTS.retries.default(DEFAULTS.retries),
  startPeriodMs: PARTS.startPeriodMs.default(DEFAULTS.startPeriodMs),
  startIntervalMs: PARTS.startIntervalMs.default(DEFAULTS.startIntervalMs),
})

/** What is to be another way of one that there is, or a new one if that has a test. */
export const HEALTH_CHANGE = z.object({
  test: PARTS.test.exactOptional(),
  intervalMs: PARTS.intervalMs.exactOptional(),
  timeoutMs: PARTS.timeoutMs.exactOptional(),
  retries: PARTS.retries.exactOptional(),
  startPeriodMs: PARTS.startPeriodMs.exactOptional(),
  startIntervalMs: PARTS.startIntervalMs.exactOptional(),
})
export type HealthChange = z.output<typeof HEALTH_CHANGE>

/** Its fields in one order: the same check is the same bytes. */
export function healthCheckJson(check: HealthCheck): HealthCheck {
  const { test, intervalMs, timeoutMs, retries, startPeriodMs, startIntervalMs } = check
  const { kind } = test
  const inOrder: HealthTest =
    kind === 'cmd'
      ? { kind, command: test.command }
      : kind === 'tcp'
        ? { kind, port: test.port }
        : { kind, port: test.port, path: test.path }
  return { test: inOrder, intervalMs, timeoutMs, retries, startPeriodMs, startIntervalMs }
}

export function sameHealthCheck(a: HealthCheck | null, b: HealthCheck | null): boolean {
  if (a === null || b === null) return a === b
  return JSON.stringify(healthCheckJson(a)) === JSON.stringify(healthCheckJson(b))
}

/** For people: `tcp 80`, `http 80/health`, the command. */
export function describeHealthTest(test: HealthTest): string {
  if (test.kind === 'cmd') return test.command
  return test.kind === 'tcp' ? `tcp ${test.port}` : `http ${test.port}${test.path}`
}

// Options that tell how an endpoint's health is checked, with docker's names, and how their values are read.

import type { Command } from 'commander'
import type { HealthChange, HealthTest, HealthWish } from '../api/types.ts'
import { WeftError, quote } from '../errors.ts'
import { integer } from './options.ts'

export interface HealthFlags {
  readonly healthCmd?: string
  readonly healthTcp?: number
  readonly healthHttp?: HealthTest
  readonly healthInterval?: number
  readonly healthTimeout?: number
  readonly healthRetries?: number
  readonly healthStartPeriod?: number
  readonly healthStartInterval?: number
  /** False: none. */
  readonly healthcheck: boolean
}

/** @param hasCommands whether there is a sandbox of ours that a command can run in */
export function healthOptions(command: Command, hasCommands: boolean, none: string): Command {
  if (hasCommands)
    command.option('--health-cmd <command>', 'a command of a shell inside: 0 is healthy')
  return command
    .option(
      '--health-tcp <port>',
      'its own address accepts connections to this port',
      integer(1, 65_535),
    )
    .option(
      '--health-http <port/path>',
      'its own address answers GET with 200 to 399',
      parseHttpTest,
    )
    .option('--health-interval <time>', 'between checks (default: 30s)', duration('interval'))
    .option('--health-timeout <time>', 'of one check (default: 30s)', duration('timeout'))
    .option('--health-retries <n>', 'failures in a row (default: 3)', integer(1, 1_000))
    .option(
      '--health-start-period <time>',
      'in which failures do not count (default: one interval)',
      duration('start-period'),
    )
    .option(
      '--health-start-interval <time>',
      'between checks in the start period (default: 5s)',
      duration('start-interval'),
    )
    .option('--no-healthcheck', none)
}

/** What is to be another way; null: none; undefined: nothing was said. */
export function parseHealthChange(flags: HealthFlags): HealthChange | null | undefined {
  const { healthCmd, healthTcp, healthHttp, healthcheck } = flags
  const tests = [
    ...(healthCmd === undefined ? [] : [{ kind: 'cmd', command: healthCmd } as const]),
    ...(healthTcp === undefined ? [] : [{ kind: 'tcp', port: healthTcp } as const]),
    ...(healthHttp === undefined ? [] : [healthHttp]),
  ]
  if (tests.length > 1) {
    throw new WeftError(
      'invalid_argument',
      'say one of --health-cmd, --health-tcp and --health-http: an endpoint has one check',
    )
  }
  const [test] = tests
  const change: HealthChange = {
    ...(test === undefined ? {} : { test }),
    ...(flags.healthInterval === undefined ? {} : { intervalMs: flags.healthInterval }),
    ...(flags.healthTimeout === undefined ? {} : { timeoutMs: flags.healthTimeout }),
    ...(flags.healthRetries === undefined ? {} : { retries: flags.healthRetries }),
    ...(flags.healthStartPeriod === undefined ? {} : { startPeriodMs: flags.healthStartPeriod }),
    ...(flags.healthStartInterval === undefined
      ? {}
      : { startIntervalMs: flags.healthStartInterval }),
  }
  const isChange = Object.keys(change).length > 0
  if (healthcheck) return isChange ? change : undefined
  if (!isChange) return null
  throw new WeftError('invalid_argument', '--no-healthcheck and --health-* contradict each other')
}

/** A check with its test; null: none; undefined: nothing was said. */
export function parseHealth(flags: HealthFlags): HealthWish | null | undefined {
  const change = parseHealthChange(flags)
  if (change === undefined || change === null) return change
  const { test } = change
  if (test !== undefined) return { ...change, test }
  throw new WeftError(
    'invalid_argument',
    'say how health is checked: --health-cmd, --health-tcp or --health-http',
  )
}

/** `8080/healthz`; `8080` is its `/`. */
function parseHttpTest(text: string): HealthTest {
  const [, port, path] = /^(\d{1,5})(\/[\x21-\x7e]*)?$/.exec(text) ?? []
  const number = Number(port)
  if (port !== undefined && number >= 1 && number <= 65_535)
    return { kind: 'http', port: number, path: path ?? '/' }
  throw new WeftError(
    'invalid_argument',
    `--health-http ${quote(text)}: write PORT/PATH, as 8080/healthz`,
  )
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** docker's: `500ms`, `10s`, `1m30s`, `1.5h`; in whole milliseconds. undefined: it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return undefined
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)
  return Math.round(
    [...parts].reduce((sum, [, count, unit = '']) => sum + Number(count) * (UNIT_MS[unit] ?? 0), 0),
  )
}

const MAX_MS = 86_400_000
/** As in src/netdb/health-check.ts. */
const LEAST_MS: Readonly<Record<string, number>> = {
  interval: 100,
  timeout: 10,
  'start-interval': 100,
  'start-period': 0,
}

function duration(name: string): (text: string) => number {
  const leastMs = LEAST_MS[name] ?? 0
  return (text) => {
    const value = parseDuration(text)
    if (value !== undefined && value >= leastMs && value <= MAX_MS) return value
    throw new WeftError(
      'invalid_argument',
      value === undefined
        ? `--health-${name} ${quote(text)}: write a time as 500ms, 10s, 1m30s`
        : `--health-${name} ${quote(text)}: from ${leastMs}ms to 24h`,
    )
  }
}

// Health: what the checks of a sandbox have found so far. Pure; docker's rules, but for the first interval: docker waits for its end before
// it looks, and keeps a server that is ready at once out of use for half a minute.
//
//   starting ─ a success ─► healthy ─ `retries` failures in a row ─► unhealthy ─ a success ─► healthy
//       └───── `retries` failures in a row that count ──────────────────▲
//
// While starting, failures within the start period do not count; without one, within the first interval. Only `healthy` takes new
// connections.

import { quote } from '../errors.ts'
import type { HealthCheck, HealthStatus } from '../netdb/health-check.ts'

/** How a check ended. */
export interface Outcome {
  /** 0: well. */
  readonly exitCode: number
  /** What it said; bounded by whoever ran it. */
  readonly output: string
}

/** One check that was made; times in ms since 1970. */
export interface CheckResult extends Outcome {
  readonly startedAtMs: number
  readonly endedAtMs: number
}

export interface Health {
  readonly check: HealthCheck
  readonly status: HealthStatus
  /** Failures in a row. */
  readonly failingStreak: number
  /** The latest results, the oldest first. */
  readonly log: readonly CheckResult[]
}

/** The exit code of one that was not made to its end, as docker has it. */
export const NOT_ENDED = -1
/** Between checks in the first interval, where no start period was asked for. */
const FIRST_PACE_MS = 500
/** Results that are kept, as docker has it. */
const MOST_RESULTS = 5

/** @param status as it was known before, if it was */
export function newHealth(check: HealthCheck, status: HealthStatus = 'starting'): Health {
  const failingStreak = status === 'unhealthy' ? check.retries : 0
  return { check, status, failingStreak, log: [] }
}

/** @param begunMs when the check began, since the sandbox's start */
export function withResult(health: Health, result: CheckResult, begunMs: number): Health {
  const { check, status, failingStreak } = health
  const log = [...health.log, result].slice(-MOST_RESULTS)
  if (result.exitCode === 0) return { check, status: 'healthy', failingStreak: 0, log }
  if (status === 'starting' && begunMs < beginningOf(check).periodMs) return { ...health, log }
  const streak = failingStreak + 1
  return {
    check,
    status: streak >= check.retries ? 'unhealthy' : status,
    failingStreak: streak,
    log,
  }
}

/**
 * How long until the next check.
 *
 * @param nowMs since the sandbox's start
 */
export function untilNextMs({ check, status }: Health, nowMs: number): number {
  const { periodMs, paceMs } = beginningOf(check)
  const isBeginning = status === 'starting' && nowMs < periodMs
  return isBeginning ? Math.min(paceMs, check.intervalMs) : check.intervalMs
}

/** How long failures of one that starts do not count, and how often it is looked at meanwhile. */
function beginningOf({ startPeriodMs, startIntervalMs, intervalMs }: HealthCheck): {
  readonly periodMs: number
  readonly paceMs: number
} {
  return startPeriodMs > 0
    ? { periodMs: startPeriodMs, paceMs: startIntervalMs }
    : { periodMs: intervalMs, paceMs: FIRST_PACE_MS }
}

/** Why it has the status that it has, in a line; what the check said is somebody else's text. */
export function whyHealth({ failingStreak, log }: Health): string {
  const last = log.at(-1)
  if (last === undefined) return 'not checked yet'
  const lines = last.output.split('\n').map((line) => line.trim())
  const line = lines.find((one) => one !== '')
  const said = line === undefined ? '' : `: ${quote(line)}`
  if (last.exitCode === 0) return `a check succeeded${said}`
  const code = last.exitCode === NOT_ENDED ? '' : ` with ${last.exitCode}`
  const count =
    failingStreak === 1 ? 'a check failed' : `${failingStreak} checks in a row failed, the last`
  return `${count}${code}${said}`
}

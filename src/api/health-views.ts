// What the API shows of health checks: docker's shapes.

import type { Health } from '../health/health.ts'
import type { HealthCheck, HealthTest } from '../netdb/health-check.ts'
import type { HealthInspect, HealthcheckInspect } from './types.ts'

const NS_PER_MS = 1_000_000

export function healthInspect({ status, failingStreak, log }: Health): HealthInspect {
  return {
    Status: status,
    FailingStreak: failingStreak,
    Log: log.map(({ startedAtMs, endedAtMs, exitCode, output }) => ({
      Start: new Date(startedAtMs).toISOString(),
      End: new Date(endedAtMs).toISOString(),
      ExitCode: exitCode,
      Output: output,
    })),
  }
}

export function healthcheckInspect(check: HealthCheck): HealthcheckInspect {
  return {
    Test: testOf(check.test),
    Interval: check.intervalMs * NS_PER_MS,
    Timeout: check.timeoutMs * NS_PER_MS,
    StartPeriod: check.startPeriodMs * NS_PER_MS,
    StartInterval: check.startIntervalMs * NS_PER_MS,
    Retries: check.retries,
  }
}

function testOf(test: HealthTest): readonly [string, string] {
  if (test.kind === 'cmd') return ['CMD-SHELL', test.command]
  return test.kind === 'tcp' ? ['TCP', `${test.port}`] : ['HTTP', `${test.port}${test.path}`]
}

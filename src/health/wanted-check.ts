// Which health check a sandbox has: its own, none because that was asked for, or its service's. Pure.

import type { HealthCheck } from '../netdb/health-check.ts'
import { type ServiceRecord, serviceNamed } from '../service/service-reference.ts'

export interface Checked {
  readonly kind: 'run' | 'attach'
  /** What was asked for; null: none is to be made; undefined: nothing was said. */
  readonly own: HealthCheck | null | undefined
  /** The services whose backend it is, as they are named. */
  readonly services: readonly (string | null)[]
}

/** null: none. Of several services the first that has one. */
export function wantedCheck(
  { kind, own, services }: Checked,
  records: readonly ServiceRecord[],
): HealthCheck | null {
  if (own !== undefined) return own
  for (const name of services) {
    const check = name === null ? undefined : serviceNamed(records, name)?.value.healthCheck
    // In a namespace that somebody else made there is no command of ours to look after.
    if (check !== undefined && (kind === 'run' || check.test.kind !== 'cmd')) return check
  }
  return null
}

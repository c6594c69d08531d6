// The shapes of docs/api.md for the doctor.

export type { Finding, Report, Verdict } from '../doctor/finding.ts'

/** POST /v1/doctor/repair */
export interface Repaired {
  /** Names of the native rows that were not what the records say. */
  readonly rows: readonly string[]
}

// The tables: every native row equals what the records say, or is named. Pure.

import { type Difference, describeDifference } from '../dataplane/audit.ts'
import { type Finding, fine } from './finding.ts'

const ADVICE =
  'run weft doctor --repair, which puts what the records say; if it comes back, keep the log'

/** @param rows how many there should be */
export function judgeTables(rows: number, differences: readonly Difference[]): Finding[] {
  if (differences.length === 0)
    return [fine('tables', 'native rows', `${rows} rows are what the records say`)]
  return differences.map((difference) => ({
    check: 'tables',
    subject: `row ${difference.name}`,
    verdict: 'fail',
    found: describeDifference(difference),
    advice: ADVICE,
  }))
}

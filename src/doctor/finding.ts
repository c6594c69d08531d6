// What a doctor says: for each thing that was looked at a verdict, what was found, and what to do.

export type Verdict = 'ok' | 'warn' | 'fail'

/** What is looked at, in the order in which it is told. */
export const CHECKS = [
  'tables',
  'duplicates',
  'leftovers',
  'vtep',
  'path-mtu',
  'vxlan-port',
  'gossip-udp',
  'gossip-tcp',
  'clock',
] as const

export type Check = (typeof CHECKS)[number]

export interface Finding {
  readonly check: Check
  /** What was looked at: a row, a host, `h1 -> h2`. */
  readonly subject: string
  readonly verdict: Verdict
  readonly found: string
  /** What to do; null when there is nothing to do. */
  readonly advice: string | null
}

export interface Report {
  readonly host: string
  /** The worst of the findings. */
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
}

const WORSE: readonly Verdict[] = ['ok', 'warn', 'fail']

export function reportOf(host: string, findings: readonly Finding[]): Report {
  const worst = Math.max(0, ...findings.map(({ verdict }) => WORSE.indexOf(verdict)))
  const inOrder = findings.toSorted((a, b) => CHECKS.indexOf(a.check) - CHECKS.indexOf(b.check))
  return { host, verdict: WORSE[worst] ?? 'fail', findings: inOrder }
}

export function fine(check: Check, subject: string, found: string): Finding {
  return { check, subject, verdict: 'ok', found, advice: null }
}

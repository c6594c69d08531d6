// What is measured, in which order, and what every measurement is given.

import { connections, vipConnections } from './connections.ts'
import type { Contestant } from './contestant.ts'
import { residentBytes } from './cpu.ts'
import { type Figures, type Group, type MetricId, UDP_PAYLOADS } from './metrics.ts'
import { ping, pingBesideTcp, pingBesideUdp } from './ping.ts'
import type { Integrity } from './result.ts'
import { tcp, tcpBack, vipTcp } from './tcp.ts'
import { udp } from './udp.ts'

/** How long and how often: `--quick` has smaller numbers. */
export interface Effort {
  readonly tcpSeconds: number
  readonly idleSeconds: number
  readonly trialSeconds: number
  /** Of a search for a rate with some loss. */
  readonly maxTrials: number
  /** So many more for the rate without. */
  readonly losslessTrials: number
  /** A trial is over when nothing came for so long. */
  readonly quietMs: number
  readonly pings: number
  /** Of pings beside other traffic. */
  readonly loadSeconds: number
  readonly connectSeconds: number
}

export const FULL: Effort = {
  tcpSeconds: 3,
  idleSeconds: 1,
  trialSeconds: 1,
  maxTrials: 8,
  losslessTrials: 4,
  quietMs: 250,
  pings: 5000,
  loadSeconds: 3,
  connectSeconds: 2,
}

export const QUICK: Effort = {
  tcpSeconds: 1,
  idleSeconds: 0.2,
  trialSeconds: 0.3,
  maxTrials: 4,
  losslessTrials: 2,
  quietMs: 100,
  pings: 1000,
  loadSeconds: 1,
  connectSeconds: 1,
}

export interface MeasureContext {
  readonly effort: Effort
  readonly signal: AbortSignal
  /** Whether all that is measured is on this machine: else its CPU time says nothing. */
  readonly oneMachine: boolean
  /** A step's outcome, in words. */
  report(text: string): void
  /** The share of the CPUs that others used. */
  noteBackground(share: number): void
  noteIntegrity(integrity: Integrity): void
  /** The lowest figure of all sides in this round; null: not measured. */
  lowest(id: MetricId): number | null
}

export type Measurement = (contestant: Contestant, context: MeasureContext) => Promise<Figures>

export interface Step {
  readonly group: Group
  readonly title: string
  readonly measure: Measurement
}

/** Between two sandboxes; what is measured one way is measured the other way by exchanging them. */
export const PAIR_STEPS: readonly Step[] = [
  { group: 'tcp', title: 'TCP, 1 stream', measure: (one, context) => tcp(one, context, 1) },
  { group: 'tcp', title: 'TCP, 8 streams', measure: (one, context) => tcp(one, context, 8) },
  ...UDP_PAYLOADS.map(
    (bytes): Step => ({
      group: 'udp',
      title: `UDP, ${bytes} B`,
      measure: (one, context) => udp(one, context, bytes),
    }),
  ),
  { group: 'ping', title: 'ping', measure: ping },
  { group: 'ping', title: 'ping beside UDP', measure: pingBesideUdp },
  { group: 'ping', title: 'ping beside TCP', measure: pingBesideTcp },
  { group: 'connections', title: 'TCP connections', measure: connections },
]

/** Of labs of our own. */
export const LAB_STEPS: readonly Step[] = [
  ...PAIR_STEPS,
  { group: 'tcp', title: 'TCP, 1, back', measure: (one, context) => tcpBack(one, context, 1) },
  { group: 'tcp', title: 'TCP, 8, back', measure: (one, context) => tcpBack(one, context, 8) },
  { group: 'vip', title: 'TCP to a VIP', measure: vipTcp },
  { group: 'vip', title: 'VIP connections', measure: vipConnections },
]

/** The daemons' memory, when they have carried all that; of those that have daemons. */
export function memoryOf({ daemons }: Contestant): Figures {
  return daemons.length === 0 ? {} : { memory: residentBytes(daemons) / HOSTS / 1e6 }
}

const HOSTS = 2

// What is measured, in which order, and what every measurement is given.

import { connections, vipConnections } from './connections.ts'
import type { Contestant } from './contestant.ts'
import { residentBytes } from './cpu.ts'
import type { Tool } from './exec-place.ts'
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
  /** At both ends. */
  readonly needs: readonly Tool[]
  readonly measure: Measurement
}

const step = (group: Group, title: string, needs: readonly Tool[], measure: Measurement): Step => ({
  group,
  title,
  needs,
  measure,
})

/** Between two sandboxes; what is measured one way is measured the other way by exchanging them. */
export const PAIR_STEPS: readonly Step[] = [
  step('tcp', 'TCP, 1 stream', ['iperf3'], (one, context) => tcp(one, context, 1)),
  step('tcp', 'TCP, 8 streams', ['iperf3'], (one, context) => tcp(one, context, 8)),
  ...UDP_PAYLOADS.map((bytes) =>
    step('udp', `UDP, ${bytes} B`, ['weft-flood'], (one, context) => udp(one, context, bytes)),
  ),
  step('ping', 'ping', ['ping'], ping),
  step('ping', 'ping beside UDP', ['ping', 'weft-flood'], pingBesideUdp),
  step('ping', 'ping beside TCP', ['ping', 'iperf3'], pingBesideTcp),
  step('connections', 'TCP connections', ['weft-flood'], connections),
]

/** Of labs of our own. */
export const LAB_STEPS: readonly Step[] = [
  ...PAIR_STEPS,
  step('tcp', 'TCP, 1, back', ['iperf3'], (one, context) => tcpBack(one, context, 1)),
  step('tcp', 'TCP, 8, back', ['iperf3'], (one, context) => tcpBack(one, context, 8)),
  step('vip', 'TCP to a VIP', ['iperf3'], vipTcp),
  step('vip', 'VIP connections', ['weft-flood'], vipConnections),
]

/** The daemons' memory, when they have carried all that; of those that have daemons. */
export function memoryOf({ daemons }: Contestant): Figures {
  return daemons.length === 0 ? {} : { memory: residentBytes(daemons) / HOSTS / 1e6 }
}

const HOSTS = 2

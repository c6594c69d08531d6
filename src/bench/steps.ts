// What is measured, in which order.

import { connections, vipConnections } from './connections.ts'
import type { Contestant } from './contestant.ts'
import { residentBytes } from './cpu.ts'
import type { Tool } from './exec-place.ts'
import type { MeasureContext } from './measure-context.ts'
import { type Figures, type Group, UDP_PAYLOADS } from './metrics.ts'
import { ping, pingBesideTcp, pingBesideUdp } from './ping.ts'
import { tcp, tcpBack, vipTcp } from './tcp.ts'
import { udp } from './udp.ts'

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

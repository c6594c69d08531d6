// The shapes of docs/api.md that concern VIPs: what is balanced to whom, and the flows.

import type { RecordRef } from './types.ts'

export interface Tally {
  readonly packets: number
  readonly bytes: number
}

/** What a backend has had of the flows of this host. */
export interface LbBackend {
  readonly ip: string
  /** null: no record tells of one. */
  readonly endpoint: string | null
  readonly host: string | null
  /** healthy, starting, unhealthy, draining, dead, lost */
  readonly state: string
  readonly weight: number
  /** Now; of TCP those that are not closing. */
  readonly activeFlows: number
  /** Ever. */
  readonly flows: number
  readonly toBackend: Tally
  readonly fromBackend: Tally
}

/** GET /v1/lb: an array of these, one for each VIP; of both families two. */
export interface LbRow {
  readonly network: string
  readonly vni: number
  /** null: no record tells of one. */
  readonly service: string | null
  readonly vip: string
  /** rr, lc, sh, maglev */
  readonly scheduler: string
  /** How many turns round robin has taken on this host. */
  readonly position: number
  /** In the order in which they take turns. */
  readonly backends: readonly LbBackend[]
  readonly record: RecordRef | null
}

export const FLOW_PROTOCOLS = ['tcp', 'udp'] as const

export const FLOW_STATES = [
  'halfOpen',
  'established',
  'halfClosed',
  'closing',
  'closed',
  'doomed',
  'udpNew',
  'udp',
] as const

export interface Tuple {
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
}

/** GET /v1/flows: one on a line. */
export interface FlowRow {
  /** Of the client. */
  readonly network: string
  readonly vni: number
  readonly service: string | null
  readonly protocol: (typeof FLOW_PROTOCOLS)[number]
  readonly state: (typeof FLOW_STATES)[number]
  /** What the client sends: from it to the VIP. */
  readonly original: Tuple
  /** What the backend answers, before it is rewritten. */
  readonly reply: Tuple
  readonly backend: { readonly endpoint: string | null; readonly host: string | null }
  readonly ageSeconds: number
  /** Since its latest packet. */
  readonly idleMs: number
}

/** The query of GET /v1/flows. What is left out lets all through. */
export interface FlowFilter {
  /** A service's name, or a VIP. */
  readonly service?: string
  readonly protocol?: FlowRow['protocol']
  readonly state?: FlowRow['state']
  /** An address, or a subnet: of the client, of the VIP. */
  readonly source?: string
  readonly destination?: string
  /** At most so many. */
  readonly limit?: number
}

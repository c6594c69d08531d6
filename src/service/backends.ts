// The backends of a service on a network, from records: who takes part, in which order, and how. Pure.
//
// An endpoint is a backend by naming the service. What was decided about it (weight, drain) is another record, which any host writes.
// Endpoints of a host that is believed dead since a moment are dead: their flows wait for them. Later they are none. One that is drained,
// or not healthy (src/health), takes no new flows.

import { type HealthStatus, isServing } from '../netdb/health-check.ts'
import type { LiveRecord } from '../netdb/record.ts'

export type Endpoint = LiveRecord<'endpoint'>

/** Only `healthy` takes new flows: one that passes its checks, or has none. */
export type BackendCondition = HealthStatus | 'draining' | 'dead'

export interface Backend {
  readonly endpoint: Endpoint
  readonly weight: number
  readonly state: BackendCondition
}

export interface BackendsQuestion {
  readonly service: LiveRecord<'service'>
  /** The network's id. */
  readonly network: string
  /** Those that are served. */
  readonly endpoints: Iterable<Endpoint>
  readonly fallen: Iterable<Endpoint>
  readonly settings: Iterable<LiveRecord<'backend'>>
}

const DEFAULT_WEIGHT = 1

/** In the order in which they take turns: who came later comes behind, the same on every host. */
export function backendsOf(question: BackendsQuestion): Backend[] {
  const { service, network, endpoints, fallen } = question
  const name = service.value.name.toLowerCase()
  const settings = new Map(
    [...question.settings]
      .filter(({ value }) => value.service === service.key)
      .map(({ value }) => [value.endpoint, value]),
  )
  const isOne = ({ value }: Endpoint): boolean =>
    value.network === network && value.service?.toLowerCase() === name
  const backend = (endpoint: Endpoint, dead: boolean): Backend => {
    const { weight = DEFAULT_WEIGHT, drain = false } = settings.get(endpoint.key) ?? {}
    return { endpoint, weight, state: conditionOf(endpoint, dead, drain) }
  }
  return [
    ...[...endpoints].filter(isOne).map((endpoint) => backend(endpoint, false)),
    ...[...fallen].filter(isOne).map((endpoint) => backend(endpoint, true)),
  ].sort((a, b) => byClaim(a.endpoint, b.endpoint))
}

/** What was decided about it stands before what was found. */
function conditionOf({ value }: Endpoint, dead: boolean, drain: boolean): BackendCondition {
  if (dead) return 'dead'
  if (drain) return 'draining'
  return isServing(value.health) ? 'healthy' : (value.health ?? 'healthy')
}

function byClaim(a: Endpoint, b: Endpoint): number {
  if (a.value.claimedAt !== b.value.claimedAt) return a.value.claimedAt - b.value.claimedAt
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  return a.owner < b.owner ? -1 : Number(a.owner > b.owner)
}

// The hosts of the cluster for people: what gossip believes of each, and what its records say.

import type { Address, Member, MemberId, MemberState } from '../gossip/member.ts'
import type { Availability, Kind, LiveRecord, MemberValue } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'

export interface ClusterNode {
  readonly id: MemberId
  readonly name: string
  readonly self: boolean
  readonly state: MemberState
  readonly stateForMs: number
  readonly address: Address
  readonly incarnation: number
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
  /** As the host describes itself; null: not heard yet. Also of one that is down. */
  readonly value: MemberValue | null
  /** Names of its sandboxes that have endpoints. */
  readonly endpoints: readonly string[]
}

/** In the order of names. */
export function nodesOf(
  members: readonly Member[],
  netdb: Netdb,
  self: MemberId,
  nowMs: number,
): ClusterNode[] {
  const endpoints = new Map<MemberId, Set<string>>()
  for (const { owner, value } of known(netdb, 'endpoint')) {
    const names = endpoints.get(owner) ?? new Set<string>()
    endpoints.set(owner, names.add(value.name))
  }
  const values = new Map(known(netdb, 'member').map(({ key, value }) => [key, value]))
  return members
    .map((member) => {
      const setting = netdb.get('node', member.id)?.value
      return {
        id: member.id,
        name: member.name,
        self: member.id === self,
        state: member.state,
        stateForMs: Math.max(0, Math.round(nowMs - member.sinceMs)),
        address: member.address,
        incarnation: member.incarnation,
        availability: setting?.availability ?? ('active' as const),
        labels: setting?.labels ?? {},
        value: values.get(member.id) ?? null,
        endpoints: [...(endpoints.get(member.id) ?? [])].sort(),
      }
    })
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** Served or hidden: also what hosts that are down have said. */
function known<K extends Kind>(netdb: Netdb, kind: K): LiveRecord<K>[] {
  return [...netdb.list(kind), ...netdb.listHidden(kind)]
}

// A member's place in its cluster, for people.

import type { Address, Member, MemberId, MemberState } from '../gossip/member.ts'
import type { Hash } from '../netdb/hash.ts'
import type { Netdb } from '../netdb/table.ts'

export interface Status {
  readonly id: string
  readonly memberId: MemberId
  readonly address: string
  readonly port: number
  readonly members: Readonly<Record<MemberState, number>>
  readonly records: number
  readonly digest: string
}

export function statusOf(
  self: { readonly clusterId: string; readonly memberId: MemberId; readonly address: Address },
  all: readonly Member[],
  netdb: Pick<Netdb, 'stored'>,
): Status {
  const members = { alive: 0, suspect: 0, dead: 0, left: 0 }
  for (const member of all) members[member.state] += 1
  return {
    id: self.clusterId,
    memberId: self.memberId,
    address: self.address.ip,
    port: self.address.port,
    members,
    records: netdb.stored.count,
    digest: formatHash(netdb.stored.root),
  }
}

function formatHash({ high, low }: Hash): string {
  return [high, low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
}

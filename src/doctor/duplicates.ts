// Duplicates: an address or a MAC that two endpoints of one network claim. Pure.

import { collisions } from '../ipam/collisions.ts'
import type { LiveRecord } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { type Finding, fine } from './finding.ts'

interface Holder {
  readonly endpoint: LiveRecord<'endpoint'>
  /** Its host is not up: nobody is sent there now. */
  readonly hidden: boolean
}

type View = Pick<Netdb, 'list' | 'listHidden' | 'nameOfMember'>

export function judgeDuplicates(netdb: View): Finding[] {
  const holders: Holder[] = [
    ...netdb.list('endpoint').map((endpoint) => ({ endpoint, hidden: false })),
    ...netdb.listHidden('endpoint').map((endpoint) => ({ endpoint, hidden: true })),
  ]
  const claimed = new Map<string, Holder[]>()
  for (const holder of holders) {
    for (const name of claimsOf(holder.endpoint, netdb)) {
      const others = claimed.get(name)
      if (others === undefined) claimed.set(name, [holder])
      else others.push(holder)
    }
  }
  const twice = [...claimed].filter(([, those]) => those.length > 1)
  if (twice.length === 0)
    return [fine('duplicates', 'addresses', `of ${holders.length} endpoints each has its own`)]
  return twice.map(([name, those]) => finding(name, those, netdb))
}

/** An older claim is served everywhere; it stands first. */
function finding(name: string, holders: readonly Holder[], netdb: View): Finding {
  const sorted = holders.toSorted(
    (a, b) =>
      Number(a.hidden) - Number(b.hidden) ||
      a.endpoint.value.claimedAt - b.endpoint.value.claimedAt ||
      (a.endpoint.owner < b.endpoint.owner ? -1 : 1),
  )
  const who = sorted.map(({ endpoint, hidden }) => {
    const host = netdb.nameOfMember(endpoint.owner)
    return `${endpoint.value.name} on ${host}${hidden ? ' (not up)' : ''}`
  })
  const served = sorted.filter(({ hidden }) => !hidden).length
  return {
    check: 'duplicates',
    subject: name,
    verdict: served > 1 ? 'fail' : 'warn',
    found: `is claimed by ${who.join(' and ')}`,
    advice:
      served > 1
        ? `only ${who[0] ?? ''} is reached; the other's host should have given it another address: see weft events there, or end it with weft rm`
        : `nothing now: a host that comes back gives its own another address, or ends what asked for this one`,
  }
}

/** Whether two that are served claim one thing: their hosts are about to tell them apart, or cannot. */
export function servesTwice(netdb: Pick<Netdb, 'list'>): boolean {
  const endpoints = netdb.list('endpoint')
  return collisions({ networks: [], subnets: [], endpoints, present: [] }).length > 0
}

function claimsOf({ value }: LiveRecord<'endpoint'>, netdb: View): string[] {
  const network =
    netdb.list('network').find(({ key }) => key === value.network)?.value.name ?? value.network
  const addresses = [value.ip, ...(value.ip6 === null ? [] : [value.ip6])]
  return [...addresses, `MAC ${value.mac}`].map((claim) => `${claim} on ${network}`)
}

// Duplicates: an address or a MAC that two of one network claim, endpoints or VIPs. Pure.

import { NO_CLAIMS, collisions } from '../ipam/collisions.ts'
import { macFromIpv4 } from '../net/mac-address.ts'
import type { LiveRecord } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { type Finding, fine } from './finding.ts'

interface Holder {
  readonly record: LiveRecord<'endpoint'> | LiveRecord<'vip'>
  /** Its host is not up: nobody is sent there now. */
  readonly hidden: boolean
}

type View = Pick<Netdb, 'list' | 'listHidden' | 'get' | 'nameOfMember'>

export function judgeDuplicates(netdb: View): Finding[] {
  const vips = netdb.list('vip')
  const holders: Holder[] = [
    ...netdb.list('endpoint').map((record) => ({ record, hidden: false })),
    ...netdb.listHidden('endpoint').map((record) => ({ record, hidden: true })),
    ...vips.map((record) => ({ record, hidden: false })),
  ]
  const claimed = new Map<string, Holder[]>()
  for (const holder of holders) {
    for (const name of claimsOf(holder.record, netdb)) {
      const others = claimed.get(name)
      if (others === undefined) claimed.set(name, [holder])
      else others.push(holder)
    }
  }
  const twice = [...claimed].filter(([, those]) => those.length > 1)
  if (twice.length > 0) return twice.map(([name, those]) => finding(name, those, netdb))
  const all = [
    counted(holders.length - vips.length, 'endpoint'),
    ...(vips.length === 0 ? [] : [counted(vips.length, 'VIP')]),
  ]
  return [fine('duplicates', 'addresses', `of ${all.join(' and ')} each has its own`)]
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

/** An older claim is served everywhere; it stands first. */
function finding(name: string, holders: readonly Holder[], netdb: View): Finding {
  const sorted = holders.toSorted(
    (a, b) =>
      Number(a.hidden) - Number(b.hidden) ||
      a.record.value.claimedAt - b.record.value.claimedAt ||
      (a.record.owner < b.record.owner ? -1 : 1),
  )
  const who = sorted.map(
    ({ record, hidden }) => `${called(record, netdb)}${hidden ? ' (not up)' : ''}`,
  )
  const served = sorted.filter(({ hidden }) => !hidden).length
  return {
    check: 'duplicates',
    subject: name,
    verdict: served > 1 ? 'fail' : 'warn',
    found: `is claimed by ${who.join(' and ')}`,
    advice:
      served > 1
        ? `only ${who[0] ?? ''} is reached; the other should have been given another address: see weft events on its host, or end it with weft rm or weft service rm`
        : `nothing now: a host that comes back gives its own another address, or ends what asked for this one`,
  }
}

function called(record: Holder['record'], netdb: View): string {
  if (record.kind === 'endpoint')
    return `${record.value.name} on ${netdb.nameOfMember(record.owner)}`
  const { service } = record.value
  return `the VIP of service ${netdb.get('service', service)?.value.name ?? service}`
}

/** Whether two that are served claim one thing: their hosts are about to tell them apart, or cannot. */
export function servesTwice(netdb: Pick<Netdb, 'list'>): boolean {
  const [endpoints, vips] = [netdb.list('endpoint'), netdb.list('vip')]
  return collisions({ ...NO_CLAIMS, endpoints, vips }).length > 0
}

function claimsOf(record: Holder['record'], netdb: View): string[] {
  const { network, ip, ip6 } = record.value
  const where = netdb.list('network').find(({ key }) => key === network)?.value.name ?? network
  const mac = record.kind === 'vip' ? macFromIpv4(ip) : record.value.mac
  return [ip, ...(ip6 === null ? [] : [ip6]), `MAC ${mac}`].map((claim) => `${claim} on ${where}`)
}

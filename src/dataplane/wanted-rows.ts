// All rows that native should have, derived from scratch from the records as they stand. Pure.
//
// The programmer gets there change by change; the audit compares the two ways.

import { type LiveRecord, recordName } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { Claims } from './claims.ts'
import {
  OF_THE_NETWORK,
  type View,
  claimOf,
  endpointRows,
  memberRows,
  networkRows,
} from './derive.ts'
import type { Row } from './rows.ts'
import { vipRows } from './service-rows.ts'

export function wantedRows(netdb: Pick<Netdb, 'list'>, view: View): Row[] {
  const claims = new Claims()
  for (const member of netdb.list('member'))
    claims.replace(recordName(member), claimOf(member), memberRows(member, view))
  const endpoints = byNetwork(netdb.list('endpoint'))
  const subnets = byNetwork(netdb.list('subnet'))
  const vips = byNetwork(netdb.list('vip'))
  for (const network of netdb.list('network')) {
    const those = endpoints.get(network.key) ?? []
    const active = those.some(
      ({ owner, key }) => owner === view.self && view.portOf(key) !== undefined,
    )
    if (!active) continue
    const here = vips.get(network.key) ?? []
    const parts = {
      network,
      subnets: subnets.get(network.key) ?? [],
      endpoints: those,
      hasVips: here.length > 0,
    }
    for (const vip of here) {
      const rows = vipRows({ ...parts, ...ofService(netdb, vip), vip }, view)
      claims.replace(recordName(vip), claimOf(vip), rows)
    }
    claims.replace(`gathered/${network.key}`, OF_THE_NETWORK, networkRows(parts, view))
  }
  for (const [, those] of endpoints) {
    if (!those.some(({ owner, key }) => owner === view.self && view.portOf(key) !== undefined))
      continue
    for (const endpoint of those)
      claims.replace(recordName(endpoint), claimOf(endpoint), endpointRows(endpoint, view))
  }
  return claims.winners()
}

function ofService(netdb: Pick<Netdb, 'list'>, vip: LiveRecord<'vip'>) {
  return {
    service: netdb.list('service').find(({ key }) => key === vip.value.service),
    settings: netdb.list('backend').filter(({ value }) => value.service === vip.value.service),
  }
}

function byNetwork<K extends 'endpoint' | 'subnet' | 'vip'>(
  records: readonly LiveRecord<K>[],
): Map<string, LiveRecord<K>[]> {
  const groups = new Map<string, LiveRecord<K>[]>()
  for (const record of records) {
    const group = groups.get(record.value.network)
    if (group === undefined) groups.set(record.value.network, [record])
    else group.push(record)
  }
  return groups
}

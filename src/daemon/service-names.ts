// Services as names: what is recorded of them is told to the resolver. vip mode: the VIP; dnsrr: the endpoints, which it knows.

import type { Names } from '../dns/names.ts'
import { type NetdbRecord, vipKey } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { serviceNamed } from '../service/service-reference.ts'

/** Follows the records; gives the function that ends it. */
export function followServices(netdb: Netdb, names: Pick<Names, 'setService'>): () => void {
  const tell = (record: NetdbRecord): void => {
    if (record.kind === 'service' && record.value !== null) {
      for (const network of record.value.networks) tellOne(netdb, names, network, record.value.name)
    }
    if (record.kind !== 'vip' || record.value === null) return
    const { service, network } = record.value
    const name = netdb.get('service', service)?.value.name
    if (name !== undefined) tellOne(netdb, names, network, name)
  }
  for (const service of netdb.list('service') as NetdbRecord[]) tell(service)
  return netdb.watch(({ before, after }) => {
    if (before !== undefined) tell(before)
    if (after !== undefined) tell(after)
  })
}

/** Of two services with one name on a network the older has it. */
function tellOne(
  netdb: Netdb,
  names: Pick<Names, 'setService'>,
  network: string,
  name: string,
): void {
  const here = netdb.list('service').filter(({ value }) => value.networks.includes(network))
  const service = serviceNamed(here, name)
  const vip = service && netdb.get('vip', vipKey({ service: service.key, network }))?.value
  const addresses = { vip: vip?.ip ?? null, vip6: vip?.ip6 ?? null }
  names.setService(network, name, service === undefined ? null : addresses)
}

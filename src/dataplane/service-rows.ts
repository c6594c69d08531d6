// A VIP → rows: the service row of each family, and the neighbour row that answers ARP and ND. Pure.

import { type Cidr, cidrContains } from '../net/cidr.ts'
import type { IpAddress } from '../net/ip-address.ts'
import { macFromIpv4 } from '../net/mac-address.ts'
import { nameKeyOf } from '../netdb/hash.ts'
import type { LiveRecord } from '../netdb/record.ts'
import { type BackendCondition, backendsOf } from '../service/backends.ts'
import type { View } from './derive.ts'
import { type BackendOfService, type BackendState, MOST_BACKENDS, type Row } from './rows.ts'

/** A VIP with all that its rows are made of. */
export interface VipParts {
  readonly vip: LiveRecord<'vip'>
  /** undefined: its record has not arrived. */
  readonly service: LiveRecord<'service'> | undefined
  readonly settings: Iterable<LiveRecord<'backend'>>
  /** Of its network. */
  readonly subnets: Iterable<LiveRecord<'subnet'>>
  readonly endpoints: Iterable<LiveRecord<'endpoint'>>
}

/** Rows of a VIP on a network in use here. */
export function vipRows(parts: VipParts, view: View): Row[] {
  const { vip, service, settings, endpoints } = parts
  if (service === undefined) return []
  const subnets = [...parts.subnets]
  const { network, ip, ip6 } = vip.value
  const backends = backendsOf({ service, network, endpoints, fallen: view.fallen(), settings })
  const record = view.numberOf(vip)
  const mac = macFromIpv4(ip)
  const families: (IpAddress | null)[] = [ip, ip6]
  return families.flatMap((address): Row[] => {
    const vni = address === null ? undefined : vniOf(address, subnets)
    if (address === null || vni === undefined) return []
    const those = backends.flatMap(({ endpoint, weight, state }): BackendOfService[] => {
      const own = address === ip ? endpoint.value.ip : endpoint.value.ip6
      const record = view.numberOf(endpoint)
      const { vni } = endpoint.value
      return own === null ? [] : [{ record, ip: own, vni, weight, state: rowState(state) }]
    })
    return [
      { table: 'neighbour', vni, ip: address, record, mac, gateway: false },
      {
        table: 'service',
        vni,
        vip: address,
        record,
        service: serviceNumber(service.key, address === ip ? '' : '/6'),
        mac,
        scheduler: service.value.scheduler,
        ports: [],
        backends: those.slice(0, MOST_BACKENDS),
      },
    ]
  })
}

/** Native has one word for who keeps flows and takes none, whatever the reason. */
function rowState(condition: BackendCondition): BackendState {
  return condition === 'starting' || condition === 'unhealthy' ? 'draining' : condition
}

/**
 * The same on every host and after every restart: positions of round robin and flows are kept by it. Each family has a position of
 * its own: of one that is shared a client that tries IPv6 first, and is refused there, would take every second turn away from IPv4.
 */
function serviceNumber(id: string, family: '' | '/6'): number {
  return Math.max(1, nameKeyOf(`service/${id}${family}`))
}

/** A subnet may have been given another VNI since the VIP was chosen. */
function vniOf(address: IpAddress, subnets: readonly LiveRecord<'subnet'>[]): number | undefined {
  return subnets.find(({ value: { cidr, cidr6 } }) => {
    const ranges: Cidr[] = cidr6 === null ? [cidr] : [cidr, cidr6]
    return ranges.some((range) => cidrContains(range, address))
  })?.value.vni
}

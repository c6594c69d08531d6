// Records → rows. Pure: what a record means for the native tables, given what else is known.

import type { LiveRecord, NetdbRecord } from '../netdb/record.ts'
import type { Cidr } from '../net/cidr.ts'
import type { IpAddress } from '../net/ip-address.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import { linkLocalOf, macFromIpv4 } from '../net/mac-address.ts'
import type { ClaimOrder } from './claims.ts'
import type { PortId, RecordNumber, Row } from './rows.ts'

/** What derivation looks up. */
export interface View {
  /** This host's member id. */
  readonly self: string
  /** Overlay MTU of networks that do not set one, in bytes. */
  readonly mtu: number
  /** What overlays send to that member at most, in bytes. */
  mtuTo(member: string): number
  /** The open port of an endpoint of this host. */
  portOf(endpoint: string): PortId | undefined
  vtepOf(member: string): Ipv4Address | undefined
  numberOf(record: NetdbRecord): RecordNumber
  /** Endpoints of hosts that went a moment ago: their flows wait for them. */
  fallen(): Iterable<LiveRecord<'endpoint'>>
}

/** A network with all that belongs to it. */
export interface NetworkParts {
  readonly network: LiveRecord<'network'>
  readonly subnets: Iterable<LiveRecord<'subnet'>>
  readonly endpoints: Iterable<LiveRecord<'endpoint'>>
  /** Some service has a VIP on it. */
  readonly hasVips: boolean
}

/** No endpoint takes a gateway's address: the network's own rows stand before all claims. */
export const OF_THE_NETWORK: ClaimOrder = { claimedAt: -1, owner: '' }

/** How a record's claims to rows stand among others'. */
export function claimOf({ kind, owner, value }: NetdbRecord): ClaimOrder {
  return {
    claimedAt: (kind === 'endpoint' || kind === 'vip') && value !== null ? value.claimedAt : 0,
    owner,
  }
}

/** Where frames for an endpoint go; undefined: not known (yet). */
function destination(
  endpoint: LiveRecord<'endpoint'>,
  view: View,
): PortId | Ipv4Address | undefined {
  return endpoint.owner === view.self ? view.portOf(endpoint.key) : view.vtepOf(endpoint.owner)
}

/** A member: its VTEP may send to us. Ours may not: what comes from there is forged or looping. */
export function memberRows(member: LiveRecord<'member'>, view: View): Row[] {
  if (member.key === view.self) return []
  return [{ table: 'vtep', vtep: member.value.vtep, record: view.numberOf(member) }]
}

/** An endpoint of a network in use here: where its MAC is, which MAC its addresses have. */
export function endpointRows(endpoint: LiveRecord<'endpoint'>, view: View): Row[] {
  const to = destination(endpoint, view)
  if (to === undefined) return []
  const { vni, mac, ip, ip6 } = endpoint.value
  const record = view.numberOf(endpoint)
  const rows: Row[] = [{ table: 'fdb', vni, mac, record, to }]
  const addresses: (IpAddress | null)[] = [ip, ip6, linkLocalOf(mac)]
  for (const address of addresses) {
    if (address !== null)
      rows.push({ table: 'neighbour', vni, ip: address, record, mac, gateway: false })
  }
  if (typeof to === 'number') rows.push({ table: 'port', port: to, record, vni })
  return rows
}

/** A network in use here: a row for each subnet, the gateways' neighbours, and the router between the subnets. */
export function networkRows(parts: NetworkParts, view: View): Row[] {
  const subnets = [...parts.subnets].sort((a, b) => a.value.vni - b.value.vni)
  const [first] = subnets
  if (first === undefined) return []
  // The lowest VNI of a network names its router: no other network has it.
  const router = first.value.vni
  const places = placesOf(parts.endpoints, view)
  const learning = parts.network.value.learning
    .flatMap((member) => view.vtepOf(member) ?? [])
    .sort()

  const rows: Row[] = []
  const routed: { cidr: Cidr; vni: number }[] = []
  const addresses: IpAddress[] = []
  for (const subnet of subnets) {
    const { vni, cidr, gateway, cidr6, gateway6 } = subnet.value
    const record = view.numberOf(subnet)
    const gatewayMac = macFromIpv4(gateway)
    const here = places.get(vni)
    rows.push({
      table: 'network',
      vni,
      record,
      router,
      mtu: networkMtu(parts, view),
      gatewayMac,
      gateway4: gateway,
      gateway6,
      services: parts.hasVips,
      ports: [...(here?.ports ?? [])].sort((a, b) => a - b),
      // Nobody knows where a learning peer has endpoints: it gets what is flooded in every subnet.
      vteps: [...new Set([...(here?.vteps ?? []), ...learning])].sort(),
      learning,
    })
    routed.push({ cidr, vni })
    if (cidr6 !== null) routed.push({ cidr: cidr6, vni })
    const own: (IpAddress | null)[] = [gateway, gateway6, linkLocalOf(gatewayMac)]
    for (const address of own) {
      if (address === null) continue
      rows.push({ table: 'neighbour', vni, ip: address, record, mac: gatewayMac, gateway: true })
      addresses.push(address)
    }
  }
  const record = view.numberOf(parts.network)
  rows.push({ table: 'router', router, record, subnets: routed, addresses })
  return rows
}

/** The MTU of a network: its own if it has one, else what the way to every host with endpoints on it carries. */
export function networkMtu(
  { network, endpoints }: Pick<NetworkParts, 'network' | 'endpoints'>,
  view: View,
): number {
  if (network.value.mtu !== null) return network.value.mtu
  const members = new Set([...endpoints].map(({ owner }) => owner))
  for (const member of network.value.learning) members.add(member)
  members.delete(view.self)
  return Math.min(view.mtu, ...[...members].map((member) => view.mtuTo(member)))
}

interface Places {
  readonly ports: Set<PortId>
  readonly vteps: Set<Ipv4Address>
}

/** VNI → where its endpoints are. */
function placesOf(endpoints: Iterable<LiveRecord<'endpoint'>>, view: View): Map<number, Places> {
  const places = new Map<number, Places>()
  for (const endpoint of endpoints) {
    const to = destination(endpoint, view)
    if (to === undefined) continue
    let here = places.get(endpoint.value.vni)
    if (here === undefined) {
      here = { ports: new Set(), vteps: new Set() }
      places.set(endpoint.value.vni, here)
    }
    if (typeof to === 'number') here.ports.add(to)
    else here.vteps.add(to)
  }
  return places
}

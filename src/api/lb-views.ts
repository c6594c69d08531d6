// What the API shows of VIPs, their backends and the flows to them.

import type { FlowEntry, ServiceEntry } from '../dataplane/binding.ts'
import { isServing } from '../netdb/health-check.ts'
import { type NetdbRecord, backendKey as settingKey } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { type Cidr, cidrContains, cidrOf, parseCidr } from '../net/cidr.ts'
import { parseIpAddress } from '../net/ip-address.ts'
import { WeftError } from '../errors.ts'
import type { FlowFilter, FlowRow, LbRow } from './lb-types.ts'
import { networkNamesOf, origin } from './views.ts'

export type RecordOf = (number: number) => NetdbRecord | undefined

/** The VIPs of native, each with the records behind it and its backends. */
export function lbRows(
  entries: readonly ServiceEntry[],
  recordOf: RecordOf,
  netdb: Netdb,
): LbRow[] {
  const names = networkNamesOf(netdb)
  const rows = entries.map((entry): LbRow => {
    const own = recordOf(entry.record)
    const { network, record } = origin(own, entry.vni, names, netdb)
    return {
      network,
      vni: entry.vni,
      service: serviceName(own, (name) => netdb.find(name)),
      vip: entry.vip,
      scheduler: entry.scheduler,
      position: entry.position,
      backends: entry.backends.map((backend) => {
        const behind = recordOf(backend.record)
        const { endpoint, host } = origin(behind, backend.vni, names, netdb)
        return {
          ip: backend.ip,
          endpoint,
          host,
          state: stateOf(backend.state, own, behind, netdb),
          weight: backend.weight,
          activeFlows: backend.active,
          flows: backend.flows,
          toBackend: { packets: backend.packetsOut, bytes: backend.bytesOut },
          fromBackend: { packets: backend.packetsIn, bytes: backend.bytesIn },
        }
      }),
      record,
    }
  })
  return rows.sort(
    (a, b) =>
      compare(a.network, b.network) ||
      compare(a.service ?? '', b.service ?? '') ||
      a.vni - b.vni ||
      compare(a.vip, b.vip),
  )
}

/** Native's word, or why native has been told that it drains: by its health, where nobody decided so. */
function stateOf(
  state: ServiceEntry['backends'][number]['state'],
  vip: NetdbRecord | undefined,
  endpoint: NetdbRecord | undefined,
  netdb: Netdb,
): string {
  if (state !== 'draining' || endpoint?.kind !== 'endpoint') return state
  const health = endpoint.value?.health
  if (health === undefined || isServing(health)) return state
  if (vip?.kind !== 'vip' || vip.value === null) return health
  const key = settingKey({ service: vip.value.service, endpoint: endpoint.key })
  return netdb.get('backend', key)?.value.drain === true ? state : health
}

/**
 * The service that a VIP's row is of. A row derives from a service's record, or from that of a VIP, which says whose it is.
 */
export function serviceName(
  record: NetdbRecord | undefined,
  find: (name: string) => NetdbRecord | undefined,
): string | null {
  if (record === undefined) return null
  const kind: string = record.kind
  const value = record.value as { readonly name?: unknown; readonly service?: unknown } | null
  if (kind === 'service') return typeof value?.name === 'string' ? value.name : null
  if (kind !== 'vip' || typeof value?.service !== 'string') return null
  return serviceName(find(`service/${value.service}`), find)
}

/** What flows are shown with: made once for a whole list. */
export interface FlowNames {
  /** VNI → network. */
  readonly networks: ReadonlyMap<number, string>
  /** The service's number → its name, its VIPs. */
  readonly services: ReadonlyMap<
    number,
    { readonly name: string | null; readonly vips: readonly string[] }
  >
  /** backendKey → the endpoint. */
  readonly backends: ReadonlyMap<
    string,
    { readonly endpoint: string | null; readonly host: string | null }
  >
}

export function flowNames(
  entries: readonly ServiceEntry[],
  recordOf: RecordOf,
  netdb: Netdb,
): FlowNames {
  const networks = networkNamesOf(netdb)
  const services = new Map<number, { name: string | null; vips: string[] }>()
  const backends = new Map<string, { endpoint: string | null; host: string | null }>()
  for (const entry of entries) {
    const name = serviceName(recordOf(entry.record), (record) => netdb.find(record))
    const before = services.get(entry.service)
    const vips = [...(before?.vips ?? []), entry.vip]
    services.set(entry.service, { name: before?.name ?? name, vips })
    for (const { record, ip, vni } of entry.backends) {
      const { endpoint, host } = origin(recordOf(record), vni, networks, netdb)
      backends.set(backendKey(entry.service, ip), { endpoint, host })
    }
  }
  return { networks, services, backends }
}

/**
 * What the filter lets through, as a question to one flow.
 *
 * @throws WeftError not_found: no service of that name has a VIP here; invalid_argument: no address and no subnet
 */
export function flowTest(filter: FlowFilter, names: FlowNames): (flow: FlowEntry) => boolean {
  const { protocol, state } = filter
  const isOfService = filter.service === undefined ? all : serviceTest(filter.service, names)
  const source = filter.source === undefined ? null : subnetOf(filter.source)
  const destination = filter.destination === undefined ? null : subnetOf(filter.destination)
  return (flow) =>
    (protocol ?? flow.protocol) === flow.protocol &&
    (state ?? flow.state) === flow.state &&
    isOfService(flow) &&
    (source === null || cidrContains(source, flow.client)) &&
    (destination === null || cidrContains(destination, flow.vip))
}

/** @param nowNs on the clock of the flows, CLOCK_MONOTONIC */
export function flowRow(flow: FlowEntry, names: FlowNames, nowNs: bigint): FlowRow {
  const backend = names.backends.get(backendKey(flow.service, flow.backend))
  return {
    network: names.networks.get(flow.vni) ?? '',
    vni: flow.vni,
    service: names.services.get(flow.service)?.name ?? null,
    protocol: flow.protocol,
    state: flow.state,
    original: {
      source: flow.client,
      sourcePort: flow.clientPort,
      destination: flow.vip,
      destinationPort: flow.vipPort,
    },
    reply: {
      source: flow.backend,
      sourcePort: flow.backendPort,
      destination: flow.source,
      destinationPort: flow.sourcePort,
    },
    backend: { endpoint: backend?.endpoint ?? null, host: backend?.host ?? null },
    // A worker may have seen a packet since `now` was read.
    ageSeconds: Math.max(0, Number(nowNs / 1_000_000_000n) - flow.createdSeconds),
    idleMs: Math.max(0, Number((nowNs - flow.usedNs) / 1_000_000n)),
  }
}

function serviceTest(wanted: string, { services }: FlowNames): (flow: FlowEntry) => boolean {
  const lower = wanted.toLowerCase()
  const numbers = new Set(
    [...services]
      .filter(([, { name, vips }]) => name?.toLowerCase() === lower || vips.includes(lower))
      .map(([number]) => number),
  )
  if (numbers.size > 0) return ({ service }) => numbers.has(service)
  // Flows outlive their service's row.
  if (isAddress(lower)) return ({ vip }) => vip === lower
  throw new WeftError(
    'not_found',
    `no VIP on this host is of a service '${wanted}'; see weft lb ls, or give the VIP`,
  )
}

const all = (): boolean => true

function isAddress(text: string): boolean {
  try {
    parseIpAddress(text)
    return true
  } catch {
    return false
  }
}

function subnetOf(text: string): Cidr {
  if (text.includes('/')) return parseCidr(text)
  const address = parseIpAddress(text)
  return cidrOf(address, address.includes(':') ? 128 : 32)
}

function backendKey(service: number, ip: string): string {
  return `${service}/${ip}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

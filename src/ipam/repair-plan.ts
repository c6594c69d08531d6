// The repair plan: what this host does about collisions, from all records and what it knows of its own endpoints.
//
// Pure: who carries it out looks again afterwards, and is done when a plan has no action. Every host finds the same; each does its part.
//
//   readdress  an endpoint of this host loses: it gets another address, live
//   stop       the same, but it was asked for exactly this one: its sandbox ends, with the reason
//   renumber   a subnet of the younger of two networks gets another VNI; the first of the present members does that
//   revip      a VIP loses: it gets another address; the first of the present members does that
//   discard    a VIP of no service: removed in the other half, or its host died as it made it; the same member takes it back, if it stays so
//   follow     an endpoint of this host is on a subnet that has another VNI by now: its record says so

import type { Vni } from '../net/vni.ts'
import { type LiveRecord, type SubnetValue, recordName } from '../netdb/record.ts'
import { type Finding, collisions } from './collisions.ts'
import { subnetOfEndpoint } from './endpoint-subnet.ts'
import type { Contenders } from './preference.ts'
import { chooseVni } from './vni-choice.ts'

export interface RepairView {
  /** This host's member id. */
  readonly self: string
  readonly networks: readonly LiveRecord<'network'>[]
  readonly subnets: readonly LiveRecord<'subnet'>[]
  /** Also those that are hidden. */
  readonly endpoints: readonly LiveRecord<'endpoint'>[]
  readonly services: readonly LiveRecord<'service'>[]
  readonly vips: readonly LiveRecord<'vip'>[]
  /** Ids of members that are present, this host's among them. */
  readonly present: readonly string[]
  readonly contenders: Contenders
  /** What is not in the record of an endpoint of this host, by its key; undefined: it is not there yet, or not any more. */
  readonly specOf: (endpoint: string) => OwnEndpoint | undefined
}

/** What this host knows of an endpoint of its own. */
export interface OwnEndpoint {
  /** It asked for the addresses that it has: no others will do. */
  readonly asked: boolean
  /** Of its IPv4 address. */
  readonly prefixLength: number
}

/** Somebody has to take another address. */
export type AddressFinding = Extract<Finding, { readonly repair: 'readdress' }>

/** Endpoints by their keys, all of this host. */
export type RepairAction =
  | {
      readonly kind: 'readdress' | 'stop'
      readonly endpoint: string
      readonly finding: AddressFinding
    }
  | {
      readonly kind: 'renumber'
      readonly subnet: string
      /** The subnet as it is to be. */
      readonly value: SubnetValue
      readonly finding: Finding & { readonly kind: 'vni' }
    }
  | {
      readonly kind: 'revip'
      /** By its key. */
      readonly vip: string
      readonly finding: AddressFinding
    }
  | { readonly kind: 'discard'; readonly vip: string }
  | { readonly kind: 'follow'; readonly endpoint: string; readonly vni: Vni }

export interface RepairPlan {
  /** All that collides, whoever acts. */
  readonly findings: readonly Finding[]
  readonly actions: readonly RepairAction[]
}

/** @throws WeftError no_address when no VNI is free */
export function planRepair(view: RepairView): RepairPlan {
  const { self, networks, subnets, endpoints, services, present } = view
  const known = new Set(services.map(({ key }) => key))
  const findings = collisions({
    networks: networks.map(({ key, value }) => ({ id: key, ...value })),
    subnets: subnets.map(({ key, value }) => ({ key, ...value })),
    endpoints,
    services: services.map(({ key, value }) => ({ id: key, ...value })),
    // Of one without its service nobody is sent anywhere.
    vips: view.vips.filter(({ value }) => known.has(value.service)),
    present,
  })
  const ours = findings.filter(({ actor }) => actor === self)
  const moves = endpointActions(ours, view)
  const moving = new Set(moves.map(({ endpoint }) => endpoint))
  return {
    findings,
    actions: [
      ...moves,
      ...renumberings(ours, view),
      ...vipActions(ours, view),
      ...followings(view).filter(({ endpoint }) => !moving.has(endpoint)),
    ],
  }
}

/** A finding is the same one as long as this is. */
export function findingName(finding: Finding): string {
  return `${finding.kind} ${finding.loses} ${finding.keeps}`
}

function endpointActions(
  findings: readonly Finding[],
  { self, endpoints, specOf }: RepairView,
): (RepairAction & { readonly kind: 'readdress' | 'stop' })[] {
  const own = new Map(
    endpoints
      .filter(({ owner }) => owner === self)
      .map((endpoint) => [recordName(endpoint), endpoint.key]),
  )
  return findings.flatMap((finding) => {
    const endpoint = finding.kind === 'endpoint' ? own.get(finding.loses) : undefined
    if (finding.kind !== 'endpoint' || endpoint === undefined) return []
    const asked = specOf(endpoint)?.asked ?? false
    return [{ kind: asked ? 'stop' : 'readdress', endpoint, finding }]
  })
}

function renumberings(
  findings: readonly Finding[],
  { subnets, contenders }: RepairView,
): RepairAction[] {
  const held = new Set(subnets.map(({ value }) => value.vni))
  const byKey = new Map(subnets.map((subnet) => [subnet.key, subnet]))
  return findings.flatMap((finding) => {
    const subnet = finding.kind === 'vni' ? byKey.get(finding.loses) : undefined
    // What stands in a facts file is not ours to write; it is older than any record, so two files disagree.
    if (finding.kind !== 'vni' || subnet === undefined || subnet.version.lamport === 0) return []
    const vni = chooseVni(held, contenders)
    held.add(vni)
    return [{ kind: 'renumber', subnet: subnet.key, value: { ...subnet.value, vni }, finding }]
  })
}

function vipActions(
  findings: readonly Finding[],
  { self, vips, services, present }: RepairView,
): RepairAction[] {
  const byName = new Map(vips.map((vip) => [recordName(vip), vip.key]))
  const moves = findings.flatMap((finding): RepairAction[] => {
    const vip = finding.kind === 'vip' ? byName.get(finding.loses) : undefined
    return finding.kind !== 'vip' || vip === undefined ? [] : [{ kind: 'revip', vip, finding }]
  })
  if (present.some((id) => id < self)) return moves
  const known = new Set(services.map(({ key }) => key))
  const orphans = vips.filter(({ value }) => !known.has(value.service))
  return [...moves, ...orphans.map(({ key }) => ({ kind: 'discard', vip: key }) as const)]
}

function followings({
  self,
  subnets,
  endpoints,
  specOf,
}: RepairView): (RepairAction & { readonly kind: 'follow' })[] {
  const byNetwork = new Map<string, SubnetValue[]>()
  for (const { value } of subnets) {
    byNetwork.set(value.network, [...(byNetwork.get(value.network) ?? []), value])
  }
  return endpoints.flatMap(({ key, owner, value }) => {
    if (owner !== self) return []
    const place = { ip: value.ip, prefixLength: specOf(key)?.prefixLength }
    const subnet = subnetOfEndpoint(place, byNetwork.get(value.network) ?? [])
    return subnet === undefined || subnet.vni === value.vni
      ? []
      : [{ kind: 'follow', endpoint: key, vni: subnet.vni }]
  })
}

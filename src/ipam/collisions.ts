// Collisions: what two hosts claimed at the same time, or in two halves of a partition, and what is to be done about it by whom.
//
// A pure function of the records: every host comes to the same findings, in the same order, whatever it heard first. Only the actor of
// a finding acts. Absent members' claims count as those of present ones, or hosts that disagree about who is present would disagree here.
//
//   endpoints   one IP, IPv6 address or MAC on a network   the later claim loses; its owner gives it others, or stops it if it asked for them
//   VIPs        the same, with endpoints and each other    the later claim loses; a VIP is given another address
//   subnets     two that overlap                           told; the VNI keeps networks apart, but no sandbox may join both
//   VNIs        two subnets with one                       the subnet of the younger network is given another
//   names       two networks, or two services, with one    told; the name means the older, the younger is reached by its id

import { macFromIpv4 } from '../net/mac-address.ts'
import { type EndpointValue, type LiveRecord, recordName } from '../netdb/record.ts'
import { type Cidr, cidrsOverlap, sortedByCidr } from '../net/cidr.ts'
import type { Vni } from '../net/vni.ts'

/** An endpoint as its owner wrote it. */
export type EndpointClaim = Pick<LiveRecord<'endpoint'>, 'kind' | 'key' | 'owner'> & {
  readonly value: EndpointValue & {
    /** Names of the records of absent members that it took its addresses from. */
    readonly supersedes?: readonly string[]
  }
}

/** A VIP as it is recorded. */
export type VipClaim = Pick<LiveRecord<'vip'>, 'kind' | 'key' | 'owner' | 'value'>

/** Something that has a name for life. */
interface NameClaim {
  readonly id: string
  readonly name: string
  /** Lamport time of its making. */
  readonly claimedAt: number
}

export type NetworkClaim = NameClaim
export type ServiceClaim = NameClaim

/** One subnet, by what names its record. */
export interface SubnetClaim {
  readonly key: string
  /** The network's id. */
  readonly network: string
  readonly vni: Vni
  readonly cidr: Cidr
  readonly cidr6: Cidr | null
}

export interface Claims {
  readonly networks: readonly NetworkClaim[]
  readonly subnets: readonly SubnetClaim[]
  /** Also those that are hidden. */
  readonly endpoints: readonly EndpointClaim[]
  readonly services: readonly ServiceClaim[]
  readonly vips: readonly VipClaim[]
  /** Ids of members that are present, this host's among them. */
  readonly present: readonly string[]
}

export const NO_CLAIMS: Claims = {
  networks: [],
  subnets: [],
  endpoints: [],
  services: [],
  vips: [],
  present: [],
}

/**
 * `keeps`, `loses`: an endpoint's or a VIP's record by name, a subnet's by key, a network or service by id. `actor`: the member that
 * acts; '': nobody is present who would.
 */
export type Finding =
  | {
      /** What loses. */
      readonly kind: 'endpoint' | 'vip'
      readonly repair: 'readdress'
      readonly network: string
      readonly clash: 'ip' | 'ip6' | 'mac'
      readonly address: string
      readonly keeps: string
      readonly loses: string
      readonly actor: string
    }
  | {
      readonly kind: 'vni'
      readonly repair: 'renumber'
      readonly vni: Vni
      readonly keeps: string
      readonly loses: string
      readonly actor: string
    }
  | {
      readonly kind: 'subnet'
      readonly repair: 'tell'
      /** The ranges of `keeps` and `loses`. */
      readonly ranges: readonly [Cidr, Cidr]
      readonly keeps: string
      readonly loses: string
      readonly actor: string
    }
  | {
      readonly kind: 'name'
      readonly repair: 'tell'
      readonly of: 'network' | 'service'
      readonly name: string
      readonly keeps: string
      readonly loses: string
      readonly actor: string
    }

/** All that collides. */
export function collisions(claims: Claims): Finding[] {
  const { networks, subnets, endpoints, services, vips, present } = claims
  // A record that any host may write is written by one: the first that is present.
  const actor = present.toSorted(byText)[0] ?? ''
  return [
    ...networkCollisions(networks, subnets, actor),
    ...nameCollisions('service', services.toSorted(compareByAge), actor),
    ...addressCollisions(endpoints, vips, actor),
  ]
}

/** Of two networks, or two services, which is the older: it keeps its name, and a network its VNI. */
export function compareByAge(a: NameClaim, b: NameClaim): number {
  return a.claimedAt - b.claimedAt || byText(a.id, b.id)
}

function networkCollisions(
  networks: readonly NetworkClaim[],
  subnets: readonly SubnetClaim[],
  actor: string,
): Finding[] {
  const byAge = networks.toSorted(compareByAge)
  const age = new Map(byAge.map(({ id }, index) => [id, index]))
  // Of a subnet whose network has not arrived it cannot be said which is the older: it will arrive, or the subnet is nobody's.
  const known = subnets
    .filter(({ network }) => age.has(network))
    .toSorted(
      (a, b) => (age.get(a.network) ?? 0) - (age.get(b.network) ?? 0) || byText(a.key, b.key),
    )
  return [
    ...nameCollisions('network', byAge, actor),
    ...vniCollisions(known, actor),
    ...rangeCollisions(known, actor),
  ]
}

function nameCollisions(
  of: 'network' | 'service',
  byAge: readonly NameClaim[],
  actor: string,
): Finding[] {
  const keepers = new Map<string, string>()
  return byAge.flatMap(({ name, id }): Finding[] => {
    // Names of services are names in DNS, where case is nothing.
    const same = of === 'service' ? name.toLowerCase() : name
    const keeps = keepers.get(same)
    if (keeps !== undefined)
      return [{ kind: 'name', repair: 'tell', of, name, keeps, loses: id, actor }]
    keepers.set(same, id)
    return []
  })
}

function vniCollisions(byAge: readonly SubnetClaim[], actor: string): Finding[] {
  const keepers = new Map<Vni, string>()
  return byAge.flatMap(({ vni, key }): Finding[] => {
    const keeps = keepers.get(vni)
    if (keeps !== undefined)
      return [{ kind: 'vni', repair: 'renumber', vni, keeps, loses: key, actor }]
    keepers.set(vni, key)
    return []
  })
}

/** Each range that lies in others, or is the same, with each of them. */
function rangeCollisions(byAge: readonly SubnetClaim[], actor: string): Finding[] {
  const ranges = byAge.flatMap(({ key, cidr, cidr6 }, age) => [
    { key, age, cidr },
    ...(cidr6 === null ? [] : [{ key, age, cidr: cidr6 }]),
  ])
  const findings: Finding[] = []
  // Two ranges nest or are disjoint: sorted, a range lies in those that are still open.
  let open: typeof ranges = []
  for (const range of sortedByCidr(ranges)) {
    open = open.filter(({ cidr }) => cidrsOverlap(cidr, range.cidr))
    for (const outer of open) {
      const [older, younger] = outer.age <= range.age ? [outer, range] : [range, outer]
      findings.push({
        kind: 'subnet',
        repair: 'tell',
        ranges: [older.cidr, younger.cidr],
        keeps: older.key,
        loses: younger.key,
        actor,
      })
    }
    open.push(range)
  }
  return findings
}

type Clash = 'ip' | 'ip6' | 'mac'

/** Somebody with addresses on a network. */
interface AddressClaim {
  readonly kind: 'endpoint' | 'vip'
  readonly key: string
  readonly owner: string
  readonly claimedAt: number
  /** Its record's name. */
  readonly name: string
  readonly network: string
  readonly addresses: readonly (readonly [Clash, string])[]
  /** Who gives it others. */
  readonly actor: string
}

/**
 * In the order of their claims each keeps its addresses unless one that has kept its own has one of them: what a loser had is free for
 * those behind it, so nobody moves who need not.
 */
function addressCollisions(
  endpoints: readonly EndpointClaim[],
  vips: readonly VipClaim[],
  actor: string,
): Finding[] {
  const superseded = supersededAmong(endpoints)
  const inOrder = [
    ...endpoints.map((endpoint) => claimOf(endpoint, endpoint.owner)),
    ...vips.map((vip) => claimOf(vip, actor)),
  ].sort(byClaim)
  const keepers = new Map<string, string>()
  // Whoever is superseded comes behind all others: it loses to who took its addresses, and keeps them when that one is gone.
  return [
    ...inOrder.filter(({ name }) => !superseded.has(name)),
    ...inOrder.filter(({ name }) => superseded.has(name)),
  ].flatMap(({ kind, name, network, addresses, actor }): Finding[] => {
    for (const [clash, address] of addresses) {
      const keeps = keepers.get(`${network} ${address}`)
      if (keeps === undefined) continue
      return [{ kind, repair: 'readdress', network, clash, address, keeps, loses: name, actor }]
    }
    for (const [, address] of addresses) keepers.set(`${network} ${address}`, name)
    return []
  })
}

function supersededAmong(endpoints: readonly EndpointClaim[]): Set<string> {
  const byName = new Map(endpoints.map((claim) => [recordName(claim), claim]))
  return new Set(
    endpoints.flatMap((claim) =>
      claim.value.supersedes.filter((name) => shareAddress(claim, byName.get(name))),
    ),
  )
}

function claimOf(record: EndpointClaim | VipClaim, actor: string): AddressClaim {
  const { kind, key, owner } = record
  const { network, claimedAt } = record.value
  return {
    ...{ kind, key, owner, claimedAt, network, actor },
    name: recordName(record),
    addresses: addressesOf(record),
  }
}

function addressesOf(record: EndpointClaim | VipClaim): (readonly [Clash, string])[] {
  const { ip, ip6 } = record.value
  const mac = record.kind === 'vip' ? macFromIpv4(ip) : record.value.mac
  return [['ip', ip], ...(ip6 === null ? [] : [['ip6', ip6] as const]), ['mac', mac]]
}

function shareAddress(one: EndpointClaim, other: EndpointClaim | undefined): boolean {
  if (one.value.network !== other?.value.network) return false
  const addresses = addressesOf(other).map(([, address]) => address)
  return addressesOf(one).some(([, address]) => addresses.includes(address))
}

function byClaim(a: AddressClaim, b: AddressClaim): number {
  return a.claimedAt - b.claimedAt || byText(a.owner, b.owner) || byText(a.key, b.key)
}

/** By code units, which are the same everywhere; what a locale makes of them is not. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

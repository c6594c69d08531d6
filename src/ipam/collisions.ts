// Collisions: what two hosts claimed at the same time, or in two halves of a partition, and what is to be done about it by whom.
//
// A pure function of the records: every host comes to the same findings, in the same order, whatever it heard first. Only the actor of
// a finding acts. Absent members' claims count as those of present ones, or hosts that disagree about who is present would disagree here.
//
//   endpoints   one IP, IPv6 address or MAC on a network   the later claim loses; its owner gives it others, or stops it if it asked for them
//   subnets     two that overlap                           told; the VNI keeps networks apart, but no sandbox may join both
//   VNIs        two subnets with one                       the subnet of the younger network is given another
//   names       two networks with one                      told; the name means the older, the younger is reached by its id

import { type EndpointValue, type LiveRecord, recordName } from '../netdb/record.ts'
import { type Cidr, cidrsOverlap, compareCidrs } from '../net/cidr.ts'
import type { Vni } from '../net/vni.ts'

/** An endpoint as its owner wrote it. */
export type EndpointClaim = Pick<LiveRecord<'endpoint'>, 'kind' | 'key' | 'owner'> & {
  readonly value: EndpointValue & {
    /** Names of the records of absent members that it took its addresses from. */
    readonly supersedes?: readonly string[]
  }
}

export interface NetworkClaim {
  readonly id: string
  readonly name: string
  /** Lamport time of its making. */
  readonly claimedAt: number
}

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
  /** Ids of members that are present, this host's among them. */
  readonly present: readonly string[]
}

/** `keeps`, `loses`: an endpoint's record by name, a subnet's by key, a network by id. `actor`: the member that acts. */
export type Finding =
  | {
      readonly kind: 'endpoint'
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
      readonly name: string
      readonly keeps: string
      readonly loses: string
      readonly actor: string
    }

/** All that collides. */
export function collisions({ networks, subnets, endpoints, present }: Claims): Finding[] {
  const actor = present.toSorted(byText)[0]
  const ofShared = actor === undefined ? [] : sharedCollisions(networks, subnets, actor)
  return [...ofShared, ...endpointCollisions(endpoints)]
}

/** Of two networks, which is the older: it keeps its name and its VNI. */
export function compareNetworks(a: NetworkClaim, b: NetworkClaim): number {
  return a.claimedAt - b.claimedAt || byText(a.id, b.id)
}

/** A record that any host may write is written by one: the first that is present. */
function sharedCollisions(
  networks: readonly NetworkClaim[],
  subnets: readonly SubnetClaim[],
  actor: string,
): Finding[] {
  const byAge = networks.toSorted(compareNetworks)
  const age = new Map(byAge.map(({ id }, index) => [id, index]))
  // Of a subnet whose network has not arrived it cannot be said which is the older: it will arrive, or the subnet is nobody's.
  const known = subnets
    .filter(({ network }) => age.has(network))
    .toSorted(
      (a, b) => (age.get(a.network) ?? 0) - (age.get(b.network) ?? 0) || byText(a.key, b.key),
    )
  return [
    ...nameCollisions(byAge, actor),
    ...vniCollisions(known, actor),
    ...rangeCollisions(known, actor),
  ]
}

function nameCollisions(byAge: readonly NetworkClaim[], actor: string): Finding[] {
  const keepers = new Map<string, string>()
  return byAge.flatMap(({ name, id }): Finding[] => {
    const keeps = keepers.get(name)
    if (keeps !== undefined)
      return [{ kind: 'name', repair: 'tell', name, keeps, loses: id, actor }]
    keepers.set(name, id)
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
  for (const range of ranges.toSorted((a, b) => compareCidrs(a.cidr, b.cidr) || a.age - b.age)) {
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

/**
 * In the order of their claims each endpoint keeps its addresses unless one that has kept its own has one of them: what a loser had is
 * free for those behind it, so nobody moves who need not.
 */
function endpointCollisions(endpoints: readonly EndpointClaim[]): Finding[] {
  const named = endpoints.map((claim) => ({ claim, name: recordName(claim) }))
  const byName = new Map(named.map(({ name, claim }) => [name, claim]))
  const superseded = new Set(
    endpoints.flatMap((claim) =>
      claim.value.supersedes.filter((name) => shareAddress(claim, byName.get(name))),
    ),
  )
  const inOrder = named.toSorted((a, b) => byClaim(a.claim, b.claim))
  const keepers = new Map<string, string>()
  // Whoever is superseded comes behind all others: it loses to who took its addresses, and keeps them when that one is gone.
  return [
    ...inOrder.filter(({ name }) => !superseded.has(name)),
    ...inOrder.filter(({ name }) => superseded.has(name)),
  ].flatMap(({ claim, name }): Finding[] => {
    const { network } = claim.value
    const addresses = addressesOf(claim)
    for (const { clash, address } of addresses) {
      const keeps = keepers.get(`${network} ${address}`)
      if (keeps === undefined) continue
      const actor = claim.owner
      return [
        {
          kind: 'endpoint',
          repair: 'readdress',
          network,
          clash,
          address,
          keeps,
          loses: name,
          actor,
        },
      ]
    }
    for (const { address } of addresses) keepers.set(`${network} ${address}`, name)
    return []
  })
}

function addressesOf({ value: { ip, ip6, mac } }: EndpointClaim) {
  return [
    { clash: 'ip', address: ip },
    ...(ip6 === null ? [] : [{ clash: 'ip6', address: ip6 } as const]),
    { clash: 'mac', address: mac },
  ] as const
}

function shareAddress(one: EndpointClaim, other: EndpointClaim | undefined): boolean {
  if (one.value.network !== other?.value.network) return false
  const addresses = addressesOf(other).map(({ address }) => String(address))
  return addressesOf(one).some(({ address }) => addresses.includes(address))
}

function byClaim(a: EndpointClaim, b: EndpointClaim): number {
  return a.value.claimedAt - b.value.claimedAt || byText(a.owner, b.owner) || byText(a.key, b.key)
}

/** By code units, which are the same everywhere; what a locale makes of them is not. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

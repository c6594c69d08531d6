// Whether the entries of a facts file can all be true together. Pure; reports, never throws.

import { quote } from '../errors.ts'
import { type Cidr, cidrContains, cidrsOverlap, formatCidr, sortedByCidr } from '../net/cidr.ts'
import { gatewayFault, notForInterfaces, subnetFault } from '../net/host-subnet.ts'
import type { IpAddress } from '../net/ip-address.ts'
import { isUnicastIpv4 } from '../net/ipv4-address.ts'
import { isUnicastMac, macFromIpv4 } from '../net/mac-address.ts'
import { closest } from './closest.ts'
import type { EndpointFact, MemberFact, NetworkFact, SubnetFact } from './facts.ts'
import type { Path } from './yaml-source.ts'

/** An entry and where it stands. */
export interface Located<T> {
  readonly path: Path
  readonly value: T
}

/** Takes problems, and knows which line a path is at, for messages that name the other side. */
export interface Reporter {
  report(path: Path, message: string): void
  lineOf(path: Path): string
}

export interface LocatedFacts {
  readonly members: readonly Located<MemberFact>[]
  readonly networks: readonly Located<NetworkFact>[]
  readonly endpoints: readonly Located<EndpointFact>[]
  /** Names in the file, also of entries that are not among the above because they are malformed. No members: undefined. */
  readonly memberNames: ReadonlySet<string> | undefined
  readonly networkNames: ReadonlySet<string>
}

export function checkFacts(facts: LocatedFacts, out: Reporter): void {
  checkMembers(facts.members, out)
  checkNetworks(facts.networks, out)
  checkLearning(facts, out)
  checkOverlaps(facts, out)
  checkEndpoints(facts, out)
}

/** IPv6 asks for it (RFC 8200 section 5). */
const MIN_IPV6_MTU = 1280

/** Who holds what, so far: the first to claim a key has it, the next is told by whom. */
class Claims {
  readonly #holders = new Map<string, Path>()
  readonly #out: Reporter

  constructor(out: Reporter) {
    this.#out = out
  }

  claim(key: string, path: Path, complaint: (line: string) => string): void {
    const holder = this.#holders.get(key)
    if (holder === undefined) this.#holders.set(key, path)
    else this.#out.report(path, complaint(this.#out.lineOf(holder)))
  }
}

function checkMembers(members: readonly Located<MemberFact>[], out: Reporter): void {
  const claims = new Claims(out)
  for (const { path, value } of members) {
    const { name, vtep } = value
    claims.claim(
      `name ${name}`,
      [...path, 'name'],
      (line) => `member '${name}' is there already (${line}); give each host one entry`,
    )
    claims.claim(
      `vtep ${vtep}`,
      [...path, 'vtep'],
      (line) =>
        `${vtep} is the underlay address of another member (${line}); each host has its own`,
    )
    // Loopback is for two daemons on one machine, in tests.
    if (!isUnicastIpv4(vtep) && !vtep.startsWith('127.')) {
      out.report(
        [...path, 'vtep'],
        `${vtep} cannot be a host's address; write its underlay address`,
      )
    }
  }
}

function checkNetworks(networks: readonly Located<NetworkFact>[], out: Reporter): void {
  const claims = new Claims(out)
  for (const { path, value: network } of networks) {
    claims.claim(
      `name ${network.name}`,
      [...path, 'name'],
      (line) =>
        `network '${network.name}' is there already (${line}); put its subnets in one entry`,
    )
    for (const [index, subnet] of network.subnets.entries()) {
      const subnetPath = [...path, 'subnets', index]
      const vni = String(subnet.vni)
      claims.claim(
        `vni ${vni}`,
        [...subnetPath, 'vni'],
        (line) => `VNI ${vni} is used by another subnet (${line}); each subnet has its own`,
      )
      checkSubnet(subnet, subnetPath, out)
    }
    if (
      network.mtu !== undefined &&
      network.mtu < MIN_IPV6_MTU &&
      network.subnets.some((s) => s.cidr6)
    ) {
      out.report(
        [...path, 'mtu'],
        `an MTU of ${network.mtu} is too small for IPv6; ` +
          `write at least ${MIN_IPV6_MTU}, or leave cidr6 out`,
      )
    }
  }
}

/** A learning peer is a member: the frames of others are not taken. */
function checkLearning({ networks, memberNames }: LocatedFacts, out: Reporter): void {
  for (const { path, value } of networks) {
    for (const [index, name] of value.learning.entries()) {
      if (memberNames?.has(name) === true) continue
      out.report(
        [...path, 'learning', index],
        `there is no member '${name}'; add it to members with its vtep`,
      )
    }
  }
}

function checkSubnet(subnet: SubnetFact, path: Path, out: Reporter): void {
  if (checkRange(subnet.cidr, [...path, 'cidr'], out)) {
    checkGateway(subnet.cidr, subnet.gateway, [...path, 'gateway'], out)
  }
  if (subnet.gateway6 === undefined) return
  if (subnet.cidr6 === undefined) {
    out.report([...path, 'gateway6'], "'gateway6' needs a 'cidr6'; add it, or leave gateway6 out")
    return
  }
  if (checkRange(subnet.cidr6, [...path, 'cidr6'], out)) {
    checkGateway(subnet.cidr6, subnet.gateway6, [...path, 'gateway6'], out)
  }
}

/** Whether the range can be a subnet of hosts; says so when it cannot. */
function checkRange(cidr: Cidr, path: Path, out: Reporter): boolean {
  const fault = subnetFault(cidr)
  if (fault !== undefined) out.report(path, fault)
  return fault === undefined
}

function checkGateway(cidr: Cidr, gateway: IpAddress, path: Path, out: Reporter): void {
  const fault = gatewayFault(cidr, gateway)
  if (fault !== undefined) out.report(path, fault)
}

/** Subnets that overlap, and members' underlay addresses that lie in one. */
function checkOverlaps(facts: LocatedFacts, out: Reporter): void {
  const subnets = facts.networks.flatMap(({ path, value: network }) =>
    network.subnets.flatMap((subnet, index) => {
      const at = [...path, 'subnets', index]
      const v4 = { network: network.name, cidr: subnet.cidr as Cidr, path: [...at, 'cidr'] }
      if (subnet.cidr6 === undefined) return [v4]
      return [v4, { network: network.name, cidr: subnet.cidr6, path: [...at, 'cidr6'] }]
    }),
  )
  // Two subnets nest or are disjoint: sorted, one lies in the last outermost one, or in nothing.
  let outer: (typeof subnets)[number] | undefined
  for (const inner of sortedByCidr(subnets)) {
    if (outer === undefined || !cidrsOverlap(outer.cidr, inner.cidr)) {
      outer = inner
      continue
    }
    // Told at the later of the two: that is probably the line that was just written.
    const [earlier, later] =
      subnets.indexOf(outer) < subnets.indexOf(inner) ? [outer, inner] : [inner, outer]
    out.report(
      later.path,
      `${formatCidr(later.cidr)} overlaps ${formatCidr(earlier.cidr)} of network ` +
        `'${earlier.network}' (${out.lineOf(earlier.path)}); use another range`,
    )
  }
  for (const { path, value: member } of facts.members) {
    const inside = subnets.find(({ cidr }) => cidrContains(cidr, member.vtep))
    if (inside === undefined) continue
    out.report(
      [...path, 'vtep'],
      `underlay address ${member.vtep} lies in subnet ${formatCidr(inside.cidr)} of network ` +
        `'${inside.network}' (${out.lineOf(inside.path)}); give the network another subnet`,
    )
  }
}

function checkEndpoints(facts: LocatedFacts, out: Reporter): void {
  const claims = new Claims(out)
  const networks = new Map(facts.networks.map(({ path, value }) => [value.name, { path, value }]))
  for (const { path: networkPath, value: network } of networks.values()) {
    // The gateway's MAC derives from its address: an endpoint with that MAC would take its frames.
    for (const [index, subnet] of network.subnets.entries()) {
      const at = [...networkPath, 'subnets', index, 'gateway']
      claims.claim(`mac ${network.name} ${macFromIpv4(subnet.gateway)}`, at, () => '')
    }
  }
  for (const { path, value: endpoint } of facts.endpoints) {
    if (facts.memberNames !== undefined)
      checkReference('host', 'member', endpoint.host, facts.memberNames, path, out)
    checkReference('network', 'network', endpoint.network, facts.networkNames, path, out)
    claimWhatIsUnique(endpoint, path, claims)
    if (!isUnicastMac(endpoint.mac)) {
      out.report(
        [...path, 'mac'],
        `${endpoint.mac} cannot be one interface's address (multicast or zero); ` +
          `use one as ${macFromIpv4(endpoint.ip)}`,
      )
    }
    const network = networks.get(endpoint.network)
    if (network !== undefined) checkAddresses(endpoint, network.value, path, out)
  }
}

function checkReference(
  key: string,
  what: string,
  name: string,
  known: ReadonlySet<string>,
  path: Path,
  out: Reporter,
): void {
  if (known.has(name)) return
  const meant = closest(name, known)
  const hint = meant === undefined ? `add it under '${what}s'` : `did you mean ${quote(meant)}?`
  out.report([...path, key], `there is no ${what} '${name}'; ${hint}`)
}

function claimWhatIsUnique(endpoint: EndpointFact, path: Path, claims: Claims): void {
  const { host, network, name, ip, ip6, mac } = endpoint
  claims.claim(
    `name ${host} ${network} ${name}`,
    [...path, 'name'],
    (line) =>
      `endpoint '${name}' is on host '${host}' and network '${network}' already (${line}); ` +
      'use another name',
  )
  for (const [key, address] of [['ip', ip] as const, ['ip6', ip6] as const]) {
    if (address === undefined) continue
    claims.claim(
      `ip ${network} ${address}`,
      [...path, key],
      (line) => `${address} is held on network '${network}' already (${line}); use another address`,
    )
  }
  claims.claim(
    `mac ${network} ${mac}`,
    [...path, 'mac'],
    (line) => `MAC ${mac} is held on network '${network}' already (${line}); write another 'mac'`,
  )
}

function checkAddresses(
  endpoint: EndpointFact,
  network: NetworkFact,
  path: Path,
  out: Reporter,
): void {
  const { ip, ip6 } = endpoint
  const subnet = network.subnets.find(({ cidr }) => cidrContains(cidr, ip))
  if (subnet === undefined) {
    const ranges = network.subnets.map(({ cidr }) => cidr)
    out.report([...path, 'ip'], outside(ip, network.name, ranges))
    return
  }
  checkHostAddress(ip, subnet.cidr, subnet.gateway, [...path, 'ip'], out)
  if (ip6 === undefined) return
  const path6 = [...path, 'ip6']
  if (subnet.cidr6 === undefined || subnet.gateway6 === undefined) {
    out.report(
      path6,
      `subnet ${formatCidr(subnet.cidr)} of network '${network.name}' has no IPv6; ` +
        "give it a 'cidr6', or leave ip6 out",
    )
  } else if (!cidrContains(subnet.cidr6, ip6)) {
    // An endpoint has one VNI, so both of its addresses belong to the one subnet.
    out.report(
      path6,
      `${ip6} is not of the subnet that ${ip} is of; use an address in ${formatCidr(subnet.cidr6)}`,
    )
  } else {
    checkHostAddress(ip6, subnet.cidr6, subnet.gateway6, path6, out)
  }
}

function checkHostAddress(
  address: IpAddress,
  cidr: Cidr,
  gateway: IpAddress,
  path: Path,
  out: Reporter,
): void {
  const reason = address === gateway ? 'gateway' : notForInterfaces(cidr, address)
  if (reason === undefined) return
  out.report(path, `${address} is the ${reason} of ${formatCidr(cidr)}; use another address in it`)
}

function outside(ip: IpAddress, network: string, ranges: readonly Cidr[]): string {
  const shown = ranges.slice(0, 4).map(formatCidr).join(', ')
  const more = ranges.length > 4 ? ', ...' : ''
  return `${ip} is in no subnet of network '${network}'; use an address in ${shown}${more}`
}

// The facts file as a source of records: what it says of others is assumed, until they say it themselves.

import { createHash } from 'node:crypto'
import { type Kind, type ValueOf, recordName, subnetKey } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { cidrContains } from '../net/cidr.ts'
import type { EndpointFact, Facts } from './facts.ts'

/** What a facts file does not say of a member. */
const UNTOLD = { vxlanPort: null, version: null, underlayMtuBytes: null, routes: [] }

/** What it does not say of a network. Anybody may attach: whoever has the file has root. */
const UNTOLD_OF_NETWORK = {
  createdAtMs: 0,
  internal: false,
  attachable: true,
  options: {},
  labels: {},
  claimedAt: 0, // before all that is made while weft runs
}

/** A fact as a record without its version. */
type Statement = { [K in Kind]: { kind: K; key: string; owner: string; value: ValueOf[K] } }[Kind]

/**
 * The records that a facts file stands for on the host `self`. Endpoints of that host are not among them: they become
 * records when they are attached; until then they are reservations (reservationsOf).
 */
export function statementsOf(facts: Facts, self: string): Statement[] {
  const statements: Statement[] = []
  for (const { name, vtep } of facts.members) {
    const value = { ...UNTOLD, name, vtep }
    statements.push({ kind: 'member', key: name, owner: name, value })
  }
  for (const network of facts.networks) {
    const id = networkIdOf(network.name)
    statements.push({
      kind: 'network',
      key: id,
      owner: self,
      value: {
        ...UNTOLD_OF_NETWORK,
        name: network.name,
        mtu: network.mtu ?? null,
        learning: network.learning,
        ipv6: network.subnets.some(({ cidr6 }) => cidr6 !== undefined),
      },
    })
    for (const { vni, cidr, gateway, cidr6, gateway6 } of network.subnets) {
      const value = {
        network: id,
        vni,
        cidr,
        gateway,
        cidr6: cidr6 ?? null,
        gateway6: gateway6 ?? null,
        range: null,
      }
      statements.push({ kind: 'subnet', key: subnetKey(value), owner: self, value })
    }
  }
  // Without members the hosts are those of the cluster: they tell of their endpoints themselves.
  const told = facts.members.length === 0 ? [] : facts.endpoints
  for (const endpoint of told) {
    const subnet = subnetOf(facts, endpoint)
    if (endpoint.host === self || subnet === undefined) continue
    const { host, network, name, mac, ip, ip6 } = endpoint
    const value = {
      network: networkIdOf(network),
      vni: subnet.vni,
      name,
      mac,
      ip,
      ip6: ip6 ?? null,
      aliases: [],
      service: null,
      supersedes: [],
      claimedAt: 0, // before all that is claimed while weft runs
    }
    statements.push({ kind: 'endpoint', key: `${host}.${network}.${name}`, owner: host, value })
  }
  return statements
}

/** What a facts file reserves for endpoints of the host `self`. */
export function reservationsOf(facts: Facts, self: string): EndpointFact[] {
  return facts.endpoints.filter(({ host }) => host === self)
}

/** 25 characters of base 36, as docker's network ids; the same on every host that reads the same file. */
export function networkIdOf(name: string): string {
  const digest = createHash('sha256').update(`weft network ${name}`).digest('hex')
  return BigInt(`0x${digest}`).toString(36).padStart(25, '0').slice(0, 25)
}

/** Keeps netdb at what the last facts said. */
export class FactsSource {
  readonly #netdb: Netdb
  readonly #self: string
  #current = new Map<string, Statement>()

  constructor(netdb: Netdb, self: string) {
    this.#netdb = netdb
    this.#self = self
  }

  /** Assumes what is new or different, not any more what is not there, leaves the rest untouched. */
  apply(facts: Facts): void {
    const next = new Map(statementsOf(facts, this.#self).map((s) => [recordName(s), s]))
    for (const [name, statement] of this.#current) {
      if (!next.has(name)) this.#netdb.unassume(statement.kind, statement.key, statement.owner)
    }
    for (const [name, statement] of next) {
      const held = this.#current.get(name)
      if (held !== undefined && JSON.stringify(held) === JSON.stringify(statement)) continue
      this.#netdb.assume(statement.kind, statement.key, statement.owner, statement.value)
    }
    this.#current = next
  }
}

function subnetOf(facts: Facts, { network, ip }: EndpointFact) {
  const subnets = facts.networks.find(({ name }) => name === network)?.subnets ?? []
  return subnets.find(({ cidr }) => cidrContains(cidr, ip))
}

// What must hold in a simulated cluster, whatever happens to it. Each check gives null, or one line that says what does not.

import { isPresent } from '../../src/gossip/member.ts'
import { sameAddress } from '../../src/gossip/membership.ts'
import type { EncodedRecord } from '../../src/netdb/record.ts'
import type { Cluster } from './cluster.ts'
import type { SimulatedHost } from './simulated-host.ts'

/** Remembers all that was ever written, as its writers wrote it: nobody may hold anything else. */
export class Ledger {
  /** More than one of a version: a host that lost its memory counts anew until it hears of its past. */
  readonly #written = new Map<string, Uint8Array[]>()
  /** Names of all records: nobody needs to hold more. */
  readonly #names = new Set<string>()

  note(record: EncodedRecord): void {
    const write = writeOf(record)
    this.#written.set(write, [...(this.#written.get(write) ?? []), record.encoded])
    this.#names.add(record.name)
  }

  get names(): number {
    return this.#names.size
  }

  wrote(record: EncodedRecord): boolean {
    const written = this.#written.get(writeOf(record)) ?? []
    return written.some((encoded) => Buffer.compare(encoded, record.encoded) === 0)
  }
}

function writeOf({ name, version }: EncodedRecord): string {
  return `${name} ${version.lamport} ${version.writer}`
}

/** What is waiting or remembered within gossip and replicator, at most; by the counters that tell it. */
const MAX_QUEUED = 20_000

/** At any time: the first that is violated. `ledger` null: there are liars about, and records that nobody wrote. */
export function violation(cluster: Cluster, ledger: Ledger | null): string | null {
  for (const host of cluster.hosts) {
    if (!host.running) continue
    const found =
      servedOfAbsent(cluster, host) ??
      overfull(host) ??
      (ledger === null ? null : (foreign(host, ledger) ?? invented(cluster, host, ledger)))
    if (found !== null) return `${host.name} ${found}`
  }
  return null
}

/** Every record is as somebody wrote it, one of an owned kind as its owner did. */
function foreign({ life }: SimulatedHost, ledger: Ledger): string | null {
  for (const { held } of life.netdb.stored.entries()) {
    if (held.owned && held.version.writer !== held.owner)
      return `holds ${held.name} by ${held.version.writer}`
    if (!ledger.wrote(held)) return `holds ${held.name} as nobody wrote it`
  }
  return null
}

/** Nothing is served of a member that the host believes to be dead or gone. */
function servedOfAbsent(cluster: Cluster, { id, life }: SimulatedHost): string | null {
  for (const { key, owner } of life.netdb.list('endpoint')) {
    if (owner === id) continue
    const member = life.gossip.member(owner)
    if (member === undefined || !isPresent(member.state)) {
      return `serves endpoint ${key} of ${cluster.nameOf(owner)}, which is ${member?.state ?? 'unknown'}`
    }
  }
  return null
}

/** There are no more members and records than there ever were. */
function invented(cluster: Cluster, { life }: SimulatedHost, ledger: Ledger): string | null {
  const records = life.netdb.stored.count
  if (records > ledger.names) return `holds ${records} of ${ledger.names} records`
  const members = life.gossip.members().length
  if (members > cluster.hosts.length) return `knows ${members} of ${cluster.hosts.length} members`
  return null
}

/** Whatever others send, what waits within a host is bounded. */
function overfull({ life }: SimulatedHost): string | null {
  const counters = { ...life.gossip.counters(), ...life.replicator.counters() }
  for (const [name, count] of Object.entries(counters)) {
    if (/queued|waiting|pending/i.test(name) && count > MAX_QUEUED) return `has ${count} ${name}`
  }
  return null
}

/**
 * What is held of a host that runs is as that host wrote it, once it could set right what a liar said. That something does not
 * hold which the host does not claim may be said by anybody: it is so.
 */
export function forgery(cluster: Cluster, ledger: Ledger): string | null {
  for (const { name, life } of cluster.running()) {
    for (const { held } of life.netdb.stored.entries()) {
      const ownerRuns = cluster.byId(held.owner)?.running === true
      if (!held.owned || held.tombstone || !ownerRuns) continue
      if (!ledger.wrote(held)) return `${name} holds a forged ${held.name}`
    }
  }
  return null
}

/** Hosts that run are believed to be where they are, whatever a liar said. */
export function misplaced(cluster: Cluster): string | null {
  for (const { name, life } of cluster.running()) {
    for (const { id, address, state } of life.gossip.members()) {
      const host = cluster.byId(id)
      if (!isPresent(state) || host === undefined || sameAddress(host.address, address)) continue
      return `${name} believes ${host.name} to be at ${address.ip}`
    }
  }
  return null
}

/** After everything has settled: all tables are the same, byte for byte. */
export function unequalTables(cluster: Cluster): string | null {
  const [first, ...others] = cluster.running()
  if (first === undefined) return null
  const records = first.life.netdb.stored
  for (const { name, life } of others) {
    const { stored } = life.netdb
    if (stored.count !== records.count) {
      return `${name} holds ${stored.count} records, ${first.name} ${records.count}`
    }
    for (const { held } of records.entries()) {
      const other = stored.get(held.name)?.held
      if (other === undefined) return `${name} lacks ${held.name}`
      if (Buffer.compare(other.encoded, held.encoded) !== 0) {
        return `${name} has another ${held.name} than ${first.name}`
      }
    }
  }
  return null
}

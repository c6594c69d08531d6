// A liar: a member that holds the cluster's key and says of others what is not so, of their records and of their lives.
//
// Nobody can prevent that a member lies. What must hold is that each owner sets right what is said of it, so that lies end with
// the liar, and that whoever lives is not believed dead for long.

import { DatagramWriter } from '../../src/gossip/codec.ts'
import type { Part } from '../../src/gossip/message.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'
import { encodeRecord, encodeTombstone } from '../../src/netdb/codec.ts'
import type { EncodedRecord } from '../../src/netdb/record.ts'
import type { Random } from '../fixtures/random.ts'
import type { Cluster } from './cluster.ts'
import type { SimulatedHost } from './simulated-host.ts'

const MIN_INTERVAL_MS = 50
const MAX_INTERVAL_MS = 1_000

export class Liar {
  readonly host: SimulatedHost
  readonly #cluster: Cluster
  readonly #random: Random
  readonly #writer = new DatagramWriter()
  #ended = false

  constructor(cluster: Cluster, host: SimulatedHost, random: Random) {
    this.#cluster = cluster
    this.host = host
    this.#random = random
    cluster.timeline.note(host.name, 'is a liar')
    this.#next()
  }

  /** Its machine is switched off. */
  end(): void {
    this.#ended = true
    if (this.host.hasProcess) this.host.crash(true)
  }

  #next(): void {
    const delayMs = MIN_INTERVAL_MS + this.#random.below(MAX_INTERVAL_MS)
    this.#cluster.time.setTimeout(() => {
      if (this.#ended) return
      if (this.host.running) this.#lie()
      this.#next()
    }, delayMs)
  }

  #lie(): void {
    if (this.#random.once(2)) this.#forge()
    else this.#defame()
  }

  /** A record of another's, changed or taken back, as if the owner had written it. */
  #forge(): void {
    const { netdb, gossip } = this.host.life
    const foreign = [...netdb.stored.entries()]
      .map(({ held }) => held)
      .filter(({ owned, owner }) => owned && owner !== this.host.id)
    if (foreign.length === 0) return
    const forged = this.#forgery(this.#random.pick(foreign))
    if (!netdb.merge(forged)) return
    this.#cluster.timeline.note(
      this.host.name,
      `forges ${forged.name}, lamport ${forged.version.lamport}`,
    )
    gossip.channel.broadcast(forged.name, forged.encoded)
  }

  #forgery(held: EncodedRecord): EncodedRecord {
    const later = this.#random.once(4) ? 1_000_000 : 1 + this.#random.below(5)
    const version = { lamport: held.version.lamport + later, writer: held.owner }
    const { record } = held
    if (record?.kind !== 'endpoint' || record.value === null || this.#random.once(3)) {
      return encodeTombstone(held, version)
    }
    const ip = `10.250.0.${1 + this.#random.below(250)}` as Ipv4Address
    return encodeRecord({ ...record, version, value: { ...record.value, ip } })
  }

  /** Somebody is said to be dead. */
  #defame(): void {
    const others = this.host.life.gossip.members().filter(({ id }) => id !== this.host.id)
    if (others.length === 0) return
    const { id, incarnation } = this.#random.pick(others)
    const later = incarnation + this.#random.below(3)
    const by = this.#random.once(4) ? id : this.host.id
    const elsewhere = this.#random.pick(this.#cluster.hosts)
    const lies: readonly Part[] = [
      {
        type: 'alive',
        id,
        incarnation: later,
        address: elsewhere.address,
        name: elsewhere.name,
      },
      { type: 'suspect', id, incarnation: later, by },
      { type: 'dead', id, incarnation: later, by },
    ]
    const lie = this.#random.pick(lies)
    this.#cluster.timeline.note(
      this.host.name,
      `tells that ${this.#cluster.nameOf(id)} is ${lie.type === 'alive' ? `at ${elsewhere.name}` : lie.type}, incarnation ${later}`,
    )
    for (const to of others) {
      if (this.#random.once(2)) continue
      this.#writer.put(lie)
      this.host.life.socket.send(to, this.#writer.finish())
    }
  }
}

// A simulated cluster: its hosts, its network, its time, and what an onlooker who sees everything can say of it.

import type { GossipSettings } from '../../src/gossip/defaults.ts'
import type { GossipEvent } from '../../src/gossip/event.ts'
import { type MemberId, isPresent } from '../../src/gossip/member.ts'
import type { ReplicatorSettings } from '../../src/gossip/replicator.ts'
import { Random } from '../fixtures/random.ts'
import { VirtualClock } from '../fixtures/virtual-clock.ts'
import { SimulatedHost, type World } from './simulated-host.ts'
import { LAN, type LinkProfile, SimulatedNetwork } from './simulated-network.ts'
import { Timeline } from './timeline.ts'

export interface ClusterOptions {
  readonly seed: number
  readonly hosts: number
  readonly profile?: LinkProfile
  /** Nobody reads it where only figures are wanted. */
  readonly timeline?: boolean
  /** Whether hosts save what they know; false where nobody comes back. */
  readonly snapshots?: boolean
  readonly gossip?: Partial<GossipSettings>
  readonly replicator?: Partial<ReplicatorSettings>
}

/** What a host believes of a member. */
const WORDS = {
  joined: 'is there',
  suspected: 'is suspect',
  recovered: 'is well after all',
  died: 'is dead',
  left: 'has left',
  changed: 'has another name or address',
  expelled: 'puts this host out',
} as const

export class Cluster {
  readonly time = new VirtualClock()
  readonly random: Random
  readonly timeline: Timeline
  readonly network: SimulatedNetwork
  readonly hosts: SimulatedHost[] = []
  /** Hears what the hosts' gossip tells; measurements set it. */
  onEvent: (host: SimulatedHost, event: GossipEvent) => void = () => undefined
  /** A host's daemon is there, and has not done anything yet. */
  onStart: (host: SimulatedHost) => void = () => undefined
  readonly #world: World
  readonly #byId = new Map<MemberId, SimulatedHost>()

  constructor(options: ClusterOptions) {
    this.random = new Random(options.seed)
    this.timeline = new Timeline(this.time, options.timeline ?? false)
    this.network = new SimulatedNetwork(this.time, new Random(this.random.next()))
    this.network.setProfile(options.profile ?? LAN)
    this.#world = {
      time: this.time,
      network: this.network,
      random: this.random,
      timeline: this.timeline,
      gossip: options.gossip ?? {},
      replicator: options.replicator ?? {},
      snapshots: options.snapshots ?? false,
      onEvent: (host, event) => {
        if (this.timeline.enabled) this.timeline.note(host.name, this.#words(event))
        this.onEvent(host, event)
      },
      onStart: (host) => this.onStart(host),
    }
    for (let i = 0; i < options.hosts; i++) this.addHost()
  }

  /** One more host, which is not started yet. */
  addHost(): SimulatedHost {
    const host = new SimulatedHost(this.#world, this.hosts.length + 1)
    this.hosts.push(host)
    this.#byId.set(host.id, host)
    return host
  }

  /** Starts all hosts and lets them find each other; throws when they do not. */
  form(withinMs = 30_000): this {
    const [first, ...others] = this.hosts
    first?.start([])
    // Not all at once: a crowd of a thousand would all ask the first.
    for (const [i, host] of others.entries()) {
      host.start([this.hosts[this.random.below(Math.min(i + 1, 20))] as SimulatedHost])
      this.time.runFor(5)
    }
    // To look at a thousand hosts' beliefs of a thousand takes longer than to simulate them.
    const lookMs = this.hosts.length > 100 ? 1_000 : 50
    if (this.time.runUntilTrue(() => this.converged(), withinMs, lookMs) === null) {
      throw new Error(`the cluster did not form within ${withinMs} ms: ${this.difference()}`)
    }
    return this
  }

  running(): SimulatedHost[] {
    return this.hosts.filter(({ running }) => running)
  }

  byId(id: MemberId): SimulatedHost | undefined {
    return this.#byId.get(id)
  }

  nameOf(id: MemberId): string {
    return this.#byId.get(id)?.name ?? id
  }

  /** Whether all running hosts believe exactly each other to be alive, and hold the same tables. */
  converged(): boolean {
    return this.membersAgree() && this.tablesAgree()
  }

  /** @param doubts whether a suspicion is no disagreement: it hides nothing, and may be refuted */
  membersAgree(doubts = false): boolean {
    const running = this.running()
    return running.every((host) => {
      let present = 0
      for (const { id, state } of host.life.gossip.members()) {
        if (!isPresent(state)) continue
        if (state !== 'alive' && !doubts) return false
        if (this.#byId.get(id)?.running !== true) return false
        present++
      }
      return present === running.length
    })
  }

  tablesAgree(): boolean {
    const [first, ...others] = this.running()
    if (first === undefined) return true
    const { root } = first.life.netdb.stored
    return others.every(({ life }) => {
      const { high, low } = life.netdb.stored.root
      return high === root.high && low === root.low
    })
  }

  /** Why it has not converged, for people; '' when it has. */
  difference(): string {
    const running = this.running()
    const names = (list: readonly string[]): string =>
      list.length === 0 ? 'nobody' : list.join(' ')
    for (const host of running) {
      const members = host.life.gossip.members()
      const wrong = members.filter(({ id, state }) => {
        return this.#byId.get(id)?.running === true ? state !== 'alive' : isPresent(state)
      })
      const unknown = running.filter(({ id }) => !members.some((member) => member.id === id))
      if (wrong.length + unknown.length === 0) continue
      const shown = wrong.map(({ id, state }) => `${this.nameOf(id)} ${state}`)
      return `${host.name} believes ${names(shown)} wrongly and does not know ${names(unknown.map(({ name }) => name))}`
    }
    return this.tablesAgree() ? '' : 'the tables differ'
  }

  #words(event: GossipEvent): string {
    const { kind } = event
    const by = 'by' in event ? `, by ${this.nameOf(event.by)}` : ''
    switch (kind) {
      case 'paused':
        return `notices that it stood still for ${event.lateMs.toFixed(0)} ms`
      case 'refuted':
        return `refutes with incarnation ${event.incarnation}${by}`
      default: {
        if (!('member' in event)) return `${kind}${by}`
        const { id, incarnation } = event.member
        return `believes that ${this.nameOf(id)} ${WORDS[kind]}, incarnation ${incarnation}${by}`
      }
    }
  }
}

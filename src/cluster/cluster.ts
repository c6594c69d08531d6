// This host's place in a cluster: none, or a member. The verbs that change it, and what it remembers.
//
//   init    a new cluster id, key and join secret; this host is its first member
//   join    listen, ask a member for a place, take over keys and members, take part
//   resume  the same from what was remembered, whoever else is up
//   leave   say goodbye, forget everything, be a new host afterwards

import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../clock.ts'
import { WeftError, messageOf } from '../errors.ts'
import type { GossipEvent } from '../gossip/event.ts'
import { type Address, type MemberId, type Peer, isPresent } from '../gossip/member.ts'
import type { Logger } from '../log.ts'
import type { Netdb } from '../netdb/table.ts'
import { VERSION } from '../version.ts'
import { Engine } from './engine.ts'
import { eventLine } from './event-line.ts'
import { type JoinView, parseJoinTarget, requestJoin, serveJoin } from './join-protocol.ts'
import { gossipKey } from './keyring.ts'
import { type ClusterNode, nodesOf } from './nodes.ts'
import { Secrets } from './secrets.ts'
import type { KnownPeer, Membership, StateFile } from './state-file.ts'
import { type Status, statusOf } from './status.ts'
import type { JoinDoor } from './stream-security.ts'
import { CLUSTER_ID_BYTES, clusterDigestOf, formatToken, parseToken } from './token.ts'
import { GOSSIP_PORT } from './udp-transport.ts'

export interface ClusterOptions {
  readonly name: string
  /** Where others reach this host. */
  readonly address: Address
  readonly state: StateFile
  readonly netdb: Netdb
  /** What this host discarded because it was away for more than a day comes back; null: nothing was discarded. */
  readonly restoreRecords: (() => void) | null
  readonly clock: Clock
  readonly log: Logger
  /** Another member passes an API request on. */
  readonly onApi: (stream: Duplex) => void
  /** This host is not what it was (it left, was removed, or was overtaken): the daemon is to begin anew. */
  readonly beginAnew: () => void
  /** Something happened to a member; `line`: in words. */
  readonly onEvent?: (event: GossipEvent, line: string) => void
}

export interface JoinLine {
  readonly token: string
  readonly address: string
}

/** About as long as it takes to notice that a host is down. */
const TRUST_MS = 2_000
/** By then whoever is up has told what it knows. */
const RECORDS_MS = 5_000
/** Between two attempts to find those that were remembered: at first, and in the end. */
const RETRY_MS = 1_000
const SELDOM_MS = 60_000
/** Peers that are remembered: enough that one of them is up. */
const MOST_PEERS = 64
const API_TIMEOUT_MS = 2_000

export class Cluster {
  readonly #options: ClusterOptions
  readonly #secrets: Secrets
  #engine: Engine | null = null
  /** What opens the door while this host is only about to join: its token. */
  #joining: JoinDoor | null = null
  /** Those that this host knew when it ended: what it remembers meanwhile may be less. */
  #remembered: readonly KnownPeer[] = []
  #retry: Timer | null = null
  #unfollow: (() => void) | null = null

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#secrets = new Secrets(options)
  }

  // --- verbs ---

  /** Begins a cluster with this host. */
  async init(): Promise<JoinLine> {
    this.requireNone()
    const clusterId = randomBytes(CLUSTER_ID_BYTES).toString('hex')
    await this.#enter(async (engine) => {
      await this.#begin(engine, { clusterId, ...this.#secrets.create() })
    })
    this.#options.log.info({ cluster: clusterId }, 'a new cluster begins with this host')
    return this.joinToken()
  }

  /** @throws WeftError what join-protocol.ts throws, token_invalid, already_in_cluster */
  async join({ token, host }: { readonly token: string; readonly host: string }): Promise<Status> {
    this.requireNone()
    const { name, address, state } = this.#options
    const door = parseToken(token)
    const target = parseJoinTarget(host)
    this.#joining = door
    await this.#enter(async (engine) => {
      const me = { id: state.state.memberId, name, address, weftVersion: VERSION }
      const { peers, ...membership } = await requestJoin({ target, token: door, me })
      await this.#begin(engine, membership)
      await state.update({ peers })
      if ((await engine.meet(peers.map(peerOf))) === 0) {
        throw new WeftError(
          'unavailable',
          `${host} let this host in, but does not answer on UDP and TCP ${address.port} now; try again`,
        )
      }
      await engine.refresh()
    })
    return this.requireSome()
  }

  /** Takes the place again that this host had. Does not wait for others: they come when they come. */
  async resume(): Promise<void> {
    const { membership } = this.#options.state.state
    if (membership === null) return
    this.#remembered = this.#options.state.state.peers
    const engine = await this.#open()
    this.#trustRemembered()
    await this.#begin(engine, membership)
    this.#findRemembered()
    this.#awaitRecords()
  }

  /** Says goodbye and forgets the cluster. Endpoints must be gone. */
  async leave(): Promise<void> {
    this.requireSome()
    await this.#engine?.leave()
    await this.#close()
    await this.#forget()
    this.#options.log.info({}, 'this host has left its cluster')
    this.#options.beginAnew()
  }

  /** For the next daemon: nobody is told, it is back soon or will be missed. */
  async close(): Promise<void> {
    await this.#rememberPeers()
    await this.#close()
  }

  // --- tokens and keys ---

  joinToken(): JoinLine {
    const { clusterId, joinSecret } = this.#membership()
    const { ip, port } = this.#options.address
    return {
      token: formatToken(clusterId, joinSecret),
      address: port === GOSSIP_PORT ? ip : `${ip}:${port}`,
    }
  }

  /** The old token is refused from now on, by every host that can be reached. */
  async rotateJoinSecret(): Promise<JoinLine> {
    this.#membership()
    await this.acknowledge([this.#secrets.rotateJoinSecret()])
    return this.joinToken()
  }

  async rotateKeys(): Promise<{ key: string; accepted: number }> {
    this.#membership()
    const { key, record } = this.#secrets.rotateKeys()
    await this.acknowledge([record])
    const keyring = this.#engine?.keyring
    if (keyring !== undefined) this.#secrets.dropOldKeys(keyring)
    return { key, accepted: keyring?.all().length ?? 0 }
  }

  // --- who there is ---

  /** null: this host is in no cluster. */
  status(): Status | null {
    const { state, address, netdb } = this.#options
    const { membership, memberId } = state.state
    if (membership === null || this.#engine === null) return null
    const self = { clusterId: membership.clusterId, memberId, address }
    return statusOf(self, this.#engine.gossip.members(), netdb)
  }

  /** Those that have left are remembered by gossip, so that old rumours do not revive them; nobody else cares. */
  nodes(): ClusterNode[] {
    this.#membership()
    const { netdb, clock, state } = this.#options
    const all = this.#engine?.gossip.members() ?? []
    const members = all.filter((member) => member.state !== 'left')
    return nodesOf(members, netdb, state.state.memberId, clock.nowMs())
  }

  /**
   * By name, by id or its first characters; `self` is this one. Of several with one name the one that is up.
   *
   * @throws WeftError not_found
   */
  node(nameOrId: string): ClusterNode {
    const all = this.nodes()
    const found =
      all.find(({ self }) => self && nameOrId === 'self') ??
      all.find(({ name, state }) => name === nameOrId && isPresent(state)) ??
      all.find(({ name }) => name === nameOrId) ??
      (/^[0-9a-f]{4,16}$/.test(nameOrId)
        ? all.find(({ id }) => id.startsWith(nameOrId))
        : undefined)
    if (found === undefined)
      throw new WeftError('not_found', `no host ${nameOrId} in this cluster; see weft node ls`)
    return found
  }

  /** Puts a host out of the cluster for good: what it owns is forgotten, and it may come back only as a new one. */
  async removeNode(
    { id, name, state, availability, labels }: ClusterNode,
    force: boolean,
  ): Promise<void> {
    if (isPresent(state) && !force) {
      throw new WeftError(
        'invalid_argument',
        `host ${name} is up; run weft leave there, or put it out with --force`,
      )
    }
    this.#options.netdb.put('node', id, { expelled: true, availability, labels })
    await this.acknowledge([`node/${id}`])
    this.#engine?.expel(id)
  }

  /** Present members, this host not among them. */
  others(): { readonly id: MemberId; readonly name: string; readonly address: Address }[] {
    const { memberId } = this.#options.state.state
    const members = this.#engine?.gossip.members() ?? []
    return members.filter(({ id, state }) => id !== memberId && isPresent(state))
  }

  // --- records ---

  /** Has the others know records of ours; settles when they do, or after 200 ms. */
  async acknowledge(records: readonly string[]): Promise<void> {
    const missing = (await this.#engine?.acknowledge(records)) ?? []
    if (missing.length === 0) return
    const { netdb, log } = this.#options
    const names = missing.map((id) => netdb.nameOfMember(id)).join(', ')
    log.warn({ records }, `not acknowledged in time by ${names}; they hear of it by gossip`)
  }

  async refresh(): Promise<void> {
    await this.#engine?.refresh()
  }

  /** @throws WeftError unavailable */
  async openApi(member: MemberId): Promise<Duplex> {
    const to = this.others().find(({ id }) => id === member)
    if (to === undefined || this.#engine === null) {
      const name = this.#options.netdb.nameOfMember(member)
      throw new WeftError('unavailable', `host ${name} is not up; see weft node ls`)
    }
    return await this.#engine.openApi(to, API_TIMEOUT_MS)
  }

  /**
   * The same to a member that may be down: whether it can be reached is the question.
   *
   * @throws WeftError unavailable, not_in_cluster
   */
  async openApiAnyway(to: Peer): Promise<Duplex> {
    this.requireSome()
    return await (this.#engine as Engine).openApi(to, API_TIMEOUT_MS)
  }

  /** Sends a member a datagram that it answers. */
  greet(member: MemberId): void {
    this.#engine?.gossip.greet(member)
  }

  /** How long ago a datagram came from that member; null: none has. */
  heardAgoMs(member: MemberId): number | null {
    return this.#engine?.heardAgoMs(member) ?? null
  }

  counters(): Record<string, number> {
    return this.#engine?.counters() ?? {}
  }

  /** @throws WeftError not_in_cluster */
  requireSome(): Status {
    const status = this.status()
    if (status !== null) return status
    throw new WeftError(
      'not_in_cluster',
      'this host is in no cluster; begin one with weft init, or join one with weft join',
    )
  }

  /** @throws WeftError already_in_cluster */
  requireNone(): void {
    if (this.#options.state.state.membership === null && this.#engine === null) return
    throw new WeftError(
      'already_in_cluster',
      'this host is in a cluster already (weft node ls); leave it first with weft leave',
    )
  }

  // --- how it is done ---

  /** Takes part, or is as it was before. */
  async #enter(act: (engine: Engine) => Promise<void>): Promise<void> {
    try {
      await act(await this.#open())
    } catch (error) {
      await this.#close()
      await this.#forget()
      throw error
    } finally {
      this.#joining = null
    }
  }

  #membership(): Membership {
    this.requireSome()
    return this.#options.state.state.membership as Membership
  }

  async #open(): Promise<Engine> {
    const { name, address, state, netdb, clock, log, beginAnew } = this.#options
    const engine = await Engine.open({
      self: { id: state.state.memberId, name, address },
      bootNumber: await state.nextBoot(),
      netdb,
      clock,
      door: () => this.#door(),
      onJoin: (body, source) => serveJoin(body, source, () => this.#joinView()),
      onApi: this.#options.onApi,
      onEvent: (event) => {
        this.#onEvent(event)
      },
      onExpelled: (member) => {
        if (member === state.state.memberId) void this.#onExpelled()
      },
      onOvertaken: (bootNumber) => {
        log.error(
          { bootNumber },
          'the others have seen a later start of this host: it starts again',
        )
        void state.update({ bootNumber }).then(beginAnew)
      },
    })
    this.#engine = engine
    return engine
  }

  async #begin(engine: Engine, membership: Membership): Promise<void> {
    const { state } = this.#options
    for (const { key, order } of membership.keys) engine.keyring.add(gossipKey(key, order))
    const incarnation = state.state.incarnation + 1
    await state.update({ membership, incarnation })
    this.#unfollow = this.#secrets.follow(engine.keyring)
    engine.begin(incarnation)
  }

  /**
   * Who was there a moment ago is still there, until gossip says otherwise: what runs here goes on with the endpoints that it
   * spoke to, instead of losing them until their hosts have been met again.
   */
  #trustRemembered(): void {
    const { netdb, clock } = this.#options
    const peers = this.#remembered
    for (const { id } of peers) netdb.setPresent(id, true)
    clock.setTimeout(() => {
      const met = new Set(this.others().map(({ id }) => id))
      for (const { id } of peers) if (!met.has(id)) netdb.setPresent(id, false)
    }, TRUST_MS)
  }

  /**
   * A host that was away for a day has discarded what is shared, for the others to tell it anew. If all were away, as a lab over
   * the weekend, nobody tells: a living cluster has at least its join secret.
   */
  #awaitRecords(): void {
    const { restoreRecords, netdb, clock, log } = this.#options
    if (restoreRecords === null) return
    clock.setTimeout(() => {
      if (this.#engine === null || netdb.get('cluster', 'join-secret') !== undefined) return
      log.info({}, 'all hosts were away for more than a day: what they shared before holds again')
      restoreRecords()
    }, RECORDS_MS)
  }

  /**
   * Asks those that were remembered until each of them is known as a member: all hosts may have been down together and come
   * back one by one, or in islands that know nothing of each other. Ever more seldom: some never come back.
   */
  #findRemembered(delayMs = RETRY_MS): void {
    const engine = this.#engine
    if (engine === null) return
    const known = new Set(engine.gossip.members().map(({ id }) => id))
    const strangers = this.#remembered.filter(({ id }) => !known.has(id))
    if (strangers.length === 0) return
    void engine.meet(strangers.map(peerOf)).then(async (answered) => {
      if (this.#engine !== engine) return
      if (answered > 0) await engine.refresh()
      const { clock } = this.#options
      this.#retry = clock.setTimeout(() => {
        this.#findRemembered(Math.min(2 * delayMs, SELDOM_MS))
      }, delayMs)
    })
  }

  #door(): JoinDoor | null {
    const { membership } = this.#options.state.state
    if (membership === null) return this.#joining
    return { clusterDigest: clusterDigestOf(membership.clusterId), secret: membership.joinSecret }
  }

  #joinView(): JoinView {
    const { name, address, state } = this.#options
    const { memberId, membership } = state.state
    return {
      self: { id: memberId, name, address },
      membership,
      members: this.#engine === null || membership === null ? [] : this.#engine.gossip.members(),
    }
  }

  #onEvent(event: GossipEvent): void {
    const { log, netdb } = this.#options
    const { level, line } = eventLine(event, (id) => netdb.nameOfMember(id))
    log[level]({ event: event.kind }, line)
    this.#options.onEvent?.(event, line)
    if (event.kind === 'expelled') void this.#onExpelled()
    if (event.kind === 'joined' || event.kind === 'left' || event.kind === 'refuted')
      void this.#rememberPeers()
  }

  /** Whom to ask first after a start: those that are up, then those that were. */
  async #rememberPeers(): Promise<void> {
    if (this.#engine === null) return
    const { state, clock, log } = this.#options
    const { memberId, incarnation } = state.state
    const { gossip } = this.#engine
    const peers: KnownPeer[] = gossip
      .members()
      .filter((member) => member.id !== memberId && member.state !== 'left')
      .sort((a, b) => Number(isPresent(b.state)) - Number(isPresent(a.state)))
      .slice(0, MOST_PEERS)
      .map(({ id, name, address }) => ({ id, name, ...address }))
    const lastContactWallMs = peers.length > 0 ? clock.wallMs() : state.state.lastContactWallMs
    const change = { incarnation: Math.max(incarnation, gossip.incarnation), lastContactWallMs }
    try {
      // Nobody left is no reason to forget whom to ask.
      await state.update(peers.length > 0 ? { ...change, peers } : change)
    } catch (error) {
      log.error({}, `the members could not be written down: ${messageOf(error)}`)
    }
  }

  async #onExpelled(): Promise<void> {
    if (this.#engine === null) return // said by several
    this.#options.log.error({}, 'this host was removed from its cluster (weft node rm)')
    await this.#close()
    await this.#forget()
    this.#options.beginAnew()
  }

  async #close(): Promise<void> {
    this.#retry?.cancel()
    this.#retry = null
    this.#unfollow?.()
    this.#unfollow = null
    const engine = this.#engine
    this.#engine = null
    await engine?.close()
  }

  /** Whoever comes back is a new host: what the cluster knew of the old one stays said. */
  async #forget(): Promise<void> {
    await this.#options.state.update({
      memberId: randomBytes(8).toString('hex'),
      membership: null,
      incarnation: 0,
      peers: [],
      lastContactWallMs: 0,
    })
  }
}

function peerOf({ id, ip, port }: KnownPeer): { id: MemberId; address: Address } {
  return { id, address: { ip, port } }
}

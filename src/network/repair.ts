// Repair: this host's part in making collisions good, while everything runs. What is to be done is decided in src/ipam/repair-plan.ts.
//
//   records change → a moment later: plan → what collides is told, once → each action → records change → ... → nothing to do
//
// An endpoint moves in steps that a next daemon can go on with: addresses and record; known to the other hosts; written down with what
// its interface still has; the interface; written down without. What fails is tried again as long as the plan says so.

import type { Clock, Timer } from '../clock.ts'
import { WeftError, messageOf } from '../errors.ts'
import { collisionEvent, holderName } from '../events/collision-event.ts'
import type { Tell } from '../events/event.ts'
import type { Finding } from '../ipam/collisions.ts'
import {
  type AddressFinding,
  type RepairAction,
  type RepairPlan,
  findingName,
  planRepair,
} from '../ipam/repair-plan.ts'
import type { Logger } from '../log.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Controller } from './controller.ts'
import type { Endpoints } from './endpoints.ts'
import type { Networks } from './networks.ts'
import type { OpenEndpoint, Sandbox } from './sandbox.ts'
import type { Services } from './services.ts'

export interface RepairOptions {
  readonly netdb: Netdb
  readonly networks: Pick<Networks, 'contenders'>
  readonly endpoints: Pick<Endpoints, 'move' | 'changeInterface' | 'follow'>
  readonly controller: Pick<Controller, 'list' | 'noteEndpoints' | 'stop'>
  readonly services: Pick<Services, 'revip'>
  readonly clock: Clock
  readonly tell: Tell
  readonly log: Logger
}

/** Records come in flocks, above all when a partition ends: whoever knows all of them moves once. */
const SETTLE_MS = 100
/** They may go on coming. */
const LATEST_MS = 500
/**
 * Two hosts that make networks or services at the same moment see to it themselves, within an acknowledgement (200 ms): that is no
 * collision.
 */
const SHARED_MS = 300
/** The service of a VIP may come after it: within a comparison of digests or two. */
const ORPHAN_MS = 10_000
/** An endpoint that is being made, or an action that failed. */
const RETRY_MS = 1_000

/** An endpoint of this host where it is. */
interface Home {
  readonly sandbox: Sandbox
  readonly endpoint: OpenEndpoint
}

/** A finding that holds. */
interface Standing {
  readonly sinceMs: number
  readonly told: boolean
}

export class Repair {
  readonly #options: RepairOptions
  readonly #unwatch: () => void
  /** By findingName. */
  #standing = new Map<string, Standing>()
  /** VIPs without a service, by their keys → since when. */
  #orphans = new Map<string, number>()
  /** What failed, as it was told. */
  #failed = new Map<string, string>()
  /** Sandboxes that are ended because of what they lost, by id. */
  readonly #stopping = new Set<string>()
  #timer: Timer | null = null
  #dueMs = Infinity
  /** The first change that the next round is for. */
  #sinceMs = Infinity
  #working: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: RepairOptions) {
    this.#options = options
    this.#unwatch = options.netdb.watch(({ before, after }) => {
      const kind = (after ?? before)?.kind
      if (kind !== 'node' && kind !== 'cluster') this.#changed()
    })
    this.#changed()
  }

  close(): void {
    this.#closed = true
    this.#unwatch()
    this.#timer?.cancel()
  }

  #changed(): void {
    const nowMs = this.#options.clock.nowMs()
    this.#sinceMs = Math.min(this.#sinceMs, nowMs)
    this.#at(Math.min(nowMs + SETTLE_MS, this.#sinceMs + LATEST_MS), true)
  }

  /** Has a round begin then, or earlier if one is due; `anew`: rather then. */
  #at(dueMs: number, anew = false): void {
    if (this.#closed || (!anew && this.#dueMs <= dueMs)) return
    const { clock } = this.#options
    this.#timer?.cancel()
    this.#dueMs = dueMs
    this.#timer = clock.setTimeout(
      () => {
        this.#dueMs = Infinity
        this.#sinceMs = Infinity
        this.#working = this.#working.then(() => this.#round())
      },
      Math.max(0, dueMs - clock.nowMs()),
    )
  }

  async #round(): Promise<void> {
    if (this.#closed) return
    const homes = this.#homes()
    try {
      const plan = this.#plan(homes)
      this.#tellNew(plan.findings)
      this.#noteOrphans(plan)
      const begun = [...homes.values()].filter(({ sandbox, endpoint }) => {
        const { id, formerly } = endpoint.spec
        return sandbox.made && endpoint.isUp && formerly !== null && !moves(plan, id)
      })
      await Promise.all([
        ...plan.actions.map((action) => this.#attempt(action, homes)),
        ...begun.map((home) => this.#finish(home)),
      ])
      this.#forgetFailures(plan)
    } catch (error) {
      this.#options.log.error({}, `collisions cannot be made good: ${messageOf(error)}`)
      this.#retry()
    }
  }

  #plan(homes: ReadonlyMap<string, Home>): RepairPlan {
    const { netdb, networks } = this.#options
    const { self } = netdb
    // Members of a facts file are never present: nobody has heard of them.
    const members = netdb.list('member').filter(({ version }) => version.lamport > 0)
    return planRepair({
      self,
      networks: netdb.list('network'),
      subnets: netdb.list('subnet'),
      endpoints: [...netdb.list('endpoint'), ...netdb.listHidden('endpoint')],
      services: netdb.list('service'),
      vips: netdb.list('vip'),
      present: [...new Set([self, ...members.map(({ key }) => key)])],
      contenders: networks.contenders(),
      specOf: (key) => homes.get(key)?.endpoint.spec,
    })
  }

  #homes(): Map<string, Home> {
    const all = this.#options.controller
      .list()
      .flatMap((sandbox) => sandbox.endpoints.map((endpoint) => ({ sandbox, endpoint })))
    return new Map(all.map((home) => [home.endpoint.spec.id, home]))
  }

  /** Of claims of hosts that are away nothing is told: nobody can act on them, and they may never come back. */
  #tellNew(findings: readonly Finding[]): void {
    const { netdb, clock, tell, log } = this.#options
    const standing = new Map<string, Standing>()
    for (const finding of findings) {
      const { repair, keeps, loses } = finding
      const name = findingName(finding)
      const { sinceMs, told } = this.#standing.get(name) ?? {
        sinceMs: clock.nowMs(),
        told: false,
      }
      const hidden =
        repair === 'readdress' && [keeps, loses].some((one) => netdb.find(one) === undefined)
      standing.set(name, { sinceMs, told: told || !hidden })
      if (told || hidden) continue
      const event = collisionEvent(finding, netdb)
      log.warn({ event: event.kind }, event.text)
      tell(event)
    }
    this.#standing = standing
  }

  #noteOrphans({ actions }: RepairPlan): void {
    const nowMs = this.#options.clock.nowMs()
    const orphans = actions.flatMap((action) => (action.kind === 'discard' ? [action.vip] : []))
    this.#orphans = new Map(orphans.map((vip) => [vip, this.#orphans.get(vip) ?? nowMs]))
  }

  async #attempt(action: RepairAction, homes: ReadonlyMap<string, Home>): Promise<void> {
    try {
      switch (action.kind) {
        case 'renumber':
          if (this.#hasStood(action.finding)) this.#renumber(action)
          break
        case 'revip':
          if (this.#hasStood(action.finding)) await this.#revip(action)
          break
        case 'discard':
          this.#discard(action.vip)
          break
        default:
          await this.#change(action, homes.get(action.endpoint))
      }
    } catch (error) {
      this.#fail(action, error)
    }
  }

  #hasStood(finding: Finding): boolean {
    return this.#isOver(this.#standing.get(findingName(finding))?.sinceMs, SHARED_MS)
  }

  /** Whether so long has passed since then; if not, there will be another round when it has. */
  #isOver(sinceMs: number | undefined, waitMs: number): boolean {
    const nowMs = this.#options.clock.nowMs()
    const overMs = (sinceMs ?? nowMs) + waitMs
    if (nowMs < overMs) this.#at(overMs)
    return nowMs >= overMs
  }

  #discard(vip: string): void {
    if (!this.#isOver(this.#orphans.get(vip), ORPHAN_MS)) return
    this.#options.netdb.remove('vip', vip)
    this.#options.log.warn({ vip }, `VIP ${vip} is of no service; it is taken back`)
  }

  #renumber({ finding, subnet, value }: RepairAction & { readonly kind: 'renumber' }): void {
    const { netdb, log } = this.#options
    netdb.put('subnet', subnet, value)
    log.warn({ subnet }, `subnet ${subnet} is given VNI ${value.vni} instead of ${finding.vni}`)
  }

  async #revip({ vip, finding }: RepairAction & { readonly kind: 'revip' }): Promise<void> {
    const { netdb, services, log } = this.#options
    const who = `the VIP of ${this.#nameOf(finding.loses)}`
    await services.revip(vip)
    const now = netdb.get('vip', vip)?.value.ip
    if (now === undefined) return
    log.warn({ vip }, `${who} ${this.#whyLost(finding)}; it is ${now} now`)
  }

  async #change(
    action: RepairAction & { readonly kind: 'readdress' | 'stop' | 'follow' },
    home: Home | undefined,
  ): Promise<void> {
    const { endpoints, controller } = this.#options
    if (home === undefined || !home.sandbox.made || !home.endpoint.isUp) {
      // Who makes it sees to it that it has what nobody else claims; if that comes just then, it is for us.
      this.#retry()
      return
    }
    const { sandbox, endpoint } = home
    const { name } = sandbox.spec
    switch (action.kind) {
      case 'follow':
        endpoints.follow(name, endpoint, action.vni)
        await controller.noteEndpoints(sandbox)
        break
      case 'stop':
        this.#stop(sandbox, this.#whyLost(action.finding))
        break
      case 'readdress':
        await this.#readdress(home, this.#whyLost(action.finding))
        break
    }
  }

  async #readdress(home: Home, why: string): Promise<void> {
    const { endpoints, controller, log } = this.#options
    const { sandbox, endpoint } = home
    const { name } = sandbox.spec
    await endpoints.move(name, endpoint)
    const { ip, network } = endpoint.spec
    log.warn({ sandbox: name, network }, `${name} ${why}; it has ${ip} now`)
    if (!sandbox.endpoints.includes(endpoint)) return
    await controller.noteEndpoints(sandbox)
    await this.#finish(home)
  }

  /** Also of one that an earlier daemon began. */
  async #finish({ sandbox, endpoint }: Home): Promise<void> {
    const { endpoints, controller, log } = this.#options
    const { client, spec } = sandbox
    try {
      if (client === null || !sandbox.endpoints.includes(endpoint)) return
      await endpoints.changeInterface(endpoint, client)
      await controller.noteEndpoints(sandbox)
    } catch (error) {
      if (!sandbox.endpoints.includes(endpoint)) return
      const { interface: name, ip } = endpoint.spec
      log.error({ sandbox: spec.name }, `${ip} for ${name} of ${spec.name}: ${messageOf(error)}`)
      this.#retry()
    }
  }

  #stop(sandbox: Sandbox, reason: string): void {
    const { netdb, controller, tell, log } = this.#options
    const { id, name } = sandbox.spec
    if (this.#stopping.has(id)) return
    this.#stopping.add(id)
    const text = `${name} ${reason}, and asked for no other: it is ended`
    log.warn({ sandbox: name }, text)
    const object = `${netdb.nameOfMember(netdb.self)}/${name}`
    tell({ kind: 'sandbox-stopped', object, text })
    // Not waited for: its command may take its time, and its addresses are free before.
    controller
      .stop(sandbox, reason)
      .catch((error: unknown) => {
        log.error({ sandbox: name }, `${name} cannot be ended: ${messageOf(error)}`)
      })
      .finally(() => {
        this.#stopping.delete(id)
      })
  }

  #whyLost({ address, keeps, network }: AddressFinding): string {
    const { netdb } = this.#options
    const where = netdb.get('network', network)?.value.name ?? network
    return `lost ${address} on network ${where} to ${this.#nameOf(keeps)}`
  }

  /** Of an endpoint or a VIP by its record's name: `h1/c1`, `service web`. */
  #nameOf(record: string): string {
    return holderName(record, this.#options.netdb)
  }

  #fail(action: RepairAction, error: unknown): void {
    const { log, tell } = this.#options
    const object = objectOf(action)
    const text = `${action.kind} ${object}: ${messageOf(error)}`
    // A host that has not heard from its cluster yet will.
    const waits = error instanceof WeftError && error.code === 'unavailable'
    if (!waits && this.#failed.get(object) !== text) {
      log.error({ event: 'repair-failed' }, text)
      tell({ kind: 'repair-failed', object, text })
      this.#failed.set(object, text)
    }
    this.#retry()
  }

  #forgetFailures({ actions }: RepairPlan): void {
    const wanted = new Set(actions.map(objectOf))
    for (const object of this.#failed.keys()) if (!wanted.has(object)) this.#failed.delete(object)
  }

  #retry(): void {
    this.#at(this.#options.clock.nowMs() + RETRY_MS)
  }
}

function moves({ actions }: RepairPlan, endpoint: string): boolean {
  return actions.some((action) => action.kind === 'readdress' && action.endpoint === endpoint)
}

function objectOf(action: RepairAction): string {
  switch (action.kind) {
    case 'renumber':
      return action.subnet
    case 'revip':
    case 'discard':
      return action.vip
    default:
      return action.endpoint
  }
}

// Repair: this host's part in making collisions good, while everything runs. What is to be done is decided in src/ipam/repair-plan.ts.
//
//   records change → a moment later: plan → what collides is told, once → each action → records change → ... → nothing to do
//
// An endpoint moves in steps that a next daemon can go on with: addresses and record; known to the other hosts; written down with what
// its interface still has; the interface; written down without. What fails is tried again as long as the plan says so.

import type { Clock, Timer } from '../clock.ts'
import { WeftError, messageOf } from '../errors.ts'
import { collisionEvent } from '../events/collision-event.ts'
import type { Tell } from '../events/event.ts'
import type { Finding } from '../ipam/collisions.ts'
import { type RepairAction, type RepairPlan, findingName, planRepair } from '../ipam/repair-plan.ts'
import type { Logger } from '../log.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Controller } from './controller.ts'
import type { Endpoints } from './endpoints.ts'
import type { Networks } from './networks.ts'
import type { OpenEndpoint, Sandbox } from './sandbox.ts'

export interface RepairOptions {
  readonly netdb: Netdb
  readonly networks: Pick<Networks, 'contenders'>
  readonly endpoints: Pick<Endpoints, 'move' | 'changeInterface' | 'follow'>
  readonly controller: Pick<Controller, 'list' | 'noteEndpoints' | 'stop'>
  readonly clock: Clock
  readonly tell: Tell
  readonly log: Logger
}

/** Records come in flocks, above all when a partition ends: whoever knows all of them moves once. */
const SETTLE_MS = 100
/** They may go on coming. */
const LATEST_MS = 500
/** Two hosts that make networks at the same moment see to it themselves, within an acknowledgement (200 ms): that is no collision. */
const RENUMBER_MS = 300
/** An endpoint that is being made, or an action that failed. */
const RETRY_MS = 1_000

/** An endpoint of this host where it is. */
interface Home {
  readonly sandbox: Sandbox
  readonly endpoint: OpenEndpoint
}

export class Repair {
  readonly #options: RepairOptions
  readonly #unwatch: () => void
  /** Finding → since when it stands; each was told when it came. */
  #standing = new Map<string, number>()
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
      present: [...new Set([self, ...members.map(({ key }) => key)])],
      contenders: networks.contenders(),
      asked: (key) => homes.get(key)?.endpoint.spec.asked ?? false,
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
    const standing = new Map<string, number>()
    for (const finding of findings) {
      const { kind, keeps, loses } = finding
      if (kind === 'endpoint' && [keeps, loses].some((name) => netdb.find(name) === undefined))
        continue
      const name = findingName(finding)
      const sinceMs = this.#standing.get(name)
      standing.set(name, sinceMs ?? clock.nowMs())
      if (sinceMs !== undefined) continue
      const event = collisionEvent(finding, netdb)
      log.warn({ event: event.kind }, event.text)
      tell(event)
    }
    this.#standing = standing
  }

  async #attempt(action: RepairAction, homes: ReadonlyMap<string, Home>): Promise<void> {
    try {
      if (action.kind === 'renumber') this.#renumber(action)
      else {
        const home = homes.get(action.endpoint)
        if (home !== undefined) await this.#change(action, home)
      }
    } catch (error) {
      this.#fail(action, error)
    }
  }

  #renumber({ finding, subnet, value }: RepairAction & { readonly kind: 'renumber' }): void {
    const { netdb, clock, log } = this.#options
    const sinceMs = this.#standing.get(findingName(finding)) ?? clock.nowMs()
    const ripeMs = sinceMs + RENUMBER_MS
    if (clock.nowMs() < ripeMs) {
      this.#at(ripeMs)
      return
    }
    netdb.put('subnet', subnet, value)
    log.warn({ subnet }, `subnet ${subnet} is given VNI ${value.vni} instead of ${finding.vni}`)
  }

  async #change(
    action: Exclude<RepairAction, { readonly kind: 'renumber' }>,
    home: Home,
  ): Promise<void> {
    const { endpoints, controller } = this.#options
    const { sandbox, endpoint } = home
    const { name } = sandbox.spec
    if (!sandbox.made || !endpoint.isUp) {
      // Who makes it sees to it that it has what nobody else claims; if that comes just then, it is for us.
      this.#retry()
      return
    }
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

  #whyLost({ address, keeps, network }: Finding & { readonly kind: 'endpoint' }): string {
    const { netdb } = this.#options
    const keeper = netdb.find(keeps)
    const who =
      keeper?.kind === 'endpoint' && keeper.value !== null
        ? `${netdb.nameOfMember(keeper.owner)}/${keeper.value.name}`
        : keeps
    return `lost ${address} on network ${netdb.get('network', network)?.value.name ?? network} to ${who}`
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
  return action.kind === 'renumber' ? action.subnet : action.endpoint
}

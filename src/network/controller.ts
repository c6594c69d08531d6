// The controller: makes, follows and removes the sandboxes of this host.
//
// A sandbox lives as long as its weft-init. The controller never ends one by itself dying: it only ever asks init, and learns
// from init (a watch that ends) that a sandbox is gone; then its endpoints are detached, whoever ended it.

import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { startProgram } from '../dataplane/binding.ts'
import type { PortId } from '../dataplane/rows.ts'
import { WeftError, messageOf } from '../errors.ts'
import type { Tell } from '../events/event.ts'
import { interfaceNames, isOwnNamespace } from '../linux/interfaces.ts'
import type { Logger } from '../log.ts'
import { parseName } from '../net/name.ts'
import type { Netdb } from '../netdb/table.ts'
import { weftInit } from '../programs.ts'
import { InitClient, type InitStream, type WindowSize } from '../sandbox/init-client.ts'
import { appendLog } from '../sandbox/output-log.ts'
import { type InitProcess, killInit, spawnInit } from '../sandbox/spawn-init.ts'
import { adoptAll } from './adoption.ts'
import { Connections, prefixFor } from './connections.ts'
import type { Endpoints } from './endpoints.ts'
import { EndpointTimes } from './endpoint-times.ts'
import { HealthChecks } from './health-checks.ts'
import type { Networks } from './networks.ts'
import { probeHealth } from './probe-health.ts'
import {
  type AttachRequest,
  type Attachment,
  type RunRequest,
  endedMeanwhile,
  explained,
  pathOf,
} from './requests.ts'
import { type Sandbox, newSandbox, requireClient, whenGone } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'
import type { SandboxResolvers } from './sandbox-resolvers.ts'
import { SandboxTable } from './sandbox-table.ts'

export interface ControllerOptions {
  readonly endpoints: Endpoints
  readonly networks: Networks
  readonly netdb: Netdb
  readonly clock: Clock
  readonly tell: Tell
  readonly log: Logger
  /** Control sockets of the inits: short, a unix socket's path has 107 bytes. */
  readonly runDir: string
  readonly stateDir: string
  /** Descriptors that outlive the daemon with its sandboxes: the sockets on the VXLAN port. */
  readonly keep: () => readonly number[]
  readonly resolvers: SandboxResolvers
}

/** A sandbox that waits for its first attach stream is removed after this long: its client is gone. */
const START_PATIENCE_MS = 10_000

/** Docker's default for stop. */
const STOP_GRACE_MS = 10_000

/** How long a command may take to end by itself. */
interface Grace {
  readonly force: boolean
  readonly timeoutMs: number
}

export class Controller {
  readonly #options: ControllerOptions
  readonly #table: SandboxTable
  readonly #connections: Connections
  readonly #health: HealthChecks
  /** How long it took to make endpoints. */
  readonly times = new EndpointTimes()
  /** Names of sandboxes under construction. */
  readonly #making = new Set<string>()
  #closed = false

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#table = new SandboxTable(options)
    this.#connections = new Connections({ ...options, table: this.#table })
    this.#health = new HealthChecks({
      ...options,
      sandboxes: () => this.list(),
      noteEndpoints: (sandbox) => this.noteEndpoints(sandbox),
      probe: probeHealth,
    })
  }

  list(): Sandbox[] {
    return this.#table.list()
  }

  /** @throws WeftError not_found */
  find(nameOrId: string): Sandbox {
    return this.#table.find(nameOrId)
  }

  directoryOf({ spec }: Sandbox): string {
    return this.#table.directoryOf(spec)
  }

  /** The control socket of a sandbox's init. */
  socketPathOf({ spec }: Sandbox): string {
    return this.#table.socketOf(spec)
  }

  /** Writes down what the endpoints of a living sandbox have become, for the next daemon. */
  async noteEndpoints(sandbox: Sandbox): Promise<void> {
    await this.#table.noteEndpoints(sandbox)
  }

  /** Makes a sandbox with all its endpoints. Nothing is left of it when it throws. */
  async create(request: RunRequest | AttachRequest): Promise<Sandbox> {
    const name = parseName('sandbox', request.name)
    this.#requireNameFree(name)
    this.#making.add(name)
    try {
      const beganMs = this.#options.clock.nowMs()
      const sandbox = await this.#make(request)
      this.times.add(this.#options.clock.nowMs() - beganMs, sandbox.endpoints.length)
      return sandbox
    } finally {
      this.#making.delete(name)
    }
  }

  /** Runs the command of a created sandbox. */
  async start(sandbox: Sandbox): Promise<void> {
    const innerPid = await requireClient(sandbox).start()
    this.#noteStarted(sandbox, innerPid)
  }

  /** The stream of the command of a sandbox; `start`: the stream starts it, and misses nothing of it. */
  async openStream(
    sandbox: Sandbox,
    start: boolean,
    size: WindowSize | undefined,
  ): Promise<InitStream> {
    const client = requireClient(sandbox)
    const stream = await client.openStream(start ? 'attach start' : 'attach', size)
    if (start) {
      // A command that has ended by now has told the stream how.
      const state = await client.state().catch(() => null)
      this.#noteStarted(sandbox, state?.phase === 'running' ? state.pid : null)
    }
    return stream
  }

  /**
   * Puts a living sandbox on a further network.
   *
   * @throws WeftError not_running, not_found, name_in_use, and what addresses may lack
   */
  async connect(sandbox: Sandbox, attachment: Attachment): Promise<void> {
    const beganMs = this.#options.clock.nowMs()
    await this.#connections.connect(sandbox, attachment)
    this.#health.reconsider(sandbox)
    this.times.add(this.#options.clock.nowMs() - beganMs, 1)
  }

  /**
   * Takes a living sandbox off a network, also off its last one.
   *
   * @throws WeftError not_running, not_found
   */
  async disconnect(sandbox: Sandbox, network: string): Promise<void> {
    await this.#connections.disconnect(sandbox, network)
    this.#health.reconsider(sandbox)
  }

  /** Ends a sandbox, gently unless `force`, and forgets it. */
  async remove(sandbox: Sandbox, how: Grace): Promise<void> {
    await this.#end(sandbox, how)
    await this.#table.forget(sandbox)
  }

  /** Ends a sandbox that cannot go on, and remembers why; its addresses are free at once. */
  async stop(sandbox: Sandbox, reason: string): Promise<void> {
    sandbox.spec = { ...sandbox.spec, stopReason: reason }
    await this.#table.note(sandbox)
    await this.#connections.detachAll(sandbox)
    await this.#end(sandbox, { force: false, timeoutMs: STOP_GRACE_MS })
  }

  async #end(sandbox: Sandbox, { force, timeoutMs }: Grace): Promise<void> {
    const { client, state } = sandbox
    const noted = sandbox.made ? sandbox.spec.endpoints : sandbox.endpoints.map(({ spec }) => spec)
    if (client !== null) {
      if (state === 'running' && !force) {
        // One that ends at this moment is as good as told.
        await client.signal(15).catch(() => undefined)
        await this.#goneWithin(sandbox, timeoutMs)
      }
      if (sandbox.client !== null) {
        // First, so that init has the last descriptor of each interface: the kernel takes its time for closing that, and
        // inits do it side by side.
        await this.#connections.detachAll(sandbox)
        await client.end().catch(() => undefined)
        if (!(await this.#goneWithin(sandbox, 2_000)) && sandbox.spec.init !== null)
          killInit(sandbox.spec.init)
      }
      await whenGone(sandbox)
      await this.#options.endpoints.known(noted)
    }
  }

  /** Ends every sandbox at once. */
  async removeAll(): Promise<void> {
    await Promise.all(
      this.list().map((sandbox) => this.remove(sandbox, { force: true, timeoutMs: 0 })),
    )
  }

  /** A port's interface was deleted under us: whoever did it meant the attachment to end. */
  onPortGone(port: PortId): void {
    this.#connections.onPortGone(port)
  }

  /** Takes over what an earlier daemon left behind, and cleans up what nobody owns any more. */
  async adoptAll(): Promise<void> {
    await adoptAll({
      ...this.#options,
      table: this.#table,
      health: this.#health,
      follow: (sandbox) => this.#follow(sandbox),
      end: (sandbox) => this.remove(sandbox, { force: true, timeoutMs: 0 }),
    })
  }

  /** Leaves the sandboxes to the next daemon. */
  close(): void {
    this.#closed = true
    this.#health.close()
    for (const sandbox of this.list()) {
      sandbox.startDeadline?.cancel()
      sandbox.client?.close()
    }
  }

  #requireNameFree(name: string): void {
    const holder = this.list().find(({ spec, state }) => spec.name === name && state !== 'exited')
    if (holder === undefined && !this.#making.has(name)) return
    const what = holder === undefined ? 'being made' : holder.state
    throw new WeftError(
      'name_in_use',
      `sandbox ${name} exists on this host (${what}); choose another name, or weft rm ${name}`,
    )
  }

  async #make(request: RunRequest | AttachRequest): Promise<Sandbox> {
    const { endpoints, clock } = this.#options
    const promised: EndpointSpec[] = []
    const sandbox = newSandbox(
      {
        version: 1,
        id: randomBytes(32).toString('hex'),
        name: request.name,
        kind: request.kind,
        argv: request.kind === 'run' ? [...request.argv] : [],
        tty: request.kind === 'run' && request.tty,
        createdAtMs: clock.wallMs(),
        init: null,
        endpoints: [],
        ...(request.health === undefined ? {} : { healthCheck: request.health }),
        dns: null,
        stopReason: null,
      },
      request.kind === 'run' ? 'created' : 'attached',
    )
    const services = request.attachments.map(({ service }) => service ?? null)
    this.#health.prepare(sandbox, services)
    const promise = (prefix: string, taken: readonly string[]) =>
      this.#connections.promiseAll(
        request.name,
        request.attachments,
        prefix,
        new Set(taken),
        promised,
      )
    let names: Promise<void> = Promise.resolve()
    try {
      if (request.kind === 'run') await promise('eth', ['lo'])
      const { pid } = await this.#spawn(sandbox, request)
      // Who is in the namespace can read what is there, without a process for that.
      if (request.kind === 'attach') await promise(prefixFor(pid), interfaceNames(pid))
      names = this.#serveNames(sandbox, request)
      await this.#connections.open(sandbox, promised)
      await names
      // Not before: a daemon that is killed now leaves an init that nobody knows of, and the next one ends it.
      sandbox.made = true
      this.#health.reconsider(sandbox)
      sandbox.spec = { ...sandbox.spec, endpoints: sandbox.endpoints.map(({ spec }) => spec) }
      await this.#table.note(sandbox)
      await this.#table.forgetNamesake(sandbox)
      if (request.kind === 'run' && request.detach) await this.start(sandbox)
      else if (request.kind === 'run') this.#awaitStart(sandbox)
      else this.#health.begin(sandbox)
      return sandbox
    } catch (error) {
      await names
      for (const spec of promised) endpoints.forget(spec)
      const entered = sandbox.spec.init !== null
      if (sandbox.client === null) await this.#table.forget(sandbox)
      else await this.remove(sandbox, { force: true, timeoutMs: 0 })
      throw request.kind === 'attach' && entered ? endedMeanwhile(error, request.place) : error
    }
  }

  async #spawn(sandbox: Sandbox, request: RunRequest | AttachRequest): Promise<InitProcess> {
    const directory = this.directoryOf(sandbox)
    const socket = this.#table.socketOf(sandbox.spec)
    await this.#table.note(sandbox)
    const keep = this.#options.keep()
    const common = { binary: weftInit(), directory, socket, keep, startProgram }
    const init =
      request.kind === 'run'
        ? await spawnInit({
            ...common,
            mode: 'run',
            hostname: request.name,
            cwd: request.cwd,
            tty: request.tty,
            argv: request.argv,
            env: request.env,
          })
        : await spawnInit({
            ...common,
            mode: 'hold',
            ...('pid' in request.place
              ? { pid: request.place.pid }
              : { netns: pathOf(request.place) }),
          }).catch((error: unknown) => {
            throw explained(error, request.place)
          })
    sandbox.spec = { ...sandbox.spec, init }
    this.#table.add(sandbox)
    await this.#follow(sandbox)
    return init
  }

  /** The host's own resolver is left alone. */
  async #serveNames(sandbox: Sandbox, request: RunRequest | AttachRequest): Promise<void> {
    if (sandbox.spec.init !== null && isOwnNamespace(sandbox.spec.init.pid)) return
    const isNamed = request.kind === 'attach' && 'netns' in request.place
    const netns = isNamed ? pathOf(request.place) : undefined
    await this.#options.resolvers.serve(sandbox, requireClient(sandbox), netns)
  }

  /** Connects to init and learns of its end. */
  async #follow(sandbox: Sandbox): Promise<InitClient> {
    const client = new InitClient(this.#table.socketOf(sandbox.spec))
    sandbox.client = client
    try {
      await client.watch(() => {
        if (!this.#closed) void this.#onGone(sandbox)
      })
    } catch (error) {
      // It has ended before it could be watched: nobody will tell of its end.
      sandbox.client = null
      sandbox.gone.abort()
      throw error
    }
    return client
  }

  async #onGone(sandbox: Sandbox): Promise<void> {
    const { log, clock } = this.#options
    sandbox.startDeadline?.cancel()
    this.#health.end(sandbox)
    sandbox.client?.close()
    sandbox.client = null
    await this.#connections.detachAll(sandbox)
    await this.#options.resolvers.end(sandbox)
    await rm(this.#table.socketOf(sandbox.spec), { force: true })
    await this.#table.noteExit(sandbox)
    const { name, stopReason } = sandbox.spec
    // Init is gone, so nobody else writes there; who follows the log still reads it.
    if (stopReason !== null)
      await appendLog(this.directoryOf(sandbox), `weft: ended: ${stopReason}\n`, clock.wallMs())
    log.info({ sandbox: name, code: sandbox.exit?.code ?? null }, `sandbox ${name} ended`)
    if (sandbox.spec.kind === 'attach') await this.#table.forget(sandbox)
    await this.#table.forgetOldest()
    sandbox.gone.abort()
  }

  #noteStarted(sandbox: Sandbox, innerPid: number | null): void {
    sandbox.startDeadline?.cancel()
    sandbox.startDeadline = null
    if (sandbox.state !== 'created') return
    sandbox.state = 'running'
    sandbox.innerPid = innerPid
    sandbox.startedAtMs = this.#options.clock.wallMs()
    this.#health.begin(sandbox)
  }

  #awaitStart(sandbox: Sandbox): void {
    sandbox.startDeadline = this.#options.clock.setTimeout(() => {
      this.remove(sandbox, { force: true, timeoutMs: 0 }).catch((error: unknown) => {
        this.#options.log.error({ sandbox: sandbox.spec.name }, messageOf(error))
      })
    }, START_PATIENCE_MS)
  }

  async #goneWithin(sandbox: Sandbox, timeoutMs: number): Promise<boolean> {
    const late = new Promise<boolean>((resolve) => {
      this.#options.clock.setTimeout(() => {
        resolve(false)
      }, timeoutMs)
    })
    return await Promise.race([whenGone(sandbox).then(() => true), late])
  }
}

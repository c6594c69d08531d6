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
import { interfaceNames } from '../linux/interfaces.ts'
import type { Logger } from '../log.ts'
import { parseName } from '../net/name.ts'
import { weftInit } from '../programs.ts'
import { InitClient, type InitStream, type WindowSize } from '../sandbox/init-client.ts'
import { type InitProcess, killInit, spawnInit } from '../sandbox/spawn-init.ts'
import { adoptAll } from './adoption.ts'
import type { Endpoints } from './endpoints.ts'
import { nextInterfaceName, parseInterfaceName } from './interface-name.ts'
import {
  type AttachRequest,
  type Attachment,
  type RunRequest,
  explained,
  pathOf,
  twiceOn,
} from './requests.ts'
import { type Sandbox, newSandbox, whenGone } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'
import { SandboxTable } from './sandbox-table.ts'

export interface ControllerOptions {
  readonly endpoints: Endpoints
  readonly clock: Clock
  readonly log: Logger
  /** Control sockets of the inits: short, a unix socket's path has 107 bytes. */
  readonly runDir: string
  readonly stateDir: string
  /** Descriptors that outlive the daemon with its sandboxes: the sockets on the VXLAN port. */
  readonly keep: () => readonly number[]
}

/** A sandbox that waits for its first attach stream is removed after this long: its client is gone. */
const START_PATIENCE_MS = 10_000

export class Controller {
  readonly #options: ControllerOptions
  readonly #table: SandboxTable
  /** Names of sandboxes under construction. */
  readonly #making = new Set<string>()
  #closed = false

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#table = new SandboxTable(options)
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
      return await this.#make(request)
    } finally {
      this.#making.delete(name)
    }
  }

  /** Runs the command of a created sandbox. */
  async start(sandbox: Sandbox): Promise<void> {
    const innerPid = await this.requireClient(sandbox).start()
    this.#noteStarted(sandbox, innerPid)
  }

  /** The stream of the command of a sandbox; `start`: the stream starts it, and misses nothing of it. */
  async openStream(
    sandbox: Sandbox,
    start: boolean,
    size: WindowSize | undefined,
  ): Promise<InitStream> {
    const client = this.requireClient(sandbox)
    const stream = await client.openStream(start ? 'attach start' : 'attach', size)
    if (start) {
      // A command that has ended by now has told the stream how.
      const state = await client.state().catch(() => null)
      this.#noteStarted(sandbox, state?.phase === 'running' ? state.pid : null)
    }
    return stream
  }

  /** @throws WeftError not_running */
  requireClient(sandbox: Sandbox): InitClient {
    if (sandbox.client === null)
      throw new WeftError('not_running', `sandbox ${sandbox.spec.name} has ended`)
    return sandbox.client
  }

  /** Ends a sandbox, gently unless `force`, and forgets it. */
  async remove(
    sandbox: Sandbox,
    { force, timeoutMs }: { force: boolean; timeoutMs: number },
  ): Promise<void> {
    const { client, state } = sandbox
    if (client !== null) {
      if (state === 'running' && !force) {
        // One that ends at this moment is as good as told.
        await client.signal(15).catch(() => undefined)
        await this.#goneWithin(sandbox, timeoutMs)
      }
      if (sandbox.client !== null) {
        // First, so that init has the last descriptor of each interface: the kernel takes its time for closing that, and
        // inits do it side by side.
        await this.#detachAll(sandbox)
        await client.end().catch(() => undefined)
        if (!(await this.#goneWithin(sandbox, 2_000)) && sandbox.spec.init !== null)
          killInit(sandbox.spec.init)
      }
      await whenGone(sandbox)
      await this.#options.endpoints.known(sandbox.spec.endpoints)
    }
    await this.#table.forget(sandbox)
  }

  /** Ends every sandbox at once. */
  async removeAll(): Promise<void> {
    await Promise.all(
      this.list().map((sandbox) => this.remove(sandbox, { force: true, timeoutMs: 0 })),
    )
  }

  /** A port's interface was deleted under us: whoever did it meant the attachment to end. */
  onPortGone(port: PortId): void {
    const endpoint = this.#options.endpoints.ofPort(port)
    const sandbox = this.list().find(({ endpoints }) =>
      endpoints.some((open) => open.port === port),
    )
    if (endpoint === undefined || sandbox === undefined) return
    const { interface: name, network } = endpoint.spec
    this.#options.log.warn(
      { sandbox: sandbox.spec.name, network },
      `interface ${name} of ${sandbox.spec.name} was deleted: its endpoint on ${network} is detached`,
    )
    sandbox.endpoints = sandbox.endpoints.filter((open) => open !== endpoint)
    this.#options.endpoints.detach(endpoint)
    // Nor is the next daemon to bring it back.
    this.#table.noteEndpoints(sandbox).catch((error: unknown) => {
      this.#options.log.error({ sandbox: sandbox.spec.name }, messageOf(error))
    })
  }

  /** Takes over what an earlier daemon left behind, and cleans up what nobody owns any more. */
  async adoptAll(): Promise<void> {
    await adoptAll({
      ...this.#options,
      table: this.#table,
      follow: (sandbox) => this.#follow(sandbox),
      end: (sandbox) => this.remove(sandbox, { force: true, timeoutMs: 0 }),
    })
  }

  /** Leaves the sandboxes to the next daemon. */
  close(): void {
    this.#closed = true
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
    const host = request.kind === 'attach' && 'host' in request.place
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
        endpoints: promised,
      },
      request.kind === 'run' ? 'created' : 'attached',
    )
    try {
      const promise = async (taken: Set<string>) => {
        for (const attachment of request.attachments) {
          const spec = await this.#promise(request.name, attachment, host ? 'weft' : 'eth', taken)
          const twice = promised.some(({ networkId }) => networkId === spec.networkId)
          promised.push(spec)
          if (twice) throw twiceOn(spec.network, request.name)
        }
      }
      if (request.kind === 'run') await promise(new Set(['lo']))
      const init = await this.#spawn(sandbox, request)
      // Who is in the namespace can read what is there, without a process for that.
      if (request.kind === 'attach') await promise(new Set(interfaceNames(init.pid)))
      await this.#table.note(sandbox)
      for (const spec of promised) {
        const client = this.requireClient(sandbox)
        sandbox.endpoints.push(await endpoints.open(request.name, spec, client))
      }
      await endpoints.settle(request.name, sandbox.endpoints)
      await this.#table.noteEndpoints(sandbox)
      for (const endpoint of [...sandbox.endpoints])
        await endpoints.setUp(endpoint, this.requireClient(sandbox))
      await this.#table.forgetNamesake(sandbox)
      if (request.kind === 'run' && request.detach) await this.start(sandbox)
      else if (request.kind === 'run') this.#awaitStart(sandbox)
      return sandbox
    } catch (error) {
      for (const spec of promised) endpoints.forget(spec)
      if (sandbox.client === null) await this.#table.forget(sandbox)
      else await this.remove(sandbox, { force: true, timeoutMs: 0 })
      throw error
    }
  }

  async #promise(
    name: string,
    attachment: Attachment,
    prefix: string,
    taken: Set<string>,
  ): Promise<EndpointSpec> {
    const asked = attachment.interface
    const interfaceName =
      asked === undefined ? nextInterfaceName(prefix, taken) : parseInterfaceName(asked)
    if (taken.has(interfaceName)) {
      throw new WeftError(
        'interface_in_use',
        `interface ${interfaceName} exists in that namespace; choose another with --interface`,
      )
    }
    taken.add(interfaceName)
    const { network, ip, mac, aliases } = attachment
    const wish = { network, name, interface: interfaceName, ip, mac, aliases }
    return await this.#options.endpoints.promise(wish)
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

  /** Connects to init and learns of its end. */
  async #follow(sandbox: Sandbox): Promise<InitClient> {
    const client = new InitClient(this.#table.socketOf(sandbox.spec))
    sandbox.client = client
    await client.watch(() => {
      if (!this.#closed) void this.#onGone(sandbox)
    })
    return client
  }

  async #onGone(sandbox: Sandbox): Promise<void> {
    const { log } = this.#options
    sandbox.startDeadline?.cancel()
    sandbox.client?.close()
    sandbox.client = null
    await this.#detachAll(sandbox)
    await rm(this.#table.socketOf(sandbox.spec), { force: true })
    await this.#table.noteExit(sandbox)
    const { name } = sandbox.spec
    log.info({ sandbox: name, code: sandbox.exit?.code ?? null }, `sandbox ${name} ended`)
    if (sandbox.spec.kind === 'attach') await this.#table.forget(sandbox)
    await this.#table.forgetOldest()
    sandbox.gone.abort()
  }

  /** When it is done, our descriptors of the interfaces are closed: who asked may want their names again. */
  async #detachAll(sandbox: Sandbox): Promise<void> {
    const { endpoints } = this.#options
    sandbox.released = true
    const open = sandbox.endpoints.splice(0)
    for (const endpoint of open) endpoints.detach(endpoint)
    if (open.length > 0) await endpoints.settled()
  }

  #noteStarted(sandbox: Sandbox, innerPid: number | null): void {
    sandbox.startDeadline?.cancel()
    sandbox.startDeadline = null
    if (sandbox.state !== 'created') return
    sandbox.state = 'running'
    sandbox.innerPid = innerPid
    sandbox.startedAtMs = this.#options.clock.wallMs()
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

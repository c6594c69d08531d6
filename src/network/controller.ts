// The controller: makes, finds, adopts and removes the sandboxes of this host.
//
// A sandbox lives as long as its weft-init. The controller never ends one by itself dying: it only ever asks init, and learns
// from init (a watch that ends) that a sandbox is gone; then its endpoints are detached, whoever ended it.

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { startProgram } from '../dataplane/binding.ts'
import type { PortId } from '../dataplane/rows.ts'
import { WeftError, messageOf } from '../errors.ts'
import { interfaceNames } from '../linux/interfaces.ts'
import type { Logger } from '../log.ts'
import { parseName } from '../net/name.ts'
import { weftInit } from '../programs.ts'
import { InitClient, type InitStream, type WindowSize } from '../sandbox/init-client.ts'
import {
  type InitProcess,
  initAlive,
  killInit,
  listInits,
  spawnInit,
} from '../sandbox/spawn-init.ts'
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
import { type EndpointSpec, type SandboxSpec, SandboxStore } from './sandbox-spec.ts'

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
/** Ended sandboxes that `ps -a` remembers. */
const MOST_ENDED = 100
/** Characters of the id in a socket's name: enough to be unique on a host, short enough for the path. */
const SOCKET_ID_LENGTH = 12

export class Controller {
  readonly #options: ControllerOptions
  readonly #store: SandboxStore
  /** By id. */
  readonly #sandboxes = new Map<string, Sandbox>()
  /** Names of sandboxes under construction. */
  readonly #making = new Set<string>()
  #closed = false

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#store = new SandboxStore(join(options.stateDir, 'sandboxes'))
  }

  list(): Sandbox[] {
    return [...this.#sandboxes.values()]
  }

  /**
   * By name or by a prefix of the id of at least four characters. A living one comes before an ended one.
   *
   * @throws WeftError not_found
   */
  find(nameOrId: string): Sandbox {
    const all = this.list()
    const named = all.filter(({ spec }) => spec.name === nameOrId)
    const found =
      named.find(({ state }) => state !== 'exited') ??
      named.at(-1) ??
      (/^[0-9a-f]{4,64}$/.test(nameOrId)
        ? all.find(({ spec }) => spec.id.startsWith(nameOrId))
        : undefined)
    if (found === undefined)
      throw new WeftError('not_found', `no sandbox ${nameOrId} on this host; see weft ps -a`)
    return found
  }

  directoryOf(sandbox: Sandbox): string {
    return this.#store.directoryOf(sandbox.spec.id)
  }

  /** The control socket of a sandbox's init. */
  socketPathOf({ spec }: Sandbox): string {
    return this.#socketOf(spec)
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
    await this.#forget(sandbox)
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
  }

  /** Takes over what an earlier daemon left behind, and cleans up what nobody owns any more. */
  async adoptAll(): Promise<void> {
    const { log, stateDir } = this.#options
    await mkdir(join(this.#options.runDir, 's'), { recursive: true, mode: 0o700 })
    const specs = await this.#store.readAll((problem) => {
      log.error({}, problem)
    })
    await Promise.all(specs.map((spec) => this.#adopt(spec)))
    for (const init of await listInits(stateDir)) {
      if (this.list().some(({ client, spec }) => client !== null && spec.init?.pid === init.pid))
        continue
      log.warn({ pid: init.pid }, 'a weft-init that no sandbox here knows of is ended')
      killInit(init)
    }
    await this.#removeStraySockets()
    await this.#forgetOldest()
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
      await this.#store.write(sandbox.spec)
      for (const spec of promised) {
        const client = this.requireClient(sandbox)
        sandbox.endpoints.push(await endpoints.open(request.name, spec, client))
      }
      await endpoints.settle(request.name, sandbox.endpoints)
      await this.#noteEndpoints(sandbox)
      for (const endpoint of [...sandbox.endpoints])
        await endpoints.setUp(endpoint, this.requireClient(sandbox))
      await this.#forgetNamesake(sandbox)
      if (request.kind === 'run' && request.detach) await this.start(sandbox)
      else if (request.kind === 'run') this.#awaitStart(sandbox)
      return sandbox
    } catch (error) {
      for (const spec of promised) endpoints.forget(spec)
      if (sandbox.client === null) await this.#forget(sandbox)
      else await this.remove(sandbox, { force: true, timeoutMs: 0 })
      throw error
    }
  }

  /** Writes down what the endpoints have become, for the next daemon. */
  async #noteEndpoints(sandbox: Sandbox): Promise<void> {
    const specs = sandbox.endpoints.map(({ spec }) => spec)
    const noted = sandbox.spec.endpoints
    if (specs.length === noted.length && specs.every((spec, index) => spec === noted[index])) return
    sandbox.spec = { ...sandbox.spec, endpoints: specs }
    await this.#store.write(sandbox.spec)
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
    const socket = this.#socketOf(sandbox.spec)
    await this.#store.write(sandbox.spec)
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
    this.#sandboxes.set(sandbox.spec.id, sandbox)
    await this.#follow(sandbox)
    return init
  }

  /** Connects to init and learns of its end. */
  async #follow(sandbox: Sandbox): Promise<void> {
    sandbox.client = new InitClient(this.#socketOf(sandbox.spec))
    await sandbox.client.watch(() => {
      if (!this.#closed) void this.#onGone(sandbox)
    })
  }

  async #onGone(sandbox: Sandbox): Promise<void> {
    const { log } = this.#options
    sandbox.startDeadline?.cancel()
    sandbox.client?.close()
    sandbox.client = null
    await this.#detachAll(sandbox)
    await rm(this.#socketOf(sandbox.spec), { force: true })
    await this.#noteExit(sandbox)
    const { name } = sandbox.spec
    log.info({ sandbox: name, code: sandbox.exit?.code ?? null }, `sandbox ${name} ended`)
    if (sandbox.spec.kind === 'attach') await this.#forget(sandbox)
    await this.#forgetOldest()
    sandbox.gone.abort()
  }

  /** When it is done, our descriptors of the interfaces are closed: who asked may want their names again. */
  async #detachAll(sandbox: Sandbox): Promise<void> {
    const { endpoints } = this.#options
    const open = sandbox.endpoints.splice(0)
    for (const endpoint of open) endpoints.detach(endpoint)
    if (open.length > 0) await endpoints.settled()
  }

  async #noteExit(sandbox: Sandbox): Promise<void> {
    sandbox.state = 'exited'
    sandbox.exit = await this.#store.readExit(sandbox.spec.id).catch((error: unknown) => {
      this.#options.log.error(
        { sandbox: sandbox.spec.name },
        `its exit.json cannot be read: ${messageOf(error)}`,
      )
      return null
    })
    sandbox.startedAtMs = sandbox.exit?.startedAtMs ?? sandbox.startedAtMs
  }

  async #adopt(spec: SandboxSpec): Promise<void> {
    const { endpoints, log } = this.#options
    const sandbox = newSandbox(spec, spec.kind === 'attach' ? 'attached' : 'running')
    this.#sandboxes.set(spec.id, sandbox)
    if (spec.init === null || !initAlive(spec.init)) {
      await rm(this.#socketOf(spec), { force: true })
      await this.#noteExit(sandbox)
      sandbox.gone.abort()
      // Without an init it was only half made: there is nothing to remember.
      if (spec.kind === 'attach' || spec.init === null) await this.#forget(sandbox)
      return
    }
    try {
      await this.#follow(sandbox)
      const client = this.requireClient(sandbox)
      const state = await client.state()
      if (state.phase === 'created') {
        log.info({ sandbox: spec.name }, `sandbox ${spec.name} was never started and is removed`)
        await this.remove(sandbox, { force: true, timeoutMs: 0 })
        return
      }
      if (state.phase === 'running') sandbox.innerPid = state.pid
      for (const endpoint of spec.endpoints) {
        sandbox.endpoints.push(await endpoints.adopt(spec.name, endpoint, client))
      }
      sandbox.startedAtMs = spec.createdAtMs
      log.info({ sandbox: spec.name, init: spec.init.pid }, `sandbox ${spec.name} adopted`)
    } catch (error) {
      log.error(
        { sandbox: spec.name },
        `sandbox ${spec.name} cannot be adopted and is ended: ${messageOf(error)}`,
      )
      killInit(spec.init)
      if (sandbox.client === null) sandbox.gone.abort()
      else await whenGone(sandbox)
    }
  }

  /** An init that was killed could not remove its socket. */
  async #removeStraySockets(): Promise<void> {
    const directory = join(this.#options.runDir, 's')
    const living = this.list().filter(({ client }) => client !== null)
    const used = new Set(living.map(({ spec }) => this.#socketOf(spec)))
    for (const name of await readdir(directory)) {
      const path = join(directory, name)
      if (!used.has(path)) await rm(path, { recursive: true, force: true })
    }
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

  /** A new sandbox takes the name of an ended one: that one is forgotten. */
  async #forgetNamesake({ spec }: Sandbox): Promise<void> {
    for (const other of this.list()) {
      if (other.spec.name === spec.name && other.spec.id !== spec.id && other.state === 'exited') {
        await this.#forget(other)
      }
    }
  }

  async #forgetOldest(): Promise<void> {
    const ended = this.list().filter(({ state }) => state === 'exited')
    ended.sort((a, b) => (a.exit?.endedAtMs ?? 0) - (b.exit?.endedAtMs ?? 0))
    for (const sandbox of ended.slice(0, Math.max(0, ended.length - MOST_ENDED)))
      await this.#forget(sandbox)
  }

  async #forget(sandbox: Sandbox): Promise<void> {
    this.#sandboxes.delete(sandbox.spec.id)
    await rm(this.#socketOf(sandbox.spec), { force: true })
    await this.#store.remove(sandbox.spec.id)
  }

  #socketOf({ id }: SandboxSpec): string {
    return join(this.#options.runDir, 's', id.slice(0, SOCKET_ID_LENGTH))
  }
}

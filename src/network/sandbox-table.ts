// The sandboxes of this host as the daemon knows them, in memory and on disk: living ones, and as many ended ones as `ps -a` remembers.

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { WeftError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { MAX_NAME_LENGTH } from '../net/name.ts'
import type { Sandbox } from './sandbox.ts'
import { type SandboxSpec, SandboxStore } from './sandbox-spec.ts'

export interface SandboxTableOptions {
  /** Control sockets of the inits: short, a unix socket's path has 107 bytes. */
  readonly runDir: string
  readonly stateDir: string
  readonly log: Logger
}

/** Ended sandboxes that `ps -a` remembers. */
const MOST_ENDED = 100
/** Characters of the id in a socket's name: enough to be unique on a host, short enough for the path. */
const SOCKET_ID_LENGTH = 12

export class SandboxTable {
  readonly #options: SandboxTableOptions
  readonly #store: SandboxStore
  readonly #byId = new Map<string, Sandbox>()

  constructor(options: SandboxTableOptions) {
    this.#options = options
    this.#store = new SandboxStore(join(options.stateDir, 'sandboxes'))
  }

  list(): Sandbox[] {
    return [...this.#byId.values()]
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
      throw new WeftError('not_found', `no sandbox ${cut(nameOrId)} on this host; see weft ps -a`)
    return found
  }

  /** What was written down by earlier daemons. */
  async readAll(): Promise<SandboxSpec[]> {
    return await this.#store.readAll((problem) => {
      this.#options.log.error({}, problem)
    })
  }

  add(sandbox: Sandbox): void {
    this.#byId.set(sandbox.spec.id, sandbox)
  }

  directoryOf({ id }: SandboxSpec): string {
    return this.#store.directoryOf(id)
  }

  /** The control socket of a sandbox's init. */
  socketOf({ id }: SandboxSpec): string {
    return join(this.#socketDirectory, id.slice(0, SOCKET_ID_LENGTH))
  }

  get #socketDirectory(): string {
    return join(this.#options.runDir, 's')
  }

  /** Writes a sandbox down as it is then, for the next daemon; several that are asked for at once follow each other. */
  async note(sandbox: Sandbox): Promise<void> {
    await this.#inTurn(sandbox, async () => {
      if (!sandbox.forgotten) await this.#store.write(sandbox.spec)
    })
  }

  /** Writes down what the endpoints of a living sandbox have become. One that is being made is written down when it is whole. */
  async noteEndpoints(sandbox: Sandbox): Promise<void> {
    if (!sandbox.made || sandbox.ending) return
    const specs = sandbox.endpoints.map(({ spec }) => spec)
    const noted = sandbox.spec.endpoints
    if (specs.length === noted.length && specs.every((spec, index) => spec === noted[index])) return
    sandbox.spec = { ...sandbox.spec, endpoints: specs }
    await this.note(sandbox)
  }

  /** It has ended: `ps -a` tells how. */
  async noteExit(sandbox: Sandbox): Promise<void> {
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

  async forget(sandbox: Sandbox): Promise<void> {
    sandbox.forgotten = true
    this.#byId.delete(sandbox.spec.id)
    await this.#inTurn(sandbox, async () => {
      await rm(this.socketOf(sandbox.spec), { force: true })
      await this.#store.remove(sandbox.spec.id)
    })
  }

  /** A new sandbox takes the name of an ended one: that one is forgotten. */
  async forgetNamesake({ spec }: Sandbox): Promise<void> {
    for (const other of this.list()) {
      if (other.spec.name === spec.name && other.spec.id !== spec.id && other.state === 'exited') {
        await this.forget(other)
      }
    }
  }

  async forgetOldest(): Promise<void> {
    const ended = this.list().filter(({ state }) => state === 'exited')
    ended.sort((a, b) => (a.exit?.endedAtMs ?? 0) - (b.exit?.endedAtMs ?? 0))
    for (const sandbox of ended.slice(0, Math.max(0, ended.length - MOST_ENDED)))
      await this.forget(sandbox)
  }

  /** An init that was killed could not remove its socket. */
  async removeStraySockets(): Promise<void> {
    const directory = this.#socketDirectory
    const living = this.list().filter(({ client }) => client !== null)
    const used = new Set(living.map(({ spec }) => this.socketOf(spec)))
    for (const name of await readdir(directory)) {
      const path = join(directory, name)
      if (!used.has(path)) await rm(path, { recursive: true, force: true })
    }
  }

  /** What concerns a sandbox's files, one after the other. */
  async #inTurn(sandbox: Sandbox, work: () => Promise<void>): Promise<void> {
    const done = sandbox.written.then(work)
    sandbox.written = done.catch(() => undefined)
    await done
  }
}

/** Enough of a name that is none to recognise it. */
function cut(name: string): string {
  return name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}...` : name
}

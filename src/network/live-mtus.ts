// The MTU of live interfaces: what their network's is now, also when a path has changed under them.

import { join } from 'node:path'
import type { Logger } from '../log.ts'
import { messageOf } from '../errors.ts'
import type { Sandbox } from './sandbox.ts'
import { SandboxStore } from './sandbox-spec.ts'

export interface LiveMtusOptions {
  readonly stateDir: string
  readonly sandboxes: () => readonly Sandbox[]
  /** Of a network with endpoints here, in bytes; undefined: there is no such network. */
  readonly mtuOf: (networkId: string) => number | undefined
  readonly log: Logger
}

/** Changes come in flocks: an endpoint with its records, a path for each member. */
const SETTLE_MS = 20

export class LiveMtus {
  readonly #options: LiveMtusOptions
  readonly #store: SandboxStore
  /** Endpoint → what its interface was given. */
  readonly #given = new Map<string, number>()
  #soon: NodeJS.Timeout | null = null
  #working: Promise<void> = Promise.resolve()

  constructor(options: LiveMtusOptions) {
    this.#options = options
    this.#store = new SandboxStore(join(options.stateDir, 'sandboxes'))
  }

  close(): void {
    if (this.#soon !== null) clearTimeout(this.#soon)
  }

  /** Gives interfaces what their networks have now, in a moment. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null
      this.#working = this.#working.then(() => this.#work())
    }, SETTLE_MS)
    this.#soon.unref()
  }

  async #work(): Promise<void> {
    const { sandboxes, mtuOf, log } = this.#options
    const living = new Set<string>()
    for (const sandbox of sandboxes()) {
      for (const { spec } of [...sandbox.endpoints]) {
        living.add(spec.id)
        const wanted = mtuOf(spec.networkId)
        if (wanted === undefined || sandbox.client === null) continue
        if ((this.#given.get(spec.id) ?? spec.mtuBytes) === wanted) continue
        try {
          await sandbox.client.request(`link ${spec.interface} ${spec.mac} ${wanted}`)
          this.#given.set(spec.id, wanted)
          await this.#note(sandbox, spec.id, wanted)
        } catch (error) {
          const { name } = sandbox.spec
          log.warn(
            { sandbox: name },
            `MTU ${wanted} for ${spec.interface} of ${name}: ${messageOf(error)}`,
          )
        }
      }
    }
    for (const id of this.#given.keys()) if (!living.has(id)) this.#given.delete(id)
  }

  /** For inspect, and for the next daemon. */
  async #note(sandbox: Sandbox, id: string, mtuBytes: number): Promise<void> {
    const endpoints = sandbox.spec.endpoints.map((one) =>
      one.id === id ? { ...one, mtuBytes } : one,
    )
    sandbox.spec = { ...sandbox.spec, endpoints }
    // Not of one that is just being forgotten.
    if (sandbox.client !== null) await this.#store.write(sandbox.spec)
  }
}

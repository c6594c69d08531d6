// The MTU of live interfaces: what their network's is now, also when a path has changed under them.

import type { Logger } from '../log.ts'
import { messageOf } from '../errors.ts'
import type { Sandbox } from './sandbox.ts'
import { SettledWork } from './settled-work.ts'

export interface LiveMtusOptions {
  readonly sandboxes: () => readonly Sandbox[]
  /** Of a network with endpoints here, in bytes; undefined: there is no such network. */
  readonly mtuOf: (networkId: string) => number | undefined
  /** Writes down what the endpoints of a sandbox have become. */
  readonly noteEndpoints: (sandbox: Sandbox) => Promise<void>
  readonly log: Logger
}

export class LiveMtus {
  readonly #options: LiveMtusOptions
  readonly #work = new SettledWork(() => this.#adjust())

  constructor(options: LiveMtusOptions) {
    this.#options = options
  }

  close(): void {
    this.#work.close()
  }

  /** Gives interfaces what their networks have now, in a moment. */
  soon(): void {
    this.#work.soon()
  }

  async #adjust(): Promise<void> {
    const { sandboxes, mtuOf, noteEndpoints, log } = this.#options
    for (const sandbox of sandboxes()) {
      for (const endpoint of [...sandbox.endpoints]) {
        const { interface: name, mac, mtuBytes, networkId } = endpoint.spec
        const wanted = mtuOf(networkId)
        if (wanted === undefined || wanted === mtuBytes || sandbox.client === null) continue
        try {
          await sandbox.client.request(`link ${name} ${mac} ${wanted}`)
          endpoint.spec = { ...endpoint.spec, mtuBytes: wanted }
          await noteEndpoints(sandbox)
        } catch (error) {
          const who = sandbox.spec.name
          log.warn({ sandbox: who }, `MTU ${wanted} for ${name} of ${who}: ${messageOf(error)}`)
        }
      }
    }
  }
}

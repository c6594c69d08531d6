// The routes of live interfaces: a network that is given a further subnet is routed to it at once, behind the gateway.

import type { Logger } from '../log.ts'
import { messageOf } from '../errors.ts'
import { cidrContains, formatCidr } from '../net/cidr.ts'
import type { Networks } from './networks.ts'
import type { Sandbox } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'
import { SettledWork } from './settled-work.ts'

export interface LiveRoutesOptions {
  readonly sandboxes: () => readonly Sandbox[]
  readonly networks: Pick<Networks, 'subnetsOf'>
  readonly log: Logger
}

export class LiveRoutes {
  readonly #options: LiveRoutesOptions
  readonly #work = new SettledWork(() => this.#adjust())

  constructor(options: LiveRoutesOptions) {
    this.#options = options
  }

  close(): void {
    this.#work.close()
  }

  /** Gives interfaces the routes that their networks have now, in a moment. Those that they have stay. */
  soon(): void {
    this.#work.soon()
  }

  async #adjust(): Promise<void> {
    const { sandboxes, networks, log } = this.#options
    for (const sandbox of sandboxes()) {
      for (const { spec } of [...sandbox.endpoints]) {
        for (const { to, via } of routesOf(spec, networks)) {
          try {
            await sandbox.client?.request(`route ${spec.interface} ${to} ${via}`)
          } catch (error) {
            // Of one that is being made the interface may not be up; it may have looked for its routes before this one came.
            if (!sandbox.made) this.soon()
            else if (!sandbox.ending) {
              const { name } = sandbox.spec
              log.warn({ sandbox: name }, `route to ${to} for ${name}: ${messageOf(error)}`)
            }
          }
        }
      }
    }
  }
}

/** The other subnets of the network lie behind the gateway. */
export function routesOf(
  spec: EndpointSpec,
  networks: Pick<Networks, 'subnetsOf'>,
): { to: string; via: string }[] {
  const routes: { to: string; via: string }[] = []
  for (const { value } of networks.subnetsOf(spec.networkId)) {
    if (cidrContains(value.cidr, spec.ip)) continue
    routes.push({ to: formatCidr(value.cidr), via: spec.gateway })
    if (value.cidr6 !== null && spec.ip6 !== null && spec.gateway6 !== null) {
      routes.push({ to: formatCidr(value.cidr6), via: spec.gateway6 })
    }
  }
  return routes
}

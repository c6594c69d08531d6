// The resolver of each sandbox of this host: its sockets at 127.0.0.11, which its init keeps, and its resolv.conf.
//
// Names are a convenience next to addresses: whatever cannot be had of them is told (log, inspect), and the sandbox works without.

import { readlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { receiveDescriptor } from '../dataplane/binding.ts'
import { openDatagrams } from '../dataplane/datagrams.ts'
import type { Asker, Resolver } from '../dns/resolver.ts'
import { listenTcp } from '../dns/tcp-listener.ts'
import { type Listener, listenUdp } from '../dns/udp-listener.ts'
import { sandboxResolvConf } from '../dns/upstream.ts'
import { WeftError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { InitClient } from '../sandbox/init-client.ts'
import {
  makeNetnsResolvConf,
  removeNetnsResolvConf,
  rewriteNetnsResolvConf,
} from './netns-resolv-conf.ts'
import { type Sandbox, netnsPath } from './sandbox.ts'
import type { SandboxSpec } from './sandbox-spec.ts'

export interface SandboxResolversOptions {
  readonly resolver: Resolver
  readonly log: Logger
  readonly directoryOf: (spec: SandboxSpec) => string
  /** The host's search domains. */
  readonly search: () => readonly string[]
}

/** A network namespace with those who are attached in it: several attachments share one 127.0.0.11. */
interface Served {
  readonly members: Set<Sandbox>
  /** Whose init keeps the sockets. */
  holder: Sandbox
  listeners: Listener[]
}

export class SandboxResolvers {
  readonly #options: SandboxResolversOptions
  readonly #byNamespace = new Map<string, Served>()

  constructor(options: SandboxResolversOptions) {
    this.#options = options
  }

  /**
   * Serves a sandbox that has its init. Nothing that goes wrong with it is an error: it is noted in the sandbox.
   *
   * @param netns the path of the namespace as it was given, if it was
   */
  async serve(sandbox: Sandbox, client: InitClient, netns?: string): Promise<void> {
    sandbox.spec = { ...sandbox.spec, dns: { resolvConf: null } }
    await this.#try(sandbox, () => this.#listen(sandbox, client))
    await this.#try(sandbox, () => this.#makeResolvConf(sandbox, client, netns))
  }

  /** Takes over one that an earlier daemon served: its init has the sockets, and whoever sees its resolv.conf sees it still. */
  async adopt(sandbox: Sandbox, client: InitClient): Promise<void> {
    if (sandbox.spec.dns === null) return
    await this.#try(sandbox, () => this.#listen(sandbox, client))
    await this.#try(sandbox, () => writeFile(this.#pathOf(sandbox), this.#text()))
  }

  /** To be called when its init is gone. */
  async end(sandbox: Sandbox): Promise<void> {
    const path = sandbox.spec.dns?.resolvConf ?? null
    if (path !== null) await removeNetnsResolvConf(path)
    for (const [namespace, served] of this.#byNamespace) {
      if (!served.members.delete(sandbox)) continue
      if (served.holder === sandbox) await closeAll(served.listeners.splice(0))
      const [next] = [...served.members].filter(({ client }) => client !== null)
      const client = next?.client ?? null
      if (next === undefined || client === null) this.#byNamespace.delete(namespace)
      else if (served.holder === sandbox) {
        served.holder = next
        await this.#try(next, () => this.#open(served, client))
      }
    }
  }

  /** The host's search domains are others now. */
  async rewrite(): Promise<void> {
    const members = [...this.#byNamespace.values()].flatMap((served) => [...served.members])
    for (const sandbox of members) {
      // In place: what is mounted over another file is this inode.
      await this.#try(sandbox, () => writeFile(this.#pathOf(sandbox), this.#text()))
      const path = sandbox.spec.dns?.resolvConf ?? null
      if (path !== null) await this.#try(sandbox, () => rewriteNetnsResolvConf(path, this.#text()))
    }
  }

  /** Closes our side: the inits keep the sockets for the next daemon. */
  async close(): Promise<void> {
    const all = [...this.#byNamespace.values()].flatMap(({ listeners }) => listeners)
    this.#byNamespace.clear()
    await closeAll(all)
  }

  async #listen(sandbox: Sandbox, client: InitClient): Promise<void> {
    const namespace = namespaceOf(sandbox)
    const served = this.#byNamespace.get(namespace)
    if (served !== undefined) {
      served.members.add(sandbox)
      return
    }
    const made: Served = { members: new Set([sandbox]), holder: sandbox, listeners: [] }
    this.#byNamespace.set(namespace, made)
    await this.#open(made, client)
  }

  async #open(served: Served, client: InitClient): Promise<void> {
    const { resolver } = this.#options
    const asker: Asker = {
      underway: 0,
      networks: () => {
        const ids = new Set<string>()
        for (const { endpoints } of served.members) {
          for (const { spec } of endpoints) ids.add(spec.networkId)
        }
        return [...ids]
      },
    }
    const [udp, tcp] = await Promise.allSettled([
      client
        .dnsSocket('udp', receiveDescriptor)
        .then((fd) => listenUdp((handlers) => openDatagrams({ fd }, handlers), resolver, asker)),
      client.dnsSocket('tcp', receiveDescriptor).then((fd) => listenTcp({ fd }, resolver, asker)),
    ])
    for (const opened of [udp, tcp]) {
      if (opened.status === 'fulfilled') served.listeners.push(opened.value)
    }
    for (const opened of [udp, tcp]) if (opened.status === 'rejected') throw opened.reason
  }

  async #makeResolvConf(
    sandbox: Sandbox,
    client: InitClient,
    netns: string | undefined,
  ): Promise<void> {
    await writeFile(this.#pathOf(sandbox), this.#text(), { mode: 0o644 })
    if (netns === undefined) {
      await client.mountResolvConf()
      return
    }
    const resolvConf = await makeNetnsResolvConf(netns, this.#text())
    sandbox.spec = { ...sandbox.spec, dns: { resolvConf } }
  }

  #text(): string {
    return sandboxResolvConf({ search: this.#options.search() })
  }

  #pathOf({ spec }: Sandbox): string {
    return join(this.#options.directoryOf(spec), 'resolv.conf')
  }

  async #try(sandbox: Sandbox, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const text = messageOf(error)
      const { name } = sandbox.spec
      sandbox.warnings.push(text)
      const said = error instanceof WeftError ? 'warn' : 'error'
      this.#options.log[said]({ sandbox: name }, `names in sandbox ${name}: ${text}`)
    }
  }
}

/** What tells one network namespace from another. */
function namespaceOf({ spec }: Sandbox): string {
  return readlinkSync(netnsPath(spec))
}

async function closeAll(listeners: readonly Listener[]): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close()))
}

// Which host has the sandbox of that name: this one, or another that is to be asked.

import { WeftError } from '../errors.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Controller } from '../network/controller.ts'

/** Another host of the cluster. */
export interface OtherHost {
  readonly id: string
  readonly name: string
}

/** What is to be known of the other hosts. */
export interface OtherHosts {
  /** This host's own name. */
  readonly selfName: string
  /** The present host of that name; undefined: there is none. */
  named(name: string): OtherHost | undefined
  /** Hosts that have said to carry a sandbox of that name, in the order of their names. */
  carrying(sandbox: string): OtherHost[]
  /** Asks a peer for what this host may have missed. */
  refresh(): Promise<void>
}

export type Place =
  | { readonly host: null; readonly name: string }
  | { readonly host: OtherHost; readonly name: string }

/**
 * `NAME` is this host's if it has one, else of the only host that has; `HOST/NAME` is that host's.
 *
 * @throws WeftError not_found, ambiguous
 */
export async function locate(
  text: string,
  controller: Pick<Controller, 'find'>,
  others: OtherHosts,
): Promise<Place> {
  const slash = text.indexOf('/')
  if (slash >= 0) return await onHost(text.slice(0, slash), text.slice(slash + 1), others)
  const notHere = tryFind(text, controller)
  if (notHere === null) return { host: null, name: text }
  // The other host may have told of it at this moment: who misses a name asks before it says no.
  let carriers = others.carrying(text)
  if (carriers.length === 0) {
    await others.refresh()
    carriers = others.carrying(text)
  }
  const [only, second] = carriers
  if (only === undefined) throw notHere
  if (second !== undefined) {
    const where = carriers.map(({ name }) => `${name}/${text}`).join(', ')
    throw new WeftError('ambiguous', `several hosts have a sandbox ${text}; name one of ${where}`)
  }
  return { host: only, name: text }
}

async function onHost(hostName: string, name: string, others: OtherHosts): Promise<Place> {
  if (hostName === others.selfName) return { host: null, name }
  let host = others.named(hostName)
  if (host === undefined) {
    await others.refresh()
    host = others.named(hostName)
  }
  if (host !== undefined) return { host, name }
  throw new WeftError('not_found', `no host ${hostName} is up in this cluster; see weft node ls`)
}

/** null: it is here. */
function tryFind(name: string, controller: Pick<Controller, 'find'>): WeftError | null {
  try {
    controller.find(name)
    return null
  } catch (error) {
    if (error instanceof WeftError && error.code === 'not_found') return error
    throw error
  }
}

/** The other hosts as cluster and records show them. */
export function otherHosts(cluster: Cluster, netdb: Netdb, selfName: string): OtherHosts {
  return {
    selfName,
    named: (name) => cluster.others().find((other) => other.name === name),
    carrying: (sandbox) => {
      const owners = new Set(
        netdb
          .list('endpoint')
          .filter(({ value }) => value.name === sandbox)
          .map(({ owner }) => owner),
      )
      return cluster
        .others()
        .filter(({ id }) => owners.has(id))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    refresh: () => cluster.refresh(),
  }
}

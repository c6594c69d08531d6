// The facts file in force: read at the start, followed while the daemon runs, put into netdb when it may be.

import type { FactsResult } from '../facts/facts-error.ts'
import type { Facts } from '../facts/facts.ts'
import { FactsSource, networkIdOf, statementsOf } from '../facts/facts-source.ts'
import { type FactsWatch, readFacts, watchFacts } from '../facts/watch-facts.ts'
import { WeftError, messageOf } from '../errors.ts'
import { type HostRoute, hostRoutes } from '../linux/routes.ts'
import { type Cidr, cidrsOverlap, formatCidr, parseCidr } from '../net/cidr.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Logger } from '../log.ts'

export interface NetworkFactsOptions {
  readonly path: string
  readonly self: string
  readonly netdb: Netdb
  readonly log: Logger
  /** Whether endpoints of this host are on the network with that id. */
  readonly inUse: (networkId: string) => boolean
}

export class NetworkFacts {
  readonly #options: NetworkFactsOptions
  readonly #source: FactsSource
  #current: Facts
  #loadedAtMs = Date.now()
  #error: string | null = null
  #watch: FactsWatch | null = null

  /** Puts `facts`, the file as readUsable() gave it, into netdb. */
  constructor(options: NetworkFactsOptions, facts: Facts) {
    this.#options = options
    this.#source = new FactsSource(options.netdb, options.self)
    this.#current = facts
    this.#source.apply(facts)
  }

  get facts(): Facts {
    return this.#current
  }

  status(): { path: string; loadedAt: string; error: string | null } {
    return {
      path: this.#options.path,
      loadedAt: new Date(this.#loadedAtMs).toISOString(),
      error: this.#error,
    }
  }

  /** Follows the file from now on. A version that cannot be used is reported and the last good one stays. */
  follow(): void {
    let first = true
    this.#watch = watchFacts(this.#options.path, (result) => {
      // The first call is the version that the daemon started with, or one newer by a moment.
      void this.#reload(result, first)
      first = false
    })
  }

  close(): void {
    this.#watch?.close()
  }

  async #reload(result: FactsResult, quiet: boolean): Promise<void> {
    const { path, log } = this.#options
    try {
      const facts = await usable(result, this.#options)
      this.#requireUsedUnchanged(facts)
      this.#source.apply(facts)
      this.#current = facts
      this.#loadedAtMs = Date.now()
      this.#error = null
      if (!quiet) log.info({ path }, 'facts read again')
    } catch (error) {
      this.#error = messageOf(error)
      log.error({ path }, `the new facts are not used, the last good ones stay: ${this.#error}`)
    }
  }

  /** A network with endpoints here keeps its subnets: their interfaces, addresses and routes are made after them. */
  #requireUsedUnchanged(facts: Facts): void {
    const { self, inUse, path } = this.#options
    const shape = (all: Facts, name: string): string =>
      JSON.stringify(
        statementsOf(all, self).filter(
          ({ kind, value }) => kind === 'subnet' && value.network === networkIdOf(name),
        ),
      )
    for (const { name } of this.#current.networks) {
      if (!inUse(networkIdOf(name)) || shape(facts, name) === shape(this.#current, name)) continue
      throw new WeftError(
        'invalid_argument',
        `${path}: network ${name} has endpoints on this host, its subnets cannot change; remove the endpoints first`,
      )
    }
  }
}

/**
 * Reads the file.
 *
 * @throws WeftError invalid_argument: what is wrong with it, or why it cannot hold on this host
 */
export async function readUsable(
  place: Pick<NetworkFactsOptions, 'path' | 'self'>,
): Promise<Facts> {
  return await usable(await readFacts(place.path), place)
}

async function usable(
  result: FactsResult,
  place: Pick<NetworkFactsOptions, 'path' | 'self'>,
): Promise<Facts> {
  if (!result.ok) throw result.error
  requireSelf(result.facts, place)
  requireNoOverlap(result.facts, await hostRoutes())
  return result.facts
}

function requireSelf(
  facts: Facts,
  { path, self }: Pick<NetworkFactsOptions, 'path' | 'self'>,
): void {
  // Without members the hosts are those of the cluster.
  if (facts.members.length === 0 || facts.members.some(({ name }) => name === self)) return
  const known = facts.members.map(({ name }) => name).join(', ')
  throw new WeftError(
    'invalid_argument',
    `${path}: this host, ${self}, is not among the members (${known}); add it or give --name`,
  )
}

/** An overlay subnet that the host routes elsewhere would cut that part of the world off from every sandbox that is on both. */
function requireNoOverlap(facts: Facts, routes: readonly HostRoute[]): void {
  const routed = routes.flatMap(({ prefix, device }) => {
    const cidr = cidrOfRoute(prefix)
    return cidr === null ? [] : [{ cidr, prefix, device }]
  })
  for (const network of facts.networks) {
    const subnets: Cidr[] = network.subnets.flatMap(({ cidr, cidr6 }) =>
      cidr6 === undefined ? [cidr] : [cidr, cidr6],
    )
    for (const subnet of subnets) {
      const clash = routed.find(
        ({ cidr }) => cidr.family === subnet.family && cidrsOverlap(cidr, subnet),
      )
      if (clash === undefined || isOurs(clash.device)) continue
      throw new WeftError(
        'invalid_argument',
        `subnet ${formatCidr(subnet)} of network ${network.name} overlaps this host's route ${clash.prefix} dev ${clash.device}; choose another subnet`,
      )
    }
  }
}

/** An attachment of the host itself (weft attach --host) has a route of its own into the overlay. */
function isOurs(device: string): boolean {
  return /^weft[0-9]+$/.test(device)
}

function cidrOfRoute(prefix: string): Cidr | null {
  try {
    return parseCidr(prefix.includes('/') ? prefix : `${prefix}/${prefix.includes(':') ? 128 : 32}`)
  } catch {
    return null // `unreachable`, `multicast`: no prefix of anybody's
  }
}

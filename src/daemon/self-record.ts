// What the others are to know of this host: its member record, kept up with its routes.

import type { Clock, Timer } from '../clock.ts'
import { type HostRoute, hostRoutes } from '../linux/routes.ts'
import type { UnderlayInterface } from '../linux/underlay.ts'
import type { MemberValue } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import { VERSION } from '../version.ts'
import type { Config } from './config.ts'

/** Of a host that routes more, the others know the first: a record has 1,100 bytes. */
const MOST_ROUTES = 32
/** A subnet that another host chooses may meet a route of ours that is as young as this. */
const FOLLOW_MS = 2_000

/** What this host routes that is not of the overlay. */
export async function underlayRoutes(): Promise<HostRoute[]> {
  const routes = await hostRoutes()
  // Every link has a link-local prefix, and our own interfaces route into the overlay itself.
  return routes.filter(
    ({ prefix, device }) => !prefix.startsWith('fe80:') && !/^weft[0-9]+$/.test(device),
  )
}

/** Puts this host's own record; gives the function that ends following its routes. */
export async function describeSelf(
  netdb: Netdb,
  clock: Clock,
  { name, vxlanPort }: Config,
  { address, mtuBytes }: UnderlayInterface,
): Promise<() => void> {
  const value: Omit<MemberValue, 'routes'> = {
    name,
    vtep: address,
    vxlanPort,
    version: VERSION,
    underlayMtuBytes: mtuBytes,
  }
  let said = await routesToTell()
  netdb.put('member', netdb.self, { ...value, routes: said })
  let timer: Timer | null = clock.setTimeout(follow, FOLLOW_MS)
  function follow(): void {
    void routesToTell().then((routes) => {
      if (timer === null) return
      if (routes.join() !== said.join()) {
        said = routes
        const held = netdb.get('member', netdb.self)?.value ?? value
        netdb.put('member', netdb.self, { ...held, routes })
      }
      timer = clock.setTimeout(follow, FOLLOW_MS)
    })
  }
  return () => {
    timer?.cancel()
    timer = null
  }
}

async function routesToTell(): Promise<string[]> {
  const prefixes = (await underlayRoutes()).map(({ prefix }) => prefix)
  return [...new Set(prefixes)].slice(0, MOST_ROUTES)
}

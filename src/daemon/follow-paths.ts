// The daemon keeps live interfaces up to date: the MTU that the prober finds, the routes to subnets that are added.

import { systemClock } from '../clock.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import { openEcho } from '../linux/open-echo.ts'
import type { Tell } from '../events/event.ts'
import type { UnderlayInterface } from '../linux/underlay.ts'
import type { Logger } from '../log.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Controller } from '../network/controller.ts'
import { LiveMtus } from '../network/live-mtus.ts'
import { LiveRoutes } from '../network/live-routes.ts'
import type { Networks } from '../network/networks.ts'
import type { PathMtus } from '../pmtu/path-mtus.ts'
import { PathProber } from '../pmtu/prober.ts'

export interface FollowOptions {
  readonly paths: PathMtus
  readonly underlay: UnderlayInterface
  readonly intervalMs: number
  readonly netdb: Netdb
  readonly programmer: Programmer
  readonly controller: Controller
  readonly networks: Networks
  readonly log: Logger
  readonly tell: Tell
}

/** Gives the function that ends it. */
export function followPaths(options: FollowOptions): () => void {
  const { paths, underlay, intervalMs, netdb, programmer, controller, networks, log, tell } =
    options
  const sandboxes = () => controller.list()
  const routes = new LiveRoutes({ sandboxes, networks, log })
  const live = new LiveMtus({
    sandboxes,
    mtuOf: (network) => programmer.mtuOf(network),
    noteEndpoints: (sandbox) => controller.noteEndpoints(sandbox),
    log,
  })
  // A host's first endpoint on a network brings its path into that network's MTU, the last one takes it out.
  const unwatch = netdb.watch(({ before, after }) => {
    const kind = (after ?? before)?.kind
    if (kind === 'endpoint' || kind === 'network') live.soon()
    if (kind === 'subnet') routes.soon()
  })
  const prober = new PathProber({
    netdb,
    clock: systemClock,
    openEcho: () => openEcho(underlay.address),
    interfaceMtu: underlay.mtuBytes,
    intervalMs,
    onPath: (member, bytes) => {
      if (!paths.set(member, bytes)) return
      programmer.pathChanged(member)
      live.soon()
      const name = netdb.nameOfMember(member)
      const text = `the path MTU to ${name} is ${bytes}: overlays that it is on send at most ${paths.overlayMtuTo(member)}`
      log.info({ member: name, bytes }, text)
      tell({ kind: 'path-mtu', object: name, text })
    },
    onGone: (member) => {
      paths.forget(member)
    },
  })
  live.soon()
  routes.soon()
  return () => {
    prober.close()
    unwatch()
    live.close()
    routes.close()
  }
}

// The daemon's doctor: put together from its parts.

import { askHost } from '../api/ask-host.ts'
import { systemClock } from '../clock.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Dataplane } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import { Doctor } from '../doctor/doctor.ts'
import type { Owned } from '../doctor/leftovers.ts'
import { peersOf } from '../doctor/peers.ts'
import type { UnderlayInterface } from '../linux/underlay.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Controller } from '../network/controller.ts'
import type { PathMtus } from '../pmtu/path-mtus.ts'
import type { Config } from './config.ts'
import { NAMED_HOSTS } from './directories.ts'

export interface DoctorParts {
  readonly config: Config
  readonly underlay: UnderlayInterface
  readonly paths: PathMtus
  readonly netdb: Netdb
  readonly programmer: Programmer
  readonly dataplane: Dataplane
  readonly controller: Controller
  readonly cluster: Cluster
}

export function makeDoctor(parts: DoctorParts): Doctor {
  const { config, underlay, paths, netdb, programmer, dataplane, controller, cluster } = parts
  const { vxlanPort, gossipPort, runDir, stateDir } = config
  return new Doctor({
    host: config.name,
    self: netdb.self,
    vtep: underlay.address,
    vxlanPort,
    gossipPort,
    interfaceMtu: underlay.mtuBytes,
    overlayMtuTo: ({ id }) => paths.overlayMtuTo(id),
    netdb,
    programmer,
    dataplane,
    peers: peersOf(cluster, netdb, vxlanPort, askHost),
    places: { runDir, stateDir, vxlanPort, namespaces: NAMED_HOSTS },
    owned: () => ownedBy(controller),
    clock: systemClock,
  })
}

function ownedBy(controller: Controller): Owned {
  const living = controller.list().filter(({ client }) => client !== null)
  return {
    inits: new Set(living.flatMap(({ spec }) => spec.init?.pid ?? [])),
    interfaces: new Set(living.flatMap(({ spec }) => spec.endpoints.map((one) => one.interface))),
    sockets: new Set(living.map((sandbox) => controller.socketPathOf(sandbox))),
  }
}

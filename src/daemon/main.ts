// The daemon: composition root. Puts the parts together in order, and takes them apart in reverse.

import { randomBytes } from 'node:crypto'
import { mkdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ApiServer } from '../api/server.ts'
import { Routes } from '../api/routes.ts'
import { systemClock } from '../clock.ts'
import { Dataplane } from '../dataplane/binding.ts'
import { Programmer } from '../dataplane/programmer.ts'
import { Cluster } from '../cluster/cluster.ts'
import { WeftError, messageOf } from '../errors.ts'
import type { Tell } from '../events/event.ts'
import { EventRing } from '../events/event-ring.ts'
import { memberEvent } from '../events/member-event.ts'
import { recordEvent } from '../events/record-event.ts'
import type { Facts } from '../facts/facts.ts'
import { requireAbilities } from '../linux/abilities.ts'
import { type Logger, openLog } from '../log.ts'
import { type UnderlayInterface, udpPortHolder } from '../linux/underlay.ts'
import { parseCidr } from '../net/cidr.ts'
import { AddressBook } from '../network/address-book.ts'
import { Controller } from '../network/controller.ts'
import { Endpoints } from '../network/endpoints.ts'
import { SandboxResolvers } from '../network/sandbox-resolvers.ts'
import { sandboxDirectory } from '../network/sandbox-spec.ts'
import { Networks } from '../network/networks.ts'
import { Services } from '../network/services.ts'
import { Repair } from '../network/repair.ts'
import type { Netdb } from '../netdb/table.ts'
import { ENCAPSULATION_BYTES, PathMtus } from '../pmtu/path-mtus.ts'
import { listInits } from '../sandbox/spawn-init.ts'
import { VERSION } from '../version.ts'
import { changeUnderlay, chooseUnderlay, forgetChoice } from './advertise.ts'
import { type Config, loadConfig } from './config.ts'
import { EndRequests } from './end-requests.ts'
import { followPaths } from './follow-paths.ts'
import { takeLock } from './lock.ts'
import { makeDoctor } from './make-doctor.ts'
import { NetworkFacts, readUsable } from './network-facts.ts'
import { peersOf } from './peers.ts'
import { followServices } from './service-names.ts'
import { NameService } from './name-service.ts'
import { openRecords } from './records.ts'
import { describeSelf, underlayRoutes } from './self-record.ts'

/** Steps that take back what was done, the last one first. */
type Undo = (() => void | Promise<void>)[]

/**
 * Runs until SIGTERM, SIGINT or `weft down`. Sandboxes stay for the next daemon, unless it was `down`.
 *
 * @throws WeftError when it cannot start; nothing is left behind then
 */
export async function runDaemon(flags: object): Promise<void> {
  requireAbilities()
  const requests = new EndRequests()
  do {
    const config = loadConfig(flags as Record<string, unknown>)
    const undo: Undo = []
    try {
      await start(config, undo, requests)
      await requests.next()
    } finally {
      for (const step of undo.reverse()) await step()
    }
  } while (requests.take() === 'anew')
}

async function start(config: Config, undo: Undo, requests: EndRequests): Promise<void> {
  const { name, vxlanPort, workers, workerCpus, stayAwake, copyDscp, runDir, stateDir } = config
  const lock = await takeLock()
  undo.push(() => void lock.close())
  await makeDirectory(runDir, 0o755, undo)
  await makeDirectory(stateDir, 0o700, undo)
  const log = openLog(config)

  const facts =
    config.facts === undefined ? undefined : await readUsable({ path: config.facts, self: name })
  const underlay = await chooseUnderlay(config, facts)
  const mtuBytes = underlay.mtuBytes - ENCAPSULATION_BYTES
  const paths = new PathMtus(underlay.mtuBytes)

  const flowsPath = join(runDir, 'flows')
  const dataplane = new Dataplane({
    address: underlay.address,
    vxlanPort,
    workers,
    workerCpus,
    stayAwake,
    copyDscp,
    flowsPath,
  })
  // Flows are of sandboxes: without any, also after a start that failed, the next daemon has nothing to go on with.
  undo.push(async () => {
    if ((await listInits(stateDir)).length === 0) await rm(flowsPath, { force: true })
  })
  // Ports go before there is a controller only if there are none.
  const parts: { controller?: Controller; server?: ApiServer } = {}
  // Sandboxes of an earlier daemon keep its sockets, and what has arrived there since it ended.
  const keepers = (await listInits(stateDir)).map(({ pid }) => pid)
  const onPortGone = (port: number) => parts.controller?.onPortGone(port)
  await startDataplane(dataplane, underlay, vxlanPort, onPortGone, keepers)
  undo.push(() => {
    dataplane.stop()
  })

  const records = await openRecords(stateDir, log)
  undo.push(() => records.close())
  const { netdb, state } = records
  const self = state.state.memberId
  const programmer = new Programmer({
    netdb,
    self,
    mtu: mtuBytes,
    mtuTo: (member) => paths.overlayMtuTo(member),
    apply: (batch) => {
      dataplane.apply(batch)
    },
    clock: systemClock,
  })
  const names = new NameService({ ...config, netdb, clock: systemClock, log })
  undo.push(() => names.close())
  undo.push(followServices(netdb, names.names))
  names.start()
  const resolvers = new SandboxResolvers({
    resolver: names.resolver,
    log,
    directoryOf: ({ id }) => sandboxDirectory(stateDir, id),
    search: () => names.search(),
  })
  undo.push(() => resolvers.close())
  names.onSearch = () => void resolvers.rewrite()
  const events = new EventRing(systemClock)
  const tell: Tell = (happening) => {
    events.tell(happening)
  }
  const networkFacts = factsInForce(config, facts, netdb, programmer, log)
  const cluster = new Cluster({
    name,
    address: { ip: underlay.address, port: config.gossipPort },
    state,
    netdb,
    restoreRecords: records.restore,
    clock: systemClock,
    log,
    onApi: (stream) => {
      if (parts.server === undefined) stream.destroy()
      else parts.server.serve(stream)
    },
    beginAnew: () => {
      requests.requestSoon('anew')
    },
    onEvent: (event, line) => {
      const happening = memberEvent(event, line)
      if (happening !== null) tell(happening)
    },
  })
  const remembered = state.state.peers.length > 0
  const peers = peersOf(cluster, systemClock, remembered, () => records.file.written())
  const networks = new Networks({
    netdb,
    peers,
    clock: systemClock,
    randomBytes,
    ownRoutes: async () =>
      (await underlayRoutes()).map(({ prefix }) => ({ member: name, cidr: parseCidr(prefix) })),
  })
  const book = new AddressBook({
    netdb,
    host: name,
    facts: () => networkFacts?.facts,
    contenders: () => networks.contenders(),
    nowMs: () => systemClock.nowMs(),
    requireSynced: peers.requireSynced,
  })
  const services = new Services({ netdb, peers, networks, book, clock: systemClock, randomBytes })
  const endpoints = new Endpoints({
    netdb,
    dataplane,
    programmer,
    networks,
    book,
    mtuBytes,
    acknowledge: peers.acknowledge,
  })
  const controller = new Controller({
    endpoints,
    networks,
    netdb,
    clock: systemClock,
    tell,
    log,
    runDir,
    stateDir,
    keep: () => dataplane.underlayDescriptors(),
    resolvers,
  })
  parts.controller = controller
  undo.push(() => {
    controller.close()
  })
  await controller.adoptAll()
  undo.push(await describeSelf(netdb, systemClock, config, underlay))
  netdb.ready()
  const intervalMs = config.pathProbeIntervalMs
  undo.push(
    followPaths({
      paths,
      underlay,
      intervalMs,
      netdb,
      programmer,
      controller,
      networks,
      log,
      tell,
    }),
  )
  undo.push(
    netdb.watch((change) => {
      const happening = recordEvent(change, netdb)
      if (happening !== null) tell(happening)
    }),
  )
  const repair = new Repair({
    netdb,
    networks,
    endpoints,
    controller,
    services,
    clock: systemClock,
    tell,
    log,
  })
  undo.push(() => {
    repair.close()
  })
  networkFacts?.follow()
  undo.push(() => networkFacts?.close())

  const server = new ApiServer({
    socket: config.socket,
    log,
    routes: new Routes({
      host: name,
      vtep: underlay.address,
      vxlanPort,
      mtuBytes,
      workers,
      netdb,
      programmer,
      dataplane,
      endpoints,
      networks,
      services,
      controller,
      factsStatus: () => networkFacts?.status() ?? null,
      cluster,
      dns: { names: names.names, resolver: names.resolver, counters: () => names.counters() },
      doctor: makeDoctor({
        config,
        underlay,
        paths,
        netdb,
        programmer,
        dataplane,
        controller,
        cluster,
      }),
      events,
      verbs: {
        down: async () => {
          await controller.removeAll()
          requests.requestSoon('end')
        },
        leave: (force) => leave(cluster, controller, stateDir, force),
        readvertise: async (wanted) => {
          const changed = await changeUnderlay(config, underlay, wanted)
          if (changed) requests.requestSoon('anew')
          return changed
        },
      },
    }),
  })
  parts.server = server
  undo.push(() => cluster.close())
  await cluster.resume()
  // Frames have waited since the last daemon ended: they meet the rows of all hosts that it knew, or are lost to TCP's next attempt.
  programmer.flush()
  dataplane.run()
  await names.listen()
  await server.listen()
  undo.push(() => server.close())
  log.info(
    {
      version: VERSION,
      vtep: underlay.address,
      port: vxlanPort,
      mtu: mtuBytes,
      workers,
      socket: config.socket,
    },
    `weft ${VERSION} is ready: VXLAN on ${underlay.address}:${vxlanPort} (${underlay.name}), overlay MTU ${mtuBytes}`,
  )
  undo.push(() => {
    log.info({}, 'weft stops; sandboxes stay for the next daemon')
  })
}

function factsInForce(
  { facts: path, name: self }: Config,
  facts: Facts | undefined,
  netdb: Netdb,
  programmer: Programmer,
  log: Logger,
): NetworkFacts | undefined {
  if (path === undefined || facts === undefined) return undefined
  const inUse = (networkId: string): boolean => programmer.isActive(networkId)
  return new NetworkFacts({ path, self, netdb, log, inUse }, facts)
}

/** Endpoints of a host that is in no cluster would be known to nobody. */
async function leave(
  cluster: Cluster,
  controller: Controller,
  stateDir: string,
  force: boolean,
): Promise<void> {
  const living = controller.list().filter(({ client }) => client !== null)
  if (living.length > 0 && !force) {
    const names = living.map(({ spec }) => spec.name).join(', ')
    throw new WeftError(
      'invalid_argument',
      `sandboxes of this host are on the cluster's networks (${names}); end them first with weft rm, or leave with --force`,
    )
  }
  await controller.removeAll()
  await forgetChoice(stateDir)
  await cluster.leave()
}

/** One that stays empty, because the start fails, is taken away again. */
async function makeDirectory(path: string, mode: number, undo: Undo): Promise<void> {
  if ((await mkdir(path, { recursive: true, mode })) === undefined) return
  undo.push(() => rmdir(path).catch(() => undefined))
}

async function startDataplane(
  dataplane: Dataplane,
  underlay: UnderlayInterface,
  port: number,
  onPortGone: (port: number) => void,
  keepers: readonly number[],
): Promise<void> {
  try {
    dataplane.start(onPortGone, keepers)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENXIO') {
      const text = `--worker-cpus: ${messageOf(error)}`
      throw new WeftError('invalid_argument', text, { cause: error })
    }
    if (code !== 'EADDRINUSE') throw error
    const holder = (await udpPortHolder(underlay.address, port)) ?? 'another process'
    throw new WeftError(
      'invalid_argument',
      `UDP ${underlay.address}:${port} is in use by ${holder}; end it, or give --vxlan-port (the same on every host)`,
      { cause: error },
    )
  }
}

// The daemon: composition root. Puts the parts together in order, and takes them apart in reverse.

import { mkdir, rmdir } from 'node:fs/promises'
import { ApiServer } from '../api/server.ts'
import { Routes } from '../api/routes.ts'
import { systemClock } from '../clock.ts'
import { Dataplane } from '../dataplane/binding.ts'
import { Programmer } from '../dataplane/programmer.ts'
import { WeftError } from '../errors.ts'
import type { Facts } from '../facts/facts.ts'
import { requireAbilities } from '../linux/abilities.ts'
import { openLog } from '../log.ts'
import {
  type UnderlayInterface,
  defaultUnderlayAddress,
  findUnderlay,
  udpPortHolder,
} from '../linux/underlay.ts'
import { Controller } from '../network/controller.ts'
import { Endpoints } from '../network/endpoints.ts'
import { Netdb } from '../netdb/table.ts'
import { listInits } from '../sandbox/spawn-init.ts'
import { VERSION } from '../version.ts'
import { type Config, loadConfig } from './config.ts'
import { takeLock } from './lock.ts'
import { NetworkFacts, readUsable } from './network-facts.ts'

/** Outer IPv4 (20), UDP (8), VXLAN (8) and the inner Ethernet header (14): RFC 7348 section 5. */
const ENCAPSULATION_BYTES = 50

/** Steps that take back what was done, the last one first. */
type Undo = (() => void | Promise<void>)[]

/**
 * Runs until SIGTERM, SIGINT or `weft down`. Sandboxes stay for the next daemon, unless it was `down`.
 *
 * @throws WeftError when it cannot start; nothing is left behind then
 */
export async function runDaemon(flags: object): Promise<void> {
  const config = loadConfig(flags as Record<string, unknown>)
  requireAbilities()
  const ended = endRequest()
  const undo: Undo = []
  try {
    await start(config, undo, ended.request)
    await ended.promise
  } finally {
    for (const step of undo.reverse()) await step()
  }
}

async function start(config: Config, undo: Undo, requestEnd: () => void): Promise<void> {
  const lock = await takeLock()
  undo.push(() => void lock.close())
  await makeDirectory(config.runDir, 0o755, undo)
  await makeDirectory(config.stateDir, 0o700, undo)
  const log = openLog(config)

  const self = config.name
  const facts =
    config.facts === undefined ? undefined : await readUsable({ path: config.facts, self })
  const underlay = await chooseUnderlay(config, facts)
  const mtuBytes = underlay.mtuBytes - ENCAPSULATION_BYTES

  const { vxlanPort, workers } = config
  const dataplane = new Dataplane({ address: underlay.address, vxlanPort, workers })
  // Ports go before there is a controller only if there are none.
  const parts: { controller?: Controller } = {}
  // Sandboxes of an earlier daemon keep its sockets, and what has arrived there since it ended.
  const keepers = (await listInits(config.stateDir)).map(({ pid }) => pid)
  const onPortGone = (port: number) => parts.controller?.onPortGone(port)
  await startDataplane(dataplane, underlay, vxlanPort, onPortGone, keepers)
  undo.push(() => {
    dataplane.stop()
  })

  const netdb = new Netdb(self)
  const programmer = new Programmer({
    netdb,
    self,
    mtu: mtuBytes,
    apply: (batch) => {
      dataplane.apply(batch)
    },
  })
  const { facts: factsPath } = config
  const inUse = (networkId: string): boolean => programmer.isActive(networkId)
  const networkFacts =
    factsPath === undefined || facts === undefined
      ? undefined
      : new NetworkFacts({ path: factsPath, self, netdb, log, inUse }, facts)

  const endpoints = new Endpoints({
    netdb,
    dataplane,
    programmer,
    self,
    mtuBytes,
    facts: () => networkFacts?.facts,
  })
  const { runDir, stateDir } = config
  const keep = (): readonly number[] => dataplane.underlayDescriptors()
  const controller = new Controller({
    endpoints,
    clock: systemClock,
    log,
    runDir,
    stateDir,
    keep,
  })
  parts.controller = controller
  undo.push(() => {
    controller.close()
  })
  await controller.adoptAll()
  dataplane.run()
  networkFacts?.follow()
  undo.push(() => networkFacts?.close())

  const down = async (): Promise<void> => {
    await controller.removeAll()
    // After the answer is on its way.
    setTimeout(requestEnd, 50)
  }
  const routes = new Routes({
    host: self,
    vtep: underlay.address,
    vxlanPort,
    mtuBytes,
    workers,
    netdb,
    programmer,
    dataplane,
    endpoints,
    controller,
    factsStatus: () => networkFacts?.status() ?? null,
    down,
  })
  const server = new ApiServer({ socket: config.socket, routes, log })
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

/** One that stays empty, because the start fails, is taken away again. */
async function makeDirectory(path: string, mode: number, undo: Undo): Promise<void> {
  if ((await mkdir(path, { recursive: true, mode })) === undefined) return
  undo.push(() => rmdir(path).catch(() => undefined))
}

/** --advertise-addr, else what the facts say of this host, else its first address. */
async function chooseUnderlay(
  { advertiseAddr, name }: Config,
  facts: Facts | undefined,
): Promise<UnderlayInterface> {
  const stated = facts?.members.find((member) => member.name === name)?.vtep
  const wanted = advertiseAddr ?? stated ?? defaultUnderlayAddress()
  if (wanted === undefined) {
    throw new WeftError(
      'invalid_argument',
      'this host has no IPv4 address for others to reach it; give it one, or --advertise-addr',
    )
  }
  const underlay = await findUnderlay(wanted)
  if (stated !== undefined && stated !== underlay.address) {
    throw new WeftError(
      'invalid_argument',
      `--advertise-addr ${wanted} is ${underlay.address}, but the facts tell the other hosts that ${name} is at ${stated}; make them agree`,
    )
  }
  return underlay
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
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const holder = (await udpPortHolder(underlay.address, port)) ?? 'another process'
    throw new WeftError(
      'invalid_argument',
      `UDP ${underlay.address}:${port} is in use by ${holder}; end it, or give --vxlan-port (the same on every host)`,
      { cause: error },
    )
  }
}

/** A promise that SIGTERM, SIGINT or a call settles. */
function endRequest(): { promise: Promise<void>; request: () => void } {
  let request = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    request = resolve
  })
  process.once('SIGTERM', request)
  process.once('SIGINT', request)
  return { promise, request }
}

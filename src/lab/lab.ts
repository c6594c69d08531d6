// A lab's life: up, down, and what one does to its hosts meanwhile.

import { rmSync, writeFileSync } from 'node:fs'
import { WeftError } from '../errors.ts'
import { requireAbilities } from '../linux/abilities.ts'
import { run, runForeground } from '../linux/exec.ts'
import { clean, removeDirectories, runsAnything } from './clean.ts'
import { clientOf, killDaemon, runningDaemon, startDaemon, stopDaemon } from './daemons.ts'
import type { LabContext } from './events.ts'
import { factsFile } from './facts.ts'
import { areWeIn, isAlive } from './processes.ts'
import { weftInit } from '../programs.ts'
import { nodeEnvironment, onNode } from './programs.ts'
import {
  claimLab,
  existingOf,
  type LabRecord,
  labPaths,
  markUp,
  openLab,
  readLab,
} from './state.ts'
import {
  addressBatches,
  creationBatch,
  DEFAULT_LAB,
  findHost,
  findNode,
  type IpBatch,
  type LabHost,
  namespacesOf,
  planTopology,
  ROUTER_SETTINGS,
  type Topology,
} from './topology.ts'

/** A member answers a joiner within 2 s, or says why not. */
const JOIN_MS = 10_000

/** Makes a lab and waits until its daemons answer. On failure nothing of it is left. */
export async function up(name: string, hosts: number, context: LabContext): Promise<Topology> {
  const topology = planTopology(name, hosts)
  requireAbilities()
  weftInit()
  await claim(topology, context)
  try {
    await make(topology, context)
  } catch (error) {
    await clean(topology)
    throw error
  }
  return topology
}

/** Takes the name; what is left of a lab that nobody runs any more is cleaned away first. */
async function claim(topology: Topology, context: LabContext): Promise<void> {
  const { name, hosts } = topology
  if (!claimLab(name, hosts.length)) {
    const record = readLab(name)
    const old = record === null ? topology : planTopology(name, record.hosts)
    if (record !== null) refuseIfInUse(record, old)
    context.report({ kind: 'note', text: `cleaning up what is left of an earlier lab '${name}'` })
    await clean(old)
    if (!claimLab(name, hosts.length)) throw beingMade(name)
  }
  const [taken] = existingOf(topology)
  if (taken !== undefined) {
    // Not recorded as ours, so not ours to remove.
    rmSync(labPaths(name).dir, { recursive: true, force: true })
    throw new WeftError(
      'name_in_use',
      `there is a network namespace '${taken}' that is not a lab's; ` +
        `remove it (ip netns del ${taken}) or choose another --name`,
    )
  }
}

function refuseIfInUse(record: LabRecord, topology: Topology): void {
  const { name } = record
  const option = name === DEFAULT_LAB ? '' : ` --name ${name}`
  if (record.phase === 'making' && isAlive(record.maker)) throw beingMade(name)
  if (record.phase === 'making' || !runsAnything(topology)) return
  throw new WeftError(
    'already_running',
    `lab '${name}' is up with ${record.hosts} hosts; look at it with \`weft lab status${option}\`, ` +
      `end it with \`weft lab down${option}\`, or give the new one another --name`,
  )
}

function beingMade(name: string): WeftError {
  return new WeftError('already_running', `lab '${name}' is being made by another \`weft lab up\``)
}

async function make(topology: Topology, context: LabContext): Promise<void> {
  const { name, hosts, router, client } = topology
  const { signal } = context
  await removeDirectories(topology)
  context.report({
    kind: 'note',
    text: `namespaces: ${hosts.map((host) => `${host.netns} ${host.address}`).join(', ')}`,
  })
  await ipBatch(creationBatch(topology))
  signal.throwIfAborted()
  await Promise.all(addressBatches(topology).map(ipBatch))
  await setRouting(router.netns)
  signal.throwIfAborted()
  context.report({
    kind: 'note',
    text: `router ${router.netns} between them, client ${client.netns} ${client.address} outside`,
  })
  writeFileSync(labPaths(name).facts, factsFile(topology))
  await settleAll(hosts.map((host) => startDaemon(name, host, signal)))
  signal.throwIfAborted()
  await formCluster(hosts)
  signal.throwIfAborted()
  const { record } = openLab(name)
  markUp(record)
  context.report({
    kind: 'note',
    text:
      hosts.length === 1
        ? 'its daemon answers'
        : `${hosts.length} daemons answer: weft init on h1, weft join on the others`,
  })
}

/** As `weft init` on the first host and `weft join` on the others. */
async function formCluster([first, ...others]: readonly LabHost[]): Promise<void> {
  if (first === undefined) return
  const { token, address } = await clientOf(first, JOIN_MS).initCluster()
  await settleAll(
    others.map(async (host) => {
      await clientOf(host, JOIN_MS).joinCluster({ token, host: address })
    }),
  )
}

/** Waits for all, also when one failed: nobody may go on making while we clean. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  for (const result of results) {
    if (result.status === 'rejected') throw result.reason as Error
  }
}

async function ipBatch(batch: IpBatch): Promise<void> {
  const place = batch.netns === null ? [] : ['-netns', batch.netns]
  await run('ip', [...place, '-batch', '-'], { input: `${batch.lines.join('\n')}\n` })
}

async function setRouting(netns: string): Promise<void> {
  const lines = ROUTER_SETTINGS.map(([path, value]) => `echo ${value} > ${path}`)
  await run('nsenter', [`--net=/run/netns/${netns}`, 'sh', '-e', '-c', lines.join('; ')])
}

/** Ends a lab and all that runs in it. Gives false when there was none. */
export async function down(name: string): Promise<boolean> {
  planTopology(name, 1)
  const record = readLab(name)
  if (record === null) return false
  requireAbilities()
  const topology = planTopology(name, record.hosts)
  if (record.phase === 'making' && record.maker.pid !== process.pid && isAlive(record.maker)) {
    throw new WeftError(
      'already_running',
      `lab '${name}' is being made by pid ${record.maker.pid}; end that first`,
    )
  }
  if (areWeIn(namespacesOf(topology))) {
    throw new WeftError('invalid_argument', 'this shell is inside the lab; run it from outside')
  }
  await clean(topology)
  return true
}

/** Runs a command on one of the lab's nodes, on our terminal. Gives its exit code. */
export function exec(name: string, node: string, argv: readonly string[]): Promise<number> {
  const { topology } = openLab(name)
  requireAbilities()
  const { command, args } = onNode(findNode(topology, node), argv)
  return runForeground(command, args, { env: nodeEnvironment(process.env) })
}

/** SIGKILL to a host's daemon; its sandboxes go on. */
export async function kill(name: string, hostName: string): Promise<void> {
  const { topology } = openLab(name)
  const host = findHost(topology, hostName)
  const daemon = runningDaemon(name, host)
  if (daemon === null) {
    throw new WeftError('not_running', `the daemon of ${host.name} does not run`)
  }
  await killDaemon(daemon)
}

/** Starts a host's daemon, after ending the one that runs. */
export async function restart(name: string, hostName: string, context: LabContext): Promise<void> {
  const { topology } = openLab(name)
  requireAbilities()
  const host = findHost(topology, hostName)
  const daemon = runningDaemon(name, host)
  if (daemon !== null) await stopDaemon(daemon)
  await startDaemon(name, host, context.signal)
}

/** Takes the router's end of a host's cable down, or up again. */
export async function setLink(name: string, hostName: string, state: 'up' | 'down'): Promise<void> {
  const { topology } = openLab(name)
  requireAbilities()
  const node = findNode(topology, hostName)
  if (node.name === topology.router.name) {
    throw new WeftError('invalid_argument', 'the router has many cables; name a host or c')
  }
  await run('ip', ['-netns', topology.router.netns, 'link', 'set', node.name, state])
}

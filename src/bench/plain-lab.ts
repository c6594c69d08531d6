// A lab without weft: hosts, router and addresses of `weft lab up --hosts 2`, for whatever else joins sandboxes.
//
// Sandboxes bear the names of further hosts (h3, h4, ...): then everything that ends a lab ends them too,
// also `weft lab down` after a crash. What runs in one of its namespaces ends with it.

import { setTimeout as sleep } from 'node:timers/promises'
import { WeftError } from '../errors.ts'
import { requireAbilities } from '../linux/abilities.ts'
import { run, startDetached } from '../linux/exec.ts'
import { clean } from '../lab/clean.ts'
import { isAlive } from '../lab/processes.ts'
import { claimLab, existingOf, readLab } from '../lab/state.ts'
import {
  addressBatches,
  creationBatch,
  type IpBatch,
  type LabHost,
  planTopology,
  ROUTER_SETTINGS,
} from '../lab/topology.ts'
import { settleSandbox } from './contestant.ts'
import { netnsPlace, type Place } from './place.ts'
import { inNetns } from './programs.ts'
import type { Underlay } from './result.ts'
import { ipBatch, makePlainUnderlay } from './underlay.ts'

const HOSTS = 2
/** With those that are sandboxes: more are not asked for. */
const NAMESPACES = 6

/**
 * Takes the name, for as long as this process lives.
 *
 * @returns whether something was left of a run that died
 * @throws WeftError already_running, name_in_use
 */
export async function claimPlainLab(name: string): Promise<boolean> {
  requireAbilities()
  const topology = planTopology(name, NAMESPACES)
  let leftovers = false
  if (!claimLab(name, NAMESPACES)) {
    const record = readLab(name)
    if (record !== null && isAlive(record.maker)) throw running(name)
    await clean(record === null ? topology : planTopology(name, record.hosts))
    leftovers = true
    if (!claimLab(name, NAMESPACES)) throw running(name)
  }
  const [taken] = existingOf(topology)
  if (taken === undefined) return leftovers
  throw new WeftError(
    'name_in_use',
    `there is a network namespace '${taken}' that is not a lab's; ` +
      `remove it (ip netns del ${taken}) or choose another --name`,
  )
}

function running(name: string): WeftError {
  return new WeftError(
    'already_running',
    `lab '${name}' is in use by another benchmark; give this one another --name`,
  )
}

/** Removes it, made or half made. */
export function closePlainLab(name: string): Promise<void> {
  return clean(planTopology(name, NAMESPACES))
}

/** Two hosts and who may become sandboxes. */
export interface PlainHosts {
  readonly near: LabHost
  readonly far: LabHost
  readonly boxes: readonly LabHost[]
}

/** Makes hosts and underlay; the name must have been claimed. The boxes are names so far. */
export async function makePlainHosts(name: string, underlay: Underlay): Promise<PlainHosts> {
  const topology = planTopology(name, HOSTS)
  const [near, far] = topology.hosts
  if (near === undefined || far === undefined) throw new Error('two hosts were planned')
  await ipBatch(creationBatch(topology))
  await Promise.all(addressBatches(topology).map(ipBatch))
  const routing = ROUTER_SETTINGS.map(([path, value]) => `echo ${value} > ${path}`)
  await inside(topology.router, ['sh', '-e', '-c', routing.join('; ')])
  await makePlainUnderlay(topology, underlay)
  return { near, far, boxes: planTopology(name, NAMESPACES).hosts.slice(HOSTS) }
}

/** A sandbox's namespace and its cable: eth0 in it, that name on the host. */
export function sandboxBatch(host: LabHost, box: LabHost, cable: string): IpBatch {
  const link = `link add name ${cable} netns ${host.netns} type veth peer name eth0 netns ${box.netns}`
  return { netns: null, lines: [`netns add ${box.netns}`, link] }
}

export function addressBatch(box: LabHost, ip: string, mtu: number): IpBatch {
  return {
    netns: box.netns,
    lines: [
      'link set lo up',
      `link set eth0 mtu ${mtu}`,
      `addr add ${ip}/24 dev eth0`,
      'link set eth0 up',
    ],
  }
}

export async function settledPlace(node: { readonly netns: string }, ip: string): Promise<Place> {
  const netns = pathOf(node)
  await settleSandbox(netns)
  return netnsPlace(netns, ip)
}

/** Runs a command there that must succeed. */
export async function inside(
  node: { readonly netns: string },
  argv: readonly string[],
  input?: string,
): Promise<void> {
  const { command, args } = inNetns(pathOf(node), argv)
  await run(command, args, input === undefined ? {} : { input })
}

/** Starts a program there that runs until the lab is closed, or we end; gives its pid. */
export function startInside(
  node: { readonly netns: string },
  argv: readonly string[],
  options: { readonly output: string; readonly env?: NodeJS.ProcessEnv },
): Promise<number> {
  const { command, args } = inNetns(pathOf(node), ['setpriv', '--pdeathsig', 'KILL', ...argv])
  return startDetached(command, args, { cwd: '/', ...options })
}

const ANSWER_MS = 15_000

/** @throws WeftError when nothing comes through in time */
export async function untilItAnswers(
  what: string,
  from: Place,
  ip: string,
  signal: AbortSignal,
): Promise<void> {
  const end = Date.now() + ANSWER_MS
  while (Date.now() < end) {
    const { code } = await from.run(['ping', '-n', '-c', '1', '-W', '1', ip], {
      seconds: 2,
      signal,
    })
    if (code === 0) return
    await sleep(100)
  }
  throw new WeftError('unavailable', `${what}: ${ip} does not answer within ${ANSWER_MS / 1000} s`)
}

export function pathOf(node: { readonly netns: string }): string {
  return `/run/netns/${node.netns}`
}

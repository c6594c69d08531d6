// The other side: the same underlay, with what the kernel has instead of weft.
//
//      h3 10.0.1.11                                         h4 10.0.1.12     "sandboxes"
//       │ eth0                                               │ eth0
//       │ s1                                                 │ s1
//      br0 ── vx0, VNI 4097                    vx0, 4097 ── br0
//      h1 172.31.1.11 ──────────── r ────────────── 192.168.1.12 h2
//
// Hosts, router and addresses are those of `weft lab up --hosts 2`. The sandboxes bear the names of
// two hosts more: then everything that ends a lab ends them too, also `weft lab down` after a crash.

import { WeftError } from '../errors.ts'
import { requireAbilities } from '../linux/abilities.ts'
import { run } from '../linux/exec.ts'
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
  type Topology,
} from '../lab/topology.ts'
import { type Contestant, type Place, settleSandbox } from './contestant.ts'
import { inNetns } from './programs.ts'
import { ipBatch, makePlainUnderlay, type Underlay } from './underlay.ts'

const VNI = 4097
const VXLAN_PORT = 4789
/** Of the underlay, 1500, without 50 bytes of outer headers. */
const MTU = 1450

const HOSTS = 2
/** With the two that are sandboxes. */
const NAMESPACES = 4

/**
 * Takes the name, for as long as this process lives.
 *
 * @returns whether something was left of a run that died
 * @throws WeftError already_running, name_in_use
 */
export async function claimKernelLab(name: string): Promise<boolean> {
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

/** Makes it; its name must have been claimed. */
export async function makeKernelLab(
  name: string,
  underlay: Underlay,
  signal: AbortSignal,
): Promise<Contestant> {
  const topology = planTopology(name, HOSTS)
  const [near, far] = topology.hosts
  const [, , nearBox, farBox] = planTopology(name, NAMESPACES).hosts
  if (near === undefined || far === undefined) throw new Error('two hosts were planned')
  if (nearBox === undefined || farBox === undefined) throw new Error('four hosts were planned')
  await ipBatch(creationBatch(topology))
  await Promise.all(addressBatches(topology).map(ipBatch))
  const routing = ROUTER_SETTINGS.map(([path, value]) => `echo ${value} > ${path}`)
  const { command, args } = inNetns(pathOf(topology.router), ['sh', '-e', '-c', routing.join('; ')])
  await run(command, args)
  await makePlainUnderlay(topology, underlay)
  signal.throwIfAborted()
  await ipBatch(sandboxBatch(near, nearBox))
  await ipBatch(sandboxBatch(far, farBox))
  await ipBatch(overlayBatch(near, far))
  await ipBatch(overlayBatch(far, near))
  await ipBatch(addressBatch(nearBox, ADDRESSES[0]))
  await ipBatch(addressBatch(farBox, ADDRESSES[1]))
  return {
    side: 'kernel',
    from: await settled(nearBox, ADDRESSES[0]),
    to: await settled(farBox, ADDRESSES[1]),
    daemons: [],
    close: () => closeKernelLab(name),
  }
}

/** Removes it, made or half made. */
export function closeKernelLab(name: string): Promise<void> {
  return clean(planTopology(name, NAMESPACES))
}

const ADDRESSES = ['10.0.1.11', '10.0.1.12'] as const

async function settled(box: LabHost, ip: string): Promise<Place> {
  const netns = pathOf(box)
  await settleSandbox(netns)
  return { netns, ip }
}

function pathOf(node: { readonly netns: string } | Topology['router']): string {
  return `/run/netns/${node.netns}`
}

/** A sandbox and its cable. */
export function sandboxBatch(host: LabHost, box: LabHost): IpBatch {
  const cable = `link add name s1 netns ${host.netns} type veth peer name eth0 netns ${box.netns}`
  return { netns: null, lines: [`netns add ${box.netns}`, cable] }
}

/** The bridge of a host, and its way to the other one. */
export function overlayBatch(host: LabHost, other: LabHost): IpBatch {
  const way = `local ${host.address} remote ${other.address} dstport ${VXLAN_PORT}`
  return {
    netns: host.netns,
    lines: [
      `link add name br0 mtu ${MTU} type bridge`,
      `link add name vx0 mtu ${MTU} type vxlan id ${VNI} ${way}`,
      'link set vx0 master br0 up',
      `link set s1 mtu ${MTU} master br0 up`,
      'link set br0 up',
    ],
  }
}

function addressBatch(box: LabHost, ip: string): IpBatch {
  return {
    netns: box.netns,
    lines: [
      'link set lo up',
      `link set eth0 mtu ${MTU}`,
      `addr add ${ip}/24 dev eth0`,
      'link set eth0 up',
    ],
  }
}

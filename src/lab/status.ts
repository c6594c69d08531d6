// What a lab's hosts are doing now.

import type { Status } from '../api/types.ts'
import { run } from '../linux/exec.ts'
import { clientOf, runningDaemon } from './daemons.ts'
import { existingOf, labPaths, openLab } from './state.ts'
import type { LabHost, Topology } from './topology.ts'

export interface HostStatus {
  readonly host: string
  readonly netns: string
  readonly address: string
  readonly daemon: 'running' | 'silent' | 'stopped'
  readonly pid: number | null
  readonly link: 'up' | 'cut' | 'gone'
  /** null when the daemon does not answer. */
  readonly sandboxes: number | null
  readonly log: string
}

export interface LabStatus {
  readonly name: string
  readonly phase: 'making' | 'up'
  readonly facts: string
  readonly hosts: readonly HostStatus[]
}

const ANSWER_MS = 2000

export async function labStatus(name: string): Promise<LabStatus> {
  const { record, topology } = openLab(name)
  const links = await linkStates(topology)
  const hosts = await Promise.all(
    topology.hosts.map((host) => hostStatus(name, host, links.get(host.name) ?? 'gone')),
  )
  return { name, phase: record.phase, facts: labPaths(name).facts, hosts }
}

async function hostStatus(
  lab: string,
  host: LabHost,
  link: HostStatus['link'],
): Promise<HostStatus> {
  const process = runningDaemon(lab, host)
  const status = process === null ? null : await statusOrNull(host)
  const running = status === null ? 'silent' : 'running'
  return {
    host: host.name,
    netns: host.netns,
    address: host.address,
    daemon: process === null ? 'stopped' : running,
    pid: process?.pid ?? null,
    link,
    sandboxes: status === null ? null : status.sandboxes.running + status.sandboxes.attached,
    log: labPaths(lab).log(host.name),
  }
}

async function statusOrNull(host: LabHost): Promise<Status | null> {
  try {
    return await clientOf(host, ANSWER_MS).status()
  } catch {
    return null
  }
}

/** The router's end of each cable. */
async function linkStates(topology: Topology): Promise<Map<string, 'up' | 'cut'>> {
  const { netns } = topology.router
  if (!existingOf(topology).includes(netns)) return new Map()
  const { stdout } = await run('ip', ['-netns', netns, '-json', 'link', 'show'])
  return parseLinks(stdout)
}

/** From `ip -json link`: whether each link is set up. */
export function parseLinks(json: string): Map<string, 'up' | 'cut'> {
  const links = JSON.parse(json) as { ifname: string; flags: string[] }[]
  return new Map(links.map((link) => [link.ifname, link.flags.includes('UP') ? 'up' : 'cut']))
}

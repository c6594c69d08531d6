// Ends everything that a lab has: asks first, then kills, then removes what is left.
//
// It must work from any state (half made, daemons killed, host processes hung) and may be run again
// at any step; the lab's record goes last.

import { readFileSync, rmSync } from 'node:fs'
import { directoriesOf } from '../daemon/directories.ts'
import { run } from '../linux/exec.ts'
import { clientOf, runningDaemon } from './daemons.ts'
import {
  isAlive,
  killAll,
  type ProcessId,
  processesIn,
  sandboxInits,
  waitForEnd,
} from './processes.ts'
import { existingOf, forgetLab, recordedDaemon } from './state.ts'
import { namespacesOf, type LabHost, type Topology } from './topology.ts'

const ANSWER_MS = 2_000
const DOWN_MS = 10_000
const KILL_MS = 5_000

/** Whether anything of the lab lives: a daemon, a sandbox, a shell on a host. */
export function runsAnything(topology: Topology): boolean {
  return remaining(topology).length > 0
}

export async function clean(topology: Topology): Promise<void> {
  await Promise.all(topology.hosts.map((host) => askToEnd(topology.name, host)))
  await killAll(() => remaining(topology), KILL_MS)
  await removeNamespaces(topology)
  await removeDirectories(topology)
  forgetLab(topology.name)
}

/** `weft down` on a host: in order, and with the processes' chance to end by themselves. */
async function askToEnd(lab: string, host: LabHost): Promise<void> {
  const daemon = runningDaemon(lab, host)
  if (daemon === null) return
  try {
    // Whether it hangs is seen sooner by a question that costs nothing.
    await clientOf(host, ANSWER_MS).version()
    await clientOf(host, DOWN_MS).down()
    await waitForEnd(daemon, DOWN_MS)
  } catch {
    // It hangs, or is on its way: killing comes next.
  }
}

function remaining(topology: Topology): ProcessId[] {
  const daemons = topology.hosts.flatMap((host) => {
    const daemon = recordedDaemon(topology.name, host.name)
    return daemon !== null && isAlive(daemon) ? [daemon] : []
  })
  const inits = topology.hosts.flatMap((host) => sandboxInits(directoriesOf(host.netns).stateDir))
  return [...daemons, ...inits, ...processesIn(namespacesOf(topology))]
}

async function removeNamespaces(topology: Topology): Promise<void> {
  const existing = existingOf(topology)
  if (existing.length === 0) return
  const input = `${existing.map((netns) => `netns del ${netns}`).join('\n')}\n`
  // -force goes on behind a line that failed; what is still there afterwards is told.
  await run('ip', ['-force', '-batch', '-'], { input, allowFailure: true })
  for (const netns of existingOf(topology)) await run('ip', ['netns', 'del', netns])
}

/** The hosts' run and state directories; also those of an earlier lab, from before a reboot. */
export async function removeDirectories(topology: Topology): Promise<void> {
  const dirs = topology.hosts.flatMap((host) => {
    const { runDir, stateDir } = directoriesOf(host.netns)
    return [runDir, stateDir]
  })
  await unmountBelow(dirs)
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
}

/** A sandbox's namespace may be mounted in its host's run directory. */
async function unmountBelow(dirs: readonly string[]): Promise<void> {
  const mounts = mountsBelow(readFileSync('/proc/self/mountinfo', 'utf8'), dirs)
  for (const mount of mounts) await run('umount', ['--lazy', mount], { allowFailure: true })
}

/** Mount points below `dirs` in a mountinfo, the innermost first. */
export function mountsBelow(mountinfo: string, dirs: readonly string[]): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => dirs.some((dir) => point.startsWith(`${dir}/`)))
    .reverse()
}

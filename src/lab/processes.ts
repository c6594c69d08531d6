// Which processes belong to a lab, told from all others: by pid with start time, by the namespace
// that they are in, by the directory that a weft-init was started for. Only those are ever ended.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NETNS_DIR } from '../daemon/directories.ts'
import { WeftError } from '../errors.ts'

/** A pid alone may mean another process tomorrow; with its start time it cannot. */
export interface ProcessId {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: ticks since boot. */
  readonly startTime: number
}

/** The process of that pid now; null when there is none, or only a zombie. */
export function processOf(pid: number): ProcessId | null {
  const stat = read(`/proc/${pid}/stat`)
  // The name, field 2, may hold spaces and parentheses: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state] = fields
  const startTime = Number(fields[22 - 3])
  if (stat === '' || state === 'Z' || state === 'X' || !Number.isInteger(startTime)) return null
  return { pid, startTime }
}

export function isAlive(process: ProcessId): boolean {
  return processOf(process.pid)?.startTime === process.startTime
}

export function signal(target: ProcessId, name: 'SIGTERM' | 'SIGKILL'): void {
  if (!isAlive(target)) return
  try {
    process.kill(target.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Whether it ended within that time. */
export async function waitForEnd(target: ProcessId, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs
  while (isAlive(target)) {
    if (Date.now() >= end) return false
    await sleep(20)
  }
  return true
}

/** Ends processes until the search finds none: what is killed may just have forked. */
export async function killAll(find: () => ProcessId[], timeoutMs: number): Promise<void> {
  const end = Date.now() + timeoutMs
  for (let found = find(); found.length > 0; found = find()) {
    if (Date.now() >= end) {
      const pids = found.map((one) => one.pid).join(', ')
      throw new WeftError('internal', `processes of the lab do not end with SIGKILL: pid ${pids}`)
    }
    for (const one of found) signal(one, 'SIGKILL')
    await sleep(20)
  }
}

/** Processes in one of these named namespaces. */
export function processesIn(namespaces: readonly string[]): ProcessId[] {
  const inodes = new Set(namespaces.flatMap((name) => idOf(`${NETNS_DIR}/${name}`)))
  if (inodes.size === 0) return []
  return allPids().filter(
    ({ pid }) =>
      pid !== process.pid && idOf(`/proc/${pid}/ns/net`).some((inode) => inodes.has(inode)),
  )
}

/** Whether we ourselves run in one of these namespaces. */
export function areWeIn(namespaces: readonly string[]): boolean {
  const [own] = idOf('/proc/self/ns/net')
  return namespaces.some((name) => idOf(`${NETNS_DIR}/${name}`).some((inode) => inode === own))
}

/** The weft-init processes of a host's sandboxes: they say on their command line whose they are. */
export function sandboxInits(stateDir: string): ProcessId[] {
  return allPids().filter(({ pid }) => isInitFor(stateDir, read(`/proc/${pid}/cmdline`)))
}

/** Whether a /proc/PID/cmdline is `weft-init ... --dir DIR` with DIR below `stateDir`. */
export function isInitFor(stateDir: string, cmdline: string): boolean {
  const argv = cmdline.split('\0')
  if (basename(argv[0] ?? '') !== 'weft-init') return false
  const end = argv.indexOf('--')
  const own = end < 0 ? argv : argv.slice(0, end)
  const dir = own[own.indexOf('--dir') + 1]
  return own.includes('--dir') && dir !== undefined && dir.startsWith(`${stateDir}/`)
}

function allPids(): ProcessId[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processOf(Number(name)) ?? [])
}

function idOf(path: string): string[] {
  try {
    const { dev, ino } = statSync(path)
    return [`${dev}:${ino}`]
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

// What is known of a lab between commands: /run/weft/lab/NAME/.
//
// lab.json is written before anything is made, so that whatever happens afterwards can be cleaned.
// Each daemon's process has a file of its own: `restart h1` and `restart h2` may run together.

import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { WeftError } from '../errors.ts'
import { type ProcessId, processOf } from './processes.ts'
import { looksLikeNamespaceOf, namespacesOf, planTopology, type Topology } from './topology.ts'
import { NETNS_DIR } from '../daemon/directories.ts'

const LABS_DIR = '/run/weft/lab'

export interface LabRecord {
  readonly name: string
  readonly hosts: number
  readonly phase: 'making' | 'up'
  /** Who makes it: while that process lives, the lab is its. */
  readonly maker: ProcessId
  readonly createdAt: string
}

export interface LabPaths {
  readonly dir: string
  readonly record: string
  readonly facts: string
  log(host: string): string
  daemon(host: string): string
}

export function labPaths(name: string): LabPaths {
  const dir = `${LABS_DIR}/${name}`
  return {
    dir,
    record: `${dir}/lab.json`,
    facts: `${dir}/facts.yaml`,
    log: (host) => `${dir}/${host}.log`,
    daemon: (host) => `${dir}/${host}.daemon.json`,
  }
}

/** Takes the name, or tells that somebody has it: of two `up` at once one wins. */
export function claimLab(name: string, hosts: number): boolean {
  const maker = processOf(process.pid)
  if (maker === null) throw new WeftError('internal', 'cannot read /proc/self/stat')
  const paths = labPaths(name)
  mkdirSync(paths.dir, { recursive: true, mode: 0o755 })
  const record: LabRecord = {
    name,
    hosts,
    phase: 'making',
    maker,
    createdAt: new Date().toISOString(),
  }
  const temporary = `${paths.record}.${process.pid}`
  writeFileSync(temporary, `${JSON.stringify(record)}\n`)
  try {
    // Unlike rename, link does not replace.
    linkSync(temporary, paths.record)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(temporary, { force: true })
  }
}

export function markUp(record: LabRecord): void {
  writeAtomically(labPaths(record.name).record, { ...record, phase: 'up' })
}

/** null: no such lab. A record that cannot be read is made up from the namespaces there are. */
export function readLab(name: string): LabRecord | null {
  const text = readOrNull(labPaths(name).record)
  if (text === null) return null
  return parseRecord(text) ?? guessedRecord(name)
}

/** The record in a lab.json; null when it is broken. */
export function parseRecord(text: string): LabRecord | null {
  try {
    const record = JSON.parse(text) as Partial<LabRecord> | null
    const { name, hosts, phase, maker, createdAt } = record ?? {}
    if (typeof name !== 'string' || typeof hosts !== 'number') return null
    if ((phase !== 'making' && phase !== 'up') || typeof createdAt !== 'string') return null
    if (typeof maker?.pid !== 'number' || typeof maker.startTime !== 'number') return null
    return { name, hosts, phase, maker, createdAt }
  } catch {
    return null
  }
}

function guessedRecord(name: string): LabRecord {
  const numbers = existingNamespaces()
    .filter((netns) => looksLikeNamespaceOf(name, netns))
    .map((netns) => Number(netns.slice(name.length + 2)) || 1)
  return {
    name,
    hosts: Math.max(1, ...numbers),
    // Nobody's: to be cleaned away.
    phase: 'making',
    maker: { pid: 0, startTime: 0 },
    createdAt: new Date(0).toISOString(),
  }
}

/** The names of `ip netns`. */
export function existingNamespaces(): string[] {
  try {
    return readdirSync(NETNS_DIR)
  } catch {
    return []
  }
}

/** The lab and its plan. @throws WeftError not_found */
export function openLab(name: string): { record: LabRecord; topology: Topology } {
  planTopology(name, 1)
  const record = readLab(name)
  if (record === null) {
    const option = name === 'lab' ? '' : ` --name ${name}`
    throw new WeftError('not_found', `there is no lab '${name}'; make it: weft lab up${option}`)
  }
  return { record, topology: planTopology(name, record.hosts) }
}

/** Namespaces of a lab that exist now. */
export function existingOf(topology: Topology): string[] {
  const names = new Set(existingNamespaces())
  return namespacesOf(topology).filter((netns) => names.has(netns))
}

export function recordDaemon(lab: string, host: string, daemon: ProcessId): void {
  writeAtomically(labPaths(lab).daemon(host), daemon)
}

/** The daemon as it was started last; it may be gone. */
export function recordedDaemon(lab: string, host: string): ProcessId | null {
  const text = readOrNull(labPaths(lab).daemon(host))
  if (text === null) return null
  try {
    const { pid, startTime } = JSON.parse(text) as Partial<ProcessId>
    return typeof pid === 'number' && typeof startTime === 'number' ? { pid, startTime } : null
  } catch {
    return null
  }
}

/** Forgets the lab: the last step of `down`. */
export function forgetLab(name: string): void {
  rmSync(labPaths(name).dir, { recursive: true, force: true })
}

function writeAtomically(path: string, value: unknown): void {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, `${JSON.stringify(value)}\n`)
  renameSync(temporary, path)
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

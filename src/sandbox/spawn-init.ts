// Starts weft-init (native/init/README.md), finds and recognises those that run, and kills one.
//
// An init outlives the process that started it; what is kept of it is its process id with its start
// time. Together they name one process for as long as the host runs.

import { readFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { WeftError, isErrorCode, messageOf, quote } from '../errors.ts'

export interface InitProcess {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: clock ticks since the host booted. */
  readonly startTime: string
}

interface CommonOptions {
  /** The weft-init program. */
  readonly binary: string
  /** An existing directory for what init leaves; absolute. */
  readonly directory: string
  /** Path that its control socket shall have; absolute, at most 107 bytes. */
  readonly socket: string
  /** Descriptors that init shall keep open, from descriptor 4 on, and do nothing with. */
  readonly keep?: readonly number[] | undefined
  readonly startProgram: StartProgram
}

/**
 * Starts a program in a session of its own, with /dev/null as its standard streams and duplicates of `keep` from descriptor
 * 4 on; gives what it writes to descriptor 3 until it closes that. It is killed when that takes too long.
 * The native addon does it (dataplane/binding.ts): Node would fork, and that stalls the workers.
 *
 * @throws an Error with the errno's name as `code`; ETIMEDOUT when it was too late
 */
export type StartProgram = (
  argv: readonly [string, ...string[]],
  /** Ours when undefined. */
  environment: NodeJS.ProcessEnv | undefined,
  keep: readonly number[],
  patienceMs: number,
) => Promise<string>

/** New namespaces, and one command that runs in them when it is told to. */
export interface RunOptions extends CommonOptions {
  readonly mode: 'run'
  readonly hostname: string
  readonly argv: readonly string[]
  readonly cwd?: string | undefined
  readonly tty?: boolean | undefined
  /** The whole environment of the command; ours when left out. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

/** An existing network namespace: of a process, until that ends, or at a path. */
export type HoldOptions = CommonOptions & { readonly mode: 'hold' } & (
    | { readonly pid: number }
    | { readonly netns: string }
  )

/** It takes a few milliseconds; a host that needs longer than this has other worries. */
const READY_TIMEOUT_MS = 5000

/** As in native/kept_descriptors.h. */
const READY_FD = 3

/**
 * Starts an init and waits until it listens.
 *
 * @throws WeftError with what init says, `unavailable` when it says nothing in time
 */
export async function spawnInit(options: RunOptions | HoldOptions): Promise<InitProcess> {
  const { binary, keep = [] } = options
  const environment = options.mode === 'run' ? options.env : undefined
  const argv = [binary, ...initArguments(options)] as const
  let report: string
  try {
    report = await options.startProgram(argv, environment, keep, READY_TIMEOUT_MS)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ETIMEDOUT') {
      const seconds = READY_TIMEOUT_MS / 1000
      throw new WeftError('unavailable', `weft-init was not ready after ${seconds} s`, { cause })
    }
    throw new WeftError('internal', `${binary}: ${messageOf(cause)}`, { cause })
  }
  return parseReady(report)
}

function initArguments(options: RunOptions | HoldOptions): string[] {
  const { directory, socket } = options
  const keep = options.keep?.length ?? 0
  const common = ['--dir', directory, '--sock', socket, '--ready-fd', `${READY_FD}`]
  if (keep > 0) common.push('--keep', `${keep}`)
  if (options.mode === 'hold') {
    const target = 'pid' in options ? ['--pid', `${options.pid}`] : ['--netns', options.netns]
    return ['hold', ...common, ...target]
  }
  const cwd = options.cwd === undefined ? [] : ['--cwd', options.cwd]
  const tty = options.tty === true ? ['--tty'] : []
  const { hostname, argv } = options
  return ['run', ...common, '--hostname', hostname, ...cwd, ...tty, '--', ...argv]
}

/** `ready PID STARTTIME` or `error CODE TEXT`. */
function parseReady(line: string): InitProcess {
  const ready = /^ready (\d+) (\d+)\n$/.exec(line)
  if (ready !== null) return { pid: Number(ready[1]), startTime: ready[2] ?? '' }
  const [, code, text] = /^error (\S+) (.*)\n$/.exec(line) ?? []
  if (isErrorCode(code)) throw new WeftError(code, text ?? '')
  throw new WeftError('internal', `weft-init reported ${quote(line)} instead of its start`)
}

/** Whether this very process still runs; one that only waits to be reaped does not. */
export function initAlive(init: InitProcess): boolean {
  const fields = statFields(init.pid)
  if (fields === undefined) return false
  const [state] = fields
  return state !== 'Z' && state !== 'X' && fields[START_TIME] === init.startTime
}

/** Every init that keeps its files below `directory`, whoever started it. */
export async function listInits(directory: string): Promise<InitProcess[]> {
  const inits: InitProcess[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // Kernel threads have no command line; a process that is gone by now has none, either.
    const commandLine = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const [program = '', mode = '', ...options] = commandLine.split('\0')
    if (basename(program) !== 'weft-init' || (mode !== 'run' && mode !== 'hold')) continue
    // The first one is init's own: what is to be run comes after the options.
    const kept = options[options.indexOf('--dir') + 1] ?? ''
    const startTime = statFields(Number(name))?.[START_TIME]
    if (startTime === undefined || !kept.startsWith(`${directory}/`)) continue
    inits.push({ pid: Number(name), startTime })
  }
  return inits
}

/** Kills it, and all of its sandbox with it. False: it was gone. */
export function killInit(init: InitProcess): boolean {
  if (!initAlive(init)) return false
  try {
    return process.kill(init.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Index of field 22 in what statFields gives. */
const START_TIME = 22 - 3

/** /proc/PID/stat from field 3 on: field 2, the name, may hold spaces and parentheses. */
function statFields(pid: number): string[] | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/**
 * The host's process id of the process that is called `pid` inside a sandbox: of a command that
 * init started. Undefined when there is none (any more).
 */
export function hostPid(init: InitProcess, pid: number): number | undefined {
  try {
    const children = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'latin1')
    return children
      .split(' ')
      .filter((child) => child !== '')
      .map(Number)
      .find((child) => innerPid(child) === pid)
  } catch {
    return undefined
  }
}

/** The process id in the innermost namespace: the last on its NSpid line. */
function innerPid(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1])
}

// The daemons of a lab's hosts: start, wait until they answer, end.

import { readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiClient } from '../api/client.ts'
import { directoriesOf } from '../daemon/directories.ts'
import { messageOf, WeftError } from '../errors.ts'
import { startDetached } from '../linux/exec.ts'
import { isAlive, type ProcessId, processOf, signal, waitForEnd } from './processes.ts'
import { WEFT } from '../programs.ts'
import { daemonEnvironment, onNode } from './programs.ts'
import { labPaths, recordDaemon, recordedDaemon } from './state.ts'
import type { LabHost } from './topology.ts'

const START_MS = 15_000
const STOP_MS = 10_000
const POLL_MS = 50
const SHOWN_LOG_LINES = 5
/** How `weft daemon` begins the line that it ends with. */
const OWN_WORDS = 'weft: '

/** A log, and where in it the present start begins. */
interface DaemonLog {
  readonly path: string
  readonly from: number
}

/** The client of a host's daemon, from outside of the host. */
export function clientOf(host: LabHost, timeoutMs: number): ApiClient {
  return new ApiClient({ socketPath: directoriesOf(host.netns).socket, timeoutMs })
}

/** The daemon as it was started last, if that process lives. */
export function runningDaemon(lab: string, host: LabHost): ProcessId | null {
  const daemon = recordedDaemon(lab, host.name)
  return daemon !== null && isAlive(daemon) ? daemon : null
}

/** Starts a host's daemon and waits until it answers. */
export async function startDaemon(lab: string, host: LabHost, abort: AbortSignal): Promise<void> {
  const paths = labPaths(lab)
  const log = { path: paths.log(host.name), from: sizeOf(paths.log(host.name)) }
  const { command, args } = onNode(host, [
    ...WEFT,
    'daemon',
    ...['--name', host.name],
    ...['--advertise-addr', host.address],
    ...['--facts', paths.facts],
    ...['--log-file', log.path],
  ])
  // What it says before it has a log, and what it dies of, belongs into the same file.
  const pid = await startDetached(command, args, {
    output: log.path,
    env: daemonEnvironment(process.env),
    cwd: '/',
  })
  const daemon = processOf(pid)
  if (daemon === null) throw notStarted(host, log, 'ended at once')
  recordDaemon(lab, host.name, daemon)
  await untilItAnswers(host, daemon, log, abort)
}

async function untilItAnswers(
  host: LabHost,
  daemon: ProcessId,
  log: DaemonLog,
  abort: AbortSignal,
): Promise<void> {
  const client = clientOf(host, 2000)
  const end = Date.now() + START_MS
  let last = 'it did not answer'
  while (Date.now() < end) {
    abort.throwIfAborted()
    if (!isAlive(daemon)) throw notStarted(host, log, 'ended')
    try {
      await client.status()
      return
    } catch (error) {
      // Not there yet (no socket, or `unavailable` while it starts); anything else stays so.
      if (!(error instanceof WeftError) || error.code !== 'unavailable') {
        throw notStarted(host, log, messageOf(error))
      }
      last = error.message
    }
    await sleep(POLL_MS)
  }
  throw notStarted(host, log, `${START_MS / 1000} s: ${last}`)
}

/** SIGTERM (sandboxes stay), SIGKILL if that is not enough. */
export async function stopDaemon(daemon: ProcessId): Promise<void> {
  signal(daemon, 'SIGTERM')
  if (await waitForEnd(daemon, STOP_MS)) return
  signal(daemon, 'SIGKILL')
  await waitForEnd(daemon, STOP_MS)
}

/** SIGKILL, waited for. */
export async function killDaemon(daemon: ProcessId): Promise<void> {
  signal(daemon, 'SIGKILL')
  await waitForEnd(daemon, STOP_MS)
}

/** With what it said itself, if it did; else with the end of what it logged since its start. */
function notStarted(host: LabHost, log: DaemonLog, why: string): WeftError {
  const lines = linesFrom(log)
  const own = lines.findLast((line) => line.startsWith(OWN_WORDS))
  const message =
    own === undefined
      ? `the daemon of ${host.name} did not come up (${why}); the end of its log ${log.path}:` +
        lines
          .slice(-SHOWN_LOG_LINES)
          .map((line) => `\n  ${line}`)
          .join('')
      : `the daemon of ${host.name} did not come up: ${own.slice(OWN_WORDS.length)}`
  return new WeftError('unavailable', message)
}

function linesFrom(log: DaemonLog): string[] {
  try {
    const text = readFileSync(log.path).subarray(log.from).toString('utf8')
    return text.split('\n').filter((line) => line !== '')
  } catch (error) {
    return [messageOf(error)]
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

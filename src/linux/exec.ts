// Runs other programs: the one place of src/ that knows child_process.
//
// Three ways: `run` collects output and treats failure as a WeftError, `runForeground` hands the
// terminal over, `startDetached` leaves a process behind. Arguments are lists; there is no shell.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { WeftError } from '../errors.ts'

export interface RunOptions {
  /** Written to the command's stdin; without it stdin is /dev/null. */
  readonly input?: string
  /** SIGKILL after this long, and an error that says so. Default 30 s. */
  readonly timeoutMs?: number
  /** Give a non-zero exit back as a value; only what could not be run at all is an error then. */
  readonly allowFailure?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** When it aborts: SIGKILL, and its reason is thrown. */
  readonly signal?: AbortSignal
}

export interface RunResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const DEFAULT_TIMEOUT_MS = 30_000

/** What Debian calls the package of a command that we call: for the one line when it is missing. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  bridge: 'iproute2',
  ss: 'iproute2',
  nft: 'nftables',
  ping: 'iputils-ping',
  iperf3: 'iperf3',
  traceroute: 'traceroute',
}

/** Runs a command to its end. Throws `internal` with the command's stderr in one line. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  options.signal?.throwIfAborted()
  const child = spawn(command, args, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A command that ends without reading its input is not an error of ours.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(options.input)
  const deadline = { passed: false }
  const timer = setTimeout(() => {
    deadline.passed = true
    child.kill('SIGKILL')
  }, timeoutMs)
  const abort = () => child.kill('SIGKILL')
  options.signal?.addEventListener('abort', abort)
  let code: number
  try {
    code = await exitCode(child, command)
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', abort)
  }
  options.signal?.throwIfAborted()
  const result = { code, stdout: text(stdout), stderr: text(stderr) }
  if (deadline.passed) {
    throw new WeftError('internal', `${shown(command, args)}: no end after ${timeoutMs / 1000} s`)
  }
  if (code !== 0 && options.allowFailure !== true) {
    const said = oneLine(result.stderr) || oneLine(result.stdout) || `exit status ${code}`
    throw new WeftError('internal', `${shown(command, args)}: ${said}`)
  }
  return result
}

/** Runs a command on our stdin, stdout and stderr, passes signals on, gives its exit code. */
export async function runForeground(
  command: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv } = {},
): Promise<number> {
  const child = spawn(command, args, {
    stdio: 'inherit',
    ...(options.env === undefined ? {} : { env: options.env }),
  })
  // From a terminal, the child's process group (ours) gets SIGINT and SIGQUIT from the kernel; we
  // only must not die of them before it does. What is sent to us alone is passed on.
  const stop = onSignals((signal) => {
    const fromTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT')
    if (!fromTerminal) child.kill(signal)
  })
  try {
    return await exitCode(child, command)
  } finally {
    stop()
  }
}

/** Starts a command in a session of its own with its output appended to a file; gives its pid. */
export async function startDetached(
  command: string,
  args: readonly string[],
  options: { readonly output: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string },
): Promise<number> {
  const output = openSync(options.output, 'a', 0o640)
  try {
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', output, output],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => {
        reject(cannotRun(command, error))
      })
    })
    child.unref()
    return child.pid ?? 0
  } finally {
    closeSync(output)
  }
}

const FORWARDED = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const

/** Calls back on the signals that a wrapper passes on, until the returned function is called. */
export function onSignals(handle: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of FORWARDED) process.on(signal, handle)
  return () => {
    for (const signal of FORWARDED) process.off(signal, handle)
  }
}

/** 128+N for a signal, as shells say it. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

/** Text as one line: the lines that say something, joined. */
export function oneLine(value: string): string {
  return value
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('; ')
}

function exitCode(child: ChildProcess, command: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      // 'error' also tells of a signal that could not be sent; only a failed start has no pid.
      if (child.pid === undefined) reject(cannotRun(command, error))
    })
    child.once('close', (code, signal) => {
      resolve(code ?? (signal === null ? 1 : signalExitCode(signal)))
    })
  })
}

function cannotRun(command: string, error: NodeJS.ErrnoException): WeftError {
  const found = PACKAGE_OF[command]
  const why =
    error.code !== 'ENOENT'
      ? error.message
      : found === undefined
        ? 'no such command'
        : `not installed; apt-get install ${found}, or scripts/setup`
  return new WeftError('internal', `${command}: ${why}`, { cause: error })
}

/** The command as typed, for messages; long argument lists are cut. */
function shown(command: string, args: readonly string[]): string {
  const whole = [command, ...args].join(' ')
  return whole.length <= 120 ? whole : `${whole.slice(0, 117)}...`
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8')
}

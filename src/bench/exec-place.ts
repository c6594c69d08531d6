// A sandbox of a running cluster as a place: programs run in it by the API's exec, also on other hosts.
//
// What runs there is the host's own: sandboxes see their host's files. When the stream ends, the daemon's init sends
// SIGHUP to what was started by it, so nothing outlives us, however we end.

import type { Socket } from 'node:net'
import { constants } from 'node:os'
import type { ApiClient } from '../api/client.ts'
import { WeftError } from '../errors.ts'
import type { RunResult } from '../linux/exec.ts'
import { encodeFrame, FrameDecoder, FrameKind } from '../sandbox/frames.ts'
import { GRACE_MS, type Place, type RunBounds } from './place.ts'

/** Programs that measurements need. */
export const TOOLS = ['iperf3', 'ping', 'weft-flood'] as const
export type Tool = (typeof TOOLS)[number]

/** How long we wait for a program that was killed. */
const END_MS = 3000
const PROBE_SECONDS = 5

/** weft-flood stands beside weft-init, which is the first process of every sandbox. */
const PROBE = `
for tool in iperf3 ping; do command -v $tool > /dev/null && echo $tool; done
flood=$(dirname "$(readlink /proc/1/exe)")/weft-flood
[ ! -x "$flood" ] || echo "weft-flood $flood"`

export interface FoundPlace extends Place {
  readonly tools: ReadonlySet<Tool>
}

/** Looks which programs are there, too. */
export async function execPlace(
  client: ApiClient,
  name: string,
  ip: string,
  signal: AbortSignal,
): Promise<FoundPlace> {
  const run = (argv: readonly string[], bounds: RunBounds) => execute(client, name, argv, bounds)
  const probe = await run(['sh', '-c', PROBE], { seconds: PROBE_SECONDS, signal })
  const found = parseProbe(probe.stdout)
  return { ip, run, flood: found.get('weft-flood') ?? '', tools: new Set(found.keys()) }
}

/** The lines of the probe: a tool, and its path where PATH does not lead to it. */
export function parseProbe(output: string): Map<Tool, string> {
  const lines = output.split('\n').map((line) => line.split(' '))
  return new Map(
    TOOLS.flatMap((tool) => {
      const line = lines.find(([name]) => name === tool)
      return line === undefined ? [] : [[tool, line.slice(1).join(' ') || tool] as const]
    }),
  )
}

async function execute(
  client: ApiClient,
  name: string,
  argv: readonly string[],
  { seconds, signal }: RunBounds,
): Promise<RunResult> {
  signal.throwIfAborted()
  const env = { LC_ALL: 'C' }
  const socket = await client.execStream(name, { argv, tty: false, rows: 24, cols: 80, env })
  const ended = collect(socket, name)
  socket.write(encodeFrame(FrameKind.stdin, Buffer.alloc(0)))
  const deadline = { passed: false }
  const kill = () => {
    socket.write(encodeFrame(FrameKind.signal, Buffer.from([constants.signals.SIGKILL])))
    setTimeout(() => socket.destroy(), END_MS).unref()
  }
  const timer = setTimeout(
    () => {
      deadline.passed = true
      kill()
    },
    seconds * 1000 + GRACE_MS,
  )
  signal.addEventListener('abort', kill)
  try {
    // It may have come while we waited for the stream.
    if (signal.aborted) kill()
    const result = await ended
    signal.throwIfAborted()
    if (!deadline.passed) return result
    throw new WeftError('internal', `${argv[0] ?? ''} in ${name}: no end; it was killed`)
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', kill)
    socket.destroy()
  }
}

function collect(socket: Socket, name: string): Promise<RunResult> {
  const decoder = new FrameDecoder()
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const { kind, bytes } of decoder.push(chunk)) {
          if (kind === FrameKind.stdout) stdout.push(Buffer.from(bytes))
          else if (kind === FrameKind.stderr || kind === FrameKind.error)
            stderr.push(Buffer.from(bytes))
          else if (kind === FrameKind.exit)
            resolve({ code: bytes[0] ?? 1, stdout: text(stdout), stderr: text(stderr) })
        }
      } catch (caught) {
        reject(caught instanceof Error ? caught : new Error(String(caught)))
      }
    })
    const broken = () => {
      reject(
        new WeftError('unavailable', `the stream to ${name} broke off; see weft node ls, weft ps`),
      )
    }
    socket.on('error', broken)
    socket.on('close', broken)
  })
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8')
}

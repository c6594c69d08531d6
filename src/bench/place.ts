// A sandbox as a measurement knows it: an address, and a way to run programs there.

import { WeftError } from '../errors.ts'
import { oneLine, run, type RunResult } from '../linux/exec.ts'
import { inNetns, weftFlood } from './programs.ts'

export interface RunBounds {
  /** That the program is told to take. */
  readonly seconds: number
  readonly signal: AbortSignal
}

/** A sandbox, whoever made it, wherever it is. */
export interface Place {
  readonly ip: string
  /** The path of weft-flood, as seen from there. */
  readonly flood: string
  /** Runs a program to its end; an exit code is a result. */
  run(argv: readonly string[], bounds: RunBounds): Promise<RunResult>
}

/** What a program may take beyond the time that it was told. */
export const GRACE_MS = 20_000

/** One of this machine, by its network namespace: a path that setns can open. */
export function netnsPlace(netns: string, ip: string): Place {
  return {
    ip,
    flood: weftFlood(),
    run: (argv, { seconds, signal }) => {
      // A server that nobody comes to must not outlive a benchmark that was killed.
      const { command, args } = inNetns(netns, ['setpriv', '--pdeathsig', 'KILL', ...argv])
      return run(command, args, {
        allowFailure: true,
        timeoutMs: seconds * 1000 + GRACE_MS,
        signal,
        env: { ...process.env, LC_ALL: 'C' },
      })
    },
  }
}

/** Waits for both ends, also when one failed: the next measurement must not meet them. */
export async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second])
  if (a.status === 'rejected') throw a.reason as Error
  if (b.status === 'rejected') throw b.reason as Error
  return [a.value, b.value]
}

/** What a program printed that must have succeeded. */
export function succeeded(result: RunResult): string {
  if (result.code === 0) return result.stdout
  throw new WeftError('internal', oneLine(result.stderr) || `exit status ${result.code}`)
}

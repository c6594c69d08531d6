// Echo requests by the ping program: one process for each.

import { ECHO_HEADER_BYTES, type Echo, type EchoResult } from './echo.ts'
import { oneLine, run } from './exec.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'

/** A start and an end of the program, on a busy machine. */
const PATIENCE_MS = 5_000

export class PingEcho implements Echo {
  readonly by = 'ping'
  readonly #source: Ipv4Address

  constructor(source: Ipv4Address) {
    this.#source = source
  }

  async send(target: Ipv4Address, bytes: number, timeoutMs: number): Promise<EchoResult> {
    // Don't fragment. What the kernel believes of the path already it refuses itself, and says so: a path that was raised is seen
    // when that is forgotten, after ten minutes. (`-M probe` would send it, but Debian 12's ping does not know it.)
    const args = [
      ...['-n', '-c', '1', '-M', 'do', '-I', this.#source],
      ...['-W', String(timeoutMs / 1000), '-s', String(Math.max(0, bytes - ECHO_HEADER_BYTES))],
      target,
    ]
    const { code, stdout, stderr } = await run('ping', args, {
      allowFailure: true,
      timeoutMs: timeoutMs + PATIENCE_MS,
      env: { ...process.env, LC_ALL: 'C' },
    })
    return readPing(code, stdout, stderr)
  }

  close(): void {
    // Each request has been a process of its own.
  }
}

/** What ping has said (iputils). Pure. */
export function readPing(code: number, stdout: string, stderr: string): EchoResult {
  const said = `${stdout}\n${stderr}`
  const time = /time[=<]([0-9.]+) ms/.exec(stdout)?.[1]
  if (code === 0 && time !== undefined) return { kind: 'reply', ms: Number(time) }
  const tooBig = /(?:Frag needed|[Mm]essage too long).*?mtu ?= ?([0-9]+)/.exec(said)?.[1]
  if (tooBig !== undefined) return { kind: 'too_big', mtu: Number(tooBig) || null }
  if (/Frag needed|[Mm]essage too long/.test(said)) return { kind: 'too_big', mtu: null }
  const unreachable = /icmp_seq=\d+ (.*(?:Unreachable|Prohibited|filtered).*)/.exec(said)?.[1]
  if (unreachable !== undefined) return { kind: 'unreachable', why: unreachable }
  if (stderr.trim() !== '') return { kind: 'unreachable', why: oneLine(stderr) }
  return { kind: 'silence' }
}

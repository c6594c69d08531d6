// Who is measured: two sandboxes on two hosts, and what joins them.

import { run } from '../linux/exec.ts'
import { inNetns } from './programs.ts'
import type { Side } from './result.ts'

/** A sandbox, whoever made it. */
export interface Place {
  /** A path that setns can open. */
  readonly netns: string
  readonly ip: string
}

export interface Contestant {
  readonly side: Side
  readonly from: Place
  readonly to: Place
  /** Those that move its frames; none where the kernel does. */
  readonly daemons: readonly number[]
  close(): Promise<void>
}

/** A client that closes thousands of connections a second needs ports. */
const SANDBOX_SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ['ip_local_port_range', '1024 65535'],
  ['tcp_tw_reuse', '1'],
]

/** What both sides' sandboxes have alike. */
export async function settleSandbox(netns: string): Promise<void> {
  const lines = SANDBOX_SETTINGS.map(
    ([name, value]) => `echo '${value}' > /proc/sys/net/ipv4/${name}`,
  )
  const { command, args } = inNetns(netns, ['sh', '-e', '-c', lines.join('; ')])
  await run(command, args)
}

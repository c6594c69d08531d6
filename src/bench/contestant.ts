// Who is measured: two sandboxes on two hosts, and what joins them.

import { run } from '../linux/exec.ts'
import type { Place } from './place.ts'
import { inNetns } from './programs.ts'
import type { Side } from './result.ts'

export interface Contestant {
  readonly side: Side
  readonly from: Place
  readonly to: Place
  /** null: it has no VIPs, or nobody made one. */
  readonly service: ServiceUnderTest | null
  /** Those that move its frames; none where the kernel does, or where they cannot be looked into. */
  readonly daemons: readonly number[]
  /** Of both hosts' daemons together; null: they count nothing. */
  readonly counters: (() => Promise<ReadonlyMap<string, number>>) | null
}

/** Two VIPs, for `from`. */
export interface ServiceUnderTest {
  /** Shared out over `backends`, in turn. */
  readonly vip: string
  readonly backends: readonly Place[]
  /** Its only backend is `to`, so that it compares with the way without. */
  readonly single: string
  /** Around each measurement: what costs only who uses it. */
  readonly open: () => Promise<void>
  readonly close: () => Promise<void>
}

/**
 * A client that closes thousands of connections a second needs ports. iperf3's servers are below them (tcp.ts): a port
 * whose last connection is in TIME_WAIT cannot be listened on.
 */
const SANDBOX_SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ['ip_local_port_range', '17000 65535'],
  ['tcp_tw_reuse', '1'],
]

/** What all sides' sandboxes have alike. */
export async function settleSandbox(netns: string): Promise<void> {
  const lines = SANDBOX_SETTINGS.map(
    ([name, value]) => `echo '${value}' > /proc/sys/net/ipv4/${name}`,
  )
  const { command, args } = inNetns(netns, ['sh', '-e', '-c', lines.join('; ')])
  await run(command, args)
}

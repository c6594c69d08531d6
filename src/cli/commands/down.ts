// weft down: ends every sandbox of this host, then its daemon.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { ApiClient } from '../../api/client.ts'
import { WeftError } from '../../errors.ts'
import type { Cli } from '../cli.ts'
import { asksDaemon } from '../options.ts'

/** Each sandbox has its grace; the daemon ends them together. */
const ANSWER_MS = 60_000
const GONE_MS = 10_000

export function registerDown(program: Command, cli: Cli): void {
  asksDaemon(program.command('down'))
    .summary('end all sandboxes, then the daemon')
    .description('End every sandbox of this host, then its daemon. (SIGTERM ends only the daemon.)')
    .action(async () => {
      const client = await cli.client()
      const { pid } = await client.version()
      await client.down({ timeoutMs: ANSWER_MS })
      await untilGone(client, pid)
    })
}

/** So that `weft down && weft daemon` finds lock, ports and socket free: they go with the process. */
async function untilGone(client: ApiClient, pid: number): Promise<void> {
  const end = Date.now() + GONE_MS
  while (Date.now() < end) {
    if (!isThere(pid)) return
    await sleep(20)
  }
  throw new WeftError(
    'unavailable',
    `the daemon on ${client.socketPath} (pid ${pid}) still runs ${GONE_MS / 1000} s after it was told to end`,
  )
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Whoever may not signal it still learns that it is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

// weft leave: this host is no longer part of its cluster, and the others know at once.

import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { beginAnew } from '../begin-anew.ts'
import { asksDaemon } from '../options.ts'

export function registerLeave(program: Command, cli: Cli): void {
  asksDaemon(program.command('leave'))
    .summary('leave the cluster')
    .description('Leave the cluster. The other hosts are told and forget what was here.')
    .option('-f, --force', 'end the sandboxes of this host first')
    .action(async ({ force }: { force?: boolean }) => {
      const client = await cli.client()
      await beginAnew(client, async () => {
        await client.leaveCluster({ force: force === true })
        return true
      })
      cli.print('This host has left the cluster.\n')
    })
}

// weft join: this host becomes a member of a cluster that there is.

import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { advertise } from '../begin-anew.ts'
import { asksDaemon } from '../options.ts'

interface Flags {
  readonly token: string
  readonly advertiseAddr?: string
}

export function registerJoin(program: Command, cli: Cli): void {
  asksDaemon(program.command('join'))
    .summary('join a cluster')
    .description(
      'Join the cluster of another host; `weft join-token` there prints the line to type.',
    )
    .argument('<host>', 'any host of the cluster: ADDRESS[:PORT]')
    .requiredOption('--token <token>', 'what `weft join-token` prints on a host of the cluster')
    .option('--advertise-addr <ip|iface>', 'where other hosts reach this one')
    .action(async (host: string, { token, advertiseAddr }: Flags) => {
      const client = await cli.client()
      if (advertiseAddr !== undefined) await advertise(client, advertiseAddr)
      const { members } = await client.joinCluster({ token, host })
      const others = members.alive + members.suspect - 1
      cli.print(
        `This host has joined a cluster of ${others} ${others === 1 ? 'other host' : 'other hosts'}.\n`,
      )
    })
}

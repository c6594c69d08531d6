// weft init: this host becomes the first of a cluster.

import type { Command } from 'commander'
import type { JoinToken } from '../../api/cluster-types.ts'
import type { Cli } from '../cli.ts'
import { advertise } from '../begin-anew.ts'
import { asksDaemon, formatOption } from '../options.ts'

interface Flags {
  readonly advertiseAddr?: string
  readonly format: string
}

export function registerInit(program: Command, cli: Cli): void {
  asksDaemon(program.command('init'))
    .summary('begin a cluster with this host')
    .description('Begin a cluster with this host, and print the line that adds another one.')
    .option('--advertise-addr <ip|iface>', 'where other hosts reach this one')
    .addOption(formatOption('text'))
    .action(async ({ advertiseAddr, format }: Flags) => {
      const client = await cli.client()
      if (advertiseAddr !== undefined) await advertise(client, advertiseAddr)
      const token = await client.initCluster()
      if (format === 'json') cli.print(`${JSON.stringify(token)}\n`)
      else cli.print(`This host is the first of a new cluster.\n\n${formatJoinLine(token)}`)
    })
}

/** What is to be typed on another host. */
export function formatJoinLine({ token, address }: JoinToken): string {
  return `To add a host, run there:\n\n    weft join --token ${token} ${address}\n`
}

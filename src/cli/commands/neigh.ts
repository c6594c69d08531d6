// weft neigh ls: which IP has which MAC, the table that answers ARP and ND.

import type { Command } from 'commander'
import type { NeighbourRow } from '../../api/types.ts'
import type { Cli } from '../cli.ts'
import { formatList, formatRecord, type ListShape } from '../format.ts'
import { asksDaemon, lists } from '../options.ts'

interface Flags {
  readonly network?: string
  readonly quiet?: boolean
  readonly format: string
}

export function registerNeigh(program: Command, cli: Cli): void {
  const neigh = program
    .command('neigh')
    .helpCommand(false)
    .summary('IP to MAC')
    .description('The neighbour table: IP to MAC, from which ARP and ND are answered.')
  lists(asksDaemon(neigh.command('ls')))
    .description('List the neighbour table of this host. -q prints addresses.')
    .option('--network <net>', 'only this network')
    .action(async (flags: Flags) => {
      const rows = await (await cli.client()).neighbours()
      const shown = rows.filter((row) => (flags.network ?? row.network) === row.network)
      cli.print(formatList(shown, NEIGHBOUR_LIST, flags))
    })
}

export const NEIGHBOUR_LIST: ListShape<NeighbourRow> = {
  id: (row) => row.ip,
  json: (row) => row,
  columns: [
    { header: 'NETWORK', cell: (row) => row.network },
    { header: 'VNI', cell: (row) => String(row.vni) },
    { header: 'IP', cell: (row) => row.ip },
    { header: 'MAC', cell: (row) => row.mac },
    { header: 'HOST', cell: (row) => row.host ?? '-' },
    { header: 'ENDPOINT', cell: (row) => row.endpoint ?? '-' },
    { header: 'RECORD', cell: (row) => formatRecord(row.record) },
  ],
}

// weft fdb ls: which MAC is behind which VTEP, as the packet path sees it.

import type { Command } from 'commander'
import type { FdbRow } from '../../api/types.ts'
import type { Cli } from '../cli.ts'
import { formatList, formatRecord, type ListShape } from '../format.ts'
import { asksDaemon, lists } from '../options.ts'

interface Flags {
  readonly network?: string
  readonly quiet?: boolean
  readonly format: string
}

export function registerFdb(program: Command, cli: Cli): void {
  const fdb = program
    .command('fdb')
    .helpCommand(false)
    .summary('MAC to local endpoint or VTEP')
    .description('The forwarding table: MAC to local endpoint or VTEP.')
  lists(asksDaemon(fdb.command('ls')))
    .description('List the forwarding table of this host. -q prints MACs.')
    .option('--network <net>', 'only this network')
    .action(async (flags: Flags) => {
      const rows = await (await cli.client()).fdb()
      const shown = rows.filter((row) => (flags.network ?? row.network) === row.network)
      cli.print(formatList(shown, FDB_LIST, flags))
    })
}

export const FDB_LIST: ListShape<FdbRow> = {
  id: (row) => row.mac,
  json: (row) => row,
  columns: [
    { header: 'NETWORK', cell: (row) => row.network },
    { header: 'VNI', cell: (row) => String(row.vni) },
    { header: 'MAC', cell: (row) => row.mac },
    { header: 'KIND', cell: (row) => row.kind },
    { header: 'VTEP', cell: (row) => row.vtep ?? '-' },
    { header: 'HOST', cell: (row) => row.host ?? '-' },
    { header: 'ENDPOINT', cell: (row) => row.endpoint ?? '-' },
    { header: 'RECORD', cell: (row) => formatRecord(row.record) },
  ],
}

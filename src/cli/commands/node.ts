// weft node: the hosts of the cluster, as this one believes them to be.

import type { Command } from 'commander'
import type { NodeInspect, NodeRow } from '../../api/cluster-types.ts'
import { type Cli, forEachName } from '../cli.ts'
import { formatInspect, formatList, humanDuration, type ListShape } from '../format.ts'
import { asksDaemon, lists } from '../options.ts'

export function registerNode(program: Command, cli: Cli): void {
  const node = program
    .command('node')
    .helpCommand(false)
    .summary('the hosts of the cluster')
    .description('The hosts of the cluster.')
  lists(asksDaemon(node.command('ls')))
    .description('List the hosts of the cluster; * marks this one.')
    .action(async (flags: { format: string; quiet?: boolean }) => {
      cli.print(formatList(await (await cli.client()).nodes(), NODE_LIST, flags))
    })
  asksDaemon(node.command('inspect'))
    .description('Show everything about hosts, as a JSON array.')
    .argument('[node...]', 'names or ids (default: this host)')
    .action(async (names: string[]) => {
      const client = await cli.client()
      const found: NodeInspect[] = []
      await forEachName(cli, names.length === 0 ? ['self'] : names, async (name) => {
        found.push(await client.inspectNode(name))
      })
      cli.print(formatInspect(found))
    })
  asksDaemon(node.command('rm'))
    .description('Remove hosts that are down; their records are forgotten.')
    .argument('<node...>', 'names or ids')
    .option('-f, --force', 'also one that is up: it is put out of the cluster')
    .action(async (names: string[], { force }: { force?: boolean }) => {
      const client = await cli.client()
      await forEachName(cli, names, async (name) => {
        await client.removeNode(name, force === true)
        cli.print(`${name}\n`)
      })
    })
}

const STATUS: Readonly<Record<NodeRow['status'], string>> = {
  ready: 'Ready',
  suspect: 'Suspect',
  down: 'Down',
}
const AVAILABILITY: Readonly<Record<NodeRow['availability'], string>> = {
  active: 'Active',
  pause: 'Pause',
  drain: 'Drain',
}

export const NODE_LIST: ListShape<NodeRow> = {
  id: (row) => row.id,
  columns: [
    { header: 'ID', cell: (row) => (row.self ? `${row.id} *` : row.id) },
    { header: 'HOSTNAME', cell: (row) => row.name },
    { header: 'STATUS', cell: (row) => STATUS[row.status] },
    { header: 'SINCE', cell: (row) => humanDuration(row.statusForMs) },
    { header: 'AVAILABILITY', cell: (row) => AVAILABILITY[row.availability] },
    { header: 'ADDRESS', cell: (row) => row.address },
    { header: 'ENDPOINTS', cell: (row) => String(row.endpoints) },
    { header: 'ENGINE VERSION', cell: (row) => row.version || '-' },
  ],
  json: (row) => ({
    ID: row.id,
    Self: row.self,
    Hostname: row.name,
    Status: STATUS[row.status],
    Availability: AVAILABILITY[row.availability],
    EngineVersion: row.version,
    Address: row.address,
    VTEP: row.vtep,
    Incarnation: row.incarnation,
    Endpoints: row.endpoints,
  }),
}

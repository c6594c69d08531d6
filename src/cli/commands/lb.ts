// weft lb ls: which VIP is balanced to which backends, and what each has had of this host's flows.

import type { Command } from 'commander'
import type { LbBackend, LbRow } from '../../api/lb-types.ts'
import type { Cli } from '../cli.ts'
import { formatList, type ListShape } from '../format.ts'
import { asksDaemon, lists } from '../options.ts'

interface Flags {
  readonly network?: string
  readonly service?: string
  readonly quiet?: boolean
  readonly format: string
}

export function registerLb(program: Command, cli: Cli): void {
  const lb = program
    .command('lb')
    .helpCommand(false)
    .summary('VIP to backends')
    .description('The balancer: VIP to backends.')
  lists(asksDaemon(lb.command('ls')))
    .description(
      "List the VIPs of this host's networks and their backends, with what each has had of this host's flows:\nIN to the backend, OUT from it, as ipvsadm has them. -q prints VIPs.",
    )
    .option('--network <net>', 'only this network')
    .option('--service <name>', 'only of this service: its name, or a VIP')
    .action(async (flags: Flags) => {
      const rows = await (await cli.client()).lb()
      const shown = rows.filter(
        (row) =>
          (flags.network ?? row.network) === row.network &&
          (flags.service === undefined || isOf(row, flags.service)),
      )
      cli.print(
        flags.quiet === true || flags.format === 'json'
          ? formatList(shown, VIP_LIST, flags)
          : formatList(shown.flatMap(linesOf), LB_LIST, flags),
      )
    })
}

/** A line of the table; backend null: the service has none. */
interface Line {
  readonly row: LbRow
  readonly backend: LbBackend | null
}

function linesOf(row: LbRow): Line[] {
  if (row.backends.length === 0) return [{ row, backend: null }]
  return row.backends.map((backend) => ({ row, backend }))
}

function isOf({ service, vip }: LbRow, wanted: string): boolean {
  const lower = wanted.toLowerCase()
  return service?.toLowerCase() === lower || vip === lower
}

function count(
  header: string,
  of: (backend: LbBackend) => number,
): ListShape<Line>['columns'][number] {
  return { header, cell: ({ backend }) => (backend === null ? '-' : String(of(backend))) }
}

const VIP_LIST: ListShape<LbRow> = { id: (row) => row.vip, json: (row) => row, columns: [] }

const LB_LIST: ListShape<Line> = {
  id: ({ row }) => row.vip,
  json: ({ row }) => row,
  columns: [
    { header: 'NETWORK', cell: ({ row }) => row.network },
    { header: 'SERVICE', cell: ({ row }) => row.service ?? row.vip },
    { header: 'VIP', cell: ({ row }) => row.vip },
    { header: 'SCHEDULER', cell: ({ row }) => row.scheduler },
    { header: 'BACKEND', cell: ({ backend }) => backend?.ip ?? '-' },
    { header: 'ENDPOINT', cell: ({ backend }) => formatHolder(backend) },
    { header: 'STATE', cell: ({ backend }) => backend?.state ?? '-' },
    count('WEIGHT', ({ weight }) => weight),
    count('ACTIVE', ({ activeFlows }) => activeFlows),
    count('FLOWS', ({ flows }) => flows),
    count('INPKTS', ({ toBackend }) => toBackend.packets),
    count('OUTPKTS', ({ fromBackend }) => fromBackend.packets),
    count('INBYTES', ({ toBackend }) => toBackend.bytes),
    count('OUTBYTES', ({ fromBackend }) => fromBackend.bytes),
  ],
}

/** `h1/web.1`; what no record tells of: `-`. */
export function formatHolder(
  backend: { readonly endpoint: string | null; readonly host: string | null } | null,
): string {
  if (backend === null || backend.endpoint === null) return '-'
  return backend.host === null ? backend.endpoint : `${backend.host}/${backend.endpoint}`
}

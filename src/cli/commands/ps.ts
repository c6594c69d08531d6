// weft ps: the sandboxes of this host.

import type { Command } from 'commander'
import type { SandboxSummary } from '../../api/types.ts'
import { WeftError } from '../../errors.ts'
import type { Cli } from '../cli.ts'
import {
  formatCommand,
  formatCreatedAt,
  formatList,
  humanDuration,
  type ListShape,
  shortId,
  sinceMs,
} from '../format.ts'
import { asksDaemon, lists } from '../options.ts'

interface Flags {
  readonly all?: boolean
  readonly cluster?: boolean
  readonly host?: string
  readonly quiet?: boolean
  readonly trunc: boolean
  readonly format: string
}

export function registerPs(program: Command, cli: Cli): void {
  lists(asksDaemon(program.command('ps')))
    .summary('list sandboxes')
    .description('List the sandboxes of this host, of another, or of all the cluster.')
    .option('-a, --all', 'ended ones too')
    .option('--cluster', 'of all hosts, with a column HOST')
    .option('--host <host>', 'of that host')
    .option('--no-trunc', 'whole ids and commands')
    .action(async (flags: Flags) => {
      const { host, cluster = false, all = false } = flags
      if (cluster && host !== undefined) {
        throw new WeftError('invalid_argument', 'say one of --cluster and --host HOST')
      }
      const client = await cli.client()
      const print = (rows: readonly SandboxSummary[]) => {
        cli.print(formatList(rows, sandboxList(Date.now(), !flags.trunc, cluster), flags))
      }
      if (!cluster) {
        print(
          await (host === undefined
            ? client.listSandboxes(all)
            : client.listSandboxesOf(host, all)),
        )
        return
      }
      const { sandboxes, silent } = await client.listAllSandboxes(all)
      print(sandboxes)
      for (const { host: name, reason } of silent) {
        cli.complain(`the sandboxes of ${name} are missing: ${reason}`)
        cli.exitCode = 1
      }
    })
}

export function sandboxList(
  nowMs: number,
  noTrunc: boolean,
  withHost = false,
): ListShape<SandboxSummary> {
  const id = (row: SandboxSummary) => (noTrunc ? row.id : shortId(row.id))
  const command = (row: SandboxSummary) => formatCommand(row.argv, noTrunc)
  const running = (row: SandboxSummary) => `${humanDuration(sinceMs(row.createdAt, nowMs))} ago`
  const networks = (row: SandboxSummary) => row.networks.map((network) => network.name).join(',')
  const ip = (row: SandboxSummary) => row.networks.map((network) => network.ip).join(',')
  return {
    id,
    columns: [
      { header: 'ID', cell: id },
      { header: 'COMMAND', cell: (row) => command(row) || '-' },
      { header: 'CREATED', cell: running },
      { header: 'STATUS', cell: (row) => statusOf(row, nowMs) },
      ...(withHost ? [{ header: 'HOST', cell: (row: SandboxSummary) => row.host }] : []),
      { header: 'NETWORKS', cell: networks },
      { header: 'IP', cell: ip },
      { header: 'NAMES', cell: (row) => row.name },
    ],
    json: (row) => ({
      ID: id(row),
      Names: row.name,
      Command: command(row),
      CreatedAt: formatCreatedAt(row.createdAt),
      RunningFor: running(row),
      Status: statusOf(row, nowMs),
      State: row.state,
      Networks: networks(row),
      IP: ip(row),
      Host: row.host,
    }),
  }
}

/** docker's words: `Up 5 minutes`, `Exited (0) 3 seconds ago`. */
export function statusOf(row: SandboxSummary, nowMs: number): string {
  switch (row.state) {
    case 'created':
      return 'Created'
    case 'running':
      return `Up ${humanDuration(sinceMs(row.startedAt ?? row.createdAt, nowMs))}${healthOf(row)}`
    case 'attached':
      return `Attached ${humanDuration(sinceMs(row.createdAt, nowMs))}${healthOf(row)}`
    case 'exited': {
      const ago = humanDuration(sinceMs(row.finishedAt ?? row.createdAt, nowMs))
      const why = row.stopReason === null ? '' : `: ${row.stopReason}`
      return `Exited (${row.exitCode ?? '?'}) ${ago} ago${why}`
    }
  }
}

/** docker's words; a host of an earlier version tells of none. */
function healthOf({ health }: Partial<Pick<SandboxSummary, 'health'>>): string {
  if (health === null || health === undefined) return ''
  return health === 'starting' ? ' (health: starting)' : ` (${health})`
}

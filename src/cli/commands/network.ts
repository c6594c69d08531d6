// weft network: the networks of the cluster, with docker's verbs, flags and columns.

import type { Command } from 'commander'
import type { NetworkInspect, NetworkSummary } from '../../api/network-types.ts'
import { WeftError, quote } from '../../errors.ts'
import { type Cli, forEachName } from '../cli.ts'
import { formatCreatedAt, formatInspect, formatList, type ListShape, shortId } from '../format.ts'
import { asksDaemon, collect, lists } from '../options.ts'

interface CreateFlags {
  readonly driver: string
  readonly subnet?: readonly string[]
  readonly gateway?: readonly string[]
  readonly ipRange?: readonly string[]
  readonly ipv6?: boolean
  readonly internal?: boolean
  readonly attachable?: boolean
  readonly opt?: readonly string[]
  readonly label?: readonly string[]
}

interface ListFlags {
  readonly all?: boolean
  readonly quiet?: boolean
  readonly trunc: boolean
  readonly format: string
}

export function registerNetwork(program: Command, cli: Cli): void {
  const network = program
    .command('network')
    .helpCommand(false)
    .summary('the networks of the cluster')
    .description('The networks of the cluster.')
  registerCreate(network, cli)
  lists(asksDaemon(network.command('ls')))
    .description('List the networks that were made on this host or are used here.')
    .option('-a, --all', 'all of the cluster')
    .option('--no-trunc', 'whole ids')
    .action(async (flags: ListFlags) => {
      const rows = await (await cli.client()).listNetworks(flags.all === true)
      cli.print(formatList(rows, networkList(!flags.trunc), flags))
    })
  asksDaemon(network.command('inspect'))
    .description('Show everything about networks, as a JSON array.')
    .argument('<network...>', 'names or ids')
    .action(async (names: string[]) => {
      const client = await cli.client()
      const found: NetworkInspect[] = []
      await forEachName(cli, names, async (name) => {
        found.push(await client.inspectNetwork(name))
      })
      cli.print(formatInspect(found))
    })
  asksDaemon(network.command('rm'))
    .description('Remove networks that nobody uses, on any host.')
    .argument('<network...>', 'names or ids')
    .action(async (names: string[]) => {
      const client = await cli.client()
      await forEachName(cli, names, async (name) => {
        await client.removeNetwork(name)
        cli.print(`${name}\n`)
      })
    })
}

function registerCreate(network: Command, cli: Cli): void {
  asksDaemon(network.command('create'))
    .description('Make a network for all hosts of the cluster; prints its id.')
    .argument('<name>', 'unique in the cluster')
    .option('-d, --driver <driver>', 'overlay: there is no other', 'overlay')
    .option('--subnet <cidr>', 'a subnet; several are routed (default: one is chosen)', collect)
    .option('--gateway <ip>', 'of the subnet that it lies in (default: its first address)', collect)
    .option('--ip-range <cidr>', 'the part of a subnet that addresses are chosen from', collect)
    .option('--ipv6', 'each subnet gets an IPv6 one beside it')
    .option('--internal', 'no way out of the network (there is none yet)')
    .option('--attachable', "as docker's; weft run and attach may join any network")
    .option('-o, --opt <key=value>', 'mtu=BYTES', collect)
    .option('--label <key=value>', 'for those who look', collect)
    .action(async (name: string, flags: CreateFlags) => {
      if (flags.driver !== 'overlay') {
        throw new WeftError(
          'invalid_argument',
          `there is no driver ${quote(flags.driver)}; networks of weft are overlay`,
        )
      }
      const options = pairs('opt', flags.opt)
      const labels = pairs('label', flags.label)
      const { id } = await (await cli.client()).createNetwork({
        name,
        subnets: flags.subnet ?? [],
        gateways: flags.gateway ?? [],
        ipRanges: flags.ipRange ?? [],
        ipv6: flags.ipv6 === true,
        internal: flags.internal === true,
        attachable: flags.attachable === true,
        options,
        labels,
      })
      cli.print(`${id}\n`)
    })
}

/** `k=v`; `k` alone is empty, as docker has it. */
function pairs(flag: string, entries: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=')
      const key = at < 0 ? entry : entry.slice(0, at)
      if (key === '') {
        throw new WeftError('invalid_argument', `--${flag} ${quote(entry)}: write KEY=VALUE`)
      }
      return [key, at < 0 ? '' : entry.slice(at + 1)]
    }),
  )
}

export function networkList(noTrunc: boolean): ListShape<NetworkSummary> {
  const id = (row: NetworkSummary) => (noTrunc ? row.id : shortId(row.id))
  return {
    id,
    columns: [
      { header: 'NETWORK ID', cell: id },
      { header: 'NAME', cell: (row) => row.name },
      { header: 'DRIVER', cell: (row) => row.driver },
      { header: 'SCOPE', cell: (row) => row.scope },
    ],
    // docker's: all values are text.
    json: (row) => ({
      CreatedAt: formatCreatedAt(row.createdAt),
      Driver: row.driver,
      ID: id(row),
      IPv4: 'true',
      IPv6: String(row.ipv6),
      Internal: String(row.internal),
      Labels: Object.entries(row.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
      Name: row.name,
      Scope: row.scope,
    }),
  }
}

// weft network: the networks of the cluster, with docker's verbs, flags and columns.

import type { Command } from 'commander'
import type { NetworkInspect, NetworkSummary } from '../../api/network-types.ts'
import { WeftError, quote } from '../../errors.ts'
import { type Cli, forEachName } from '../cli.ts'
import { formatCreatedAt, formatInspect, formatList, type ListShape, shortId } from '../format.ts'
import { asksDaemon, collect, lists, pairs } from '../options.ts'

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
  registerUpdate(network, cli)
  registerConnect(network, cli)
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

interface ConnectFlags {
  readonly ip?: string
  readonly ip6?: string
  readonly alias?: readonly string[]
  readonly mac?: string
  readonly interface?: string
}

interface UpdateFlags {
  readonly subnetAdd?: readonly string[]
  readonly gateway?: readonly string[]
  readonly ipRange?: readonly string[]
}

/** What a network is given while it is used. */
function registerUpdate(network: Command, cli: Cli): void {
  asksDaemon(network.command('update'))
    .description('Give a network further subnets, also while it is used; the dataplane routes.')
    .argument('<network>', 'its name or id')
    .option('--subnet-add <cidr>', 'a further subnet', collect)
    .option('--gateway <ip>', 'of the subnet that it lies in (default: its first address)', collect)
    .option('--ip-range <cidr>', 'the part of a subnet that addresses are chosen from', collect)
    .action(async (name: string, flags: UpdateFlags) => {
      if (flags.subnetAdd === undefined) {
        throw new WeftError('invalid_argument', 'say what is to be added: --subnet-add CIDR')
      }
      await (await cli.client()).addSubnets(name, {
        subnets: flags.subnetAdd,
        gateways: flags.gateway ?? [],
        ipRanges: flags.ipRange ?? [],
      })
      cli.print(`${name}\n`)
    })
}

/** A living sandbox on further networks, on fewer. As docker's, both print nothing. */
function registerConnect(network: Command, cli: Cli): void {
  asksDaemon(network.command('connect'))
    .description('Give a living sandbox, of any host, an interface on a further network.')
    .argument('<network>', 'its name or id')
    .argument('<name>', 'the sandbox, or HOST/NAME')
    .option('--ip <ip>', 'its address there (default: what the network gives)')
    .option('--ip6 <ip6>', 'its IPv6 address there; the IPv4 one has the same number')
    .option('--alias <name>', 'a further name there', collect)
    .option('--mac <mac>', 'its MAC address there')
    .option('--interface <ifname>', 'the name inside (default: the next of eth0, eth1, ...)')
    .action(async (on: string, name: string, flags: ConnectFlags) => {
      const { alias: aliases, ip, ip6, mac } = flags
      await (await cli.client()).connectSandbox(name, {
        network: on,
        ...(ip === undefined ? {} : { ip }),
        ...(ip6 === undefined ? {} : { ip6 }),
        ...(mac === undefined ? {} : { mac }),
        ...(flags.interface === undefined ? {} : { interface: flags.interface }),
        ...(aliases === undefined ? {} : { aliases }),
      })
    })
  asksDaemon(network.command('disconnect'))
    .description('Take a living sandbox off a network, also off its last one.')
    .argument('<network>', 'its name or id')
    .argument('<name>', 'the sandbox, or HOST/NAME')
    .action(async (off: string, name: string) => {
      await (await cli.client()).disconnectSandbox(name, off)
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
    .option('--internal', 'shown only: no network of weft has a way out of the overlay yet')
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

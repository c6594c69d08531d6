// weft service: a name for endpoints, and an address in front of them, with docker's verbs, flags and columns.

import { type Command, Option } from 'commander'
import type { ServiceInspect, ServiceSummary, UpdateService } from '../../api/service-types.ts'
import { WeftError, quote } from '../../errors.ts'
import { type Cli, forEachName } from '../cli.ts'
import { formatInspect, formatList, type ListShape, shortId } from '../format.ts'
import {
  type HealthFlags,
  healthOptions,
  parseHealth,
  parseHealthChange,
} from '../health-options.ts'
import { asksDaemon, collect, lists, pairs } from '../options.ts'

const SCHEDULERS = ['rr', 'lc', 'sh', 'maglev'] as const
const MODES = ['vip', 'dnsrr'] as const
const MAX_WEIGHT = 256

interface CreateFlags extends HealthFlags {
  readonly name: string
  readonly network: readonly string[]
  readonly endpointMode: (typeof MODES)[number]
  readonly scheduler: (typeof SCHEDULERS)[number]
  readonly label?: readonly string[]
}

interface UpdateFlags extends HealthFlags {
  readonly scheduler?: (typeof SCHEDULERS)[number]
  readonly drain?: readonly string[]
  readonly undrain?: readonly string[]
  readonly weight?: readonly string[]
  readonly labelAdd?: readonly string[]
  readonly labelRm?: readonly string[]
}

export function registerService(program: Command, cli: Cli): void {
  const service = program
    .command('service')
    .helpCommand(false)
    .summary('a name and an address in front of endpoints')
    .description(
      'A name and an address in front of endpoints: those that were made with --service.',
    )
  registerCreate(service, cli)
  lists(asksDaemon(service.command('ls')))
    .description('List the services of the cluster.')
    .option('--no-trunc', 'whole ids')
    .action(async (flags: { format: string; quiet?: boolean; trunc: boolean }) => {
      const rows = await (await cli.client()).listServices()
      cli.print(formatList(rows, serviceList(!flags.trunc), flags))
    })
  asksDaemon(service.command('inspect'))
    .description('Show everything about services, as a JSON array.')
    .argument('<service...>', 'names or ids')
    .action(async (names: string[]) => {
      const client = await cli.client()
      const found: ServiceInspect[] = []
      await forEachName(cli, names, async (name) => {
        found.push(await client.inspectService(name))
      })
      cli.print(formatInspect(found))
    })
  registerUpdate(service, cli)
  asksDaemon(service.command('rm'))
    .description(
      'Remove services, also in use: connections to their addresses end, endpoints stay.',
    )
    .argument('<service...>', 'names or ids')
    .action(async (names: string[]) => {
      const client = await cli.client()
      await forEachName(cli, names, async (name) => {
        await client.removeService(name)
        cli.print(`${name}\n`)
      })
    })
}

function registerCreate(service: Command, cli: Cli): void {
  const command = asksDaemon(service.command('create'))
  healthOptions(command, true, 'none')
  command
    .description('Make a service for all hosts of the cluster; prints its id.')
    .requiredOption('--name <name>', 'unique in the cluster')
    .requiredOption(
      '--network <net>',
      'a network that it is on; several times for several',
      collect,
    )
    .addOption(
      new Option('--endpoint-mode <mode>', 'vip: one address; dnsrr: its name gives all backends')
        .choices(MODES)
        .default('vip'),
    )
    .addOption(
      new Option('--scheduler <scheduler>', 'how new connections are shared out')
        .choices(SCHEDULERS)
        .default('rr'),
    )
    .option('--label <key=value>', 'for those who look', collect)
    .action(async (flags: CreateFlags) => {
      const { name, network, endpointMode, scheduler } = flags
      const labels = pairs('label', flags.label)
      const health = parseHealth(flags) ?? undefined
      const client = await cli.client()
      const { id } = await client.createService({
        name,
        networks: network,
        endpointMode,
        scheduler,
        labels,
        ...(health === undefined ? {} : { health }),
      })
      cli.print(`${id}\n`)
    })
}

function registerUpdate(service: Command, cli: Cli): void {
  const command = asksDaemon(service.command('update'))
  healthOptions(command, true, 'no check by the service any more')
  command
    .description('Change a service or its backends: NAME, HOST/NAME, or the beginning of an id.')
    .argument('<service>', 'its name or id')
    .option('--drain <backend>', 'no new connections; those that it has go on', collect)
    .option('--undrain <backend>', 'new connections again', collect)
    .option('--weight <backend=n>', `its share of new connections, 0 to ${MAX_WEIGHT}`, collect)
    .addOption(new Option('--scheduler <scheduler>', 'for new connections').choices(SCHEDULERS))
    .option('--label-add <key=value>', 'add or change a label', collect)
    .option('--label-rm <key>', 'remove a label', collect)
    .action(async (name: string, flags: UpdateFlags) => {
      const health = parseHealthChange(flags)
      const change: UpdateService = {
        ...(flags.scheduler === undefined ? {} : { scheduler: flags.scheduler }),
        ...(flags.drain === undefined ? {} : { drain: flags.drain }),
        ...(flags.undrain === undefined ? {} : { undrain: flags.undrain }),
        ...(flags.weight === undefined ? {} : { weights: weightsOf(flags.weight) }),
        ...(flags.labelAdd === undefined
          ? {}
          : { labelsAdded: pairs('label-add', flags.labelAdd) }),
        ...(flags.labelRm === undefined ? {} : { labelsRemoved: flags.labelRm }),
        ...(health === undefined ? {} : { health }),
      }
      if (Object.keys(change).length === 0) {
        throw new WeftError(
          'invalid_argument',
          'say what is to be another way: --drain, --undrain, --weight, --scheduler, --label-add, --label-rm, --health-*',
        )
      }
      await (await cli.client()).updateService(name, change)
      cli.print(`${name}\n`)
    })
}

function weightsOf(entries: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.lastIndexOf('=')
      const text = entry.slice(at + 1)
      if (at < 1 || !/^\d{1,3}$/.test(text) || Number(text) > MAX_WEIGHT) {
        throw new WeftError(
          'invalid_argument',
          `--weight ${quote(entry)}: write BACKEND=N, with N from 0 to ${MAX_WEIGHT}`,
        )
      }
      return [entry.slice(0, at), Number(text)]
    }),
  )
}

/** docker's columns. A service without a command has as many replicas as there are backends; healthy ones are running. */
export function serviceList(noTrunc: boolean): ListShape<ServiceSummary> {
  const id = (row: ServiceSummary) => (noTrunc ? row.id : shortId(row.id))
  const replicas = ({ running, backends }: ServiceSummary) => `${running}/${backends}`
  return {
    id,
    columns: [
      { header: 'ID', cell: id },
      { header: 'NAME', cell: (row) => row.name },
      { header: 'MODE', cell: () => 'replicated' },
      { header: 'REPLICAS', cell: replicas },
      { header: 'IMAGE', cell: () => '' },
      { header: 'PORTS', cell: () => '' },
    ],
    json: (row) => ({
      ID: id(row),
      Image: '',
      Mode: 'replicated',
      Name: row.name,
      Ports: '',
      Replicas: replicas(row),
    }),
  }
}

// weft flows ls: the flows to VIPs that this host's conntrack has.

import { createInterface } from 'node:readline'
import { type Command, Option } from 'commander'
import { FLOW_PROTOCOLS, FLOW_STATES, type FlowFilter, type FlowRow } from '../../api/lb-types.ts'
import { WeftError } from '../../errors.ts'
import type { Cli } from '../cli.ts'
import { type Column, LIST_FORMATS, humanDuration, tableInParts } from '../format.ts'
import { asksDaemon, integer } from '../options.ts'
import { formatHolder } from './lb.ts'

interface Flags {
  readonly service?: string
  readonly proto?: FlowRow['protocol']
  readonly state?: FlowRow['state']
  readonly src?: string
  readonly dst?: string
  readonly limit?: number
  readonly format: string
}

/** How many rows are laid out together: what is read is not held until the last has come. */
const PART = 1000

export function registerFlows(program: Command, cli: Cli): void {
  const flows = program
    .command('flows')
    .helpCommand(false)
    .summary('flows to VIPs')
    .description('Conntrack: the flows to VIPs of the endpoints of this host.')
  asksDaemon(flows.command('ls'))
    .description(
      'List the flows to VIPs that endpoints of this host began: what the client sends, what the backend answers.\nFlows that come and go meanwhile may be missed.',
    )
    .option('--service <name>', 'only to this service: its name, or a VIP')
    .addOption(new Option('--proto <protocol>', 'only of this protocol').choices(FLOW_PROTOCOLS))
    .option('--src <address>', "only from this client: an address, or a subnet's CIDR")
    .option('--dst <address>', "only to this VIP: an address, or a subnet's CIDR")
    .addOption(new Option('--state <state>', 'only in this state').choices(FLOW_STATES))
    .option('--limit <n>', 'at most so many', integer(1, Number.MAX_SAFE_INTEGER))
    .addOption(
      new Option('--format <format>', 'table, or json: one object a line')
        .choices(LIST_FORMATS)
        .default('table'),
    )
    .action(async (flags: Flags) => {
      const response = await (await cli.client()).flows(filterOf(flags))
      const lines = createInterface({ input: response, crlfDelay: Infinity })
      try {
        if (flags.format === 'json') for await (const line of lines) cli.print(`${line}\n`)
        else await printTable(lines, cli)
      } catch (error) {
        if (response.complete) throw error
        throw cutShort(error)
      }
      // Whether readline tells of the end of its input or of a failure is its version's matter.
      if (!response.complete) throw cutShort()
    })
}

function cutShort(cause?: unknown): WeftError {
  const message = 'the daemon ended before it had told all; ask it again'
  return new WeftError('unavailable', message, { cause })
}

function filterOf({ service, proto, state, src, dst, limit }: Flags): FlowFilter {
  return {
    ...(service === undefined ? {} : { service }),
    ...(proto === undefined ? {} : { protocol: proto }),
    ...(state === undefined ? {} : { state }),
    ...(src === undefined ? {} : { source: src }),
    ...(dst === undefined ? {} : { destination: dst }),
    ...(limit === undefined ? {} : { limit }),
  }
}

async function printTable(lines: AsyncIterable<string>, cli: Cli): Promise<void> {
  const format = tableInParts(FLOW_COLUMNS.map(({ header }) => header))
  let part: string[][] = []
  const print = (): void => {
    cli.print(format(part))
    part = []
  }
  for await (const line of lines) {
    const row = JSON.parse(line) as FlowRow
    if (part.push(FLOW_COLUMNS.map(({ cell }) => cell(row))) === PART) print()
  }
  // The rest; of an empty list the header.
  print()
}

const FLOW_COLUMNS: readonly Column<FlowRow>[] = [
  { header: 'PROTO', cell: (row) => row.protocol },
  { header: 'STATE', cell: (row) => row.state },
  { header: 'AGE', cell: (row) => humanDuration(row.ageSeconds * 1000) },
  { header: 'SERVICE', cell: (row) => row.service ?? row.original.destination },
  { header: 'SOURCE', cell: ({ original }) => at(original.source, original.sourcePort) },
  {
    header: 'DESTINATION',
    cell: ({ original }) => at(original.destination, original.destinationPort),
  },
  { header: 'REPLY SOURCE', cell: ({ reply }) => at(reply.source, reply.sourcePort) },
  {
    header: 'REPLY DESTINATION',
    cell: ({ reply }) => at(reply.destination, reply.destinationPort),
  },
  { header: 'BACKEND', cell: ({ backend }) => formatHolder(backend) },
]

function at(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${String(port)}` : `${ip}:${String(port)}`
}

// weft dns: which names there are, and what is answered.

import type { Command } from 'commander'
import type { DnsReply, DnsRow } from '../../api/dns-types.ts'
import type { Cli } from '../cli.ts'
import { formatList, type ListShape } from '../format.ts'
import { asksDaemon, formatOption, lists } from '../options.ts'

interface ListFlags {
  readonly network?: string
  readonly quiet?: boolean
  readonly format: string
}

interface QueryFlags {
  readonly network: string
  readonly type?: string
  readonly format: string
}

export function registerDns(program: Command, cli: Cli): void {
  const dns = program
    .command('dns')
    .helpCommand(false)
    .summary('names, and what is answered')
    .description('Names, and what is answered: docs/names.md.')
  lists(asksDaemon(dns.command('ls')))
    .description('List the names that sandboxes on a network are answered. -q prints names.')
    .option('--network <net>', 'only this network')
    .action(async (flags: ListFlags) => {
      const rows = await (await cli.client()).dns(flags.network)
      cli.print(formatList(rows, DNS_LIST, flags))
    })
  asksDaemon(dns.command('query'))
    .description('Ask as a sandbox on that network would. Exits with 1 when there is no answer.')
    .argument('<name>', 'a name, or an address')
    .requiredOption('--network <net>', 'the network that the asker is on')
    .option('--type <type>', 'A, AAAA, PTR, SRV, ... (default: A; PTR of an address)')
    .addOption(formatOption('text'))
    .action(async (name: string, flags: QueryFlags) => {
      const client = await cli.client()
      const reply = await client.dnsQuery(name, flags.network, flags.type)
      if (flags.format === 'json') cli.print(`${JSON.stringify(reply)}\n`)
      else cli.print(formatReply(reply))
      if (reply.answers.length === 0) {
        cli.exitCode = 1
        if (flags.format !== 'json') cli.complain(`${name}: ${noAnswer(reply)}`)
      }
    })
}

function noAnswer({ rcode }: DnsReply): string {
  return rcode === 'NOERROR' ? 'there is nothing of that type' : rcode
}

/** As dig prints an answer section; empty when there is none. */
function formatReply({ answers }: DnsReply): string {
  return answers
    .map(({ name, type, ttl, data }) => `${name}\t${String(ttl)}\tIN\t${type}\t${data}\n`)
    .join('')
}

export const DNS_LIST: ListShape<DnsRow> = {
  id: (row) => row.name,
  json: (row) => row,
  columns: [
    { header: 'NETWORK', cell: (row) => row.network },
    { header: 'NAME', cell: (row) => row.name },
    {
      header: 'ADDRESSES',
      cell: ({ addresses }) =>
        addresses.flatMap(({ ip, ip6 }) => [ip, ip6].filter((each) => each !== null)).join(','),
    },
    {
      header: 'ENDPOINTS',
      cell: ({ addresses }) =>
        addresses
          .map(({ holder, host }) => (host === null ? holder : `${host}/${holder}`))
          .join(','),
    },
  ],
}

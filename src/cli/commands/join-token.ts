// weft join-token: the line that adds a host, and new secrets for old ones.

import { type Command, Option } from 'commander'
import type { Cli } from '../cli.ts'
import { asksDaemon } from '../options.ts'
import { formatJoinLine } from './init.ts'

interface Flags {
  readonly rotate?: boolean
  readonly rotateKeys?: boolean
  readonly quiet?: boolean
}

export function registerJoinToken(program: Command, cli: Cli): void {
  asksDaemon(program.command('join-token'))
    .summary('print the line that adds a host')
    .description('Print the line that adds a host to the cluster.')
    .option('--rotate', 'first make a new join secret: the old token is refused from now on')
    .addOption(
      new Option(
        '--rotate-keys',
        'make a new gossip key instead; hosts take it over by themselves, none is lost',
      ).conflicts('rotate'),
    )
    .option('-q, --quiet', 'only the token')
    .action(async (flags: Flags) => {
      const client = await cli.client()
      if (flags.rotateKeys === true) {
        const { key, accepted } = await client.rotateKeys()
        if (flags.quiet === true) cli.print(`${key}\n`)
        else cli.print(`New gossip key ${key}; ${accepted} keys are accepted.\n`)
        return
      }
      const token = await client.joinToken(flags.rotate === true)
      cli.print(flags.quiet === true ? `${token.token}\n` : formatJoinLine(token))
    })
}

// weft rm: ends sandboxes and forgets ended ones.

import type { Command } from 'commander'
import { type Cli, forEachName } from '../cli.ts'
import { asksDaemon, integer } from '../options.ts'

interface Flags {
  readonly force?: boolean
  readonly time: number
}

export function registerRm(program: Command, cli: Cli): void {
  asksDaemon(program.command('rm'))
    .summary('end sandboxes, forget ended ones')
    .description('End sandboxes and release all they have; forget ended ones.')
    .argument('<name...>', 'sandboxes')
    .option('-f, --force', 'SIGKILL at once, without the grace')
    .option('-t, --time <secs>', 'between SIGTERM and SIGKILL', integer(0, 3600), 10)
    .action(async (names: string[], flags: Flags) => {
      const client = await cli.client()
      const how = { force: flags.force === true, graceMs: flags.time * 1000 }
      await forEachName(cli, names, async (name) => {
        await client.removeSandbox(name, how)
        cli.print(`${name}\n`)
      })
    })
}

// weft inspect: everything about sandboxes, as an array.

import type { Command } from 'commander'
import type { SandboxInspect } from '../../api/types.ts'
import { type Cli, forEachName } from '../cli.ts'
import { formatInspect } from '../format.ts'
import { asksDaemon } from '../options.ts'

export function registerInspect(program: Command, cli: Cli): void {
  asksDaemon(program.command('inspect'))
    .summary('show everything about sandboxes')
    .description('Show everything about sandboxes, as a JSON array.')
    .argument('<name...>', 'sandboxes')
    .action(async (names: string[]) => {
      const client = await cli.client()
      const found: SandboxInspect[] = []
      await forEachName(cli, names, async (name) => {
        found.push(await client.inspectSandbox(name))
      })
      cli.print(formatInspect(found))
    })
}

// weft detach: takes back what attach gave.

import type { Command } from 'commander'
import { WeftError } from '../../errors.ts'
import { type Cli, forEachName } from '../cli.ts'
import { asksDaemon } from '../options.ts'

export function registerDetach(program: Command, cli: Cli): void {
  asksDaemon(program.command('detach'))
    .summary('take it out again')
    .description('Take the interface out of a namespace that was attached.')
    .argument('<name...>', 'attachments')
    .action(async (names: string[]) => {
      const client = await cli.client()
      await forEachName(cli, names, async (name) => {
        const { State } = await client.inspectSandbox(name)
        if (State.Status !== 'attached') {
          throw new WeftError(
            'invalid_argument',
            `${name} was made by \`weft run\`; end it with \`weft rm ${name}\``,
          )
        }
        await client.removeSandbox(name, { force: false, graceMs: 0 })
        cli.print(`${name}\n`)
      })
    })
}

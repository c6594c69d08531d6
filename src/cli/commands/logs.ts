// weft logs: what a sandbox's command has written, each stream to its own.

import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { LogPrinter } from '../log-printer.ts'
import { asksDaemon, integer } from '../options.ts'

interface Flags {
  readonly follow?: boolean
  readonly tail?: number
  readonly timestamps?: boolean
}

export function registerLogs(program: Command, cli: Cli): void {
  asksDaemon(program.command('logs'))
    .summary("show a sandbox's output")
    .description("Show what a sandbox's command has written; its stderr goes to ours.")
    .argument('<name>', 'the sandbox')
    .option('-f, --follow', 'go on until it ends')
    .option('-n, --tail <n>', 'only the last lines', integer(0, 1_000_000))
    .option('-t, --timestamps', 'when each line was written')
    .action(async (name: string, flags: Flags) => {
      const client = await cli.client()
      const response = await client.logs(name, {
        follow: flags.follow === true,
        ...(flags.tail === undefined ? {} : { tail: flags.tail }),
      })
      const printer = new LogPrinter(flags.timestamps === true)
      for await (const chunk of response) {
        for (const { stream, bytes } of printer.push(chunk as Buffer)) {
          const output = stream === 'stderr' ? cli.terminal.stderr : cli.terminal.stdout
          if (output.write(bytes)) continue
          // Not events.once: it would listen to errors, which are main's (a reader that went away).
          await new Promise((resolve) => output.once('drain', resolve))
        }
      }
    })
}

// weft exec: a further command in a sandbox, on our terminal.

import type { Command } from 'commander'
import { WeftError } from '../../errors.ts'
import type { Cli } from '../cli.ts'
import { asksDaemon, collect, parseEnvironment, verbatim } from '../options.ts'

interface Flags {
  readonly tty?: boolean
  readonly env?: readonly string[]
  readonly workdir?: string
}

export function registerExec(program: Command, cli: Cli): void {
  asksDaemon(program.command('exec'))
    .summary('run a further command in a sandbox')
    .description('Run a further command in a sandbox: terminal, signals and exit code pass.')
    .usage('[options] NAME -- COMMAND [ARG...]')
    .argument('<name>', 'the sandbox')
    .argument('<command...>', 'the command with its arguments, verbatim')
    .passThroughOptions()
    .option('-t, --tty', 'give it a terminal (default: when stdin and stdout are terminals)')
    .option('--no-tty', 'give it none')
    .option('-i, --interactive', "as docker's; stdin is always passed on")
    .option('-e, --env <name=value>', 'set a variable; NAME alone passes ours on', collect)
    .option('-w, --workdir <dir>', 'where it starts')
    .action((name: string, argv: string[], flags: Flags) => exec(cli, name, verbatim(argv), flags))
}

async function exec(cli: Cli, name: string, argv: readonly string[], flags: Flags): Promise<void> {
  const { joinTerminal, wantsTerminal, windowSize } = await import('../stream.ts')
  const tty = wantsTerminal(cli.terminal, flags.tty)
  const client = await cli.client()
  const socket = await client.execStream(name, {
    argv,
    tty,
    ...windowSize(cli.terminal),
    ...(flags.workdir === undefined ? {} : { cwd: flags.workdir }),
    env: {
      ...(tty ? { TERM: cli.env['TERM'] ?? 'xterm' } : {}),
      ...parseEnvironment(flags.env ?? [], cli.env),
    },
  })
  const { exitCode, error } = await joinTerminal(socket, cli.terminal, tty)
  if (error !== null) cli.complain(error)
  if (exitCode === null) {
    throw new WeftError('unavailable', `the stream to ${name} broke off; the command got SIGHUP`)
  }
  cli.exitCode = exitCode
}

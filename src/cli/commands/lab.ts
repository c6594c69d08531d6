// weft lab: a cluster of namespaces on this machine, and what one does with it.

import { constants } from 'node:os'
import type { Command } from 'commander'
import type { LabContext } from '../../lab/events.ts'
import { DEFAULT_HOSTS, DEFAULT_LAB, MAX_HOSTS } from '../../lab/topology.ts'
import type { Cli } from '../cli.ts'
import { formatTable, palette } from '../format.ts'
import { LabPrinter } from '../lab-printer.ts'
import { formatOption, integer, verbatim } from '../options.ts'

interface Flags {
  readonly name: string
}

interface UpFlags extends Flags {
  readonly hosts: number
}

export function registerLab(program: Command, cli: Cli): void {
  const lab = program
    .command('lab')
    .summary('several hosts on this machine')
    .description('Several hosts on this machine: namespaces, a router, a daemon each.')
    .helpCommand(false)

  named(lab.command('up'))
    .description('Make the lab: hosts h1, h2, ..., the router r and the client c.')
    .option('--hosts <n>', 'how many hosts', integer(1, MAX_HOSTS), DEFAULT_HOSTS)
    .action((flags: UpFlags) =>
      interruptible(cli, async (context) => {
        const { up } = await import('../../lab/lab.ts')
        await up(flags.name, flags.hosts, context)
        const option = flags.name === DEFAULT_LAB ? '' : ` --name ${flags.name}`
        cli.print(
          `   next: weft lab exec${option} h1 -- weft status; end it: weft lab down${option}\n`,
        )
      }),
    )

  named(lab.command('demo'))
    .description('Make a lab, show packets crossing it, clean up.')
    .option('--hosts <n>', 'how many hosts', integer(2, MAX_HOSTS), DEFAULT_HOSTS)
    .option('--keep', 'leave the lab up afterwards')
    .action((flags: UpFlags & { readonly keep?: boolean }) =>
      interruptible(cli, async (context) => {
        const { demo } = await import('../../lab/demo.ts')
        if (!(await demo({ ...flags, keep: flags.keep === true }, context))) cli.exitCode = 1
      }),
    )

  named(lab.command('exec'))
    .description('Run a command on a host (h1, ..., r, c), on this terminal.')
    .usage('[--name NAME] HOST -- COMMAND [ARG...]')
    .argument('<host>')
    .argument('<command...>', 'the command with its arguments, verbatim')
    .passThroughOptions()
    .action(async (host: string, argv: string[], flags: Flags) => {
      const { exec } = await import('../../lab/lab.ts')
      cli.exitCode = await exec(flags.name, host, verbatim(argv))
    })

  named(lab.command('shell'))
    .description('A shell on a host (h1, ..., r, c).')
    .argument('<host>')
    .action(async (host: string, flags: Flags) => {
      const { exec } = await import('../../lab/lab.ts')
      cli.exitCode = await exec(flags.name, host, [cli.env['SHELL'] ?? '/bin/bash'])
    })

  named(lab.command('kill'))
    .description("SIGKILL a host's daemon; its sandboxes go on.")
    .argument('<host>')
    .action(async (host: string, flags: Flags) => {
      const { kill } = await import('../../lab/lab.ts')
      await kill(flags.name, host)
    })

  named(lab.command('restart'))
    .description("Start a host's daemon, after SIGTERM if it runs.")
    .argument('<host>')
    .action((host: string, flags: Flags) =>
      interruptible(cli, async (context) => {
        const { restart } = await import('../../lab/lab.ts')
        await restart(flags.name, host, context)
      }),
    )

  for (const [verb, state, description] of [
    ['cut', 'down', "Take a host's cable out."],
    ['heal', 'up', "Put a host's cable back in."],
  ] as const) {
    named(lab.command(verb))
      .description(description)
      .argument('<host>')
      .action(async (host: string, flags: Flags) => {
        const { setLink } = await import('../../lab/lab.ts')
        await setLink(flags.name, host, state)
      })
  }

  named(lab.command('status'))
    .description("Show the lab's hosts.")
    .addOption(formatOption('text'))
    .action(async (flags: Flags & { readonly format: string }) => {
      const { labStatus } = await import('../../lab/status.ts')
      const status = await labStatus(flags.name)
      if (flags.format === 'json') {
        cli.print(`${JSON.stringify(status)}\n`)
        return
      }
      cli.print(
        formatTable(
          ['HOST', 'NAMESPACE', 'ADDRESS', 'DAEMON', 'PID', 'LINK', 'SANDBOXES', 'LOG'],
          status.hosts.map((host) => [
            host.host,
            host.netns,
            host.address,
            host.daemon,
            host.pid === null ? '-' : String(host.pid),
            host.link,
            host.sandboxes === null ? '-' : String(host.sandboxes),
            host.log,
          ]),
        ),
      )
    })

  named(lab.command('down'))
    .description('End the lab and everything in it. May be run again, and after any crash.')
    .action(async (flags: Flags) => {
      const { down } = await import('../../lab/lab.ts')
      if (!(await down(flags.name))) cli.print(`there is no lab '${flags.name}'\n`)
    })
}

function named(command: Command): Command {
  return command.option('--name <name>', 'which lab', DEFAULT_LAB)
}

/** Ctrl-C stops at the next step, and what was made is cleaned away before we end. */
export async function interruptible(
  cli: Cli,
  work: (context: LabContext) => Promise<void>,
): Promise<void> {
  const abort = new AbortController()
  const stop = (signal: NodeJS.Signals) => {
    abort.abort(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, stop)
  const { stdout } = cli.terminal
  // `weft lab demo | head`: nobody looks on, but what was made is to be cleaned away all the same.
  const unread = () => {
    stop('SIGPIPE')
  }
  stdout.on('error', unread)
  const printer = new LabPrinter(palette(stdout.isTTY === true, cli.env), (text) => {
    cli.print(text)
  })
  try {
    await work({
      report: (event) => {
        printer.show(event)
      },
      signal: abort.signal,
    })
  } catch (error) {
    if (!abort.signal.aborted) throw error
    const reason = abort.signal.reason as NodeJS.Signals
    cli.complain(`stopped by ${reason}; what was made is gone again`)
    cli.exitCode = 128 + constants.signals[reason]
  } finally {
    stdout.off('error', unread)
    for (const signal of signals) process.off(signal, stop)
  }
}

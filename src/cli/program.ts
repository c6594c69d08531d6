// All verbs in one tree, and what becomes of an error: one line, exit 1 or 2.

import { Command, CommanderError } from 'commander'
import { messageOf, WeftError } from '../errors.ts'
import { VERSION } from '../version.ts'
import type { Cli, Terminal } from './cli.ts'
import { registerAttach } from './commands/attach.ts'
import { registerBench } from './commands/bench.ts'
import { registerDaemon } from './commands/daemon.ts'
import { registerDetach } from './commands/detach.ts'
import { registerDoctor } from './commands/doctor.ts'
import { registerDown } from './commands/down.ts'
import { registerDns } from './commands/dns.ts'
import { registerEvents } from './commands/events.ts'
import { registerExec } from './commands/exec.ts'
import { registerFdb } from './commands/fdb.ts'
import { registerFlows } from './commands/flows.ts'
import { registerInit } from './commands/init.ts'
import { registerInspect } from './commands/inspect.ts'
import { registerJoin } from './commands/join.ts'
import { registerJoinToken } from './commands/join-token.ts'
import { registerLab } from './commands/lab.ts'
import { registerLb } from './commands/lb.ts'
import { registerLeave } from './commands/leave.ts'
import { registerLogs } from './commands/logs.ts'
import { registerNeigh } from './commands/neigh.ts'
import { registerNetwork } from './commands/network.ts'
import { registerNode } from './commands/node.ts'
import { registerPs } from './commands/ps.ts'
import { registerRm } from './commands/rm.ts'
import { registerRun } from './commands/run.ts'
import { registerService } from './commands/service.ts'
import { registerStatus } from './commands/status.ts'
import { registerVersion } from './commands/version.ts'

/** What the process brings: `process` itself, or a test's. */
export interface CliHost extends Terminal {
  readonly env: NodeJS.ProcessEnv
}

const FAILED = 1
const WRONG_USAGE = 2

/** Does what `argv` says (without node and script) and gives the exit code. Never throws. */
export async function runCli(argv: readonly string[], host: CliHost): Promise<number> {
  let socketFlag: string | undefined
  const cli: Cli = {
    env: host.env,
    terminal: host,
    exitCode: 0,
    print: (text) => {
      host.stdout.write(text)
    },
    complain: (message) => {
      host.stderr.write(`weft: ${message}\n`)
    },
    client: async () => {
      // Loaded by those who ask a daemon: `weft version --client` and `weft --help` stay quick.
      const { ApiClient } = await import('../api/client.ts')
      const { socketPath } = await import('./socket-path.ts')
      return new ApiClient({ socketPath: socketPath(socketFlag, host.env) })
    },
  }
  const program = buildProgram(cli)
  program.hook('preAction', (_, verb) => {
    const flag = verb.optsWithGlobals<{ socket?: string }>().socket
    if (flag !== undefined) socketFlag = flag
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return cli.exitCode
  } catch (error) {
    return report(cli, error, program, argv)
  }
}

/** The tree of verbs. */
export function buildProgram(cli: Cli): Command {
  const program = new Command('weft')
    .description('A userspace overlay network: VXLAN between hosts, one process per host.')
    .version(VERSION, '-v, --version', 'print the version of this command')
    .option('--socket <path>', "the daemon's socket (else WEFT_SOCKET, else this host's)")
    .usage('[--socket PATH] VERB ...')
    .addHelpCommand(new Command('help').argument('[verb]').helpGroup('Looking in:'))
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        cli.print(text)
      },
      writeErr: (text) => {
        cli.terminal.stderr.write(text)
      },
      // report() says it, in our one-line form.
      outputError: () => undefined,
    })
    .addHelpText('after', '\nStart with `weft lab demo`. Help on a verb: `weft VERB --help`.')

  program.commandsGroup('Sandboxes:')
  registerRun(program, cli)
  registerExec(program, cli)
  registerPs(program, cli)
  registerLogs(program, cli)
  registerInspect(program, cli)
  registerRm(program, cli)
  registerAttach(program, cli)
  registerDetach(program, cli)
  program.commandsGroup('Cluster:')
  registerInit(program, cli)
  registerJoin(program, cli)
  registerJoinToken(program, cli)
  registerLeave(program, cli)
  registerNode(program, cli)
  registerNetwork(program, cli)
  registerService(program, cli)
  program.commandsGroup('Looking in:')
  registerStatus(program, cli)
  registerFdb(program, cli)
  registerNeigh(program, cli)
  registerLb(program, cli)
  registerFlows(program, cli)
  registerDns(program, cli)
  registerEvents(program, cli)
  registerDoctor(program, cli)
  registerVersion(program, cli)
  program.commandsGroup('Hosts:')
  registerDaemon(program)
  registerDown(program, cli)
  registerLab(program, cli)
  registerBench(program, cli)
  return program
}

function report(cli: Cli, error: unknown, program: Command, argv: readonly string[]): number {
  if ((cli.env['WEFT_DEBUG'] ?? '') !== '' && error instanceof Error) {
    cli.terminal.stderr.write(`${error.stack ?? error.message}\n`)
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    // A verb that needs another word: commander has printed its help.
    if (error.code !== 'commander.help') {
      cli.complain(`${usageMessage(error)}; see \`${pathOf(program, argv)} --help\``)
    }
    return WRONG_USAGE
  }
  cli.complain(messageOf(error))
  return error instanceof WeftError && error.code === 'invalid_argument' ? WRONG_USAGE : FAILED
}

/** commander's message in one line, without its `error: ` and full stop. */
function usageMessage(error: CommanderError): string {
  return error.message
    .replace(/^error: /, '')
    .split('\n')
    .filter((line) => line !== '')
    .join(' ')
    .replace(/\.$/, '')
}

/** The verb that argv speaks of, as far as it names one: `weft lab up`. */
function pathOf(program: Command, argv: readonly string[]): string {
  let verb = program
  const path = [program.name()]
  for (const word of argv) {
    const next = verb.commands.find((command) => command.name() === word)
    if (next === undefined) continue
    verb = next
    path.push(word)
  }
  return path.join(' ')
}

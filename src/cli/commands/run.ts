// weft run: a command in a new sandbox, in the foreground or left behind.

import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import type { ApiClient } from '../../api/client.ts'
import type { CreateRun, SandboxInspect } from '../../api/types.ts'
import { WeftError } from '../../errors.ts'
import type { Cli } from '../cli.ts'
import { type HealthFlags, healthOptions, parseHealth } from '../health-options.ts'
import {
  type AttachmentOptions,
  asksDaemon,
  attachmentOptions,
  collect,
  parseAttachments,
  parseEnvironment,
} from '../options.ts'
import { randomName } from '../random-name.ts'

interface Flags extends AttachmentOptions, HealthFlags {
  readonly detach?: boolean
  readonly name?: string
  readonly tty?: boolean
  readonly env?: readonly string[]
  readonly workdir?: string
}

export function registerRun(program: Command, cli: Cli): void {
  const command = attachmentOptions(asksDaemon(program.command('run')))
  healthOptions(command, true, 'none, whatever its service has')
  command
    .summary('run a command in a new sandbox')
    .description('Run a command in a new sandbox on one or more networks.')
    .usage('[options] --network NET -- COMMAND [ARG...]')
    .argument('<command...>', 'the command with its arguments, verbatim')
    .passThroughOptions()
    .option('-d, --detach', 'leave it running, print its id')
    .option('--name <name>', 'unique on this host (default: two random words)')
    .option('-t, --tty', 'give it a terminal (default: when stdin and stdout are terminals)')
    .option('--no-tty', 'give it none')
    .option('-i, --interactive', "as docker's; stdin is always passed on in the foreground")
    .option('-e, --env <name=value>', 'set a variable; NAME alone passes ours on', collect)
    .option('-w, --workdir <dir>', 'where it starts')
    .action((argv: string[], flags: Flags) => runSandbox(cli, argv, flags))
}

async function runSandbox(cli: Cli, argv: readonly string[], flags: Flags): Promise<void> {
  const detach = flags.detach === true
  const { joinTerminal, wantsTerminal, windowSize } = await import('../stream.ts')
  const tty = detach ? flags.tty === true : wantsTerminal(cli.terminal, flags.tty)
  const health = parseHealth(flags)
  const client = await cli.client()
  const request: Omit<CreateRun, 'name'> = {
    kind: 'run',
    attachments: parseAttachments(flags),
    argv,
    ...(flags.workdir === undefined ? {} : { cwd: flags.workdir }),
    env: {
      ...(tty ? { TERM: cli.env['TERM'] ?? 'xterm' } : {}),
      ...parseEnvironment(flags.env ?? [], cli.env),
    },
    tty,
    detach,
    ...(health === undefined ? {} : { health }),
  }
  const made = await create(client, request, flags.name)
  if (detach) {
    cli.print(`${made.Id}\n`)
    return
  }
  const name = made.Name
  const size = tty ? windowSize(cli.terminal) : undefined
  const socket = await client.attachStream(name, true, size).catch(async (error: unknown) => {
    // Nothing half-made: what waits for its start would be removed by the daemon, but later.
    await client.removeSandbox(name, { force: true, graceMs: 0 }).catch(() => undefined)
    throw error
  })
  const { exitCode, error } = await joinTerminal(socket, cli.terminal, tty)
  if (error !== null) cli.complain(error)
  if (exitCode === null) {
    throw new WeftError(
      'unavailable',
      `the stream of ${name} broke off; if it still runs (\`weft ps\`), ` +
        `its output is in \`weft logs -f ${name}\``,
    )
  }
  cli.exitCode = exitCode
}

const ATTEMPTS = 4

/** With a name of ours when none was asked for: another one when it is taken. */
async function create(
  client: ApiClient,
  request: Omit<CreateRun, 'name'>,
  asked: string | undefined,
): Promise<SandboxInspect> {
  if (asked !== undefined) return client.createSandbox({ ...request, name: asked })
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.createSandbox({ ...request, name: randomName(randomBytes(4)) })
    } catch (error) {
      const taken = error instanceof WeftError && error.code === 'name_in_use'
      if (!taken || attempt === ATTEMPTS) throw error
    }
  }
}

// weft attach: gives an existing network namespace an interface on a network.

import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { WeftError } from '../../errors.ts'
import type { Cli } from '../cli.ts'
import { type HealthFlags, healthOptions, parseHealth } from '../health-options.ts'
import {
  type AttachmentOptions,
  asksDaemon,
  attachmentOptions,
  integer,
  parseAttachments,
} from '../options.ts'

interface Flags extends AttachmentOptions, HealthFlags {
  readonly name?: string
  readonly netns?: string
  readonly pid?: number
  readonly host?: boolean
}

type Target = { readonly netns: string } | { readonly pid: number } | { readonly host: true }

export function registerAttach(program: Command, cli: Cli): void {
  const command = attachmentOptions(asksDaemon(program.command('attach')))
  healthOptions(command, false, 'none, whatever its service has')
  command
    .summary('give an existing namespace an interface')
    .description('Give an existing network namespace an interface on a network.')
    .usage('[options] --network NET (--netns NAME|PATH | --pid PID | --host)')
    .option('--netns <name|path>', 'a namespace of `ip netns`, or its file')
    .option('--pid <pid>', "a process' namespace", integer(1, 2 ** 22))
    .option('--host', "the daemon's own namespace")
    .option('--name <name>', 'unique on this host (default: after what it is attached to)')
    .action(async (flags: Flags) => {
      const target = targetOf(flags)
      const health = parseHealth(flags)
      const client = await cli.client()
      const made = await client.createSandbox({
        kind: 'attach',
        name: flags.name ?? defaultName(target),
        attachments: parseAttachments(flags),
        ...target,
        ...(health === undefined ? {} : { health }),
      })
      cli.print(`${made.Id}\n`)
    })
}

function targetOf(flags: Flags): Target {
  const targets: Target[] = []
  if (flags.netns !== undefined) {
    // The daemon has another working directory than we.
    const isPath = flags.netns.includes('/')
    targets.push({ netns: isPath ? resolve(flags.netns) : flags.netns })
  }
  if (flags.pid !== undefined) targets.push({ pid: flags.pid })
  if (flags.host === true) targets.push({ host: true })
  const [target] = targets
  if (target === undefined || targets.length > 1) {
    throw new WeftError('invalid_argument', 'say one of --netns NAME|PATH, --pid PID and --host')
  }
  return target
}

function defaultName(target: Target): string {
  if ('netns' in target) return basename(target.netns)
  return 'pid' in target ? `pid-${target.pid}` : 'host'
}

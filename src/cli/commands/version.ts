// weft version: ours and the daemon's.

import type { Command } from 'commander'
import type { Version } from '../../api/types.ts'
import { messageOf } from '../../errors.ts'
import { VERSION } from '../../version.ts'
import type { Cli } from '../cli.ts'
import { formatPairs } from '../format.ts'
import { asksDaemon, formatOption } from '../options.ts'

interface Flags {
  readonly client?: boolean
  readonly format: string
}

export function registerVersion(program: Command, cli: Cli): void {
  asksDaemon(program.command('version'))
    .summary('of this command and of the daemon')
    .description('Show the version of this command and of the daemon.')
    .option('--client', 'only this command; asks no daemon')
    .addOption(formatOption('text'))
    .action(async (flags: Flags) => {
      let server: Version | null = null
      let problem: string | null = null
      if (flags.client !== true) {
        try {
          server = await (await cli.client()).version()
        } catch (error) {
          problem = messageOf(error)
        }
      }
      cli.print(flags.format === 'json' ? asJson(server) : asText(server))
      if (problem === null) return
      cli.complain(problem)
      cli.exitCode = 1
    })
}

function asJson(server: Version | null): string {
  const daemon =
    server === null
      ? null
      : {
          Version: server.version,
          ApiVersion: server.apiVersion,
          Host: server.host,
          Pid: server.pid,
        }
  return `${JSON.stringify({ Client: { Version: VERSION }, Server: daemon })}\n`
}

function asText(server: Version | null): string {
  const pairs: [string, string][] = [['Client', VERSION]]
  if (server !== null) {
    pairs.push(['Daemon', `${server.version} (host ${server.host}, pid ${server.pid})`])
  }
  return formatPairs(pairs)
}

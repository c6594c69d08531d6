// weft events: what happened on this host and what it heard of.

import { createInterface } from 'node:readline'
import { type Command, InvalidArgumentError } from 'commander'
import type { EventLine } from '../../api/event-types.ts'
import type { Cli } from '../cli.ts'
import { asksDaemon, formatOption } from '../options.ts'

interface Flags {
  readonly follow?: boolean
  readonly since?: number
  readonly format: string
}

export function registerEvents(program: Command, cli: Cli): void {
  asksDaemon(program.command('events'))
    .summary('what happened')
    .description(
      'Show what happened on this host and what it heard of: hosts, networks, its endpoints and their health, collisions and what became of them, path MTUs.\nA daemon remembers the last 1000 since its start.',
    )
    .option('-f, --follow', 'go on with those to come')
    .option(
      '--since <time>',
      'from then on: 90s, 10m, 2h, or a time as 2026-11-21T10:00:00Z',
      sinceMs,
    )
    .addOption(formatOption('text'))
    .action(async ({ follow, since, format }: Flags) => {
      const client = await cli.client()
      const response = await client.events({
        follow: follow === true,
        ...(since === undefined ? {} : { sinceMs: since }),
      })
      for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
        cli.print(format === 'json' ? `${line}\n` : formatEvent(JSON.parse(line) as EventLine))
      }
    })
}

const KIND_WIDTH = 22

export function formatEvent({ time, kind, text }: EventLine): string {
  return `${time}  ${kind.padEnd(KIND_WIDTH)}${text}\n`
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** In milliseconds since 1970. */
export function sinceMs(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (count !== '') return Math.max(0, Date.now() - Number(count) * (UNIT_MS[unit] ?? 0))
  const time = Date.parse(text)
  if (!/^\d{4}-/.test(text) || Number.isNaN(time) || time < 0)
    throw new InvalidArgumentError('Use 90s, 10m, 2h, 1d, or a time as 2026-11-21T10:00:00Z.')
  return time
}

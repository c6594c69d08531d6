// weft bench: weft and the kernel's own VXLAN, measured in turns on this machine.

import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { WeftError } from '../../errors.ts'
import {
  type BenchResult,
  circumstances,
  integrityLine,
  resultTable,
  SIDES,
} from '../../bench/result.ts'
import type { Cli } from '../cli.ts'
import { formatTable } from '../format.ts'
import { integer } from '../options.ts'
import { interruptible } from './lab.ts'

interface Flags {
  readonly name: string
  readonly rounds?: number
  readonly quick?: boolean
  readonly wire?: boolean
  readonly json?: string
}

const ROUNDS = 5
const QUICK_ROUNDS = 1
/** The labs' names are a letter longer. */
const NAME = /^[a-z][a-z0-9]{0,6}$/

export function registerBench(program: Command, cli: Cli): void {
  program
    .command('bench')
    .summary('measure against kernel VXLAN')
    .description('Measure weft against kernel VXLAN and bridges, in turns, in labs of their own.')
    .option('--quick', 'one short round, under a minute')
    .option('--wire', 'an underlay that cuts every packet, as a wire does (needs ethtool)')
    .option('--rounds <n>', `how many rounds (default: ${ROUNDS})`, integer(1, 100))
    .option('--json <file>', 'write everything that was found there, too')
    .option('--name <name>', "what the labs' names begin with", 'bench')
    .action((flags: Flags) =>
      interruptible(cli, async (context) => {
        if (!NAME.test(flags.name)) {
          throw new WeftError(
            'invalid_argument',
            `--name '${flags.name}': use at most 7 small letters and digits, a letter first`,
          )
        }
        const quick = flags.quick === true
        // Before minutes of work: whether there is a place for what it finds.
        if (flags.json !== undefined) write(flags.json, '')
        const { bench } = await import('../../bench/bench.ts')
        const underlay = flags.wire === true ? 'wire' : 'superframes'
        const rounds = flags.rounds ?? (quick ? QUICK_ROUNDS : ROUNDS)
        const result = await bench({ name: flags.name, rounds, quick, underlay }, context)
        cli.print(formatResult(result))
        if (flags.json !== undefined) write(flags.json, `${JSON.stringify(result, null, 2)}\n`)
      }),
    )
}

export function formatResult(result: BenchResult): string {
  const { header, rows } = resultTable(result.rows)
  const integrity = SIDES.map((side) => integrityLine(side, result.integrity[side]))
  return `\n${formatTable(header, rows)}\n${[...integrity, ...circumstances(result)].join('\n')}\n`
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (error) {
    throw new WeftError('invalid_argument', `--json ${path}: ${(error as Error).message}`)
  }
}

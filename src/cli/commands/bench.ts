// weft bench: weft and the kernel's own VXLAN, measured in turns on this machine.

import { writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { quote, WeftError } from '../../errors.ts'
import { GROUPS, type Group } from '../../bench/metrics.ts'
import {
  backgroundLine,
  type BenchResult,
  circumstances,
  integrityLine,
  resultTable,
  type Underlay,
  UNDERLAY_TITLES,
  UNDERLAYS,
  type UnderlayResult,
} from '../../bench/result.ts'
import type { LabContext } from '../../lab/events.ts'
import type { Cli } from '../cli.ts'
import { formatTable } from '../format.ts'
import { integer } from '../options.ts'
import { interruptible } from './lab.ts'

interface Flags {
  readonly name: string
  readonly rounds?: number
  readonly quick?: boolean
  readonly underlay: Underlay | 'both'
  readonly wire?: boolean
  readonly only?: readonly Group[]
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
    .addOption(
      new Option(
        '--underlay <underlay>',
        'superframes: cables hand over up to 64 KB at once; wire: every packet is cut (needs ethtool); both',
      )
        .choices([...UNDERLAYS, 'both'])
        .default('superframes'),
    )
    .option('--wire', 'the same as --underlay wire')
    .option('--only <groups>', `only these, of ${GROUPS.join(',')}`, groups)
    .option('--rounds <n>', `how many rounds (default: ${ROUNDS})`, integer(1, 100))
    .option('--json <file>', 'write everything that was found there, too')
    .option('--name <name>', "what the labs' names begin with", 'bench')
    .action((flags: Flags) => interruptible(cli, (context) => benchLabs(cli, flags, context)))
}

async function benchLabs(cli: Cli, flags: Flags, context: LabContext): Promise<void> {
  if (!NAME.test(flags.name)) {
    throw new WeftError(
      'invalid_argument',
      `--name '${flags.name}': use at most 7 small letters and digits, a letter first`,
    )
  }
  const quick = flags.quick === true
  // Before minutes of work: whether there is a place for what it finds.
  if (flags.json !== undefined) write('--json', flags.json, '')
  const { bench } = await import('../../bench/bench.ts')
  const result = await bench(
    {
      name: flags.name,
      rounds: flags.rounds ?? (quick ? QUICK_ROUNDS : ROUNDS),
      quick,
      underlays: underlaysOf(flags),
      groups: flags.only ?? GROUPS,
    },
    context,
  )
  cli.print(formatResult(result))
  if (flags.json !== undefined) write('--json', flags.json, `${JSON.stringify(result, null, 2)}\n`)
}

function underlaysOf({ underlay, wire }: Flags): readonly Underlay[] {
  if (wire === true) return ['wire']
  return underlay === 'both' ? UNDERLAYS : [underlay]
}

function groups(text: string): Group[] {
  return text.split(',').map((name) => {
    const group = GROUPS.find((known) => known === name)
    if (group !== undefined) return group
    throw new InvalidArgumentError(`${quote(name)} is none of ${GROUPS.join(', ')}.`)
  })
}

export function formatResult(result: BenchResult): string {
  const parts = result.underlays.map((one) => formatUnderlay(one, result))
  const lines = [...circumstances(result), ...result.missing]
  return `${parts.join('')}\n${lines.join('\n')}\n`
}

function formatUnderlay(one: UnderlayResult, { sides, underlays }: BenchResult): string {
  const { header, rows } = resultTable(one.rows, sides)
  const title = underlays.length === 1 ? '' : `${UNDERLAY_TITLES[one.underlay]}\n\n`
  const integrity = sides.flatMap((side) => {
    const datagrams = one.integrity[side]
    return datagrams === undefined ? [] : [integrityLine(side, datagrams)]
  })
  const lines = [...integrity, backgroundLine(one.backgroundBusy)]
  return `\n${title}${formatTable(header, rows)}\n${lines.join('\n')}\n`
}

function write(option: string, path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (error) {
    throw new WeftError('invalid_argument', `${option} ${path}: ${(error as Error).message}`)
  }
}

// weft bench: weft and the kernel's own VXLAN, measured in turns on this machine; or two sandboxes of this cluster.

import { writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { quote, WeftError } from '../../errors.ts'
import { GROUPS, type Group } from '../../bench/metrics.ts'
import {
  backgroundLine,
  type BenchResult,
  circumstances,
  integrityLine,
  type PairResult,
  resultTable,
  type Side,
  SIDES,
  type Underlay,
  UNDERLAY_TITLES,
  UNDERLAYS,
  type UnderlayResult,
  whenLine,
} from '../../bench/result.ts'
import type { LabContext } from '../../lab/events.ts'
import type { Cli } from '../cli.ts'
import { formatTable } from '../format.ts'
import { asksDaemon, integer } from '../options.ts'
import { interruptible } from './lab.ts'

interface Flags {
  readonly from?: string
  readonly to?: string
  readonly network?: string
  readonly name: string
  readonly rounds?: number
  readonly quick?: boolean
  readonly underlay: Underlay | 'both'
  readonly wire?: boolean
  readonly against: readonly Side[]
  readonly only?: readonly Group[]
  readonly json?: string
  readonly report?: string
}

const OTHER_SIDES = SIDES.filter((side) => side !== 'weft')
const ROUNDS = 5
const PAIR_ROUNDS = 3
const QUICK_ROUNDS = 1
/** The labs' names are a letter longer. */
const NAME = /^[a-z][a-z0-9]{0,6}$/

export function registerBench(program: Command, cli: Cli): void {
  asksDaemon(program.command('bench'))
    .summary('measure against kernel VXLAN, or between two sandboxes')
    .description(
      'Measure weft against kernel VXLAN and bridges, in turns, in labs of their own; ' +
        'with --from and --to between two sandboxes of this cluster.',
    )
    .option(
      '--from <sandbox>',
      'NAME or HOST/NAME; its host must have what measures (iperf3, ping)',
    )
    .option('--to <sandbox>', 'the other one, on the same host or another')
    .option('--network <net>', 'which network, when they share several')
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
    .option(
      '--against <sides>',
      `whom, of ${OTHER_SIDES.join(',')}; what is not installed is left out (default: kernel)`,
      oneOf(OTHER_SIDES),
      ['kernel'] as Side[],
    )
    .option('--only <groups>', `only these, of ${GROUPS.join(',')}`, oneOf(GROUPS))
    .option(
      '--rounds <n>',
      `how many rounds (default: ${ROUNDS}; of two sandboxes ${PAIR_ROUNDS})`,
      integer(1, 100),
    )
    .option('--json <file>', 'write everything that was found there, too')
    .option('--report <file>', 'write it there as one page of HTML, too')
    .option('--name <name>', "what the labs' names begin with", 'bench')
    .action((flags: Flags) => interruptible(cli, (context) => benchEither(cli, flags, context)))
}

async function benchEither(cli: Cli, flags: Flags, context: LabContext): Promise<void> {
  const { from, to, network } = flags
  if (from === undefined && to === undefined && network === undefined) {
    await benchLabs(cli, flags, context)
    return
  }
  if (from === undefined || to === undefined) {
    throw new WeftError('invalid_argument', '--from and --to belong together: name two sandboxes')
  }
  if (flags.wire === true || flags.underlay !== 'superframes') {
    throw new WeftError('invalid_argument', '--underlay is for labs; two sandboxes have theirs')
  }
  if (flags.only?.includes('vip') === true) {
    throw new WeftError('invalid_argument', '--only vip is for labs, which have VIPs of their own')
  }
  const quick = flags.quick === true
  requirePlaces(flags)
  const { benchPair } = await import('../../bench/pair.ts')
  const { renderPairReport } = await import('../../bench/report.ts')
  const rounds = flags.rounds ?? (quick ? QUICK_ROUNDS : PAIR_ROUNDS)
  const options = { from, to, network, rounds, quick, groups: flags.only ?? GROUPS }
  const result = await benchPair(await cli.client(), options, context)
  cli.print(formatPair(result))
  keep(flags, result, renderPairReport)
}

async function benchLabs(cli: Cli, flags: Flags, context: LabContext): Promise<void> {
  if (!NAME.test(flags.name)) {
    throw new WeftError(
      'invalid_argument',
      `--name '${flags.name}': use at most 7 small letters and digits, a letter first`,
    )
  }
  const quick = flags.quick === true
  requirePlaces(flags)
  const { bench } = await import('../../bench/bench.ts')
  const { renderReport } = await import('../../bench/report.ts')
  const result = await bench(
    {
      name: flags.name,
      rounds: flags.rounds ?? (quick ? QUICK_ROUNDS : ROUNDS),
      quick,
      sides: ['weft', ...flags.against],
      underlays: underlaysOf(flags),
      groups: flags.only ?? GROUPS,
    },
    context,
  )
  cli.print(formatResult(result))
  keep(flags, result, renderReport)
}

function underlaysOf({ underlay, wire }: Flags): readonly Underlay[] {
  if (wire === true) return ['wire']
  return underlay === 'both' ? UNDERLAYS : [underlay]
}

/** Reads a list of such words; gives them in the order of `known`. */
function oneOf<Word extends string>(known: readonly Word[]): (text: string) => Word[] {
  return (text) => {
    const words = text.split(',')
    const strange = words.find((word) => !known.some((one) => one === word))
    if (strange === undefined) return known.filter((one) => words.includes(one))
    throw new InvalidArgumentError(`${quote(strange)} is none of ${known.join(', ')}.`)
  }
}

export function formatResult(result: BenchResult): string {
  const parts = result.underlays.map((one) => formatUnderlay(one, result))
  const lines = [...circumstances(result), ...result.missing]
  return `${parts.join('')}\n${lines.join('\n')}\n`
}

export function formatPair(result: PairResult): string {
  const { header, rows } = resultTable(result.rows, result.directions)
  const lines = [
    ...Object.entries(result.integrity).map(([name, datagrams]) => integrityLine(name, datagrams)),
    ...result.missing,
    whenLine(result),
  ]
  return `\n${formatTable(header, rows)}\n${lines.join('\n')}\n`
}

function formatUnderlay(one: UnderlayResult, { sides, underlays }: BenchResult): string {
  const { header, rows } = resultTable(one.rows, sides)
  const title = underlays.length === 1 ? '' : `${UNDERLAY_TITLES[one.underlay]}\n\n`
  const integrity = sides.flatMap((side) => {
    const datagrams = one.integrity[side]
    return datagrams === undefined ? [] : [integrityLine(side, datagrams)]
  })
  const lines = [...integrity, backgroundLine(one)]
  return `\n${title}${formatTable(header, rows)}\n${lines.join('\n')}\n`
}

/** Before minutes of work: whether there is a place for what it finds. */
function requirePlaces({ json, report }: Flags): void {
  if (json !== undefined) write('--json', json, '')
  if (report !== undefined) write('--report', report, '')
}

function keep<Result>(
  { json, report }: Flags,
  result: Result,
  render: (result: Result) => string,
): void {
  if (json !== undefined) write('--json', json, `${JSON.stringify(result, null, 2)}\n`)
  if (report !== undefined) write('--report', report, render(result))
}

function write(option: string, path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (error) {
    throw new WeftError('invalid_argument', `${option} ${path}: ${(error as Error).message}`)
  }
}

// weft doctor: what is wrong with this host and its way to the others, and what to do.

import type { Command } from 'commander'
import type { Report, Verdict } from '../../api/doctor-types.ts'
import type { Cli } from '../cli.ts'
import { formatTable, palette } from '../format.ts'
import { asksDaemon, formatOption } from '../options.ts'

export function registerDoctor(program: Command, cli: Cli): void {
  asksDaemon(program.command('doctor'))
    .summary('what is wrong, and what to do')
    .description(
      'Examine this host and its way to every other: tables, addresses, leftovers, VTEPs, path MTU, ports, clocks.\nExits with 1 when something fails.',
    )
    .option('--repair', 'first put native rows right that are not what the records say')
    .addOption(formatOption('text'))
    .action(async (flags: { format: string; repair?: boolean }) => {
      const client = await cli.client()
      if (flags.repair === true) {
        const { rows } = await client.repair()
        for (const row of rows) cli.complain(`row ${row} was not what the records say; it is now`)
      }
      const report = await client.examine()
      const { stdout } = cli.terminal
      const paint = palette(stdout.isTTY === true, cli.env)
      const colours = { ok: paint.green, warn: paint.cyan, fail: paint.red }
      if (flags.format === 'json') cli.print(`${JSON.stringify(report)}\n`)
      else cli.print(formatReport(report, (verdict, text) => colours[verdict](text)))
      if (report.verdict === 'fail') cli.exitCode = 1
    })
}

const SUMMARY: Readonly<Record<Verdict, string>> = {
  ok: 'all is well',
  warn: 'it works, but look at what is said above',
  fail: 'something does not work: what is said above tells what to do',
}

export function formatReport(
  { host, verdict, findings }: Report,
  paint: (verdict: Verdict, text: string) => string = (_, text) => text,
): string {
  const table = formatTable(
    ['VERDICT', 'CHECK', 'OF', 'FOUND'],
    findings.map(({ verdict, check, subject, found }) => [verdict, check, subject, found]),
  )
  // Painted afterwards: colours have no width.
  const [header = '', ...rows] = table.trimEnd().split('\n')
  const lines = rows.flatMap((row, index) => {
    const finding = findings[index]
    if (finding === undefined) return [row]
    const painted = `${paint(finding.verdict, finding.verdict)}${row.slice(finding.verdict.length)}`
    return finding.advice === null ? [painted] : [painted, `          -> ${finding.advice}`]
  })
  return `${[header, ...lines].join('\n')}\n\n${host}: ${paint(verdict, verdict)}, ${SUMMARY[verdict]}\n`
}

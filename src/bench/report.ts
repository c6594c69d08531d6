// A result as one page of HTML: pictures, tables, the machine, how it was measured. Pure.
//
// The page needs nothing from elsewhere, no script and no font, so that it can be sent and kept. It follows
// the reader's light or dark, and is printed light.

import { escapeHtml } from './html.ts'
import type { Metric } from './metrics.ts'
import { type RatioBar, type RatioRow, renderRatioChart } from './ratio-chart.ts'
import {
  backgroundLine,
  type BenchResult,
  type Cell,
  circumstances,
  integrityLine,
  type PairResult,
  type Row,
  type Side,
  UNDERLAY_TITLES,
  type UnderlayResult,
  whenLine,
} from './result.ts'
import type { Summary } from './statistics.ts'

export function renderReport(result: BenchResult): string {
  const compared = result.sides.filter((side) => side !== 'kernel')
  const title = `${compared.join(', ')} and kernel VXLAN, measured in turns`
  return page(title, [
    ...paragraphs(circumstances(result)),
    ...(result.quick ? paragraphs([QUICK]) : []),
    ...result.underlays.flatMap((one) => underlaySection(one, result.sides)),
    ...listSection('Not measured', result.missing),
    ...listSection('How it was measured', result.method),
  ])
}

export function renderPairReport(result: PairResult): string {
  const { from, to, network, directions, rows } = result
  const title = `weft between ${from.name} and ${to.name}`
  const ends = [from, to].map(({ name, host, ip }) => `${name}: ${ip} on ${host}`).join('; ')
  return page(title, [
    ...paragraphs([whenLine(result), `${ends}; network ${network}`]),
    ...(result.quick ? paragraphs([QUICK]) : []),
    table(rows, directions, false),
    ...paragraphs(
      Object.entries(result.integrity).map(([name, datagrams]) => integrityLine(name, datagrams)),
    ),
    ...listSection('Not measured', result.missing),
    ...listSection('How it was measured', result.method),
  ])
}

const QUICK = 'A quick run: short rounds tell an order of magnitude, not more.'

function underlaySection(one: UnderlayResult, sides: readonly Side[]): string[] {
  const compared = sides.filter((side) => side !== 'kernel')
  const notes = sides.flatMap((side) => {
    const datagrams = one.integrity[side]
    return datagrams === undefined ? [] : [integrityLine(side, datagrams)]
  })
  return [
    `<section><h2>${escapeHtml(UNDERLAY_TITLES[one.underlay])}</h2>`,
    ...(compared.length > 1 ? [legend(compared)] : []),
    ...figure(one.rows, compared, 'more', 'More is better'),
    ...figure(one.rows, compared, 'less', 'Less is better'),
    '</section><section>',
    `<h3>Figures: ${escapeHtml(UNDERLAY_TITLES[one.underlay]).toLowerCase()}</h3>`,
    ...(compared.length > 1 && sides.includes('kernel')
      ? paragraphs(['x 0.50: half of the kernel’s median.'])
      : []),
    table(one.rows, sides, sides.includes('kernel')),
    ...paragraphs([...notes, backgroundLine(one)]),
    '</section>',
  ]
}

function figure(
  rows: readonly Row[],
  compared: readonly Side[],
  better: Metric['better'],
  title: string,
): string[] {
  const shown = rows
    .filter(({ metric }) => metric.better === better)
    .map((row) => ratioRow(row, compared))
    .filter(({ bars }) => bars.length > 0)
  if (shown.length === 0) return []
  return [
    `<figure><figcaption><b>${title}</b>: ratio of the medians to the kernel’s; whiskers: the single rounds’ smallest and largest</figcaption>`,
    renderRatioChart(shown, better),
    '</figure>',
  ]
}

function ratioRow({ metric, cells }: Row, compared: readonly Side[]): RatioRow {
  const kernel = cells.find(({ side }) => side === 'kernel')?.summary ?? null
  return {
    label: metric.title,
    bars: compared.flatMap((side, color): RatioBar[] => {
      const cell = cells.find((one) => one.side === side)
      if (cell === undefined || cell.toKernel === null || cell.toKernel <= 0) return []
      return [{ color, ratio: cell.toKernel, ...roundRatios(cell.summary, kernel) }]
    }),
  }
}

/** Of single rounds, when both were measured in each. */
export function roundRatios(
  of: Summary | null,
  to: Summary | null,
): { readonly min: number | null; readonly max: number | null } {
  const ratios = (of?.values ?? []).map((value, round) => value / (to?.values[round] ?? NaN))
  const paired = of?.values.length === to?.values.length && ratios.every((one) => one > 0)
  if (!paired || ratios.length === 0 || !ratios.every(Number.isFinite)) {
    return { min: null, max: null }
  }
  return { min: Math.min(...ratios), max: Math.max(...ratios) }
}

function legend(sides: readonly Side[]): string {
  const entries = sides.map(
    (side, color) =>
      `<span><svg class="key" viewBox="0 0 12 12"><rect class="side${color}" width="12" height="12"/></svg> ${escapeHtml(side)}</span>`,
  )
  return `<p class="legend">${entries.join(' ')}</p>`
}

function table<Name extends string>(
  rows: readonly Row<Name>[],
  sides: readonly Name[],
  ratios: boolean,
): string {
  const others = ratios ? sides.filter((side) => side !== 'kernel') : []
  // Of several, columns of their own would not fit on paper.
  const compared = others.length === 1 ? others : []
  const head = [
    '<th scope="col">figure</th><th scope="col">unit</th>',
    ...sides.map((side) => `<th scope="col" class="number">${escapeHtml(side)}</th>`),
    ...compared.map((side) => `<th scope="col" class="number">${escapeHtml(side)} / kernel</th>`),
  ]
  const body = rows.map(({ metric, cells }) => {
    const columns = [
      `<th scope="row">${escapeHtml(metric.title)}</th><td class="quiet">${escapeHtml(metric.unit)}</td>`,
      ...cells.map((cell) =>
        valueCell(cell, metric, ratios ? null : largest(cells), others.length > 1),
      ),
      ...compared.map((side) => ratioCell(cells.find((cell) => cell.side === side))),
    ]
    return `<tr>${columns.join('')}</tr>`
  })
  return `<div class="wide"><table><thead><tr>${head.join('')}</tr></thead>\n<tbody>${body.join('\n')}</tbody></table></div>`
}

/** Median, its ratio when that has no column, what it lies between; where nothing compares, a bar against the row's largest. */
function valueCell<Name extends string>(
  { summary, toKernel }: Cell<Name>,
  { digits }: Metric,
  most: number | null,
  withRatio: boolean,
): string {
  if (summary === null) return '<td class="number quiet">not measured</td>'
  const { median, min, max } = summary
  const range =
    min === max ? '' : `<br><small>${min.toFixed(digits)} to ${max.toFixed(digits)}</small>`
  const ratio = withRatio && toKernel !== null ? `<br><b>x ${toKernel.toFixed(2)}</b>` : ''
  return `<td class="number">${median.toFixed(digits)}${ratio}${range}${most === null ? '' : bar(summary, most)}</td>`
}

function largest<Name extends string>(cells: readonly Cell<Name>[]): number {
  return Math.max(...cells.map(({ summary }) => summary?.max ?? 0))
}

function bar({ median, min, max }: Summary, most: number): string {
  const at = (value: number): string => (most <= 0 ? 0 : (value / most) * 100).toFixed(1)
  return (
    '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none">' +
    `<rect class="side0" width="${at(median)}" height="8"/>` +
    `<line class="whisker" x1="${at(min)}" y1="4" x2="${at(max)}" y2="4"/></svg>`
  )
}

function ratioCell(cell: { readonly toKernel: number | null } | undefined): string {
  const ratio = cell?.toKernel ?? null
  return ratio === null
    ? '<td class="number quiet">-</td>'
    : `<td class="number"><b>${ratio.toFixed(2)}</b></td>`
}

function paragraphs(lines: readonly string[]): string[] {
  return lines.map((line) => `<p>${escapeHtml(line)}</p>`)
}

function listSection(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  const items = lines.map((line) => `<li>${escapeHtml(line)}</li>`)
  return [`<section><h2>${escapeHtml(title)}</h2><ul>${items.join('')}</ul></section>`]
}

function page(title: string, parts: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${parts.join('\n')}
</body>
</html>
`
}

/** Sides' colours are told apart also by who confuses red and green (Okabe and Ito). */
const STYLE = `
:root { --page: #fff; --ink: #1d2329; --quiet: #5c666f; --line: #dde2e6; --good: #eef6ee;
  --side0: #0072b2; --side1: #d55e00; --side2: #009e73; --side3: #cc79a7; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #15191d; --ink: #e6eaee; --quiet: #9aa5ae; --line: #323a41; --good: #1b2a20;
    --side0: #56b4e9; --side1: #e69f00; --side2: #2fc79a; --side3: #e29bc3; }
}
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "DejaVu Sans", Verdana, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .2rem 0; }
li { margin: .35rem 0; }
figure { margin: 1rem 0 1.5rem; }
figcaption { color: var(--quiet); margin-bottom: .3rem; }
figcaption b { color: var(--ink); }
figure svg { display: block; width: 100%; height: auto; }
svg text { font-size: 13px; fill: var(--ink); }
svg .quiet { fill: var(--quiet); }
svg .value { font-weight: 600; }
.quiet { color: var(--quiet); }
.good { fill: var(--good); }
.grid { stroke: var(--line); }
.one { stroke: var(--ink); stroke-width: 1.5; }
.whisker { stroke: var(--ink); stroke-width: 1.5; }
.side0 { fill: var(--side0); } .side1 { fill: var(--side1); } .side2 { fill: var(--side2); } .side3 { fill: var(--side3); }
.legend span { margin-right: 1.2rem; }
.key { width: .8rem; height: .8rem; }
.bar { display: block; width: 100%; height: 8px; margin-top: .2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 400; }
.number { text-align: right; white-space: nowrap; }
small { color: var(--quiet); }
@media print {
  body { max-width: none; margin: 0; font-size: 10.5pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  tr, li, figure { break-inside: avoid; }
  h2, h3, figcaption { break-after: avoid; }
}
`

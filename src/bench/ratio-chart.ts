// Ratios to the kernel as one picture: a bar a figure from 1 outwards, with the single rounds' smallest and largest. Pure.
//
// The axis is logarithmic: twice and half are equally far from 1. Colours are the page's (report.ts): the
// picture is part of it and follows light and dark.

import { escapeHtml } from './html.ts'

export interface RatioBar {
  /** Index of the side's colour. */
  readonly color: number
  /** Of the medians. */
  readonly ratio: number
  /** Of single rounds; null when rounds do not pair. */
  readonly min: number | null
  readonly max: number | null
}

export interface RatioRow {
  readonly label: string
  readonly bars: readonly RatioBar[]
}

const WIDTH = 860
const LEFT = 215
const RIGHT = 140
const TOP = 24
const BAR = 12
const BAR_GAP = 4
const ROW_GAP = 10
const BOTTOM = 26
/** More would run into each other. */
const MOST_TICKS = 9

export interface Scale {
  readonly min: number
  readonly max: number
  readonly ticks: readonly number[]
}

/** Powers of two around all that is shown, 1 among them. */
export function ratioScale(values: readonly number[]): Scale {
  const exponents = values.filter((value) => value > 0).map(Math.log2)
  const from = Math.min(-1, ...exponents.map(Math.floor))
  const to = Math.max(1, ...exponents.map(Math.ceil))
  const step = Math.ceil((to - from + 1) / MOST_TICKS)
  const ticks: number[] = []
  for (let exponent = from; exponent <= to; exponent++) {
    if (exponent % step === 0) ticks.push(2 ** exponent)
  }
  return { min: 2 ** from, max: 2 ** to, ticks }
}

/** `better`: on which side of 1 it is good to be. */
export function renderRatioChart(rows: readonly RatioRow[], better: 'more' | 'less'): string {
  const shown = rows.flatMap(({ bars }) =>
    bars.flatMap(({ ratio, min, max }) => [ratio, min ?? ratio, max ?? ratio]),
  )
  const scale = ratioScale(shown)
  const span = Math.log(scale.max / scale.min)
  const x = (value: number): number => {
    const share = Math.log(Math.max(value, scale.min) / scale.min) / span
    return LEFT + share * (WIDTH - LEFT - RIGHT)
  }
  const heights = rows.map(({ bars }) => bars.length * (BAR + BAR_GAP) - BAR_GAP + ROW_GAP)
  const bottom = TOP + heights.reduce((sum, height) => sum + height, 0)
  const height = bottom + BOTTOM
  const [goodFrom, goodTo] = better === 'more' ? [x(1), x(scale.max)] : [x(scale.min), x(1)]
  const parts = [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="ratios to the kernel, ${better} is better">`,
    `<rect class="good" x="${px(goodFrom)}" y="${TOP - 4}" width="${px(goodTo - goodFrom)}" height="${bottom - TOP + 4}"/>`,
    text((goodFrom + goodTo) / 2, TOP - 9, 'better', 'class="quiet" text-anchor="middle"'),
    ...scale.ticks.flatMap((tick) => [
      line(x(tick), TOP - 4, x(tick), bottom, tick === 1 ? 'class="one"' : 'class="grid"'),
      text(
        x(tick),
        bottom + 17,
        String(Number(tick.toPrecision(2))),
        'class="quiet" text-anchor="middle"',
      ),
    ]),
  ]
  let y = TOP
  rows.forEach(({ label, bars }, index) => {
    const rowHeight = heights[index] ?? 0
    const middle = y + (rowHeight - ROW_GAP) / 2
    parts.push(text(LEFT - 12, middle + 4.5, label, 'text-anchor="end"'))
    bars.forEach((bar, at) => {
      parts.push(...barParts(bar, y + at * (BAR + BAR_GAP), x))
    })
    y += rowHeight
  })
  parts.push('</svg>')
  return parts.join('\n')
}

function barParts(bar: RatioBar, top: number, x: (value: number) => number): string[] {
  const { ratio, min, max, color } = bar
  const [from, to] = ratio < 1 ? [x(ratio), x(1)] : [x(1), x(ratio)]
  const middle = top + BAR / 2
  const whiskers =
    min === null || max === null || min === max
      ? []
      : [
          line(x(min), middle, x(max), middle, 'class="whisker"'),
          ...[min, max].map((end) =>
            line(x(end), middle - 4, x(end), middle + 4, 'class="whisker"'),
          ),
        ]
  const range = whiskers.length === 0 ? '' : `  ${shortRatio(min)} to ${shortRatio(max)}`
  return [
    `<rect class="side${color}" x="${px(from)}" y="${px(top)}" width="${px(Math.max(1, to - from))}" height="${BAR}"/>`,
    ...whiskers,
    `<text x="${WIDTH - RIGHT + 12}" y="${px(middle + 4.5)}"><tspan class="value">${shortRatio(ratio)}</tspan><tspan class="quiet">${range}</tspan></text>`,
  ]
}

/** Two digits, as many as a reader needs: 0.063, 0.38, 1.0, 12; 140. */
export function shortRatio(value: number | null): string {
  if (value === null) return '-'
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2)
}

function line(x1: number, y1: number, x2: number, y2: number, attributes: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" ${attributes}/>`
}

function text(x: number, y: number, words: string, attributes: string): string {
  return `<text x="${px(x)}" y="${px(y)}" ${attributes}>${escapeHtml(words)}</text>`
}

function px(value: number): string {
  return value.toFixed(1)
}

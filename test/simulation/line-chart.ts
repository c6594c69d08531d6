// A line chart as SVG: curves over a linear or logarithmic axis, with units, for docs/plots.

/** One curve. */
export interface Curve {
  readonly label: string
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly color: string
  /** Not ours, or only reckoned: drawn with dashes. */
  readonly dashed?: boolean
}

/** A vertical line with a word: a goal, or a published figure. */
export interface Mark {
  readonly x: number
  readonly label: string
}

export interface Axis {
  readonly label: string
  readonly min: number
  readonly max: number
  readonly ticks: readonly number[]
  readonly logarithmic?: boolean
}

export interface LineChart {
  readonly title: string
  readonly subtitle: string
  readonly x: Axis
  readonly y: Axis
  readonly curves: readonly Curve[]
  readonly marks?: readonly Mark[]
}

/** Told apart also by who confuses red and green (Okabe and Ito). */
export const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#7a5c00'] as const
export const FOREIGN_COLORS = ['#444444', '#9a9a9a'] as const

const WIDTH = 760
const HEIGHT = 440
const LEFT = 74
const RIGHT = 24
const TOP = 66
const BOTTOM = 62
/** Of the legend, which stands below the plot area. */
const LEGEND_ROW = 20
const LEGEND_COLUMNS = 2

/** The share of values that are at most x: from the sorted values. */
export function cumulative(values: readonly number[], scale = 1): (readonly [number, number])[] {
  const points: (readonly [number, number])[] = []
  // A few hundred steps are all that a picture shows.
  const step = Math.max(1, Math.floor(values.length / 300))
  for (let i = 0; i < values.length; i += step) {
    points.push([(values[i] as number) * scale, (100 * (i + 1)) / values.length])
  }
  const last = values.at(-1)
  if (last !== undefined) points.push([last * scale, 100])
  return points
}

export function renderLineChart(chart: LineChart): string {
  const rows = Math.ceil(chart.curves.length / LEGEND_COLUMNS)
  const height = HEIGHT + rows * LEGEND_ROW
  const x = (value: number): number => LEFT + share(chart.x, value) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number =>
    HEIGHT - BOTTOM - share(chart.y, value) * (HEIGHT - TOP - BOTTOM)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
      'font-family="DejaVu Sans, Verdana, Helvetica, sans-serif" font-size="13" fill="#222222">',
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(LEFT, 26, chart.title, 'font-size="17" font-weight="bold"'),
    text(LEFT, 47, chart.subtitle, 'fill="#555555"'),
    ...grid(chart, x, y),
    ...(chart.marks ?? []).map((mark) => markLine(mark, x)),
    ...chart.curves.map((curve) => polyline(curve, chart.x, x, y)),
    ...chart.curves.map((curve, index) => legend(curve, index)),
    '</svg>',
  ]
  return `${parts.join('\n')}\n`
}

/** Where on the axis, 0 to 1. */
function share(axis: Axis, value: number): number {
  const scaled = (v: number): number => (axis.logarithmic === true ? Math.log(v) : v)
  const at = (scaled(value) - scaled(axis.min)) / (scaled(axis.max) - scaled(axis.min))
  return Math.min(1, Math.max(0, at))
}

function grid(
  chart: LineChart,
  x: (value: number) => number,
  y: (value: number) => number,
): string[] {
  const bottom = HEIGHT - BOTTOM
  const middle = (LEFT + WIDTH - RIGHT) / 2
  return [
    ...chart.x.ticks.flatMap((tick) => [
      line(x(tick), TOP, x(tick), bottom, '#e4e4e4'),
      text(x(tick), bottom + 19, format(tick), 'text-anchor="middle"'),
    ]),
    ...chart.y.ticks.flatMap((tick) => [
      line(LEFT, y(tick), WIDTH - RIGHT, y(tick), '#e4e4e4'),
      text(LEFT - 8, y(tick) + 4, format(tick), 'text-anchor="end"'),
    ]),
    line(LEFT, bottom, WIDTH - RIGHT, bottom, '#888888'),
    line(LEFT, TOP, LEFT, bottom, '#888888'),
    text(middle, bottom + 42, chart.x.label, 'text-anchor="middle"'),
    text(
      0,
      0,
      chart.y.label,
      `text-anchor="middle" transform="translate(20 ${(TOP + bottom) / 2}) rotate(-90)"`,
    ),
  ]
}

function markLine(mark: Mark, x: (value: number) => number): string {
  const at = x(mark.x)
  const tag = text(
    at - 5,
    HEIGHT - BOTTOM - 10,
    mark.label,
    'text-anchor="end" font-size="12" fill="#444444"',
  )
  return `${line(at, TOP, at, HEIGHT - BOTTOM, '#444444', 'stroke-dasharray="2 3"')}\n${tag}`
}

function polyline(
  curve: Curve,
  axis: Axis,
  x: (value: number) => number,
  y: (value: number) => number,
): string {
  const points = curve.points
    .filter(([at]) => at <= axis.max)
    .map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`)
  const dashes = curve.dashed === true ? ' stroke-dasharray="7 5"' : ''
  return `<polyline points="${points.join(' ')}" fill="none" stroke="${curve.color}" stroke-width="2.2"${dashes}/>`
}

function legend(curve: Curve, index: number): string {
  const column = (WIDTH - LEFT) / LEGEND_COLUMNS
  const at = LEFT + (index % LEGEND_COLUMNS) * column
  const y = HEIGHT + 2 + Math.floor(index / LEGEND_COLUMNS) * LEGEND_ROW
  const dashes = curve.dashed === true ? 'stroke-dasharray="7 5"' : ''
  const stroke = `stroke-width="3" ${dashes}`
  return `${line(at, y - 4, at + 26, y - 4, curve.color, stroke)}\n${text(at + 34, y, curve.label)}`
}

function line(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  color: string,
  attributes = '',
): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map((value) => value.toFixed(1))
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" stroke="${color}" ${attributes}/>`
}

function text(x: number, y: number, words: string, attributes = ''): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped}</text>`
}

function format(tick: number): string {
  return tick.toLocaleString('en-US')
}

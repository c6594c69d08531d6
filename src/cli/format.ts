// How lists, times and commands look: docker's way where docker shows the same.

import type { RecordRef } from '../api/types.ts'

/** A list's columns: the header and what a row shows there. */
export interface Column<Row> {
  readonly header: string
  readonly cell: (row: Row) => string
}

export interface ListOptions {
  readonly format?: string
  readonly quiet?: boolean
}

/** How one kind of thing is listed. */
export interface ListShape<Row> {
  readonly columns: readonly Column<Row>[]
  /** The object of `--format json`. */
  readonly json: (row: Row) => unknown
  /** The one word of `-q`. */
  readonly id: (row: Row) => string
}

export const LIST_FORMATS = ['table', 'json'] as const

/** A list as the options want it: table, `--format json` (an object a line), or `-q` (ids). */
export function formatList<Row>(
  rows: readonly Row[],
  shape: ListShape<Row>,
  options: ListOptions,
): string {
  if (options.quiet === true) return lines(rows.map(shape.id))
  if (options.format === 'json') return lines(rows.map((row) => JSON.stringify(shape.json(row))))
  return formatTable(
    shape.columns.map((column) => column.header),
    rows.map((row) => shape.columns.map((column) => column.cell(row))),
  )
}

// docker's tabwriter: cells at least this wide, this much room between them.
const MIN_CELL = 10
const GAP = 3

/** Columns as wide as their widest cell; nothing behind the last one. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  return tableInParts(header)(rows)
}

/** A table too long to be held whole: the header stands above the first part, columns are never narrower than before. */
export function tableInParts(
  header: readonly string[],
): (rows: readonly (readonly string[])[]) => string {
  let widths = header.map(() => MIN_CELL)
  let begun = false
  return (rows) => {
    const all = begun ? rows : [header, ...rows]
    begun = true
    widths = widths.map((before, index) =>
      all.reduce((width, row) => Math.max(width, (row[index] ?? '').length + GAP), before),
    )
    return lines(
      all.map((row) =>
        row
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join('')
          .trimEnd(),
      ),
    )
  }
}

/** `key: value` lines with the values in one column. */
export function formatPairs(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([key]) => key.length)) + 2
  return lines(pairs.map(([key, value]) => `${`${key}:`.padEnd(width)}${value}`.trimEnd()))
}

/** An inspect's array, indented as docker does. */
export function formatInspect(objects: readonly unknown[]): string {
  return `${JSON.stringify(objects, null, 4)}\n`
}

function lines(values: readonly string[]): string {
  return values.map((value) => `${value}\n`).join('')
}

const SHORT_ID = 12

export function shortId(id: string): string {
  return id.slice(0, SHORT_ID)
}

/** The record that a row derives from, its version and who wrote it: `endpoint/3f2a1b0c9d8e v17 h1`. */
export function formatRecord(record: RecordRef | null): string {
  if (record === null) return '-'
  return `${record.kind}/${shortId(record.key)} v${String(record.lamport)} ${record.ownerName}`
}

const COMMAND_WIDTH = 20

/** A command as docker lists it: quoted, cut to 20 characters. */
export function formatCommand(argv: readonly string[], noTrunc: boolean): string {
  if (argv.length === 0) return ''
  const whole = argv.join(' ')
  const shown =
    noTrunc || whole.length <= COMMAND_WIDTH ? whole : `${whole.slice(0, COMMAND_WIDTH - 1)}…`
  return JSON.stringify(shown)
}

/** docker's words for a length of time (go-units HumanDuration). */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 1) return 'Less than a second'
  if (seconds === 1) return '1 second'
  if (seconds < 60) return `${String(seconds)} seconds`
  const minutes = Math.floor(seconds / 60)
  if (minutes === 1) return 'About a minute'
  if (minutes < 60) return `${String(minutes)} minutes`
  // Hours are rounded, the larger units are not: docker's rule.
  const hours = Math.round(seconds / 3600)
  if (hours === 1) return 'About an hour'
  if (hours < 48) return `${String(hours)} hours`
  if (hours < 24 * 14) return `${String(Math.floor(hours / 24))} days`
  if (hours < 24 * 60) return `${String(Math.floor(hours / 24 / 7))} weeks`
  if (hours < 24 * 365 * 2) return `${String(Math.floor(hours / 24 / 30))} months`
  return `${String(Math.floor(hours / 24 / 365))} years`
}

/** docker's CreatedAt, in UTC so that hosts' lists can be compared. */
export function formatCreatedAt(iso: string): string {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return iso
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} +0000 UTC`
}

/** What has passed since an ISO time. */
export function sinceMs(iso: string, nowMs: number): number {
  return Math.max(0, nowMs - Date.parse(iso))
}

// --- colour: only on a terminal, and never with NO_COLOR (no-color.org) ---

type Paint = (text: string) => string

export interface Palette {
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly green: Paint
  readonly cyan: Paint
}

export function palette(isTerminal: boolean, env: NodeJS.ProcessEnv): Palette {
  const on = isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
  const paint = (code: number) => (text: string) =>
    on ? `\u001B[${String(code)}m${text}\u001B[0m` : text
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), cyan: paint(36) }
}

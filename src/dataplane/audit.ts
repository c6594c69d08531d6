// The audit: where the native tables are not what the records say. Pure.

import { encodePut, encodeRemove } from './batch.ts'
import { type Row, rowName, rowsInOrder } from './rows.ts'

/** A row that is not as it should be; one side is null when it is missing, or should not be there. */
export interface Difference {
  readonly name: string
  readonly wanted: Row | null
  readonly actual: Row | null
}

/** In the order of the rows' names. */
export function compareRows(wanted: readonly Row[], actual: readonly Row[]): Difference[] {
  const here = new Map(actual.map((row) => [rowName(row), row]))
  const differences: Difference[] = []
  for (const row of wanted) {
    const name = rowName(row)
    const other = here.get(name) ?? null
    here.delete(name)
    if (other === null || Buffer.compare(encodePut(row), encodePut(other)) !== 0)
      differences.push({ name, wanted: row, actual: other })
  }
  for (const [name, row] of here) differences.push({ name, wanted: null, actual: row })
  return differences.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The batch that makes native what is wanted. */
export function encodeRepair(differences: readonly Difference[]): Uint8Array {
  const puts = differences.flatMap(({ wanted }) => wanted ?? [])
  const removals = differences.flatMap(({ wanted, actual }) =>
    wanted === null ? (actual ?? []) : [],
  )
  return Buffer.concat([
    ...rowsInOrder(puts).map(encodePut),
    ...rowsInOrder(removals).reverse().map(encodeRemove),
  ])
}

/** What differs, for people: `to is 192.168.1.12, should be 172.31.1.13`. */
export function describeDifference({ wanted, actual }: Difference): string {
  if (wanted === null) return 'is there, and no record asks for it'
  if (actual === null) return 'is missing'
  const is = actual as unknown as Readonly<Record<string, unknown>>
  const fields = Object.entries(wanted)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(is[key]))
    .map(([key, value]) => `${key} is ${shown(is[key])}, should be ${shown(value)}`)
  return fields.join('; ')
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

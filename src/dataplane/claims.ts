// Claims: who wants which row, which claim has it, and what native is still to be told.
//
// Two records may claim one row (the same MAC on two hosts, after a partition). The older claim has it; when that goes, the
// next one gets it. So the native tables depend on the records that stand, not on the order in which they came.
// A record that is written again keeps the time of its claim: whoever restarts or refutes loses nothing by it.

import { encodePut, encodeRemove } from './batch.ts'
import { type Row, rowName, rowsInOrder } from './rows.ts'

/** Of two claims the lower one has the row. */
export interface ClaimOrder {
  /** Lamport time. */
  readonly claimedAt: number
  readonly owner: string
}

interface Claim {
  readonly row: Row
  readonly order: ClaimOrder
}

export class Claims {
  readonly #byRow = new Map<string, Map<string, Claim>>()
  readonly #byClaimant = new Map<string, readonly Row[]>()
  /** Rows as native has them, with the entry that put them there. */
  readonly #installed = new Map<string, { row: Row; entry: Uint8Array }>()
  readonly #touched = new Set<string>()

  /** Replaces all that `claimant` claims; no rows: it claims nothing any more. */
  replace(claimant: string, order: ClaimOrder, rows: readonly Row[]): void {
    for (const row of this.#byClaimant.get(claimant) ?? []) {
      const name = rowName(row)
      const claims = this.#byRow.get(name)
      claims?.delete(claimant)
      if (claims?.size === 0) this.#byRow.delete(name)
      this.#touched.add(name)
    }
    if (rows.length === 0) this.#byClaimant.delete(claimant)
    else this.#byClaimant.set(claimant, rows)
    for (const row of rows) {
      const name = rowName(row)
      let claims = this.#byRow.get(name)
      if (claims === undefined) this.#byRow.set(name, (claims = new Map<string, Claim>()))
      claims.set(claimant, { row, order })
      this.#touched.add(name)
    }
  }

  /** The batch that brings native up to date, as if it were applied; null: it is. */
  takeBatch(): Uint8Array | null {
    const puts: { row: Row; entry: Uint8Array }[] = []
    const removals: Row[] = []
    for (const name of this.#touched) {
      const wanted = this.#winner(name)
      const installed = this.#installed.get(name)
      if (wanted === undefined) {
        if (installed !== undefined) removals.push(installed.row)
        this.#installed.delete(name)
        continue
      }
      const entry = encodePut(wanted)
      if (installed !== undefined && Buffer.compare(installed.entry, entry) === 0) continue
      puts.push({ row: wanted, entry })
      this.#installed.set(name, { row: wanted, entry })
    }
    this.#touched.clear()
    if (puts.length === 0 && removals.length === 0) return null
    const entries = new Map(puts.map(({ row, entry }) => [row, entry]))
    return Buffer.concat([
      ...rowsInOrder([...entries.keys()]).map((row) => entries.get(row) ?? encodePut(row)),
      ...rowsInOrder(removals).reverse().map(encodeRemove),
    ])
  }

  /** Every row that somebody claims, as the first of its claims has it. */
  winners(): Row[] {
    return [...this.#byRow.keys()].flatMap((name) => this.#winner(name) ?? [])
  }

  /** Takes it that native has exactly these rows. */
  install(rows: readonly Row[]): void {
    this.#installed.clear()
    for (const row of rows) this.#installed.set(rowName(row), { row, entry: encodePut(row) })
  }

  #winner(name: string): Row | undefined {
    let best: Claim | undefined
    let bestClaimant = ''
    for (const [claimant, claim] of this.#byRow.get(name) ?? []) {
      // Two claims of one owner at one time are its mistake; which one has the row must not depend on who asks.
      const lower =
        best === undefined ||
        (compareClaims(claim.order, best.order) || (claimant < bestClaimant ? -1 : 1)) < 0
      if (lower) [best, bestClaimant] = [claim, claimant]
    }
    return best?.row
  }
}

function compareClaims(a: ClaimOrder, b: ClaimOrder): number {
  if (a.claimedAt !== b.claimedAt) return a.claimedAt - b.claimedAt
  return a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : 0
}

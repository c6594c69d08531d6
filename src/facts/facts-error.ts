// Why a facts file was not taken: problems with their places, and the one error that carries them.

import { WeftError } from '../errors.ts'
import type { Facts } from './facts.ts'

/** One thing that is wrong, where, and in its message what to do. */
export interface FactsProblem {
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  readonly message: string
}

export type FactsResult =
  | { readonly ok: true; readonly facts: Facts }
  | { readonly ok: false; readonly error: WeftError }

/** A file with a hundred errors has one that matters, and it is near the top. */
export const MAX_PROBLEMS = 20

/** The file was read and is wrong; the message has a line `FILE:LINE:COLUMN: ...` per problem. */
export class FactsError extends WeftError {
  /** At most MAX_PROBLEMS, in the order of the file. */
  readonly problems: readonly FactsProblem[]

  constructor(file: string, problems: readonly FactsProblem[]) {
    const shown = problems
      .toSorted((a, b) => a.line - b.line || a.column - b.column)
      .slice(0, MAX_PROBLEMS)
    const lines = shown.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`)
    const hidden = problems.length - shown.length
    if (hidden > 0) lines.push(`${file}: and ${hidden} more`)
    super('invalid_argument', lines.join('\n'))
    this.name = 'FactsError'
    this.problems = shown
  }
}

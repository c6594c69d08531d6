// Errors that a caller can act on: a stable code, and one line for people.
//
// The code is the contract (docs/api.md): scripts and the CLI branch on it. The message is for
// people and may be reworded; it says what was wrong, with what, and what to do. Anything that is
// not a WeftError is a bug of ours and leaves the process as `internal`.

import { inspect } from 'node:util'

/** Every code with its HTTP status. The one list: the type and the checks derive from it. */
const HTTP_STATUS = {
  invalid_argument: 400,
  not_permitted: 403,
  not_found: 404,
  ambiguous: 409,
  name_in_use: 409,
  address_in_use: 409,
  mac_in_use: 409,
  interface_in_use: 409,
  network_in_use: 409,
  no_address: 409,
  not_running: 409,
  already_running: 409,
  version_mismatch: 409,
  token_invalid: 400,
  join_refused: 409,
  not_in_cluster: 409,
  already_in_cluster: 409,
  unavailable: 503,
  internal: 500,
} as const

export type ErrorCode = keyof typeof HTTP_STATUS

/** An error with a code that a caller can branch on. `cause` keeps what was caught, for the log. */
export class WeftError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'WeftError'
    this.code = code
  }
}

/** What of an error crosses the API: `{"error": {code, message}}`. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
}

/** All codes, in the order of docs/api.md. */
export const ERROR_CODES = Object.keys(HTTP_STATUS) as readonly ErrorCode[]

/** The HTTP status that the API answers with for `code`. */
export function httpStatus(code: ErrorCode): number {
  return HTTP_STATUS[code]
}

/** Whether `value` is a code we know: one that came over the wire may be another version's. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(HTTP_STATUS, value)
}

/**
 * Turns whatever was caught into a code and a message. What is not a WeftError is `internal`: its
 * message is kept, its stack is for the log.
 */
export function toErrorBody(caught: unknown): ErrorBody {
  if (caught instanceof WeftError) return { code: caught.code, message: caught.message }
  return { code: 'internal', message: messageOf(caught) }
}

/** The message of whatever was caught: anything can be thrown, and a log must say something. */
export function messageOf(caught: unknown): string {
  if (caught instanceof Error) return caught.message === '' ? caught.name : caught.message
  if (typeof caught === 'string') return caught
  return `something that is not an Error was thrown: ${inspect(caught, { breakLength: Infinity })}`
}

/** What is quoted in a message is cut after so many characters: enough to recognise it. */
const MAX_QUOTED = 80

/**
 * Somebody's text in single quotes, for a message: control characters are escaped, so that the
 * message stays one line and cannot speak to the terminal; long text is cut.
 */
export function quote(text: string): string {
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}...` : text
  const visible = cut.replaceAll(/\p{Cc}|\p{Cf}|\u2028|\u2029/gu, (character) => {
    if (character === '\n') return '\\n'
    const code = character.codePointAt(0) ?? 0
    return `\\u{${code.toString(16)}}`
  })
  return `'${visible}'`
}

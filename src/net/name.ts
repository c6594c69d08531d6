// A name that people give: to a host, a network, an endpoint, a sandbox. It must do as a label of a
// DNS name, as a file's name and as the NAME in `HOST/NAME`.

import { WeftError, quote } from '../errors.ts'

/** A DNS label holds 63 bytes (RFC 1035 section 2.3.4). */
export const MAX_NAME_LENGTH = 63

// Docker's rule for names, without dots: `a.b` would be two labels, and `tasks.web` is a service's.
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*$/

/** Whether `text` is a name as parseName takes it. */
export function isName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text)
}

/**
 * Gives the name back when it is one.
 *
 * @param what the thing that is named, for the message: 'network', 'endpoint'
 * @throws WeftError invalid_argument
 */
export function parseName(what: string, text: string): string {
  if (text.length > MAX_NAME_LENGTH) {
    throw new WeftError(
      'invalid_argument',
      `${what} name ${quote(text.slice(0, 20))}... has ${text.length} characters; ` +
        `use at most ${MAX_NAME_LENGTH}`,
    )
  }
  if (NAME.test(text)) return text
  throw new WeftError(
    'invalid_argument',
    `${quote(text)} is not a ${what} name; use letters, digits, '-' and '_', a letter or digit first`,
  )
}

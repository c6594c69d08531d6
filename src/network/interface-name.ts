// Names of interfaces inside a sandbox: what may be one, and which is the next free one.

import { WeftError } from '../errors.ts'

/** IFNAMSIZ is 16, with the closing zero. */
const MAX_LENGTH = 15

/** @throws WeftError invalid_argument */
export function parseInterfaceName(text: string): string {
  const shown = `interface name '${text.slice(0, 40)}'`
  if (text.length > MAX_LENGTH) {
    throw new WeftError(
      'invalid_argument',
      `${shown} has ${text.length} characters; Linux takes at most ${MAX_LENGTH}`,
    )
  }
  // What the kernel refuses (dev_valid_name), and what would need quoting everywhere.
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text)) {
    throw new WeftError(
      'invalid_argument',
      `${shown} is not one; use letters, digits, '_', '-' and '.'`,
    )
  }
  return text
}

/** The first of PREFIX0, PREFIX1, ... that is not taken. */
export function nextInterfaceName(prefix: string, taken: ReadonlySet<string>): string {
  for (let index = 0; ; index++) {
    const name = `${prefix}${index}`
    if (!taken.has(name)) return name
  }
}

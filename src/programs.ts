// Where weft's own programs and native parts are: this checkout's or package's, whichever we run from.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { WeftError } from './errors.ts'

/** src and dist both lie one level below it. */
const ROOT = fileURLToPath(new URL('..', import.meta.url))

export const NATIVE_DIR = `${ROOT}native/`
export const SCRIPTS_DIR = `${ROOT}scripts`

/** The CLI as a command line without its arguments. */
export const WEFT: readonly string[] = [process.execPath, `${ROOT}dist/weft.js`]

const INIT_PATHS = [
  `${NATIVE_DIR}build/Release/weft-init`,
  `${NATIVE_DIR}prebuilds/linux-${process.arch}/weft-init`,
]

/** @throws WeftError when it has not been built */
export function weftInit(): string {
  const found = INIT_PATHS.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new WeftError(
    'internal',
    `weft-init is not built (${INIT_PATHS[0] ?? ''}); run scripts/setup`,
  )
}

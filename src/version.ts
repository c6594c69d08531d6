// weft's version, as package.json has it.

import { readFileSync } from 'node:fs'

/** src/ and dist/ both lie beside package.json. */
const PACKAGE_JSON = new URL('../package.json', import.meta.url)

export const VERSION: string = readVersion()

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(PACKAGE_JSON, 'utf8'))
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) {
    if (typeof parsed.version === 'string') return parsed.version
  }
  throw new Error(`${PACKAGE_JSON.pathname} has no version`)
}

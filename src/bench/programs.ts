// Where weft-flood is, and how a program is run in a network namespace that has a path.

import { existsSync } from 'node:fs'
import { WeftError } from '../errors.ts'
import { NATIVE_DIR, weftInit } from '../programs.ts'

const FLOOD_PATHS = [
  `${NATIVE_DIR}build/Release/weft-flood`,
  `${NATIVE_DIR}prebuilds/linux-${process.arch}/weft-flood`,
]

/** @throws WeftError when it has not been built */
export function weftFlood(): string {
  const found = FLOOD_PATHS.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new WeftError(
    'internal',
    `weft-flood is not built (${FLOOD_PATHS[0] ?? ''}); run scripts/setup`,
  )
}

/** A command line that runs `argv` there, in that namespace and otherwise here. */
export function inNetns(
  netns: string,
  argv: readonly string[],
): { command: string; args: string[] } {
  return { command: weftInit(), args: ['enter', '--netns', netns, '--', ...argv] }
}

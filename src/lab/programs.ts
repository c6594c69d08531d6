// Where our own programs are: this checkout's or package's, whichever we run from.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { WeftError } from '../errors.ts'

/** src/lab and dist/lab both lie two levels below it. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export const SCRIPTS_DIR = `${ROOT}scripts`

/** The CLI as a command line without its arguments. */
export const WEFT: readonly string[] = [process.execPath, `${ROOT}dist/cli/main.js`]

const INIT_PATHS = [
  `${ROOT}native/build/Release/weft-init`,
  `${ROOT}native/prebuilds/linux-${process.arch}/weft-init`,
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

/** A command line that runs `argv` on one of the lab's hosts. */
export function onNode(
  node: { readonly name: string; readonly netns: string },
  argv: readonly string[],
): { command: string; args: string[] } {
  const place = ['--netns', `/run/netns/${node.netns}`, '--hostname', node.name]
  return { command: weftInit(), args: ['enter', ...place, '--', ...argv] }
}

/** The environment on a lab's host: `weft` is this one, and it finds the daemon by its namespace. */
export function nodeEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const path = env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const inner: NodeJS.ProcessEnv = { ...env, PATH: `${SCRIPTS_DIR}:${path}` }
  delete inner['WEFT_SOCKET']
  return inner
}

/** A daemon's: what the lab decides is not to be changed by variables of the one who typed. */
export function daemonEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(nodeEnvironment(env)).filter(
    ([name]) => !name.startsWith('WEFT_') || name === 'WEFT_DEBUG' || name === 'WEFT_LOG_LEVEL',
  )
  return Object.fromEntries(kept)
}

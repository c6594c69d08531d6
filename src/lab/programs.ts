// How a program is run on one of the lab's hosts: the command line and its environment.

import { SCRIPTS_DIR, weftInit } from '../programs.ts'

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

/** Of ours, those that do not change what a lab is. */
const PASSED_ON: readonly string[] = [
  'WEFT_DEBUG',
  'WEFT_LOG_LEVEL',
  'WEFT_TEST_HOOKS',
  'WEFT_PATH_PROBE_INTERVAL_MS',
  'WEFT_STAY_AWAKE',
  // What is outside of the lab: the machine's resolvers may not be reached from inside.
  'WEFT_DNS',
  'WEFT_DNS_LISTEN',
  'WEFT_RESOLV_CONF',
]

/** A daemon's: what the lab decides is not to be changed by variables of the one who typed. */
export function daemonEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(nodeEnvironment(env)).filter(
    ([name]) => !name.startsWith('WEFT_') || PASSED_ON.includes(name),
  )
  return Object.fromEntries(kept)
}

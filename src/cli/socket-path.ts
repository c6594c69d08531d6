// Which daemon a command means: --socket, else WEFT_SOCKET, else the daemon of this namespace.

import { hostKey } from '../daemon/directories.ts'

export function socketPath(flag: string | undefined, env: NodeJS.ProcessEnv): string {
  const chosen = flag ?? env['WEFT_SOCKET']
  return chosen === undefined || chosen === '' ? hostKey().socket : chosen
}

// The host's resolv.conf, as it is and as it becomes. Thin.

import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { type ResolvConf, parseResolvConf } from './upstream.ts'

/** By looking, not by events: it is often a symbolic link into a directory of somebody's, and replaced by renaming. */
const LOOK_EVERY_MS = 1_000

export interface ResolvConfWatch {
  close(): void
}

/** As it is now; null: there is none. */
export function readResolvConf(path: string): ResolvConf | null {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'))
  } catch {
    return null
  }
}

/** Calls back whenever the file changed, was made or has gone. */
export function watchResolvConf(
  path: string,
  onChange: (now: ResolvConf | null) => void,
): ResolvConfWatch {
  const look = (): void => {
    onChange(readResolvConf(path))
  }
  watchFile(path, { interval: LOOK_EVERY_MS, persistent: false }, look)
  return {
    close: () => {
      unwatchFile(path, look)
    },
  }
}

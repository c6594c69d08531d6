// The resolv.conf that `ip netns exec NAME` mounts for a named namespace: /etc/netns/NAME/resolv.conf (ip-netns(8)).

import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { WeftError } from '../errors.ts'

const CONFIG_DIRECTORY = '/etc/netns'
const NAMED = new Set(['/run/netns', '/var/run/netns'])
/** By this a file is known as ours, also after a crash. */
const MARK = '# made by weft, and removed with the endpoint\n'

/**
 * Makes the file, if there is none of somebody else's.
 *
 * @param netns the namespace's path
 * @returns its path
 * @throws WeftError unavailable
 */
export async function makeNetnsResolvConf(netns: string, text: string): Promise<string> {
  const path = pathFor(normalize(netns))
  if ((await ownerOf(path)) === 'other') {
    throw new WeftError(
      'unavailable',
      `${path} exists and is left as it is; for names write 'nameserver 127.0.0.11' into it`,
    )
  }
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, MARK + text, { mode: 0o644 })
  return path
}

/** Writes it anew, if it is still ours. */
export async function rewriteNetnsResolvConf(path: string, text: string): Promise<void> {
  if ((await ownerOf(path)) === 'weft') await writeFile(path, MARK + text)
}

/** Removes what makeNetnsResolvConf() made, and its directory when that is empty then. Never throws. */
export async function removeNetnsResolvConf(path: string): Promise<void> {
  if ((await ownerOf(path)) !== 'weft') return
  await rm(path, { force: true }).catch(() => undefined)
  await rmdir(dirname(path)).catch(() => undefined)
  await rmdir(CONFIG_DIRECTORY).catch(() => undefined)
}

function pathFor(netns: string): string {
  if (!NAMED.has(dirname(netns))) {
    throw new WeftError(
      'unavailable',
      `${netns} is no named namespace, so there is no resolv.conf for it; ask 127.0.0.11 by address`,
    )
  }
  return join(CONFIG_DIRECTORY, basename(netns), 'resolv.conf')
}

async function ownerOf(path: string): Promise<'nobody' | 'weft' | 'other'> {
  try {
    return (await readFile(path, 'utf8')).startsWith(MARK) ? 'weft' : 'other'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'nobody' : 'other'
  }
}

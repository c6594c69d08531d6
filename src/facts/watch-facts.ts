// Follows a facts file on disk and gives each version of it, parsed. The thin, impure side of
// parse-facts.ts.

import { type FSWatcher, unwatchFile, watch, watchFile } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { WeftError, messageOf } from '../errors.ts'
import type { FactsResult } from './facts-error.ts'
import { parseFacts } from './parse-facts.ts'

/** An editor writes in several steps; what it leaves when it has been still for so long is read. */
const SETTLE_MS = 100
/** Finds what the directory's events miss: network file systems, a symbolic link's target. */
const POLL_MS = 1000

export interface FactsWatch {
  /** No callback comes after it. */
  close(): void
}

/** Reads and parses the file once. What cannot be read is an error in the result, never a throw. */
export async function readFacts(path: string): Promise<FactsResult> {
  const text = await readText(path)
  return text instanceof WeftError ? { ok: false, error: text } : parseFacts(text, path)
}

/**
 * Calls back with the file as it is now, soon, and then with every other version of it. A file that
 * cannot be read, or is wrong, is a version too; what was said before stays true until a good one.
 */
export function watchFacts(path: string, onResult: (result: FactsResult) => void): FactsWatch {
  let closed = false
  let timer: NodeJS.Timeout | undefined
  /** Text, or the message of the failure to read it, of the version that was told last. */
  let told: string | undefined

  const check = async (): Promise<void> => {
    const text = await readText(path)
    if (closed) return
    const failed = text instanceof WeftError
    const version = failed ? `error ${text.message}` : `text ${text}`
    // Events come for much that changes nothing: chmod, or the same bytes written again.
    if (version === told) return
    told = version
    onResult(failed ? { ok: false, error: text } : parseFacts(text, path))
  }
  // One after the other: a read that began earlier must not end, and be told, later.
  let checks = check()
  const settle = (): void => {
    if (closed) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      checks = checks.then(check)
    }, SETTLE_MS)
    timer.unref()
  }

  // The directory, not the file: an editor that renames a new file over the old one would leave a
  // watch on the file with the old one.
  const watcher = watchDirectory(dirname(path), (name) => {
    if (name === null || name === basename(path)) settle()
  })
  watchFile(path, { interval: POLL_MS, persistent: false }, settle)

  return {
    close() {
      closed = true
      clearTimeout(timer)
      watcher?.close()
      unwatchFile(path, settle)
    },
  }
}

/** Undefined where the kernel gives no watch (no directory, too many watches): polling stays. */
function watchDirectory(
  path: string,
  onChange: (name: string | null) => void,
): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, (_event, name) => {
      onChange(name)
    })
    watcher.on('error', () => {
      watcher.close()
    })
    return watcher
  } catch {
    return undefined
  }
}

async function readText(path: string): Promise<string | WeftError> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    return new WeftError(
      'not_found',
      `facts file ${path} cannot be read (${messageOf(cause)}); check the path and its permissions`,
      { cause },
    )
  }
}

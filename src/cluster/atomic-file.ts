// Files that are there whole or not at all, whenever the machine stops.

import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { WeftError, messageOf } from '../errors.ts'

/** What keys are in is read by root only. */
const MODE = 0o600

/**
 * Replaces the file's content: a new file beside it, on disk before it takes the name. One call at a time for a path.
 *
 * @throws WeftError internal
 */
export async function replaceFile(path: string, content: Uint8Array): Promise<void> {
  const temporary = `${path}.new`
  try {
    // What an earlier, interrupted write has left may be anything, also a link.
    await rm(temporary, { force: true })
    const file = await open(temporary, 'wx', MODE)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw new WeftError('internal', `${path} cannot be written: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** null: there is none. */
export async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new WeftError('internal', `${path} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

/** Gives a file that cannot be used another name, for somebody to look at; gives that name. */
export async function setFileAside(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const aside = `${path}.corrupt-${time}`
  await rename(path, aside)
  return aside
}

/** The new name is in the directory, which has a place on disk of its own. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

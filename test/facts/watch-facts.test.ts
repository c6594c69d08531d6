// The facts file on disk: each version is told once, however it came to be there.
//
// Written at one go (writeFileSync): what watches runs in this process too, and must not find half a version because a CPU was away.

import { writeFileSync } from 'node:fs'
import { chmod, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { FactsResult } from '../../src/facts/facts-error.ts'
import { readFacts, watchFacts } from '../../src/facts/watch-facts.ts'

const text = (name: string): string => `members:\n  - { name: ${name}, vtep: 172.31.1.11 }\n`

async function newDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'weft-facts-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** What a watch told, as the name of the first member or the error's code, to be awaited in turn. */
function follow(t: Test, path: string) {
  const told: string[] = []
  let wake = (): void => undefined
  const watch = watchFacts(path, (result) => {
    told.push(summary(result))
    wake()
  })
  t.teardown(() => {
    watch.close()
  })
  return {
    told,
    watch,
    async next(): Promise<string | undefined> {
      // The poll, which must find whatever the directory's events miss, comes each second.
      const deadline = Date.now() + 5000
      while (told.length === 0 && Date.now() < deadline) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>((resolve) => {
          wake = resolve
          timer = setTimeout(resolve, deadline - Date.now())
        })
        clearTimeout(timer)
      }
      return told.shift()
    },
  }
}

function summary(result: FactsResult): string {
  return result.ok ? (result.facts.members[0]?.name ?? 'nobody') : result.error.code
}

const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400))

t.test('a file is followed through edits, renames, errors and absence', async (t) => {
  const directory = await newDirectory(t)
  const path = join(directory, 'facts.yaml')
  writeFileSync(path, text('h1'))
  const watch = follow(t, path)
  t.equal(await watch.next(), 'h1', 'as it is at the start')

  writeFileSync(path, text('h2'))
  t.equal(await watch.next(), 'h2', 'written in place')

  writeFileSync(`${path}.new`, text('h3'))
  await rename(`${path}.new`, path)
  t.equal(await watch.next(), 'h3', 'replaced by rename')
  writeFileSync(`${path}.new`, text('h4'))
  await rename(`${path}.new`, path)
  t.equal(await watch.next(), 'h4', 'replaced by rename once more')

  writeFileSync(path, 'members: [')
  t.equal(await watch.next(), 'invalid_argument', 'a broken version is told as such')
  await rm(path)
  t.equal(await watch.next(), 'not_found', 'so is its absence')
  writeFileSync(path, text('h5'))
  t.equal(await watch.next(), 'h5', 'and its return')

  writeFileSync(path, text('h5'))
  await chmod(path, 0o600)
  writeFileSync(join(directory, 'other'), 'x')
  await quiet()
  t.same(watch.told, [], 'what changes nothing is not told')

  writeFileSync(path, text('h6'))
  watch.watch.close()
  await quiet()
  t.same(watch.told, [], 'after close nothing is told')
})

t.test('a burst of writes is read once it is over', async (t) => {
  const path = join(await newDirectory(t), 'facts.yaml')
  writeFileSync(path, text('h0'))
  const watch = follow(t, path)
  t.equal(await watch.next(), 'h0')
  for (let version = 1; version <= 5; version += 1) writeFileSync(path, text(`h${version}`))
  t.equal(await watch.next(), 'h5')
  await quiet()
  t.same(watch.told, [])
})

t.test('the target of a symbolic link is followed, in a directory of its own', async (t) => {
  const target = join(await newDirectory(t), 'target.yaml')
  const path = join(await newDirectory(t), 'facts.yaml')
  writeFileSync(target, text('h1'))
  await symlink(target, path)
  const watch = follow(t, path)
  t.equal(await watch.next(), 'h1')
  writeFileSync(target, text('h2'))
  t.equal(await watch.next(), 'h2')
})

t.test('a file of a directory that does not exist is an error, not a throw', async (t) => {
  const path = join(await newDirectory(t), 'none', 'facts.yaml')
  const watch = follow(t, path)
  t.equal(await watch.next(), 'not_found')
  const result = await readFacts(path)
  t.match(result, { ok: false, error: { code: 'not_found' } })
  if (!result.ok) t.match(result.error.message, `facts file ${path} cannot be read`)
})

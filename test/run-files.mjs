// Runs test files and prints their TAP: node test/run-files.mjs [--jobs=N] [--timeout=SECONDS] [--by-directory] FILE...
//
// tap's own command gives each process module hooks for mocks and coverage, which nobody here uses (0.4 s of CPU a process), and each
// file a process. With --by-directory the files of one directory share one, and in the results its name stands for theirs.

import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { parseArgs } from 'node:util'
import t from 'tap'

/** Here stands what imports a directory's files. */
const TOGETHER = '.tap/together'

const { values, positionals } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1' },
    /** For a process that hangs. */
    timeout: { type: 'string', default: '300' },
    'by-directory': { type: 'boolean', default: false },
  },
  allowPositionals: true,
})
t.jobs = Number(values.jobs)
t.setTimeout(0)
const files = values['by-directory'] ? byDirectory(positionals) : new Map(positionals.map((file) => [file, file]))
// tap puts its hooks for coverage there, for each Node below it.
const WITHOUT_HOOKS = ['-u', 'NODE_OPTIONS', process.execPath]
for (const [name, file] of files) {
  t.spawn('env', [...WITHOUT_HOOKS, '--import=./test/typescript.mjs', file], {
    name,
    timeout: Number(values.timeout) * 1000,
    env: { ...process.env, TAP_TIMEOUT: values.timeout },
  })
}

function byDirectory(files) {
  mkdirSync(TOGETHER, { recursive: true })
  const directories = new Map(files.map((file) => [dirname(file), []]))
  for (const file of files) directories.get(dirname(file)).push(file)
  // Where there is most to read takes longest, most likely, and is not begun last.
  const sizes = new Map([...directories.keys()].map((directory) => [directory, sizeOf(directory)]))
  const sorted = [...directories].sort(([one], [other]) => sizes.get(other) - sizes.get(one))
  return new Map(sorted.map(([directory, files]) => [directory, together(directory, files)]))
}

function sizeOf(directory) {
  const files = readdirSync(directory).filter((name) => name.endsWith('.ts'))
  return files.reduce((sum, name) => sum + statSync(`${directory}/${name}`).size, 0)
}

/** A file that imports those of a directory. */
function together(directory, files) {
  const path = `${TOGETHER}/${directory.replaceAll('/', '-')}.mjs`
  writeFileSync(path, files.map((file) => `import '${relative(TOGETHER, file)}'\n`).join(''))
  return path
}

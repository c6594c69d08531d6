// The hooks behind test/typescript.mjs: they run in a thread of their own, and give each TypeScript file's JavaScript under its own URL.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const ESBUILD = `${ROOT}/node_modules/.bin/esbuild`
/** As in scripts/test. Imports stay as they are written, with `.ts`. */
const OPTIONS = ['--format=esm', '--target=node20', '--sourcemap=inline', '--log-level=warning']

export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context)
  return { format: 'module', shortCircuit: true, source: compiled(fileURLToPath(url)) }
}

function compiled(source) {
  const output = `${ROOT}/.tap/js/${relative(ROOT, source).replace(/\.ts$/, '.js')}`
  if (modifiedMs(output) <= modifiedMs(source)) compile(source, output)
  return readFileSync(output, 'utf8')
}

/** Others may compile it at the same time: each writes its own, and the last one's stays. */
function compile(source, output) {
  const own = `${output}.${process.pid}`
  mkdirSync(dirname(output), { recursive: true })
  execFileSync(ESBUILD, [source, `--outfile=${own}`, ...OPTIONS], { stdio: ['ignore', 'inherit', 'inherit'] })
  renameSync(own, output)
}

/** 0: there is none. */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

#!/usr/bin/env node
// Prints the licences of the npm packages of which something is in a bundle: node scripts/bundled-licenses.mjs METAFILE
//
// Most of them ask for their text to go with each copy. METAFILE is esbuild's; a package that has no text is told by name and licence.

import { readFileSync, readdirSync } from 'node:fs'

const { inputs } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const packages = new Set(Object.keys(inputs).flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []))
const texts = [...packages].sort().map((directory) => {
  const { name, version, license } = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8'))
  const files = readdirSync(directory).filter((file) => /^(?:licen[cs]e|notice|copying)(?:[.-]|$)/i.test(file))
  const text = files.map((file) => readFileSync(`${directory}/${file}`, 'utf8').trim()).join('\n\n')
  return `${name} ${version} (${license})\n\n${text}`
})
console.log(texts.join(`\n\n${'-'.repeat(80)}\n\n`))

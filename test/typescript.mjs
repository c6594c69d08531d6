// Has Node load TypeScript as it is: node --import ./test/typescript.mjs FILE.ts
//
// What is compiled is kept in .tap/js, by path, until its source is newer: `scripts/test` compiles all of it at once, in a second. tap's
// own way starts a compiler in each process (1 to 6 s of CPU), tsx a service beside each (0.8 s); this takes 0.2 s.

import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
process.setSourceMapsEnabled(true)

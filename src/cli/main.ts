#!/usr/bin/env node
// The weft command: argv to a verb, its failure to one line and an exit code.

import { flushed } from './cli.ts'
import { runCli } from './program.ts'

const SIGPIPE_EXIT = 128 + 13

// `weft logs -f c1 | head -1`: the reader has what it wants. We end as a program that SIGPIPE ends,
// unless a verb listens itself because it has something to finish.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', () => {
    if (stream.listenerCount('error') === 1) process.exit(SIGPIPE_EXIT)
  })
}

const code = await runCli(process.argv.slice(2), process)
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
process.exit(code)

#!/usr/bin/env node
// The weft command: argv to a verb, its failure to one line and an exit code.

import { flushed } from './cli.ts'
import { runCli } from './program.ts'

// `weft ps | head -1`: the reader has what it wants. As from a program that SIGPIPE ends.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' && process.exitCode === undefined) process.exitCode = 141
  })
}

const code = await runCli(process.argv.slice(2), process)
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
process.exit(code)

// What every verb is given: where to print, whom to ask, which exit code.

import type { Readable, Writable } from 'node:stream'
import type { ApiClient } from '../api/client.ts'

/** stdin, stdout and stderr; process has them, a test brings its own. */
export interface Terminal {
  readonly stdin: Readable & { isTTY?: boolean; fd?: number; setRawMode?(raw: boolean): unknown }
  readonly stdout: Writable & { isTTY?: boolean; columns?: number; rows?: number }
  readonly stderr: Writable & { isTTY?: boolean }
}

export interface Cli {
  readonly env: NodeJS.ProcessEnv
  /** The real streams, for verbs that hand them to a process. */
  readonly terminal: Terminal
  /** To stdout, as it is. */
  print(text: string): void
  /** One line to stderr: `weft: MESSAGE`. */
  complain(message: string): void
  /** The daemon's client; `--socket` and WEFT_SOCKET have been looked at. */
  client(): Promise<ApiClient>
  /** What the process ends with when the verb returns. */
  exitCode: number
}

/** Does something with each name; a failure is told and the others go on (as docker rm a b c). */
export async function forEachName(
  cli: Cli,
  names: readonly string[],
  act: (name: string) => Promise<void>,
): Promise<void> {
  for (const name of names) {
    try {
      await act(name)
    } catch (error) {
      cli.complain(error instanceof Error ? error.message : String(error))
      cli.exitCode = 1
    }
  }
}

/** Resolves when what was written before has left the process, or cannot any more. */
export function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded) {
      resolve()
      return
    }
    stream.once('error', () => {
      resolve()
    })
    stream.write('', () => {
      resolve()
    })
  })
}

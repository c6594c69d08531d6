// One daemon per network namespace: an abstract unix socket.
//
// Abstract names belong to the namespace and go with the process, however it ends: there is no stale lock to clean up.

import { type Server, connect, createServer } from 'node:net'
import { WeftError } from '../errors.ts'

const NAME = '\0weft-daemon'
/** How long a daemon that holds the lock may take to say who it is. */
const PATIENCE_MS = 500

/** @throws WeftError already_running naming the PID that holds it */
export async function takeLock(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(String(process.pid))
  })
  const failure = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    server.once('error', resolve)
    server.listen(NAME, () => {
      resolve(null)
    })
  })
  if (failure === null) {
    server.unref()
    return server
  }
  if (failure.code !== 'EADDRINUSE') throw failure
  const pid = await askHolder()
  throw new WeftError(
    'already_running',
    `a weft daemon runs in this network namespace already (pid ${pid}); there is one per namespace: end it first, or use it (weft status)`,
  )
}

function askHolder(): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(NAME)
    socket.setTimeout(PATIENCE_MS, () => socket.destroy())
    socket.on('data', (chunk) => {
      answer += chunk.toString('utf8')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      resolve(answer === '' ? 'unknown' : answer)
    })
  })
}

// A bounded command: run in a sandbox by its init, of whose output only the beginning is kept, and which can be ended.
//
// All it says is read, or it would wait for us; but what is not kept is read at leisure, so that one that never stops costs little.

import { FrameDecoder, FrameKind, encodeFrame } from './frames.ts'
import type { InitClient } from './init-client.ts'

export interface Ended {
  readonly exitCode: number
  readonly output: string
}

const KILL = 9
/** Init ends a process group in milliseconds; if not, it learns of it by our hanging up. */
const KILLED_MS = 1_000
/** Init sends up to 64 KiB at a time: some 6 MB/s. */
const LEISURE_MS = 10

/**
 * Runs a command with nothing on its stdin, and gives its exit code and what it said first. When the signal is aborted its
 * process group is killed.
 *
 * @throws WeftError as InitClient.openStream(), and internal when the stream breaks off
 */
export async function runBounded(
  client: InitClient,
  argv: readonly string[],
  maxBytes: number,
  signal: AbortSignal,
): Promise<Ended> {
  const { socket } = await client.openStream({ argv })
  const decoder = new FrameDecoder()
  const output = new Beginning(maxBytes)
  let exitCode: number | null = null
  const kill = (): void => {
    socket.write(encodeFrame(FrameKind.signal, Buffer.of(KILL)))
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), KILLED_MS)
    socket.once('close', () => {
      clearTimeout(timer)
    })
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => {
      if (exitCode === null) reject(new Error('the stream of the command broke off'))
      else resolve({ exitCode, output: output.text() })
    })
  })
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const { kind, bytes } of decoder.push(chunk)) {
        if (kind === FrameKind.exit) exitCode = bytes[0] ?? 0
        else output.add(bytes)
      }
    } catch (error) {
      socket.destroy(error as Error)
    }
    if (exitCode !== null) socket.destroy()
    else if (output.isFull && !signal.aborted) {
      socket.pause()
      setTimeout(() => socket.resume(), LEISURE_MS)
    }
  })
  socket.write(encodeFrame(FrameKind.stdin, Buffer.alloc(0)))
  if (signal.aborted) kill()
  else signal.addEventListener('abort', kill, { once: true })
  try {
    return await ended
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

/** The first bytes of what is said. */
class Beginning {
  readonly #parts: Buffer[] = []
  #room: number
  isFull = false

  constructor(maxBytes: number) {
    this.#room = maxBytes
  }

  add(bytes: Buffer): void {
    // A copy: what is kept is not to keep all that came with it.
    if (this.#room > 0) this.#parts.push(Buffer.from(bytes.subarray(0, this.#room)))
    this.isFull ||= bytes.length > this.#room
    this.#room -= Math.min(this.#room, bytes.length)
  }

  text(): string {
    return Buffer.concat(this.#parts).toString('utf8') + (this.isFull ? '...' : '')
  }
}

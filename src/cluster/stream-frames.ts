// Frames on a stream: length (4 bytes, big endian), then as many bytes. And how long one may take.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { MemberId } from '../gossip/member.ts'

const LENGTH_BYTES = 4

export function writeFrame(stream: Duplex, body: Uint8Array): void {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(body.length)
  stream.write(Buffer.concat([length, body]))
}

/** The next frame; null when the stream ends before it is whole, or when it is longer than `maxBytes`. What follows stays. */
export async function readFrame(stream: Duplex, maxBytes: number): Promise<Buffer | null> {
  const length = (await readBytes(stream, LENGTH_BYTES))?.readUInt32BE()
  if (length === undefined || length > maxBytes) return null
  return length === 0 ? Buffer.alloc(0) : readBytes(stream, length)
}

function readBytes(stream: Duplex, count: number): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const finish = (bytes: Buffer | null): void => {
      stream.off('readable', attempt)
      for (const end of ['end', 'close', 'error']) stream.off(end, none)
      resolve(bytes)
    }
    const none = (): void => {
      finish(null)
    }
    const attempt = (): void => {
      // null until there are so many; fewer only when there will be no more.
      const bytes = stream.read(count) as Buffer | null
      if (bytes !== null) finish(bytes.length === count ? bytes : null)
      else if (stream.destroyed || stream.readableEnded) none()
    }
    stream.on('readable', attempt)
    for (const end of ['end', 'close', 'error']) stream.on(end, none)
    attempt()
  })
}

const ID_BYTES = 8
/** The first frame of a member's stream. */
export const GREETING_BYTES = 2 * ID_BYTES

/** Who speaks, to whom: an address may have another host by now. */
export interface Greeting {
  readonly from: MemberId
  readonly to: MemberId
}

export function encodeGreeting({ from, to }: Greeting): Uint8Array {
  return Buffer.from(from + to, 'hex')
}

export function decodeGreeting(body: Buffer): Greeting | null {
  if (body.length !== GREETING_BYTES) return null
  return { from: body.toString('hex', 0, ID_BYTES), to: body.toString('hex', ID_BYTES) }
}

/** A peer that is gone without a word is found out by the kernel. */
export const KEEPALIVE_MS = 30_000

/** Ends a stream that is not done in time; gives the function that calls it off. */
export function destroyAfter(socket: Socket, timeoutMs: number): () => void {
  const timer = setTimeout(() => socket.destroy(), Math.max(1, timeoutMs))
  return () => {
    clearTimeout(timer)
  }
}

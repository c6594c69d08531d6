// Queries by TCP (RFC 7766): many on one connection, answered as answers come, connections bounded in number and time. Thin.

import { type Socket, createServer } from 'node:net'
import type { Asker, Resolver } from './resolver.ts'
import { TcpFrames, tcpFrame } from './tcp-frames.ts'
import type { Listener } from './udp-listener.ts'

/** RFC 7766 section 6.2.3: of the order of a few seconds. */
const IDLE_MS = 10_000
/** Of one sandbox; further ones are closed at once. */
const MAX_CONNECTIONS = 64
/** Questions of one connection that are not answered yet; then its client waits. */
const MAX_UNDERWAY = 64
/** Answers that a client does not read; then its questions wait. */
const MAX_UNREAD_BYTES = 256 << 10

/** A descriptor that is ours from now on, or an address to bind. */
export type Place = { readonly fd: number } | { readonly address: string; readonly port: number }

/** @throws Error of the system: the address is in use, the descriptor is no such socket */
export async function listenTcp(place: Place, resolver: Resolver, asker: Asker): Promise<Listener> {
  const open = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    serve(socket, resolver, asker)
  })
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const listening = (): void => {
      server.off('error', reject)
      server.on('error', () => undefined)
      resolve()
    }
    if ('fd' in place) server.listen({ fd: place.fd }, listening)
    else server.listen({ host: place.address, port: place.port, exclusive: true }, listening)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        for (const socket of open) socket.destroy()
      }),
  }
}

function serve(socket: Socket, resolver: Resolver, asker: Asker): void {
  const frames = new TcpFrames()
  let underway = 0
  const flow = (): void => {
    const full = underway >= MAX_UNDERWAY || socket.writableLength > MAX_UNREAD_BYTES
    if (full) socket.pause()
    else if (socket.isPaused()) socket.resume()
  }
  socket.setTimeout(IDLE_MS, () => {
    socket.destroy()
  })
  // A client that goes away is nothing to report.
  socket.on('error', () => undefined)
  socket.on('drain', flow)
  socket.on('data', (chunk: Buffer) => {
    for (const message of frames.push(chunk)) {
      underway++
      const taken = resolver.handle(message, asker, 'tcp', (reply) => {
        underway--
        if (!socket.destroyed) socket.write(tcpFrame(reply))
        flow()
      })
      // Who sends what is not answered would wait for it.
      if (!taken) {
        socket.destroy()
        return
      }
    }
    flow()
  })
}

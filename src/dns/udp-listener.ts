// Queries by UDP on a socket of the native core, which is handed in. Thin.

import type { Asker, Resolver } from './resolver.ts'

export interface Listener {
  readonly port: number
  /** The socket is closed on our side when it settles. */
  close(): Promise<void>
}

export interface UdpHandlers {
  /** Whether `reply` will be called: once, at once or later. */
  readonly onMessage: (message: Buffer, reply: (bytes: Uint8Array) => void) => boolean
  /** So many replies were not taken by the kernel. */
  readonly onUnsent: (count: number) => void
}

/** @throws what `open` throws */
export function listenUdp(
  open: (handlers: UdpHandlers) => { readonly port: number; close(): void },
  resolver: Resolver,
  asker: Asker,
): Listener {
  const socket = open({
    onMessage: (message, reply) => resolver.handle(message, asker, 'udp', reply),
    // Whether a reply arrives is for the client to see: it asks again.
    onUnsent: (count) => {
      resolver.unsent(count)
    },
  })
  return {
    port: socket.port,
    close: () => {
      socket.close()
      return Promise.resolve()
    },
  }
}

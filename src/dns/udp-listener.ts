// Queries by UDP on a socket that was opened elsewhere: in a sandbox's namespace, or here. Thin.

import { type RemoteInfo, type Socket, createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Asker, Resolver } from './resolver.ts'

export interface Listener {
  readonly port: number
  /** The socket is closed on our side when it settles. */
  close(): Promise<void>
}

/** A descriptor that is ours from now on, or an address to bind. */
export type Place = { readonly fd: number } | { readonly address: string; readonly port: number }

/** @throws Error of the system: the address is in use, the descriptor is no such socket */
export async function listenUdp(place: Place, resolver: Resolver, asker: Asker): Promise<Listener> {
  const ipv6 = 'address' in place && isIPv6(place.address)
  const socket = createSocket({
    type: ipv6 ? 'udp6' : 'udp4',
    // Replies go to addresses, which need no looking up; the usual way would take a turn of the loop for each.
    lookup: (host, _options, callback) => {
      callback(null, host, ipv6 ? 6 : 4)
    },
  })
  socket.on('message', (message: Buffer, from: RemoteInfo) => {
    resolver.handle(message, asker, 'udp', (reply) => {
      send(socket, reply, from)
    })
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    const bound = (): void => {
      socket.off('error', reject)
      // One client's port may be gone, and the next is not to suffer for it.
      socket.on('error', () => undefined)
      resolve()
    }
    if ('fd' in place) socket.bind({ fd: place.fd }, bound)
    else socket.bind({ ...place, exclusive: true }, bound)
  })
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        socket.close(resolve)
      }),
  }
}

function send(socket: Socket, reply: Buffer, { port, address }: RemoteInfo): void {
  try {
    // Whether it arrives is for the client to see: it asks again.
    socket.send(reply, port, address, () => undefined)
  } catch {
    // Closed meanwhile, or from port 0.
  }
}

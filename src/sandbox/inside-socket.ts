// A socket inside a sandbox: made by its init, connected by us. So nothing is started to look whether something answers there.

import { request } from 'node:http'
import { Socket } from 'node:net'
import type { InitClient, ReceiveDescriptor } from './init-client.ts'

export interface Place {
  readonly client: InitClient
  readonly receiveDescriptor: ReceiveDescriptor
  /** An IPv4 address, as it is reached from inside. */
  readonly address: string
  readonly port: number
}

/**
 * Connects, and hangs up.
 *
 * @throws what connecting throws, or the signal's reason
 */
export async function tryConnection(place: Place, signal: AbortSignal): Promise<void> {
  const socket = await connectInside(place)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
    onAbort(signal, () => {
      reject(signal.reason as Error)
    })
  }).finally(() => socket.destroy())
}

export interface Answer {
  readonly status: number
  readonly reason: string
}

/**
 * Asks for a path by HTTP; of the answer the status is taken and the rest left.
 *
 * @throws what connecting throws, what is wrong with the answer, or the signal's reason
 */
export async function getInside(place: Place, path: string, signal: AbortSignal): Promise<Answer> {
  const { address, port } = place
  const socket = await connectInside(place)
  return await new Promise<Answer>((resolve, reject) => {
    const headers = { host: `${address}:${port}`, 'user-agent': 'weft' }
    const asked = request({ createConnection: () => socket, path, headers }, (answer) => {
      answer.on('error', () => undefined)
      resolve({ status: answer.statusCode ?? 0, reason: answer.statusMessage ?? '' })
    })
    asked.on('error', reject)
    asked.end()
    onAbort(signal, () => {
      reject(signal.reason as Error)
    })
  }).finally(() => socket.destroy())
}

async function connectInside(place: Place): Promise<Socket> {
  const { client, receiveDescriptor, address: host, port } = place
  const fd = await client.tcpSocket(receiveDescriptor)
  // It begins to read when the loop turns, so it must be connecting by then.
  const socket = new Socket({ fd, readable: true, writable: true })
  socket.connect({ host, port })
  // Whoever waits hears of it, too; an error that comes later is nobody's.
  socket.on('error', () => undefined)
  return socket
}

function onAbort(signal: AbortSignal, then: () => void): void {
  if (signal.aborted) then()
  else signal.addEventListener('abort', then, { once: true })
}

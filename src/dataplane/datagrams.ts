// UDP by the native core: messages are taken many at a time, and what is answered to them at once is sent at once.
//
// One system call each for a batch, where node:dgram makes two for a message and one for an answer. Answers that come later are
// sent one by one.

import { Buffer } from 'node:buffer'
import { NativeDatagramSocket, bindUdp } from './binding.ts'

/** A descriptor that is ours from now on, or an address to bind. */
export type Place = { readonly fd: number } | { readonly address: string; readonly port: number }

export interface DatagramHandlers {
  /** Whether `reply` will be called: once, at once or later. */
  readonly onMessage: (message: Buffer, reply: (bytes: Uint8Array) => void) => boolean
  /** So many answers were not taken by the kernel. */
  readonly onUnsent: (count: number) => void
}

export interface Datagrams {
  readonly port: number
  /** Nothing is taken or sent any more; the descriptor is closed. May be called again. */
  close(): void
}

/** Of all sockets: what is in them is there while a batch is worked on. */
const { slots, slotBytes } = NativeDatagramSocket
const bytes = Buffer.alloc(slots * slotBytes)
const lengths = new Uint32Array(slots)

/** @throws Error of the system: the address is in use, the descriptor is no such socket */
export function openDatagrams(place: Place, { onMessage, onUnsent }: DatagramHandlers): Datagrams {
  const fd = 'fd' in place ? place.fd : bindUdp(place.address, place.port)
  const socket = new NativeDatagramSocket(fd, bytes, lengths, (count) => {
    for (let slot = 0; slot < count; slot++) take(slot)
    const unsent = socket.answer(count)
    if (unsent > 0) onUnsent(unsent)
  })
  const take = (slot: number): void => {
    const at = slot * slotBytes
    // Whoever answers later still looks at it.
    const message = Buffer.from(bytes.subarray(at, at + (lengths[slot] ?? 0)))
    lengths[slot] = 0
    let sender: Uint8Array | undefined
    const answered = onMessage(message, (reply) => {
      if (sender === undefined) {
        bytes.set(reply, at)
        lengths[slot] = reply.length
      } else if (!socket.send(reply, sender)) {
        onUnsent(1)
      }
    })
    if (answered && lengths[slot] === 0) sender = socket.sender(slot)
  }
  return {
    port: socket.port(),
    close: () => {
      socket.close()
    },
  }
}

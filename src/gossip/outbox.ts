// The outbox: puts parts and rumours into datagrams and sends them.
//
// Whatever is sent carries rumours in the room that is left. What has none to go with is flushed: soon after news came, then at an interval until the
// queue is empty. With nothing to tell, no timer runs.

import type { Timer } from '../clock.ts'
import type { BroadcastQueue } from './broadcast-queue.ts'
import { DatagramWriter } from './codec.ts'
import { type GossipSettings, retransmitLimit } from './defaults.ts'
import type { Peer } from './member.ts'
import type { Part } from './message.ts'
import type { Timekeeper } from './timekeeper.ts'
import type { Transport } from './transport.ts'

export interface OutboxOptions {
  readonly settings: GossipSettings
  readonly timekeeper: Timekeeper
  readonly transport: Transport
  readonly queue: BroadcastQueue
  /** How many are present, this host among them. */
  readonly members: () => number
  /** Whom to flush to now. */
  readonly targets: (count: number) => readonly Peer[]
}

export class Outbox {
  readonly #options: OutboxOptions
  readonly #writer = new DatagramWriter()
  #timer: Timer | undefined
  #dueMs = Infinity
  #closed = false
  #datagrams = 0
  #bytes = 0

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  get datagrams(): number {
    return this.#datagrams
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Sends the parts in one datagram and nothing else: to one that is hardly there rumours would be lost. */
  sendBare(to: Peer, ...parts: readonly Part[]): void {
    for (const part of parts) this.#writer.put(part)
    this.#dispatch(to)
  }

  /** Sends the parts in one datagram, and rumours with them. */
  send(to: Peer, ...parts: readonly Part[]): void {
    for (const part of parts) this.#writer.put(part)
    const [rumours] = this.#options.queue.take(this.#writer.room, 1, this.#limit())
    for (const rumour of rumours ?? []) this.#writer.putEncoded(rumour)
    this.#dispatch(to)
  }

  /** There is news in the queue: it leaves within `delayMs`. */
  flushWithin(delayMs: number): void {
    const { timekeeper } = this.#options
    const dueMs = timekeeper.nowMs() + delayMs
    if (dueMs >= this.#dueMs || this.#closed) return
    this.#timer?.cancel()
    this.#dueMs = dueMs
    this.#timer = timekeeper.after(delayMs, () => this.#flush())
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #flush(): void {
    const { settings, queue, targets } = this.#options
    this.#dueMs = Infinity
    const peers = queue.size === 0 ? [] : targets(settings.flushFanout)
    for (const to of peers) {
      const lists = queue.take(this.#writer.room, settings.flushDatagrams, this.#limit())
      if (lists.length === 0) break
      for (const list of lists) {
        for (const rumour of list) this.#writer.putEncoded(rumour)
        this.#dispatch(to)
      }
    }
    // With nobody to tell it waits until somebody comes.
    if (queue.size > 0 && peers.length > 0) this.flushWithin(settings.flushIntervalMs)
  }

  #limit(): number {
    return retransmitLimit(this.#options.settings.retransmitFactor, this.#options.members())
  }

  #dispatch(to: Peer): void {
    const datagram = this.#writer.finish()
    if (this.#closed) return
    this.#datagrams++
    this.#bytes += datagram.length
    this.#options.transport.send(to, datagram)
  }
}

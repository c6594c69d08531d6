// The events that a daemon remembers: the latest ones, in order, and those who wait for the next.

import type { Clock } from '../clock.ts'
import type { Event, Happening } from './event.ts'

/** An event has some 200 bytes. */
export const MOST_EVENTS = 1_000

export type Listener = (event: Event) => void

export class EventRing {
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #most: number
  readonly #events: Event[] = []
  readonly #listeners = new Set<Listener>()

  constructor(clock: Pick<Clock, 'wallMs'>, most = MOST_EVENTS) {
    this.#clock = clock
    this.#most = most
  }

  tell({ kind, object, text }: Happening): void {
    const event = { timeMs: this.#clock.wallMs(), kind, object, text }
    this.#events.push(event)
    if (this.#events.length > this.#most) this.#events.shift()
    for (const listener of [...this.#listeners]) listener(event)
  }

  /** Those that are remembered, from that time on, the oldest first. */
  since(timeMs: number): Event[] {
    return this.#events.filter((event) => event.timeMs >= timeMs)
  }

  /** Calls back on each event from now on; gives the function that ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

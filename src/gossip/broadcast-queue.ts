// The broadcast queue: rumours that this host still has to pass on, and which of them the next datagram carries.
//
// A rumour has a name, a newer one of that name takes its place, and it is sent a limited number of times. What was sent the fewest times goes
// first, of those what came or went last; what members are believed to be goes before all that passengers say. Taking costs what it takes, not what waits.

const PRIORITIES = ['membership', 'passenger'] as const
export type Priority = (typeof PRIORITIES)[number]

interface Rumour {
  readonly name: string
  readonly part: Uint8Array
  sent: number
  /** Replaced or shed: still in its pile, and skipped there. */
  gone: boolean
}

/** Smaller rumours may overtake so many that do not fit; then the datagram is full enough. */
const MAX_MISFITS = 4

/** The rumours of one priority. */
class Lane {
  readonly byName = new Map<string, Rumour>()
  /** By how often they were sent; the latest on top. */
  readonly piles: Rumour[][] = []
  #gone = 0

  push(rumour: Rumour): void {
    while (this.piles.length <= rumour.sent) this.piles.push([])
    this.piles[rumour.sent]?.push(rumour)
  }

  put(rumour: Rumour): void {
    this.byName.set(rumour.name, rumour)
    this.push(rumour)
  }

  /** Out of the names; out of the piles at the next occasion. */
  drop(rumour: Rumour): void {
    rumour.gone = true
    this.byName.delete(rumour.name)
    if (++this.#gone > 64 + this.byName.size) this.#sweep()
  }

  /** Takes the oldest of those that were sent the most out of its pile. */
  takeOldest(): Rumour | undefined {
    for (const pile of this.piles.toReversed()) {
      for (let rumour = pile.shift(); rumour !== undefined; rumour = pile.shift()) {
        if (!rumour.gone) return rumour
      }
    }
    return undefined
  }

  #sweep(): void {
    for (const [sent, pile] of this.piles.entries()) {
      this.piles[sent] = pile.filter(({ gone }) => !gone)
    }
    this.#gone = 0
  }
}

export interface QueueLimits {
  readonly rumours: number
  readonly bytes: number
}

export class BroadcastQueue {
  readonly #limits: QueueLimits
  readonly #lanes: Readonly<Record<Priority, Lane>> = {
    membership: new Lane(),
    passenger: new Lane(),
  }
  #bytes = 0
  #shed = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#lanes.membership.byName.size + this.#lanes.passenger.byName.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Rumours that were dropped because there were too many. */
  get shed(): number {
    return this.#shed
  }

  /** `part` is encoded, with its header, and the queue's from now on. */
  put(priority: Priority, name: string, part: Uint8Array): void {
    this.remove(priority, name)
    this.#lanes[priority].put({ name, part, sent: 0, gone: false })
    this.#bytes += part.length
    while (this.size > this.#limits.rumours || this.#bytes > this.#limits.bytes) {
      if (!this.#shedOne()) break
    }
  }

  remove(priority: Priority, name: string): void {
    const rumour = this.#lanes[priority].byName.get(name)
    if (rumour !== undefined) this.#drop(this.#lanes[priority], rumour)
  }

  clear(priority: Priority): void {
    const lane = this.#lanes[priority]
    for (const rumour of [...lane.byName.values()]) this.#drop(lane, rumour)
  }

  /**
   * What to send to one member now: up to `datagrams` lists of parts, each of at most `room` bytes, no rumour twice.
   * Each is counted as sent, and gone after `limit` times.
   */
  take(room: number, datagrams: number, limit: number): Uint8Array[][] {
    const lists: Uint8Array[][] = []
    if (this.size === 0) return lists
    const taken: [Lane, Rumour][] = []
    while (lists.length < datagrams) {
      const list = this.#takeList(room, taken)
      if (list.length === 0) break
      lists.push(list)
    }
    // The other way round, so that the newest of them is on top again.
    for (const [lane, rumour] of taken.reverse()) {
      rumour.sent++
      if (rumour.sent < limit) lane.push(rumour)
      else this.#forget(lane, rumour)
    }
    return lists
  }

  #takeList(room: number, taken: [Lane, Rumour][]): Uint8Array[] {
    const list: Uint8Array[] = []
    const misfits: [Lane, Rumour][] = []
    for (const priority of PRIORITIES) {
      const lane = this.#lanes[priority]
      for (const pile of lane.piles) {
        while (pile.length > 0 && misfits.length < MAX_MISFITS) {
          const rumour = pile.pop() as Rumour
          if (rumour.gone) continue
          if (rumour.part.length > room) {
            misfits.push([lane, rumour])
            continue
          }
          room -= rumour.part.length
          list.push(rumour.part)
          taken.push([lane, rumour])
        }
      }
    }
    for (const [lane, rumour] of misfits.reverse()) lane.push(rumour)
    return list
  }

  #shedOne(): boolean {
    for (const lane of [this.#lanes.passenger, this.#lanes.membership]) {
      const oldest = lane.takeOldest()
      if (oldest === undefined) continue
      this.#forget(lane, oldest)
      this.#shed++
      return true
    }
    return false
  }

  /** It still is in its pile. */
  #drop(lane: Lane, rumour: Rumour): void {
    lane.drop(rumour)
    this.#bytes -= rumour.part.length
  }

  /** It is in no pile any more. */
  #forget(lane: Lane, rumour: Rumour): void {
    lane.byName.delete(rumour.name)
    this.#bytes -= rumour.part.length
  }
}

// A roster: a set of members that gives some at random, and all in turn, without walking through it.

import type { MemberId } from './member.ts'

/** Some members that are not to be drawn. */
export interface Some {
  readonly size: number
  has(id: MemberId): boolean
}

const NONE: Some = new Set<MemberId>()

export class Roster {
  readonly #random: () => number
  readonly #ids: MemberId[] = []
  readonly #places = new Map<MemberId, number>()
  /** The round: in the order of their turns, some may have gone meanwhile. */
  #round: MemberId[] = []

  constructor(random: () => number) {
    this.#random = random
  }

  get size(): number {
    return this.#ids.length
  }

  has(id: MemberId): boolean {
    return this.#places.has(id)
  }

  /** Who is new has its turn somewhere in the running round: SWIM's bound on the time to the first probe. */
  add(id: MemberId): void {
    if (this.#places.has(id)) return
    this.#places.set(id, this.#ids.length)
    this.#ids.push(id)
    // Who comes and goes all the time does not make the round longer and longer.
    if (this.#round.length > 2 * this.#ids.length) this.#round = []
    const at = this.#below(this.#round.length + 1)
    this.#round.push(id)
    swap(this.#round, at, this.#round.length - 1)
  }

  remove(id: MemberId): void {
    const place = this.#places.get(id)
    if (place === undefined) return
    this.#places.delete(id)
    const last = this.#ids.pop()
    if (last === undefined || last === id) return
    this.#ids[place] = last
    this.#places.set(last, place)
  }

  /** Up to `count` different ones. */
  sample(count: number, without: Some = NONE): MemberId[] {
    const ids = this.#ids
    // Many of few: shuffle all. Few of many: draw until they differ.
    if (count * 2 >= ids.length - without.size) {
      const pool = without.size === 0 ? [...ids] : ids.filter((id) => !without.has(id))
      this.#shuffle(pool, count)
      return pool.length > count ? pool.slice(0, count) : pool
    }
    const drawn: MemberId[] = []
    while (drawn.length < count) {
      const id = ids[this.#below(ids.length)] as MemberId
      if (!drawn.includes(id) && !without.has(id)) drawn.push(id)
    }
    return drawn
  }

  /** The next up to `count` of the round, each at most once; a new round has a new order. */
  next(count: number): MemberId[] {
    const turn: MemberId[] = []
    // Whose turn comes again where two rounds meet: the next time, for nobody is left out of a round.
    const again: MemberId[] = []
    const wanted = Math.min(count, this.#ids.length)
    while (turn.length < wanted) {
      if (this.#round.length === 0) {
        this.#round = [...this.#ids]
        this.#shuffle(this.#round, this.#round.length)
      }
      const id = this.#round.pop() as MemberId
      if (!this.#places.has(id)) continue
      if (turn.includes(id)) again.push(id)
      else turn.push(id)
    }
    this.#round.push(...again)
    return turn
  }

  /** Brings `count` random ones to the front (Fisher and Yates). */
  #shuffle(ids: MemberId[], count: number): void {
    for (let at = 0; at < Math.min(count, ids.length - 1); at++) {
      swap(ids, at, at + this.#below(ids.length - at))
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

function swap(ids: MemberId[], one: number, other: number): void {
  const kept = ids[one] as MemberId
  ids[one] = ids[other] as MemberId
  ids[other] = kept
}

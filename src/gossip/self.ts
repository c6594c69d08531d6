// This host among the members: what it says of itself, and what it does not let others say.

import { MAX_INCARNATION, MAX_LEAP, sameAddress } from './membership.ts'
import type { Address, MemberId } from './member.ts'
import type { Alive, Belief, Dead } from './message.ts'

export interface Profile {
  readonly id: MemberId
  readonly name: string
  readonly address: Address
}

export class Self {
  readonly id: MemberId
  #name: string
  #address: Address
  #incarnation: number
  #leaving = false

  constructor({ id, name, address }: Profile, incarnation: number) {
    this.id = id
    this.#name = name
    this.#address = address
    this.#incarnation = incarnation
  }

  get name(): string {
    return this.#name
  }

  get address(): Address {
    return this.#address
  }

  get incarnation(): number {
    return this.#incarnation
  }

  get leaving(): boolean {
    return this.#leaving
  }

  /** What all others should believe. */
  said(): Alive | Dead {
    const { id, incarnation } = this
    if (this.#leaving) return { type: 'dead', id, incarnation, by: id }
    return { type: 'alive', id, incarnation, address: this.#address, name: this.#name }
  }

  /** Whether somebody who believes this has not heard our last word. */
  isNewsTo(belief: Belief): boolean {
    const state = this.#leaving ? 'left' : 'alive'
    return belief.incarnation !== this.#incarnation || belief.state !== state
  }

  /**
   * Whether that claim would stand against our last word, so that we need a higher incarnation: a doubt; somebody who
   * remembers more than we do; another who says to be us. A leap is refused by all others as well.
   */
  mustRefute(claim: Belief & { readonly address?: Address; readonly name?: string }): boolean {
    if (this.#leaving) return false
    const ahead = claim.incarnation - this.#incarnation
    if (ahead !== 0) return ahead > 0 && ahead <= MAX_LEAP && claim.incarnation < MAX_INCARNATION
    if (claim.state !== 'alive') return true
    const { address, name } = claim
    if (address === undefined || name === undefined) return false
    return name !== this.#name || !sameAddress(address, this.#address)
  }

  /** The next word stands against `incarnation` and all that we said before. */
  raise(incarnation: number): void {
    this.#incarnation = Math.max(this.#incarnation, incarnation) + 1
  }

  change({ name, address }: { readonly name?: string; readonly address?: Address }): void {
    this.#name = name ?? this.#name
    this.#address = address ?? this.#address
    this.raise(this.#incarnation)
  }

  leave(): void {
    this.#leaving = true
  }
}

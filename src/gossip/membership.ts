// The membership: what this host believes of all others, and which claims change it.
//
// A claim is a belief of somebody's. Beliefs are ordered: the higher incarnation stands, and of the same incarnation the worse state. So it does not matter in which
// order claims arrive, or how often. Only a member itself raises its incarnation; that is how it refutes.
// The host itself is not in here: nobody else knows better (gossip.ts).

import { type Address, type Member, type MemberId, type MemberState, isPresent } from './member.ts'
import { type Belief, SEVERITY } from './message.ts'
import { Roster } from './roster.ts'

export interface Claim extends Belief {
  readonly id: MemberId
  /** Both or neither: only who is described can become known. */
  readonly address?: Address
  readonly name?: string
  /** For how long it has been so. */
  readonly ageMs?: number
}

/**
 * news: changes what we believe. known: exactly what we believe already. stale: we know better. unknown: about somebody
 * who was never described. refused: expelled, too many, too long gone, or a leap that no honest member makes.
 */
export type Judgement = 'news' | 'known' | 'stale' | 'unknown' | 'refused'

/** What an incarnation may grow by at once: a counter of starts and refutations does not come that far in years. */
export const MAX_LEAP = 2 ** 24
/** So that there is always a next one, also after leaps. */
export const MAX_INCARNATION = 2 ** 32 - 2 ** 25

/** Whether `claim` stands against `believed`. */
export function judge(claim: Belief, believed: Belief): 'news' | 'known' | 'stale' | 'refused' {
  const ahead = claim.incarnation - believed.incarnation
  if (ahead > MAX_LEAP || claim.incarnation > MAX_INCARNATION) return 'refused'
  if (ahead !== 0) return ahead > 0 ? 'news' : 'stale'
  const worse = SEVERITY[claim.state] - SEVERITY[believed.state]
  return worse > 0 ? 'news' : worse === 0 ? 'known' : 'stale'
}

/** A member, and what this host alone knows of it. */
export interface Entry {
  member: Member
  /** It has answered since we last had a doubt: then it knows us and our address. */
  knowsUs: boolean
  /** The passenger was told of the contact since the member became present. */
  greeted: boolean
  /** When we last told it what we believe of it, because it is not present or was heard elsewhere. */
  contactedMs: number
}

export interface MembershipOptions {
  readonly self: MemberId
  readonly random: () => number
  readonly maxMembers: number
  readonly forgetMs: number
}

export class Membership {
  readonly #options: MembershipOptions
  readonly #entries = new Map<MemberId, Entry>()
  readonly #expelled = new Set<MemberId>()
  /** Those that rumours and probes are for, and those that are dead and may come back. */
  readonly present: Roster
  readonly dead: Roster

  constructor(options: MembershipOptions) {
    this.#options = options
    this.present = new Roster(options.random)
    this.dead = new Roster(options.random)
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: MemberId): Entry | undefined {
    return this.#entries.get(id)
  }

  members(): Member[] {
    return Array.from(this.#entries.values(), ({ member }) => member)
  }

  isExpelled(id: MemberId): boolean {
    return this.#expelled.has(id)
  }

  judge(claim: Claim): Judgement {
    if (this.#expelled.has(claim.id) || claim.id === this.#options.self) return 'refused'
    const believed = this.#entries.get(claim.id)
    if (believed !== undefined) return judge(claim, believed.member)
    if (claim.address === undefined || claim.name === undefined) return 'unknown'
    const { maxMembers, forgetMs } = this.#options
    const gone = !isPresent(claim.state)
    const refused =
      this.#entries.size >= maxMembers - 1 ||
      claim.incarnation > MAX_INCARNATION ||
      (gone && (claim.ageMs ?? 0) >= forgetMs)
    return refused ? 'refused' : 'news'
  }

  /** Believes a claim that is news; what was believed before. Of one who is not known the claim has address and name. */
  accept(
    claim: Claim,
    nowMs: number,
  ): { readonly entry: Entry; readonly before: Member | undefined } {
    const { id, incarnation, state } = claim
    const entry = this.#entries.get(id)
    const before = entry?.member
    const address = claim.address ?? before?.address
    const name = claim.name ?? before?.name
    if (address === undefined || name === undefined) throw new Error(`${id} was never described`)
    const sinceMs = before?.state === state ? before.sinceMs : nowMs - (claim.ageMs ?? 0)
    const member: Member = { id, name, address, incarnation, state, sinceMs }
    this.#enlist(id, state)
    if (entry !== undefined) {
      entry.member = member
      if (!isPresent(state)) entry.greeted = false
      return { entry, before }
    }
    const added: Entry = { member, knowsUs: false, greeted: false, contactedMs: -Infinity }
    this.#entries.set(id, added)
    return { entry: added, before }
  }

  /** From now on there is no such member; undefined: there was none. */
  expel(id: MemberId): Member | undefined {
    this.#expelled.add(id)
    return this.#forget(id)
  }

  /** Forgets who is gone for long. */
  forgetOld(nowMs: number): Member[] {
    const { forgetMs } = this.#options
    return this.members()
      .filter(({ state, sinceMs }) => !isPresent(state) && nowMs - sinceMs >= forgetMs)
      .flatMap(({ id }) => this.#forget(id) ?? [])
  }

  #forget(id: MemberId): Member | undefined {
    const member = this.#entries.get(id)?.member
    this.#entries.delete(id)
    this.present.remove(id)
    this.dead.remove(id)
    return member
  }

  #enlist(id: MemberId, state: MemberState): void {
    if (isPresent(state)) this.present.add(id)
    else this.present.remove(id)
    if (state === 'dead') this.dead.add(id)
    else this.dead.remove(id)
  }
}

/** Whether `after` is something that those who own records, or read them, must hear of. */
export function isNoticeable(after: Member, before: Member | undefined): boolean {
  if (before === undefined) return true
  return (
    isPresent(after.state) !== isPresent(before.state) ||
    (after.state === 'left') !== (before.state === 'left') ||
    after.name !== before.name ||
    !sameAddress(after.address, before.address)
  )
}

export function sameAddress(one: Address, other: Address): boolean {
  return one.ip === other.ip && one.port === other.port
}

// The beliefs: what each claim about another member changes here, and what is told further.
//
//            alive ◄──── alive, higher incarnation ──── suspect · dead · left
//   alive ── suspect ──► suspect ── time is over ──► dead          any ── it says so itself ──► left
//
// A death that others declare is first a suspicion here, if it was none: the suspect may answer us. After a heal old rumours of deaths are on their way, and
// everybody who was on the other side is alive.

import type { BroadcastQueue } from './broadcast-queue.ts'
import { encodePart } from './codec.ts'
import type { GossipEvent } from './event.ts'
import { type Member, type MemberId, isPresent } from './member.ts'
import { type Claim, type Membership, isNoticeable } from './membership.ts'
import type { Alive, Dead, Listed, Suspect } from './message.ts'
import type { Suspicions } from './suspicions.ts'

/** rumour: a datagram said so. told: a push/pull that another asked for. asked: the reply to ours. */
export type Origin = 'rumour' | 'told' | 'asked'

export interface BeliefHands {
  nowMs(): number
  /** The number of our next ping. */
  peekSeq(): number
  /** There is news to pass on: urgent, when each moment counts for somebody. */
  news(urgent: boolean): void
  onChange(): void
  onMember(after: Member | undefined, before: Member | undefined): void
  onEvent(event: GossipEvent): void
}

export interface BeliefsOptions {
  readonly self: MemberId
  readonly membership: Membership
  readonly suspicions: Suspicions
  readonly queue: BroadcastQueue
  readonly hands: BeliefHands
}

export class Beliefs {
  readonly #options: BeliefsOptions
  readonly #refused = { refused_claims: 0, unknown_members: 0 }

  constructor(options: BeliefsOptions) {
    this.#options = options
  }

  counters(): Readonly<Record<string, number>> {
    return this.#refused
  }

  /** A part of a datagram about another member. */
  hearPart(part: Alive | Suspect | Dead): void {
    const { id, incarnation } = part
    if (part.type === 'alive') {
      const { address, name } = part
      this.hear({ id, incarnation, state: 'alive', address, name }, id, 'rumour')
    } else {
      const state = part.type === 'suspect' ? 'suspect' : part.by === id ? 'left' : 'dead'
      this.hear({ id, incarnation, state }, part.by, 'rumour')
    }
  }

  /** A line of a push/pull about another member. */
  hearListed(listed: Listed, from: MemberId, origin: Origin): void {
    const { ageSeconds, ...claim } = listed
    this.hear({ ...claim, ageMs: ageSeconds * 1_000 }, from, origin)
  }

  /** A member did not answer us. */
  accuse(id: MemberId): void {
    const believed = this.#options.membership.get(id)?.member
    if (believed === undefined) return
    const { incarnation } = believed
    this.hear({ id, incarnation, state: 'suspect' }, this.#options.self, 'rumour')
  }

  /** Nobody has refuted in time. */
  bury(id: MemberId): void {
    const { membership, self } = this.#options
    const believed = membership.get(id)?.member
    if (believed?.state !== 'suspect') return
    this.#accept({ id, incarnation: believed.incarnation, state: 'dead' }, self, 'rumour')
  }

  hear(claim: Claim, by: MemberId, origin: Origin): void {
    const { membership, suspicions } = this.#options
    switch (membership.judge(claim)) {
      case 'news':
        if (claim.state === 'dead' && this.#isPresent(claim.id)) this.#doubt(claim, by, origin)
        else this.#accept(claim, by, origin)
        return
      case 'known': {
        if (claim.state !== 'suspect') return
        const suspicion = suspicions.get(claim.id)
        // Another accuser: its word replaces the one of the first in the queue, and is worth as many datagrams.
        if (suspicion === undefined || !suspicions.confirm(suspicion, by)) return
        this.#pass(claim.id, by, false)
        return
      }
      case 'refused':
        this.#refused.refused_claims++
        return
      case 'unknown':
        this.#refused.unknown_members++
        return
      case 'stale':
        return
    }
  }

  /** Others say that it is dead. In a push/pull that may be old and of the other side: no more than a suspicion. */
  #doubt(claim: Claim, by: MemberId, origin: Origin): void {
    const { membership, suspicions } = this.#options
    const isSuspected = (): boolean => {
      const believed = membership.get(claim.id)?.member
      return believed?.state === 'suspect' && believed.incarnation === claim.incarnation
    }
    if (origin !== 'rumour' || !isSuspected()) this.hear({ ...claim, state: 'suspect' }, by, origin)
    const suspicion = suspicions.get(claim.id)
    if (origin === 'rumour' && suspicion !== undefined && isSuspected()) {
      suspicions.declaredDead(suspicion)
    }
  }

  #accept(claim: Claim, by: MemberId, origin: Origin): void {
    const { membership, suspicions, queue, hands } = this.#options
    const { entry, before } = membership.accept(claim, hands.nowMs())
    const after = entry.member
    hands.onChange()
    if (after.state === 'suspect') suspicions.begin(after.id, by, hands.peekSeq())
    else suspicions.end(after.id)
    // Nobody is left to be told who died; and whoever comes back should not hear that first.
    if (membership.present.size === 0) queue.clear('membership')
    // Whom we have just heard of by asking, others know.
    else if (before !== undefined || origin !== 'asked')
      this.#pass(after.id, by, isUrgent(after, before))
    if (isNoticeable(after, before)) hands.onMember(after, before)
    const event = eventOf(after, before, by)
    if (event !== undefined) hands.onEvent(event)
  }

  /** Tells the others what we believe of a member now. */
  #pass(id: MemberId, by: MemberId, urgent: boolean): void {
    const { membership, queue, hands } = this.#options
    const believed = membership.get(id)?.member
    if (believed === undefined) return
    queue.put('membership', id, encodePart(asPart(believed, by)))
    hands.news(urgent)
  }

  #isPresent(id: MemberId): boolean {
    return this.#options.membership.present.has(id)
  }
}

/** A doubt and what ends it: somebody may die of a delay. */
function isUrgent(after: Member, before: Member | undefined): boolean {
  return after.state === 'suspect' || before?.state === 'suspect'
}

function asPart(member: Member, by: MemberId): Alive | Suspect | Dead {
  const { id, incarnation, address, name } = member
  switch (member.state) {
    case 'alive':
      return { type: 'alive', id, incarnation, address, name }
    case 'suspect':
      return { type: 'suspect', id, incarnation, by }
    case 'dead':
      return { type: 'dead', id, incarnation, by }
    case 'left':
      return { type: 'dead', id, incarnation, by: id }
  }
}

function eventOf(after: Member, before: Member | undefined, by: MemberId): GossipEvent | undefined {
  if (after.state === before?.state) {
    return isNoticeable(after, before) ? { kind: 'changed', member: after, before } : undefined
  }
  switch (after.state) {
    case 'alive':
      return { kind: before?.state === 'suspect' ? 'recovered' : 'joined', member: after }
    case 'suspect':
      // Of one that nobody here believed to be alive it is rather good news.
      return before === undefined || !isPresent(before.state)
        ? { kind: 'joined', member: after }
        : { kind: 'suspected', member: after, by }
    case 'dead':
      return { kind: 'died', member: after, by }
    case 'left':
      return { kind: 'left', member: after }
  }
}

// What happened to members, for people: each event becomes a line of the log and of `weft node events`.

import type { Member, MemberId } from './member.ts'

export type GossipEvent =
  /** A member that was not known, or was not present, is alive. */
  | { readonly kind: 'joined'; readonly member: Member }
  /** Did not answer; `by` whom (maybe this host). */
  | { readonly kind: 'suspected'; readonly member: Member; readonly by: MemberId }
  /** A suspect is alive after all. */
  | { readonly kind: 'recovered'; readonly member: Member }
  | { readonly kind: 'died'; readonly member: Member; readonly by: MemberId }
  | { readonly kind: 'left'; readonly member: Member }
  /** Another name or address. */
  | { readonly kind: 'changed'; readonly member: Member; readonly before: Member }
  /** Somebody believed something about this host that is not so. */
  | { readonly kind: 'refuted'; readonly incarnation: number; readonly by: MemberId }
  /** This host was put out of the cluster, as `by` says. */
  | { readonly kind: 'expelled'; readonly by: MemberId }
  /** Timers of this host were late: it, or its machine, stood still. */
  | { readonly kind: 'paused'; readonly lateMs: number }

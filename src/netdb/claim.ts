// A claim: since when an endpoint or a VIP has its addresses, or a network or service its name. It outlives rewrites, restarts and defence, and ends with
// what is claimed.

import type { Kind, NetdbRecord, ValueOf, Written } from './record.ts'

/** The value with the time of its claim, if its kind has one: that of the record that is held, if it claims the same, else `nowLamport`. */
export function claimed<K extends Kind>(
  kind: K,
  value: Written<K>,
  held: NetdbRecord | null | undefined,
  nowLamport: number,
): ValueOf[K] {
  if (kind === 'endpoint') {
    const claimedAt = claimOf(value as Written<'endpoint'>, held) ?? nowLamport
    return { ...value, claimedAt } as ValueOf[K]
  }
  if (kind === 'network' || kind === 'service') {
    // Both keep their names for life.
    const claimedAt =
      held?.kind === 'network' || held?.kind === 'service' ? held.value?.claimedAt : undefined
    return { ...value, claimedAt: claimedAt ?? nowLamport } as ValueOf[K]
  }
  if (kind === 'vip') {
    const { ip, ip6 } = value as Written<'vip'>
    const before = held?.kind === 'vip' ? held.value : null
    const same = before !== null && before.ip === ip && before.ip6 === ip6
    return { ...value, claimedAt: same ? before.claimedAt : nowLamport } as ValueOf[K]
  }
  return value as ValueOf[K]
}

/** `ours`, with the claim of `other` if that is a record of the same addresses with an earlier one. */
export function withEarlierClaim(ours: NetdbRecord, other: NetdbRecord | null): NetdbRecord {
  if (ours.kind !== 'endpoint' || ours.value === null) return ours
  const { value } = ours
  const claimedAt = Math.min(value.claimedAt, claimOf(value, other) ?? value.claimedAt)
  return { ...ours, value: { ...value, claimedAt } }
}

/** Of two endpoints that claim the same, whether the first keeps it. */
export function precedes(one: NetdbRecord, other: NetdbRecord): boolean {
  const [a, b] = [one, other].map((record) =>
    record.kind === 'endpoint' && record.value !== null ? record.value.claimedAt : 0,
  ) as [number, number]
  return a === b ? one.owner < other.owner : a < b
}

/** Addresses are claimed on a network: when its subnet gets another VNI, nobody loses his. */
function claimOf(
  { network, mac, ip, ip6 }: Written<'endpoint'>,
  held: NetdbRecord | null | undefined,
): number | null {
  if (held?.kind !== 'endpoint' || held.value === null) return null
  const { value } = held
  const same =
    value.network === network && value.mac === mac && value.ip === ip && value.ip6 === ip6
  return same ? value.claimedAt : null
}

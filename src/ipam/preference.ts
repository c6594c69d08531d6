// A host's preference: which of the free candidates it tries first, so that hosts that allocate without hearing each other rarely meet.
//
// Every candidate ranks all members by a hash of the two (rendezvous hashing), and a host prefers what ranks it first: the lowest of
// that, because people want to see low values. It is an order, not ownership: when nothing that it prefers is free, it takes the rest.
// Members count whether they are present or not, so that both halves of a partition divide what is free alike.
//
// Figures and the roads not taken: README.md.

/** Who may allocate: this host and all members that it has heard of, absent ones too, by their ids. */
export interface Contenders {
  readonly self: string
  readonly members: Iterable<string>
}

/** So many free candidates are looked at, the lowest ones: it bounds the time and keeps values low. */
const LOOKED_AT = 1024

/**
 * The one of the free candidates that this host tries first; undefined: there is none.
 *
 * @param free numbers, rising
 * @param space what they are numbers of: in another space a host prefers other numbers
 * @param spread on average a host prefers one of so many, however many members there are; several then prefer the same
 */
export function preferred(
  free: Iterable<number>,
  { self, members }: Contenders,
  space: string,
  spread: number,
): number | undefined {
  const start = hashText(FNV_OFFSET, space)
  const own = hashText(start, self)
  const others = [...new Set(members)].filter((id) => id !== self).map((id) => hashText(start, id))
  const firstRanks = Math.ceil((others.length + 1) / spread)
  let looked = 0
  let best: { candidate: number; score: number } | undefined
  for (const candidate of free) {
    if (looked++ === LOOKED_AT) break
    const score = scoreOf(own, candidate)
    if (ranksAmong(firstRanks, score, candidate, others)) return candidate
    // Whoever prefers these takes them from below; we take them in an order of our own.
    if (best === undefined || score > best.score) best = { candidate, score }
  }
  return best?.candidate
}

/** Whether fewer than `ranks` of the others have a higher score for the candidate. */
function ranksAmong(
  ranks: number,
  score: number,
  candidate: number,
  others: readonly number[],
): boolean {
  let above = 0
  for (const seed of others) {
    if (scoreOf(seed, candidate) > score && ++above === ranks) return false
  }
  return true
}

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** FNV-1a: quick for the hundreds of ids of each choice; scoreOf mixes what it leaves alike. */
function hashText(start: number, text: string): number {
  let hash = start
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return hash
}

/** A hash of 32 bits: the finalizer of MurmurHash3, after spreading neighbours apart by the golden ratio. */
function scoreOf(seed: number, candidate: number): number {
  let hash = seed ^ Math.imul(candidate + 1, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

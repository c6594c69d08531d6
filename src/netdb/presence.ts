// Presence: whose records are served, whose are hidden, whose are not taken any more.
//
//   unknown ─ told present ─► present ◄──► absent ── 24 h, or forgotten ──► forgotten ── 24 h ──► unknown
//      └── a record of its arrives: counts as absent until somebody tells that it is present
//
// Forgotten is a state of its own because hosts do not forget at the same moment: whoever still has the records would give them
// back to those that have dropped them already, forever. Expelled is what a node record says, and stands above all of that.

/** How long a member may be away before what it owned is dropped, and how long that is then refused. */
export const ABSENCE_LIMIT_MS = 24 * 3_600_000

interface Absence {
  sinceMs: number
  /** It was present while this host ran: we know best since when it is not. */
  readonly met: boolean
}

export class Presence {
  readonly #self: string
  readonly #everyone: boolean
  readonly #present = new Set<string>()
  readonly #absent = new Map<string, Absence>()
  readonly #forgottenAtMs = new Map<string, number>()
  readonly #expelled = new Set<string>()

  constructor(self: string, everyone: boolean) {
    this.#self = self
    this.#everyone = everyone
  }

  isPresent(member: string): boolean {
    return this.#everyone || member === this.#self || this.#present.has(member)
  }

  setPresent(member: string): void {
    this.#present.add(member)
    this.#absent.delete(member)
    this.#forgottenAtMs.delete(member)
  }

  setAbsent(member: string, nowMs: number): void {
    if (this.#present.delete(member)) this.#absent.set(member, { sinceMs: nowMs, met: true })
  }

  /** A record of its is taken. `ageMs`: how long its owner has been away, as whoever sends it believes. */
  noteOwner(owner: string, ageMs: number, nowMs: number): void {
    if (this.isPresent(owner)) return
    const known = this.#absent.get(owner)
    const sinceMs = nowMs - ageMs
    if (known === undefined) this.#absent.set(owner, { sinceMs, met: false })
    else if (!known.met) known.sinceMs = Math.min(known.sinceMs, sinceMs)
  }

  absentForMs(member: string, nowMs: number): number {
    const absence = this.#absent.get(member)
    return absence === undefined ? 0 : nowMs - absence.sinceMs
  }

  forget(member: string, nowMs: number): void {
    this.#present.delete(member)
    this.#absent.delete(member)
    this.#forgottenAtMs.set(member, nowMs)
  }

  isForgotten(member: string): boolean {
    return this.#forgottenAtMs.has(member)
  }

  /** Who has been absent for too long. Ends the states that are over. */
  overdue(nowMs: number): string[] {
    for (const [member, atMs] of this.#forgottenAtMs) {
      if (nowMs - atMs >= ABSENCE_LIMIT_MS) this.#forgottenAtMs.delete(member)
    }
    return [...this.#absent.keys()].filter(
      (member) => this.absentForMs(member, nowMs) >= ABSENCE_LIMIT_MS,
    )
  }

  /** Of itself a host takes no notice: what it owns is what runs on it. */
  setExpelled(member: string, expelled: boolean): void {
    if (expelled && member !== this.#self) this.#expelled.add(member)
    else this.#expelled.delete(member)
  }

  isExpelled(member: string): boolean {
    return this.#expelled.has(member)
  }
}

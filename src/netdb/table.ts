// The table of all records that this host knows, and the one place where they change.
//
// Writers: what this host does itself (put, remove), what it is told (receive, merge), and what a file says (assume). All end in
// the same step, #refresh, so watchers see a local attach and a remote one alike.
//
// What is held is not what is served: hidden are the records of members that are absent, of kinds that we do not know, tombstones,
// and those of this host's own past that it has not put again. All of that is still compared with others and relayed.

import { WeftError } from '../errors.ts'
import {
  type Envelope,
  type Malformed,
  encodeRecord,
  encodeTombstone,
  readEnvelope,
  readRecord,
} from './codec.ts'
import { claimed, precedes, withEarlierClaim } from './claim.ts'
import { LamportClock } from './lamport.ts'
import { isFork, replaces } from './merge.ts'
import { ABSENCE_LIMIT_MS, Presence } from './presence.ts'
import {
  type EncodedRecord,
  type Kind,
  type LiveRecord,
  type NetdbRecord,
  type ValueOf,
  type Version,
  type Written,
  isOwned,
  recordName,
} from './record.ts'
import { type Change, Served, type Watcher } from './served.ts'
import { type Entry, type Full, LIMITS, type Limits, RecordStore, type Stored } from './store.ts'

export type { Change, Watcher }

/** How long a tombstone stands: a host that is away for longer discards what it has. */
export const TOMBSTONE_LIFE_MS = 24 * 3_600_000
/** A fact of ours that somebody forges all the time is set right so often; two hosts with one id must not fill the network. */
const DEFENCE_INTERVAL_MS = 1_000

export interface NetdbOptions {
  /** Nobody is hidden: without a cluster there is nobody to say who is present. */
  readonly everyonePresent?: boolean
  /** Begins with adoption, which ready() ends: records of this host's own past are kept until then. */
  readonly adopting?: boolean
  /** Clock.nowMs; without it nothing ages. */
  readonly nowMs?: () => number
  readonly limits?: Partial<Limits>
}

/** Why a record is not taken. */
export type Refusal = Malformed | Full | 'lamport_ahead' | 'expelled' | 'forgotten'

/** What became of a record that was received; `news`: it is to be relayed. */
export interface Receipt {
  readonly name: string
  readonly news: boolean
}

export interface NetdbCounters {
  /** Records received that were news, and that were not. */
  readonly news: number
  readonly known: number
  /** Facts of ours that others had otherwise. */
  readonly defended: number
  /** Two different records of one version: somebody lies. */
  readonly forked: number
  readonly refused: Readonly<Partial<Record<Refusal, number>>>
}

export class Netdb {
  readonly self: string
  readonly #nowMs: () => number
  readonly #ages: boolean
  readonly #clock = new LamportClock()
  readonly #store: RecordStore
  readonly #presence: Presence
  readonly #served = new Served()
  readonly #assumed = new Map<string, NetdbRecord>()
  readonly #writeWatchers = new Set<(record: EncodedRecord) => void>()
  /** Names of this host's own records that it has not put since it started. */
  readonly #past = new Set<string>()
  /** What was written in defence, and when. */
  readonly #defences = new WeakMap<EncodedRecord, number>()
  #adopting: boolean
  readonly #refused = new Map<Refusal, number>()
  #counts = { news: 0, known: 0, defended: 0, forked: 0 }

  /** @param self the id of this host's member */
  constructor(self: string, options: NetdbOptions = {}) {
    this.self = self
    this.#nowMs = options.nowMs ?? (() => 0)
    this.#ages = options.nowMs !== undefined
    this.#store = new RecordStore({ ...LIMITS, ...options.limits })
    this.#presence = new Presence(self, options.everyonePresent ?? false)
    this.#adopting = options.adopting ?? false
  }

  // What this host says.

  /**
   * Writes a fact of this host's. `claimedAt`: since when it stands, if this host was killed before it wrote its records down, and knows from elsewhere.
   *
   * @throws WeftError invalid_argument when it is too large to travel, unavailable when the table is full
   */
  put<K extends Kind>(kind: K, key: string, value: Written<K>, claimedAt?: number): LiveRecord<K> {
    const named = { kind, key, owner: this.self }
    const held = this.#store.get(recordName(named))?.held
    if (claimedAt !== undefined) this.#clock.witness(claimedAt)
    const version = this.nextVersion()
    const owner =
      isOwned(kind) || (held?.tombstone ?? true) ? this.self : (held?.owner ?? this.self)
    const full = claimed(kind, value, held?.record, claimedAt ?? version.lamport)
    const record = { kind, key, owner, version, value: full } as NetdbRecord
    const encoded = encodeRecord(record)
    const reason = this.#store.isFull(encoded)
    if (reason !== null) {
      throw new WeftError(
        'unavailable',
        `the table has no place for ${encoded.name}: ${this.#store.count} records, ${reason}`,
      )
    }
    this.#write(encoded)
    return record as unknown as LiveRecord<K>
  }

  /** Takes a fact back: leaves a tombstone. Nothing happens when there is no such fact. */
  remove(kind: Kind, key: string): void {
    const held = this.#store.get(recordName({ kind, key, owner: this.self }))?.held
    if (held === undefined || held.tombstone) return
    this.#write(encodeTombstone(held, this.nextVersion()))
  }

  /**
   * Ends adoption: what this host owned in its past and has not put again is taken back. Order: load the snapshot, adopt the
   * sandboxes (put), ready, join. What a cluster still knows of this host's past is taken back as it arrives after that.
   */
  ready(): void {
    this.#adopting = false
    for (const name of [...this.#past]) {
      const held = this.#store.get(name)?.held
      if (held !== undefined) this.#write(encodeTombstone(held, this.nextVersion()))
    }
  }

  /** Calls back on each write of this host's, to be sent to the others. */
  watchWrites(watcher: (record: EncodedRecord) => void): () => void {
    this.#writeWatchers.add(watcher)
    return () => this.#writeWatchers.delete(watcher)
  }

  /** The version for a write of this host's. */
  nextVersion(): Version {
    return { lamport: this.#clock.tick(), writer: this.self }
  }

  // What a file says.

  /** Serves a fact that nobody wrote, as of a facts file: until a record of its name stands. Never sent. */
  assume<K extends Kind>(kind: K, key: string, owner: string, value: ValueOf[K]): void {
    const version = { lamport: 0, writer: this.self }
    const record = { kind, key, owner, version, value } as unknown as NetdbRecord
    const name = recordName(record)
    this.#assumed.set(name, record)
    this.#refresh(name)
  }

  unassume(kind: Kind, key: string, owner: string): void {
    const name = recordName({ kind, key, owner })
    if (this.#assumed.delete(name)) this.#refresh(name)
  }

  // What others say.

  /**
   * Takes a record as another has written it. null: it was refused, and counted. Never throws.
   *
   * @param ageMs how long it has been a tombstone, or its owner absent, where it comes from: Entry age, not to live again by being sent
   */
  receive(bytes: Uint8Array, ageMs = 0): Receipt | null {
    const envelope = readEnvelope(bytes)
    if (typeof envelope === 'string') return this.#refuse(envelope)
    return this.#consider(envelope, () => readRecord(envelope), ageMs)
  }

  /** The same for a record that is read already. Whether it was news. */
  merge(record: EncodedRecord): boolean {
    return this.#consider(record, () => record, 0)?.news ?? false
  }

  /** What a member owns is served while it is present. */
  setPresent(member: string, present: boolean): void {
    const was = this.#presence.isPresent(member)
    if (present) this.#presence.setPresent(member)
    else this.#presence.setAbsent(member, this.#nowMs())
    if (this.#presence.isPresent(member) === was) return
    for (const name of this.#store.ownedBy(member)) this.#refresh(name)
  }

  /** The member is no more: what it owns is dropped, and for a while not taken from those who have it still. */
  forget(member: string): void {
    if (member === this.self) return
    this.#presence.forget(member, this.#nowMs())
    this.#drop(this.#store.ownedBy(member))
  }

  /** Drops what has been a tombstone, or whose owner has been absent, for 24 hours. To be called now and then. */
  dropAged(): void {
    const nowMs = this.#nowMs()
    const aged: string[] = []
    for (const name of this.#store.tombstones()) {
      const entry = this.#store.get(name)
      if (entry !== undefined && nowMs - entry.sinceMs >= TOMBSTONE_LIFE_MS) aged.push(name)
    }
    this.#drop(aged)
    for (const member of this.#presence.overdue(nowMs)) this.forget(member)
  }

  // What is so.

  /** The fact of that key. `owner`: of an owned kind, whose; without it, of several the one that claimed first. */
  get<K extends Kind>(kind: K, key: string, owner?: string): LiveRecord<K> | undefined {
    if (owner !== undefined)
      return this.#served.find(recordName({ kind, key, owner })) as LiveRecord<K> | undefined
    const [first, ...others] = this.#served.ofKey(kind, key)
    const found = others.reduce(
      (one, other) => (precedes(other, one as NetdbRecord) ? other : one),
      first,
    )
    return found as LiveRecord<K> | undefined
  }

  /** The record of that name (recordName), whichever kind it is. */
  find(name: string): NetdbRecord | undefined {
    return this.#served.find(name)
  }

  /** All facts of a kind, in no order. */
  list<K extends Kind>(kind: K): LiveRecord<K>[] {
    return this.#served.list(kind) as unknown as LiveRecord<K>[]
  }

  /** The facts of a kind that hold and are not served: of absent members, who keep their addresses. */
  listHidden<K extends Kind>(kind: K): LiveRecord<K>[] {
    const hidden: LiveRecord<K>[] = []
    for (const { held } of this.#store.entries()) {
      if (held.kind !== kind || held.tombstone || this.#served.find(held.name) !== undefined)
        continue
      hidden.push(held.record as unknown as LiveRecord<K>)
    }
    return hidden
  }

  /** A member's name for people, also when it is absent; the id of one that is not known. */
  nameOfMember(id: string): string {
    const name = recordName({ kind: 'member', key: id, owner: id })
    const record = this.#store.get(name)?.held.record ?? this.#assumed.get(name)
    return record?.kind === 'member' && record.value !== null ? record.value.name : id
  }

  /** Calls back on each change from now on, in order; gives the function that ends it. */
  watch(watcher: Watcher): () => void {
    return this.#served.watch(watcher)
  }

  // What is compared and kept.

  /** All that is held, with its digest. */
  get stored(): Stored {
    return this.#store
  }

  get lamport(): number {
    return this.#clock.time
  }

  /** The time up to which this host has written or seen, before it ended. */
  resumeAt(lamport: number): void {
    this.#clock.witness(lamport)
  }

  /** How long a record has been a tombstone or its owner absent, in milliseconds; 0: neither. */
  ageMs({ held, sinceMs }: Entry): number {
    const nowMs = this.#nowMs()
    const deadForMs = held.tombstone ? nowMs - sinceMs : 0
    return Math.max(deadForMs, held.owned ? this.#presence.absentForMs(held.owner, nowMs) : 0)
  }

  counters(): NetdbCounters {
    return { ...this.#counts, refused: Object.fromEntries(this.#refused) }
  }

  /** Decides on a record of anybody's: in the order in which it costs most to be wrong. */
  #consider(
    incoming: Envelope | EncodedRecord,
    read: () => EncodedRecord | Malformed,
    ageMs: number,
  ): Receipt | null {
    const { name, owner, owned, version, tombstone } = incoming
    if (!this.#clock.isPlausible(version.lamport)) return this.#refuse('lamport_ahead')
    const held = this.#store.get(name)?.held
    const known = { name, news: false }
    if (held !== undefined && isFork(incoming, held)) this.#counts.forked++
    if (!replaces(incoming, held)) {
      this.#counts.known++
      return known
    }
    const refusal = this.#refusalOf(incoming, ageMs)
    if (refusal !== null) return this.#refuse(refusal)
    const record = read()
    if (typeof record === 'string') return this.#refuse(record)
    this.#clock.witness(version.lamport)
    if (owned && owner === this.self) {
      if (this.#isForeign(name, tombstone)) {
        this.#defend(record, held)
        return known
      }
      if (!tombstone) this.#past.add(name)
      else this.#past.delete(name)
    }
    if (owned) this.#presence.noteOwner(owner, tombstone ? 0 : ageMs, this.#nowMs())
    this.#hold(record, ageMs)
    this.#counts.news++
    return { name, news: true }
  }

  #refusalOf(incoming: Envelope | EncodedRecord, ageMs: number): Refusal | null {
    const { owner, owned, tombstone } = incoming
    if (owned && this.#presence.isExpelled(owner)) return 'expelled'
    if (owned && this.#presence.isForgotten(owner)) return 'forgotten'
    if (tombstone && ageMs >= TOMBSTONE_LIFE_MS) return 'too_old'
    const absent = owned && !this.#presence.isPresent(owner)
    if (absent && ageMs >= ABSENCE_LIMIT_MS) return 'too_old'
    return this.#store.isFull(incoming)
  }

  /** Whether a record in this host's name that replaces what is held is not of this host's doing, or of its past. */
  #isForeign(name: string, tombstone: boolean): boolean {
    const held = this.#store.get(name)?.held
    const isFact = held !== undefined && !held.tombstone && !this.#past.has(name)
    if (isFact) return true
    // Our own past may have removed it, and who takes back what does not hold anyway does no harm.
    return !tombstone && !this.#adopting
  }

  /** Writes again what holds, or takes back what does not, later than what came. */
  #defend(incoming: EncodedRecord, held: EncodedRecord | undefined): void {
    const nowMs = this.#nowMs()
    const lastMs = held === undefined ? undefined : this.#defences.get(held)
    // Whoever has the other version will come again with it.
    if (lastMs !== undefined && nowMs - lastMs < DEFENCE_INTERVAL_MS) return
    this.#counts.defended++
    const version = this.nextVersion()
    const fact = held?.record
    const answer =
      fact === null || fact === undefined || fact.value === null
        ? encodeTombstone(incoming, version)
        : encodeRecord(withEarlierClaim({ ...fact, version }, incoming.record))
    if (this.#ages) this.#defences.set(answer, nowMs)
    this.#write(answer)
  }

  #write(record: EncodedRecord): void {
    this.#past.delete(record.name)
    this.#hold(record, 0)
    for (const watcher of [...this.#writeWatchers]) watcher(record)
  }

  /** Holds a record that replaces what was held, and does what follows from it. */
  #hold(record: EncodedRecord, ageMs: number): void {
    const { name } = record
    this.#store.set(record, this.#nowMs() - ageMs)
    this.#refresh(name)
    if (record.record?.kind === 'node') this.#followNode(record.record.key, record.record.value)
  }

  #followNode(member: string, value: ValueOf['node'] | null): void {
    this.#presence.setExpelled(member, value?.expelled ?? false)
    if (this.#presence.isExpelled(member)) this.#drop(this.#store.ownedBy(member))
  }

  #drop(names: readonly string[]): void {
    for (const name of names) {
      this.#store.delete(name)
      this.#refresh(name)
    }
  }

  /** Serves under a name what is to be served now. */
  #refresh(name: string): void {
    const held = this.#store.get(name)?.held
    if (held === undefined || held.tombstone) {
      // The file still says so.
      this.#served.set(name, this.#assumed.get(name))
      return
    }
    const hidden = held.owned && (this.#past.has(name) || !this.#presence.isPresent(held.owner))
    this.#served.set(name, hidden ? undefined : (held.record ?? undefined))
  }

  #refuse(reason: Refusal): null {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1)
    return null
  }
}

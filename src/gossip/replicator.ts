// The replicator: netdb's records ride on gossip, as rumours, as acknowledged messages, and by comparing tables.
//
//   a write here ─► rumour ─► everybody, mostly in a fraction of a second: no single message is certain
//   acknowledge  ─► message and ack: for who has to know that certain members have it
//   every 1.5 s  ─► digest to one member at random ─► where it differs, that one starts an exchange: this is what is certain
//
// In a hurry (a member came or recovered, more was learned than rumours can carry) digests go out several times a second: each host that
// knows makes another one know, so a healed partition is one table again after a few rounds.

import type { Clock, Timer } from '../clock.ts'
import type { EncodedRecord } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Channel, Passenger } from './channel.ts'
import { type Member, type MemberId, isPresent } from './member.ts'
import { Acknowledgements } from './record-acknowledgements.ts'
import { compareBuckets, gather, isSameTable } from './record-compare.ts'
import { type ExchangeResult, RecordExchange } from './record-exchange.ts'
import {
  type AgedRecord,
  type RecordMessage,
  type TableDigest,
  decodeMessage,
  decodeRequest,
  encodeAck,
  encodeCompareReply,
  encodeDigest,
  encodeSwapReply,
} from './record-messages.ts'
import { RumourBudget } from './rumour-budget.ts'

export interface ReplicatorSettings {
  /** Between two digests to a random member, when all is well. */
  readonly compareIntervalMs: number
  /** The same in a hurry, and how long a hurry lasts. */
  readonly hurriedIntervalMs: number
  readonly hurryMs: number
  /** Exchanges that this host runs at a time: a slow peer must not hold up the others. */
  readonly maxExchanges: number
  readonly requestTimeoutMs: number
  /** An exchange that takes longer is broken off; the next one goes on where it was. */
  readonly exchangeLimitMs: number
  /** A member whose table differs although an exchange brought nothing is left alone for so long. */
  readonly fruitlessPauseMs: number
  /** Between two exchanges with one member at least. */
  readonly pauseMs: number
  /** Records learned by comparing that are spread as rumours: at once, and per second. */
  readonly rumourBurst: number
  readonly rumoursPerSecond: number
}

export const REPLICATOR_SETTINGS: ReplicatorSettings = {
  compareIntervalMs: 1_500,
  hurriedIntervalMs: 200,
  hurryMs: 2_000,
  maxExchanges: 2,
  requestTimeoutMs: 2_000,
  exchangeLimitMs: 10_000,
  fruitlessPauseMs: 1_000,
  pauseMs: 100,
  rumourBurst: 50,
  rumoursPerSecond: 50,
}

const DROP_AGED_INTERVAL_MS = 60_000
/** Members that wait to be compared with; whoever finds no place will send another digest. */
const MAX_WAITING = 64
/** A tombstone that old is nobody's news: as a rumour, which carries no age, it would live again for a day. */
const MAX_RUMOUR_AGE_MS = 60_000

export interface ReplicatorOptions {
  readonly netdb: Netdb
  readonly clock: Clock
  /** 0 to below 1. */
  readonly random: () => number
  readonly settings?: Partial<ReplicatorSettings>
  /** A record says that this member, maybe this host itself, is expelled. */
  readonly onExpelled?: (member: MemberId) => void
}

export class Replicator implements Passenger {
  readonly #netdb: Netdb
  readonly #clock: Clock
  readonly #random: () => number
  readonly #settings: ReplicatorSettings
  readonly #onExpelled: (member: MemberId) => void
  readonly #acknowledgements: Acknowledgements
  readonly #budget: RumourBudget
  #channel: Channel | null = null
  #timer: Timer | null = null
  #undo: (() => void)[] = []
  #hurryUntilMs = -Infinity
  #droppedAgedAtMs: number
  /** Members to compare with, and their digest if it was that which said so. */
  readonly #waiting = new Map<MemberId, TableDigest | null>()
  readonly #running = new Set<MemberId>()
  /** Those that are present. */
  readonly #members = new Set<MemberId>()
  readonly #pausedUntilMs = new Map<MemberId, number>()
  readonly #counts = {
    rumoursSent: 0,
    rumoursReceived: 0,
    digestsSent: 0,
    digestsEqual: 0,
    digestsDifferent: 0,
    exchanges: 0,
    exchangesBroken: 0,
    exchangesAnswered: 0,
    recordsLearned: 0,
    recordsGiven: 0,
    putsReceived: 0,
    acksReceived: 0,
    acksMissing: 0,
    malformed: 0,
  }

  constructor({ netdb, clock, random, settings, onExpelled }: ReplicatorOptions) {
    this.#netdb = netdb
    this.#clock = clock
    this.#random = random
    this.#settings = { ...REPLICATOR_SETTINGS, ...settings }
    this.#onExpelled = onExpelled ?? (() => undefined)
    this.#droppedAgedAtMs = clock.nowMs()
    const { rumourBurst, rumoursPerSecond } = this.#settings
    this.#budget = new RumourBudget(clock, rumourBurst, rumoursPerSecond)
    const firstToken = Math.floor(random() * 2 ** 32)
    this.#acknowledgements = new Acknowledgements(clock, firstToken, (to, body) => {
      this.#channel?.send(to, body)
    })
  }

  /** Before start(): by what it sends. */
  attach(channel: Channel): void {
    this.#channel = channel
  }

  start(): void {
    this.stop()
    const expelled = this.#netdb.list('node').filter(({ value }) => value.expelled)
    this.#undo = [
      this.#netdb.watchWrites((record) => {
        this.#spread(record)
      }),
      this.#netdb.watch(({ before, after }) => {
        if (after?.kind !== 'node' || after.value?.expelled !== true) return
        if (before?.kind === 'node' && before.value?.expelled === true) return
        this.#onExpelled(after.key)
      }),
    ]
    for (const { id, state } of this.#channel?.members() ?? []) {
      this.#setPresent(id, isPresent(state))
    }
    this.#schedule(this.#random() * this.#settings.compareIntervalMs)
    for (const { key } of expelled) this.#onExpelled(key)
  }

  stop(): void {
    for (const step of this.#undo.splice(0)) step()
    this.#timer?.cancel()
    this.#timer = null
    this.#waiting.clear()
  }

  /**
   * Sends the records that stand under these names (recordName) straight to the members, and calls back once: with the
   * members that have not acknowledged all of them in time.
   */
  acknowledge(
    names: readonly string[],
    members: readonly MemberId[],
    done: (missing: MemberId[]) => void,
    timeoutMs = 200,
  ): void {
    const records = names.flatMap((name) => this.#netdb.stored.get(name)?.held.encoded ?? [])
    const others = members.filter((member) => member !== this.#netdb.self)
    this.#acknowledgements.request(records, others, timeoutMs, (missing) => {
      this.#counts.acksMissing += missing.length
      done(missing)
    })
  }

  /** Compares with two members at random, now; calls back when it is done, or time is over. */
  refresh(done: () => void, timeoutMs = 200): void {
    const members = this.#channel?.someMembers(2) ?? []
    let running = members.length
    let over = false
    const end = (): void => {
      if (over) return
      over = true
      timer.cancel()
      done()
    }
    const timer = this.#clock.setTimeout(end, running === 0 ? 0 : timeoutMs)
    for (const member of members) {
      this.#exchange(member, timeoutMs, () => {
        running--
        if (running === 0) end()
      })
    }
  }

  /** For metrics: what was sent, received, compared, and refused for which reason. */
  counters(): Record<string, number> {
    const { refused, ...records } = this.#netdb.counters()
    const counters: Record<string, number> = { ...this.#counts, ...records }
    for (const [reason, count] of Object.entries(refused)) counters[`refused.${reason}`] = count
    return counters
  }

  onBroadcast(body: Uint8Array): string | null {
    this.#counts.rumoursReceived++
    const receipt = this.#netdb.receive(body)
    return receipt?.news === true ? receipt.name : null
  }

  onMessage(body: Uint8Array, from: MemberId): void {
    const message = decodeMessage(body)
    switch (message?.type) {
      case 'digest':
        this.#onDigest(message, from)
        break
      case 'put':
        this.#onPut(message, from)
        break
      case 'ack':
        if (this.#acknowledgements.onAck(message.token, from)) this.#counts.acksReceived++
        break
      case undefined:
        this.#counts.malformed++
    }
  }

  onRequest(body: Uint8Array): Uint8Array | null {
    const request = decodeRequest(body)
    if (request === null) {
      this.#counts.malformed++
      return null
    }
    const { stored } = this.#netdb
    if (request.type === 'compare') {
      this.#counts.exchangesAnswered++
      return encodeCompareReply(compareBuckets(stored, request))
    }
    this.#learn(request.given)
    return encodeSwapReply(gather(stored, request.wanted, (entry) => this.#netdb.ageMs(entry)))
  }

  onMember(after: Member | undefined, before: Member | undefined): void {
    const id = (after ?? before)?.id
    if (id === undefined || id === this.#netdb.self) return
    const is = after !== undefined && isPresent(after.state)
    const isNew = is && !this.#members.has(id)
    this.#setPresent(id, is)
    if (after === undefined) this.#netdb.forget(id)
    if (isNew) this.#hurry()
  }

  onContact(member: MemberId): void {
    this.#pausedUntilMs.delete(member)
    this.#hurry()
    this.#compareWith(member, null)
  }

  onRecovery(member: MemberId): void {
    this.#hurry()
    this.#sendDigest(member)
  }

  #setPresent(member: MemberId, present: boolean): void {
    if (present) this.#members.add(member)
    else this.#members.delete(member)
    this.#pausedUntilMs.delete(member)
    this.#netdb.setPresent(member, present)
  }

  #spread({ name, encoded }: EncodedRecord): void {
    this.#counts.rumoursSent++
    this.#channel?.broadcast(name, encoded)
  }

  #onPut({ token, record }: Extract<RecordMessage, { type: 'put' }>, from: MemberId): void {
    this.#counts.putsReceived++
    const receipt = this.#netdb.receive(record)
    if (receipt === null) return
    this.#channel?.send(from, encodeAck(token))
    // The rumour will be no news here any more, and must not end here.
    if (receipt.news) this.#channel?.broadcast(receipt.name, Uint8Array.from(record))
  }

  #onDigest(theirs: TableDigest, from: MemberId): void {
    if (isSameTable(theirs, this.#netdb.stored)) {
      this.#counts.digestsEqual++
      return
    }
    this.#counts.digestsDifferent++
    if (this.#members.has(from)) this.#compareWith(from, theirs)
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.setTimeout(() => {
      this.#tick()
    }, delayMs)
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs()
    const { compareIntervalMs, hurriedIntervalMs } = this.#settings
    if (nowMs - this.#droppedAgedAtMs >= DROP_AGED_INTERVAL_MS) {
      this.#droppedAgedAtMs = nowMs
      this.#netdb.dropAged()
      this.#pausedUntilMs.clear()
    }
    for (const member of this.#channel?.someMembers(1) ?? []) this.#sendDigest(member)
    const intervalMs = nowMs < this.#hurryUntilMs ? hurriedIntervalMs : compareIntervalMs
    // Some play, so that hosts that were started together do not speak together.
    this.#schedule(intervalMs * (0.8 + 0.4 * this.#random()))
  }

  #sendDigest(to: MemberId): void {
    this.#counts.digestsSent++
    this.#channel?.send(to, encodeDigest(this.#netdb.stored))
  }

  #hurry(): void {
    const nowMs = this.#clock.nowMs()
    const { hurriedIntervalMs, hurryMs } = this.#settings
    const began = nowMs >= this.#hurryUntilMs
    this.#hurryUntilMs = nowMs + hurryMs
    if (began && this.#timer !== null) this.#schedule(this.#random() * hurriedIntervalMs)
  }

  #compareWith(member: MemberId, theirs: TableDigest | null): void {
    if (member === this.#netdb.self || this.#waiting.size >= MAX_WAITING) return
    this.#waiting.set(member, theirs)
    this.#startWaiting()
  }

  #startWaiting(): void {
    const { maxExchanges, requestTimeoutMs } = this.#settings
    for (const [member, theirs] of this.#waiting) {
      if (this.#running.size >= maxExchanges) return
      if (this.#running.has(member)) continue
      this.#waiting.delete(member)
      if (this.#clock.nowMs() < (this.#pausedUntilMs.get(member) ?? -Infinity)) continue
      // While it waited, others may have brought what it has.
      if (theirs !== null && isSameTable(theirs, this.#netdb.stored)) continue
      this.#running.add(member)
      this.#exchange(member, requestTimeoutMs, (result) => {
        this.#running.delete(member)
        this.#onExchanged(member, result)
        this.#startWaiting()
      })
    }
  }

  #onExchanged(member: MemberId, { complete, learned, given }: ExchangeResult): void {
    const { fruitlessPauseMs, pauseMs } = this.#settings
    const fruitless = complete && learned + given === 0
    const untilMs = this.#clock.nowMs() + (fruitless ? fruitlessPauseMs : pauseMs)
    if (this.#members.has(member)) this.#pausedUntilMs.set(member, untilMs)
  }

  #exchange(member: MemberId, timeoutMs: number, done: (result: ExchangeResult) => void): void {
    const channel = this.#channel
    if (channel === null) return
    const untilMs = this.#clock.nowMs() + this.#settings.exchangeLimitMs
    this.#counts.exchanges++
    const exchange = new RecordExchange({
      netdb: this.#netdb,
      request: (body, onReply) => {
        channel.request(member, body, timeoutMs, onReply)
      },
      learn: (records) => this.#learn(records),
      mayGoOn: () => this.#clock.nowMs() < untilMs,
      done: (result) => {
        if (!result.complete) this.#counts.exchangesBroken++
        this.#counts.recordsGiven += result.given
        done(result)
      },
    })
    exchange.start()
  }

  /** Merges what an exchange brought, and spreads of it what rumours can carry. How many were news. */
  #learn(records: readonly AgedRecord[]): number {
    let learned = 0
    let unspread = 0
    for (const { encoded, ageMs } of records) {
      const receipt = this.#netdb.receive(encoded, ageMs)
      if (receipt?.news !== true) continue
      learned++
      if (ageMs > MAX_RUMOUR_AGE_MS) continue
      const held = this.#netdb.stored.get(receipt.name)?.held
      if (held !== undefined && this.#budget.take()) this.#spread(held)
      else unspread++
    }
    this.#counts.recordsLearned += learned
    // Whoever lacks as much as we did gets it by comparing, from us as soon as from anybody.
    if (unspread > 0) this.#hurry()
    return learned
  }
}

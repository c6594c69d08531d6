// The prober: asks members in turn whether they are there, and says who did not answer.
//
//   ping ──── pingTimeoutMs ───► ping again, ping-req by relays, and a stream ──── until probeTimeoutMs ───► failed
//     └────────── an ack from the member, from a relay, or over the stream ──────────► answered
//
// Both times are multiplied by our awareness. A pause of this host abandons what is under way: no answer could be heard.

import type { Timer } from '../clock.ts'
import type { Awareness } from './awareness.ts'
import type { GossipSettings } from './defaults.ts'
import type { MemberId } from './member.ts'
import type { Roster } from './roster.ts'
import type { Timekeeper } from './timekeeper.ts'

/** What the prober has others do for it. */
export interface ProbeHands {
  nextSeq(): number
  ping(target: MemberId, seq: number): void
  pingReq(relay: MemberId, target: MemberId, seq: number): void
  /** Asks over a stream; an answer is an ack like any other. */
  stream(target: MemberId, seq: number, timeoutMs: number): void
  onFailed(target: MemberId): void
}

export interface ProberOptions {
  readonly settings: GossipSettings
  readonly timekeeper: Timekeeper
  readonly awareness: Awareness
  readonly present: Roster
  readonly hands: ProbeHands
}

/** One ping that waits for its ack. */
interface Probe {
  readonly target: MemberId
  readonly seq: number
  relays: readonly MemberId[]
  /** Relays that are well themselves. */
  readonly nacks: Set<MemberId>
}

/** The probes of one tick share two timers. */
interface Batch {
  readonly seqs: readonly number[]
  timer: Timer | undefined
}

export class Prober {
  readonly #options: ProberOptions
  readonly #probes = new Map<number, Probe>()
  readonly #byTarget = new Map<MemberId, Probe>()
  readonly #batches = new Set<Batch>()
  #started = 0
  #failed = 0

  constructor(options: ProberOptions) {
    this.#options = options
  }

  get started(): number {
    return this.#started
  }

  get failed(): number {
    return this.#failed
  }

  /** Pings the next members. Who is still being probed, because our timeouts are long, is pinged for the same probe. */
  tick(): void {
    const { settings, timekeeper, awareness, present, hands } = this.#options
    const seqs: number[] = []
    for (const target of present.next(settings.probeFanout)) {
      const running = this.#byTarget.get(target)
      if (running !== undefined) {
        hands.ping(target, running.seq)
        continue
      }
      const seq = hands.nextSeq()
      const probe: Probe = { target, seq, relays: [], nacks: new Set() }
      this.#probes.set(seq, probe)
      this.#byTarget.set(target, probe)
      seqs.push(seq)
      hands.ping(target, seq)
    }
    if (seqs.length === 0) return
    this.#started += seqs.length
    const batch: Batch = { seqs, timer: undefined }
    this.#batches.add(batch)
    const { multiplier } = awareness
    batch.timer = timekeeper.after(settings.pingTimeoutMs * multiplier, () => {
      this.#goRound(batch, (settings.probeTimeoutMs - settings.pingTimeoutMs) * multiplier)
    })
  }

  /** Whether it was an answer to a probe of ours. Only who was asked may answer. */
  ack(from: MemberId, seq: number): boolean {
    const probe = this.#probes.get(seq)
    if (probe === undefined) return false
    if (from !== probe.target && !probe.relays.includes(from)) return false
    this.#answered(probe)
    return true
  }

  nack(from: MemberId, seq: number): void {
    const probe = this.#probes.get(seq)
    if (probe?.relays.includes(from) === true) probe.nacks.add(from)
  }

  abandon(): void {
    for (const batch of this.#batches) batch.timer?.cancel()
    this.#batches.clear()
    this.#probes.clear()
    this.#byTarget.clear()
  }

  /** No ack in time: by way of others, and by TCP, which gets through where UDP is filtered. */
  #goRound(batch: Batch, timeoutMs: number): void {
    const { settings, timekeeper, present, hands } = this.#options
    let waiting = false
    for (const seq of batch.seqs) {
      const probe = this.#probes.get(seq)
      if (probe === undefined) continue
      waiting = true
      probe.relays = present.sample(settings.relays, new Set([probe.target]))
      for (const relay of probe.relays) hands.pingReq(relay, probe.target, seq)
      hands.stream(probe.target, seq, timeoutMs)
      // One lost datagram is the likeliest reason of all.
      hands.ping(probe.target, seq)
    }
    if (waiting) batch.timer = timekeeper.after(timeoutMs, () => this.#conclude(batch))
    else this.#batches.delete(batch)
  }

  #conclude(batch: Batch): void {
    this.#batches.delete(batch)
    for (const seq of batch.seqs) {
      const probe = this.#probes.get(seq)
      if (probe === undefined) continue
      this.#end(probe)
      // Gone meanwhile.
      if (!this.#options.present.has(probe.target)) continue
      this.#failed++
      // Relays that are silent as well: maybe it is us.
      if (probe.nacks.size < probe.relays.length || probe.relays.length === 0) {
        this.#options.awareness.worse()
      }
      this.#options.hands.onFailed(probe.target)
    }
  }

  #answered(probe: Probe): void {
    this.#end(probe)
    this.#options.awareness.better()
  }

  #end(probe: Probe): void {
    this.#probes.delete(probe.seq)
    this.#byTarget.delete(probe.target)
  }
}

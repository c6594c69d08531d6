// The simulated network: carries datagrams and streams between hosts, late, twice, out of order, or not at all.
//
// It stands where src/cluster's sockets stand, and is as bad as a real one may be:
//  - A datagram is lost, doubled and delayed by chance; cuts go in one direction; partitions part groups.
//  - A stream costs the round trips of TCP and TLS, and waits for retransmissions where a datagram would be lost. It needs
//    both directions. To a machine that is off it times out, to a process that is gone it is refused.
//  - What arrives at a stalled process waits in a socket buffer of the kernel's size; the rest is lost.
// `from` is always true: the seal and TLS see to that. Damaged datagrams never arrive for the same reason.

import type { Address, MemberId, Peer } from '../../src/gossip/member.ts'
import type { Transport, TransportListener } from '../../src/gossip/transport.ts'
import type { Random } from '../fixtures/random.ts'
import { type HostClock, type VirtualClock, VirtualEvent } from '../fixtures/virtual-clock.ts'

/** How all links behave. */
export interface LinkProfile {
  readonly minDelayMs: number
  readonly maxDelayMs: number
  /** Shares of datagrams, 0 to 1. */
  readonly loss: number
  readonly duplicated: number
  /** Share that is delayed by up to `maxLateMs` more: overtaken by what was sent after it. */
  readonly late: number
  readonly maxLateMs: number
}

/** A quiet local network. */
export const LAN: LinkProfile = {
  minDelayMs: 0.2,
  maxDelayMs: 2,
  loss: 0,
  duplicated: 0,
  late: 0,
  maxLateMs: 0,
}

/** What goes over the wire besides a datagram's body: the seal (80), UDP and IP headers (28). */
const DATAGRAM_OVERHEAD_BYTES = 108
/** Besides a stream's bodies: the handshakes of TCP and TLS 1.3 with two certificates, and their ends. */
const STREAM_OVERHEAD_BYTES = 2_600
/** net.core.rmem_default of Linux, and what its accounting adds to a small datagram. */
const SOCKET_BUFFER_BYTES = 212_992
const DATAGRAM_ACCOUNTED_BYTES = 768
/** Crossings of the network before a request can be read: SYN, SYN-ACK, and TLS 1.3's three. */
const HANDSHAKE_CROSSINGS = 5
/** TCP's wait before it sends again: a SYN, and a segment within a LAN. */
const SYN_RETRANSMIT_MS = 1_000
const RETRANSMIT_MS = 200
const SEGMENTS_BYTES = 14_480

/** What one host has sent and received on the wire. */
export interface Traffic {
  sentBytes: number
  receivedBytes: number
  datagrams: number
  requests: number
  /** Datagrams that found its socket buffer full. */
  overflowed: number
}

export class SimulatedNetwork {
  readonly time: VirtualClock
  readonly #random: Random
  #profile: LinkProfile = LAN
  /** Slot of a host by its address; the sockets of its present process by the slot. */
  readonly #slots = new Map<string, number>()
  readonly #sockets: (Socket | undefined)[] = []
  readonly #powered: boolean[] = []
  readonly #group: number[] = []
  readonly #cuts = new Set<number>()
  readonly traffic: Traffic[] = []
  /** What damages bodies, where the seal and TLS are to be left out; null: nothing does. */
  tamper: ((body: Uint8Array) => Uint8Array) | null = null

  constructor(time: VirtualClock, random: Random) {
    this.time = time
    this.#random = random
  }

  /** A place for a host with this address; its number. */
  addSlot(address: Address): number {
    const slot = this.#sockets.length
    this.#slots.set(address.ip, slot)
    this.#sockets.push(undefined)
    this.#powered.push(true)
    this.#group.push(0)
    this.traffic.push({
      sentBytes: 0,
      receivedBytes: 0,
      datagrams: 0,
      requests: 0,
      overflowed: 0,
    })
    return slot
  }

  /** Opens the sockets of a process of that host; those of the one before are closed. */
  open(slot: number, peer: Peer, clock: HostClock): Socket {
    const socket = new Socket(this, slot, peer, clock)
    this.#sockets[slot] = socket
    this.#powered[slot] = true
    return socket
  }

  /** The process is gone: its sockets are closed. `powered`: the machine is not, and refuses connections. */
  close(slot: number, powered: boolean): void {
    this.#sockets[slot] = undefined
    this.#powered[slot] = powered
  }

  setProfile(profile: LinkProfile): void {
    this.#profile = profile
  }

  /** Nothing goes from one to the other any more. */
  cut(from: number, to: number): void {
    this.#cuts.add(from * 65_536 + to)
  }

  /** Hosts of different groups do not hear each other: the group of each slot. */
  partition(groups: readonly number[]): void {
    for (let slot = 0; slot < this.#group.length; slot++) this.#group[slot] = groups[slot] ?? 0
  }

  /** Ends all cuts and partitions. */
  heal(): void {
    this.#cuts.clear()
    this.#group.fill(0)
  }

  reaches(from: number, to: number): boolean {
    if (this.#group[from] !== this.#group[to]) return false
    return this.#cuts.size === 0 || !this.#cuts.has(from * 65_536 + to)
  }

  /** Called by Socket.send. */
  carry(from: Socket, to: Peer, body: Uint8Array): void {
    const traffic = this.traffic[from.slot] as Traffic
    traffic.sentBytes += body.length + DATAGRAM_OVERHEAD_BYTES
    traffic.datagrams++
    const slot = this.#slots.get(to.address.ip)
    if (slot === undefined || !this.reaches(from.slot, slot)) return
    const { loss, duplicated } = this.#profile
    if (loss > 0 && this.#chance(loss)) return
    const copy = this.#copy(body)
    this.#deliver(from, slot, to.id, copy)
    if (duplicated > 0 && this.#chance(duplicated)) this.#deliver(from, slot, to.id, copy)
  }

  #deliver(from: Socket, slot: number, toId: MemberId, body: Uint8Array): void {
    this.time.schedule(
      new Datagram(this, from.peer, slot, toId, body),
      this.time.nowMs() + this.#delayMs(),
    )
  }

  /** Called by a datagram that has arrived. */
  arrive(slot: number, from: Peer, toId: MemberId, body: Uint8Array): void {
    const socket = this.#sockets[slot]
    // Sealed for another member: whoever has the address now cannot open it.
    if (socket === undefined || (toId !== '' && socket.id !== toId)) return
    const traffic = this.traffic[slot] as Traffic
    traffic.receivedBytes += body.length + DATAGRAM_OVERHEAD_BYTES
    if (!socket.receive(from, body)) traffic.overflowed++
  }

  /** Called by Socket.request. */
  ask(
    from: Socket,
    to: Peer,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void {
    const traffic = this.traffic[from.slot] as Traffic
    traffic.requests++
    let open = true
    const finish = (reply: Uint8Array | null): void => {
      if (!open) return
      open = false
      timer.cancel()
      done(reply)
    }
    const timer = from.clock.setTimeout(() => finish(null), timeoutMs)
    const slot = this.#slots.get(to.address.ip)
    if (slot === undefined || !this.#streams(from.slot, slot)) return

    const copy = this.#copy(body)
    const handshakeMs =
      this.#crossingMs(SYN_RETRANSMIT_MS) + this.#streamMs(HANDSHAKE_CROSSINGS - 1, 0)
    const requestMs = this.#streamMs(1, body.length)
    const arrive = (): void => {
      if (!open || !this.#streams(from.slot, slot)) return
      const socket = this.#sockets[slot]
      if (socket === undefined) {
        if (this.#powered[slot] === true) from.queue(() => finish(null))
        return
      }
      const other = this.traffic[slot] as Traffic
      traffic.sentBytes += body.length + STREAM_OVERHEAD_BYTES / 2
      other.receivedBytes += body.length + STREAM_OVERHEAD_BYTES / 2
      socket.queue(() => {
        if (!open || (to.id !== '' && socket.id !== to.id)) return
        const reply = socket.answer(from.id, copy)
        const replied = reply === null ? null : this.#copy(reply)
        const bytes = (reply?.length ?? 0) + STREAM_OVERHEAD_BYTES / 2
        other.sentBytes += bytes
        this.time.setTimeout(
          () => {
            if (!this.#streams(from.slot, slot)) return
            traffic.receivedBytes += bytes
            from.queue(() => finish(replied))
          },
          this.#streamMs(1, reply?.length ?? 0),
        )
      })
    }
    // The process writes the request, after the handshake: one that stands still does so when it goes on, one that has ended
    // never; what it wrote before the kernel delivers.
    this.time.setTimeout(() => {
      from.queue(() => this.time.setTimeout(arrive, requestMs))
    }, handshakeMs)
  }

  /** The sender may use its buffer again. */
  #copy(body: Uint8Array): Uint8Array {
    // A Buffer's own slice() is no copy.
    const copy = new Uint8Array(body)
    return this.tamper === null ? copy : this.tamper(copy)
  }

  /** TCP needs both directions. */
  #streams(one: number, other: number): boolean {
    return this.reaches(one, other) && this.reaches(other, one)
  }

  #chance(share: number): boolean {
    return this.#random.next() < share * 2 ** 32
  }

  #delayMs(): number {
    const { minDelayMs, maxDelayMs, late, maxLateMs } = this.#profile
    const delayMs = minDelayMs + ((maxDelayMs - minDelayMs) * this.#random.next()) / 2 ** 32
    if (late === 0 || !this.#chance(late)) return delayMs
    return delayMs + (maxLateMs * this.#random.next()) / 2 ** 32
  }

  /** How long a stream needs for so many crossings one after the other and so many bytes. */
  #streamMs(crossings: number, bytes: number): number {
    const all = crossings + Math.floor(bytes / SEGMENTS_BYTES)
    let ms = 0
    for (let i = 0; i < all; i++) ms += this.#crossingMs(RETRANSMIT_MS)
    return ms
  }

  #crossingMs(retransmitMs: number): number {
    let ms = this.#delayMs()
    const { loss } = this.#profile
    if (loss === 0) return ms
    // At a loss of everything somebody's timeout ends it.
    for (let waitMs = retransmitMs; waitMs < 60_000 && this.#chance(loss); waitMs *= 2) ms += waitMs
    return ms
  }
}

class Datagram extends VirtualEvent {
  readonly #network: SimulatedNetwork
  readonly #from: Peer
  readonly #slot: number
  readonly #toId: MemberId
  readonly #body: Uint8Array

  constructor(
    network: SimulatedNetwork,
    from: Peer,
    slot: number,
    toId: MemberId,
    body: Uint8Array,
  ) {
    super()
    this.#network = network
    this.#from = from
    this.#slot = slot
    this.#toId = toId
    this.#body = body
  }

  happen(): void {
    this.#network.arrive(this.#slot, this.#from, this.#toId, this.#body)
  }
}

/** The sockets of one process: its Transport, and the kernel's buffer before it. */
export class Socket implements Transport {
  readonly slot: number
  readonly peer: Peer
  readonly clock: HostClock
  readonly #network: SimulatedNetwork
  #listener: TransportListener | undefined
  #waiting: (() => void)[] = []
  #waitingBytes = 0

  constructor(network: SimulatedNetwork, slot: number, peer: Peer, clock: HostClock) {
    this.#network = network
    this.slot = slot
    this.peer = peer
    this.clock = clock
  }

  get id(): MemberId {
    return this.peer.id
  }

  listen(listener: TransportListener): void {
    this.#listener = listener
  }

  send(to: Peer, body: Uint8Array): void {
    if (!this.clock.ended) this.#network.carry(this, to, body)
  }

  request(
    to: Peer,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void {
    if (!this.clock.ended) this.#network.ask(this, to, body, timeoutMs, done)
  }

  /** A datagram for this process; false when its buffer was full. */
  receive(from: Peer, body: Uint8Array): boolean {
    if (!this.clock.stalled) {
      this.#hear(from, body)
      return true
    }
    const bytes = body.length + DATAGRAM_ACCOUNTED_BYTES
    if (this.#waitingBytes + bytes > SOCKET_BUFFER_BYTES) return false
    this.#waitingBytes += bytes
    this.#waiting.push(() => this.#hear(from, body))
    return true
  }

  /** Does `work` as soon as the process runs. */
  queue(work: () => void): void {
    if (this.clock.ended) return
    if (this.clock.stalled) this.#waiting.push(work)
    else work()
  }

  /** The process runs again: after its late timers it reads what has arrived. */
  drain(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const work of waiting) if (!this.clock.ended) work()
  }

  answer(from: MemberId, body: Uint8Array): Uint8Array | null {
    return this.#listener?.onRequest(from, body) ?? null
  }

  #hear({ id, address }: Peer, body: Uint8Array): void {
    if (!this.clock.ended) this.#listener?.onDatagram(id, body, address)
  }
}

// The transport of gossip in the real world: sealed datagrams on UDP 7946, requests over TLS on TCP 7946.
//
// Thin: what is believed of a datagram is decided in seal.ts, how streams go in streams.ts.

import { randomBytes } from 'node:crypto'
import { type Socket, createSocket } from 'node:dgram'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { Address, MemberId, Peer } from '../gossip/member.ts'
import { MAX_DATAGRAM_BYTES, type Transport, type TransportListener } from '../gossip/transport.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import { BoundedMap } from './bounded-map.ts'
import type { Keyring } from './keyring.ts'
import { Seal, type SealCounters } from './seal.ts'
import { newSession } from './sealed-datagram.ts'
import type { JoinDoor } from './stream-security.ts'
import { listenError } from './stream-server.ts'
import { type StreamCounters, Streams } from './streams.ts'

/** UDP and TCP. */
export const GOSSIP_PORT = 7946

export interface UdpTransportOptions {
  readonly self: MemberId
  /** StateFile.nextBoot(). */
  readonly bootNumber: number
  /** Port 0: any, the same for both protocols (tests). */
  readonly address: Address
  readonly keyring: Keyring
  readonly door: () => JoinDoor | null
  readonly clock: Clock
  readonly onJoin: (body: Uint8Array, source: Ipv4Address) => Promise<Uint8Array | null>
  readonly onApi: (stream: Duplex, from: MemberId) => void
  /**
   * A member has seen a later start of this host than this one is: its state directory was rolled back (a snapshot of the
   * machine), or another machine has a copy of it. Nobody takes datagrams of this one until it starts with a higher number.
   */
  readonly onOvertaken: (bootNumber: number) => void
}

/** Of datagrams; those of seal.ts; those of streams.ts with `streams` before them. */
export type TransportCounters = DatagramCounters &
  Readonly<SealCounters> & {
    readonly [K in keyof StreamCounters as `streams${Capitalize<K>}`]: number
  }

interface DatagramCounters {
  datagramsIn: number
  datagramsOut: number
  bytesIn: number
  bytesOut: number
  sendErrors: number
}

/** As many as seal.ts remembers. */
const MAX_HEARD = 4096
/** A burst of a large cluster's gossip while the process is busy; the kernel gives as much as net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 << 20

export class UdpTransport implements Transport {
  /** For openApi. */
  readonly streams: Streams
  readonly #options: UdpTransportOptions
  readonly #seal: Seal
  readonly #socket: Socket
  readonly #counters: DatagramCounters = {
    datagramsIn: 0,
    datagramsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    sendErrors: 0,
  }
  /** Member → when a datagram of its came last. */
  readonly #heardAtMs = new BoundedMap<MemberId, number>(MAX_HEARD)
  #listener: TransportListener | null = null
  #closed = false

  constructor(options: UdpTransportOptions) {
    this.#options = options
    const { self, address, keyring, door, clock } = options
    this.#seal = new Seal({
      self,
      session: sessionOf(options.bootNumber),
      keyring,
      nowMs: () => clock.nowMs(),
    })
    this.streams = new Streams({
      self,
      address,
      keyring,
      door,
      handlers: {
        onRequest: (from, body) => this.#listener?.onRequest(from, body) ?? null,
        onJoin: options.onJoin,
        onApi: options.onApi,
      },
    })
    this.#socket = createSocket({
      type: 'udp4',
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      // Addresses are never names: nothing is to be asked.
      lookup: (address, _options, done) => {
        done(null, address, 4)
      },
    })
    this.#socket.on('message', (bytes, { address, port }) => {
      this.#receive(bytes, { ip: address as Ipv4Address, port })
    })
  }

  /** Who hears datagrams and requests; until there is one, datagrams are dropped and requests refused. */
  attach(listener: TransportListener): void {
    this.#listener = listener
  }

  /**
   * Opens both sockets; gives the address with the port that they have.
   *
   * @throws WeftError address_in_use, invalid_argument
   */
  async listen(): Promise<Address> {
    const address = await this.streams.listen()
    try {
      await new Promise<void>((resolve, reject) => {
        this.#socket.once('error', (error: NodeJS.ErrnoException) => {
          reject(listenError('UDP', address, error))
        })
        this.#socket.bind({ address: address.ip, port: address.port, exclusive: true }, resolve)
      })
    } catch (error) {
      await this.close()
      throw error
    }
    this.#socket.removeAllListeners('error')
    this.#socket.on('error', () => {
      this.#counters.sendErrors += 1
    })
    return address
  }

  /** Takes a higher boot number without a new start: the answer to onOvertaken. */
  renew(bootNumber: number): void {
    this.#seal.renew(sessionOf(bootNumber))
  }

  send(to: Peer, body: Uint8Array): void {
    if (body.length > MAX_DATAGRAM_BYTES) throw new RangeError(`${body.length} bytes do not fit`)
    const datagram = this.#seal.seal(to, body)
    if (datagram !== null) this.#write(to.address, datagram)
  }

  request(
    to: Peer,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void {
    this.streams.request(to, body, timeoutMs, done)
  }

  /** How long ago a datagram came from that member; null: none has. */
  heardAgoMs(from: MemberId): number | null {
    const atMs = this.#heardAtMs.get(from)
    return atMs === undefined ? null : this.#options.clock.nowMs() - atMs
  }

  counters(): TransportCounters {
    const streams = this.streams.counters
    return {
      ...this.#counters,
      ...this.#seal.counters,
      streamsAccepted: streams.accepted,
      streamsCrowded: streams.crowded,
      streamsForeign: streams.foreign,
      streamsMisdirected: streams.misdirected,
      streamsAnswered: streams.answered,
      streamsRequests: streams.requests,
      streamsReplies: streams.replies,
    }
  }

  /** Done when both ports are free. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      await new Promise<void>((resolve) => {
        this.#socket.close(resolve)
      })
    }
    await this.streams.close()
  }

  #receive(bytes: Buffer, source: Address): void {
    this.#counters.datagramsIn += 1
    this.#counters.bytesIn += bytes.length
    const opened = this.#seal.open(bytes)
    if (opened === null) return
    this.#heardAtMs.set(opened.from, this.#options.clock.nowMs())
    if (opened.answer !== null) this.#write(source, opened.answer)
    for (const { to, datagram } of opened.released) this.#write(to.address, datagram)
    if (opened.overtakenBy !== null) this.#options.onOvertaken(opened.overtakenBy)
    if (opened.body !== null) this.#listener?.onDatagram(opened.from, opened.body, source)
  }

  #write({ ip, port }: Address, datagram: Uint8Array): void {
    if (this.#closed) return
    // A forged datagram may come from port 0, which dgram takes for a mistake of ours and throws.
    if (port === 0) {
      this.#counters.sendErrors += 1
      return
    }
    this.#counters.datagramsOut += 1
    this.#counters.bytesOut += datagram.length
    this.#socket.send(datagram, port, ip, (error) => {
      // No route, a full queue: gossip expects losses.
      if (error !== null) this.#counters.sendErrors += 1
    })
  }
}

function sessionOf(bootNumber: number): string {
  return newSession(bootNumber, randomBytes(4).readUInt32BE())
}

// The transport of gossip in the real world: sealed datagrams on UDP 7946, requests over TLS on TCP 7946.

import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { Address, MemberId, Peer } from '../gossip/member.ts'
import type { Transport, TransportListener } from '../gossip/transport.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Keyring } from './keyring.ts'
import type { JoinDoor, Streams } from './streams.ts'

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

export interface TransportCounters {
  readonly datagramsIn: number
  readonly datagramsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** No key of ours, altered, or not of this protocol. */
  readonly foreign: number
  /** For another member. */
  readonly misdirected: number
  /** Heard before, or of an earlier start of its sender. */
  readonly replayed: number
  /** Meant for an earlier start of this host: answered with a hello. */
  readonly stale: number
  readonly hellosIn: number
  readonly hellosOut: number
  /** Not sent: its receiver's hello did not come, or too many waited for it. */
  readonly unsent: number
  readonly sendErrors: number
}

export class UdpTransport implements Transport {
  /** For openApi. */
  readonly streams!: Streams

  constructor(_options: UdpTransportOptions) {
    throw new Error('not yet')
  }

  /** Who hears datagrams and requests; until there is one, datagrams are dropped and requests refused. */
  attach(_listener: TransportListener): void {
    throw new Error('not yet')
  }

  /**
   * Opens both sockets; gives the address with the port that they have.
   *
   * @throws WeftError address_in_use, invalid_argument
   */
  listen(): Promise<Address> {
    throw new Error('not yet')
  }

  send(_to: Peer, _body: Uint8Array): void {
    throw new Error('not yet')
  }

  request(
    _to: Peer,
    _body: Uint8Array,
    _timeoutMs: number,
    _done: (reply: Uint8Array | null) => void,
  ): void {
    throw new Error('not yet')
  }

  counters(): TransportCounters {
    throw new Error('not yet')
  }

  /** Done when both ports are free. */
  close(): Promise<void> {
    throw new Error('not yet')
  }
}

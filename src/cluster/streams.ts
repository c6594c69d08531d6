// Streams between hosts: TLS on TCP 7946. Requests of gossip, the join exchange, API requests that another host must answer.

import type { Duplex } from 'node:stream'
import type { Address, MemberId, Peer } from '../gossip/member.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Keyring } from './keyring.ts'

/** What opens the door for joiners. */
export interface JoinDoor {
  readonly clusterDigest: string
  readonly secret: Uint8Array
}

/** Who hears what comes in. No call throws. */
export interface StreamHandlers {
  /** The reply; null refuses. */
  onRequest(from: MemberId, body: Uint8Array): Uint8Array | null
  /** A request with the join secret from `source`; the reply. */
  onJoin(body: Uint8Array, source: Ipv4Address): Promise<Uint8Array | null>
  /** A member's daemon passes an API request on: raw bytes both ways. The handler ends the stream. */
  onApi(stream: Duplex, from: MemberId): void
}

export interface StreamsOptions {
  readonly self: MemberId
  /** Port 0: any (tests). */
  readonly address: Address
  readonly keyring: Keyring
  /** Asked at each handshake; null: nobody can join here. */
  readonly door: () => JoinDoor | null
  readonly handlers: StreamHandlers
}

export interface StreamCounters {
  readonly accepted: number
  /** Refused because there were too many. */
  readonly crowded: number
  /** Not TLS, or with no key of ours, or too slow. */
  readonly foreign: number
  /** Meant for another member. */
  readonly misdirected: number
  readonly requests: number
  readonly replies: number
}

export class Streams {
  constructor(_options: StreamsOptions) {
    throw new Error('not yet')
  }

  /** Listens; gives the address with the port that it has. */
  listen(): Promise<Address> {
    throw new Error('not yet')
  }

  /** Transport.request. */
  request(
    _to: Peer,
    _body: Uint8Array,
    _timeoutMs: number,
    _done: (reply: Uint8Array | null) => void,
  ): void {
    throw new Error('not yet')
  }

  /**
   * A stream to `to`'s API.
   *
   * @throws WeftError unavailable
   */
  openApi(_to: Peer, _timeoutMs: number): Promise<Duplex> {
    throw new Error('not yet')
  }

  counters(): StreamCounters {
    throw new Error('not yet')
  }

  /** Ends all streams; done when the port is free. */
  close(): Promise<void> {
    throw new Error('not yet')
  }
}

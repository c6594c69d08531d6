// What gossip needs of the world: datagrams that may be lost, and requests that are answered or fail.
//
// The simulator implements it over a virtual network, src/cluster over sealed UDP and TLS. Whoever implements it
// authenticates: `from` is a holder of a key of this cluster that says to be that member.

import type { Address, MemberId, Peer } from './member.ts'

/** Bytes of one datagram's body at most: with our seal (80), UDP and IP headers it fits an underlay MTU of 1500. */
export const MAX_DATAGRAM_BYTES = 1_300
/** Bytes of a request or a reply at most; what is larger is asked for in pages. */
export const MAX_REQUEST_BYTES = 1 << 20

export interface Transport {
  /** Sends at most MAX_DATAGRAM_BYTES; may be lost, delayed, doubled or overtaken. Never throws for the network's sake. */
  send(to: Peer, body: Uint8Array): void
  /**
   * Asks over a stream and calls back exactly once: with the reply, or null when there is none after `timeoutMs`
   * or the peer refuses. Never calls back before it returns.
   */
  request(
    to: Peer,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void
}

/** Who hears what the transport receives. Neither call throws, whatever the bytes. */
export interface TransportListener {
  /** @param source where it came from: an answer sent there arrives, wherever `from` is believed to be */
  onDatagram(from: MemberId, body: Uint8Array, source: Address): void
  /** The reply; null refuses: the stream is closed without one. */
  onRequest(from: MemberId, body: Uint8Array): Uint8Array | null
}

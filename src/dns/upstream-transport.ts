// What the forwarder needs of the network: to send a message to an upstream, and to hear what comes back. In tests a simulated one.

import type { Upstream } from './upstream.ts'

export interface ExchangeHandlers {
  /** A message came from the upstream's address and port; whether it is an answer is for the forwarder to see. */
  onMessage(message: Buffer): void
  /** The upstream cannot be reached, or closed the connection. */
  onFailure(): void
}

/** One question on its way to one upstream, from a port of its own. */
export interface Exchange {
  /** Sends it (again). */
  send(): void
  /** No callback comes after it. */
  close(): void
}

export interface UpstreamTransport {
  udp(upstream: Upstream, message: Buffer, handlers: ExchangeHandlers): Exchange
  /** Connects and sends; `send` of the exchange does nothing more. */
  tcp(upstream: Upstream, message: Buffer, handlers: ExchangeHandlers): Exchange
}

// Echo requests to other hosts, with "don't fragment": is it there, and which size gets through.

import type { Ipv4Address } from '../net/ipv4-address.ts'

export type EchoResult =
  | { readonly kind: 'reply'; readonly ms: number }
  /** A router, or this host itself, says that it is too large; null: not how large it may be. */
  | { readonly kind: 'too_big'; readonly mtu: number | null }
  | { readonly kind: 'unreachable'; readonly why: string }
  | { readonly kind: 'silence' }

export interface Echo {
  /** How it sends, for people. */
  readonly by: string
  /** Sends one of `bytes` bytes, IP header included. Never throws for the network's sake. */
  send(target: Ipv4Address, bytes: number, timeoutMs: number): Promise<EchoResult>
  close(): void
}

/** IPv4 (20) and ICMP (8) headers: no echo request is smaller. */
export const ECHO_HEADER_BYTES = 28

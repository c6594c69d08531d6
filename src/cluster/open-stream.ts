// Opens a stream to another host, and says in one word why it could not be opened.

import type { TcpSocketConnectOpts } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect } from 'node:tls'
import { messageOf } from '../errors.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import { type Credential, type Protocol, TLS_OPTIONS } from './stream-security.ts'

export type StreamFailure =
  /** No TCP connection: no route, no such name, nobody listens. */
  | 'unreachable'
  | 'timeout'
  /** Somebody listens, but does not speak as we do. */
  | 'not_weft'
  /** It does not know the identity: another cluster's, or a key that it has not, or no more. */
  | 'unknown_identity'
  /** It knows the identity, with another key. */
  | 'wrong_key'

export class StreamError extends Error {
  readonly failure: StreamFailure

  constructor(failure: StreamFailure, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StreamError'
    this.failure = failure
  }
}

export interface StreamTarget {
  /** A name or an address. */
  readonly host: string
  readonly port: number
  /** From which of our addresses: the one that others know us by. */
  readonly from: Ipv4Address
  readonly protocol: Protocol
  readonly credential: Credential
  /** Until the handshake is done. */
  readonly timeoutMs: number
}

/** TLS alerts by which a server says what it thinks of our credential (RFC 5246 section 7.2, RFC 4279 section 2). */
const ALERTS: Readonly<Record<number, StreamFailure>> = {
  // bad_record_mac and decrypt_error: our first encrypted record made no sense to it.
  20: 'wrong_key',
  51: 'wrong_key',
  // unknown_psk_identity
  115: 'unknown_identity',
}

/** The number of the alert is in OpenSSL's message only; error codes are spelt as each version of Node likes. */
function alertOf({ message }: Error): number {
  return Number(/SSL alert number ([0-9]+)/.exec(message)?.[1] ?? -1)
}

/** OpenSSL's message names files and lines; its `reason` is for people. */
function reasonOf(error: Error & { readonly reason?: unknown }): string {
  return typeof error.reason === 'string' ? error.reason : messageOf(error)
}

/** @throws StreamError */
export function openStream(target: StreamTarget): Promise<TLSSocket> {
  const { host, port, from, protocol, credential, timeoutMs } = target
  return new Promise((resolve, reject) => {
    let connected = false
    const options: ConnectionOptions & TcpSocketConnectOpts = {
      ...TLS_OPTIONS,
      host,
      port,
      localAddress: from,
      family: 4,
      ALPNProtocols: [protocol],
      pskCallback: () => credential,
      // There are no certificates to compare a name with: the key is the proof.
      checkServerIdentity: () => undefined,
    }
    const socket = connect(options)
    // With Nagle's algorithm a request of two frames waits for a delayed acknowledgement: 40 ms. (tls.connect has no option.)
    socket.setNoDelay(true)
    const fail = (failure: StreamFailure, message: string, cause?: unknown): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(new StreamError(failure, message, { cause }))
    }
    const timer = setTimeout(() => {
      fail('timeout', `no answer within ${timeoutMs} ms`)
    }, timeoutMs)
    socket.once('connect', () => {
      connected = true
    })
    // For as long as it lives: an error of a stream is the end of the stream, which its reader sees.
    socket.on('error', (error: Error) => {
      const refusal = ALERTS[alertOf(error)] ?? 'not_weft'
      fail(connected ? refusal : 'unreachable', reasonOf(error), error)
    })
    socket.once('close', () => {
      fail('not_weft', 'the connection was closed')
    })
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      if (socket.alpnProtocol === protocol) resolve(socket)
      else fail('not_weft', `it does not speak ${protocol}`)
    })
  })
}

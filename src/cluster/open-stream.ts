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

/** TLS alerts by which a server says what it thinks of our credential (RFC 4279 section 2, RFC 5246 section 7.2). */
const ALERTS: Readonly<Record<string, StreamFailure>> = {
  ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY: 'unknown_identity',
  ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC: 'wrong_key',
  ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR: 'wrong_key',
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
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const refusal = ALERTS[error.code ?? ''] ?? 'not_weft'
      fail(connected ? refusal : 'unreachable', messageOf(error), error)
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

// The listening side of streams: TLS on TCP 7946 for members and joiners.
//
// A member's stream begins with a greeting that names both ends; who is greeted under another's name closes it.
//
//   weft-gossip/1   greeting, request →   ← reply
//   weft-join/1     request →   ← answer            the only one that the join secret opens, and it opens no other
//   weft-api/1      greeting →   ← empty frame      then raw bytes both ways
//
// Everybody can connect: the handshake, an exchange, and the number of streams are bounded, and what fails is closed and counted.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Server, type TLSSocket, createServer } from 'node:tls'
import { WeftError } from '../errors.ts'
import type { Address, MemberId } from '../gossip/member.ts'
import { MAX_REQUEST_BYTES } from '../gossip/transport.ts'
import { type Ipv4Address, isIpv4Address } from '../net/ipv4-address.ts'
import type { Keyring } from './keyring.ts'
import {
  GREETING_BYTES,
  KEEPALIVE_MS,
  decodeGreeting,
  destroyAfter,
  readFrame,
  writeFrame,
} from './stream-frames.ts'
import {
  type Identity,
  type JoinDoor,
  PROTOCOLS,
  TLS_OPTIONS,
  joinCredential,
  memberCredential,
  readIdentity,
} from './stream-security.ts'

/** Who hears what comes in. No call throws. */
export interface StreamHandlers {
  /** The reply; null refuses. */
  onRequest(from: MemberId, body: Uint8Array): Uint8Array | null
  /** A request with the join secret from `source`; the reply. */
  onJoin(body: Uint8Array, source: Ipv4Address): Promise<Uint8Array | null>
  /** A member's daemon passes an API request on: raw bytes both ways. The handler ends the stream. */
  onApi(stream: Duplex, from: MemberId): void
}

export interface StreamServerOptions {
  readonly self: MemberId
  /** Port 0: any (tests). */
  readonly address: Address
  readonly keyring: Keyring
  /** Asked at each handshake; null: nobody can join here. */
  readonly door: () => JoinDoor | null
  readonly handlers: StreamHandlers
  /** Less for tests. */
  readonly maxStreams?: number
  readonly handshakeTimeoutMs?: number
  readonly exchangeTimeoutMs?: number
}

export interface StreamServerCounters {
  accepted: number
  /** Closed at once because there were too many. */
  crowded: number
  /** Not TLS, no key of ours, too slow, or a protocol that the key does not open. */
  foreign: number
  /** Meant for another member. */
  misdirected: number
  answered: number
}

const HANDSHAKE_TIMEOUT_MS = 2_000
/** For a whole exchange, so that bytes that trickle do not hold it: a megabyte on a bad path. */
const EXCHANGE_TIMEOUT_MS = 10_000
const MAX_STREAMS = 256
/** API streams may stay for days (`weft exec`): they must leave room for gossip. */
const MAX_API_STREAMS = 128

export class StreamServer {
  readonly counters: StreamServerCounters = {
    accepted: 0,
    crowded: 0,
    foreign: 0,
    misdirected: 0,
    answered: 0,
  }

  readonly #options: StreamServerOptions
  readonly #server: Server
  readonly #open = new Set<Socket>()
  readonly #identities = new WeakMap<TLSSocket, Identity>()
  #apiStreams = 0

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#server = createServer({
      ...TLS_OPTIONS,
      ALPNProtocols: Object.values(PROTOCOLS),
      noDelay: true,
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      pskCallback: (socket, identity) => this.#keyOf(socket, identity),
    })
    this.#server.maxConnections = options.maxStreams ?? MAX_STREAMS
    this.#server.on('connection', (socket: Socket) => {
      this.counters.accepted += 1
      this.#open.add(socket)
      socket.once('close', () => {
        this.#open.delete(socket)
      })
    })
    this.#server.on('drop', () => {
      this.counters.crowded += 1
    })
    this.#server.on('tlsClientError', (_error, socket) => {
      this.counters.foreign += 1
      // After a timeout Node leaves it open.
      socket.destroy()
    })
    this.#server.on('secureConnection', (socket) => {
      // The reader sees the end; an error says no more than that.
      socket.on('error', () => undefined)
      void this.#serve(socket)
    })
  }

  /**
   * Listens; gives the address with the port that it has.
   *
   * @throws WeftError address_in_use, invalid_argument
   */
  listen(): Promise<Address> {
    const { ip, port } = this.#options.address
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(listenError('TCP', { ip, port }, error))
      })
      this.#server.listen({ host: ip, port, backlog: 128 }, () => {
        const bound = this.#server.address()
        this.#server.removeAllListeners('error')
        // Such as no more descriptors: the connection is lost, the server goes on.
        this.#server.on('error', () => undefined)
        resolve({ ip, port: typeof bound === 'object' && bound !== null ? bound.port : port })
      })
    })
  }

  /** Ends all streams; done when the port is free. */
  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    if (!this.#server.listening) return
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #keyOf(socket: TLSSocket, text: string): Buffer | null {
    const identity = readIdentity(text)
    if (identity === null) return null
    this.#identities.set(socket, identity)
    if ('keyId' in identity) {
      const key = this.#options.keyring.get(identity.keyId)
      return key === undefined ? null : memberCredential(key).psk
    }
    const door = this.#options.door()
    return door?.clusterDigest === identity.clusterDigest ? joinCredential(door).psk : null
  }

  /** Never throws. */
  async #serve(socket: TLSSocket): Promise<void> {
    const stop = destroyAfter(socket, this.#options.exchangeTimeoutMs ?? EXCHANGE_TIMEOUT_MS)
    const identity = this.#identities.get(socket)
    const isJoin = socket.alpnProtocol === PROTOCOLS.join
    if (identity === undefined || 'clusterDigest' in identity !== isJoin) {
      this.counters.foreign += 1
      socket.destroy()
    } else if (isJoin) {
      await this.#serveJoin(socket)
    } else {
      const from = await this.#readGreeting(socket)
      if (from === null) socket.destroy()
      else if (socket.alpnProtocol === PROTOCOLS.gossip) await this.#serveRequest(socket, from)
      else if (socket.alpnProtocol === PROTOCOLS.api) this.#serveApi(socket, from)
      else socket.destroy()
    }
    stop()
  }

  async #readGreeting(socket: TLSSocket): Promise<MemberId | null> {
    const frame = await readFrame(socket, GREETING_BYTES)
    const greeting = frame === null ? null : decodeGreeting(frame)
    if (greeting === null) return null
    if (greeting.to === this.#options.self) return greeting.from
    this.counters.misdirected += 1
    return null
  }

  async #serveRequest(socket: TLSSocket, from: MemberId): Promise<void> {
    const body = await readFrame(socket, MAX_REQUEST_BYTES)
    const reply = body === null ? null : this.#options.handlers.onRequest(from, body)
    await this.#answer(socket, reply)
  }

  async #serveJoin(socket: TLSSocket): Promise<void> {
    const body = await readFrame(socket, MAX_REQUEST_BYTES)
    const source = socket.remoteAddress ?? ''
    const reply =
      body === null || !isIpv4Address(source)
        ? null
        : await this.#options.handlers.onJoin(body, source).catch(() => null)
    await this.#answer(socket, reply)
  }

  async #answer(socket: TLSSocket, reply: Uint8Array | null): Promise<void> {
    if (reply === null || reply.length > MAX_REQUEST_BYTES) {
      socket.destroy()
      return
    }
    this.counters.answered += 1
    writeFrame(socket, reply)
    socket.end()
    // The deadline of the exchange holds until all is read.
    await new Promise((resolve) => {
      if (socket.destroyed) resolve(undefined)
      else socket.once('close', resolve)
      socket.resume()
    })
  }

  #serveApi(socket: TLSSocket, from: MemberId): void {
    if (this.#apiStreams >= MAX_API_STREAMS) {
      this.counters.crowded += 1
      socket.destroy()
      return
    }
    this.#apiStreams += 1
    socket.once('close', () => {
      this.#apiStreams -= 1
    })
    socket.setKeepAlive(true, KEEPALIVE_MS)
    writeFrame(socket, new Uint8Array(0))
    this.#options.handlers.onApi(socket, from)
  }
}

/** Why a port could not be had, for people. */
export function listenError(
  protocol: 'TCP' | 'UDP',
  { ip, port }: Address,
  error: NodeJS.ErrnoException,
): WeftError {
  if (error.code === 'EADDRINUSE') {
    return new WeftError(
      'address_in_use',
      `${protocol} ${ip}:${port} is in use by another program; see ss -lnp 'sport = :${port}'`,
      { cause: error },
    )
  }
  if (error.code === 'EADDRNOTAVAIL') {
    return new WeftError('invalid_argument', `${ip} is no address of this host`, { cause: error })
  }
  return new WeftError('internal', `cannot listen on ${protocol} ${ip}:${port}: ${error.message}`, {
    cause: error,
  })
}

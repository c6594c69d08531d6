// Streams between members, both ways: what others ask (stream-server.ts), and what this host asks them.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { WeftError, messageOf } from '../errors.ts'
import type { Address, MemberId, Peer } from '../gossip/member.ts'
import { MAX_REQUEST_BYTES } from '../gossip/transport.ts'
import type { GossipKey } from './keyring.ts'
import { StreamError, openStream } from './open-stream.ts'
import {
  KEEPALIVE_MS,
  destroyAfter,
  encodeGreeting,
  readFrame,
  writeFrame,
} from './stream-frames.ts'
import { PROTOCOLS, type Protocol, memberCredential } from './stream-security.ts'
import {
  StreamServer,
  type StreamServerCounters,
  type StreamServerOptions,
} from './stream-server.ts'

export type { JoinDoor } from './stream-security.ts'
export type { StreamHandlers } from './stream-server.ts'

export interface StreamCounters extends StreamServerCounters {
  /** Ours, and those of them that were answered. */
  requests: number
  replies: number
}

export class Streams {
  readonly #options: StreamServerOptions
  readonly #server: StreamServer
  /** Those that this host has opened. */
  readonly #open = new Set<Socket>()
  #requests = 0
  #replies = 0
  #closed = false

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#server = new StreamServer(options)
  }

  get counters(): Readonly<StreamCounters> {
    return { ...this.#server.counters, requests: this.#requests, replies: this.#replies }
  }

  /**
   * Listens; gives the address with the port that it has.
   *
   * @throws WeftError address_in_use, invalid_argument
   */
  listen(): Promise<Address> {
    return this.#server.listen()
  }

  /** Transport.request. */
  request(
    to: Peer,
    body: Uint8Array,
    timeoutMs: number,
    done: (reply: Uint8Array | null) => void,
  ): void {
    this.#requests += 1
    void this.#ask(to, body, timeoutMs).then((reply) => {
      if (reply !== null) this.#replies += 1
      done(reply)
    })
  }

  /**
   * A stream to `to`'s API.
   *
   * @throws WeftError unavailable
   */
  async openApi(to: Peer, timeoutMs: number): Promise<Duplex> {
    let why: string
    try {
      const socket = await this.#greet(to, PROTOCOLS.api, timeoutMs)
      const stop = destroyAfter(socket, timeoutMs)
      const welcome = await readFrame(socket, 0)
      stop()
      if (welcome !== null) {
        socket.setKeepAlive(true, KEEPALIVE_MS)
        return socket
      }
      socket.destroy()
      why = 'it closed the stream: another host has this address, or it has too many streams'
    } catch (error) {
      why = messageOf(error)
    }
    const { ip, port } = to.address
    throw new WeftError('unavailable', `the host at ${ip}:${port} does not answer: ${why}`)
  }

  /** Ends all streams of both directions; done when the port is free. */
  async close(): Promise<void> {
    this.#closed = true
    for (const socket of this.#open) socket.destroy()
    await this.#server.close()
  }

  /** Never throws. */
  async #ask(to: Peer, body: Uint8Array, timeoutMs: number): Promise<Uint8Array | null> {
    const startMs = performance.now()
    try {
      const socket = await this.#greet(to, PROTOCOLS.gossip, timeoutMs)
      const stop = destroyAfter(socket, timeoutMs - (performance.now() - startMs))
      writeFrame(socket, body)
      const reply = await readFrame(socket, MAX_REQUEST_BYTES)
      stop()
      socket.destroy()
      return reply
    } catch {
      return null
    }
  }

  /**
   * Opens a stream and says who we are. A host that a rotation has not reached yet, or that missed one, knows other keys than
   * we think: all of ours are tried.
   *
   * @throws StreamError
   */
  async #greet(to: Peer, protocol: Protocol, timeoutMs: number): Promise<TLSSocket> {
    const deadlineMs = performance.now() + timeoutMs
    const { self, address } = this.#options
    for (const key of this.#keysFor(to.id)) {
      try {
        const socket = await openStream({
          host: to.address.ip,
          port: to.address.port,
          from: address.ip,
          protocol,
          credential: memberCredential(key),
          timeoutMs: Math.max(1, deadlineMs - performance.now()),
        })
        this.#track(socket)
        writeFrame(socket, encodeGreeting({ from: self, to: to.id }))
        return socket
      } catch (error) {
        if (!(error instanceof StreamError) || error.failure !== 'unknown_identity') throw error
      }
    }
    throw new StreamError('unknown_identity', 'it has none of the keys that this host has')
  }

  /** The likely one first. */
  #keysFor(peer: MemberId): GossipKey[] {
    const { keyring } = this.#options
    const likely = keyring.keyFor(peer, 0)
    const others = keyring.all().filter(({ id }) => id !== likely?.id)
    return likely === undefined ? others : [likely, ...others.reverse()]
  }

  #track(socket: Socket): void {
    if (this.#closed) socket.destroy()
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
    })
  }
}

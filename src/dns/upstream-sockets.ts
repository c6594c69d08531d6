// How upstreams are reached: from this host's namespace, each question from a socket of its own. Thin.

import { type Socket as UdpSocket, createSocket } from 'node:dgram'
import { createConnection } from 'node:net'
import { TcpFrames, tcpFrame } from './tcp-frames.ts'
import type { Upstream } from './upstream.ts'
import type { Exchange, ExchangeHandlers, UpstreamTransport } from './upstream-transport.ts'

export const upstreamSockets: UpstreamTransport = {
  /** The kernel gives a port by chance and, connected, lets through what comes from there only (RFC 5452 section 9). */
  udp({ address, port }: Upstream, message: Buffer, handlers: ExchangeHandlers): Exchange {
    const socket: UdpSocket = createSocket({
      type: address.includes(':') ? 'udp6' : 'udp4',
      lookup: (host, _options, callback) => {
        callback(null, host, host.includes(':') ? 6 : 4)
      },
    })
    let closed = false
    const close = (): void => {
      if (closed) return
      closed = true
      socket.close()
    }
    const fail = (): void => {
      if (closed) return
      close()
      handlers.onFailure()
    }
    let connected = false
    const send = (): void => {
      if (closed || !connected) return
      socket.send(message, (error) => {
        if (error !== null) fail()
      })
    }
    // Refused, unreachable: by ICMP.
    socket.on('error', fail)
    socket.on('message', (reply) => {
      if (!closed) handlers.onMessage(reply)
    })
    socket.once('connect', () => {
      connected = true
      send()
    })
    try {
      socket.connect(port, address)
    } catch {
      setImmediate(fail)
    }
    return { send, close }
  },

  tcp({ address, port }: Upstream, message: Buffer, handlers: ExchangeHandlers): Exchange {
    const socket = createConnection({ host: address, port, noDelay: true })
    const frames = new TcpFrames()
    let closed = false
    const close = (): void => {
      closed = true
      socket.destroy()
    }
    socket.on('connect', () => socket.write(tcpFrame(message)))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (!closed) handlers.onFailure()
    })
    socket.on('data', (chunk: Buffer) => {
      for (const reply of frames.push(chunk)) if (!closed) handlers.onMessage(Buffer.from(reply))
    })
    return { send: () => undefined, close }
  },
}

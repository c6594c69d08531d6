// Echo requests by the package raw-socket: from this process, with headers of our own.
//
// The IP header is ours, because the source must be the address that others know this host by, and "don't fragment" be set.

import { createRequire } from 'node:module'
import { bytesToIpv4, type Ipv4Address, ipv4ToBytes } from '../net/ipv4-address.ts'
import { ECHO_HEADER_BYTES, type Echo, type EchoResult } from './echo.ts'

/** Of the package, what is used here. */
interface RawSocket {
  on(event: 'message', hear: (packet: Buffer) => void): void
  on(event: 'error', hear: (error: Error) => void): void
  setOption(level: number, option: number, value: number): void
  send(
    packet: Buffer,
    offset: number,
    length: number,
    to: string,
    sent: (error: Error | null | undefined) => void,
  ): void
  close(): void
}
interface RawSocketModule {
  createSocket(options: { protocol: number; bufferSize: number }): RawSocket
}

/** Numbers of <netinet/in.h> and <linux/in.h>. */
const IPPROTO_IP = 0
const IPPROTO_ICMP = 1
const IP_HDRINCL = 3
const IP_MTU_DISCOVER = 10
/** Don't fragment, and whatever the kernel believes of the path already, send it. */
const IP_PMTUDISC_PROBE = 3

const IP_BYTES = 20
const ECHO_REQUEST = 8
const ECHO_REPLY = 0
const UNREACHABLE = 3
const TIME_EXCEEDED = 11
const FRAGMENTATION_NEEDED = 4
/** Every IP packet fits. */
const BUFFER_BYTES = 65_536

interface Waiting {
  readonly target: Ipv4Address
  readonly done: (result: EchoResult) => void
}

export class RawEcho implements Echo {
  readonly by = 'raw-socket'
  readonly #socket: RawSocket
  readonly #source: Ipv4Address
  /** By sequence number. */
  readonly #waiting = new Map<number, Waiting>()
  readonly #id = Math.floor(Math.random() * 0x10000)
  #sequence = 0

  private constructor(socket: RawSocket, source: Ipv4Address) {
    this.#socket = socket
    this.#source = source
    socket.on('message', (packet) => {
      this.#hear(packet)
    })
    // Of one request; it is told to who sent it.
    socket.on('error', () => undefined)
  }

  /** null: raw-socket is not there, or not built for this Node. */
  static open(source: Ipv4Address): RawEcho | null {
    try {
      const raw = createRequire(import.meta.url)('raw-socket') as RawSocketModule
      const socket = raw.createSocket({ protocol: IPPROTO_ICMP, bufferSize: BUFFER_BYTES })
      socket.setOption(IPPROTO_IP, IP_HDRINCL, 1)
      socket.setOption(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
      return new RawEcho(socket, source)
    } catch {
      return null
    }
  }

  send(target: Ipv4Address, bytes: number, timeoutMs: number): Promise<EchoResult> {
    const sequence = (this.#sequence = (this.#sequence + 1) & 0xffff)
    const packet = echoRequest(this.#source, target, bytes, this.#id, sequence)
    return new Promise((resolve) => {
      const startMs = performance.now()
      const done = (result: EchoResult): void => {
        clearTimeout(timer)
        if (!this.#waiting.delete(sequence)) return
        const ms = performance.now() - startMs
        resolve(result.kind === 'reply' ? { kind: 'reply', ms } : result)
      }
      const timer = setTimeout(done, timeoutMs, { kind: 'silence' } satisfies EchoResult)
      this.#waiting.set(sequence, { target, done })
      this.#socket.send(packet, 0, packet.length, target, (error) => {
        if (error === null || error === undefined) return
        done(
          /too long/i.test(error.message) ? TOO_BIG : { kind: 'unreachable', why: error.message },
        )
      })
    })
  }

  close(): void {
    for (const { done } of [...this.#waiting.values()]) done({ kind: 'silence' })
    this.#socket.close()
  }

  #hear(packet: Buffer): void {
    const heard = readEcho(packet)
    if (heard === null || heard.id !== this.#id) return
    const waiting = this.#waiting.get(heard.sequence)
    if (waiting?.target === heard.target) waiting.done(heard.result)
  }
}

const TOO_BIG: EchoResult = { kind: 'too_big', mtu: null }

/** A packet of `bytes` bytes. Pure. */
export function echoRequest(
  source: Ipv4Address,
  target: Ipv4Address,
  bytes: number,
  id: number,
  sequence: number,
): Buffer {
  const length = Math.max(ECHO_HEADER_BYTES, bytes)
  const packet = Buffer.alloc(length)
  packet[0] = 0x45
  packet.writeUInt16BE(length, 2)
  packet.writeUInt16BE(0x4000, 6) // don't fragment
  packet[8] = 64
  packet[9] = IPPROTO_ICMP
  packet.set(ipv4ToBytes(source), 12)
  packet.set(ipv4ToBytes(target), 16)
  packet.writeUInt16BE(checksum(packet.subarray(0, IP_BYTES)), 10)
  packet[IP_BYTES] = ECHO_REQUEST
  packet.writeUInt16BE(id, IP_BYTES + 4)
  packet.writeUInt16BE(sequence, IP_BYTES + 6)
  packet.writeUInt16BE(checksum(packet.subarray(IP_BYTES)), IP_BYTES + 2)
  return packet
}

/** Which request a packet answers, and how; null: it answers none. Pure. */
export function readEcho(
  packet: Buffer,
): { id: number; sequence: number; target: Ipv4Address; result: EchoResult } | null {
  const icmp = payload(packet)
  if (icmp === null || icmp.length < 8) return null
  const [type, code] = icmp
  if (type === ECHO_REPLY) {
    const target = bytesToIpv4(packet.subarray(12, 16))
    const [id, sequence] = [icmp.readUInt16BE(4), icmp.readUInt16BE(6)]
    return { id, sequence, target, result: { kind: 'reply', ms: 0 } }
  }
  if (type !== UNREACHABLE && type !== TIME_EXCEEDED) return null
  // An error quotes the beginning of what it is about.
  const quoted = icmp.subarray(8)
  const request = payload(quoted)
  if (request === null || request.length < 8 || request[0] !== ECHO_REQUEST) return null
  const target = bytesToIpv4(quoted.subarray(16, 20))
  const by = bytesToIpv4(packet.subarray(12, 16))
  const result: EchoResult =
    type === UNREACHABLE && code === FRAGMENTATION_NEEDED
      ? { kind: 'too_big', mtu: icmp.readUInt16BE(6) || null }
      : {
          kind: 'unreachable',
          why: `${by} says ${type === UNREACHABLE ? 'unreachable' : 'time exceeded'} (ICMP ${type}/${code ?? 0})`,
        }
  return { id: request.readUInt16BE(4), sequence: request.readUInt16BE(6), target, result }
}

/** What is behind an IPv4 header, if that is ICMP. */
function payload(packet: Buffer): Buffer | null {
  if (packet.length < IP_BYTES || (packet[0] ?? 0) >> 4 !== 4 || packet[9] !== IPPROTO_ICMP)
    return null
  return packet.subarray(((packet[0] ?? 0) & 15) * 4)
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes.readUInt16BE(i)
  if (bytes.length % 2 === 1) sum += (bytes[bytes.length - 1] ?? 0) << 8
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

// Finds upstreams that ask us what we ask them: each is asked for a name that nobody else knows, and seen to loop if we are asked for it.
//
// What goes round before that is found, or through several hosts, is stopped by the forwarder: a question that is under way already joins itself.

import type { Clock, Timer } from '../clock.ts'
import { Flag, HEADER_BYTES, Type } from './message.ts'
import { type Upstream, formatUpstream } from './upstream.ts'
import type { Exchange, UpstreamTransport } from './upstream-transport.ts'

/** Nobody's name, ever (RFC 6761 section 6.4). */
const PROBE_SUFFIX = '.loop.weft.invalid'
const PROBE_LIFE_MS = 2_000
/** One that loops may be mended: it is asked again so often. */
const AGAIN_MS = 30_000

export interface LoopGuardOptions {
  readonly clock: Clock
  readonly transport: UpstreamTransport
  readonly randomId: () => number
  /** Hears of all upstreams that do not loop, whenever these change. */
  readonly onUsable: (upstreams: readonly Upstream[]) => void
  readonly onLoop: (upstream: Upstream) => void
}

interface Probe {
  readonly upstream: Upstream
  readonly exchange: Exchange
}

export class LoopGuard {
  readonly #options: LoopGuardOptions
  readonly #probes = new Map<string, Probe>()
  readonly #looping = new Set<string>()
  #listed: readonly Upstream[] = []
  #timer: Timer | null = null

  constructor(options: LoopGuardOptions) {
    this.#options = options
  }

  setUpstreams(listed: readonly Upstream[]): void {
    this.#listed = [...listed]
    this.#looping.clear()
    this.#tell()
    this.#probe(listed)
  }

  /** Whether the name is one of a probe, ours or another host's: it is not to be forwarded. */
  isProbe(name: string): boolean {
    return name.endsWith(PROBE_SUFFIX)
  }

  /** Somebody asked us for such a name. */
  onProbe(name: string): void {
    const probe = this.#probes.get(name)
    if (probe === undefined) return
    const { upstream } = probe
    this.#looping.add(formatUpstream(upstream))
    this.#tell()
    this.#options.onLoop(upstream)
    this.#timer ??= this.#options.clock.setTimeout(() => {
      this.#timer = null
      const again = this.#listed.filter((each) => this.#looping.has(formatUpstream(each)))
      this.#looping.clear()
      this.#probe(again, () => {
        this.#tell()
      })
    }, AGAIN_MS)
  }

  close(): void {
    this.#timer?.cancel()
    for (const { exchange } of this.#probes.values()) exchange.close()
    this.#probes.clear()
  }

  #tell(): void {
    const usable = this.#listed.filter((each) => !this.#looping.has(formatUpstream(each)))
    this.#options.onUsable(usable)
  }

  #probe(upstreams: readonly Upstream[], after?: () => void): void {
    const { clock, transport, randomId } = this.#options
    for (const upstream of upstreams) {
      const word = [randomId(), randomId(), randomId()]
        .map((part) => part.toString(16).padStart(4, '0'))
        .join('')
      const name = `${word}${PROBE_SUFFIX}`
      const ignore = { onMessage: () => undefined, onFailure: () => undefined }
      const exchange = transport.udp(upstream, question(name, randomId()), ignore)
      this.#probes.set(name, { upstream, exchange })
      exchange.send()
      clock.setTimeout(() => {
        exchange.close()
        this.#probes.delete(name)
        after?.()
      }, PROBE_LIFE_MS)
    }
  }
}

/** A question for a host's kind, which nobody asks for: as CoreDNS does. */
function question(name: string, id: number): Buffer {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)])
  const message = Buffer.alloc(HEADER_BYTES + labels.length + 5)
  message.writeUInt16BE(id, 0)
  message.writeUInt16BE(Flag.recursionDesired, 2)
  message.writeUInt16BE(1, 4)
  message.set(labels, HEADER_BYTES)
  message.writeUInt16BE(Type.HINFO, HEADER_BYTES + labels.length + 1)
  message.writeUInt16BE(1, HEADER_BYTES + labels.length + 3)
  return message
}

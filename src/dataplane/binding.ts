// The door to the native core: the only import of the addon.
//
// Down go packed batches of rows and ports (a descriptor with a number); up come counters and "this port is gone". No packet
// passes here.

import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { WeftError, messageOf } from '../errors.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { IpAddress } from '../net/ip-address.ts'
import { bytesToMac, type MacAddress } from '../net/mac-address.ts'
import { NATIVE_DIR } from '../programs.ts'
import { vtepNumber } from './batch.ts'
import type {
  Addon,
  BackendTally,
  FlowState,
  NativeDataplane,
  NativeOffload,
  NativeOutput,
  NativeResult,
  NativeVerdict,
} from './binding-types.ts'
import { ipOf, readRows, vtepOf } from './read-rows.ts'
import type { BackendOfService, PortId, RecordNumber, Row, Scheduler } from './rows.ts'

const TCP = 6

const addon = load()

/**
 * The addon of native/build, or of the published package. WEFT_NATIVE_BUILD names another directory in native/ that has a
 * weft.node: one built with a sanitizer (scripts/native-asan).
 */
function load(): Addon {
  const require = createRequire(import.meta.url)
  const other = process.env['WEFT_NATIVE_BUILD'] ?? ''
  try {
    if (other !== '') return require(`${NATIVE_DIR}${other}/weft.node`) as Addon
    const nodeGypBuild = require('node-gyp-build') as (directory: string) => unknown
    return nodeGypBuild(NATIVE_DIR) as Addon
  } catch (error) {
    throw new WeftError(
      'internal',
      `the native core cannot be loaded: ${messageOf(error).split('\n')[0] ?? ''}; run scripts/setup`,
      { cause: error },
    )
  }
}

export interface CounterInfo {
  readonly name: string
  readonly text: string
  readonly kind: 'count' | 'drop'
}

/** Every counter and drop reason, as native/counters.def lists them. */
export const COUNTERS: readonly CounterInfo[] = addon.counterList

/** Each way to sum bytes for a checksum that this CPU has. */
export const CHECKSUM_SUMS = addon.checksumSums

/** native/wakefulness.h. For tests. */
export const awakeForNs = addon.awakeForNs

/** What src/dataplane/datagrams.ts is made of. */
export const NativeDatagramSocket = addon.DatagramSocket

/** The descriptor of a UDP socket; throws as the system does. */
export function bindUdp(address: string, port: number): number {
  return addon.bindUdp(address, port)
}

/** A frame as a TAP gives it. */
export interface FromPort {
  readonly bytes: Uint8Array
  readonly offload?: Partial<NativeOffload>
}

/** As the socket gives it: a datagram (from the VXLAN header on), or some of the size `segment`, the last perhaps smaller. */
export interface FromHost {
  readonly source: Ipv4Address
  readonly bytes: Uint8Array
  readonly segment?: number
  /** The outer header's traffic class. */
  readonly tos?: number
}

export interface DataplaneOptions {
  readonly address: Ipv4Address
  readonly vxlanPort: number
  readonly workers: number
  /** Where each worker runs; empty: where the kernel has it. */
  readonly workerCpus?: readonly number[]
  /** While small packets follow one another, idle CPUs are kept from sleeping. */
  readonly stayAwake?: boolean
  /** What is sent to other hosts has the DSCP of what is inside. */
  readonly copyDscp?: boolean
  /** No kernel: ports and underlay are in memory, frames come by injectFromPort and injectFromUnderlay. */
  readonly memory?: boolean
  /** The file in which flows to VIPs outlive the daemon: on a tmpfs. Without one they do not. */
  readonly flowsPath?: string
  /** How many flows there may be; rounded up to 256s. */
  readonly flows?: number
  /** Of conntrack's index: what falls into one bucket must not be foreseen. Chance, when not given. */
  readonly seed?: bigint
}

/** 128 bytes each: 32 MB when all are used. */
const DEFAULT_FLOWS = 2 ** 18

/** A row of the native FDB as it is in force. */
export interface FdbEntry {
  readonly vni: number
  readonly mac: MacAddress
  readonly port: PortId | null
  readonly vtep: Ipv4Address | null
  readonly record: RecordNumber
}

export interface NeighbourEntry {
  readonly vni: number
  readonly ip: IpAddress
  readonly mac: MacAddress
  readonly gateway: boolean
  readonly record: RecordNumber
}

/** A VIP with what its backends have had, on this host. */
export interface ServiceEntry {
  readonly vni: number
  readonly vip: IpAddress
  readonly record: RecordNumber
  readonly service: number
  readonly scheduler: Scheduler
  /** How many turns round robin has taken. */
  readonly position: number
  readonly backends: readonly (BackendOfService & BackendTally)[]
}

/** A flow to a VIP, as conntrack has it. */
export interface FlowEntry {
  readonly vni: number
  readonly service: number
  readonly protocol: 'tcp' | 'udp'
  readonly state: FlowState
  readonly client: IpAddress
  readonly clientPort: number
  readonly vip: IpAddress
  readonly vipPort: number
  /** The client, unless a backend has reached itself: then the VIP. */
  readonly source: IpAddress
  readonly sourcePort: number
  readonly backend: IpAddress
  readonly backendPort: number
  /** On CLOCK_MONOTONIC (process.hrtime): seconds, nanoseconds. */
  readonly createdSeconds: number
  readonly usedNs: bigint
}

export interface Traffic {
  readonly rxFrames: number
  readonly rxBytes: number
  readonly txFrames: number
  readonly txBytes: number
  readonly dropped: number
}

/** What became of one frame in memory mode. */
export interface InjectedOne {
  readonly verdict: NativeVerdict
  readonly outputs: readonly NativeOutput[]
}

function one({ verdicts, outputs }: NativeResult): InjectedOne {
  const [verdict] = verdicts
  if (verdict === undefined) throw new Error('assertion failed: one frame, and no verdict')
  return { verdict, outputs }
}

/** A dataplane: workers, ports and tables. */
export class Dataplane {
  readonly #native: NativeDataplane
  #collecting: NodeJS.Timeout | undefined

  constructor(options: DataplaneOptions) {
    this.#native = new addon.Dataplane({
      address: vtepNumber(options.address),
      vxlanPort: options.vxlanPort,
      workers: options.workers,
      workerCpus: options.workerCpus ?? [],
      stayAwake: options.stayAwake ?? false,
      copyDscp: options.copyDscp ?? false,
      memory: options.memory ?? false,
      flowsPath: options.flowsPath ?? '',
      flows: options.flows ?? DEFAULT_FLOWS,
      seed: options.seed ?? randomBytes(8).readBigUInt64LE(),
    })
  }

  /**
   * Binds the sockets. Nothing is taken from them before run().
   *
   * @param onPortGone called when a port's interface was deleted under it; it is still to be closed
   * @param keepers PIDs of inits that may keep the sockets of an earlier daemon; these are used first
   * @throws an Error with the errno's name as `code`: EADDRINUSE, EADDRNOTAVAIL, ENXIO for a CPU that is not ours
   */
  start(onPortGone: (port: PortId) => void, keepers: readonly number[] = []): void {
    this.#native.start(onPortGone, keepers)
  }

  /** Starts the workers: when the tables are programmed, for datagrams may be waiting. Once. */
  run(): void {
    this.#native.run()
  }

  /** The sockets on the VXLAN port: what an init is given to keep while no daemon runs. */
  underlayDescriptors(): readonly number[] {
    return this.#native.underlayDescriptors()
  }

  /** Ends the workers and closes all ports. May be called again. */
  stop(): void {
    clearTimeout(this.#collecting)
    this.#native.stop()
  }

  /**
   * Takes a TAP queue as the port `port`; owns the descriptor from then on, also when it fails.
   *
   * @throws Error saying why it is no TAP of ours
   */
  openTap(port: PortId, descriptor: number): void {
    this.#native.openTap(port, descriptor)
  }

  openMemory(port: PortId): boolean {
    return this.#native.openMemory(port)
  }

  /** Frames for it are dropped from now on; its descriptor is closed when no worker looks at it. */
  closePort(port: PortId): void {
    this.#native.closePort(port)
    this.#collect()
  }

  /** Applies a batch of entries as encodePut and encodeRemove make them, in order. */
  apply(batch: Uint8Array): void {
    if (!this.#native.apply(batch)) {
      throw new Error('assertion failed: the native core refused a batch of its own programmer')
    }
    this.#collect()
  }

  /** Sums over all workers, in the order of COUNTERS. */
  counterValues(): BigUint64Array {
    return this.#native.counterValues()
  }

  /** null: no such port. */
  traffic(port: PortId): Traffic | null {
    return this.#native.traffic(port)
  }

  fdbEntries(): FdbEntry[] {
    return this.#native.fdbRows().map((row) => ({
      vni: row.vni,
      mac: bytesToMac(row.mac),
      port: row.port === 0 ? null : row.port,
      vtep: row.port === 0 ? vtepOf(row.vtep) : null,
      record: row.record,
    }))
  }

  neighbourEntries(): NeighbourEntry[] {
    return this.#native.neighbourRows().map((row) => ({
      vni: row.vni,
      ip: ipOf(row.ip),
      mac: bytesToMac(row.mac),
      gateway: row.gateway,
      record: row.record,
    }))
  }

  /** Every VIP; one of both families is two. */
  serviceEntries(): ServiceEntry[] {
    return this.#native.serviceRows().map((row) => ({
      vni: row.vni,
      vip: ipOf(row.vip),
      record: row.record,
      service: row.service,
      scheduler: row.scheduler,
      position: row.position,
      backends: row.backends.map((backend) => ({ ...backend, ip: ipOf(backend.ip) })),
    }))
  }

  /**
   * A page of the flows to VIPs: from `place` on, 1,000 at most. `next` is the place of the next page; 0: that was the
   * last. Flows that come and go meanwhile may be missed.
   */
  flowEntries(place = 0): { readonly flows: readonly FlowEntry[]; readonly next: number } {
    const { flows, next } = this.#native.flows(place)
    return {
      next,
      flows: flows.map((flow) => ({
        ...flow,
        protocol: flow.protocol === TCP ? 'tcp' : 'udp',
        client: ipOf(flow.client),
        vip: ipOf(flow.vip),
        source: ipOf(flow.source),
        backend: ipOf(flow.backend),
      })),
    }
  }

  /** What was wrong with the file of flows, which was then set aside; null: nothing. After start(). */
  flowsNote(): string | null {
    const note = this.#native.flowsNote()
    return note === '' ? null : note
  }

  /** Every row of every table, as it is in force. */
  rows(): Row[] {
    return readRows(this.#native)
  }

  /** Memory mode: one frame from a port through pipeline and lanes. */
  injectFromPort(
    port: PortId,
    bytes: Uint8Array,
    offload: Partial<NativeOffload>,
    nowNs: bigint,
  ): InjectedOne {
    return one(this.injectManyFromPort(port, [{ bytes, offload }], nowNs))
  }

  /** Memory mode: one datagram (from the VXLAN header on) from another host. */
  injectFromUnderlay(source: Ipv4Address, bytes: Uint8Array, nowNs: bigint, tos = 0): InjectedOne {
    return one(this.injectManyFromUnderlay([{ source, bytes, tos }], nowNs))
  }

  /** Memory mode: what a worker reads from a port in one turn. */
  injectManyFromPort(port: PortId, frames: readonly FromPort[], nowNs: bigint): NativeResult {
    const all = frames.map(({ bytes, offload = {} }) => ({ bytes, offload }))
    return this.#native.injectFromPort(port, all, nowNs)
  }

  /** Memory mode: what a worker receives from other hosts in one turn. */
  injectManyFromUnderlay(datagrams: readonly FromHost[], nowNs: bigint): NativeResult {
    const all = datagrams.map(({ source, bytes, segment = 0, tos = 0 }) => ({
      source: vtepNumber(source),
      bytes,
      segment,
      tos,
    }))
    return this.#native.injectFromUnderlay(all, nowNs)
  }

  /** Memory mode: what a worker does between frames; it looks at `most` flows. */
  tick(nowNs: bigint, most = 2 ** 20): readonly NativeOutput[] {
    return this.#native.tick(nowNs, most)
  }

  /** Settles when all that was closed and replaced so far is freed: a TAP that is gone is gone in the kernel. */
  async settled(): Promise<void> {
    // Every worker lets go within a batch; a worker that does not for so long is beyond waiting for.
    for (let tries = 0; tries < 500 && this.#native.collect() > 0; tries++) await sleep(2)
  }

  // What readers may still look at is freed later: workers let go of it within a batch, some microseconds.
  #collect(): void {
    clearTimeout(this.#collecting)
    if (this.#native.collect() === 0) return
    this.#collecting = setTimeout(() => {
      this.#collect()
    }, 2)
    this.#collecting.unref()
  }
}

/** Asks the init behind `path` for a descriptor; -1: it gave none. The caller owns it. */
export function receiveDescriptor(
  path: string,
  request: string,
): Promise<{ fd: number; reply: string }> {
  return addon.receiveDescriptor(path, request)
}

/**
 * Starts weft-init and gives what it reports (native/binding/program_starter.h says how). Node's own way is fork, which
 * copies the page tables and makes each worker that then writes to a page wait and copy it.
 */
export function startProgram(
  argv: readonly [string, ...string[]],
  environment: NodeJS.ProcessEnv | undefined,
  keep: readonly number[],
  patienceMs: number,
): Promise<string> {
  const pairs =
    environment === undefined
      ? null
      : Object.entries(environment).flatMap(([name, value]) =>
          value === undefined ? [] : [`${name}=${value}`],
        )
  return addon.startProgram(argv[0], argv, pairs, keep, patienceMs)
}

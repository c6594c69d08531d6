// The addon's face: what native/addon.cc and native/binding export, as TypeScript.

import type { BackendState, Scheduler } from './rows.ts'

export interface NativeOffload {
  readonly gso: 'none' | 'tcp4' | 'tcp6' | 'udp'
  readonly ecn: boolean
  readonly needsChecksum: boolean
  readonly gsoSize: number
  readonly checksumStart: number
  readonly checksumOffset: number
}

export interface NativeVerdict {
  readonly action: 'continue' | 'drop' | 'reply' | 'toPort' | 'toVtep' | 'flood'
  readonly counter: string | null
  readonly routed: boolean
  readonly vni: number
  readonly port: number
  readonly vtep: number
  readonly trail: readonly {
    readonly table:
      | 'network'
      | 'port'
      | 'fdb'
      | 'neighbour'
      | 'router'
      | 'vtep'
      | 'service'
      // Conntrack: `record` is the flow's number.
      | 'flow'
    readonly record: number
  }[]
}

export interface NativeOutput {
  /** 0: to the underlay, `bytes` from the VXLAN header on. */
  readonly port: number
  readonly vtep: number
  readonly sourcePortIndex: number
  /** Datagrams to the underlay of one number are sent as one. */
  readonly train: number
  /** The outer header's traffic class. */
  readonly tos: number
  readonly offload: NativeOffload
  readonly bytes: Uint8Array
}

export interface NativeResult {
  /** One for each frame from a port, or that was put together from datagrams. */
  readonly verdicts: readonly NativeVerdict[]
  readonly outputs: readonly NativeOutput[]
}

/** What a backend has had of a service's flows on this host. */
export interface BackendTally {
  /** Ever. */
  readonly flows: number
  /** Now; of TCP those that are not closing. */
  readonly active: number
  /** To the backend. */
  readonly packetsOut: number
  readonly bytesOut: number
  /** From the backend. */
  readonly packetsIn: number
  readonly bytesIn: number
}

export type FlowState =
  | 'halfOpen'
  | 'established'
  | 'halfClosed'
  | 'closing'
  | 'closed'
  | 'doomed'
  | 'udpNew'
  | 'udp'

export interface NativeFlow {
  /** Of the client. */
  readonly vni: number
  readonly service: number
  readonly protocol: number
  readonly state: FlowState
  readonly client: Uint8Array
  readonly clientPort: number
  readonly vip: Uint8Array
  readonly vipPort: number
  /** What the backend sees in place of the client. */
  readonly source: Uint8Array
  readonly sourcePort: number
  readonly backend: Uint8Array
  readonly backendPort: number
  /** On the clock of CLOCK_MONOTONIC, as `usedNs`. */
  readonly createdSeconds: number
  readonly usedNs: bigint
}

/** The tables as they are in force. */
export interface NativeTables {
  networkRows(): {
    vni: number
    record: number
    router: number
    mtu: number
    gatewayMac: Uint8Array
    gateway4: Uint8Array
    gateway6: Uint8Array
    services: boolean
    ports: number[]
    vteps: number[]
    learning: number[]
  }[]
  portRows(): { port: number; vni: number; record: number }[]
  fdbRows(): { vni: number; mac: Uint8Array; port: number; vtep: number; record: number }[]
  neighbourRows(): {
    vni: number
    ip: Uint8Array
    mac: Uint8Array
    gateway: boolean
    record: number
  }[]
  routerRows(): {
    router: number
    record: number
    subnets: { prefix: Uint8Array; bits: number; vni: number }[]
    addresses: Uint8Array[]
  }[]
  vtepRows(): { vtep: number; record: number }[]
  serviceRows(): {
    vni: number
    vip: Uint8Array
    record: number
    service: number
    mac: Uint8Array
    scheduler: Scheduler
    position: number
    ports: { protocol: number; port: number; target: number }[]
    backends: ({
      record: number
      ip: Uint8Array
      vni: number
      weight: number
      state: BackendState
    } & BackendTally)[]
  }[]
}

export interface NativeDataplane extends NativeTables {
  start(onPortGone: (port: number) => void, keepers: readonly number[]): void
  underlayDescriptors(): number[]
  run(): void
  stop(): void
  openTap(port: number, descriptor: number): void
  openMemory(port: number): boolean
  closePort(port: number): boolean
  apply(batch: Uint8Array): boolean
  collect(): number
  counterValues(): BigUint64Array
  traffic(port: number): {
    readonly rxFrames: number
    readonly rxBytes: number
    readonly txFrames: number
    readonly txBytes: number
    readonly dropped: number
  } | null
  flows(place: number): { readonly flows: readonly NativeFlow[]; readonly next: number }
  flowsNote(): string
  tick(nowNs: bigint, most: number): readonly NativeOutput[]
  injectFromPort(
    port: number,
    frames: readonly { bytes: Uint8Array; offload: Partial<NativeOffload> }[],
    nowNs: bigint,
  ): NativeResult
  injectFromUnderlay(
    datagrams: readonly { source: number; bytes: Uint8Array; segment: number; tos: number }[],
    nowNs: bigint,
  ): NativeResult
}

/** A UDP socket that takes and sends by slots: native/binding/datagram_socket.h. */
export interface NativeDatagramSocket {
  port(): number
  answer(count: number): number
  sender(slot: number): Buffer
  send(bytes: Uint8Array, sender: Uint8Array): boolean
  close(): void
}

export interface Addon {
  readonly DatagramSocket: {
    new (
      fd: number,
      bytes: Uint8Array,
      lengths: Uint32Array,
      onBatch: (count: number) => void,
    ): NativeDatagramSocket
    readonly slots: number
    readonly slotBytes: number
  }
  bindUdp(address: string, port: number): number
  readonly Dataplane: new (options: {
    address: number
    vxlanPort: number
    workers: number
    workerCpus: readonly number[]
    stayAwake: boolean
    copyDscp: boolean
    memory: boolean
    flowsPath: string
    flows: number
    seed: bigint
  }) => NativeDataplane
  readonly counterList: readonly { name: string; text: string; kind: 'count' | 'drop' }[]
  /** How long idle CPUs are kept awake after what came. For tests. */
  readonly awakeForNs: (
    allowed: boolean,
    turns: readonly { waitedNs: number; bytes: number; atNs: number }[],
    nowNs: number,
  ) => number
  /** Each way to sum bytes for a checksum that this CPU has; modulo 0xffff. For tests. */
  readonly checksumSums: readonly { name: string; sum: (bytes: Uint8Array) => number }[]
  receiveDescriptor(path: string, request: string): Promise<{ fd: number; reply: string }>
  startProgram(
    path: string,
    argv: readonly string[],
    environment: readonly string[] | null,
    keep: readonly number[],
    patienceMs: number,
  ): Promise<string>
}

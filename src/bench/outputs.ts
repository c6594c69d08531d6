// What iperf3, ping, weft-flood and the kernel print, as numbers. Pure.

import { WeftError } from '../errors.ts'

export interface TcpResult {
  readonly gbitPerSecond: number
  readonly bytes: number
  readonly retransmits: number
  /** CPU time of both iperf3 processes. */
  readonly cpuSeconds: number
  /** The algorithms that sender and receiver used. */
  readonly congestion: readonly string[]
}

interface IperfReport {
  readonly error?: string
  readonly end?: {
    readonly sum_sent?: { readonly retransmits?: number }
    readonly sum_received?: {
      readonly bytes: number
      readonly bits_per_second: number
      readonly seconds?: number
    }
    readonly cpu_utilization_percent?: {
      readonly host_total: number
      readonly remote_total: number
    }
    readonly sender_tcp_congestion?: string
    readonly receiver_tcp_congestion?: string
  }
}

/** `iperf3 --json` of a client. @throws WeftError with what iperf3 says went wrong */
export function parseIperfJson(output: string): TcpResult {
  const { error, end } = parseReport(output)
  const received = end?.sum_received
  if (error !== undefined || received === undefined) {
    throw new WeftError('internal', `iperf3: ${error ?? 'it tells no end'}`)
  }
  const cpu = end?.cpu_utilization_percent
  return {
    gbitPerSecond: received.bits_per_second / 1e9,
    bytes: received.bytes,
    retransmits: end?.sum_sent?.retransmits ?? 0,
    cpuSeconds:
      (((cpu?.host_total ?? NaN) + (cpu?.remote_total ?? NaN)) * (received.seconds ?? NaN)) / 100,
    congestion: [end?.sender_tcp_congestion ?? '', end?.receiver_tcp_congestion ?? ''],
  }
}

function parseReport(output: string): IperfReport {
  try {
    return JSON.parse(output) as IperfReport
  } catch (error) {
    const begun = JSON.stringify(output.slice(0, 60))
    throw new WeftError('internal', `iperf3 printed no JSON, but ${begun}`, { cause: error })
  }
}

/** The round-trip times of a ping, in microseconds. */
export function parsePingTimes(output: string): number[] {
  return [...output.matchAll(/ time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000)
}

export interface Latency {
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** Of `weft-flood send` (native/bench/README.md). */
export interface SendReport {
  readonly sent: number
  /** Greetings, and their answers that came back: not in `sent`. */
  readonly hellos: number
  readonly answers: number
  readonly skipped: number
  readonly refused: number
  readonly elapsedMs: number
  readonly pps: number
  /** CPU time of the process. */
  readonly cpuMs: number
}

/** Of `weft-flood sink`. */
export interface SinkReport {
  readonly received: number
  readonly duplicated: number
  readonly reordered: number
  readonly tooOld: number
  readonly corrupted: number
  readonly foreign: number
  readonly lost: number
  readonly flows: number
  /** Greetings that came; each was answered. */
  readonly hellos: number
  readonly socketDrops: number
  readonly elapsedMs: number
  readonly pps: number
  readonly cpuMs: number
  readonly latencyUs: Latency
}

/** Of `weft-flood connect`. */
export interface ConnectReport {
  readonly connections: number
  readonly failed: number
  readonly perSecond: number
  readonly latencyUs: Latency
}

export const parseSend = (output: string): SendReport => JSON.parse(output) as SendReport
export const parseSink = (output: string): SinkReport => JSON.parse(output) as SinkReport
export const parseConnect = (output: string): ConnectReport => JSON.parse(output) as ConnectReport

/** Time of all cores together, in clock ticks since boot. */
export interface CpuTime {
  /** user, nice, system, irq, softirq. */
  readonly busy: number
  /** What a hypervisor gave to another machine while this one had work. */
  readonly stolen: number
  readonly total: number
}

/** The first line of /proc/stat. */
export function parseCpuTime(stat: string): CpuTime {
  const [line = ''] = stat.split('\n', 1)
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = ticks
  return {
    busy: user + nice + system + irq + softirq,
    stolen,
    total: ticks.reduce((sum, value) => sum + value, 0),
  }
}

/** Share of all cores' time that was busy between two readings. */
export function busyShare(before: CpuTime, after: CpuTime): number {
  return shareOf('busy', before, after)
}

/** Share of all cores' time that was stolen between two readings. */
export function stolenShare(before: CpuTime, after: CpuTime): number {
  return shareOf('stolen', before, after)
}

function shareOf(what: 'busy' | 'stolen', before: CpuTime, after: CpuTime): number {
  const total = after.total - before.total
  return total <= 0 ? 0 : (after[what] - before[what]) / total
}

const TICKS_PER_SECOND = 100

/** A /proc/PID/stat: seconds of CPU that the process had, all of its threads. */
export function parseProcessSeconds(stat: string): number {
  // The name, field 2, may hold spaces and parentheses: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[14 - 3]) + Number(fields[15 - 3])) / TICKS_PER_SECOND
}

/** A /proc/PID/status: what of its memory is in RAM; 0 for a process that has ended. */
export function parseResidentBytes(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}

/** When others use more than this, what is ours cannot be told from it. */
const MOST_BACKGROUND = 0.2

/**
 * CPU time for each byte or packet: what was busy during a transfer, less what would have been busy anyway.
 *
 * @param idleBusy the share that was busy when nothing was transferred
 * @param count bytes or packets
 * @returns NaN when it cannot be told: that share is too large, or nothing is left
 */
export function cpuNsPer(before: CpuTime, after: CpuTime, idleBusy: number, count: number): number {
  const total = after.total - before.total
  const ticks = after.busy - before.busy - idleBusy * total
  if (count === 0 || !(idleBusy <= MOST_BACKGROUND)) return NaN
  return ticks <= 0 ? NaN : (ticks / TICKS_PER_SECOND) * (1e9 / count)
}

// One measurement at a time: starts the programs at both ends, reads what they print.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { WeftError } from '../errors.ts'
import { oneLine, run, type RunResult } from '../linux/exec.ts'
import type { Contestant, Place } from './contestant.ts'
import type { Figures } from './metrics.ts'
import {
  busyShare,
  type CpuTime,
  cpuNsPerByte,
  parseCpuTime,
  parseConnect,
  parseIperfJson,
  parsePingTimes,
  parseProcessSeconds,
  parseSend,
  parseSink,
  type SendReport,
  type SinkReport,
} from './outputs.ts'
import { inNetns, weftFlood } from './programs.ts'
import { bestRate, lossOf, nextRate, type Trial } from './rate-search.ts'
import type { Integrity } from './result.ts'
import { percentile } from './statistics.ts'

/** How long and how often: `--quick` has smaller numbers. */
export interface Effort {
  readonly tcpSeconds: number
  readonly idleSeconds: number
  readonly trialSeconds: number
  readonly maxTrials: number
  readonly pings: number
  readonly connectSeconds: number
}

/** The share of datagrams that may be lost at a rate that counts. */
export const MAX_LOSS = 0.005
const FLOWS = 4
/**
 * Of both ends of all TCP: machines differ in their default, and BBR measures itself. It is set for each
 * socket: the kernel lets a namespace other than the first choose only what the first allows to all.
 */
export const CONGESTION = 'cubic'
const CONNECTIONS_AT_ONCE = 16

const IPERF_PORT = 5201
const CONNECT_PORT = 6000
/** A trial's late datagrams must not come to the next one's sink. */
const FIRST_TRIAL_PORT = 20_000
const TRIAL_PORTS = 10_000

/** What a program may take beyond the time that it was told. */
const GRACE_MS = 20_000
const QUIET_MS = 250

export interface MeasureContext {
  readonly effort: Effort
  readonly signal: AbortSignal
  /** A step's outcome, in words. */
  report(text: string): void
  /** The share of the CPUs that others used. */
  noteBackground(share: number): void
  noteIntegrity(contestant: Contestant, integrity: Integrity): void
}

export type Measurement = (contestant: Contestant, context: MeasureContext) => Promise<Figures>

export const MEASUREMENTS: readonly { readonly title: string; readonly measure: Measurement }[] = [
  { title: 'TCP, 1 stream', measure: (one, context) => tcp(one, context, 1) },
  { title: 'TCP, 8 streams', measure: (one, context) => tcp(one, context, 8) },
  { title: 'UDP, 64 B', measure: (one, context) => udp(one, context, 64) },
  { title: 'UDP, 1400 B', measure: (one, context) => udp(one, context, 1400) },
  { title: 'ping', measure: ping },
  { title: 'TCP connections', measure: connections },
]

// --- TCP ---

async function tcp(one: Contestant, context: MeasureContext, streams: number): Promise<Figures> {
  const { effort } = context
  const before = readCpuTime()
  await sleep(effort.idleSeconds * 1000)
  const idle = readCpuTime()
  const background = busyShare(before, idle)
  context.noteBackground(background)
  const server = there(one.to, context, effort.tcpSeconds, ['iperf3', '--server', '--one-off'])
  const options = [
    ...['--json', '--time', String(effort.tcpSeconds), '--parallel', String(streams)],
    ...['--congestion', CONGESTION],
  ]
  const client = ['iperf3', '--client', one.to.ip, '--port', String(IPERF_PORT), ...options]
  const daemonsBefore = processSeconds(one.daemons)
  const [{ stdout, start, end }] = await both(iperfClient(one.from, context, client), server)
  const daemons = processSeconds(one.daemons) - daemonsBefore
  const result = parseIperfJson(stdout)
  if (result.congestion.some((name) => name !== CONGESTION)) {
    throw new WeftError(
      'internal',
      `TCP used ${result.congestion.join(' and ')}, not ${CONGESTION}`,
    )
  }
  const cpu = cpuNsPerByte(start, end, background, result.bytes)
  const own = ((daemons + result.cpuSeconds) / result.bytes) * 1e9
  context.report(
    `${result.gbitPerSecond.toFixed(2)} Gbit/s, ${result.retransmits} retransmits, ` +
      `${own.toFixed(3)} CPU-ns/byte of its own, in all ` +
      (Number.isNaN(cpu) ? 'not to be told' : cpu.toFixed(3)),
  )
  return streams === 1
    ? { tcp1: result.gbitPerSecond, cpuTcp1: cpu, processTcp1: own }
    : { tcp8: result.gbitPerSecond, cpuTcp8: cpu, processTcp8: own }
}

interface Transfer {
  readonly stdout: string
  readonly start: CpuTime
  readonly end: CpuTime
}

/** The server needs a moment until it listens. */
async function iperfClient(
  from: Place,
  context: MeasureContext,
  argv: readonly string[],
): Promise<Transfer> {
  for (let attempt = 1; ; attempt++) {
    const start = readCpuTime()
    const { stdout } = await there(from, context, context.effort.tcpSeconds, argv)
    if (attempt === 50 || !/refused/.test(stdout)) return { stdout, start, end: readCpuTime() }
    await sleep(50)
  }
}

function processSeconds(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) => sum + parseProcessSeconds(readFileSync(`/proc/${pid}/stat`, 'latin1')),
    0,
  )
}

function readCpuTime(): CpuTime {
  return parseCpuTime(readFileSync('/proc/stat', 'latin1'))
}

// --- UDP ---

async function udp(one: Contestant, context: MeasureContext, bytes: number): Promise<Figures> {
  const { maxTrials, trialSeconds } = context.effort
  const limits = { maxLoss: MAX_LOSS, maxTrials }
  const trials: Trial[] = []
  for (let rate = nextRate(trials, limits); rate !== undefined; rate = nextRate(trials, limits)) {
    const { send, sink } = await floodTrial(one, context, { bytes, rate, seconds: trialSeconds })
    context.noteIntegrity(one, sink)
    trials.push({
      offered: rate,
      sent: send.sent,
      received: sink.received,
      seconds: send.elapsedMs / 1000,
    })
  }
  const best = bestRate(trials, limits) / 1000
  context.report(`${best.toFixed(1)} kpps; tried ${trials.map(shown).join(', ')}`)
  return bytes === 64 ? { udp64: best } : { udp1400: best }
}

function shown(trial: Trial): string {
  const kpps = (trial.sent / trial.seconds / 1000).toFixed(1)
  return `${kpps} (${(lossOf(trial) * 100).toFixed(1)} % lost)`
}

let trialCount = 0

/** A flood from one end to the other: what was sent, and what became of it. */
export async function floodTrial(
  one: Pick<Contestant, 'from' | 'to'>,
  context: Pick<MeasureContext, 'signal'>,
  options: { readonly bytes: number; readonly rate: number | null; readonly seconds: number },
): Promise<{ send: SendReport; sink: SinkReport }> {
  const { bytes, rate, seconds } = options
  trialCount += 1
  const port = String(FIRST_TRIAL_PORT + (trialCount % TRIAL_PORTS))
  const sink = there(one.to, context, seconds, [
    ...[weftFlood(), 'sink', '--port', port, '--idle-ms', String(QUIET_MS)],
  ])
  const send = there(one.from, context, seconds, [
    ...[weftFlood(), 'send', '--to', one.to.ip, '--port', port, '--flows', String(FLOWS)],
    ...['--bytes', String(bytes), '--seconds', String(seconds)],
    ...['--rate', rate === null ? 'max' : rate.toFixed(0)],
  ])
  const [sent, received] = await both(send, sink)
  return {
    send: parseSend(succeeded(sent)),
    sink: parseSink(succeeded(received)),
  }
}

// --- latency and connections ---

async function ping(one: Contestant, context: MeasureContext): Promise<Figures> {
  const { pings } = context.effort
  // Adaptive: the next one as soon as the answer is there. The first ones find the way.
  const { stdout } = await there(one.from, context, 10, [
    ...['ping', '-n', '-A', '-c', String(pings + WARM_PINGS), '-w', '10', one.to.ip],
  ])
  const times = parsePingTimes(stdout).slice(WARM_PINGS)
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
  context.report(`${times.length} answers, p50 ${p50.toFixed(0)} us, p99 ${p99.toFixed(0)} us`)
  return { pingP50: p50, pingP99: p99, pingP999: percentile(times, 0.999) }
}

const WARM_PINGS = 10

async function connections(one: Contestant, context: MeasureContext): Promise<Figures> {
  const { connectSeconds } = context.effort
  const port = String(CONNECT_PORT)
  const accept = there(one.to, context, connectSeconds, [
    ...[weftFlood(), 'accept', '--port', port, '--idle-ms', String(QUIET_MS)],
  ])
  const connect = there(one.from, context, connectSeconds, [
    ...[weftFlood(), 'connect', '--to', one.to.ip, '--port', port],
    ...['--seconds', String(connectSeconds), '--concurrency', String(CONNECTIONS_AT_ONCE)],
  ])
  const [connected] = await both(connect, accept)
  const result = parseConnect(succeeded(connected))
  context.report(
    `${result.perSecond.toFixed(0)} a second, ${result.failed} failed, ` +
      `p99 ${(result.latencyUs.p99 / 1000).toFixed(1)} ms`,
  )
  return { connections: result.perSecond }
}

// --- running ---

function there(
  place: Place,
  context: Pick<MeasureContext, 'signal'>,
  seconds: number,
  argv: readonly string[],
): Promise<RunResult> {
  // A server that nobody comes to must not outlive a benchmark that was killed.
  const { command, args } = inNetns(place.netns, ['setpriv', '--pdeathsig', 'KILL', ...argv])
  return run(command, args, {
    allowFailure: true,
    timeoutMs: seconds * 1000 + GRACE_MS,
    signal: context.signal,
    env: { ...process.env, LC_ALL: 'C' },
  })
}

/** Waits for both ends, also when one failed: the next measurement must not meet them. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second])
  if (a.status === 'rejected') throw a.reason as Error
  if (b.status === 'rejected') throw b.reason as Error
  return [a.value, b.value]
}

function succeeded(result: RunResult): string {
  if (result.code === 0) return result.stdout
  throw new WeftError('internal', oneLine(result.stderr) || `exit status ${result.code}`)
}

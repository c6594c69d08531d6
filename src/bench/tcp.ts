// Bulk data by TCP, and what it costs: iperf3 at both ends.

import { setTimeout as sleep } from 'node:timers/promises'
import { WeftError } from '../errors.ts'
import type { Contestant } from './contestant.ts'
import { backgroundShare, processSeconds, readCpuTime } from './cpu.ts'
import type { MeasureContext } from './measure-context.ts'
import type { Figures } from './metrics.ts'
import { type CpuTime, cpuNsPer, parseIperfJson, type TcpResult } from './outputs.ts'
import { both, type Place, succeeded } from './place.ts'

/**
 * Of both ends of all TCP: machines differ in their default, and BBR measures itself. It is set for each
 * socket: the kernel lets a namespace other than the first choose only what the first allows to all.
 */
export const CONGESTION = 'cubic'

/** Below those that sandboxes' clients use. */
const FIRST_PORT = 15_201
const PORTS = 1000
const REFUSED = /Connection refused/
const CHUNK_BYTES = 65_536

type Context = Pick<MeasureContext, 'signal'>

interface TransferOptions {
  readonly streams: number
  readonly seconds: number
  /** Where the client connects to, when it is not the server's own address. */
  readonly address?: string
}

interface Transfer {
  readonly result: TcpResult
  readonly start: CpuTime
  readonly end: CpuTime
}

let transferCount = 0

/** One transfer: what the receiver got. */
export async function transfer(
  from: Place,
  to: Place,
  context: Context,
  options: TransferOptions,
): Promise<Transfer> {
  const { streams, seconds, address = to.ip } = options
  transferCount += 1
  const port = String(FIRST_PORT + (transferCount % PORTS))
  const bounds = { seconds, signal: context.signal }
  const server = to.run(['iperf3', '--server', '--one-off', '--port', port], bounds)
  const client = [
    ...['iperf3', '--client', address, '--port', port, '--json', '--time', String(seconds)],
    ...['--parallel', String(streams), '--congestion', CONGESTION],
  ]
  const [{ stdout, start, end }, served] = await both(patiently(from, bounds, client), server)
  // The client knows only that nobody listens; the server why.
  if (served.code !== 0 && REFUSED.test(stdout)) succeeded(served)
  const result = parseIperfJson(stdout)
  if (result.congestion.some((name) => name !== CONGESTION)) {
    throw new WeftError(
      'internal',
      `TCP used ${result.congestion.join(' and ')}, not ${CONGESTION}`,
    )
  }
  return { result, start, end }
}

/** The server needs a moment until it listens. */
async function patiently(
  from: Place,
  bounds: { readonly seconds: number; readonly signal: AbortSignal },
  argv: readonly string[],
): Promise<{ stdout: string; start: CpuTime; end: CpuTime }> {
  for (let attempt = 1; ; attempt++) {
    const start = readCpuTime()
    const result = await from.run(argv, bounds)
    const { stdout } = result
    if (attempt === 50 || !REFUSED.test(stdout)) {
      // A failure of iperf3's own is told in its JSON; what could not start has none.
      const printed = stdout.trim() === '' ? succeeded(result) : stdout
      return { stdout: printed, start, end: readCpuTime() }
    }
    await sleep(50)
  }
}

export async function tcp(
  one: Contestant,
  context: MeasureContext,
  streams: 1 | 8,
): Promise<Figures> {
  const { effort, oneMachine } = context
  const background = oneMachine ? await backgroundShare(effort.idleSeconds) : NaN
  if (oneMachine) context.noteBackground(background)
  const countersBefore = await one.counters?.()
  const daemonsBefore = processSeconds(one.daemons)
  const options = { streams, seconds: effort.tcpSeconds }
  const { result, start, end } = await transfer(one.from, one.to, context, options)
  const daemons = processSeconds(one.daemons) - daemonsBefore
  const calls = callsFor64KB(countersBefore, await one.counters?.())
  const cpu = oneMachine ? cpuNsPer(start, end, background, result.bytes) : NaN
  const own = oneMachine ? ((daemons + result.cpuSeconds) / result.bytes) * 1e9 : NaN
  const costs = oneMachine
    ? `, ${own.toFixed(3)} CPU-ns/byte of its own, in all ${Number.isNaN(cpu) ? 'not to be told' : cpu.toFixed(3)}`
    : ''
  context.report(shown(result) + costs)
  return streams === 1
    ? { tcp1: result.gbitPerSecond, cpuTcp1: cpu, processTcp1: own, callsTcp1: calls }
    : { tcp8: result.gbitPerSecond, cpuTcp8: cpu, processTcp8: own }
}

/** The other way. */
export async function tcpBack(
  one: Contestant,
  context: MeasureContext,
  streams: 1 | 8,
): Promise<Figures> {
  const options = { streams, seconds: context.effort.tcpSeconds }
  const { result } = await transfer(one.to, one.from, context, options)
  context.report(shown(result))
  return streams === 1 ? { tcp1Back: result.gbitPerSecond } : { tcp8Back: result.gbitPerSecond }
}

/** To the same sandbox without the VIP, then with it: one right behind the other. */
export async function vipTcp(one: Contestant, context: MeasureContext): Promise<Figures> {
  const { service, from, to } = one
  if (service === null) return {}
  const options = { streams: 1, seconds: context.effort.tcpSeconds }
  const direct = await transfer(from, to, context, options)
  await service.open()
  try {
    const address = service.single
    const { result } = await transfer(from, to, context, { ...options, address })
    const share = result.gbitPerSecond / direct.result.gbitPerSecond
    context.report(
      `${shown(result)}; without VIP ${direct.result.gbitPerSecond.toFixed(2)}, ${share.toFixed(2)} of it`,
    )
    return { vipTcp1: result.gbitPerSecond, vipShare: share }
  } finally {
    await service.close()
  }
}

function shown({ gbitPerSecond, retransmits }: TcpResult): string {
  return `${gbitPerSecond.toFixed(2)} Gbit/s, ${retransmits} retransmits`
}

/** Both hosts together, with those for acknowledgements; NaN when nobody counts them. */
function callsFor64KB(
  before: ReadonlyMap<string, number> | undefined,
  after: ReadonlyMap<string, number> | undefined,
): number {
  const more = (name: string): number => (after?.get(name) ?? NaN) - (before?.get(name) ?? NaN)
  return more('system_calls') / (more('tap_rx_bytes') / CHUNK_BYTES)
}

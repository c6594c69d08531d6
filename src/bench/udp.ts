// The highest rates of UDP with hardly any loss, and with none: weft-flood at both ends.

import type { Contestant } from './contestant.ts'
import { backgroundShare, processSeconds, readCpuTime } from './cpu.ts'
import type { MeasureContext } from './measure-context.ts'
import type { Figures, UdpPayload } from './metrics.ts'
import { cpuNsPer, parseSend, parseSink, type SendReport, type SinkReport } from './outputs.ts'
import { both, succeeded } from './place.ts'
import { bestRate, bestTrial, lossOf, nextRate, type Trial } from './rate-search.ts'

/** The share of datagrams that may be lost at a rate that counts. */
export const MAX_LOSS = 0.005
export const FLOWS = 4

/** A trial's late datagrams must not come to the next one's sink. */
const FIRST_TRIAL_PORT = 20_000
const TRIAL_PORTS = 10_000

interface CostedTrial extends Trial {
  /** CPU time for each datagram that came: of the machine, and of daemons and generator. */
  readonly cpuNs: number
  readonly ownNs: number
}

export async function udp(
  one: Contestant,
  context: MeasureContext,
  bytes: UdpPayload,
): Promise<Figures> {
  const { maxTrials, losslessTrials, idleSeconds } = context.effort
  const background = context.oneMachine ? await backgroundShare(idleSeconds) : NaN
  if (context.oneMachine) context.noteBackground(background)
  const trials: CostedTrial[] = []
  // What was tried for the one is known for the other.
  const some = { maxLoss: MAX_LOSS, maxTrials }
  const none = { maxLoss: 0, maxTrials: maxTrials + losslessTrials }
  for (const limits of [some, none]) {
    for (let rate = nextRate(trials, limits); rate !== undefined; rate = nextRate(trials, limits)) {
      trials.push(await costedTrial(one, context, { bytes, rate, background }))
    }
  }
  const [best, lossless] = [bestRate(trials, some) / 1000, bestRate(trials, none) / 1000]
  context.report(
    `${best.toFixed(1)} kpps, ${lossless.toFixed(1)} without loss; tried ${trials.map(shown).join(', ')}`,
  )
  const rates: Figures = { [`udp${bytes}`]: best, [`udp${bytes}Lossless`]: lossless }
  const paid = bestTrial(trials, some)
  if (bytes !== 64 || paid === undefined || !context.oneMachine) return rates
  return { ...rates, cpuUdp64: paid.cpuNs, processUdp64: paid.ownNs }
}

function shown(trial: Trial): string {
  const kpps = (trial.sent / trial.seconds / 1000).toFixed(1)
  return `${kpps} (${(lossOf(trial) * 100).toFixed(1)} % lost)`
}

async function costedTrial(
  one: Contestant,
  context: MeasureContext,
  what: { readonly bytes: number; readonly rate: number | null; readonly background: number },
): Promise<CostedTrial> {
  const { trialSeconds: seconds, quietMs } = context.effort
  const [start, daemonsBefore] = [readCpuTime(), processSeconds(one.daemons)]
  const { send, sink } = await flood(one, context, { ...what, seconds, quietMs })
  const daemons = processSeconds(one.daemons) - daemonsBefore
  context.noteIntegrity(sink)
  return {
    offered: what.rate,
    sent: send.sent,
    received: sink.received,
    seconds: send.elapsedMs / 1000,
    cpuNs: cpuNsPer(start, readCpuTime(), what.background, sink.received),
    ownNs: ((daemons * 1000 + send.cpuMs + sink.cpuMs) * 1e6) / sink.received,
  }
}

let floodCount = 0

/** A flood from one end to the other: what was sent, and what became of it. */
export async function flood(
  { from, to }: Pick<Contestant, 'from' | 'to'>,
  { signal }: Pick<MeasureContext, 'signal'>,
  options: {
    readonly bytes: number
    readonly rate: number | null
    readonly seconds: number
    readonly quietMs: number
  },
): Promise<{ send: SendReport; sink: SinkReport }> {
  const { bytes, rate, seconds, quietMs } = options
  floodCount += 1
  const port = String(FIRST_TRIAL_PORT + (floodCount % TRIAL_PORTS))
  const bounds = { seconds, signal }
  const sink = to.run([to.flood, 'sink', '--port', port, '--idle-ms', String(quietMs)], bounds)
  const send = from.run(
    [
      ...[from.flood, 'send', '--to', to.ip, '--port', port, '--flows', String(FLOWS)],
      ...['--bytes', String(bytes), '--seconds', String(seconds)],
      ...['--rate', rate === null ? 'max' : rate.toFixed(0)],
    ],
    bounds,
  )
  const [sent, received] = await both(send, sink)
  return { send: parseSend(succeeded(sent)), sink: parseSink(succeeded(received)) }
}

// Round-trip times: of a network that carries nothing else, beside small packets, beside bulk data.

import type { Contestant } from './contestant.ts'
import type { MeasureContext } from './measure-context.ts'
import type { Figures } from './metrics.ts'
import { parsePingTimes } from './outputs.ts'
import { both, succeeded } from './place.ts'
import { tailPercentile } from './statistics.ts'
import { transfer } from './tcp.ts'
import { flood } from './udp.ts'

/** They find the way. */
const WARM_PINGS = 10
/** As many as fit into the time. */
const UNBOUNDED = 1_000_000
const IDLE_SECONDS = 10
/** Between the load's beginning and its end, so that no ping is without it. */
const MARGIN_SECONDS = 0.5

interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

export async function ping(one: Contestant, context: MeasureContext): Promise<Figures> {
  const count = context.effort.pings + WARM_PINGS
  const { p50, p99, p999 } = await pings(one, context, count, IDLE_SECONDS, '')
  return { pingP50: p50, pingP99: p99, pingP999: p999 }
}

/** Beside half of the highest rate that the weakest side carried without loss: the same for all. */
export async function pingBesideUdp(one: Contestant, context: MeasureContext): Promise<Figures> {
  const { loadSeconds, quietMs } = context.effort
  const kpps = context.lowest('udp64Lossless') || context.lowest('udp64') || 0
  if (kpps === 0) {
    context.report('not measured: how much UDP it carries is not known')
    return {}
  }
  const load = { bytes: 64, rate: kpps * 500, seconds: loadSeconds + MARGIN_SECONDS, quietMs }
  const beside = `, beside ${(load.rate / 1000).toFixed(1)} kpps`
  const [, { p50, p99, p999 }] = await both(
    flood(one, context, load),
    pings(one, context, UNBOUNDED, loadSeconds, beside),
  )
  return { busyP50: p50, busyP99: p99, busyP999: p999 }
}

export async function pingBesideTcp(one: Contestant, context: MeasureContext): Promise<Figures> {
  const { loadSeconds } = context.effort
  const load = { streams: 1, seconds: Math.ceil(loadSeconds + MARGIN_SECONDS) }
  const [{ result }, times] = await both(
    transfer(one.from, one.to, context, load),
    pings(one, context, UNBOUNDED, loadSeconds, ', beside TCP'),
  )
  const { p50, p99, p999 } = times
  // Without load, they say nothing.
  if (result.bytes === 0) return {}
  return { bulkP50: p50, bulkP99: p99, bulkP999: p999 }
}

/** Adaptive: the next one as soon as the answer is there. */
async function pings(
  { from, to }: Contestant,
  context: MeasureContext,
  count: number,
  seconds: number,
  beside: string,
): Promise<Percentiles> {
  const argv = ['ping', '-n', '-A', '-c', String(count), '-w', String(seconds), to.ip]
  const result = await from.run(argv, { seconds, signal: context.signal })
  // 1: some were not answered within the time, which is what it ends with beside a load.
  const output = result.code === 1 ? result.stdout : succeeded(result)
  const times = parsePingTimes(output).slice(WARM_PINGS)
  const [p50, p99] = [tailPercentile(times, 0.5), tailPercentile(times, 0.99)]
  context.report(
    `${times.length} answers, p50 ${p50.toFixed(0)} us, p99 ${p99.toFixed(0)} us${beside}`,
  )
  return { p50, p99, p999: tailPercentile(times, 0.999) }
}

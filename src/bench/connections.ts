// Connections a second, to a sandbox and to a VIP: weft-flood at both ends.

import type { Contestant } from './contestant.ts'
import type { MeasureContext } from './measure-context.ts'
import type { Figures } from './metrics.ts'
import { parseConnect } from './outputs.ts'
import { both, type Place, succeeded } from './place.ts'

export const CONNECTIONS_AT_ONCE = 16
/** The kernel side's VIP rules name it. */
export const CONNECT_PORT = 6000

export async function connections(one: Contestant, context: MeasureContext): Promise<Figures> {
  return { connections: await perSecond(one.from, one.to.ip, [one.to], context) }
}

export async function vipConnections(one: Contestant, context: MeasureContext): Promise<Figures> {
  const { service, from } = one
  if (service === null) return {}
  await service.open()
  try {
    return { vipConnections: await perSecond(from, service.vip, service.backends, context) }
  } finally {
    await service.close()
  }
}

async function perSecond(
  from: Place,
  address: string,
  servers: readonly Place[],
  context: MeasureContext,
): Promise<number> {
  const { connectSeconds, quietMs } = context.effort
  const port = String(CONNECT_PORT)
  const bounds = { seconds: connectSeconds, signal: context.signal }
  const accept = servers.map((server) =>
    server.run([server.flood, 'accept', '--port', port, '--idle-ms', String(quietMs)], bounds),
  )
  const connect = from.run(
    [
      ...[from.flood, 'connect', '--to', address, '--port', port],
      ...['--seconds', String(connectSeconds), '--concurrency', String(CONNECTIONS_AT_ONCE)],
      ...['--listeners', String(servers.length)],
    ],
    bounds,
  )
  const [connected, accepted] = await both(connect, Promise.all(accept))
  const result = parseConnect(succeeded(connected))
  // Each server had some, or it says that none came.
  accepted.forEach(succeeded)
  context.report(
    `${result.perSecond.toFixed(0)} a second, ${result.failed} failed, ` +
      `p99 ${(result.latencyUs.p99 / 1000).toFixed(1)} ms`,
  )
  return result.perSecond
}

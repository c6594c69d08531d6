// The one side: a lab of two hosts with their daemons, a sandbox on each.

import { WeftError } from '../errors.ts'
import { clientOf, runningDaemon } from '../lab/daemons.ts'
import type { LabContext } from '../lab/events.ts'
import { down, up } from '../lab/lab.ts'
import type { LabHost } from '../lab/topology.ts'
import { type Contestant, type Place, settleSandbox } from './contestant.ts'
import { makePlainUnderlay, type Underlay } from './underlay.ts'

const NETWORK = 'demo'
const ANSWER_MS = 30_000

export async function makeWeftLab(
  name: string,
  underlay: Underlay,
  context: LabContext,
): Promise<Contestant> {
  const topology = await up(name, 2, context)
  try {
    await makePlainUnderlay(topology, underlay)
    const [from, to] = await Promise.all(
      topology.hosts.map((host, index) => makeSandbox(host, `c${index + 1}`)),
    )
    if (from === undefined || to === undefined) throw new Error('a lab of two hosts has two')
    return {
      side: 'weft',
      from,
      to,
      daemons: topology.hosts.flatMap((host) => runningDaemon(name, host)?.pid ?? []),
      close: async () => {
        await down(name)
      },
    }
  } catch (error) {
    await down(name)
    throw error
  }
}

async function makeSandbox(host: LabHost, name: string): Promise<Place> {
  const made = await clientOf(host, ANSWER_MS).createSandbox({
    kind: 'run',
    name,
    attachments: [{ network: NETWORK }],
    argv: ['sleep', 'infinity'],
    env: {},
    tty: false,
    detach: true,
  })
  const endpoint = made.NetworkSettings.Networks[NETWORK]
  if (endpoint === undefined) throw new WeftError('internal', `${name} is not on ${NETWORK}`)
  const netns = made.NetworkSettings.SandboxKey
  await settleSandbox(netns)
  return { netns, ip: endpoint.IPAddress }
}

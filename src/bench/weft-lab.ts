// The one side: a lab of two hosts with their daemons, a sandbox on the one, three on the other.

import type { ApiClient } from '../api/client.ts'
import type { CreateNetwork } from '../api/network-types.ts'
import { WeftError } from '../errors.ts'
import { clientOf, runningDaemon } from '../lab/daemons.ts'
import type { LabContext } from '../lab/events.ts'
import { down, up } from '../lab/lab.ts'
import type { Topology } from '../lab/topology.ts'
import { type Contestant, type ServiceUnderTest, settleSandbox } from './contestant.ts'
import { netnsPlace, type Place } from './place.ts'
import type { Underlay } from './result.ts'
import { makePlainUnderlay } from './underlay.ts'

const NETWORK = 'bench'
const SERVICE = 'many'
const SINGLE_SERVICE = 'single'
const BACKENDS = ['b1', 'b2'] as const
const ANSWER_MS = 30_000

const PLAIN_NETWORK: CreateNetwork = {
  name: NETWORK,
  subnets: [],
  gateways: [],
  ipRanges: [],
  ipv6: false,
  internal: false,
  attachable: false,
  options: {},
  labels: {},
}

export async function makeWeftLab(
  name: string,
  underlay: Underlay,
  context: LabContext,
): Promise<Contestant> {
  const topology = await up(name, 2, context)
  try {
    await makePlainUnderlay(topology, underlay)
    return await furnish(topology)
  } catch (error) {
    await down(name)
    throw error
  }
}

async function furnish(topology: Topology): Promise<Contestant> {
  const { name, hosts } = topology
  const [near, far] = hosts.map((host) => clientOf(host, ANSWER_MS))
  if (near === undefined || far === undefined) throw new Error('a lab of two hosts has two')
  await near.createNetwork(PLAIN_NETWORK)
  for (const service of [SERVICE, SINGLE_SERVICE]) {
    await far.createService({
      ...{ name: service, networks: [NETWORK], endpointMode: 'vip', scheduler: 'rr', labels: {} },
    })
  }
  const from = await makeSandbox(near, 'c1')
  const to = await makeSandbox(far, 'c2', SINGLE_SERVICE)
  const backends: Place[] = []
  for (const backend of BACKENDS) backends.push(await makeSandbox(far, backend, SERVICE))
  const nothing = (): Promise<void> => Promise.resolve()
  const service: ServiceUnderTest = {
    vip: await vipOf(near, SERVICE),
    backends,
    single: await vipOf(near, SINGLE_SERVICE),
    open: nothing,
    close: nothing,
  }
  return {
    side: 'weft',
    from,
    to,
    service,
    daemons: hosts.flatMap((host) => runningDaemon(name, host)?.pid ?? []),
    counters: () => sumOfCounters([near, far]),
  }
}

async function makeSandbox(client: ApiClient, name: string, service?: string): Promise<Place> {
  const made = await client.createSandbox({
    kind: 'run',
    name,
    attachments: [{ network: NETWORK, ...(service === undefined ? {} : { service }) }],
    argv: ['sleep', 'infinity'],
    env: {},
    tty: false,
    detach: true,
  })
  const endpoint = made.NetworkSettings.Networks[NETWORK]
  if (endpoint === undefined) throw new WeftError('internal', `${name} is not on ${NETWORK}`)
  const netns = made.NetworkSettings.SandboxKey
  await settleSandbox(netns)
  return netnsPlace(netns, endpoint.IPAddress)
}

async function vipOf(client: ApiClient, service: string): Promise<string> {
  const { Endpoint } = await client.inspectService(service)
  const [address] = Endpoint.VirtualIPs?.[0]?.Addr.split('/') ?? []
  if (address === undefined) throw new WeftError('internal', `service ${service} has no VIP`)
  return address
}

async function sumOfCounters(clients: readonly ApiClient[]): Promise<Map<string, number>> {
  const sums = new Map<string, number>()
  for (const rows of await Promise.all(clients.map((client) => client.counters()))) {
    for (const { name, value } of rows) sums.set(name, (sums.get(name) ?? 0) + value)
  }
  return sums
}

// The routes of docs/api.md for networks: request → networks → view.

import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Programmer } from '../dataplane/programmer.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Endpoints } from '../network/endpoints.ts'
import type { NetworkRecord, Networks } from '../network/networks.ts'
import type { AddSubnets, CreateNetwork, CreatedNetwork, NetworkSummary } from './network-types.ts'
import { type EndpointHost, networkInspect, networkSummary } from './network-views.ts'
import { check } from './schemas.ts'

/** Bounds keep what is quoted in errors short; what does not fit a record is refused there. */
const texts = z.array(z.string().max(128)).max(32)
const words = z.record(z.string().min(1).max(128), z.string().max(256))
const CREATE = z.strictObject({
  name: z.string().max(1024),
  subnets: texts,
  gateways: texts,
  ipRanges: texts,
  ipv6: z.boolean(),
  internal: z.boolean(),
  attachable: z.boolean(),
  options: words,
  labels: words,
})

const ADD = z.strictObject({
  subnets: texts.min(1),
  gateways: texts.default([]),
  ipRanges: texts.default([]),
})

/** What the routes speak of. */
export interface NetworkRoutesOptions {
  readonly netdb: Netdb
  readonly networks: Networks
  readonly endpoints: Pick<Endpoints, 'countOn'>
  readonly programmer: Pick<Programmer, 'mtuOf'>
  readonly mtuBytes: number
}

export function registerNetworks(http: FastifyInstance, options: NetworkRoutesOptions): void {
  const { netdb, networks, endpoints, programmer, mtuBytes } = options
  /** A network is here while it is used here; where it was made, or a facts file says so, it is seen before, too. */
  const isHere = ({ key, owner, version }: NetworkRecord): boolean =>
    owner === netdb.self || version.lamport === 0 || endpoints.countOn(key) > 0
  const hostOf = (id: string): EndpointHost => ({
    id,
    name: netdb.nameOfMember(id),
    vtep: netdb.get('member', id)?.value.vtep ?? null,
  })

  http.get<{ Querystring: { all?: string } }>('/v1/networks', ({ query }): NetworkSummary[] =>
    networks
      .list()
      .filter((network) => query.all === '1' || isHere(network))
      .map((network) => networkSummary(network, endpoints.countOn(network.key))),
  )
  http.post('/v1/networks', async ({ body }, reply): Promise<CreatedNetwork> => {
    const { ipRanges: ranges, ...wish } = check(CREATE, body) satisfies CreateNetwork
    const id = await networks.create({ ...wish, ranges })
    void reply.code(201)
    return { id }
  })
  http.get<{ Params: { network: string } }>('/v1/networks/:network', async ({ params }) => {
    const network = await networks.find(params.network)
    return networkInspect({
      network,
      subnets: networks.subnetsOf(network.key),
      endpoints: networks.endpointsOf(network.key),
      hostOf,
      mtuBytes: programmer.mtuOf(network.key) ?? mtuBytes,
    })
  })
  http.post<{ Params: { network: string } }>(
    '/v1/networks/:network/subnets',
    async ({ params, body }, reply) => {
      const { ipRanges: ranges, ...wish } = check(ADD, body) satisfies AddSubnets
      await networks.addSubnets(params.network, { ...wish, ranges })
      return await reply.code(204).send()
    },
  )
  http.delete<{ Params: { network: string } }>(
    '/v1/networks/:network',
    async ({ params }, reply) => {
      await networks.remove(params.network)
      return await reply.code(204).send()
    },
  )
}

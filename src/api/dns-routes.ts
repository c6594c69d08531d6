// The routes of docs/api.md for names: what would be answered to whom.

import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { ResolverCounts } from '../dns/counters.ts'
import type { ForwarderCounters } from '../dns/forwarder.ts'
import { decodeReply, encodeInquiry } from '../dns/inquiry.ts'
import type { Names } from '../dns/names.ts'
import type { Resolver } from '../dns/resolver.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Networks } from '../network/networks.ts'
import type { DnsReply, DnsRow } from './dns-types.ts'
import { check } from './schemas.ts'
import type { CounterRow } from './types.ts'

/** What the routes speak of. */
export interface DnsRoutesOptions {
  readonly netdb: Netdb
  readonly networks: Pick<Networks, 'find'>
  readonly dns: {
    readonly names: Names
    readonly resolver: Resolver
    readonly counters: () => ResolverCounts & { readonly forwarder: ForwarderCounters }
  }
}

const QUERY = z.object({
  name: z.string().max(1024),
  network: z.string().max(128),
  type: z.string().max(16).optional(),
})

export function registerDns(http: FastifyInstance, options: DnsRoutesOptions): void {
  const { netdb, networks, dns } = options
  http.get<{ Querystring: { network?: string } }>('/v1/dns', async ({ query }) => {
    const scope =
      query.network === undefined ? undefined : [(await networks.find(query.network)).key]
    return dns.names.list(scope).map(
      ({ network, name, holders }): DnsRow => ({
        network,
        name,
        addresses: holders.map(({ ip, ip6, name: holder, owner }) => ({
          ip,
          ip6,
          holder,
          host: owner === null ? null : netdb.nameOfMember(owner),
        })),
      }),
    )
  })
  http.get('/v1/dns/query', async ({ query }): Promise<DnsReply> => {
    const { name, network, type } = check(QUERY, query)
    const message = encodeInquiry(name, type)
    const { key } = await networks.find(network)
    // As a sandbox would be answered that is on this network alone, and takes a long answer.
    const asker = { underway: 0, networks: () => [key] }
    const reply = await new Promise<Buffer>((resolve) => {
      dns.resolver.handle(message, asker, 'tcp', resolve)
    })
    return decodeReply(reply)
  })
}

/** As rows of `weft status` and GET /v1/counters. */
export function dnsCounters({
  queries,
  replies,
  dropped,
  failures,
  unsent,
  forwarder,
}: ReturnType<DnsRoutesOptions['dns']['counters']>): CounterRow[] {
  const row = (name: string, text: string, value: number): CounterRow => ({
    name: `dns_${name}`,
    kind: 'dns',
    text,
    value,
  })
  const each = (
    counts: Readonly<Record<string, number>>,
    nameOf: (key: string) => string,
    text: string,
  ): CounterRow[] =>
    Object.entries(counts).map(([key, value]) => row(nameOf(key.toLowerCase()), text, value))
  return [
    ...each(queries, (carrier) => `queries_${carrier}`, 'queries of sandboxes'),
    ...each(replies.local, (rcode) => `local_${rcode}`, 'answered from our own names'),
    ...each(replies.upstream, (rcode) => `upstream_${rcode}`, 'answered by an upstream'),
    ...each(replies.cache, (rcode) => `cache_${rcode}`, 'as an upstream said a moment ago'),
    ...each(replies.none, (rcode) => `none_${rcode}`, 'wrong queries, or nobody could say'),
    ...each(dropped, (reason) => `dropped_${reason}`, 'messages that are no queries'),
    ...each(failures, (reason) => `failed_${reason}`, 'why nobody could say'),
    row('unsent', 'answers that the socket did not take', unsent),
    ...each({ ...forwarder }, (what) => `forward_${what}`, 'questions on their way to upstreams'),
  ]
}

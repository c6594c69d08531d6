// The routes of docs/api.md for the cluster: request → cluster → view.

import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Cluster } from '../cluster/cluster.ts'
import { WeftError } from '../errors.ts'
import type { AddressChange, JoinCluster, LeaveCluster, SetAddress } from './cluster-types.ts'
import { nodeInspectOf, nodeRows } from './cluster-views.ts'
import { check } from './schemas.ts'

/** Bounds keep what is quoted in errors and logs short; a token has some 50 characters. */
const ADDRESS = z.strictObject({ advertiseAddr: z.string().min(1).max(64) })
const JOIN = z.strictObject({
  token: z.string().min(1).max(256),
  host: z.string().min(1).max(256),
})
const LEAVE = z.strictObject({ force: z.boolean() })

/** Verbs that need more than the cluster: the daemon brings them. */
export interface ClusterVerbs {
  /** Has this host reached at another address. Whether that is a change: then the daemon begins anew. */
  readonly readvertise: (wanted: string) => Promise<boolean>
  /** Ends the sandboxes of this host (`force`), or refuses while there are some; then leaves. */
  readonly leave: (force: boolean) => Promise<void>
}

export function registerCluster(
  http: FastifyInstance,
  cluster: Cluster,
  verbs: ClusterVerbs,
): void {
  http.post('/v1/cluster/address', async ({ body }): Promise<AddressChange> => {
    const { advertiseAddr } = check(ADDRESS, body) satisfies SetAddress
    cluster.requireNone()
    return { changed: await verbs.readvertise(advertiseAddr) }
  })
  http.post('/v1/cluster/init', () => cluster.init())
  http.post('/v1/cluster/join', ({ body }) => cluster.join(check(JOIN, body) satisfies JoinCluster))
  http.post('/v1/cluster/leave', async ({ body }, reply) => {
    const { force } = check(LEAVE, body) satisfies LeaveCluster
    cluster.requireSome()
    await verbs.leave(force)
    return await reply.code(204).send()
  })
  http.get('/v1/cluster/token', () => cluster.joinToken())
  http.post('/v1/cluster/token/rotate', () => cluster.rotateJoinSecret())
  http.post('/v1/cluster/keys/rotate', () => cluster.rotateKeys())

  http.get('/v1/nodes', () => nodeRows(cluster.nodes()))
  http.get<{ Params: { name: string } }>('/v1/nodes/:name', ({ params }) =>
    nodeInspectOf(cluster.node(params.name)),
  )
  http.delete<{ Params: { name: string }; Querystring: { force?: string } }>(
    '/v1/nodes/:name',
    async ({ params, query }, reply) => {
      const node = cluster.node(params.name)
      if (node.self) {
        throw new WeftError(
          'invalid_argument',
          `${node.name} is this host; leave the cluster with weft leave`,
        )
      }
      await cluster.removeNode(node, query.force === '1')
      return await reply.code(204).send()
    },
  )
}

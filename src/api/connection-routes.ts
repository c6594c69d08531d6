// The routes of docs/api.md by which a living sandbox is put on networks and taken off them.

import type { FastifyInstance } from 'fastify'
import type { Controller } from '../network/controller.ts'
import { parseAttachment } from './schemas.ts'
import { inspectOf } from './views.ts'

export function registerConnections(
  http: FastifyInstance,
  controller: Controller,
  host: string,
): void {
  http.post<{ Params: { name: string } }>(
    '/v1/sandboxes/:name/networks',
    async ({ params, body }, reply) => {
      const attachment = parseAttachment(body)
      const sandbox = controller.find(params.name)
      await controller.connect(sandbox, attachment)
      void reply.code(201)
      return inspectOf(sandbox, host, controller.directoryOf(sandbox))
    },
  )
  http.delete<{ Params: { name: string; network: string } }>(
    '/v1/sandboxes/:name/networks/:network',
    async ({ params }, reply) => {
      await controller.disconnect(controller.find(params.name), params.network)
      return await reply.code(204).send()
    },
  )
}

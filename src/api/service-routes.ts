// The routes of docs/api.md for services: request → services → view.

import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { HEALTH_CHANGE, HEALTH_CHECK } from '../netdb/health-check.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Services } from '../network/services.ts'
import { check } from './schemas.ts'
import type {
  CreateService,
  CreatedService,
  ServiceSummary,
  UpdateService,
} from './service-types.ts'
import { serviceInspect, serviceSummary } from './service-views.ts'

const MAX_NETWORKS = 64
const MAX_WEIGHT = 256
const SCHEDULERS = ['rr', 'lc', 'sh', 'maglev'] as const

const texts = z.array(z.string().min(1).max(256)).max(1024)
const words = z.record(z.string().min(1).max(128), z.string().max(256))
const scheduler = z.enum(SCHEDULERS, `a scheduler is one of ${SCHEDULERS.join(', ')}`)
const weight = z
  .number()
  .int(`a weight is a whole number from 0 to ${MAX_WEIGHT}`)
  .min(0, `a weight is a whole number from 0 to ${MAX_WEIGHT}`)
  .max(MAX_WEIGHT, `a weight is a whole number from 0 to ${MAX_WEIGHT}`)

const CREATE = z.strictObject({
  name: z.string().max(1024),
  networks: z.array(z.string().min(1).max(128)).max(MAX_NETWORKS),
  endpointMode: z.enum(['vip', 'dnsrr'], 'an endpoint mode is vip or dnsrr'),
  scheduler,
  labels: words,
  health: HEALTH_CHECK.exactOptional(),
})

const UPDATE = z.strictObject({
  scheduler: scheduler.exactOptional(),
  labelsAdded: words.exactOptional(),
  labelsRemoved: texts.exactOptional(),
  drain: texts.exactOptional(),
  undrain: texts.exactOptional(),
  weights: z.record(z.string().min(1).max(256), weight).exactOptional(),
  health: HEALTH_CHANGE.nullable().exactOptional(),
})

export interface ServiceRoutesOptions {
  readonly netdb: Netdb
  readonly services: Services
}

interface Named {
  readonly Params: { readonly service: string }
}

export function registerServices(http: FastifyInstance, options: ServiceRoutesOptions): void {
  const { netdb, services } = options
  http.get('/v1/services', (): ServiceSummary[] =>
    services.list().map((service) => serviceSummary(service, services.backendsOf(service))),
  )
  http.post('/v1/services', async ({ body }, reply): Promise<CreatedService> => {
    const id = await services.create(check(CREATE, body) satisfies CreateService)
    void reply.code(201)
    return { id }
  })
  http.get<Named>('/v1/services/:service', async ({ params }) => {
    const service = await services.find(params.service)
    return serviceInspect({
      service,
      vips: services.vipsOf(service),
      backends: services.backendsOf(service),
      subnets: netdb.list('subnet'),
      hostOf: (member) => netdb.nameOfMember(member),
    })
  })
  http.post<Named>('/v1/services/:service', async ({ params, body }, reply) => {
    await services.update(params.service, check(UPDATE, body) satisfies UpdateService)
    return await reply.code(204).send()
  })
  http.delete<Named>('/v1/services/:service', async ({ params }, reply) => {
    await services.remove(params.service)
    return await reply.code(204).send()
  })
}

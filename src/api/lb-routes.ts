// The routes of docs/api.md for VIPs: what is balanced to whom, and the flows, a line each.

import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Dataplane } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import type { Netdb } from '../netdb/table.ts'
import { FLOW_PROTOCOLS, FLOW_STATES, type FlowFilter } from './lb-types.ts'
import { type FlowNames, flowNames, flowRow, flowTest, lbRows } from './lb-views.ts'
import { check } from './schemas.ts'

/** What the routes speak of. */
export interface LbRoutesOptions {
  readonly dataplane: Pick<Dataplane, 'serviceEntries' | 'flowEntries'>
  readonly programmer: Pick<Programmer, 'recordOf'>
  readonly netdb: Netdb
}

const QUERY = z.strictObject({
  service: z.string().max(128).optional(),
  protocol: z.enum(FLOW_PROTOCOLS).optional(),
  state: z.enum(FLOW_STATES).optional(),
  source: z.string().max(64).optional(),
  destination: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).optional(),
})

export function registerLb(http: FastifyInstance, options: LbRoutesOptions): void {
  const { dataplane, programmer, netdb } = options
  const recordOf = (number: number) => programmer.recordOf(number)
  http.get('/v1/lb', () => lbRows(dataplane.serviceEntries(), recordOf, netdb))
  http.get('/v1/flows', async ({ query }, reply) => {
    const filter = check(QUERY, query) as FlowFilter
    const names = flowNames(dataplane.serviceEntries(), recordOf, netdb)
    const pages = flowPages(dataplane, filter, names)
    return await reply
      .type('application/x-ndjson')
      .send(Readable.from(pages, { objectMode: false }))
  })
}

/**
 * The lines of the flows that the filter lets through, a page of native at a time; when the reader has taken one and everybody
 * else has had a turn, the next.
 */
function flowPages(
  dataplane: LbRoutesOptions['dataplane'],
  filter: FlowFilter,
  names: FlowNames,
): AsyncGenerator<string> {
  // Here, not at the first page: a wrong filter is answered with an error.
  const isWanted = flowTest(filter, names)
  return read()

  async function* read(): AsyncGenerator<string> {
    let left = filter.limit ?? Infinity
    let place = 0
    do {
      const { flows, next } = dataplane.flowEntries(place)
      const nowNs = process.hrtime.bigint()
      const shown = flows.filter(isWanted).slice(0, left)
      left -= shown.length
      const lines = shown.map((flow) => `${JSON.stringify(flowRow(flow, names, nowNs))}\n`)
      if (lines.length > 0) yield lines.join('')
      await nextTurn()
      place = next
    } while (place !== 0 && left > 0)
  }
}

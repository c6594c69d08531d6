// The route of docs/api.md for events: those that are remembered, and those to come, a line each.

import { PassThrough } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Event } from '../events/event.ts'
import type { EventRing } from '../events/event-ring.ts'
import type { EventLine } from './event-types.ts'
import { check } from './schemas.ts'

const QUERY = z.object({
  since: z.coerce.number().int().min(0).default(0),
  follow: z.enum(['0', '1']).default('0'),
})

/** Who reads so slowly that this much waits for him is left behind. */
const MOST_WAITING_BYTES = 1 << 20

export function registerEvents(http: FastifyInstance, events: EventRing): void {
  http.get('/v1/events', async ({ query }, reply) => {
    const { since, follow } = check(QUERY, query)
    const lines = new PassThrough()
    const write = (event: Event): void => {
      if (lines.writableLength > MOST_WAITING_BYTES) lines.destroy()
      else lines.write(`${JSON.stringify(eventLine(event))}\n`)
    }
    for (const event of events.since(since)) write(event)
    if (follow === '1') {
      const end = events.listen(write)
      lines.once('close', end)
      // `events --follow` has no end of its own.
      reply.raw.once('close', () => lines.destroy())
    } else {
      lines.end()
    }
    return await reply.type('application/x-ndjson').send(lines)
  })
}

function eventLine({ timeMs, kind, object, text }: Event): EventLine {
  return { time: new Date(timeMs).toISOString(), kind, object, text }
}

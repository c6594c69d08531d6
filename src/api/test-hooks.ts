// What only tests may do to a daemon: these routes exist when it was started with WEFT_TEST_HOOKS=1.

import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Dataplane } from '../dataplane/binding.ts'
import { check } from './schemas.ts'

const BATCH = z.strictObject({ batch: z.base64() })

export function registerTestHooks(http: FastifyInstance, dataplane: Dataplane): void {
  if (process.env['WEFT_TEST_HOOKS'] !== '1') return
  // A batch as src/dataplane/batch.ts encodes it, behind the back of the programmer: what a bug of ours would do.
  http.post('/v1/test/apply', async ({ body }, reply) => {
    dataplane.apply(Buffer.from(check(BATCH, body).batch, 'base64'))
    return await reply.code(204).send()
  })
}

// What only tests may do to a daemon: these routes exist when it was started with WEFT_TEST_HOOKS=1.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Dataplane } from '../dataplane/binding.ts'
import { parseVni } from '../net/vni.ts'
import type { Netdb } from '../netdb/table.ts'
import { check } from './schemas.ts'

const BATCH = z.strictObject({ batch: z.base64() })
const VNI = z.strictObject({ network: z.string(), vni: z.number() })

export function registerTestHooks(http: FastifyInstance, dataplane: Dataplane, netdb: Netdb): void {
  if (process.env['WEFT_TEST_HOOKS'] !== '1') return
  // A batch as src/dataplane/batch.ts encodes it, behind the back of the programmer: what a bug of ours would do.
  http.post('/v1/test/apply', async ({ body }, reply) => {
    dataplane.apply(Buffer.from(check(BATCH, body).batch, 'base64'))
    return await reply.code(204).send()
  })
  // The VNI of a network's subnets, taken or not: two hosts that have not heard of each other choose the same now and then.
  http.post('/v1/test/vni', async ({ body }, reply) => {
    const { network, vni } = check(VNI, body)
    for (const { key, value } of netdb.list('subnet'))
      if (value.network === network) netdb.put('subnet', key, { ...value, vni: parseVni(vni) })
    return await reply.code(204).send()
  })
  // What is held, without what only waits to be collected.
  http.post('/v1/test/collect', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    collect()
    collect()
    return process.memoryUsage()
  })
}

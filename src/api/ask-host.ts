// A question of one daemon to another's API, and the answer as a value.

import type { IncomingMessage } from 'node:http'
import type { Cluster } from '../cluster/cluster.ts'
import type { Peer } from '../doctor/peers.ts'
import { WeftError } from '../errors.ts'
import { type Forwarded, forwardRequest } from './forward.ts'

/** For what a daemon answers from memory, or with some seconds' work. */
const ANSWER_MS = 8_000

/** @throws WeftError unavailable, internal */
export async function askHost(
  cluster: Cluster,
  { id, name, vtep, gossipPort }: Peer,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const stream = await cluster.openApiAnyway({ id, address: { ip: vtep, port: gossipPort } })
  const timer = setTimeout(() => stream.destroy(), ANSWER_MS)
  try {
    const answer = await forwardRequest({ id, name }, () => Promise.resolve(stream), {
      method,
      path,
      body,
    })
    return await readAnswer(name, { method, path }, answer)
  } finally {
    clearTimeout(timer)
    stream.destroy()
  }
}

/** @throws WeftError internal */
export async function readAnswer(
  host: string,
  { method, path }: Pick<Forwarded, 'method' | 'path'>,
  answer: IncomingMessage,
): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  if (answer.statusCode === 200) return JSON.parse(text) as unknown
  throw new WeftError(
    'internal',
    `${host} refuses ${method} ${path} (${answer.statusCode ?? 0}): ${text.slice(0, 200)}`,
  )
}

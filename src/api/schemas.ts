// What requests may hold: the shapes of types.ts, checked.

import * as z from 'zod'
import { WeftError } from '../errors.ts'
import { HEALTH_CHECK } from '../netdb/health-check.ts'
import type { AttachRequest, Attachment, RunRequest } from '../network/requests.ts'

/** As a record holds them. */
const MAX_ALIASES = 16
const ATTACHMENT = z.strictObject({
  network: z.string().min(1),
  ip: z.string().optional(),
  ip6: z.string().optional(),
  mac: z.string().optional(),
  interface: z.string().optional(),
  aliases: z
    .array(z.string(), `an endpoint has at most ${MAX_ALIASES} aliases`)
    .max(MAX_ALIASES, `an endpoint has at most ${MAX_ALIASES} aliases`)
    .optional(),
  service: z.string().optional(),
})

// Bounds: a process's arguments and environment have 128 KB each at least (ARG_MAX's parts); networks are few.
const RUN = z.strictObject({
  kind: z.literal('run'),
  name: z.string(),
  attachments: z.array(ATTACHMENT).min(1).max(64),
  argv: z.array(z.string()).min(1).max(10_000),
  cwd: z.string().default('/'),
  env: z.record(z.string(), z.string()),
  tty: z.boolean(),
  detach: z.boolean(),
  health: HEALTH_CHECK.nullable().exactOptional(),
})

const ATTACH = z.strictObject({
  kind: z.literal('attach'),
  name: z.string(),
  attachments: z.array(ATTACHMENT).min(1).max(64),
  netns: z.string().min(1).optional(),
  pid: z.number().int().positive().optional(),
  host: z.literal(true).optional(),
  health: HEALTH_CHECK.refine(
    ({ test }) => test.kind !== 'cmd',
    'a command is for what weft runs; check an attachment by tcp or http',
  )
    .nullable()
    .exactOptional(),
})

const CREATE = z.discriminatedUnion('kind', [RUN, ATTACH])

const SIGNAL = z.strictObject({ signal: z.number().int().min(1).max(64) })

const EXEC = z.strictObject({
  argv: z.array(z.string()).min(1).max(10_000),
  tty: z.boolean(),
  rows: z.number().int().min(0).max(65_535),
  cols: z.number().int().min(0).max(65_535),
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()),
})

export type ExecRequest = z.output<typeof EXEC>

export function parseCreate(body: unknown): RunRequest | AttachRequest {
  const request = check(CREATE, body)
  if (request.kind === 'run') return request
  const { kind, name, attachments, health } = request
  return { kind, name, attachments, place: placeOf(request), health }
}

export function parseAttachment(body: unknown): Attachment {
  return check(ATTACHMENT, body)
}

export function parseSignal(body: unknown): number {
  return check(SIGNAL, body).signal
}

/** @param header base64 of JSON */
export function parseExec(header: unknown): ExecRequest {
  if (typeof header !== 'string')
    throw new WeftError('invalid_argument', 'exec needs the header x-weft-exec')
  let content: unknown
  try {
    content = JSON.parse(Buffer.from(header, 'base64').toString('utf8'))
  } catch (error) {
    throw new WeftError('invalid_argument', 'the header x-weft-exec is not base64 of JSON', {
      cause: error,
    })
  }
  return check(EXEC, content)
}

function placeOf({ netns, pid, host }: z.output<typeof ATTACH>): AttachRequest['place'] {
  const given = [netns, pid, host].filter((value) => value !== undefined)
  if (given.length !== 1) {
    throw new WeftError(
      'invalid_argument',
      'give exactly one of netns, pid and host: where the interface is to be made',
    )
  }
  if (netns !== undefined) return { netns: netns.includes('/') ? netns : `/run/netns/${netns}` }
  return pid !== undefined ? { pid } : { host: true }
}

export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where =
    issue === undefined || issue.path.length === 0 ? 'the request' : issue.path.join('.')
  throw new WeftError('invalid_argument', `${where}: ${issue?.message ?? 'is wrong'}`)
}

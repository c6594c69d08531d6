// Joining: what a new host asks, what a member answers, and what either says when it cannot be.
//
//   joiner                                   member (any of the cluster)
//   join: who I am, where I am heard   →     may it? is the name free, the address its own?
//                                      ←     probe: who are you?   (to the address that the joiner names)
//   probe's reply: my id               →
//                                      ←     grant: cluster, keys, join secret, members
//
// All of it over TLS that the token's secret opens, on both sides: the joiner listens before it asks, with the token's door
// open, so the member sees that it reaches the very host that asks, by the address that all others will use.

import * as z from 'zod'
import { type ErrorCode, WeftError, quote } from '../errors.ts'
import { MAX_REQUEST_BYTES } from '../gossip/transport.ts'
import { type Ipv4Address, isIpv4Address } from '../net/ipv4-address.ts'
import { isName } from '../net/name.ts'
import {
  type JoinAnswer,
  type JoinGrant,
  type JoinView,
  type Joiner,
  REFUSALS,
  type RefusalReason,
  answerJoin,
  refuse,
  textOf,
} from './join-decision.ts'
import { StreamError, type StreamFailure, openStream } from './open-stream.ts'
import { KNOWN_PEER, MEMBERSHIP, membershipToJson } from './state-file.ts'
import { readFrame, writeFrame } from './stream-frames.ts'
import { type JoinDoor, PROTOCOLS, joinCredential } from './stream-security.ts'
import { type Token, clusterDigestOf } from './token.ts'

export type { JoinGrant, JoinView } from './join-decision.ts'

/** Of this exchange. Changes when an older joiner could not go on with what it is granted. */
export const JOIN_PROTOCOL = 1

const PROBE_TIMEOUT_MS = 1_000
/** The member's probe is part of it. */
const JOIN_TIMEOUT_MS = 5_000

// --- on the wire: JSON, since it happens once in a host's life ---

const ANY_REQUEST = z.object({ protocol: z.number().int(), kind: z.string() })

const JOIN_REQUEST = z.object({
  id: KNOWN_PEER.shape.id,
  name: z.string().refine(isName),
  ip: KNOWN_PEER.shape.ip,
  port: KNOWN_PEER.shape.port,
  weftVersion: z.string().max(64),
})

const PROBE_REPLY = z.object({ id: KNOWN_PEER.shape.id })

/** It is shown to people as it is. */
const ONE_LINE = z
  .string()
  .max(1000)
  .regex(/^\P{Cc}*$/u)

const ANSWER = z.union([
  z.object({ grant: MEMBERSHIP.extend({ peers: z.array(KNOWN_PEER).min(1) }) }),
  z.object({ refusal: z.object({ reason: z.string(), message: ONE_LINE }) }),
])

function toBytes(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** undefined: not JSON. */
function fromBytes(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return undefined
  }
}

function encodeAnswer(answer: JoinAnswer): Buffer {
  if ('refusal' in answer) return toBytes(answer)
  const { peers, ...membership } = answer.grant
  return toBytes({ grant: { ...membershipToJson(membership), peers } })
}

// --- the member's side ---

/** StreamHandlers.onJoin: answers probes and requests. `view` is asked when one comes. null: it makes no sense. */
export async function serveJoin(
  body: Uint8Array,
  source: Ipv4Address,
  view: () => JoinView,
): Promise<Uint8Array | null> {
  const json = fromBytes(body)
  const any = ANY_REQUEST.safeParse(json)
  if (!any.success) return null
  const { self } = view()
  if (any.data.kind === 'probe') return toBytes({ id: self.id })
  if (any.data.protocol !== JOIN_PROTOCOL) {
    const message = `host ${self.name} joins by protocol ${JOIN_PROTOCOL}, this one by ${any.data.protocol}; use the same version of weft on both`
    return encodeAnswer(refuse('version_mismatch', message))
  }
  const request = JOIN_REQUEST.safeParse(json)
  if (!request.success) return null
  const { ip, port, ...rest } = request.data
  const joiner = { ...rest, address: { ip, port } }
  const answer = answerJoin(joiner, view())
  const membership = view().membership
  if ('refusal' in answer || membership === null) return encodeAnswer(answer)
  const { clusterId, joinSecret: secret } = membership
  const door = { clusterDigest: clusterDigestOf(clusterId), secret }
  const trouble = await probe(joiner, source, self, door)
  if (trouble !== null) return encodeAnswer(refuse('unreachable', trouble))
  // Another may have come in the meantime, under the same name.
  return encodeAnswer(answerJoin(joiner, view()))
}

/** null: the joiner answers at the address that it names; else what is to be said. */
async function probe(
  { id, address }: Joiner,
  source: Ipv4Address,
  self: JoinView['self'],
  door: JoinDoor,
): Promise<string | null> {
  const there = textOf(address)
  const reply = await exchange(address.ip, address.port, self.address.ip, door, PROBE_TIMEOUT_MS, {
    protocol: JOIN_PROTOCOL,
    kind: 'probe',
  }).catch((error: unknown) => (error instanceof StreamError ? error : null))
  const answered = PROBE_REPLY.safeParse(reply)
  if (answered.success && answered.data.id === id) return null
  // The joiner connects from the address that it names: another one was put there on the way.
  const seen = source === address.ip ? '' : ` (it sees this one as ${source}: behind NAT?)`
  if (reply instanceof StreamError && UNREACHED.has(reply.failure)) {
    return `host ${self.name} cannot reach this one at ${there}${seen}: is that the right --advertise-addr, and does a firewall let TCP and UDP ${address.port} pass?`
  }
  return `host ${self.name} reaches another host than this one at ${there}${seen}; name the address by which it reaches this one with --advertise-addr`
}

const UNREACHED: ReadonlySet<StreamFailure> = new Set(['unreachable', 'timeout'])

// --- the joiner's side ---

/** HOST of `weft join`: a name or an address, with the port when it is not 7946. */
export interface JoinTarget {
  readonly host: string
  readonly port: number
}

const DEFAULT_PORT = 7946

/** @throws WeftError invalid_argument */
export function parseJoinTarget(text: string): JoinTarget {
  const [, host = '', port] = /^([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?$/.exec(text.trim()) ?? []
  const number = port === undefined ? DEFAULT_PORT : Number(port)
  // What looks like an address must be one: a resolver would take 10.1 for 10.0.0.1.
  const isHost = host !== '' && (isIpv4Address(host) || !/^[0-9.]+$/.test(host))
  if (isHost && number >= 1 && number <= 65_535) return { host, port: number }
  throw new WeftError(
    'invalid_argument',
    `${quote(text)} is not a host to join; write a name or an IPv4 address, with :PORT when it is not ${DEFAULT_PORT}`,
  )
}

export interface JoinOptions {
  readonly target: JoinTarget
  readonly token: Token
  readonly me: Joiner
  readonly timeoutMs?: number
}

/**
 * Asks `target` for a place in the cluster of `token`. This host must listen already, with the token's door open and
 * serveJoin behind it.
 *
 * @throws WeftError unavailable, join_refused, name_in_use, address_in_use, version_mismatch
 */
export async function requestJoin({
  target: { host, port },
  token,
  me,
  timeoutMs = JOIN_TIMEOUT_MS,
}: JoinOptions): Promise<JoinGrant> {
  const there = port === DEFAULT_PORT ? host : `${host}:${port}`
  if (host === me.address.ip && port === me.address.port) {
    throw new WeftError('join_refused', `${there} is this host itself; name a host of the cluster`)
  }
  const { address, ...rest } = me
  const request = { protocol: JOIN_PROTOCOL, kind: 'join', ...rest, ...address }
  const json = await exchange(host, port, address.ip, token, timeoutMs, request).catch(
    (error: unknown) => {
      throw explain(error, there, port, timeoutMs)
    },
  )
  const answer = ANSWER.safeParse(json)
  if (!answer.success) {
    throw new WeftError(
      'unavailable',
      `host ${there} gave no answer that this version of weft understands; use the same version on both`,
    )
  }
  if ('refusal' in answer.data) {
    const { reason, message } = answer.data.refusal
    throw new WeftError(isReason(reason) ? REFUSALS[reason] : 'join_refused', message)
  }
  const { grant } = answer.data
  if (clusterDigestOf(grant.clusterId) !== token.clusterDigest) {
    throw new WeftError('join_refused', `host ${there} is of another cluster than the token`)
  }
  return grant
}

function isReason(reason: string): reason is RefusalReason {
  return Object.hasOwn(REFUSALS, reason)
}

/** A stream that could not be opened, in the words of who wants to join. */
function explain(error: unknown, there: string, port: number, timeoutMs: number): unknown {
  if (!(error instanceof StreamError)) return error
  const refused = (code: ErrorCode, message: string): WeftError =>
    new WeftError(code, message, { cause: error })
  switch (error.failure) {
    case 'unreachable':
      return refused(
        'unavailable',
        `cannot connect to ${there}: ${error.message}; is weft daemon running there, and does a firewall let TCP ${port} pass?`,
      )
    case 'timeout':
      return refused(
        'unavailable',
        `no answer from ${there} within ${timeoutMs / 1000} s; is it the right address, and does a firewall let TCP ${port} pass?`,
      )
    case 'not_weft':
      return refused(
        'unavailable',
        `what listens on TCP ${port} of ${there} is no weft host, or ended the connection: ${error.message}`,
      )
    case 'unknown_identity':
      return refused(
        'join_refused',
        `host ${there} is not in the cluster of this token, or in none; run weft join-token there for one that fits`,
      )
    case 'wrong_key':
      return refused(
        'join_refused',
        `the token is not (or no longer) valid for the cluster of ${there}; run weft join-token there for one that is`,
      )
  }
}

/** One request with a join secret, and its answer. @throws StreamError */
async function exchange(
  host: string,
  port: number,
  from: Ipv4Address,
  door: JoinDoor,
  timeoutMs: number,
  request: object,
): Promise<unknown> {
  const deadlineMs = performance.now() + timeoutMs
  const credential = joinCredential(door)
  const protocol = PROTOCOLS.join
  const socket = await openStream({ host, port, from, protocol, credential, timeoutMs })
  const remainingMs = Math.max(1, deadlineMs - performance.now())
  const late = { passed: false }
  const timer = setTimeout(() => {
    late.passed = true
    socket.destroy()
  }, remainingMs)
  writeFrame(socket, toBytes(request))
  const reply = await readFrame(socket, MAX_REQUEST_BYTES)
  clearTimeout(timer)
  socket.destroy()
  if (reply !== null) return fromBytes(reply)
  if (late.passed) throw new StreamError('timeout', `no answer within ${timeoutMs} ms`)
  throw new StreamError('not_weft', 'it closed the connection without an answer')
}

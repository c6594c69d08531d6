// Passes a request on to the daemon of another host, and its answer back: HTTP over an authenticated stream.

import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import type { Duplex } from 'node:stream'
import { WeftError, messageOf } from '../errors.ts'
import { VERSION } from '../version.ts'
import { FORWARDED_HEADER } from './cluster-types.ts'
import type { OtherHost } from './locate.ts'
import { EXEC_HEADER, STREAM_PROTOCOL, VERSION_HEADER } from './types.ts'

/** Opens a stream on which that host's daemon speaks the API. */
export type OpenApi = (host: OtherHost) => Promise<Duplex>

export interface Forwarded {
  readonly method: string
  /** With the query. */
  readonly path: string
  /** JSON; undefined: none. */
  readonly body: unknown
}

/** The answer's head; its body is to be read from it. */
export async function forwardRequest(
  host: OtherHost,
  openApi: OpenApi,
  { method, path, body }: Forwarded,
): Promise<IncomingMessage> {
  const text = body === undefined || body === null ? undefined : JSON.stringify(body)
  const headers = text === undefined ? {} : { 'content-type': 'application/json' }
  const outgoing = request(await options(host, openApi, method, path, headers))
  return await new Promise((resolve, reject) => {
    outgoing.once('response', resolve)
    outgoing.once('error', (error) => {
      reject(brokenOff(host, error))
    })
    outgoing.end(text)
  })
}

/** The stream that an attach or exec request of ours becomes there. */
export async function forwardUpgrade(
  host: OtherHost,
  openApi: OpenApi,
  path: string,
  exec: string | undefined,
): Promise<Duplex> {
  const headers = {
    connection: 'Upgrade',
    upgrade: STREAM_PROTOCOL,
    ...(exec === undefined ? {} : { [EXEC_HEADER]: exec }),
  }
  const outgoing = request(await options(host, openApi, 'GET', path, headers))
  return await new Promise((resolve, reject) => {
    outgoing.once('upgrade', (_, socket, head) => {
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    outgoing.once('response', (response) => {
      void errorOf(host, response).then(reject)
    })
    outgoing.once('error', (error) => {
      reject(brokenOff(host, error))
    })
    outgoing.end()
  })
}

/** The same request for the name that the sandbox has on its own host. */
export function pathFor(name: string, url: string): string {
  const { pathname, search } = new URL(url, 'http://weft')
  const [, version = '', noun = '', , ...rest] = pathname.split('/')
  return `/${[version, noun, encodeURIComponent(name), ...rest].join('/')}${search}`
}

async function options(
  host: OtherHost,
  openApi: OpenApi,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<RequestOptions> {
  const stream = await openApi(host)
  return {
    // Without an agent, which would make connections of its own.
    createConnection: () => stream,
    method,
    path,
    headers: { host: host.name, [VERSION_HEADER]: VERSION, [FORWARDED_HEADER]: '1', ...headers },
  }
}

function brokenOff(host: OtherHost, error: Error): WeftError {
  return new WeftError(
    'unavailable',
    `the connection to ${host.name} broke off (${messageOf(error)}); see weft node ls`,
    { cause: error },
  )
}

/** What another daemon of ours answered instead of a stream. */
async function errorOf(host: OtherHost, response: IncomingMessage): Promise<Error> {
  try {
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    const { error } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      error: { code: string; message: string }
    }
    return Object.assign(new Error(error.message), { code: error.code })
  } catch (error) {
    return brokenOff(host, error as Error)
  }
}

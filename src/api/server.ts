// The API server: HTTP on a unix socket, as docs/api.md says.

import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FastifyInstance, fastify } from 'fastify'
import { WeftError, httpStatus, isErrorCode, messageOf, toErrorBody } from '../errors.ts'
import { VERSION } from '../version.ts'
import type { Logger } from '../log.ts'
import type { FarStream, Routes } from './routes.ts'
import { STREAM_PROTOCOL, VERSION_HEADER } from './types.ts'

/** A facts file is read from disk, so bodies are small: a command line with its environment. */
const BODY_LIMIT_BYTES = 4 << 20
const MAX_PARAMETER_LENGTH = 4096
/** For what a sandbox had to be released after the end of its command; some milliseconds, unless the host is busy. */
const OVER_MS = 2000

export interface ServerOptions {
  readonly socket: string
  readonly routes: Routes
  readonly log: Logger
}

export class ApiServer {
  readonly #http: FastifyInstance
  readonly #options: ServerOptions
  readonly #streams = new Set<Duplex>()

  constructor(options: ServerOptions) {
    this.#options = options
    this.#http = fastify({
      bodyLimit: BODY_LIMIT_BYTES,
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      // A name that is too long is to be told so, by who knows how long it may be.
      routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    })
    this.#http.setErrorHandler(async (error, request, reply) => {
      const known = asWeftError(error)
      if (known.code === 'internal')
        options.log.error({ err: error, url: request.url }, 'request failed')
      await reply.code(httpStatus(known.code)).send({ error: toErrorBody(known) })
    })
    this.#http.setNotFoundHandler(async (request, reply) => {
      const message = `there is no ${request.method} ${request.url} in this API`
      await reply.code(404).send({ error: { code: 'not_found', message } })
    })
    this.#http.addHook('onRequest', async (request, reply) => {
      void reply.header(VERSION_HEADER, VERSION)
      if (request.url !== '/v1/version') requireVersion(request.headers[VERSION_HEADER])
      await Promise.resolve()
    })
    options.routes.register(this.#http)
    this.#http.server.on('upgrade', (request, socket, head) => {
      void this.#upgrade(request, socket, head)
    })
  }

  /** @throws WeftError already_running when another daemon answers on the socket */
  async listen(): Promise<void> {
    const { socket } = this.#options
    await mkdir(dirname(socket), { recursive: true, mode: 0o755 })
    if (existsSync(socket)) {
      if (await answers(socket)) {
        throw new WeftError(
          'already_running',
          `another daemon answers on ${socket}; end it first, or give --run-dir`,
        )
      }
      await rm(socket) // of a daemon that is gone
    }
    await this.#http.listen({ path: socket })
    await chmod(socket, 0o660)
    const group = await groupId('weft')
    if (group !== undefined) await chown(socket, 0, group)
  }

  /** Speaks the API on a stream of another host's daemon, which has been let in already. */
  serve(stream: Duplex): void {
    stream.on('error', () => stream.destroy())
    this.#http.server.emit('connection', stream)
  }

  /** Ends streams, lets answers under way be sent. */
  async close(): Promise<void> {
    for (const socket of this.#streams) socket.destroy()
    await this.#http.close()
  }

  // Fastify knows nothing of upgrades: the request is answered on the bare socket.
  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      if (request.headers.upgrade !== STREAM_PROTOCOL) {
        throw new WeftError('invalid_argument', `only an upgrade to ${STREAM_PROTOCOL} is known`)
      }
      requireVersion(request.headers[VERSION_HEADER])
      const { far, over } = await this.#options.routes.openStream(request)
      this.#streams.add(socket)
      socket.once('close', () => this.#streams.delete(socket))
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STREAM_PROTOCOL}\r\n\r\n`,
      )
      if (head.length > 0) far.write(head)
      splice(socket, far, over)
    } catch (error) {
      const known = asWeftError(error)
      if (known.code === 'internal')
        this.#options.log.error({ err: error, url: request.url }, 'stream failed')
      const body = JSON.stringify({ error: toErrorBody(known) })
      socket.end(
        `HTTP/1.1 ${httpStatus(known.code)} Error\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      )
    }
  }
}

/** Joins two sockets; the end or failure of one is the other's. Who waits for the end of a command (`weft run a; weft ps -a`) finds it ended. */
function splice(client: Duplex, far: Duplex, over: FarStream['over']): void {
  far.on('error', () => client.destroy())
  client.pipe(far)
  far.pipe(client, { end: false })
  far.once('close', () => {
    void Promise.race([over(), sleep(OVER_MS, undefined, { ref: false })]).then(() => client.end())
  })
  client.once('close', () => far.destroy())
}

function requireVersion(given: string | string[] | undefined): void {
  if (given === VERSION) return
  const client = typeof given === 'string' ? given : 'unknown'
  throw new WeftError(
    'version_mismatch',
    `this client is weft ${client}, the daemon is weft ${VERSION}; use the daemon's own weft, or restart the daemon with the new one`,
  )
}

/** Fastify's own errors (a body that is no JSON, too large) are the client's. */
function asWeftError(error: unknown): WeftError {
  if (error instanceof WeftError) return error
  const { statusCode, code } = error as { statusCode?: unknown; code?: unknown }
  if (isErrorCode(code)) return new WeftError(code, messageOf(error), { cause: error })
  const theirs = typeof statusCode === 'number' && statusCode < 500
  return new WeftError(theirs ? 'invalid_argument' : 'internal', messageOf(error), { cause: error })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

/** The id of a group by name; undefined when there is none: then the socket is root's alone. */
async function groupId(name: string): Promise<number | undefined> {
  const line = (await readFile('/etc/group', 'utf8').catch(() => ''))
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  const id = Number(line?.split(':')[2])
  return Number.isInteger(id) ? id : undefined
}

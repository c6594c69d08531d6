// Asks a daemon: HTTP over its unix socket, as in docs/api.md.
//
// Whatever goes wrong becomes one WeftError: the daemon's own error with its code and message, or
// `unavailable` with what to do when no daemon answers. Connections are not kept: a CLI asks once.

import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { isErrorCode, WeftError } from '../errors.ts'
import { VERSION } from '../version.ts'
import type {
  AddressChange,
  ClusterStatus,
  JoinCluster,
  JoinToken,
  LeaveCluster,
  NodeInspect,
  NodeRow,
  RotatedKeys,
  SetAddress,
} from './cluster-types.ts'
import type {
  AddSubnets,
  CreateNetwork,
  CreatedNetwork,
  NetworkInspect,
  NetworkSummary,
} from './network-types.ts'
import type {
  CreateService,
  CreatedService,
  ServiceInspect,
  ServiceSummary,
  UpdateService,
} from './service-types.ts'
import type { DnsReply, DnsRow } from './dns-types.ts'
import type { FlowFilter, LbRow } from './lb-types.ts'
import type { Repaired, Report } from './doctor-types.ts'
import {
  type AttachmentRequest,
  type ClusterSandboxes,
  type CounterRow,
  type CreateSandbox,
  EXEC_HEADER,
  type ExecRequest,
  type FdbRow,
  type NeighbourRow,
  type SandboxInspect,
  type SandboxSummary,
  type SignalRequest,
  type Status,
  STREAM_PROTOCOL,
  type Version,
  VERSION_HEADER,
} from './types.ts'

export interface ClientOptions {
  readonly socketPath: string
  /** What we say that we are; for tests. */
  readonly version?: string
  /** How long an answer may take. Default one minute; a request may have its own. */
  readonly timeoutMs?: number
}

export interface RequestOptions {
  readonly timeoutMs?: number
}

type Headers = Readonly<Record<string, string>>

const DEFAULT_TIMEOUT_MS = 60_000
const EXAMINE_MS = 300_000

/** An error's answer is one line; what is longer is not one of ours. */
const LONGEST_ERROR_BYTES = 64 * 1024

export class ApiClient {
  readonly socketPath: string
  readonly #version: string
  readonly #timeoutMs: number

  constructor(options: ClientOptions) {
    this.socketPath = options.socketPath
    this.#version = options.version ?? VERSION
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  }

  // --- what docs/api.md lists. The daemon is trusted to send these shapes: it has our version, or
  // it answers 409. ---

  async version(options: RequestOptions = {}): Promise<Version> {
    return (await this.get('/v1/version', options)) as Version
  }

  async status(options: RequestOptions = {}): Promise<Status> {
    return (await this.get('/v1/status', options)) as Status
  }

  async counters(): Promise<CounterRow[]> {
    return (await this.get('/v1/counters')) as CounterRow[]
  }

  async createSandbox(body: CreateSandbox): Promise<SandboxInspect> {
    return (await this.post('/v1/sandboxes', body)) as SandboxInspect
  }

  async listSandboxes(all: boolean): Promise<SandboxSummary[]> {
    return (await this.get(`/v1/sandboxes${all ? '?all=1' : ''}`)) as SandboxSummary[]
  }

  /** Of another host, by its name. */
  async listSandboxesOf(host: string, all: boolean): Promise<SandboxSummary[]> {
    const query = new URLSearchParams({ host, ...(all ? { all: '1' } : {}) }).toString()
    return (await this.get(`/v1/sandboxes?${query}`)) as SandboxSummary[]
  }

  async listAllSandboxes(all: boolean): Promise<ClusterSandboxes> {
    return (await this.get(`/v1/cluster/sandboxes${all ? '?all=1' : ''}`)) as ClusterSandboxes
  }

  async connectSandbox(name: string, body: AttachmentRequest): Promise<SandboxInspect> {
    return (await this.post(`${sandboxPath(name)}/networks`, body)) as SandboxInspect
  }

  async disconnectSandbox(name: string, network: string): Promise<void> {
    await this.delete(`${sandboxPath(name)}/networks/${encodeURIComponent(network)}`)
  }

  async inspectSandbox(name: string): Promise<SandboxInspect> {
    return (await this.get(sandboxPath(name))) as SandboxInspect
  }

  /** SIGTERM, `graceMs`, SIGKILL; with `force` SIGKILL at once. */
  async removeSandbox(name: string, how: { force: boolean; graceMs: number }): Promise<void> {
    const query = how.force ? '?force=1' : `?timeoutMs=${how.graceMs}`
    const timeoutMs = this.#timeoutMs + (how.force ? 0 : how.graceMs)
    await this.delete(`${sandboxPath(name)}${query}`, { timeoutMs })
  }

  async signalSandbox(name: string, signal: number): Promise<void> {
    await this.post(`${sandboxPath(name)}/signal`, { signal } satisfies SignalRequest)
  }

  /** The output log's records (native/init/README.md). */
  logs(name: string, which: { follow: boolean; tail?: number }): Promise<IncomingMessage> {
    const query = new URLSearchParams()
    if (which.follow) query.set('follow', '1')
    if (which.tail !== undefined) query.set('tail', String(which.tail))
    const text = query.toString()
    return this.stream(`${sandboxPath(name)}/logs${text === '' ? '' : `?${text}`}`)
  }

  /** `start`: the stream starts the command, whose terminal has that size before it looks. */
  attachStream(
    name: string,
    start: boolean,
    size?: { readonly rows: number; readonly cols: number },
  ): Promise<Socket> {
    const query = new URLSearchParams()
    if (start) query.set('start', '1')
    if (size !== undefined) {
      query.set('rows', String(size.rows))
      query.set('cols', String(size.cols))
    }
    const text = query.toString()
    return this.upgrade(`${sandboxPath(name)}/attach${text === '' ? '' : `?${text}`}`)
  }

  execStream(name: string, exec: ExecRequest): Promise<Socket> {
    const encoded = Buffer.from(JSON.stringify(exec)).toString('base64')
    return this.upgrade(`${sandboxPath(name)}/exec`, { [EXEC_HEADER]: encoded })
  }

  async dns(network: string | undefined): Promise<DnsRow[]> {
    const query = network === undefined ? '' : `?${new URLSearchParams({ network }).toString()}`
    return (await this.get(`/v1/dns${query}`)) as DnsRow[]
  }

  /** As a sandbox on that network is answered. */
  async dnsQuery(name: string, network: string, type: string | undefined): Promise<DnsReply> {
    const query = new URLSearchParams({ name, network, ...(type === undefined ? {} : { type }) })
    return (await this.get(`/v1/dns/query?${query.toString()}`)) as DnsReply
  }

  /** EventLines, one a line. */
  events(which: { follow: boolean; sinceMs?: number }): Promise<IncomingMessage> {
    const query = new URLSearchParams({ follow: which.follow ? '1' : '0' })
    if (which.sinceMs !== undefined) query.set('since', String(which.sinceMs))
    return this.stream(`/v1/events?${query.toString()}`)
  }

  async fdb(): Promise<FdbRow[]> {
    return (await this.get('/v1/fdb')) as FdbRow[]
  }

  async neighbours(): Promise<NeighbourRow[]> {
    return (await this.get('/v1/neighbours')) as NeighbourRow[]
  }

  async lb(): Promise<LbRow[]> {
    return (await this.get('/v1/lb')) as LbRow[]
  }

  /** FlowRows, one a line. */
  flows(filter: FlowFilter): Promise<IncomingMessage> {
    const given = Object.entries(filter).map(([key, value]): [string, string] => [
      key,
      String(value),
    ])
    const query = new URLSearchParams(given).toString()
    return this.stream(`/v1/flows${query === '' ? '' : `?${query}`}`)
  }

  /** Looks at every host of the cluster: takes seconds, more with hosts that do not answer. */
  async examine(): Promise<Report> {
    return (await this.get('/v1/doctor', { timeoutMs: EXAMINE_MS })) as Report
  }

  async repair(): Promise<Repaired> {
    return (await this.post('/v1/doctor/repair', undefined)) as Repaired
  }

  async setAddress(body: SetAddress): Promise<AddressChange> {
    return (await this.post('/v1/cluster/address', body)) as AddressChange
  }

  async initCluster(): Promise<JoinToken> {
    return (await this.post('/v1/cluster/init', undefined)) as JoinToken
  }

  async joinCluster(body: JoinCluster): Promise<ClusterStatus> {
    return (await this.post('/v1/cluster/join', body)) as ClusterStatus
  }

  async leaveCluster(body: LeaveCluster): Promise<void> {
    await this.post('/v1/cluster/leave', body)
  }

  /** `rotate`: a new join secret first. */
  async joinToken(rotate: boolean): Promise<JoinToken> {
    if (!rotate) return (await this.get('/v1/cluster/token')) as JoinToken
    return (await this.post('/v1/cluster/token/rotate', undefined)) as JoinToken
  }

  async rotateKeys(): Promise<RotatedKeys> {
    return (await this.post('/v1/cluster/keys/rotate', undefined)) as RotatedKeys
  }

  async nodes(): Promise<NodeRow[]> {
    return (await this.get('/v1/nodes')) as NodeRow[]
  }

  /** By name, id, or `self`. */
  async inspectNode(name: string): Promise<NodeInspect> {
    return (await this.get(`/v1/nodes/${encodeURIComponent(name)}`)) as NodeInspect
  }

  async removeNode(name: string, force: boolean): Promise<void> {
    await this.delete(`/v1/nodes/${encodeURIComponent(name)}${force ? '?force=1' : ''}`)
  }

  async createNetwork(body: CreateNetwork): Promise<CreatedNetwork> {
    return (await this.post('/v1/networks', body)) as CreatedNetwork
  }

  /** `all`: also those that this host neither made nor uses. */
  async listNetworks(all: boolean): Promise<NetworkSummary[]> {
    return (await this.get(`/v1/networks${all ? '?all=1' : ''}`)) as NetworkSummary[]
  }

  async inspectNetwork(name: string): Promise<NetworkInspect> {
    return (await this.get(networkPath(name))) as NetworkInspect
  }

  async addSubnets(network: string, body: AddSubnets): Promise<void> {
    await this.post(`${networkPath(network)}/subnets`, body)
  }

  async removeNetwork(name: string): Promise<void> {
    await this.delete(networkPath(name))
  }

  async createService(body: CreateService): Promise<CreatedService> {
    return (await this.post('/v1/services', body)) as CreatedService
  }

  async listServices(): Promise<ServiceSummary[]> {
    return (await this.get('/v1/services')) as ServiceSummary[]
  }

  async inspectService(name: string): Promise<ServiceInspect> {
    return (await this.get(servicePath(name))) as ServiceInspect
  }

  async updateService(name: string, body: UpdateService): Promise<void> {
    await this.post(servicePath(name), body)
  }

  async removeService(name: string): Promise<void> {
    await this.delete(servicePath(name))
  }

  /** Ends every sandbox, then the daemon. */
  async down(options: RequestOptions = {}): Promise<void> {
    await this.post('/v1/down', undefined, options)
  }

  // --- the four ways to ask ---

  get(path: string, options: RequestOptions = {}): Promise<unknown> {
    return this.#json('GET', path, undefined, options)
  }

  post(path: string, body: unknown, options: RequestOptions = {}): Promise<unknown> {
    return this.#json('POST', path, body, options)
  }

  delete(path: string, options: RequestOptions = {}): Promise<unknown> {
    return this.#json('DELETE', path, undefined, options)
  }

  /** A GET whose answer is read as it comes: logs. No limit on how long that takes. */
  async stream(path: string): Promise<IncomingMessage> {
    const response = await this.#send(this.#open('GET', path), undefined, this.#timeoutMs)
    if (response.statusCode !== 200) throw await this.#errorOf(response)
    return response
  }

  /** Turns the connection into a weft-stream and gives it away. */
  upgrade(path: string, headers: Headers = {}): Promise<Socket> {
    const outgoing = this.#open('GET', path, {
      ...headers,
      connection: 'Upgrade',
      upgrade: STREAM_PROTOCOL,
    })
    return new Promise((resolve, reject) => {
      outgoing.once('upgrade', (response, socket, head) => {
        if (response.headers.upgrade !== STREAM_PROTOCOL) {
          socket.destroy()
          reject(this.#strange(`it upgraded to '${response.headers.upgrade ?? ''}'`))
          return
        }
        socket.setTimeout(0)
        if (head.length > 0) socket.unshift(head)
        resolve(socket)
      })
      this.#send(outgoing, undefined, this.#timeoutMs)
        .then(async (response) => {
          if ((response.statusCode ?? 0) >= 400) throw await this.#errorOf(response)
          response.resume()
          throw this.#strange(`it answered ${response.statusCode ?? 0} instead of a stream`)
        }, reject)
        .catch(reject)
    })
  }

  async #json(
    method: string,
    path: string,
    body: unknown,
    options: RequestOptions,
  ): Promise<unknown> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers: Headers = text === undefined ? {} : { 'content-type': 'application/json' }
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs
    const response = await this.#send(this.#open(method, path, headers), text, timeoutMs)
    if ((response.statusCode ?? 0) >= 400) throw await this.#errorOf(response)
    const answer = await this.#readAll(response)
    if (answer === '') return undefined
    try {
      return JSON.parse(answer)
    } catch (error) {
      throw this.#strange('its answer is not JSON', error)
    }
  }

  #open(method: string, path: string, headers: Headers = {}): ClientRequest {
    return request({
      socketPath: this.socketPath,
      method,
      path,
      agent: false,
      headers: { host: 'weft', [VERSION_HEADER]: this.#version, ...headers },
    })
  }

  #send(
    outgoing: ClientRequest,
    body: string | undefined,
    timeoutMs: number,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        outgoing.destroy()
        const seconds = String(timeoutMs / 1000)
        reject(
          new WeftError(
            'unavailable',
            `the daemon on ${this.socketPath} did not answer within ${seconds} s; see its log`,
          ),
        )
      }, timeoutMs)
      outgoing.once('response', (response) => {
        clearTimeout(timer)
        resolve(response)
      })
      outgoing.once('upgrade', () => {
        clearTimeout(timer)
      })
      outgoing.on('error', (error) => {
        clearTimeout(timer)
        reject(this.#connectionError(error))
      })
      outgoing.end(body)
    })
  }

  async #readAll(response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of response) chunks.push(chunk as Buffer)
    } catch (error) {
      throw this.#connectionError(error as NodeJS.ErrnoException)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  async #errorOf(response: IncomingMessage): Promise<WeftError> {
    const text = (await this.#readAll(response)).slice(0, LONGEST_ERROR_BYTES)
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      return this.#strange(`it answered ${response.statusCode ?? 0} without an error of ours`)
    }
    const error = objectIn(body, 'error')
    const code = error?.['code']
    const message = error?.['message']
    if (typeof message !== 'string') {
      return this.#strange(`it answered ${response.statusCode ?? 0} without an error of ours`)
    }
    return new WeftError(isErrorCode(code) ? code : 'internal', message)
  }

  #connectionError(error: NodeJS.ErrnoException): WeftError {
    return new WeftError('unavailable', this.#connectionMessage(error), { cause: error })
  }

  #connectionMessage(error: NodeJS.ErrnoException): string {
    const path = this.socketPath
    switch (error.code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return `no daemon answers on ${path}; start it: weft daemon, or in a lab: weft lab up, weft lab restart HOST`
      case 'EACCES':
      case 'EPERM':
        return `no permission for ${path}; run as root or as a member of the group weft`
      case 'ENOTSOCK':
        return `${path} is not a socket; see --socket and WEFT_SOCKET`
      case 'ECONNRESET':
      case 'EPIPE':
        return `the daemon on ${path} closed the connection before it answered; see its log`
      default:
        return `cannot talk to the daemon on ${path}: ${error.message}`
    }
  }

  #strange(what: string, cause?: unknown): WeftError {
    return new WeftError('internal', `${this.socketPath} is not a weft daemon: ${what}`, { cause })
  }
}

function sandboxPath(name: string): string {
  return `/v1/sandboxes/${encodeURIComponent(name)}`
}

function networkPath(name: string): string {
  return `/v1/networks/${encodeURIComponent(name)}`
}

function servicePath(name: string): string {
  return `/v1/services/${encodeURIComponent(name)}`
}

function objectIn(value: unknown, key: string): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const inner = (value as Record<string, unknown>)[key]
  return typeof inner === 'object' && inner !== null
    ? (inner as Record<string, unknown>)
    : undefined
}

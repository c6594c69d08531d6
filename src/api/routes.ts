// The routes of docs/api.md: request → controller → view.

import type { IncomingMessage } from 'node:http'
import { type Duplex, Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Cluster } from '../cluster/cluster.ts'
import { COUNTERS, type Dataplane } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import type { Doctor } from '../doctor/doctor.ts'
import { WeftError } from '../errors.ts'
import type { EventRing } from '../events/event-ring.ts'
import type { Netdb } from '../netdb/table.ts'
import { formatCidr } from '../net/cidr.ts'
import type { Controller } from '../network/controller.ts'
import type { Endpoints } from '../network/endpoints.ts'
import type { Networks } from '../network/networks.ts'
import type { Services } from '../network/services.ts'
import { kernelTapDrops, requireClient, whenGone } from '../network/sandbox.ts'
import { followLog, readLog } from '../sandbox/output-log.ts'
import { VERSION } from '../version.ts'
import { type ClusterVerbs, registerCluster } from './cluster-routes.ts'
import { registerEvents } from './event-routes.ts'
import { FORWARDED_HEADER } from './cluster-types.ts'
import { registerConnections } from './connection-routes.ts'
import { type DnsRoutesOptions, dnsCounters, registerDns } from './dns-routes.ts'
import { registerDoctor } from './doctor-routes.ts'
import { type OpenApi, forwardRequest, forwardUpgrade, pathFor } from './forward.ts'
import { type OtherHost, type OtherHosts, type Place, locate, otherHosts } from './locate.ts'
import { registerLb } from './lb-routes.ts'
import { registerNetworks } from './network-routes.ts'
import { registerLists } from './sandbox-lists.ts'
import { parseCreate, parseExec, parseSignal } from './schemas.ts'
import { registerServices } from './service-routes.ts'
import { registerTestHooks } from './test-hooks.ts'
import {
  type CounterRow,
  EXEC_HEADER,
  type MemberRow,
  type NetworkRow,
  type Status,
  type Version,
} from './types.ts'
import { fdbRows, inspectOf, neighbourRows } from './views.ts'

/** What the routes speak of. */
export interface RoutesOptions {
  readonly host: string
  readonly vtep: string
  readonly vxlanPort: number
  readonly mtuBytes: number
  readonly workers: number
  readonly netdb: Netdb
  readonly programmer: Programmer
  readonly dataplane: Dataplane
  readonly endpoints: Endpoints
  readonly networks: Networks
  readonly services: Services
  readonly controller: Controller
  readonly factsStatus: () => Status['facts']
  readonly cluster: Cluster
  readonly doctor: Doctor
  readonly events: EventRing
  readonly dns: DnsRoutesOptions['dns']
  readonly verbs: DaemonVerbs
}

/** Verbs that change the daemon itself: it brings them. */
export interface DaemonVerbs extends ClusterVerbs {
  /** Ends every sandbox, then the daemon; returns when the sandboxes are gone. */
  readonly down: () => Promise<void>
}

/** What the parts of a cluster count, by the first word of a counter's name. */
const CLUSTER_COUNTERS: Readonly<Record<string, string>> = {
  gossip: 'who is alive: what was heard, said and believed',
  netdb: 'records that came, went and were refused',
  cluster: 'datagrams and streams on the gossip port',
}

/** Docker's default for stop. */
const DEFAULT_GRACE_MS = 10_000

const atOnce = (): Promise<void> => Promise.resolve()

export interface FarStream {
  readonly far: Duplex
  /** Settles when what was told by the stream's end is what others are told, too. */
  readonly over: () => Promise<void>
}

export class Routes {
  readonly #options: RoutesOptions
  readonly #others: OtherHosts
  readonly #beganAt = new Date().toISOString()

  constructor(options: RoutesOptions) {
    this.#options = options
    const { cluster, netdb, host } = options
    this.#others = otherHosts(cluster, netdb, host)
  }

  register(http: FastifyInstance): void {
    const { controller, host, programmer, dataplane, netdb, cluster, doctor, events, verbs } =
      this.#options
    const recordOf = (number: number) => programmer.recordOf(number)

    http.get(
      '/v1/version',
      (): Version => ({ version: VERSION, apiVersion: 1, host, pid: process.pid }),
    )
    http.get('/v1/status', () => this.#status())
    http.get('/v1/counters', () => this.#counters())

    http.addHook<{ Params: { name?: string } }>('preHandler', async (request, reply) => {
      const { name } = request.params
      if (name === undefined || !request.url.startsWith('/v1/sandboxes/')) return
      const place = await this.#locate(name, request.raw)
      if (place.host !== null) return await this.#passOn(place, request, reply)
      request.params.name = place.name
    })

    http.post('/v1/sandboxes', async (request, reply) => {
      const sandbox = await controller.create(parseCreate(request.body))
      void reply.code(201)
      return inspectOf(sandbox, host, controller.directoryOf(sandbox))
    })
    http.get<{ Params: { name: string } }>('/v1/sandboxes/:name', ({ params }) => {
      const sandbox = controller.find(params.name)
      return inspectOf(sandbox, host, controller.directoryOf(sandbox))
    })
    http.delete<{ Params: { name: string }; Querystring: { force?: string; timeoutMs?: string } }>(
      '/v1/sandboxes/:name',
      async ({ params, query }, reply) => {
        const timeoutMs = wholeNumber('timeoutMs', query.timeoutMs) ?? DEFAULT_GRACE_MS
        await controller.remove(controller.find(params.name), {
          force: query.force === '1',
          timeoutMs,
        })
        return await reply.code(204).send()
      },
    )
    http.post<{ Params: { name: string } }>(
      '/v1/sandboxes/:name/signal',
      async ({ params, body }, reply) => {
        const signal = parseSignal(body)
        await requireClient(controller.find(params.name)).signal(signal)
        return await reply.code(204).send()
      },
    )
    http.get<{ Params: { name: string }; Querystring: { follow?: string; tail?: string } }>(
      '/v1/sandboxes/:name/logs',
      async ({ params, query }, reply) => {
        const sandbox = controller.find(params.name)
        const directory = controller.directoryOf(sandbox)
        const tail = wholeNumber('tail', query.tail)
        const options = tail === undefined ? {} : { tail }
        const records =
          query.follow === '1' && sandbox.client !== null
            ? followLog(directory, sandbox.gone.signal, options)
            : readLog(directory, options)
        return await reply
          .type('application/octet-stream')
          .send(Readable.from(records, { objectMode: false }))
      },
    )
    http.get('/v1/fdb', () => fdbRows(dataplane.fdbEntries(), recordOf, netdb))
    http.get('/v1/neighbours', () => neighbourRows(dataplane.neighbourEntries(), recordOf, netdb))
    http.post('/v1/down', async (_request, reply) => {
      await verbs.down()
      return await reply.code(204).send()
    })
    registerConnections(http, controller, host)
    registerLists(http, this.#options, this.#others)
    registerCluster(http, cluster, verbs)
    registerNetworks(http, this.#options)
    registerServices(http, this.#options)
    registerDoctor(http, doctor)
    registerEvents(http, events)
    registerDns(http, this.#options)
    registerLb(http, this.#options)
    registerTestHooks(http, dataplane, netdb)
  }

  /** The stream that an upgrade request asks for: of an init here, or of another host's daemon. */
  async openStream(request: IncomingMessage): Promise<FarStream> {
    const url = new URL(request.url ?? '', 'http://weft')
    const match = /^\/v1\/sandboxes\/([^/]+)\/(attach|exec)$/.exec(url.pathname)
    if (match === null) throw new WeftError('not_found', `there is no stream at ${url.pathname}`)
    const { controller } = this.#options
    const place = await this.#locate(decodeURIComponent(match[1] ?? ''), request)
    if (place.host !== null) {
      const exec = request.headers[EXEC_HEADER]
      const path = pathFor(place.name, request.url ?? '')
      const spec = typeof exec === 'string' ? exec : undefined
      return { far: await forwardUpgrade(place.host, this.#openApi, path, spec), over: atOnce }
    }
    const sandbox = controller.find(place.name)
    if (match[2] === 'exec') {
      const exec = parseExec(request.headers[EXEC_HEADER])
      return { far: (await requireClient(sandbox).openStream(exec)).socket, over: atOnce }
    }
    const start = url.searchParams.get('start') === '1'
    const rows = wholeNumber('rows', url.searchParams.get('rows') ?? undefined)
    const cols = wholeNumber('cols', url.searchParams.get('cols') ?? undefined)
    const size = rows === undefined || cols === undefined ? undefined : { rows, cols }
    const { socket } = await controller.openStream(sandbox, start, size)
    return { far: socket, over: () => whenGone(sandbox) }
  }

  async #locate(name: string, request: IncomingMessage): Promise<Place> {
    const { controller } = this.#options
    // Whoever passed it on has found that it is ours: once is enough, a circle has no end.
    if (request.headers[FORWARDED_HEADER] !== undefined) return { host: null, name }
    return await locate(name, controller, this.#others)
  }

  readonly #openApi: OpenApi = (host) => this.#options.cluster.openApi(host.id)

  async #passOn(
    { host, name }: Place & { readonly host: OtherHost },
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const { method, body, url } = request
    const answer = await forwardRequest(host, this.#openApi, {
      method,
      path: pathFor(name, url),
      body,
    })
    // `logs -f` has no end of its own.
    reply.raw.once('close', () => answer.destroy())
    const type = answer.headers['content-type']
    if (type !== undefined) void reply.type(type)
    void reply.code(answer.statusCode ?? 502)
    return await (answer.statusCode === 204 ? reply.send() : reply.send(answer))
  }

  #status(): Status {
    const { host, vtep, vxlanPort, mtuBytes, workers, controller, factsStatus, cluster } =
      this.#options
    const states = controller.list().map(({ state }) => state)
    const count = (...wanted: string[]): number =>
      states.filter((state) => wanted.includes(state)).length
    const counters = Object.fromEntries(
      this.#counters()
        .filter(({ value, kind }) => value > 0 && (kind === 'drop' || kind === 'count'))
        .map(({ name, value }) => [name, value]),
    )
    return {
      host,
      version: VERSION,
      pid: process.pid,
      uptimeMs: Math.round(process.uptime() * 1000),
      beganAt: this.#beganAt,
      vtep,
      vxlanPort,
      mtu: mtuBytes,
      workers,
      facts: factsStatus(),
      cluster: cluster.status(),
      members: this.#members(),
      networks: this.#networks(),
      sandboxes: {
        running: count('created', 'running'),
        attached: count('attached'),
        ended: count('exited'),
      },
      endpoints: controller.times.summary(),
      counters,
    }
  }

  #counters(): CounterRow[] {
    const values = this.#options.dataplane.counterValues()
    const tapDrops = this.#options.controller.list().map(kernelTapDrops)
    const ofDataplane = COUNTERS.map(({ name, kind, text }, index) => ({
      name,
      kind,
      text,
      value:
        name === 'kernel_tap_full'
          ? tapDrops.reduce((sum, drops) => sum + drops, 0)
          : Number(values[index] ?? 0n),
    }))
    const ofCluster = Object.entries(this.#options.cluster.counters()).map(([name, value]) => ({
      name,
      kind: 'cluster' as const,
      text: CLUSTER_COUNTERS[name.split('_')[0] ?? ''] ?? '',
      value,
    }))
    return [...ofDataplane, ...ofCluster, ...dnsCounters(this.#options.dns.counters())]
  }

  #members(): MemberRow[] {
    const { netdb } = this.#options
    return netdb
      .list('member')
      .map(({ key, value: { name, vtep } }) => ({ name, vtep, self: key === netdb.self }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #networks(): NetworkRow[] {
    const { netdb, endpoints, programmer, mtuBytes } = this.#options
    const subnets = netdb.list('subnet').sort((a, b) => a.value.vni - b.value.vni)
    return netdb
      .list('network')
      .map(({ key, value }) => ({
        name: value.name,
        subnets: subnets
          .filter((subnet) => subnet.value.network === key)
          .map(({ value: { cidr, cidr6, vni } }) => ({
            cidr: formatCidr(cidr),
            cidr6: cidr6 === null ? null : formatCidr(cidr6),
            vni,
          })),
        mtu: programmer.mtuOf(key) ?? mtuBytes,
        localEndpoints: endpoints.countOn(key),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]{1,9}$/.test(text)) return Number(text)
  throw new WeftError('invalid_argument', `${name}=${text} is not a whole number`)
}

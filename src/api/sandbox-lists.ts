// Lists of sandboxes: of this host, of another, of all the cluster. Each host tells of its own; one that does not answer is told, not waited for.

import type { FastifyInstance } from 'fastify'
import type { Cluster } from '../cluster/cluster.ts'
import { WeftError, messageOf } from '../errors.ts'
import type { Controller } from '../network/controller.ts'
import { FORWARDED_HEADER } from './cluster-types.ts'
import { readAnswer } from './ask-host.ts'
import { forwardRequest } from './forward.ts'
import type { OtherHost, OtherHosts } from './locate.ts'
import type { ClusterSandboxes, SandboxSummary } from './types.ts'
import { summaryOf } from './views.ts'

export interface ListRoutesOptions {
  readonly host: string
  readonly controller: Controller
  readonly cluster: Cluster
}

/** A list is answered from memory. */
const ANSWER_MS = 3_000

export function registerLists(
  http: FastifyInstance,
  options: ListRoutesOptions,
  others: OtherHosts,
): void {
  const { host, controller, cluster } = options
  const own = (all: boolean): SandboxSummary[] =>
    controller
      .list()
      .filter(({ state }) => all || state !== 'exited')
      .sort((a, b) => b.spec.createdAtMs - a.spec.createdAtMs)
      .map((sandbox) => summaryOf(sandbox, host))
  const listOf = (other: OtherHost, all: boolean) => askForList(cluster, other, all)

  http.get<{ Querystring: { all?: string; host?: string } }>(
    '/v1/sandboxes',
    async ({ query, headers }) => {
      const all = query.all === '1'
      const wanted = query.host
      if (wanted === undefined || wanted === host || headers[FORWARDED_HEADER] !== undefined)
        return own(all)
      const other = others.named(wanted)
      if (other !== undefined) return await listOf(other, all)
      throw new WeftError('not_found', `no host ${wanted} is up in this cluster; see weft node ls`)
    },
  )
  http.get<{ Querystring: { all?: string } }>(
    '/v1/cluster/sandboxes',
    async ({ query }): Promise<ClusterSandboxes> => {
      const all = query.all === '1'
      const hosts = cluster.others().sort((a, b) => (a.name < b.name ? -1 : 1))
      const answers = await Promise.allSettled(hosts.map((other) => listOf(other, all)))
      const sandboxes = [
        ...own(all),
        ...answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : [])),
      ]
      const silent = answers.flatMap((answer, index) =>
        answer.status === 'fulfilled'
          ? []
          : [{ host: hosts[index]?.name ?? '', reason: messageOf(answer.reason) }],
      )
      return { sandboxes, silent }
    },
  )
}

async function askForList(
  cluster: Cluster,
  host: OtherHost,
  all: boolean,
): Promise<SandboxSummary[]> {
  const stream = await cluster.openApi(host.id)
  const timer = setTimeout(() => stream.destroy(), ANSWER_MS)
  try {
    const path = `/v1/sandboxes${all ? '?all=1' : ''}`
    const asked = { method: 'GET', path, body: undefined }
    const answer = await forwardRequest(host, () => Promise.resolve(stream), asked)
    return (await readAnswer(host.name, asked, answer)) as SandboxSummary[]
  } finally {
    clearTimeout(timer)
    stream.destroy()
  }
}

// weft status: this host at a glance.

import type { Command } from 'commander'
import type { ApiClient } from '../../api/client.ts'
import type { CounterRow, Status } from '../../api/types.ts'
import type { Cli } from '../cli.ts'
import { formatPairs, formatTable, humanDuration, sinceMs } from '../format.ts'
import { asksDaemon, formatOption } from '../options.ts'

export function registerStatus(program: Command, cli: Cli): void {
  asksDaemon(program.command('status'))
    .summary('this host at a glance')
    .description('Show this host: addresses, networks, members, counters.')
    .option('-a, --all', 'the counters of the cluster, too')
    .addOption(formatOption('text'))
    .action(async (flags: { format: string; all?: boolean }) => {
      const client = await cli.client()
      const status = await client.status()
      if (flags.format === 'json') cli.print(`${JSON.stringify(status)}\n`)
      else cli.print(formatStatus(status, await counters(client, flags.all === true), Date.now()))
    })
}

/** Those of the cluster are many, and seldom what one looks for. */
async function counters(client: ApiClient, all: boolean): Promise<CounterRow[]> {
  return (await client.counters()).filter(({ kind }) => all || kind !== 'cluster')
}

export function formatStatus(
  status: Status,
  counters: readonly CounterRow[],
  nowMs: number,
): string {
  const { running, attached, ended } = status.sandboxes
  const parts = [
    formatPairs([
      ['Host', status.host],
      [
        'Daemon',
        `${status.version}, pid ${status.pid}, up ${humanDuration(status.uptimeMs).toLowerCase()}`,
      ],
      ['VTEP', `${status.vtep} udp/${status.vxlanPort}`],
      ['Overlay MTU', String(status.mtu)],
      ['Workers', String(status.workers)],
      ['Sandboxes', `${running} running, ${attached} attached, ${ended} ended`],
      ['Endpoints', endpointsLine(status)],
      ['Cluster', clusterLine(status)],
      ['Facts', factsLine(status, nowMs)],
    ]),
    formatTable(
      ['NETWORK', 'SUBNET', 'SUBNET6', 'VNI', 'MTU', 'ENDPOINTS HERE'],
      status.networks.flatMap((network) =>
        network.subnets.map((subnet, index) => [
          network.name,
          subnet.cidr,
          subnet.cidr6 ?? '-',
          String(subnet.vni),
          String(network.mtu),
          index === 0 ? String(network.localEndpoints) : '',
        ]),
      ),
    ),
    formatTable(
      ['MEMBER', 'VTEP'],
      status.members.map((member) => [member.self ? `${member.name} *` : member.name, member.vtep]),
    ),
    counterTable('COUNTER', counters, 'count'),
    counterTable('DROPPED', counters, 'drop'),
    counterTable('NAMES', counters, 'dns'),
    counterTable('CLUSTER', counters, 'cluster'),
  ]
  return parts.filter((part) => part !== '').join('\n')
}

/** How many hosts there are, and how many of them are not up. */
function clusterLine({ cluster }: Status): string {
  if (cluster === null) return 'none (weft init, weft join)'
  const { alive, suspect, dead } = cluster.members
  const up = alive + suspect
  const hosts = up === 1 ? '1 host is up' : `${String(up)} hosts are up`
  return `${hosts}, ${String(dead)} down; this is member ${cluster.memberId}`
}

function endpointsLine({ endpoints }: Status): string {
  if (endpoints === null) return 'none made yet'
  const { made, medianMs, p99Ms } = endpoints
  return `${made} made, the latest in ${medianMs} ms each (median; 99 % within ${p99Ms} ms)`
}

function factsLine(status: Status, nowMs: number): string {
  const { facts } = status
  if (facts === null) return 'none'
  const age = humanDuration(sinceMs(facts.loadedAt, nowMs)).toLowerCase()
  const problem =
    facts.error === null ? '' : `; the file's newest version is not used: ${facts.error}`
  return `${facts.path}, read ${age} ago${problem}`
}

/** Those that are not zero; empty when all are. */
function counterTable(
  title: string,
  counters: readonly CounterRow[],
  kind: CounterRow['kind'],
): string {
  const rows = counters.filter((row) => row.kind === kind && row.value > 0)
  if (rows.length === 0) return ''
  return formatTable(
    [title, 'VALUE', 'WHAT'],
    rows.map((row) => [row.name, String(row.value), row.text]),
  )
}

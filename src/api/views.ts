// What the API shows of sandboxes and tables.

import type { FdbEntry, NeighbourEntry } from '../dataplane/binding.ts'
import type { NetdbRecord } from '../netdb/record.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Sandbox } from '../network/sandbox.ts'
import { commandPid, netnsPath } from '../network/sandbox.ts'
import type { EndpointSpec } from '../network/sandbox-spec.ts'
import { healthInspect, healthcheckInspect } from './health-views.ts'
import type {
  EndpointInspect,
  FdbRow,
  NeighbourRow,
  RecordRef,
  SandboxInspect,
  SandboxSummary,
} from './types.ts'

/** What docker shows for a time that has not come. */
const NEVER = '0001-01-01T00:00:00Z'

export function summaryOf(sandbox: Sandbox, host: string): SandboxSummary {
  const { spec, state, exit, startedAtMs } = sandbox
  return {
    id: spec.id,
    name: spec.name,
    kind: spec.kind,
    argv: spec.argv,
    state,
    host,
    pid: commandPid(sandbox),
    exitCode: exit?.code ?? null,
    stopReason: spec.stopReason,
    createdAt: iso(spec.createdAtMs),
    startedAt: startedAtMs === null ? null : iso(startedAtMs),
    finishedAt: exit === null ? null : iso(exit.endedAtMs),
    health: sandbox.health?.status ?? null,
    networks: spec.endpoints.map((endpoint) => ({
      name: endpoint.network,
      ip: endpoint.ip,
      ip6: endpoint.ip6,
      mac: endpoint.mac,
      interface: endpoint.interface,
    })),
  }
}

export function inspectOf(sandbox: Sandbox, host: string, directory: string): SandboxInspect {
  const { spec, state, exit, startedAtMs, health } = sandbox
  const [path = '', ...args] = spec.argv
  return {
    Id: spec.id,
    Name: spec.name,
    Created: iso(spec.createdAtMs),
    Path: path,
    Args: args,
    State: {
      Status: state,
      Running: state === 'running',
      Pid: commandPid(sandbox),
      ExitCode: exit?.code ?? 0,
      Error: spec.stopReason ?? '',
      StartedAt: startedAtMs === null ? NEVER : iso(startedAtMs),
      FinishedAt: exit === null ? NEVER : iso(exit.endedAtMs),
      ...(health === null ? {} : { Health: healthInspect(health) }),
    },
    Config: {
      Hostname: spec.kind === 'run' ? spec.name : '',
      Tty: spec.tty,
      Cmd: spec.argv,
      ...(health === null ? {} : { Healthcheck: healthcheckInspect(health.check) }),
    },
    LogPath: spec.kind === 'run' ? `${directory}/output.log` : '',
    Warnings: [...sandbox.warnings],
    Host: host,
    NetworkSettings: {
      SandboxKey: state === 'exited' ? '' : netnsPath(spec),
      Networks: Object.fromEntries(
        spec.endpoints.map((endpoint) => [endpoint.network, endpointOf(endpoint)]),
      ),
    },
  }
}

/** The FDB rows of native, each with the record behind it. */
export function fdbRows(
  entries: readonly FdbEntry[],
  recordOf: (number: number) => NetdbRecord | undefined,
  netdb: Netdb,
): FdbRow[] {
  const names = networkNamesOf(netdb)
  const rows = entries.map((entry) => {
    const { record, network, endpoint, host } = origin(
      recordOf(entry.record),
      entry.vni,
      names,
      netdb,
    )
    const kind = entry.port === null ? ('remote' as const) : ('local' as const)
    return {
      network,
      vni: entry.vni,
      mac: entry.mac,
      endpoint,
      host,
      kind,
      vtep: entry.vtep,
      record,
    }
  })
  return rows.sort((a, b) => a.vni - b.vni || compare(a.mac, b.mac))
}

export function neighbourRows(
  entries: readonly NeighbourEntry[],
  recordOf: (number: number) => NetdbRecord | undefined,
  netdb: Netdb,
): NeighbourRow[] {
  const names = networkNamesOf(netdb)
  const rows = entries.map((entry) => {
    const { record, network, endpoint, host } = origin(
      recordOf(entry.record),
      entry.vni,
      names,
      netdb,
    )
    return {
      network,
      vni: entry.vni,
      ip: entry.ip,
      mac: entry.mac,
      endpoint: entry.gateway ? 'gateway' : endpoint,
      host,
      record,
    }
  })
  return rows.sort((a, b) => a.vni - b.vni || compare(a.mac, b.mac) || compare(a.ip, b.ip))
}

function endpointOf(spec: EndpointSpec): EndpointInspect {
  return {
    NetworkID: spec.networkId,
    EndpointID: spec.id,
    Aliases: spec.aliases.length === 0 ? null : spec.aliases,
    Gateway: spec.gateway,
    IPAddress: spec.ip,
    IPPrefixLen: spec.prefixLength,
    IPv6Gateway: spec.ip6 === null ? '' : (spec.gateway6 ?? ''),
    GlobalIPv6Address: spec.ip6 ?? '',
    GlobalIPv6PrefixLen: spec.ip6 === null ? 0 : (spec.prefixLength6 ?? 0),
    MacAddress: spec.mac,
    Interface: spec.interface,
    MTU: spec.mtuBytes,
    VNI: spec.vni,
  }
}

/** VNI → the name of its network. */
export function networkNamesOf(netdb: Netdb): Map<number, string> {
  const names = new Map(netdb.list('network').map(({ key, value }) => [key, value.name]))
  return new Map(
    netdb.list('subnet').map(({ value }) => [value.vni, names.get(value.network) ?? '']),
  )
}

/** What the record behind a row tells: where the row comes from. */
export function origin(
  record: NetdbRecord | undefined,
  vni: number,
  networkNames: ReadonlyMap<number, string>,
  netdb: Netdb,
): { record: RecordRef | null; network: string; endpoint: string | null; host: string | null } {
  const network = networkNames.get(vni) ?? ''
  if (record === undefined) return { record: null, network, endpoint: null, host: null }
  const { kind, key, owner, version, value } = record
  const ownerName = netdb.nameOfMember(owner)
  const { lamport, writer } = version
  const ref = { kind, key, owner, ownerName, lamport, writer }
  if (kind !== 'endpoint' || value === null)
    return { record: ref, network, endpoint: null, host: null }
  return { record: ref, network, endpoint: value.name, host: ownerName }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

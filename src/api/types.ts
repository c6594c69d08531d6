// The shapes of docs/api.md: what a request says and what an answer holds.
//
// Types and header names, shared by server and client; the server checks requests against its zod
// schemas and has TypeScript hold those to these. Keys are the API's own (camelCase) except for inspect, which
// has docker's. Times are ISO 8601 strings in UTC, or `...Ms` where a duration or a clock is meant.
// A client must accept keys that it does not know.

import type { ErrorCode } from '../errors.ts'
import type { HealthChange, HealthStatus, HealthTest } from '../netdb/health-check.ts'
import type { ClusterStatus } from './cluster-types.ts'

export type { HealthChange, HealthStatus, HealthTest } from '../netdb/health-check.ts'

/** In every request: the client's version. */
export const VERSION_HEADER = 'x-weft-version'
/** In an exec request: base64 of an ExecRequest as JSON. */
export const EXEC_HEADER = 'x-weft-exec'
/** The protocol that attach and exec upgrade to: frames as in native/init/README.md. */
export const STREAM_PROTOCOL = 'weft-stream'

export interface ApiError {
  readonly error: { readonly code: ErrorCode; readonly message: string }
}

/** GET /v1/version */
export interface Version {
  readonly version: string
  /** The `/v1` of the path, as a number: 1. */
  readonly apiVersion: number
  readonly host: string
  readonly pid: number
}

/** GET /v1/status */
export interface Status {
  readonly host: string
  readonly version: string
  readonly pid: number
  readonly uptimeMs: number
  /** When it began as the host that it is; it begins anew when it leaves a cluster or changes its address. */
  readonly beganAt: string
  /** The underlay address that others send to. */
  readonly vtep: string
  readonly vxlanPort: number
  /** Of the overlay: the underlay's minus 50. */
  readonly mtu: number
  readonly workers: number
  /** null without `--facts`. */
  readonly facts: {
    readonly path: string
    readonly loadedAt: string
    /** Why the newest version of the file is not in use; null when it is. */
    readonly error: string | null
  } | null
  /** null outside of a cluster. */
  readonly cluster: ClusterStatus | null
  readonly members: readonly MemberRow[]
  readonly networks: readonly NetworkRow[]
  /** How many there are. */
  readonly sandboxes: {
    readonly running: number
    readonly attached: number
    readonly ended: number
  }
  /** How long the latest endpoints took here, from the request to an interface that is up; null: none was made. */
  readonly endpoints: {
    readonly made: number
    readonly medianMs: number
    readonly p99Ms: number
  } | null
  /** Name to number, zeros left out. */
  readonly counters: Readonly<Record<string, number>>
}

export interface MemberRow {
  readonly name: string
  readonly vtep: string
  readonly self: boolean
}

export interface NetworkRow {
  readonly name: string
  readonly subnets: readonly {
    readonly cidr: string
    readonly cidr6: string | null
    readonly vni: number
  }[]
  readonly mtu: number
  /** Endpoints of this network on this host. */
  readonly localEndpoints: number
}

/** GET /v1/counters */
export interface CounterRow {
  readonly name: string
  readonly kind: 'drop' | 'count' | 'cluster' | 'dns'
  /** What is counted, for people. */
  readonly text: string
  readonly value: number
}

/** One network that a sandbox is to be on. */
export interface AttachmentRequest {
  readonly network: string
  readonly ip?: string
  /** The IPv4 address that goes with it comes along. */
  readonly ip6?: string
  readonly mac?: string
  /** Further names there. */
  readonly aliases?: readonly string[]
  /** The name inside the sandbox; eth0, eth1, ... when left out. */
  readonly interface?: string
  /** The service whose backend it is. */
  readonly service?: string
}

/**
 * A health check: what is left out is as docker has it. null: none, whatever the service has; left out: the service's.
 * A command is for run sandboxes.
 */
export type HealthWish = HealthChange & { readonly test: HealthTest }

/** POST /v1/sandboxes; the answer is a SandboxInspect. */
export type CreateSandbox = CreateRun | CreateAttach

export interface CreateRun {
  readonly kind: 'run'
  readonly name: string
  readonly attachments: readonly AttachmentRequest[]
  readonly argv: readonly string[]
  /** Of the command; the daemon's root directory when left out. */
  readonly cwd?: string
  readonly env: Readonly<Record<string, string>>
  readonly tty: boolean
  /** true: the command runs on return; false: it waits for an attach stream with start=1. */
  readonly detach: boolean
  readonly health?: HealthWish | null
}

/** An existing network namespace: exactly one of netns, pid and host. */
export interface CreateAttach {
  readonly kind: 'attach'
  readonly name: string
  readonly attachments: readonly AttachmentRequest[]
  /** A name under /run/netns or a path. */
  readonly netns?: string
  readonly pid?: number
  readonly host?: true
  readonly health?: HealthWish | null
}

/** The header of an exec stream. */
export interface ExecRequest {
  readonly argv: readonly string[]
  readonly tty: boolean
  readonly rows: number
  readonly cols: number
  readonly cwd?: string
  readonly env: Readonly<Record<string, string>>
}

/** POST /v1/sandboxes/NAME/signal */
export interface SignalRequest {
  readonly signal: number
}

/** `attached` is what a foreign namespace is; the others are a run sandbox's. */
export type SandboxState = 'created' | 'running' | 'exited' | 'attached'

/** GET /v1/sandboxes: an array of these, newest first. */
export interface SandboxSummary {
  readonly id: string
  readonly name: string
  readonly kind: 'run' | 'attach'
  /** Of a run sandbox; empty for an attachment. */
  readonly argv: readonly string[]
  readonly state: SandboxState
  readonly host: string
  /** Of the command, as the host sees it; 0 when there is none. */
  readonly pid: number
  readonly exitCode: number | null
  /** Why weft ended it; null when it ended by itself, or by a user. */
  readonly stopReason: string | null
  readonly createdAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** null: nobody checks it. */
  readonly health: HealthStatus | null
  readonly networks: readonly SummaryNetwork[]
}

/** GET /v1/cluster/sandboxes */
export interface ClusterSandboxes {
  /** This host's first, then the others' in the order of their names; of each the newest first. */
  readonly sandboxes: readonly SandboxSummary[]
  /** Hosts that are believed up and did not answer: theirs are missing. */
  readonly silent: readonly { readonly host: string; readonly reason: string }[]
}

export interface SummaryNetwork {
  readonly name: string
  readonly ip: string
  readonly ip6: string | null
  readonly mac: string
  readonly interface: string
}

/** GET /v1/sandboxes/NAME: docker's container inspect, where docker has the key. */
export interface SandboxInspect {
  readonly Id: string
  readonly Name: string
  readonly Created: string
  /** argv[0] of a run sandbox; empty for an attachment. */
  readonly Path: string
  readonly Args: readonly string[]
  readonly State: {
    readonly Status: SandboxState
    readonly Running: boolean
    readonly Pid: number
    readonly ExitCode: number
    /** Why weft ended it; empty when it ended by itself, or by a user. */
    readonly Error: string
    /** docker's zero time, 0001-01-01T00:00:00Z, when it has not happened. */
    readonly StartedAt: string
    readonly FinishedAt: string
    /** Not there without a health check. */
    readonly Health?: HealthInspect
  }
  readonly Config: {
    readonly Hostname: string
    readonly Tty: boolean
    readonly Cmd: readonly string[]
    /** In force: its own, or its service's. Not there without one. */
    readonly Healthcheck?: HealthcheckInspect
  }
  /** Empty for an attachment. */
  readonly LogPath: string
  /** What it has to do without, and why. */
  readonly Warnings: readonly string[]
  /** The name of the host that carries it. */
  readonly Host: string
  readonly NetworkSettings: {
    /** A path that `nsenter --net=` and `ip netns` can open; empty when it has ended. */
    readonly SandboxKey: string
    readonly Networks: Readonly<Record<string, EndpointInspect>>
  }
}

export interface HealthInspect {
  readonly Status: HealthStatus
  /** Failures in a row. */
  readonly FailingStreak: number
  /** The latest five results since the daemon began, the oldest first. */
  readonly Log: readonly {
    readonly Start: string
    readonly End: string
    /** -1: it was not made to its end. */
    readonly ExitCode: number
    /** 4096 bytes of it at most. */
    readonly Output: string
  }[]
}

/** docker's; times in nanoseconds. */
export interface HealthcheckInspect {
  /** `CMD-SHELL COMMAND`; ours: `TCP PORT`, `HTTP PORT/PATH`. */
  readonly Test: readonly [string, string]
  readonly Interval: number
  readonly Timeout: number
  readonly StartPeriod: number
  readonly StartInterval: number
  readonly Retries: number
}

export interface EndpointInspect {
  readonly NetworkID: string
  readonly EndpointID: string
  /** Further names on that network; null when there are none, as docker has it. */
  readonly Aliases: readonly string[] | null
  readonly Gateway: string
  readonly IPAddress: string
  readonly IPPrefixLen: number
  /** The IPv6 four are empty and 0 on a network without IPv6, as docker has it. */
  readonly IPv6Gateway: string
  readonly GlobalIPv6Address: string
  readonly GlobalIPv6PrefixLen: number
  readonly MacAddress: string
  readonly Interface: string
  readonly MTU: number
  readonly VNI: number
}

/** The record that a native row derives from; null for rows that are ours by nature (gateway). */
export interface RecordRef {
  readonly kind: string
  readonly key: string
  /** The member that it stands and falls with, or that made it: its id, its name. */
  readonly owner: string
  readonly ownerName: string
  /** Its version: Lamport time, and who wrote it then. */
  readonly lamport: number
  readonly writer: string
}

/** GET /v1/fdb: an array of these. */
export interface FdbRow {
  readonly network: string
  readonly vni: number
  readonly mac: string
  readonly endpoint: string | null
  readonly host: string | null
  readonly kind: 'local' | 'remote' | 'gateway'
  /** Where frames for it are sent; null for local and gateway. */
  readonly vtep: string | null
  readonly record: RecordRef | null
}

/** GET /v1/neighbours: an array of these. */
export interface NeighbourRow {
  readonly network: string
  readonly vni: number
  readonly ip: string
  readonly mac: string
  readonly endpoint: string | null
  readonly host: string | null
  readonly record: RecordRef | null
}

// A sandbox of this host as the daemon holds it in memory: a network namespace kept by a weft-init, with its endpoints.

import type { Timer } from '../clock.ts'
import type { PortId } from '../dataplane/rows.ts'
import { WeftError } from '../errors.ts'
import type { Health } from '../health/health.ts'
import { sendDrops } from '../linux/interfaces.ts'
import type { InitClient } from '../sandbox/init-client.ts'
import { hostPid } from '../sandbox/spawn-init.ts'
import type { EndpointSpec, Exit, SandboxSpec } from './sandbox-spec.ts'

/** `attached`: a foreign namespace, without a command of ours. */
export type SandboxState = 'created' | 'running' | 'exited' | 'attached'

/** An endpoint whose TAP is open in the dataplane. */
export interface OpenEndpoint {
  /** Changes when the endpoint is given other addresses or another MTU; noteEndpoints() writes it down. */
  spec: EndpointSpec
  readonly port: PortId
  /** Its interface is up: what it has now is what others may know it by. */
  isUp: boolean
}

export interface Sandbox {
  spec: SandboxSpec
  state: SandboxState
  /** null once its init is gone. */
  client: InitClient | null
  endpoints: OpenEndpoint[]
  startedAtMs: number | null
  /** What it has to do without, for people. */
  readonly warnings: string[]
  /** The command's process id inside the sandbox. */
  innerPid: number | null
  exit: Exit | null
  /** What its checks have found; null: there are none. */
  health: Health | null
  /** Removes a sandbox that nobody starts. */
  startDeadline: Timer | null
  /** Aborted when init is gone and all that was its is released. */
  readonly gone: AbortController
  /** It is made whole: changes of its endpoints are written down. */
  made: boolean
  /** Its endpoints are being detached, and what is remembered of them stays as it was. */
  ending: boolean
  /** Nobody knows it any more, nor is anything of it to be written down. */
  forgotten: boolean
  /** Settles when what was to be written down about it is. */
  written: Promise<void>
  /** Settles when the networks that it was to be put on or taken off are done. */
  changed: Promise<void>
}

export function newSandbox(spec: SandboxSpec, state: SandboxState): Sandbox {
  return {
    spec,
    state,
    client: null,
    endpoints: [],
    startedAtMs: null,
    warnings: [],
    innerPid: null,
    exit: null,
    health: null,
    startDeadline: null,
    gone: new AbortController(),
    made: false,
    ending: false,
    forgotten: false,
    written: Promise.resolve(),
    changed: Promise.resolve(),
  }
}

/** @throws WeftError not_running */
export function requireClient(sandbox: Sandbox): InitClient {
  if (sandbox.client === null) throw hasEnded(sandbox)
  return sandbox.client
}

export function hasEnded({ spec }: Sandbox): WeftError {
  return new WeftError('not_running', `sandbox ${spec.name} has ended`)
}

/** The sandbox's network namespace, as nsenter takes it: init's, which is in it in every kind. */
export function netnsPath({ init }: SandboxSpec): string {
  return init === null ? '' : `/proc/${init.pid}/ns/net`
}

/** Settles when init is gone and all that was its is released. */
export async function whenGone({ gone }: Sandbox): Promise<void> {
  if (gone.signal.aborted) return
  await new Promise<void>((resolve) => {
    gone.signal.addEventListener('abort', () => {
      resolve()
    })
  })
}

/** The command as this machine sees it; 0: there is none. */
export function commandPid({ spec, innerPid, state }: Sandbox): number {
  if (state !== 'running' || spec.init === null || innerPid === null) return 0
  return hostPid(spec.init, innerPid) ?? 0
}

/** Frames of its endpoints that the kernel dropped because a TAP's queue was full. */
export function kernelTapDrops({ spec: { init }, endpoints }: Sandbox): number {
  if (init === null) return 0
  return endpoints.reduce((sum, { spec }) => sum + sendDrops(init.pid, spec.interface), 0)
}

// What can be asked of the controller: a process in a namespace of its own, or endpoints in one that exists.

import { existsSync } from 'node:fs'
import { WeftError } from '../errors.ts'
import type { HealthCheck } from '../netdb/health-check.ts'

/** One network that a sandbox is to be on. */
export interface Attachment {
  readonly network: string
  readonly ip?: string | undefined
  readonly ip6?: string | undefined
  readonly mac?: string | undefined
  readonly interface?: string | undefined
  /** Further names on that network. */
  readonly aliases?: readonly string[] | undefined
  /** The service whose backend it is. */
  readonly service?: string | undefined
}

/** A process in a namespace of its own. */
export interface RunRequest {
  readonly kind: 'run'
  readonly name: string
  readonly attachments: readonly Attachment[]
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly tty: boolean
  /** Start at once; otherwise an attach stream does. */
  readonly detach: boolean
  /** null: no check, whatever its service has; undefined: its service's. */
  readonly health?: HealthCheck | null | undefined
}

/** A namespace that exists. */
export interface AttachRequest {
  readonly kind: 'attach'
  readonly name: string
  readonly attachments: readonly Attachment[]
  readonly place: { readonly netns: string } | { readonly pid: number } | { readonly host: true }
  /** As of a run; without a command. */
  readonly health?: HealthCheck | null | undefined
}

/** The path of the namespace. */
export function pathOf(place: AttachRequest['place']): string {
  if ('netns' in place) return place.netns
  return 'pid' in place ? `/proc/${place.pid}/ns/net` : '/proc/self/ns/net'
}

/** What init says of a namespace, in the words of who asked. */
export function explained(error: unknown, place: AttachRequest['place']): unknown {
  if (!(error instanceof WeftError) || !/^(not_found|invalid_argument)$/.test(error.code))
    return error
  const text = `${describe(place)} does not exist, or cannot be entered; see ip netns ls, ps`
  return new WeftError('not_found', text, { cause: error })
}

/** The same of one that was entered and ended while it was being attached: init is gone, or has let go of the interface before. */
export function endedMeanwhile(error: unknown, place: AttachRequest['place']): unknown {
  if (!(error instanceof WeftError)) return error
  const letGo = error.code === 'not_found' && !existsSync(pathOf(place))
  if (error.code !== 'not_running' && !letGo) return error
  return new WeftError('not_found', `${describe(place)} ended while it was being attached`, {
    cause: error,
  })
}

function describe(place: AttachRequest['place']): string {
  if ('netns' in place) return `network namespace ${place.netns}`
  return 'pid' in place
    ? `the network namespace of pid ${place.pid}`
    : "the host's network namespace"
}

export function twiceOn(network: string, sandbox: string): WeftError {
  return new WeftError(
    'name_in_use',
    `sandbox ${sandbox} is on network ${network} already; it can be on it once`,
  )
}

// An event: something that happened on this host or that it heard of, for people and for scripts that wait for it.

export const EVENT_KINDS = [
  'member-up',
  'member-down',
  'member-left',
  'member-changed',
  'network-created',
  'network-removed',
  'network-renumbered',
  'service-created',
  'service-removed',
  'service-readdressed',
  'endpoint-attached',
  'endpoint-detached',
  'endpoint-readdressed',
  'sandbox-stopped',
  'health',
  'collision',
  'repair-failed',
  'path-mtu',
] as const

export type EventKind = (typeof EVENT_KINDS)[number]

/** What happened. */
export interface Happening {
  readonly kind: EventKind
  /** What it happened to, by its name: a host, a network, a service, a sandbox as `HOST/NAME`. */
  readonly object: string
  /** One line. */
  readonly text: string
}

/** The same with when: by this host's clock, in milliseconds since 1970. */
export interface Event extends Happening {
  readonly timeMs: number
}

/** Takes what happened down. */
export type Tell = (happening: Happening) => void

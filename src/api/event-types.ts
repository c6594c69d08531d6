// The shapes of docs/api.md for events.

import type { EventKind } from '../events/event.ts'

/** GET /v1/events: one a line (application/x-ndjson), the oldest first. */
export interface EventLine {
  readonly time: string
  readonly kind: EventKind
  /** What it happened to: a host, a network, a sandbox as `HOST/NAME`. */
  readonly object: string
  readonly text: string
}

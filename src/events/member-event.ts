// What gossip says of members, as far as it is an event: who comes and who goes. Pure.

import type { GossipEvent } from '../gossip/event.ts'
import type { EventKind, Happening } from './event.ts'

const KINDS: Readonly<Partial<Record<GossipEvent['kind'], EventKind>>> = {
  joined: 'member-up',
  died: 'member-down',
  left: 'member-left',
  changed: 'member-changed',
}

/** @param line the event in words; null: nothing to tell */
export function memberEvent(event: GossipEvent, line: string): Happening | null {
  const kind = KINDS[event.kind]
  if (kind === undefined || !('member' in event)) return null
  return { kind, object: event.member.name, text: line }
}

// What happened to members as a line of the log.

import type { GossipEvent } from '../gossip/event.ts'
import type { MemberId } from '../gossip/member.ts'

export interface EventLine {
  readonly level: 'info' | 'warn'
  readonly line: string
}

/** @param nameOf a member's name for people */
export function eventLine(event: GossipEvent, nameOf: (id: MemberId) => string): EventLine {
  switch (event.kind) {
    case 'joined':
      return info(`host ${event.member.name} is up at ${event.member.address.ip}`)
    case 'suspected':
      return info(`host ${event.member.name} does not answer ${nameOf(event.by)}`)
    case 'recovered':
      return info(`host ${event.member.name} answers again`)
    case 'died':
      return warn(`host ${event.member.name} is down`)
    case 'left':
      return info(`host ${event.member.name} has left the cluster`)
    case 'changed':
      return info(
        `host ${event.before.name} is now ${event.member.name} at ${event.member.address.ip}`,
      )
    case 'refuted':
      return info(`${nameOf(event.by)} doubted that this host is up, and was told otherwise`)
    case 'expelled':
      return warn(`${nameOf(event.by)} says that this host is no member any more`)
    case 'paused':
      return warn(`this host stood still for ${Math.round(event.lateMs)} ms`)
  }
}

function info(line: string): EventLine {
  return { level: 'info', line }
}

function warn(line: string): EventLine {
  return { level: 'warn', line }
}

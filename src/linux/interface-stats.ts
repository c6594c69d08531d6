// What the kernel counts about an interface in another namespace.

import { readFileSync } from 'node:fs'

/** Columns of /proc/PID/net/dev (proc(5)) behind the name: eight for received, then eight for sent. */
const SENT_DROPPED = 8 + 3

/**
 * Frames that the interface could not send. Of a TAP: those that came while its queue was full.
 *
 * @param pid a process in the namespace
 * @returns 0 when there is no such interface (any more)
 */
export function sendDrops(pid: number, name: string): number {
  let table: string
  try {
    table = readFileSync(`/proc/${pid}/net/dev`, 'latin1')
  } catch {
    return 0
  }
  for (const line of table.split('\n')) {
    const [interfaceName, numbers] = line.split(':')
    if (numbers === undefined || interfaceName?.trim() !== name) continue
    return Number(numbers.trim().split(/\s+/)[SENT_DROPPED] ?? 0)
  }
  return 0
}

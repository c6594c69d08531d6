// What the kernel says of the interfaces of another namespace.

import { readFileSync, readlinkSync } from 'node:fs'

/** Columns of /proc/PID/net/dev (proc(5)) behind the name: eight for received, then eight for sent. */
const SENT_DROPPED = 8 + 3

/**
 * The names of all interfaces in a namespace.
 *
 * @param pid a process in it
 */
export function interfaceNames(pid: number): string[] {
  return tableOf(pid).map(({ name }) => name)
}

/** Whether that process is in our own network namespace. */
export function isOwnNamespace(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')
  } catch {
    return false // there is no such process (any more)
  }
}

/**
 * Frames that the interface could not send. Of a TAP: those that came while its queue was full.
 *
 * @param pid a process in the namespace
 * @returns 0 when there is no such interface (any more)
 */
export function sendDrops(pid: number, name: string): number {
  const line = tableOf(pid).find((line) => line.name === name)
  return Number(line?.numbers[SENT_DROPPED] ?? 0)
}

/** Empty when there is no such process (any more). */
function tableOf(pid: number): { name: string; numbers: string[] }[] {
  let table: string
  try {
    table = readFileSync(`/proc/${pid}/net/dev`, 'latin1')
  } catch {
    return []
  }
  return table.split('\n').flatMap((line) => {
    const [name = '', numbers] = line.split(':')
    return numbers === undefined
      ? []
      : [{ name: name.trim(), numbers: numbers.trim().split(/\s+/) }]
  })
}

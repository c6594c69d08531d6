// What the kernel says of CPU time and memory, now; the numbers' meaning is outputs.ts's.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  busyShare,
  type CpuTime,
  parseCpuTime,
  parseProcessSeconds,
  parseResidentBytes,
} from './outputs.ts'

export function readCpuTime(): CpuTime {
  return parseCpuTime(readFileSync('/proc/stat', 'latin1'))
}

/** The share of the CPUs that is busy while nothing is measured. */
export async function backgroundShare(seconds: number): Promise<number> {
  const before = readCpuTime()
  await sleep(seconds * 1000)
  return busyShare(before, readCpuTime())
}

export function processSeconds(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) => sum + parseProcessSeconds(readFileSync(`/proc/${pid}/stat`, 'latin1')),
    0,
  )
}

/** Of all of them together. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) => sum + parseResidentBytes(readFileSync(`/proc/${pid}/status`, 'latin1')),
    0,
  )
}

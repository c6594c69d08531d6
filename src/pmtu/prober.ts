// The prober: finds the path MTU to each member when it is met, and again every now and then.

import type { Clock, Timer } from '../clock.ts'
import type { Echo } from '../linux/echo.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Netdb } from '../netdb/table.ts'
import { findPathMtu } from './search.ts'

export interface ProberOptions {
  readonly netdb: Netdb
  readonly clock: Clock
  readonly openEcho: () => Echo
  /** Of the underlay's interface: no path is larger. */
  readonly interfaceMtu: number
  readonly intervalMs: number
  readonly onPath: (member: string, bytes: number) => void
  readonly onGone: (member: string) => void
}

/** One answer may take so long on a busy machine; a size is tried more than once. */
const ANSWER_MS = 1_000

export class PathProber {
  readonly #options: ProberOptions
  /** Members that are to be probed, in their order. */
  readonly #due = new Map<string, Ipv4Address>()
  readonly #unwatch: () => void
  #timer: Timer | null = null
  #busy = false
  #closed = false

  constructor(options: ProberOptions) {
    this.#options = options
    const { netdb, onGone } = options
    this.#unwatch = netdb.watch(({ before, after }) => {
      const record = after ?? before
      if (record?.kind !== 'member' || record.key === netdb.self) return
      if (after?.kind !== 'member' || after.value === null) {
        this.#due.delete(record.key)
        onGone(record.key)
        return
      }
      const was = before?.kind === 'member' ? before.value?.vtep : undefined
      if (was === after.value.vtep) return
      this.#due.set(record.key, after.value.vtep)
      void this.#work()
    })
    this.#again()
  }

  close(): void {
    this.#closed = true
    this.#unwatch()
    this.#timer?.cancel()
    this.#due.clear()
  }

  #again(): void {
    const { clock, intervalMs } = this.#options
    this.#all()
    void this.#work()
    this.#timer = clock.setTimeout(() => {
      this.#again()
    }, intervalMs)
  }

  #all(): void {
    const { netdb } = this.#options
    for (const { key, value } of netdb.list('member'))
      if (key !== netdb.self) this.#due.set(key, value.vtep)
  }

  /** One after the other: there is no hurry, and nobody is to be flooded. */
  async #work(): Promise<void> {
    if (this.#busy || this.#due.size === 0) return
    this.#busy = true
    const { openEcho, interfaceMtu, onPath } = this.#options
    const echo = openEcho()
    try {
      for (const [member, vtep] of this.#due) {
        this.#due.delete(member)
        const send = (bytes: number) => echo.send(vtep, bytes, ANSWER_MS)
        const bytes = await findPathMtu(send, interfaceMtu)
        // Who does not answer says nothing about the path: what was known stays.
        if (bytes !== null && !this.#isClosed()) onPath(member, bytes)
      }
    } finally {
      echo.close()
      this.#busy = false
    }
  }

  #isClosed(): boolean {
    return this.#closed
  }
}

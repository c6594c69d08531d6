// The records of this host over its starts: who it is, what it knew, and the file that keeps it.

import { randomBytes } from 'node:crypto'
import { systemClock } from '../clock.ts'
import { RecordsFile } from '../cluster/records-file.ts'
import { StateFile } from '../cluster/state-file.ts'
import { messageOf } from '../errors.ts'
import { encodeSnapshot, loadSnapshot } from '../netdb/snapshot.ts'
import { Netdb } from '../netdb/table.ts'
import type { Logger } from '../log.ts'

/** How often what has become too old is looked for. */
const AGING_MS = 60_000

export interface Records {
  readonly state: StateFile
  /** Adopting: the sandboxes' endpoints are to be put, then ready() called. */
  readonly netdb: Netdb
  readonly file: RecordsFile
  readonly close: () => Promise<void>
}

export async function openRecords(directory: string, log: Logger): Promise<Records> {
  const wallMs = (): number => systemClock.wallMs()
  const state = await StateFile.open({ directory, wallMs, randomBytes })
  const { setAside } = state
  if (setAside !== null) {
    log.error(
      { path: setAside.path },
      `what this host knew of its cluster cannot be read: ${setAside.reason}`,
    )
  }
  const netdb = new Netdb(state.state.memberId, {
    adopting: true,
    nowMs: () => systemClock.nowMs(),
  })
  const file = new RecordsFile({
    directory,
    clock: systemClock,
    snapshot: () => encodeSnapshot(netdb, wallMs()),
    onError: (error) => {
      log.error({}, `the records cannot be written down: ${messageOf(error)}`)
    },
  })
  await load(netdb, file, state, log)
  const unwatch = netdb.watch(() => {
    file.changed()
  })
  let aging = systemClock.setTimeout(age, AGING_MS)
  function age(): void {
    netdb.dropAged()
    aging = systemClock.setTimeout(age, AGING_MS)
  }
  const close = async (): Promise<void> => {
    aging.cancel()
    unwatch()
    // A host without a cluster has told nobody, and nobody tells it: the sandboxes' specs are enough.
    await (state.state.membership === null ? file.remove() : file.close())
  }
  return { state, netdb, file, close }
}

async function load(netdb: Netdb, file: RecordsFile, state: StateFile, log: Logger): Promise<void> {
  if (state.state.membership === null) return
  const bytes = await file.read()
  if (bytes === null) return
  const problem = loadSnapshot(netdb, bytes, systemClock.wallMs())
  if (problem === null) return
  log.error(
    {},
    `the records of the last time cannot be used (${problem}); the other hosts have them`,
  )
}

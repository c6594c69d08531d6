// The records of this host over its starts: who it is, what it knew, and the file that keeps it.

import { randomBytes } from 'node:crypto'
import { systemClock } from '../clock.ts'
import { RecordsFile } from '../cluster/records-file.ts'
import { StateFile } from '../cluster/state-file.ts'
import { messageOf } from '../errors.ts'
import { encodeSnapshot, isLongAway, loadSnapshot } from '../netdb/snapshot.ts'
import { Netdb } from '../netdb/table.ts'
import type { Logger } from '../log.ts'

/** How often what has become too old is looked for. */
const AGING_MS = 60_000
/** And how often all is written though nothing has changed: the file tells until when this host was there. */
const AGINGS_PER_WRITE = 60

export interface Records {
  readonly state: StateFile
  /** Adopting: the sandboxes' endpoints are to be put, then ready() called. */
  readonly netdb: Netdb
  readonly file: RecordsFile
  /** Takes back what was discarded because this host was away for long: when all were. null: nothing was discarded. */
  readonly restore: (() => void) | null
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
  const restore = await load(netdb, file, state, log)
  const unwatch = netdb.watch(() => {
    file.changed()
  })
  // What this host owns it finds again in its sandboxes' specs; what it wrote for all stands nowhere else until others have it.
  const unwatchWrites = netdb.watchWrites(({ owned }) => {
    if (!owned) file.promised()
  })
  let agings = 0
  let aging = systemClock.setTimeout(age, AGING_MS)
  function age(): void {
    netdb.dropAged()
    if (++agings % AGINGS_PER_WRITE === 0) file.changed()
    aging = systemClock.setTimeout(age, AGING_MS)
  }
  const close = async (): Promise<void> => {
    aging.cancel()
    unwatch()
    unwatchWrites()
    // A host without a cluster has told nobody, and nobody tells it: the sandboxes' specs are enough.
    await (state.state.membership === null ? file.remove() : file.close())
  }
  return { state, netdb, file, restore, close }
}

/** Gives Records.restore. */
async function load(
  netdb: Netdb,
  file: RecordsFile,
  state: StateFile,
  log: Logger,
): Promise<(() => void) | null> {
  if (state.state.membership === null) return null
  const bytes = await file.read()
  if (bytes === null) return null
  const wallMs = systemClock.wallMs()
  const problem = loadSnapshot(netdb, bytes, wallMs)
  if (problem === null) {
    if (!isLongAway(bytes, wallMs)) return null
    return () => void loadSnapshot(netdb, bytes, wallMs, 'all')
  }
  log.error(
    {},
    `the records of the last time cannot be used (${problem}); the other hosts have them`,
  )
  return null
}

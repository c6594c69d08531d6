// Where a host's daemon keeps its socket, its run files and its state.
//
// A host is a network namespace: the machine's own, or one of several on it (a lab). Daemon and CLI
// find the same directories by themselves, from the namespace that they run in, so that plain
// `ip netns exec lab-h1 weft ps` asks h1's daemon.

import { readdirSync, statSync } from 'node:fs'

export interface HostDirectories {
  /** Gone after a reboot: socket, lock, conntrack. */
  readonly runDir: string
  /** Stays: what sandboxes there are. */
  readonly stateDir: string
  readonly socket: string
}

const RUN_ROOT = '/run/weft'
const STATE_ROOT = '/var/lib/weft'
/** Where iproute2 keeps the names of namespaces. */
export const NETNS_DIR = '/run/netns'

/** Where the hosts that are namespaces with a name keep theirs, a directory each. */
export const NAMED_HOSTS = {
  run: `${RUN_ROOT}/netns`,
  state: `${STATE_ROOT}/netns`,
  names: NETNS_DIR,
} as const

/** The kernel refuses unix socket paths over 107 bytes; the longest below a runDir is a sandbox's. */
const LONGEST_NAME = 48

/** The directories of the host in the namespace called `key`; null is the machine's own. */
export function directoriesOf(key: string | null): HostDirectories {
  const below = key === null ? '' : `/netns/${key}`
  const runDir = `${RUN_ROOT}${below}`
  return { runDir, stateDir: `${STATE_ROOT}${below}`, socket: `${runDir}/weft.sock` }
}

/** What identifies a namespace: the nsfs file behind it. */
export interface NamespaceId {
  readonly dev: number
  readonly ino: number
}

/**
 * The key of a namespace, from what was seen of the machine (pure).
 *
 * `first` is PID 1's namespace, null where we may not look (an ordinary user may not): then a
 * namespace without a name is taken for the machine's own. Of several names for one namespace the
 * one wins that a daemon has used already, else the first in order.
 */
export function keyOfNamespace(
  self: NamespaceId,
  first: NamespaceId | null,
  named: readonly (NamespaceId & { readonly name: string; readonly inUse: boolean })[],
): string | null {
  if (first !== null && same(self, first)) return null
  const names = named
    .filter((entry) => same(entry, self) && Buffer.byteLength(entry.name) <= LONGEST_NAME)
    .sort((a, b) => Number(b.inUse) - Number(a.inUse) || (a.name < b.name ? -1 : 1))
  const best = names[0]
  if (best !== undefined) return best.name
  return first === null ? null : String(self.ino)
}

/** The directories of the host that this process runs on. */
export function hostKey(): HostDirectories {
  const self = idOf('/proc/self/ns/net')
  if (self === null) return directoriesOf(null)
  const first = idOf('/proc/1/ns/net')
  if (first !== null && same(self, first)) return directoriesOf(null)
  const named = names().flatMap((name) => {
    const id = idOf(`${NETNS_DIR}/${name}`)
    const inUse = idOf(directoriesOf(name).runDir) !== null
    return id === null ? [] : [{ ...id, name, inUse }]
  })
  return directoriesOf(keyOfNamespace(self, first, named))
}

function same(a: NamespaceId, b: NamespaceId): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

function idOf(path: string): NamespaceId | null {
  try {
    const { dev, ino } = statSync(path)
    return { dev, ino }
  } catch {
    return null
  }
}

function names(): string[] {
  try {
    return readdirSync(NETNS_DIR)
  } catch {
    return []
  }
}

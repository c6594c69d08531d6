// Leftovers: what is there in weft's name, or in its way, and belongs to nobody that lives.

import { readdir } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { interfaceNames } from '../linux/interfaces.ts'
import { vxlanDevices } from '../linux/underlay.ts'
import { type InitProcess, listInits } from '../sandbox/spawn-init.ts'
import { type Finding, type Verdict, fine } from './finding.ts'

/** What of this host has an owner. */
export interface Owned {
  /** Of living sandboxes: PIDs of their inits, names of their interfaces and of their control sockets. */
  readonly inits: ReadonlySet<number>
  readonly interfaces: ReadonlySet<string>
  readonly sockets: ReadonlySet<string>
}

export interface LeftoverPlaces {
  readonly runDir: string
  readonly stateDir: string
  readonly vxlanPort: number
  /** Below these, a directory for each host that is a namespace with that name in `names`. */
  readonly namespaces: { readonly run: string; readonly state: string; readonly names: string }
}

export interface Leftover {
  readonly what: string
  readonly verdict: Verdict
  readonly found: string
  readonly advice: string
}

/** What comes and goes at this moment is seen once; what is left over, twice. */
const SECOND_LOOK_MS = 1_000

export async function findLeftovers(
  places: LeftoverPlaces,
  owned: () => Owned,
): Promise<Finding[]> {
  let left = await look(places, owned())
  if (left.length > 0) {
    await new Promise((resolve) => setTimeout(resolve, SECOND_LOOK_MS))
    const again = await look(places, owned())
    left = left.filter(({ what }) => again.some((other) => other.what === what))
  }
  if (left.length === 0)
    return [fine('leftovers', 'this host', 'nothing is there that nobody owns')]
  return left.map(({ what, verdict, found, advice }) => ({
    check: 'leftovers',
    subject: what,
    verdict,
    found,
    advice,
  }))
}

async function look(places: LeftoverPlaces, owned: Owned): Promise<Leftover[]> {
  const all = await Promise.all([
    strayInits(places, owned),
    straySockets(places, owned),
    kernelDevices(places),
    goneHosts(places),
  ])
  return [...strayInterfaces(owned), ...all.flat()]
}

async function strayInits({ stateDir }: LeftoverPlaces, { inits }: Owned): Promise<Leftover[]> {
  const strays = (await listInits(stateDir)).filter(({ pid }: InitProcess) => !inits.has(pid))
  return strays.map(({ pid }) => ({
    what: `process ${pid}`,
    verdict: 'warn',
    found: 'is a weft-init that no sandbox of this host has',
    advice: `kill -9 ${pid}, or restart the daemon, which ends it`,
  }))
}

/** An attachment of the host itself has an interface here; those of sandboxes are in theirs. */
function strayInterfaces({ interfaces }: Owned): Leftover[] {
  const strays = interfaceNames(process.pid).filter(
    (name) => /^weft[0-9]+$/.test(name) && !interfaces.has(name),
  )
  return strays.map((name) => ({
    what: `interface ${name}`,
    verdict: 'warn',
    found: 'has the name of an attachment of ours, but is none',
    advice: `ip link del ${name}`,
  }))
}

async function straySockets({ runDir }: LeftoverPlaces, { sockets }: Owned): Promise<Leftover[]> {
  const directory = join(runDir, 's')
  const names = await readdir(directory).catch(() => [])
  return names
    .filter((name) => !sockets.has(join(directory, name)))
    .map((name) => ({
      what: `socket ${join(directory, name)}`,
      verdict: 'warn',
      found: 'is of no sandbox of this host',
      advice: `rm ${join(directory, name)}`,
    }))
}

/** The kernel takes a datagram for its own device before it looks for a socket of ours, or keeps the port from the next daemon. */
async function kernelDevices({ vxlanPort }: LeftoverPlaces): Promise<Leftover[]> {
  return (await vxlanDevices())
    .filter(({ port }) => port === vxlanPort)
    .map(({ name, up }) => ({
      what: `interface ${name}`,
      verdict: up ? 'fail' : 'warn',
      found: `is a kernel VXLAN device on UDP ${vxlanPort}, ${up ? 'which takes datagrams that are ours' : 'down now; it keeps the port when it comes up first'}`,
      advice: `ip link del ${name}, or give it another dstport, or weft another --vxlan-port (on every host)`,
    }))
}

async function goneHosts({ namespaces }: LeftoverPlaces): Promise<Leftover[]> {
  const named = new Set(await readdir(namespaces.names).catch(() => []))
  const left: Leftover[] = []
  for (const root of [namespaces.run, namespaces.state]) {
    for (const name of await readdir(root).catch(() => [])) {
      const directory = join(root, name)
      // A number is the inode of a namespace without a name: whether that is gone cannot be seen.
      if (named.has(name) || /^[0-9]+$/.test(name)) continue
      if (await answers(join(namespaces.run, name, 'weft.sock'))) continue
      if ((await listInits(join(namespaces.state, name))).length > 0) continue
      left.push({
        what: `directory ${directory}`,
        verdict: 'warn',
        found: `is of a host in the namespace ${name}, which is gone, and so is its daemon`,
        advice: `rm -r ${directory}`,
      })
    }
  }
  return left
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket)
    connection.once('connect', () => {
      connection.destroy()
      resolve(true)
    })
    connection.once('error', () => {
      resolve(false)
    })
  })
}

// The sides that can be measured: which lab each needs, by which programs, and how it is made and taken away.

import { accessSync, constants } from 'node:fs'
import type { LabContext } from '../lab/events.ts'
import { down } from '../lab/lab.ts'
import { readLab } from '../lab/state.ts'
import type { Contestant } from './contestant.ts'
import { makeKernelLab } from './kernel-lab.ts'
import { makeOvsLab, SCHEMA } from './ovs-lab.ts'
import { claimPlainLab, closePlainLab } from './plain-lab.ts'
import { type Side, SIDES, type Underlay } from './result.ts'
import { makeNebulaLab, makeWireguardLab, removeControlSockets } from './tunnel-lab.ts'
import { makeWeftLab } from './weft-lab.ts'

interface LabKind {
  /** Behind the benchmark's name: the lab's. */
  readonly letter: string
  /** Programs of PATH, or files. */
  readonly needs: readonly string[]
  /** Of Debian. */
  readonly package: string
  readonly make: (name: string, underlay: Underlay, context: LabContext) => Promise<Contestant>
}

type MakePlain = (name: string, underlay: Underlay, signal: AbortSignal) => Promise<Contestant>

const plain =
  (make: MakePlain): LabKind['make'] =>
  (name, underlay, { signal }) =>
    make(name, underlay, signal)

const KINDS: Readonly<Record<Side, LabKind>> = {
  weft: { letter: 'w', needs: [], package: '', make: makeWeftLab },
  kernel: { letter: 'k', needs: ['nft'], package: 'nftables', make: plain(makeKernelLab) },
  ovs: {
    letter: 'o',
    needs: ['ovs-vswitchd', 'ovsdb-server', 'ovs-vsctl', 'ethtool', SCHEMA],
    package: 'openvswitch-switch',
    make: plain(makeOvsLab),
  },
  nebula: {
    letter: 'n',
    needs: ['nebula', 'nebula-cert'],
    package: 'nebula',
    make: plain(makeNebulaLab),
  },
  'wireguard-go': {
    letter: 'g',
    needs: ['wireguard-go', 'wg'],
    package: 'wireguard-go wireguard-tools',
    make: plain(makeWireguardLab),
  },
}

/** Those that can be measured here, and a line for each that cannot. */
export function availableSides(
  asked: readonly Side[],
  isThere: (program: string) => boolean = isInstalled,
): { sides: Side[]; missing: string[] } {
  const without = (side: Side) => KINDS[side].needs.filter((program) => !isThere(program))
  return {
    sides: asked.filter((side) => without(side).length === 0),
    missing: asked
      .filter((side) => without(side).length > 0)
      .map(
        (side) =>
          `${side} was not measured: there is no ${without(side).join(', ')}; apt-get install ${KINDS[side].package}`,
      ),
  }
}

const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

function isInstalled(program: string): boolean {
  if (program.startsWith('/')) return canAccess(program, constants.R_OK)
  const path = [...(process.env['PATH'] ?? '').split(':'), ...SYSTEM_PATH]
  return path.some((dir) => canAccess(`${dir}/${program}`, constants.X_OK))
}

function canAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

/**
 * Takes all names that labs of this benchmark may have, and cleans up after one that died: who has the kernel's
 * has all others.
 *
 * @throws WeftError already_running, name_in_use
 */
export async function claimLabs(name: string, context: LabContext): Promise<void> {
  if (!(await claimPlainLab(labName(name, 'kernel')))) return
  context.report({ kind: 'note', text: 'cleaned up after an earlier benchmark' })
  for (const side of SIDES.filter((one) => one !== 'kernel')) {
    if (readLab(labName(name, side)) !== null) await down(labName(name, side))
  }
  removeControlSockets(labName(name, 'wireguard-go'))
}

/** Makes one; on failure nothing of it is left. */
export async function makeSide(
  name: string,
  side: Side,
  underlay: Underlay,
  context: LabContext,
): Promise<Contestant> {
  const lab = labName(name, side)
  const { make } = KINDS[side]
  if (side === 'weft' || side === 'kernel') return await make(lab, underlay, context)
  await claimPlainLab(lab)
  try {
    return await make(lab, underlay, context)
  } catch (error) {
    await closePlainLab(lab)
    throw error
  }
}

/** Ends one that was made. Not the kernel's: closeLabs does, last. */
export async function closeSide(name: string, side: Side): Promise<void> {
  if (side === 'weft') await down(labName(name, side))
  else if (side !== 'kernel') await closePlainLab(labName(name, side))
  if (side === 'wireguard-go') removeControlSockets(labName(name, side))
}

/** Lets the names go. */
export async function closeLabs(name: string): Promise<void> {
  await closePlainLab(labName(name, 'kernel'))
}

function labName(name: string, side: Side): string {
  return `${name}${KINDS[side].letter}`
}

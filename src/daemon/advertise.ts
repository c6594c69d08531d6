// Which address this host is reached at: the settings, a verb's choice, the facts, or what the host itself suggests.

import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chooseAdvertiseAddress, readAddressView } from '../cluster/advertise-address.ts'
import { WeftError } from '../errors.ts'
import type { Facts } from '../facts/facts.ts'
import type { UnderlayInterface } from '../linux/underlay.ts'
import type { Config } from './config.ts'

/** What `weft init --advertise-addr` chose, for all later starts: one line. */
const CHOICE = 'advertise-addr'

/** --advertise-addr, else what a verb chose, else what the facts say of this host, else its first address. */
export async function chooseUnderlay(
  { advertiseAddr, name, stateDir }: Config,
  facts: Facts | undefined,
): Promise<UnderlayInterface> {
  const stated = facts?.members.find((member) => member.name === name)?.vtep
  const chosen = advertiseAddr ?? (await readChoice(stateDir))
  const underlay = chooseAdvertiseAddress(chosen ?? stated, await readAddressView())
  if (stated !== undefined && stated !== underlay.address) {
    throw new WeftError(
      'invalid_argument',
      `--advertise-addr ${chosen ?? ''} is ${underlay.address}, but the facts tell the other hosts that ${name} is at ${stated}; make them agree`,
    )
  }
  return underlay
}

/**
 * Takes over what a verb wants. Whether it is another address than `current`: then the daemon must begin anew.
 *
 * @throws WeftError invalid_argument when there is no such address, or the daemon's settings say otherwise
 */
export async function changeUnderlay(
  { advertiseAddr, stateDir }: Config,
  current: UnderlayInterface,
  wanted: string,
): Promise<boolean> {
  const underlay = chooseAdvertiseAddress(wanted, await readAddressView())
  if (underlay.address === current.address) return false
  if (advertiseAddr !== undefined) {
    throw new WeftError(
      'invalid_argument',
      `the daemon was started with --advertise-addr ${advertiseAddr} (or its config file says so), not with ${wanted}; change it there and start it again`,
    )
  }
  await writeFile(join(stateDir, CHOICE), `${wanted}\n`)
  return true
}

/** A host that has left a cluster chooses again. */
export async function forgetChoice(stateDir: string): Promise<void> {
  await rm(join(stateDir, CHOICE), { force: true })
}

async function readChoice(stateDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(stateDir, CHOICE), 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

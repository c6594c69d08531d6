// Interfaces: what an endpoint's TAP is given in its namespace. By iproute2, one batch an interface.

import { z } from 'zod'
import { run } from './exec.ts'

export interface LinkSetup {
  /** Path of the network namespace, as nsenter takes it. */
  readonly netns: string
  readonly interface: string
  readonly mac: string
  readonly mtuBytes: number
  /** With prefix length: `10.0.1.3/24`. */
  readonly addresses: readonly string[]
  /** Prefixes that lie behind a gateway. */
  readonly routes: readonly { readonly to: string; readonly via: string }[]
}

/**
 * Gives an interface its MAC, MTU and addresses, and brings it up.
 *
 * @throws WeftError internal with what ip said
 */
export async function setUpLink(link: LinkSetup): Promise<void> {
  const dev = `dev ${link.interface}`
  const lines = [
    `link set ${dev} address ${link.mac} mtu ${link.mtuBytes}`,
    ...link.addresses.map((address) => addressLine(address, dev)),
    `link set ${dev} up`,
    ...link.routes.map(({ to, via }) => `route replace ${to} via ${via} ${dev}`),
  ]
  await inNetns(link.netns, ['ip', '-batch', '-'], lines.join('\n'))
}

// nodad: the facts gave the address, so nobody needs to be asked, and it can be used at once.
function addressLine(address: string, dev: string): string {
  return address.includes(':') ? `addr add ${address} ${dev} nodad` : `addr add ${address} ${dev}`
}

async function inNetns(netns: string, command: readonly string[], input?: string): Promise<void> {
  await run('nsenter', [`--net=${netns}`, ...command], input === undefined ? {} : { input })
}

const LINK_NAMES = z.array(z.object({ ifname: z.string() }))

/** The names of all interfaces in a namespace. */
export async function interfaceNames(netns: string): Promise<string[]> {
  const { stdout } = await run('nsenter', [`--net=${netns}`, 'ip', '-j', 'link', 'show'])
  return LINK_NAMES.parse(JSON.parse(stdout)).map(({ ifname }) => ifname)
}

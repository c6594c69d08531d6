// Whether this process may do what a daemon does: namespaces, TAP devices.

import { closeSync, openSync, readFileSync } from 'node:fs'
import { WeftError } from '../errors.ts'

/** Numbers of <linux/capability.h>. */
const CAP_NET_ADMIN = 12
const CAP_SYS_ADMIN = 21

/** @throws WeftError not_permitted with the one thing that is missing and what to do */
export function requireAbilities(): void {
  const mask = BigInt(
    `0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`,
  )
  const lacks = (capability: number): boolean => (mask & (1n << BigInt(capability))) === 0n
  if (lacks(CAP_NET_ADMIN)) {
    throw new WeftError(
      'not_permitted',
      'CAP_NET_ADMIN is missing: interfaces cannot be made; run as root (sudo)',
    )
  }
  if (lacks(CAP_SYS_ADMIN)) {
    throw new WeftError(
      'not_permitted',
      'CAP_SYS_ADMIN is missing: namespaces cannot be made; run as root (sudo)',
    )
  }
  try {
    // Opened, not looked at: the node may be there without the driver behind it.
    closeSync(openSync('/dev/net/tun', 'r+'))
  } catch (error) {
    throw new WeftError(
      'not_permitted',
      '/dev/net/tun cannot be opened: there are no TAP devices here; run `modprobe tun`, in a container add --device /dev/net/tun',
      { cause: error },
    )
  }
}

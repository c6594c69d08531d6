// What a lab needs of the machine: looked at before anything is made, one clear line if it is missing.

import { closeSync, openSync, readFileSync } from 'node:fs'
import { WeftError } from '../errors.ts'

/** Numbers from linux/capability.h. */
const NEEDED = [
  { name: 'CAP_NET_ADMIN', bit: 12n },
  { name: 'CAP_SYS_ADMIN', bit: 21n },
] as const

const TUN = '/dev/net/tun'

/** For whatever changes namespaces. @throws WeftError */
export function requireCapabilities(): void {
  const missing = missingCapabilities(readFileSync('/proc/self/status', 'utf8'))
  if (missing.length === 0) return
  throw new WeftError(
    'internal',
    `a lab needs ${missing.join(' and ')}; run it as root: sudo, or docker run --privileged`,
  )
}

/** Which of the needed capabilities a /proc/PID/status does not have in effect. */
export function missingCapabilities(status: string): string[] {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'
  const effective = BigInt(`0x${hex}`)
  return NEEDED.filter(({ bit }) => ((effective >> bit) & 1n) === 0n).map(({ name }) => name)
}

/** For endpoints. @throws WeftError */
export function requireTun(): void {
  try {
    closeSync(openSync(TUN, 'r+'))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO'
        ? 'load it with `modprobe tun`; a container needs `--device /dev/net/tun`'
        : message
    throw new WeftError('internal', `${TUN} cannot be opened: ${why}`, { cause: error })
  }
}

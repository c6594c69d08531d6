// This host's routes, as the kernel lists them in /proc: read without another process, so that it can be done often.

import { readFile } from 'node:fs/promises'
import { cidrOf, formatCidr } from '../net/cidr.ts'
import { bytesToIpv4 } from '../net/ipv4-address.ts'
import { bytesToIpv6 } from '../net/ipv6-address.ts'

export interface HostRoute {
  /** `10.0.0.0/8`, `10.0.0.7/32`. */
  readonly prefix: string
  readonly device: string
}

/** The host's routes of both families, without default routes. */
export async function hostRoutes(): Promise<HostRoute[]> {
  const [v4, v6] = await Promise.all(
    // A kernel without IPv6 has no such file.
    ['/proc/net/route', '/proc/net/ipv6_route'].map((path) =>
      readFile(path, 'utf8').catch(() => ''),
    ),
  )
  return [...parseIpv4Routes(v4 ?? ''), ...parseIpv6Routes(v6 ?? '')]
}

// <linux/route.h>, <linux/ipv6_route.h>
const RTF_UP = 0x1
const RTF_ANYCAST = 0x100000
const RTF_LOCAL = 0x80000000

/** /proc/net/route: the main table; numbers in the host's byte order, which is little endian wherever weft runs. */
export function parseIpv4Routes(text: string): HostRoute[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [device = '', destination = '', , , , , , mask = ''] = line.trim().split(/\s+/)
      if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask)) return []
      const prefixLength = bitsOf(mask)
      if (prefixLength === 0) return []
      const address = bytesToIpv4(Buffer.from(destination, 'hex').reverse())
      return [
        {
          prefix: formatCidr(cidrOf(address, prefixLength)),
          // A route that refuses has no device.
          device: device === '*' ? 'no device' : device,
        },
      ]
    })
}

/** /proc/net/ipv6_route: all tables, so what is only the host's own addresses is left out. */
export function parseIpv6Routes(text: string): HostRoute[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/)
    const [destination = '', length = ''] = fields
    const flags = Number.parseInt(fields[8] ?? '', 16)
    const device = fields[9] ?? ''
    if (!/^[0-9a-f]{32}$/.test(destination) || !(flags & RTF_UP)) return []
    const prefixLength = Number.parseInt(length, 16)
    const isOwn = (flags & RTF_ANYCAST) !== 0 || flags >= RTF_LOCAL
    if (prefixLength === 0 || isOwn || device === 'lo' || destination.startsWith('ff')) return []
    const address = bytesToIpv6(Buffer.from(destination, 'hex'))
    return [{ prefix: formatCidr(cidrOf(address, prefixLength)), device }]
  })
}

function bitsOf(mask: string): number {
  return Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length
}

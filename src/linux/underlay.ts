// What the kernel knows of the underlay: local addresses, default routes, and who holds a UDP port.

import { readFile, readdir, readlink } from 'node:fs/promises'
import * as z from 'zod'
import { type Ipv4Address, ipv4ToBytes, parseIpv4Address } from '../net/ipv4-address.ts'
import { run } from './exec.ts'

export interface UnderlayInterface {
  readonly name: string
  readonly address: Ipv4Address
  readonly prefixLength: number
  readonly mtuBytes: number
}

const LINKS = z.array(
  z.object({
    ifname: z.string(),
    mtu: z.number(),
    addr_info: z.array(
      z.object({ local: z.string().optional(), prefixlen: z.number().optional() }),
    ),
  }),
)

/** All IPv4 addresses of this host, in the kernel's order. */
export async function listUnderlay(): Promise<UnderlayInterface[]> {
  const { stdout } = await run('ip', ['-j', '-4', 'addr', 'show'])
  return LINKS.parse(JSON.parse(stdout || '[]')).flatMap(({ ifname, mtu, addr_info }) =>
    addr_info.flatMap(({ local, prefixlen = 32 }) =>
      local === undefined
        ? []
        : [
            {
              name: ifname,
              address: parseIpv4Address(local),
              prefixLength: prefixlen,
              mtuBytes: mtu,
            },
          ],
    ),
  )
}

const DEFAULT_ROUTES = z.array(
  z.object({ dev: z.string().optional(), metric: z.number().optional() }),
)

/** Devices of the IPv4 default routes, the preferred one first. */
export async function defaultRouteDevices(): Promise<string[]> {
  const { stdout } = await run('ip', ['-j', '-4', 'route', 'show', 'default'])
  return DEFAULT_ROUTES.parse(JSON.parse(stdout || '[]'))
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
    .flatMap(({ dev }) => (dev === undefined ? [] : [dev]))
}

/**
 * Who holds a UDP port on `address`, for the message when we cannot have it: a process by name and PID, or a kernel VXLAN
 * device; undefined when it cannot be found out.
 */
export async function udpPortHolder(
  address: Ipv4Address,
  port: number,
): Promise<string | undefined> {
  const inodes = await socketInodes(address, port)
  const holder = await processWithSocket(inodes)
  if (holder !== undefined) return holder
  const device = (await vxlanDevices()).find((device) => device.port === port)
  return device === undefined ? undefined : `the kernel's VXLAN device ${device.name}`
}

export interface VxlanDevice {
  readonly name: string
  /** The UDP port that it takes datagrams on. */
  readonly port: number
  readonly up: boolean
}

/** The kernel's own VXLAN devices in this namespace. */
export async function vxlanDevices(): Promise<VxlanDevice[]> {
  const { stdout } = await run('ip', ['-d', '-j', 'link', 'show', 'type', 'vxlan'], {
    allowFailure: true,
  })
  const devices = VXLAN_LINKS.safeParse(JSON.parse(stdout || '[]')).data ?? []
  return devices.flatMap(({ ifname, flags, linkinfo }) => {
    const { port } = linkinfo.info_data
    return port === undefined ? [] : [{ name: ifname, port, up: flags.includes('UP') }]
  })
}

const VXLAN_LINKS = z.array(
  z.object({
    ifname: z.string(),
    flags: z.array(z.string()).default([]),
    linkinfo: z.object({ info_data: z.object({ port: z.number().optional() }) }),
  }),
)

/** Inodes of the sockets bound to the port on that address or on all (proc(5), /proc/net/udp). */
async function socketInodes(address: Ipv4Address, port: number): Promise<Set<string>> {
  const inodes = new Set<string>()
  const hex = [...ipv4ToBytes(address)]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
  for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
    for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const [localAddress, localPort] = (fields[1] ?? '').split(':')
      if (localPort === undefined || Number.parseInt(localPort, 16) !== port) continue
      const any = /^0+$/.test(localAddress ?? '')
      if (any || localAddress?.toLowerCase() === hex) inodes.add(fields[9] ?? '')
    }
  }
  inodes.delete('0')
  return inodes
}

async function processWithSocket(inodes: ReadonlySet<string>): Promise<string | undefined> {
  if (inodes.size === 0) return undefined
  for (const pid of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      const inode = /^socket:\[([0-9]+)\]$/.exec(target)?.[1]
      if (inode === undefined || !inodes.has(inode)) continue
      const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')).trim()
      return `${name} (pid ${pid})`
    }
  }
  return undefined
}

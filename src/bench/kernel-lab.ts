// The other side: the same underlay, with what the kernel has instead of weft.
//
//      h3 10.0.1.11                                 h4 10.0.1.12   h5 .13   h6 .14     "sandboxes"
//       │ eth0                                       │ eth0         │        │
//       │ s3                                         │ s4           │ s5     │ s6
//      br0 ── vx0, VNI 4097             vx0, 4097 ── br0 ───────────┴────────┘
//      h1 172.31.1.11 ─────────── r ────────── 192.168.1.12 h2
//
// VIPs are nftables rules in the client's own namespace (DNAT in its output hook, backends in turn by numgen), where
// Swarm has its IPVS and where it costs the kernel least: no bridge netfilter, no route through the host. Their
// table is there only while VIPs are measured: with it comes conntrack, which would cost the direct way, too.

import type { IpBatch, LabHost } from '../lab/topology.ts'
import { CONNECT_PORT } from './connections.ts'
import type { Contestant, ServiceUnderTest } from './contestant.ts'
import { addressBatch, inside, makePlainHosts, sandboxBatch, settledPlace } from './plain-lab.ts'
import type { Underlay } from './result.ts'
import { ipBatch } from './underlay.ts'

const VNI = 4097
const VXLAN_PORT = 4789
/** Of the underlay, 1500, without 50 bytes of outer headers. */
export const MTU = 1450

const [NEAR_IP, FAR_IP, ...BACKEND_IPS] = ['10.0.1.11', '10.0.1.12', '10.0.1.13', '10.0.1.14']
const VIP = '10.0.1.101'
const SINGLE_VIP = '10.0.1.102'
const TABLE = 'weft_bench'

/** Makes it; its name must have been claimed. */
export async function makeKernelLab(
  name: string,
  underlay: Underlay,
  signal: AbortSignal,
): Promise<Contestant> {
  const { near, far, boxes } = await makePlainHosts(name, underlay)
  const [nearBox, farBox, ...backendBoxes] = boxes
  if (nearBox === undefined || farBox === undefined) throw new Error('boxes were planned')
  signal.throwIfAborted()
  const overFar: readonly (readonly [LabHost, string])[] = [
    [farBox, FAR_IP],
    ...backendBoxes.map((box, index) => [box, BACKEND_IPS[index] ?? ''] as const),
  ]
  await ipBatch(sandboxBatch(near, nearBox, cableOf(nearBox)))
  for (const [box] of overFar) await ipBatch(sandboxBatch(far, box, cableOf(box)))
  await ipBatch(overlayBatch(near, far, [nearBox]))
  await ipBatch(
    overlayBatch(
      far,
      near,
      overFar.map(([box]) => box),
    ),
  )
  for (const [box, ip] of [[nearBox, NEAR_IP] as const, ...overFar]) {
    await ipBatch(addressBatch(box, ip, MTU))
  }
  const [to, ...backends] = await Promise.all(overFar.map(([box, ip]) => settledPlace(box, ip)))
  if (to === undefined) throw new Error('the far box was made')
  const service: ServiceUnderTest = {
    vip: VIP,
    backends,
    single: SINGLE_VIP,
    open: () => inside(nearBox, ['nft', '-f', '-'], vipRules(BACKEND_IPS, FAR_IP)),
    close: () => inside(nearBox, ['nft', 'delete', 'table', 'ip', TABLE]),
  }
  return {
    side: 'kernel',
    from: await settledPlace(nearBox, NEAR_IP),
    to,
    service,
    daemons: [],
    counters: null,
  }
}

function cableOf(box: LabHost): string {
  return box.name.replace('h', 's')
}

/** The bridge of a host with its sandboxes, and its way to the other host. */
export function overlayBatch(host: LabHost, other: LabHost, boxes: readonly LabHost[]): IpBatch {
  const way = `local ${host.address} remote ${other.address} dstport ${VXLAN_PORT}`
  return {
    netns: host.netns,
    lines: [
      `link add name br0 mtu ${MTU} type bridge`,
      `link add name vx0 mtu ${MTU} type vxlan id ${VNI} ${way}`,
      'link set vx0 master br0 up',
      ...boxes.map((box) => `link set ${cableOf(box)} mtu ${MTU} master br0 up`),
      'link set br0 up',
    ],
  }
}

/** One VIP for some backends in turn, one for a single backend. */
export function vipRules(backends: readonly string[], single: string): string {
  const turns = backends.map((ip, index) => `${index} : ${ip}`).join(', ')
  return `table ip ${TABLE} {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${VIP} tcp dport ${CONNECT_PORT} dnat to numgen inc mod ${backends.length} map { ${turns} }
    ip daddr ${SINGLE_VIP} dnat to ${single}
  }
}
`
}

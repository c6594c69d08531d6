// The underlay of all sides: a router between two hosts, and nothing else.
//
// A lab's router has bridges, for more hosts than two. A bridge that routes cuts a kernel VXLAN
// device's superframes into packets (it claims no offload for encapsulated ones), and has netfilter look at each
// one: that would hold back the kernel's side alone. So the cables go to the router itself.
//
// Cables between namespaces hand over what the sender had in memory, up to 64 KB at once. 'wire' is a wire: nobody
// segments or sums in hardware, so each packet is cut and crosses alone, and what is received may be put together (GRO).

import { WeftError } from '../errors.ts'
import { oneLine, run } from '../linux/exec.ts'
import { type IpBatch, type Topology } from '../lab/topology.ts'
import { inNetns } from './programs.ts'
import type { Underlay } from './result.ts'

/** What makes it of a lab of two hosts; pure. */
export function plainUnderlayBatches(topology: Topology): IpBatch[] {
  const { router, hosts } = topology
  return [
    {
      netns: router.netns,
      lines: [
        'link del br1',
        'link del br2',
        ...hosts.map((host) => `addr add ${host.gateway}/24 dev ${host.name}`),
      ],
    },
    // The gateways have other MAC addresses now.
    ...hosts.map((host) => ({ netns: host.netns, lines: ['neigh flush dev eth0'] })),
  ]
}

const WIRE_FEATURES = [
  ...['tx', 'off', 'tso', 'off', 'tx-udp-segmentation', 'off'],
  ...['tx-udp_tnl-segmentation', 'off', 'tx-udp_tnl-csum-segmentation', 'off', 'gro', 'on'],
]

export async function makePlainUnderlay(topology: Topology, underlay: Underlay): Promise<void> {
  for (const batch of plainUnderlayBatches(topology)) await ipBatch(batch)
  if (underlay === 'superframes') return
  const ends = topology.hosts.flatMap((host) => [
    [host.netns, 'eth0'],
    [topology.router.netns, host.name],
  ])
  for (const [netns = '', device = ''] of ends) {
    const { command, args } = inNetns(`/run/netns/${netns}`, [
      'ethtool',
      '-K',
      device,
      ...WIRE_FEATURES,
    ])
    const { code, stderr } = await run(command, args, { allowFailure: true })
    if (code === 0) continue
    throw new WeftError(
      'internal',
      `the offloads of ${device} in ${netns} cannot be turned off: ${oneLine(stderr)}; is ethtool installed?`,
    )
  }
}

/** One `ip -batch`. */
export async function ipBatch(batch: IpBatch): Promise<void> {
  const place = batch.netns === null ? [] : ['-netns', batch.netns]
  await run('ip', [...place, '-batch', '-'], { input: `${batch.lines.join('\n')}\n` })
}

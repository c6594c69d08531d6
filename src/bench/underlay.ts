// The underlay of both sides: a router between two hosts, and nothing else.
//
// A lab's router has bridges, for more hosts than two. A bridge that routes cuts a kernel VXLAN
// device's superframes into packets (it claims no offload for encapsulated ones), and has netfilter look at each
// one: that would hold back the kernel's side alone. So the cables go to the router itself.

import { run } from '../linux/exec.ts'
import { type IpBatch, type Topology } from '../lab/topology.ts'

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

export async function makePlainUnderlay(topology: Topology): Promise<void> {
  for (const batch of plainUnderlayBatches(topology)) await ipBatch(batch)
}

/** One `ip -batch`. */
export async function ipBatch(batch: IpBatch): Promise<void> {
  const place = batch.netns === null ? [] : ['-netns', batch.netns]
  await run('ip', [...place, '-batch', '-'], { input: `${batch.lines.join('\n')}\n` })
}

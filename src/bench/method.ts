// How it was measured, in words, a line for each figure: stands in the result itself. Pure.

import { CONNECTIONS_AT_ONCE } from './connections.ts'
import type { Effort } from './measure-context.ts'
import type { Group } from './metrics.ts'
import type { Side } from './result.ts'
import { CONGESTION } from './tcp.ts'
import { TUNNEL_MTU } from './tunnel-lab.ts'
import { FLOWS, MAX_LOSS } from './udp.ts'

/** What is to be known of sides that are not like the two. */
const FURTHER: Readonly<Partial<Record<Side, string>>> = {
  ovs: 'ovs: Open vSwitch’s userspace datapath (netdev) with a VXLAN port on each host, sandboxes by veth with tx off; without VIPs',
  nebula: `nebula: encrypts; its tun is an interface of the hosts (MTU ${TUNNEL_MTU}), where the programs run: no sandboxes, no Ethernet, no VIPs`,
  'wireguard-go': `wireguard-go: encrypts; its tun is an interface of the hosts (MTU ${TUNNEL_MTU}), where the programs run: no sandboxes, no Ethernet, no VIPs`,
}

/** Between labs of ours. */
export function methodOf(
  effort: Effort,
  groups: readonly Group[],
  sides: readonly Side[],
): string[] {
  const measured = (group: Group, ...lines: string[]) => (groups.includes(group) ? lines : [])
  return [
    'each side has two hosts at a router of its own (no bridge between), namespaces and veth of one machine; MTU 1450. Kernel: a VXLAN device in a bridge on each host',
    ...sides.flatMap((side) => FURTHER[side] ?? []),
    "'with all offloads': a cable hands over up to 64 KB at once; 'like a wire': no segmentation and no checksums by the underlay, each packet is cut and sent alone, GRO is on",
    'the sides take turns measurement by measurement, each round begins with the next one; medians of the rounds, and what they lie between',
    ...measured('tcp', tcpLine(effort), ...costLines(effort)),
    ...measured(
      'vip',
      'VIPs: weft: services of the cluster, NAT in the client’s host; kernel: nftables DNAT in the output hook of the client’s namespace, backends in turn by numgen, with conntrack, loaded only meanwhile',
      `TCP to a VIP: ${effort.tcpSeconds} s, 1 stream, to the same sandbox right behind a transfer without VIP; connections to a VIP: as without, shared out over two backends on the other host`,
    ),
    ...measured('udp', ...udpLines(effort)),
    ...measured('ping', ...pingLines(effort)),
    ...measured('connections', connectionsLine(effort)),
    'memory: resident memory of the daemons after each round, half of both hosts’. What an endpoint costs: scripts/soak-networks; what a flow costs: scripts/measure-flows',
  ]
}

/** Between two sandboxes of somebody's cluster. */
export function pairMethodOf(effort: Effort, groups: readonly Group[]): string[] {
  const measured = (group: Group, ...lines: string[]) => (groups.includes(group) ? lines : [])
  return [
    'the directions take turns measurement by measurement; medians of the rounds, and what they lie between',
    ...measured('tcp', tcpLine(effort)),
    ...measured('udp', ...udpLines(effort)),
    ...measured('ping', ...pingLines(effort)),
    ...measured('connections', connectionsLine(effort)),
  ]
}

function tcpLine({ tcpSeconds }: Effort): string {
  return `TCP: iperf3, ${tcpSeconds} s, ${CONGESTION} at both ends, what the receiver got`
}

function costLines({ idleSeconds }: Effort): string[] {
  return [
    'back: the other way, from the second host to the first',
    `all CPU: busy time of all cores (/proc/stat, without steal) during the transfer, less the share that was busy in the ${idleSeconds} s before, for each byte, or packet of the best trial with 64 B: both hosts, both ends, the kernel, and what others began meanwhile; not told when others used more than a fifth`,
    'own CPU: what the kernel charges to the daemons (/proc/PID/stat) and to the programs at both ends, for each byte or packet received; with what interrupts did in their time, without ksoftirqd',
    'system calls: those of the data plane of both hosts, for 64 KB sent, acknowledgements too; counted by weft itself, so of weft only',
  ]
}

function udpLines({ trialSeconds, maxTrials, losslessTrials }: Effort): string[] {
  return [
    `UDP: weft-flood, ${FLOWS} flows, highest rate with at most ${MAX_LOSS * 100} % lost, what arrived; at most ${maxTrials} trials of ${trialSeconds} s, ` +
      `64 B of payload are a frame of 106. No loss: the highest rate at which not one was lost, ${losslessTrials} trials more`,
  ]
}

function pingLines({ pings, loadSeconds }: Effort): string[] {
  return [
    `ping: ${pings} of ping -A, one as soon as the other is answered; beside UDP and TCP: as many as fit into ${loadSeconds} s. A percentile needs a value beyond it: p99.9 a thousand answers`,
    'beside UDP: 64 B at half of the highest rate without loss, of the weakest side (or direction) in that round, the same for all; beside TCP: 1 stream as fast as it goes, the same way',
  ]
}

function connectionsLine({ connectSeconds }: Effort): string {
  return `connections: ${CONNECTIONS_AT_ONCE} at a time for ${connectSeconds} s: connect, a byte there and back, close`
}

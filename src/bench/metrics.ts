// What is measured, and how a figure of it is written. Pure.

/** What can be measured alone. */
export const GROUPS = ['tcp', 'vip', 'udp', 'ping', 'connections'] as const
export type Group = (typeof GROUPS)[number]

export type MetricId =
  | 'tcp1'
  | 'tcp8'
  | 'tcp1Back'
  | 'tcp8Back'
  | 'vipTcp1'
  | 'vipShare'
  | UdpMetricId
  | 'pingP50'
  | 'pingP99'
  | 'pingP999'
  | 'busyP50'
  | 'busyP99'
  | 'busyP999'
  | 'bulkP50'
  | 'bulkP99'
  | 'bulkP999'
  | 'connections'
  | 'vipConnections'
  | 'cpuTcp1'
  | 'cpuTcp8'
  | 'processTcp1'
  | 'processTcp8'
  | 'cpuUdp64'
  | 'processUdp64'
  | 'callsTcp1'
  | 'memory'

export const UDP_PAYLOADS = [64, 512, 1400] as const
export type UdpPayload = (typeof UDP_PAYLOADS)[number]
export type UdpMetricId = `udp${UdpPayload}` | `udp${UdpPayload}Lossless`

export interface Metric {
  readonly id: MetricId
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly digits: number
}

const more = (id: MetricId, title: string, unit: string, digits: number): Metric => ({
  ...{ id, title, unit, digits },
  better: 'more',
})

const less = (id: MetricId, title: string, unit: string, digits: number): Metric => ({
  ...{ id, title, unit, digits },
  better: 'less',
})

export const METRICS: readonly Metric[] = [
  more('tcp1', 'TCP, 1 stream', 'Gbit/s', 2),
  more('tcp8', 'TCP, 8 streams', 'Gbit/s', 2),
  more('tcp1Back', 'TCP, 1 stream, back', 'Gbit/s', 2),
  more('tcp8Back', 'TCP, 8 streams, back', 'Gbit/s', 2),
  more('vipTcp1', 'TCP, 1 stream to a VIP', 'Gbit/s', 2),
  more('vipShare', 'TCP to a VIP / without', 'x', 2),
  ...UDP_PAYLOADS.map((bytes) => more(`udp${bytes}`, `UDP, ${bytes} B payload`, 'kpps', 1)),
  ...UDP_PAYLOADS.map((bytes) =>
    more(`udp${bytes}Lossless`, `UDP, ${bytes} B, no loss`, 'kpps', 1),
  ),
  less('pingP50', 'ping, p50', 'us', 0),
  less('pingP99', 'ping, p99', 'us', 0),
  less('pingP999', 'ping, p99.9', 'us', 0),
  less('busyP50', 'ping beside UDP, p50', 'us', 0),
  less('busyP99', 'ping beside UDP, p99', 'us', 0),
  less('busyP999', 'ping beside UDP, p99.9', 'us', 0),
  less('bulkP50', 'ping beside TCP, p50', 'us', 0),
  less('bulkP99', 'ping beside TCP, p99', 'us', 0),
  less('bulkP999', 'ping beside TCP, p99.9', 'us', 0),
  more('connections', 'TCP connections', '1/s', 0),
  more('vipConnections', 'TCP connections to a VIP', '1/s', 0),
  less('cpuTcp1', 'all CPU, TCP 1', 'ns/byte', 3),
  less('cpuTcp8', 'all CPU, TCP 8', 'ns/byte', 3),
  less('processTcp1', 'own CPU, TCP 1', 'ns/byte', 3),
  less('processTcp8', 'own CPU, TCP 8', 'ns/byte', 3),
  less('cpuUdp64', 'all CPU, UDP 64 B', 'ns/packet', 0),
  less('processUdp64', 'own CPU, UDP 64 B', 'ns/packet', 0),
  less('callsTcp1', 'system calls, TCP 1', '1/64 KB', 2),
  less('memory', 'memory of the daemons', 'MB/host', 1),
]

/** Of one measurement: some give several. */
export type Figures = Partial<Readonly<Record<MetricId, number>>>

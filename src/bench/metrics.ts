// What is measured, and how a figure of it is written. Pure.

export type MetricId =
  | 'tcp1'
  | 'tcp8'
  | 'udp64'
  | 'udp1400'
  | 'pingP50'
  | 'pingP99'
  | 'pingP999'
  | 'connections'
  | 'cpuTcp1'
  | 'cpuTcp8'
  | 'processTcp1'
  | 'processTcp8'

export interface Metric {
  readonly id: MetricId
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly digits: number
}

export const METRICS: readonly Metric[] = [
  { id: 'tcp1', title: 'TCP, 1 stream', unit: 'Gbit/s', better: 'more', digits: 2 },
  { id: 'tcp8', title: 'TCP, 8 streams', unit: 'Gbit/s', better: 'more', digits: 2 },
  { id: 'udp64', title: 'UDP, 64 B payload', unit: 'kpps', better: 'more', digits: 1 },
  { id: 'udp1400', title: 'UDP, 1400 B payload', unit: 'kpps', better: 'more', digits: 1 },
  { id: 'pingP50', title: 'ping, p50', unit: 'us', better: 'less', digits: 0 },
  { id: 'pingP99', title: 'ping, p99', unit: 'us', better: 'less', digits: 0 },
  { id: 'pingP999', title: 'ping, p99.9', unit: 'us', better: 'less', digits: 0 },
  { id: 'connections', title: 'TCP connections', unit: '1/s', better: 'more', digits: 0 },
  { id: 'cpuTcp1', title: 'all CPU, TCP 1', unit: 'ns/byte', better: 'less', digits: 3 },
  { id: 'cpuTcp8', title: 'all CPU, TCP 8', unit: 'ns/byte', better: 'less', digits: 3 },
  { id: 'processTcp1', title: 'own CPU, TCP 1', unit: 'ns/byte', better: 'less', digits: 3 },
  { id: 'processTcp8', title: 'own CPU, TCP 8', unit: 'ns/byte', better: 'less', digits: 3 },
]

/** Of one measurement: some give several. */
export type Figures = Partial<Readonly<Record<MetricId, number>>>

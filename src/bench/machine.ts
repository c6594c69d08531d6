// The machine that a result belongs to.

import { arch, cpus, loadavg, release, totalmem } from 'node:os'
import { run } from '../linux/exec.ts'
import type { Machine } from './result.ts'

export async function describeMachine(): Promise<Machine> {
  const { stdout } = await run('iperf3', ['--version'])
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model.trim() || arch(),
    kernel: release(),
    node: process.versions.node,
    iperf3: /^iperf \S+/.exec(stdout)?.[0].replace('iperf ', 'iperf3 ') ?? 'iperf3',
    memoryGiB: totalmem() / 2 ** 30,
    loadAverage: loadavg(),
  }
}

// A further side: Open vSwitch's userspace datapath as the VTEP of each host, with daemons of its own.
//
//      h3 ── s3 ── over ── vx (VXLAN port)          under ── eth0 ── the lab's router
//       sandbox    bridge                            bridge, and the VTEP's address
//
// It reads interfaces by packet socket and wants checksums that are complete: sandboxes have `tx off`, so
// their superframes are cut before it sees them. All that it has on disk goes with the lab's directory.

import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../linux/exec.ts'
import { labPaths } from '../lab/state.ts'
import type { LabHost } from '../lab/topology.ts'
import type { Contestant } from './contestant.ts'
import { MTU } from './kernel-lab.ts'
import {
  addressBatch,
  inside,
  makePlainHosts,
  pathOf,
  sandboxBatch,
  settledPlace,
  startInside,
  untilItAnswers,
} from './plain-lab.ts'
import { inNetns } from './programs.ts'
import type { Underlay } from './result.ts'
import { ipBatch } from './underlay.ts'

export const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'

const VNI = 4097
const [NEAR_IP, FAR_IP] = ['10.0.1.11', '10.0.1.12']
const BRIDGE_MS = 10_000

export async function makeOvsLab(
  name: string,
  underlay: Underlay,
  signal: AbortSignal,
): Promise<Contestant> {
  const { near, far, boxes } = await makePlainHosts(name, underlay)
  const [nearBox, farBox] = boxes
  if (nearBox === undefined || farBox === undefined) throw new Error('boxes were planned')
  const ends = [
    { host: near, other: far, box: nearBox, ip: NEAR_IP },
    { host: far, other: near, box: farBox, ip: FAR_IP },
  ]
  const daemons: number[] = []
  for (const { host, other, box, ip } of ends) {
    signal.throwIfAborted()
    await ipBatch(sandboxBatch(host, box, 's'))
    await ipBatch({ netns: host.netns, lines: [`link set s mtu ${MTU} up`] })
    await ipBatch(addressBatch(box, ip, MTU))
    await inside(box, ['ethtool', '-K', 'eth0', 'tx', 'off'])
    daemons.push(await startSwitch(name, host, other, signal))
  }
  const from = await settledPlace(nearBox, NEAR_IP)
  await untilItAnswers('Open vSwitch', from, FAR_IP, signal)
  return {
    side: 'ovs',
    from,
    to: await settledPlace(farBox, FAR_IP),
    service: null,
    daemons,
    counters: null,
  }
}

/** Gives the pid of the process that moves frames. */
async function startSwitch(
  lab: string,
  host: LabHost,
  other: LabHost,
  signal: AbortSignal,
): Promise<number> {
  const dir = `${labPaths(lab).dir}/ovs-${host.name}`
  mkdirSync(dir)
  const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir }
  const db = `unix:${dir}/db.sock`
  await run('ovsdb-tool', ['create', `${dir}/conf.db`, SCHEMA], { env })
  const start = (log: string, argv: readonly string[]) =>
    startInside(host, argv, { output: `${dir}/${log}.out`, env })
  const listen = [`--remote=p${db}`, `--unixctl=${dir}/server.ctl`]
  await start('server', ['ovsdb-server', `${dir}/conf.db`, ...listen])
  const configure = async (...argv: readonly string[]): Promise<void> => {
    const { command, args } = inNetns(pathOf(host), [
      ...['ovs-vsctl', '--timeout=10', `--db=${db}`, ...argv],
    ])
    await run(command, args, { env, signal })
  }
  // It tries again until the database is there.
  await configure('--retry', '--no-wait', 'init')
  const datapath = await start('switch', [
    ...['ovs-vswitchd', db, '--disable-system', `--unixctl=${dir}/switch.ctl`],
  ])
  const bridge = (bridgeName: string) => [
    ...['--', 'add-br', bridgeName, '--', 'set', 'bridge', bridgeName, 'datapath_type=netdev'],
  ]
  await configure(
    ...[...bridge('under'), '--', 'add-port', 'under', 'eth0'],
    ...[...bridge('over'), '--', 'add-port', 'over', 's'],
    ...['--', 'add-port', 'over', 'vx', '--', 'set', 'interface', 'vx', 'type=vxlan'],
    ...[`options:remote_ip=${other.address}`, `options:local_ip=${host.address}`],
    ...[`options:key=${VNI}`, 'options:csum=true'],
  )
  await untilBridge(host, signal)
  await ipBatch({
    netns: host.netns,
    lines: [
      'addr flush dev eth0',
      `addr add ${host.address}/24 dev under`,
      'link set under up',
      `route add default via ${host.gateway}`,
    ],
  })
  return datapath
}

async function untilBridge(host: LabHost, signal: AbortSignal): Promise<void> {
  const end = Date.now() + BRIDGE_MS
  const show = ['-netns', host.netns, 'link', 'show', 'under']
  while ((await run('ip', show, { allowFailure: true, signal })).code !== 0) {
    if (Date.now() >= end) break
    await sleep(50)
  }
}

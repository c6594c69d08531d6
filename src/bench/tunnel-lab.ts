// Further sides: tunnels in userspace that are a host's own interface, nebula and wireguard-go. Both encrypt.
//
//      tun 10.0.1.11 ── daemon ── eth0 ── the lab's router ── eth0 ── daemon ── tun 10.0.1.12
//      h1                                                                       h2
//
// They carry IP, not Ethernet, and join hosts, not sandboxes: what measures runs on the hosts, one veth
// less at each end than with the others.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { run } from '../linux/exec.ts'
import { labPaths } from '../lab/state.ts'
import type { LabHost } from '../lab/topology.ts'
import type { Contestant } from './contestant.ts'
import { makePlainHosts, settledPlace, startInside, untilItAnswers } from './plain-lab.ts'
import type { Side, Underlay } from './result.ts'
import { ipBatch } from './underlay.ts'

/** What both suggest, less for IPv6 outside. */
export const TUNNEL_MTU = 1420

const [NEAR_IP, FAR_IP] = ['10.0.1.11', '10.0.1.12']
const NEBULA_PORT = 4242
const WIREGUARD_PORT = 51_820
const START_MS = 10_000

interface TunnelEnd {
  readonly host: LabHost
  readonly ip: string
  readonly other: { readonly host: LabHost; readonly ip: string }
  /** For keys, configuration and log. */
  readonly dir: string
}

export const makeNebulaLab = (
  name: string,
  underlay: Underlay,
  signal: AbortSignal,
): Promise<Contestant> =>
  makeTunnelLab('nebula', name, underlay, signal, async (ends) => {
    await nebulaKeys(ends)
    return await Promise.all(ends.map(startNebula))
  })

export const makeWireguardLab = (
  name: string,
  underlay: Underlay,
  signal: AbortSignal,
): Promise<Contestant> =>
  makeTunnelLab('wireguard-go', name, underlay, signal, (ends) => startWireguard(name, ends))

async function makeTunnelLab(
  side: Side,
  name: string,
  underlay: Underlay,
  signal: AbortSignal,
  start: (ends: readonly TunnelEnd[]) => Promise<number[]>,
): Promise<Contestant> {
  const { near, far } = await makePlainHosts(name, underlay)
  signal.throwIfAborted()
  const [here, there] = [
    { host: near, ip: NEAR_IP },
    { host: far, ip: FAR_IP },
  ]
  const dirOf = ({ name: host }: LabHost) => `${labPaths(name).dir}/${side}-${host}`
  const ends = [
    { ...here, other: there, dir: dirOf(near) },
    { ...there, other: here, dir: dirOf(far) },
  ]
  for (const { dir } of ends) mkdirSync(dir, { mode: 0o700 })
  const daemons = await start(ends)
  const from = await settledPlace(near, NEAR_IP)
  await untilItAnswers(side, from, FAR_IP, signal)
  const to = await settledPlace(far, FAR_IP)
  return { side, from, to, service: null, daemons, counters: null }
}

// --- nebula ---

async function nebulaKeys(ends: readonly TunnelEnd[]): Promise<void> {
  const ca = ends[0]?.dir ?? ''
  const files = ['-out-crt', `${ca}/ca.crt`, '-out-key', `${ca}/ca.key`]
  await run('nebula-cert', ['ca', '-name', 'weft bench', ...files])
  for (const { host, ip, dir } of ends) {
    await run('nebula-cert', [
      ...['sign', '-name', host.name, '-ip', `${ip}/24`],
      ...['-ca-crt', `${ca}/ca.crt`, '-ca-key', `${ca}/ca.key`],
      ...['-out-crt', `${dir}/host.crt`, '-out-key', `${dir}/host.key`],
    ])
    writeFileSync(`${dir}/nebula.yml`, nebulaConfig(ends, { dir, ca }))
  }
}

/** Each knows where the other is: no lighthouse. */
function nebulaConfig(
  ends: readonly TunnelEnd[],
  { dir, ca }: { dir: string; ca: string },
): string {
  const other = ends.find((end) => end.dir === dir)?.other
  const anything = [{ port: 'any', proto: 'any', host: 'any' }]
  // JSON is YAML.
  return JSON.stringify({
    pki: { ca: `${ca}/ca.crt`, cert: `${dir}/host.crt`, key: `${dir}/host.key` },
    static_host_map: { [other?.ip ?? '']: [`${other?.host.address ?? ''}:${NEBULA_PORT}`] },
    lighthouse: { am_lighthouse: false, hosts: [] },
    listen: { host: '0.0.0.0', port: NEBULA_PORT },
    tun: { dev: 'nebula', mtu: TUNNEL_MTU },
    logging: { level: 'warning', format: 'text' },
    firewall: { outbound: anything, inbound: anything },
  })
}

function startNebula({ host, dir }: TunnelEnd): Promise<number> {
  const argv = ['nebula', '-config', `${dir}/nebula.yml`]
  return startInside(host, argv, { output: `${dir}/nebula.log` })
}

// --- wireguard-go ---

/** Its control sockets have one directory for all namespaces: interfaces have names that only this lab has. */
function interfaceOf(lab: string, { host }: TunnelEnd): string {
  return `${lab}${host.name}`
}

async function startWireguard(lab: string, ends: readonly TunnelEnd[]): Promise<number[]> {
  const keys = new Map<string, string>()
  for (const { host, dir } of ends) {
    const { stdout: key } = await run('wg', ['genkey'])
    writeFileSync(`${dir}/key`, key, { mode: 0o600 })
    keys.set(host.name, (await run('wg', ['pubkey'], { input: key })).stdout.trim())
  }
  const pids: number[] = []
  for (const end of ends) {
    const { host, ip, other, dir } = end
    const device = interfaceOf(lab, end)
    const env = { ...process.env, LOG_LEVEL: 'error' }
    removeControlSocket(device)
    const argv = ['wireguard-go', '--foreground', device]
    pids.push(await startInside(host, argv, { output: `${dir}/wireguard.log`, env }))
    await untilExists(host, device)
    await run('wg', [
      ...['set', device, 'listen-port', String(WIREGUARD_PORT), 'private-key', `${dir}/key`],
      ...['peer', keys.get(other.host.name) ?? '', 'allowed-ips', `${other.ip}/32`],
      ...['endpoint', `${other.host.address}:${WIREGUARD_PORT}`],
    ])
    await ipBatch({
      netns: host.netns,
      lines: [`addr add ${ip}/24 dev ${device}`, `link set ${device} mtu ${TUNNEL_MTU} up`],
    })
  }
  return pids
}

/** What a daemon that was killed has left. */
export function removeControlSockets(lab: string): void {
  for (const host of ['h1', 'h2']) removeControlSocket(`${lab}${host}`)
}

function removeControlSocket(device: string): void {
  rmSync(`/var/run/wireguard/${device}.sock`, { force: true })
}

async function untilExists(host: LabHost, device: string): Promise<void> {
  // `wg show` needs the control socket, which comes after the interface.
  const end = Date.now() + START_MS
  while (Date.now() < end) {
    const { code } = await run('wg', ['show', device], { allowFailure: true })
    if (code === 0) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await run('ip', ['-netns', host.netns, 'link', 'show', device])
}

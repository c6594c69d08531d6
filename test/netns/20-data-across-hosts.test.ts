// What is sent arrives, all of it and unchanged: streams, datagrams, a gigabyte.
//
//      h1 172.31.1.11                                h2 192.168.1.12
//      │ c1 10.0.1.11                                │ c2 10.0.1.12      demo
//      │ a1 10.0.1.81                                │ r2 10.1.2.12      routed
//      │ r1 10.1.1.11                                │
//      └──── 172.31.1.1 ──────────── r ──────────────┴── 192.168.1.1

import type { Test } from 'tap'
import { eventually } from '../fixtures/commands.ts'
import { effort } from '../fixtures/effort.ts'
import { inLab, type Sandbox } from '../fixtures/lab.ts'

interface Iperf {
  readonly error?: string
  readonly end: {
    readonly sum_received?: { readonly bytes: number; readonly bits_per_second: number }
    readonly sum?: { readonly bytes: number; readonly packets: number; lost_percent: number }
    readonly streams?: readonly unknown[]
  }
}

/** scripts/soak-data sends more. */
const MEBIBYTES = Number(process.env['WEFT_SOAK_MEBIBYTES'] ?? effort(1024, 256))
/** What a machine that does much else takes for it. */
const TIMEOUT_MS = 30_000 + MEBIBYTES * 120

inLab('data across hosts', 2, async (t, lab) => {
  const [c1, a1, r1, c2, r2] = await Promise.all([
    lab.sandbox('h1', 'demo', 'c1'),
    lab.sandbox('h1', 'demo', 'a1'),
    lab.sandbox('h1', 'routed', 'r1'),
    lab.sandbox('h2', 'demo', 'c2'),
    lab.sandbox('h2', 'routed', 'r2'),
  ])

  const cases: readonly [string, Sandbox, Sandbox, ...string[]][] = [
    ['TCP', c1, c2],
    ['TCP, the other way', c1, c2, '--reverse'],
    ['8 streams of TCP', c1, c2, '--parallel', '8'],
    ['TCP within a host', c1, a1],
    ['TCP between two subnets', r1, r2],
  ]
  for (const [title, from, to, ...options] of cases) {
    await t.test(`iperf3 completes: ${title}`, async (t) => {
      const { error, end } = await iperf(from, to.ip, to, options)
      t.equal(error, undefined)
      t.ok((end.sum_received?.bytes ?? 0) > 1e6, mbits(end.sum_received?.bits_per_second))
      t.equal(end.streams?.length, options.includes('8') ? 8 : 1)
    })
  }

  await t.test('iperf3 completes: TCP by IPv6', async (t) => {
    const { error, end } = await iperf(c1, c2.ip6, c2, [])
    t.equal(error, undefined)
    t.ok((end.sum_received?.bytes ?? 0) > 1e6, mbits(end.sum_received?.bits_per_second))
  })

  await t.test('iperf3 completes: UDP', async (t) => {
    const { error, end } = await iperf(c1, c2.ip, c2, [
      '--udp',
      '--bitrate',
      '20M',
      '--bytes',
      '2M',
    ])
    t.equal(error, undefined)
    t.ok((end.sum?.bytes ?? 0) > 1e6, `${end.sum?.packets ?? 0} datagrams`)
    // Two cores for everything: some loss is the receiver's socket buffer, half of it would be ours.
    t.ok((end.sum?.lost_percent ?? 100) < 50, `${end.sum?.lost_percent.toFixed(2) ?? '?'} % lost`)
  })

  await t.test(`${MEBIBYTES} MiB sent over TCP have the sha256 that they had`, async (t) => {
    await bulk(t, c1, c2)
  })

  t.test('no host dropped a frame for a reason that is its own', async (t) => {
    for (const host of ['h1', 'h2']) {
      const counters = await lab.client(host).counters()
      const ours = /^(?:bad_offload|port_|too_big|handover_full|underlay_refused|gateway_malformed)/
      t.same(
        counters.filter(({ name, value }) => ours.test(name) && value > 0),
        [],
        host,
      )
    }
  })
})

async function iperf(
  from: Sandbox,
  address: string,
  to: Sandbox,
  options: readonly string[],
): Promise<Iperf> {
  const server = to.start(['iperf3', '--server', '--one-off'])
  await eventually(async () => (await to.ok('ss', '-Hltn')).includes(':5201'))
  const client = ['iperf3', '--client', address, '--json', '--bytes', '64M', ...options]
  const { stdout } = await from.run(client)
  await server.stop()
  return JSON.parse(stdout) as Iperf
}

/** AES of zeros: looks like noise, costs little, and is the same every time. */
async function bulk(t: Test, from: Sandbox, to: Sandbox): Promise<void> {
  const receive = to.start([
    'bash',
    '-c',
    'socat -u -b 131072 TCP4-LISTEN:9000,reuseaddr STDOUT | sha256sum',
  ])
  await eventually(async () => (await to.ok('ss', '-Hltn')).includes(':9000'))
  const send = `set -o pipefail
    key=$(printf %064d 7) iv=$(printf %032d 7)
    head -c ${MEBIBYTES}M /dev/zero | openssl enc -aes-256-ctr -K $key -iv $iv -nosalt |
      tee >(sha256sum >&2) | socat -u -b 131072 STDIN TCP4:${to.ip}:9000`
  const began = Date.now()
  const { code, stderr } = await from.run(['bash', '-c', send], { timeoutMs: TIMEOUT_MS })
  t.equal(code, 0)
  const { stdout } = await receive.ended
  const seconds = (Date.now() - began) / 1000
  const sum = /[0-9a-f]{64}/.exec(stderr)?.[0]
  t.match(sum, /^[0-9a-f]{64}$/)
  t.equal(/[0-9a-f]{64}/.exec(stdout)?.[0], sum, `after ${seconds.toFixed(1)} s`)
}

function mbits(bitsPerSecond = 0): string {
  return `${Math.round(bitsPerSecond / 1e6)} Mbit/s`
}

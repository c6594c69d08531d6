// Bulk data crosses in superframes, and nobody needs Node for it.
//
//      h1 ── r ── h2      a router without bridges: what is sent as one arrives as one
//      │ c1       │ c2
//
// Runs alone: transfers are compared. Figures are docs/benchmarks.md's; here are bounds that hold on a machine that does much else, and that a lane which has
// fallen back to single datagrams breaks tenfold.

import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { plainUnderlayBatches } from '../../src/bench/underlay.ts'
import { eventually, ok, run } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, type Sandbox } from '../fixtures/lab.ts'

const CHUNK = 65_536

inLab('superframes', 2, async (t, lab) => {
  const [c1, c2] = await Promise.all([
    lab.sandbox('h1', 'demo', 'c1'),
    lab.sandbox('h2', 'demo', 'c2'),
  ])
  for (const { netns, lines } of plainUnderlayBatches(lab.topology)) {
    if (netns === null) throw new Error('in a namespace')
    await ok(['ip', '-netns', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` })
  }
  await t.test('few system calls for much data, and no call from Node', (t) => bulk(t, lab, c1, c2))
  await t.test('JavaScript that hangs changes nothing', (t) => hang(t, lab, c1, c2))
  await t.test('idle CPUs stay awake while pings follow one another, and no longer', (t) =>
    awake(t, lab, c1, c2),
  )
})

async function bulk(t: Test, lab: Lab, c1: Sandbox, c2: Sandbox): Promise<void> {
  await transfer(lab, c1, c2, 1)
  const before = await counters(lab)
  const { gbits } = await transfer(lab, c1, c2, 3)
  const after = await counters(lab)
  const more = (host: string, name: string): number =>
    (after[host]?.[name] ?? 0) - (before[host]?.[name] ?? 0)
  const both = (name: string): number => more('h1', name) + more('h2', name)

  const chunks = more('h1', 'tap_rx_bytes') / CHUNK
  t.ok(chunks > 500, `${gbits.toFixed(2)} Gbit/s, ${chunks.toFixed(0)} times 64 KB`)
  const calls = both('system_calls') / chunks
  // A read, a send, a receive and a write, if each superframe had 64 KB and came alone; the waiting and the
  // acknowledgements come on top, less what is done at once.
  t.ok(
    calls <= 8,
    `${calls.toFixed(2)} system calls for 64 KB, both hosts together, acknowledgements too`,
  )
  const trains = more('h1', 'trains_sent') / more('h1', 'superframes_cut')
  t.ok(
    trains < 1.1,
    `${trains.toFixed(3)} sends for a superframe: what a sandbox sends at once fits one`,
  )
  const joined = more('h2', 'tap_tx_bytes') / more('h2', 'tap_tx_frames')
  t.ok(joined > CHUNK / 2, `${joined.toFixed(0)} bytes in a write`)
  // Asking for the counters, timers of the daemon: not one for a thousand frames.
  const frames = more('h1', 'underlay_tx_datagrams')
  t.ok(both('node_calls') < frames / 1000, `${both('node_calls')} calls for ${frames} packets`)
}

/** What the kernel is asked for by all together: how late an idle CPU may be, in us. */
const LATENCY = '/dev/cpu_dma_latency'

async function awake(t: Test, lab: Lab, c1: Sandbox, c2: Sandbox): Promise<void> {
  const askedUs = () => readFileSync(LATENCY).readInt32LE()
  if (!existsSync(LATENCY) || askedUs() === 0) {
    t.pass(`${LATENCY} is not there, or others keep CPUs awake`)
    return
  }
  const ping = c1.start(['ping', '-A', '-q', '-w', '2', c2.ip])
  await eventually(() => askedUs() === 0, 2000, 'a request to stay awake')
  await ping.ended
  await eventually(() => askedUs() !== 0, 1000, 'its end')
  await run(inNetns(c1.netns, ['ping', '-i', '0.1', '-c', '5', c2.ip]))
  t.not(askedUs(), 0, 'packets that are far apart keep nothing awake')
  const stretches = (await counters(lab))['h1']?.['awake_stretches'] ?? 0
  t.ok(stretches > 0, `${stretches} stretches`)
}

async function hang(t: Test, lab: Lab, c1: Sandbox, c2: Sandbox): Promise<void> {
  const undisturbed = await transfer(lab, c1, c2, 2)
  await Promise.all(lab.topology.hosts.map(({ name }) => hangDaemon(lab, name)))
  const asked = Date.now()
  const answered = Promise.all(
    lab.topology.hosts.map(async ({ name }) => {
      await lab.client(name).status()
      return Date.now() - asked
    }),
  )
  const { stdout } = await run(inNetns(c1.netns, ['ping', '-c', '100', '-i', '0.01', c2.ip]))
  t.match(stdout, / 0% packet loss/, 'nothing is lost meanwhile')
  const disturbed = await transfer(lab, c1, c2, 2)
  const took = Date.now() - asked
  const silent = Math.min(...(await answered))
  t.ok(silent > took - 100, `${took} ms, and the daemons answered nothing for ${silent}`)
  const share = disturbed.gbits / undisturbed.gbits
  // Others use this machine as well: undisturbed pairs differ by as much as a factor of two.
  const both = `${undisturbed.gbits.toFixed(2)} Gbit/s before, ${disturbed.gbits.toFixed(2)} meanwhile`
  t.ok(share > 0.4, both)
}

/** Two transfers long, and what begins and ends them. */
const HANG_MS = 6000
/** Until it hangs: the debugger has gone by then. */
const AFTER_MS = 300

/** Has a daemon's JavaScript do nothing but wait, by Node's own debugger. Returns when it does. */
async function hangDaemon(lab: Lab, host: string): Promise<void> {
  process.kill(lab.daemonPid(host), 'SIGUSR1')
  await sleep(500)
  // Asleep, not busy: the CPUs are the transfer's as before.
  const wait = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${HANG_MS})`
  const debug = lab.start(host, [process.execPath, 'inspect', '127.0.0.1:9229'])
  await debug.until(/debug>/)
  debug.write(`exec("setTimeout(() => { ${wait} }, ${AFTER_MS}), 'it' + ' will'")\n`)
  await debug.until(/it will/)
  debug.end('.exit\n')
  await sleep(AFTER_MS)
}

async function transfer(
  lab: Lab,
  from: Sandbox,
  to: Sandbox,
  seconds: number,
): Promise<{ gbits: number }> {
  const server = lab.start(to.netns, ['iperf3', '--server', '--one-off', '--forceflush'])
  await server.until(/listening/)
  const options = ['--json', '--time', String(seconds), '--length', '1M', '--congestion', 'cubic']
  const { stdout } = await run(inNetns(from.netns, ['iperf3', '--client', to.ip, ...options]))
  await server.ended
  const report = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } }
  return { gbits: report.end.sum_received.bits_per_second / 1e9 }
}

async function counters(lab: Lab): Promise<Record<string, Record<string, number>>> {
  const all = await Promise.all(
    lab.topology.hosts.map(async ({ name }) => {
      const list = await lab.client(name).counters()
      return [name, Object.fromEntries(list.map(({ name, value }) => [name, value]))] as const
    }),
  )
  return Object.fromEntries(all)
}

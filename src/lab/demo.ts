// The main job, shown: hosts, a network over them, packets between them, and what moved them.
//
// Every command is told as it would be typed, with what it printed, so that it can be repeated by
// hand in a lab of one's own (`weft lab up`).

import { setTimeout as sleep } from 'node:timers/promises'
import { type RunResult, run } from '../linux/exec.ts'
import { clientOf } from './daemons.ts'
import type { LabContext } from './events.ts'
import { endpointsOf } from './facts.ts'
import { down, up } from './lab.ts'
import {
  formatMatrix,
  type Pair,
  pairsOf,
  parseIperf,
  parsePing,
  parseTraceroute,
  type PingResult,
} from './measurements.ts'
import { WEFT } from '../programs.ts'
import { nodeEnvironment, onNode } from './programs.ts'
import { DEFAULT_HOSTS, DEFAULT_LAB, type LabHost, type Topology } from './topology.ts'

export interface DemoOptions {
  readonly name: string
  readonly hosts: number
  readonly keep: boolean
}

const COMMAND_MS = 30_000
const NOT_FOUND = 127
const PINGS_AT_ONCE = 4
/** What has just been started is behind its service, and what was killed is not: within a moment. */
const SERVED_MS = 5_000
const POLL_MS = 100
const NO_CURL: RunResult = { code: NOT_FOUND, stdout: '', stderr: '' }

/** Shows it. Gives whether everything that was to be seen was seen. */
export async function demo(options: DemoOptions, context: LabContext): Promise<boolean> {
  const { name, hosts, keep } = options
  context.report({ kind: 'heading', text: `A lab: ${hosts} hosts, two subnets, a router` })
  const upArgv = ['weft', 'lab', 'up', ...nameOption(name)]
  context.report({
    kind: 'command',
    argv: hosts === DEFAULT_HOSTS ? upArgv : [...upArgv, '--hosts', String(hosts)],
  })
  const topology = await up(name, hosts, context)
  const show = new Demo(topology, context)
  try {
    await show.all()
  } catch (error) {
    // --keep is for a lab that can be looked at, not for one that was interrupted.
    if (!keep || context.signal.aborted) await down(name)
    throw error
  }
  if (keep) {
    show.tellWhatToTry()
  } else {
    context.report({ kind: 'heading', text: 'Cleaning up' })
    context.report({ kind: 'command', argv: ['weft', 'lab', 'down', ...nameOption(name)] })
    await down(name)
    context.report({ kind: 'note', text: 'no namespace, no process, no file is left' })
  }
  return show.succeeded
}

function nameOption(name: string): string[] {
  return name === DEFAULT_LAB ? [] : ['--name', name]
}

class Demo {
  succeeded = true
  readonly #topology: Topology
  readonly #context: LabContext

  constructor(topology: Topology, context: LabContext) {
    this.#topology = topology
    this.#context = context
  }

  async all(): Promise<void> {
    await this.#cluster()
    await this.#startProcesses()
    await this.#pingAllPairs()
    await this.#names()
    await this.#service()
    await this.#mtu()
    await this.#path()
    await this.#throughput()
    await this.#counters()
    await this.#tables()
  }

  async #cluster(): Promise<void> {
    this.#heading('The hosts have found each other: no leader, no store, each knows them all')
    const argv = ['weft', 'node', 'ls']
    const result = await this.#run(this.#host(1), argv)
    this.#show(this.#host(1), argv, result)
    const { length } = this.#topology.hosts
    const ready = [...result.stdout.matchAll(/ Ready /g)].length
    this.#verdict(ready === length, `${ready} of ${length} hosts are ready`)
  }

  async #startProcesses(): Promise<void> {
    this.#heading("A process on each host, in a sandbox of its own, on the network 'demo'")
    const started = await Promise.all(
      this.#topology.hosts.map(async (host, index) => {
        const command = ['run', '-d', '--network', 'demo', '--name', `c${index + 1}`]
        const argv = ['weft', ...command, '--', 'sleep', 'infinity']
        return { host, argv, result: await this.#run(host, argv) }
      }),
    )
    for (const { host, argv, result } of started) this.#show(host, argv, result)
    const running = started.every(({ result }) => result.code === 0)
    this.#verdict(running, `${started.length} sandboxes on ${started.length} hosts`)
  }

  async #pingAllPairs(): Promise<void> {
    this.#heading('Ping, every one to every other')
    const pairs = pairsOf(this.#topology.hosts.length)
    const results: (Pair & { ping: PingResult | null })[] = []
    for (let at = 0; at < pairs.length; at += PINGS_AT_ONCE) {
      const told = await Promise.all(
        pairs.slice(at, at + PINGS_AT_ONCE).map(async (pair) => ({
          pair,
          ...(await this.#keep(pair.from, ['ping', '-c', '3', '-i', '0.2', addressOf(pair.to)])),
        })),
      )
      for (const { pair, host, argv, result } of told) {
        // One in full to see what it looks like; the others are in the matrix.
        if (results.length === 0) this.#show(host, argv, result)
        else this.#command(host, argv)
        results.push({ ...pair, ping: parsePing(result.stdout) })
      }
    }
    this.#context.report({
      kind: 'output',
      text: formatMatrix(this.#topology.hosts.length, results),
    })
    const lossless = results.every(({ ping }) => ping?.lossPercent === 0)
    const near = results.every(({ ping }) => ping?.ttl === 64)
    this.#verdict(lossless, `${results.length} pairs, ${lossless ? '0% loss' : 'with loss'}`)
    this.#verdict(near, 'ttl 64: hosts of one network are neighbours, whatever lies between')
  }

  async #names(): Promise<void> {
    this.#heading('They know each other by name: a resolver at 127.0.0.11 in each sandbox')
    const { host, argv, result } = await this.#keep(1, ['getent', 'ahostsv4', 'c2'])
    if (this.#missing(result, 'getent')) return
    this.#show(host, argv, result)
    this.#verdict(result.stdout.startsWith(`${addressOf(2)} `), `c2 is ${addressOf(2)}`)
  }

  async #service(): Promise<void> {
    this.#heading('A service: one name and address, two processes behind it on two hosts, in turns')
    const create = ['weft', 'service', 'create', '--name', 'web', '--network', 'demo']
    const created = await this.#run(this.#host(1), create)
    this.#show(this.#host(1), create, created)
    for (const number of [1, 2]) {
      const run = ['weft', 'run', '-d', '--network', 'demo', '--service', 'web']
      const argv = [...run, '--name', `b${number}`, '--', 'python3', '-c', webServer(`b${number}`)]
      this.#show(this.#host(number), argv, await this.#run(this.#host(number), argv))
    }
    const dig = await this.#keep(3, ['dig', '+short', 'web'])
    if (this.#missing(dig.result, 'dig')) return
    this.#show(dig.host, dig.argv, dig.result)
    const vip = dig.result.stdout.trim()
    this.#verdict(created.code === 0 && /^10\.0\.1\.\d+$/.test(vip), `web is ${vip}`)

    await this.#untilServed(['b1', 'b2'])
    const before = await this.#curl()
    if (before === null) return
    const inTurn = before.every((name, index) => name === before[index % 2])
    this.#verdict(inTurn && new Set(before).size === 2, 'strictly in turn')
    const lb = ['weft', 'lb', 'ls']
    this.#show(this.#host(3), lb, await this.#run(this.#host(3), lb))

    const { State } = await clientOf(this.#host(2), COMMAND_MS).inspectSandbox('b2')
    const kill = ['kill', '-9', String(State.Pid)]
    this.#show(this.#host(2), kill, await this.#run(this.#host(2), kill))
    await this.#untilServed(['b1'])
    const after = await this.#curl()
    const gone = after?.every((name) => name === 'b1') ?? false
    this.#verdict(gone, 'b2 was killed: it gets nothing any more, and nobody waits for it')
  }

  /** What four requests from c3 are answered; null: curl is not there. */
  async #curl(): Promise<string[] | null> {
    const loop = 'for i in 1 2 3 4; do curl -s -m 5 http://web || echo failed; done'
    const { host, argv, result } = await this.#keep(3, ['sh', '-c', loop])
    if (this.#missing(result.stderr.includes('not found') ? NO_CURL : result, 'curl')) return null
    this.#show(host, argv, result)
    return result.stdout.trim().split('\n')
  }

  /** Until these are behind web, by h3's data plane, and each of them listens. */
  async #untilServed(names: readonly string[]): Promise<void> {
    const client = clientOf(this.#host(3), COMMAND_MS)
    const probe = `for n in ${names.join(' ')}; do curl -s -m 1 http://$n || exit 1; done`
    for (const end = Date.now() + SERVED_MS; Date.now() < end; ) {
      await sleep(POLL_MS)
      const row = (await client.lb()).find(({ service }) => service === 'web')
      const there = row?.backends.map(({ endpoint }) => endpoint).toSorted() ?? []
      if (there.join() !== names.join()) continue
      if ((await this.#keep(3, ['sh', '-c', probe])).result.code === 0) return
    }
  }

  async #mtu(): Promise<void> {
    this.#heading(
      'The overlay carries 1450 bytes: 1500 of the underlay without VXLAN and its headers',
    )
    const [fits, tooBig] = await Promise.all(
      ['1422', '1423'].map((size) =>
        this.#keep(1, ['ping', '-M', 'do', '-c', '1', '-s', size, addressOf(2)]),
      ),
    )
    for (const one of [fits, tooBig]) {
      if (one !== undefined) this.#show(one.host, one.argv, one.result)
    }
    this.#verdict(fits?.result.code === 0, '1422 bytes + 28 of headers pass unfragmented')
    this.#verdict(tooBig?.result.code !== 0, 'one byte more is refused, not lost')
  }

  async #path(): Promise<void> {
    this.#heading('The way there')
    const { host, argv, result } = await this.#keep(1, [
      // One at a time: of sixteen at once the far kernel answers six (icmp_ratelimit), and none for some seconds.
      ...['traceroute', '-n', '-q', '1', '-N', '1', '-w', '2'],
      addressOf(2),
    ])
    if (this.#missing(result, 'traceroute')) return
    this.#show(host, argv, result)
    const hops = parseTraceroute(result.stdout)
    this.#verdict(hops.length === 1 && hops[0] === addressOf(2), 'one hop')
  }

  async #throughput(): Promise<void> {
    this.#heading('TCP between two hosts')
    const server = [
      'weft',
      'run',
      '-d',
      '--network',
      'demo',
      '--name',
      'a1',
      '--',
      'iperf3',
      '-s',
      '-1',
    ]
    const started = await this.#run(this.#host(1), server)
    if (this.#missing(started, 'iperf3')) return
    this.#show(this.#host(1), server, started)
    const client = await this.#throughputClient()
    if (this.#missing(client.result, 'iperf3')) return
    this.#show(client.host, client.argv, client.result)
    const rate = parseIperf(client.result.stdout)
    this.#verdict(rate !== null, rate === null ? 'iperf3 did not finish' : `${rate} received`)
  }

  /** The server needs a moment until it listens. */
  async #throughputClient(): Promise<Told> {
    const argv = ['iperf3', '-c', endpointAddress(1, 'a1'), '-t', '3']
    let last = await this.#keep(2, argv)
    for (let attempt = 0; attempt < 3 && /refused/.test(last.result.stderr); attempt++) {
      await sleep(300)
      last = await this.#keep(2, argv)
    }
    return last
  }

  async #counters(): Promise<void> {
    this.#heading('What moved them: no kernel VXLAN device, but the daemon')
    const kernel = ['ip', '-d', 'link', 'show', 'type', 'vxlan']
    const links = await this.#run(this.#host(1), kernel)
    this.#show(this.#host(1), kernel, links)
    const argv = ['weft', 'status']
    this.#show(this.#host(1), argv, await this.#run(this.#host(1), argv))
    const client = clientOf(this.#host(1), COMMAND_MS)
    const { counters, vxlanPort } = await client.status()
    const sent = counters['underlay_tx_datagrams'] ?? 0
    const answered = counters['arp_answered'] ?? 0
    this.#verdict(sent > 0, `${sent} VXLAN datagrams sent by h1 to UDP port ${vxlanPort}`)
    this.#verdict(answered > 0, `${answered} ARP requests answered where they were asked, on h1`)
    const drops = (await client.counters()).filter((row) => row.kind === 'drop' && row.value > 0)
    this.#context.report({
      kind: 'note',
      text:
        drops.length === 0
          ? 'no frame was dropped'
          : `dropped: ${drops.map((row) => `${row.value} ${row.name} (${row.text})`).join(', ')}`,
    })
  }

  async #tables(): Promise<void> {
    this.#heading('What h1 knows: behind which host is which MAC')
    const argv = ['weft', 'fdb', 'ls', '--network', 'demo']
    const result = await this.#run(this.#host(1), argv)
    this.#show(this.#host(1), argv, result)
    const vtep = this.#host(2).address
    this.#verdict(result.stdout.includes(vtep), `c2 is behind ${vtep}`)
  }

  tellWhatToTry(): void {
    this.#heading('The lab is yours; try')
    for (const argv of [
      this.#typed(this.#host(1), ['weft', 'ps']),
      this.#typed(this.#host(1), ['weft', 'exec', 'c1', '--', 'bash']),
      this.#typed(this.#host(2), ['weft', 'neigh', 'ls']),
      ['weft', 'lab', 'kill', ...nameOption(this.#topology.name), 'h1'],
      ['weft', 'lab', 'restart', ...nameOption(this.#topology.name), 'h1'],
      ['weft', 'lab', 'down', ...nameOption(this.#topology.name)],
    ]) {
      this.#context.report({ kind: 'command', argv })
    }
  }

  // --- running and telling ---

  /** Runs a command in the sandbox c<number>, to be shown later. */
  async #keep(number: number, argv: readonly string[]): Promise<Told> {
    const host = this.#host(number)
    const whole = inSandbox(number, argv)
    return { host, argv: whole, result: await this.#run(host, whole) }
  }

  #run(host: LabHost, argv: readonly string[]): Promise<RunResult> {
    this.#context.signal.throwIfAborted()
    const real = argv[0] === 'weft' ? [...WEFT, ...argv.slice(1)] : argv
    const { command, args } = onNode(host, real)
    return run(command, args, {
      allowFailure: true,
      timeoutMs: COMMAND_MS,
      // The formats that we read back are the C locale's.
      env: { ...nodeEnvironment(process.env), LC_ALL: 'C' },
    })
  }

  #typed(host: LabHost, argv: readonly string[]): string[] {
    return ['weft', 'lab', 'exec', ...nameOption(this.#topology.name), host.name, '--', ...argv]
  }

  #command(host: LabHost, argv: readonly string[]): void {
    this.#context.report({ kind: 'command', argv: this.#typed(host, argv) })
  }

  #show(host: LabHost, argv: readonly string[], result: RunResult): void {
    this.#command(host, argv)
    this.#context.report({ kind: 'output', text: result.stdout + result.stderr })
  }

  #heading(text: string): void {
    this.#context.signal.throwIfAborted()
    this.#context.report({ kind: 'heading', text })
  }

  #verdict(ok: boolean, text: string): void {
    if (!ok) this.succeeded = false
    this.#context.report({ kind: 'verdict', ok, text })
  }

  /** A tool that is not there is not the network's fault. */
  #missing(result: RunResult, tool: string): boolean {
    if (result.code !== NOT_FOUND) return false
    const text = `${tool} is not installed, this part is left out (apt-get install ${tool})`
    this.#context.report({ kind: 'note', text })
    return true
  }

  #host(number: number): LabHost {
    const host = this.#topology.hosts[number - 1]
    if (host === undefined) throw new Error(`no host ${number}`)
    return host
  }
}

interface Told {
  readonly host: LabHost
  readonly argv: readonly string[]
  readonly result: RunResult
}

/** A web server that says its name: in double quotes, so that a shell takes it in single ones. */
function webServer(name: string): string {
  const answer = `"do_GET": lambda s: (s.send_response(200), s.end_headers(), s.wfile.write(b"${name}\\n"))`
  const handler = `type("H", (BaseHTTPRequestHandler,), {${answer}})`
  return `from http.server import *; HTTPServer(("", 80), ${handler}).serve_forever()`
}

function inSandbox(number: number, argv: readonly string[]): string[] {
  return ['weft', 'exec', `c${number}`, '--', ...argv]
}

function addressOf(number: number): string {
  return endpointAddress(number, `c${number}`)
}

function endpointAddress(number: number, name: string): string {
  return endpointsOf(number).find((endpoint) => endpoint.name === name)?.ip ?? ''
}

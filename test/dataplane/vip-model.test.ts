// The core against a model of NAT and conntrack (fixtures/nat-model.ts): random packets, backends that change, time that passes.
// Both must agree on each packet, and on all flows that there are.
//
// Few addresses and ports, so that flows meet: WEFT_NAT_PACKETS=1000000 for a long run.

import t from 'tap'
import type { InjectedOne } from '../../src/dataplane/binding.ts'
import type { NativeOffload } from '../../src/dataplane/binding-types.ts'
import type { BackendState } from '../../src/dataplane/rows.ts'
import { type Decoded, decode } from '../fixtures/decode-frame.ts'
import { effort } from '../fixtures/effort.ts'
import {
  type Packet,
  type TcpFlag,
  type Transport,
  concat,
  ethernet,
  icmp,
  icmp6,
  ipv4,
  ipv6,
  pattern,
  tcp,
  udp,
  vxlan,
} from '../fixtures/frames.ts'
import {
  type Ends,
  type ModelPacket,
  type ModelService,
  NatModel,
  TCP,
  UDP,
  original,
  translated,
  written,
  writtenError,
} from '../fixtures/nat-model.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { ENDPOINTS, Switchboard } from '../fixtures/switchboard.ts'
import { enableServices, putService, removeService } from '../fixtures/vips.ts'

const PACKETS = Number(process.env['WEFT_NAT_PACKETS'] ?? effort(1_000_000, 30_000))
const PER_BOARD = 4_000
const CAPACITY = 256

const { a, b, c } = ENDPOINTS
const PLACES = { a, b, c } as const
type Name = keyof typeof PLACES
const NAMES = ['a', 'b', 'c'] as const
const FLAGS: readonly (readonly TcpFlag[])[] = [
  ['syn'],
  ['syn'],
  ['syn'],
  ['ack'],
  ['ack', 'psh'],
  ['fin', 'ack'],
  ['rst'],
  ['rst', 'ack'],
  ['syn', 'ack'],
]
const BIT: Readonly<Record<TcpFlag, number>> = {
  fin: 1,
  syn: 2,
  rst: 4,
  psh: 8,
  ack: 16,
  urg: 32,
  ece: 64,
  cwr: 128,
}

/** A world of one family: two VIPs, or three, with the same backends. */
class World {
  readonly board = new Switchboard(undefined, 'h1', { flows: CAPACITY })
  readonly model: NatModel
  readonly #random: Random
  readonly #six: boolean
  readonly #vips: readonly string[]
  readonly #services = new Map<string, ModelService>()
  readonly #clientPorts: number
  readonly #crowded: boolean

  /** Crowded: more flows than there is room for, and little time for them to end. */
  constructor(random: Random, crowded: boolean) {
    this.#random = random
    this.#crowded = crowded
    this.#six = random.once(3)
    this.#clientPorts = this.#crowded ? 2000 : random.pick([6, 200])
    this.#vips = this.#six
      ? ['fd57:1::c8', 'fd57:1::c9']
      : ['10.0.1.200', '10.0.1.201', '10.0.1.202']
    this.model = new NatModel(CAPACITY, [this.ipOf('a'), this.ipOf('b')])
    this.model.now = Number(this.board.nowNs) / 1e9
    enableServices(this.board.dataplane)
    for (const vip of this.#vips) this.#change(vip)
  }

  ipOf(name: Name): string {
    return this.#six ? PLACES[name].ip6 : PLACES[name].ip
  }

  /** One thing happens; what is wrong with it, or null. */
  step(): string | null {
    switch (this.#random.below(20)) {
      case 0:
        this.#wait()
        return null
      case 1:
        return this.#tick()
      case 2:
        if (this.#random.once(8)) this.#change(this.#random.pick(this.#vips))
        return null
      case 3:
        return this.#errorSent()
      case 4:
        return this.#errorCame()
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
        return this.#answer()
      case 11:
        return this.#direct()
      default:
        return this.#send()
    }
  }

  /** What the core and the model have of flows, differently; null: nothing. */
  difference(): string | null {
    const here = this.model.flows.map((flow) =>
      [
        flow.protocol,
        flow.state,
        written(original(flow)),
        written(translated(flow)),
        flow.used,
      ].join(' '),
    )
    const core = this.board.dataplane.flowEntries().flows.map((flow) => {
      const ends = {
        source: flow.client,
        sourcePort: flow.clientPort,
        destination: flow.vip,
        destinationPort: flow.vipPort,
      }
      const seen = {
        source: flow.source,
        sourcePort: flow.sourcePort,
        destination: flow.backend,
        destinationPort: flow.backendPort,
      }
      return [
        flow.protocol === 'tcp' ? TCP : UDP,
        flow.state,
        written(ends),
        written(seen),
        Number(flow.usedNs) / 1e9,
      ].join(' ')
    })
    const [one, other] = [here.sort().join('\n'), core.sort().join('\n')]
    if (one !== other) return `model:\n${one}\ncore:\n${other}`
    for (const { service, backends } of this.board.dataplane.serviceEntries()) {
      for (const { ip, active } of backends) {
        const wanted = this.model.active(service, ip)
        if (active !== wanted) return `${active} of service ${service} on ${ip}, not ${wanted}`
      }
    }
    const evicted = this.board.counters()['vip_flows_evicted']
    return evicted === this.model.evicted ? null : `${evicted} evicted, not ${this.model.evicted}`
  }

  #wait(): void {
    const seconds = this.#crowded
      ? this.#random.pick([0, 0.25])
      : this.#random.pick([0.25, 0.5, 1, 1, 4, this.#random.below(70)])
    this.model.now += seconds
    this.board.nowNs = BigInt(Math.round(this.model.now * 1e9))
  }

  #tick(): string | null {
    const asked = this.model.tick()
    const came = this.board.tick().map(({ bytes }) => endsOf(decode(bytes), 'tcp'))
    const [one, other] = [asked.sort().join(), came.sort().join()]
    return one === other ? null : `asked: ${other}, not ${one}`
  }

  #change(vip: string): void {
    const random = this.#random
    if (this.#services.has(vip) && random.once(6)) {
      this.#services.delete(vip)
      this.model.remove(vip)
      removeService(this.board.dataplane, { vip })
      return
    }
    const state = (): BackendState =>
      random.once(3) ? random.pick(['draining', 'dead', 'lost'] as const) : 'healthy'
    const service: ModelService = {
      vip,
      // The last two share theirs, as two VIPs of one service do.
      service: 77 + Math.min(1, this.#vips.indexOf(vip)),
      scheduler: random.pick(['rr', 'rr', 'lc', 'sh', 'maglev'] as const),
      mapped: random.once(2) ? new Map([[8000, 80]]) : new Map(),
      backends: random
        .shuffled(NAMES)
        .slice(0, 1 + random.below(3))
        .map((name) => ({
          ip: this.ipOf(name),
          weight: random.pick([0, 1, 1, 1, 2, 3]),
          state: state(),
        })),
    }
    this.#services.set(vip, service)
    this.model.put(service)
    putService(this.board.dataplane, {
      ...service,
      ports: [...service.mapped].map(([port, target]) => ({ protocol: TCP, port, target })),
    })
  }

  /** Of what there is, a flow; else none. */
  #flow(): NatModel['flows'][number] | undefined {
    const { flows } = this.model
    return flows.length === 0 ? undefined : this.#random.pick(flows)
  }

  #send(): string | null {
    const random = this.#random
    const known = this.#flow()
    const ends: Ends =
      known !== undefined && random.once(this.#crowded ? 5 : 2)
        ? original(known)
        : {
            source: this.ipOf(random.pick(['a', 'b'] as const)),
            // Some are ports of VIPs, too: what a backend that reaches itself sends may look like either.
            sourcePort: random.once(20) ? 80 : 5000 + random.below(this.#clientPorts),
            destination: random.pick(this.#vips),
            destinationPort: random.pick([
              80,
              80,
              8000,
              53,
              5000 + random.below(this.#clientPorts),
            ]),
          }
    return this.#from(ends, known?.protocol)
  }

  #direct(): string | null {
    const source = this.#random.pick(['a', 'b'] as const)
    const to = this.#random.pick(NAMES.filter((name) => name !== source))
    return this.#from({
      source: this.ipOf(source),
      sourcePort: this.#random.pick([80, 5000 + this.#random.below(this.#clientPorts)]),
      destination: this.ipOf(to),
      destinationPort: this.#random.pick([80, 5000 + this.#random.below(this.#clientPorts)]),
    })
  }

  /** A backend answers; one on this host by from(), c by a datagram. */
  #answer(): string | null {
    const known = this.#flow()
    if (known === undefined) return null
    const reply = backwards(translated(known))
    if (reply.source !== this.ipOf('c')) return this.#from(reply, known.protocol)
    const packet = this.#packet(reply, known.protocol)
    const wanted = this.model.came(packet)
    return this.#compare(
      packet,
      this.#inject(c.mac, this.#macOf(reply.destination), this.#build(packet)),
      wanted,
    )
  }

  /** An endpoint of this host sends; its kernel leaves the checksum to the offload as often as not. */
  #from(ends: Ends, protocol?: number): string | null {
    const packet = this.#packet(ends, protocol)
    const partial = this.#random.once(2)
    const wanted = this.model.sent(packet)
    const [from, to] = [this.#macOf(ends.source), this.#macOf(ends.destination)]
    const result = this.#inject(from, to, this.#build(packet, partial), {
      needsChecksum: partial,
      checksumStart: this.#six ? 54 : 34,
      checksumOffset: packet.protocol === TCP ? 16 : 6,
    })
    return this.#compare(packet, result, wanted)
  }

  #packet(ends: Ends, protocol = this.#random.pick([TCP, TCP, UDP])): ModelPacket {
    const flags = protocol === TCP ? this.#random.pick(FLAGS) : []
    return { ...ends, protocol, flags: flags.reduce((all, flag) => all | BIT[flag], 0) }
  }

  #build(packet: ModelPacket, partial = false): Packet {
    const { protocol, flags: bits, sourcePort: from, destinationPort: to, ...ends } = packet
    const flags = (Object.keys(BIT) as TcpFlag[]).filter((flag) => (bits & BIT[flag]) !== 0)
    const payload = pattern(this.#random.below(40), from)
    const checksum = partial ? 'partial' : 'good'
    return this.#wrap(
      ends,
      protocol === UDP
        ? udp({ from, to, checksum }, payload)
        : tcp({ from, to, flags, acknowledgement: 4711, checksum }, payload),
    )
  }

  #wrap(
    { source, destination }: Pick<Ends, 'source' | 'destination'>,
    transport: Transport,
  ): Packet {
    const ends = { from: source, to: destination }
    return this.#six
      ? ipv6(ends, transport)
      : ipv4({ ...ends, id: this.#random.below(65536) }, transport)
  }

  #macOf(ip: string): string {
    const name = NAMES.find((each) => this.ipOf(each) === ip)
    return name === undefined ? '02:42:0a:00:01:c8' : PLACES[name].mac
  }

  #inject(
    from: string,
    to: string,
    packet: Packet,
    offload: Partial<NativeOffload> = {},
  ): InjectedOne {
    const frame = ethernet({ from, to }, packet)
    const { dataplane, nowNs } = this.board
    if (from === c.mac)
      return dataplane.injectFromUnderlay(
        this.board.vtepOf('h2'),
        vxlan({ vni: 4097 }, frame),
        nowNs,
      )
    return dataplane.injectFromPort(
      this.board.portOf(from === a.mac ? 'a' : 'b'),
      frame,
      offload,
      nowNs,
    )
  }

  /** An error about a packet of these ends, with as much of it as is quoted. */
  #error(from: string, to: string, protocol: number, quoted: Ends): Packet {
    const about = this.#build({ ...quoted, protocol, flags: BIT.ack }).bytes
    const part = about.subarray(0, this.#random.pick([(this.#six ? 40 : 20) + 8, 1000]))
    const [type, code] = this.#six ? [1, 4] : [3, 3]
    return this.#wrap(
      { source: from, destination: to },
      (this.#six ? icmp6 : icmp)({ type: type, code: code }, part),
    )
  }

  #errorSent(): string | null {
    const known = this.#flow()
    const client = known?.client ?? this.ipOf('a')
    const vip = known?.vip ?? this.#vips[0]!
    const other = { source: vip, sourcePort: 80, destination: client, destinationPort: 9 }
    const picked = known === undefined || this.#random.once(8) ? other : backwards(original(known))
    // A backend that has reached itself has got this from the VIP.
    const quoted = known?.source === vip && this.#random.once(2) ? translated(known) : picked
    const protocol = known?.protocol ?? UDP
    const wanted = this.model.errorSent(client, vip, protocol, quoted)
    const result = this.#inject(
      this.#macOf(client),
      this.#macOf(vip),
      this.#error(client, vip, protocol, quoted),
    )
    if (result.verdict.action === 'drop')
      return this.#expect(wanted, result.verdict.counter ?? '', result)
    const problems = result.outputs.map((output) => errorOf(output))
    return (
      problems.map((line) => this.#expect(wanted, line, result)).find((line) => line !== null) ??
      null
    )
  }

  #errorCame(): string | null {
    const known = this.#flow()
    if (known === undefined || known.source === known.vip) return null
    const local = known.backend !== this.ipOf('c')
    // From a router, who has the MAC of h2's endpoint here, or from the backend.
    const from =
      !local && this.#random.once(2) ? (this.#six ? 'fd57:1::1' : '10.0.1.1') : known.backend
    const quoted = this.#random.once(8)
      ? { ...translated(known), sourcePort: 9 }
      : translated(known)
    const wanted = local
      ? this.model.errorSent(from, known.client, known.protocol, quoted)
      : this.model.errorCame(from, known.client, known.protocol, quoted)
    const packet = this.#error(from, known.client, known.protocol, quoted)
    const mac = local ? this.#macOf(known.backend) : c.mac
    const result = this.#inject(mac, this.#macOf(known.client), packet)
    return this.#expect(wanted, errorOf(result.outputs[0]), result)
  }

  #compare(packet: ModelPacket, result: InjectedOne, wanted: string): string | null {
    const { verdict, outputs } = result
    const kind = packet.protocol === TCP ? 'tcp' : 'udp'
    const about = `${kind} ${packet.flags} ${written(packet)}`
    if (verdict.action === 'drop' && verdict.counter !== 'icmp_rate_limited')
      return this.#expect(wanted, verdict.counter ?? '', result, about)
    if (verdict.counter === 'icmp_errors_sent' || verdict.counter === 'icmp_rate_limited')
      return this.#expect(wanted, 'unreachable', result, about)
    if (verdict.action === 'reply') {
      const reset = decode(outputs[0]!.bytes)
      const right = written(backwards(packet)) === endsOf(reset, 'tcp')
      // With an acknowledgement, from there; else of all that was sent.
      const good =
        (packet.flags & BIT.ack) !== 0 ? reset.tcp?.sequence === 4711 : reset.tcp?.flags === 0x14
      return this.#expect(wanted, right && good ? 'reset' : 'a wrong reset', result, about)
    }
    if (outputs.length === 0) return `nothing came out of ${about}, not ${wanted}`
    for (const { port, bytes, offload } of outputs) {
      const wrong = this.#expect(
        wanted,
        endsOf(
          decode(port === 0 ? bytes.subarray(8) : bytes, { partial: offload.needsChecksum }),
          kind,
        ),
        result,
        about,
      )
      if (wrong !== null) return wrong
    }
    return null
  }

  #expect(wanted: string, came: string, { verdict }: InjectedOne, about = ''): string | null {
    return came === wanted ? null : `${about}: ${came}, not ${wanted} (${JSON.stringify(verdict)})`
  }
}

function backwards(ends: Ends): Ends {
  return {
    source: ends.destination,
    sourcePort: ends.destinationPort,
    destination: ends.source,
    destinationPort: ends.sourcePort,
  }
}

/** Where a packet is from and for, if all its checksums are right. */
function endsOf(decoded: Decoded, kind: 'tcp' | 'udp'): string {
  const { ip, problems } = decoded
  const ports = decoded[kind]
  if (problems.length > 0 || ip === null || ports === null) return `wrong: ${problems.join()}`
  return written({
    source: ip.from,
    sourcePort: ports.from,
    destination: ip.to,
    destinationPort: ports.to,
  })
}

/** An error and what it quotes; the quoted headers are read as a packet of their own. */
function errorOf(output: InjectedOne['outputs'][number] | undefined): string {
  if (output === undefined) return 'nothing'
  const frame = output.port === 0 ? output.bytes.subarray(8) : output.bytes
  const { ip, icmp: error, payload, problems } = decode(frame)
  if (ip === null || error === null || problems.length > 0) return `wrong: ${problems.join()}`
  const inner = decode(concat(frame.subarray(0, 14), payload))
  const [header = '', ...rest] = inner.problems.filter((problem) => /IPv4 header/.test(problem))
  if (header !== '') return `wrong inside: ${[header, ...rest].join()}`
  const at = ip.version === 4 ? 20 : 40
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const quoted =
    ip.version === 4 ? decodeAddresses(payload, 12, 4) : decodeAddresses(payload, 8, 16)
  const ends = {
    source: quoted[0],
    sourcePort: view.getUint16(at),
    destination: quoted[1],
    destinationPort: view.getUint16(at + 2),
  }
  // A whole quoted packet has right checksums, too.
  const whole =
    inner.problems.length === 0 || !inner.problems.some((problem) => /checksum/.test(problem))
  return whole ? writtenError(ip.from, ip.to, ends) : `wrong inside: ${inner.problems.join()}`
}

function decodeAddresses(bytes: Uint8Array, at: number, length: number): [string, string] {
  const packet =
    length === 4
      ? concat(
          new Uint8Array(12),
          Uint8Array.of(8, 0),
          Uint8Array.of(0x45),
          new Uint8Array(11),
          bytes.subarray(at, at + 8),
        )
      : concat(
          new Uint8Array(12),
          Uint8Array.of(0x86, 0xdd),
          Uint8Array.of(0x60),
          new Uint8Array(7),
          bytes.subarray(at, at + 32),
        )
  const { ip } = decode(packet)
  return [ip?.from ?? '', ip?.to ?? '']
}

t.test(`${PACKETS} packets (seed ${SEED})`, { timeout: PACKETS + 60_000 }, async (t) => {
  const random = new Random()
  const seen: Record<string, number> = {}
  for (let done = 0; done < PACKETS; done += PER_BOARD) {
    const world = new World(random, (done / PER_BOARD) % 3 === 0)
    let wrong: string | null = null
    let steps = 0
    for (; steps < PER_BOARD && wrong === null; steps++) {
      wrong = world.step()
      if (wrong === null && steps % 100 === 0) wrong = world.difference()
    }
    wrong ??= world.difference()
    for (const [name, value] of Object.entries(world.board.counters()))
      if (/^vip|^tcp_resets/.test(name)) seen[name] = (seen[name] ?? 0) + value
    world.board.close()
    if (wrong === null) continue
    t.fail(`after ${done + steps} packets: ${wrong}`)
    return
  }
  t.comment(JSON.stringify(seen))
  const never = Object.entries(seen).filter(
    ([name, value]) => value === 0 && !/fragment|echo|unknown|room|not_answered/.test(name),
  )
  t.strictSame(never, [], 'all of it has come up')
})

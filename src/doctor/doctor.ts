// The doctor: looks at this host and at its way to every other, and says what is wrong and what to do.
//
// Here are only the steps: each check is a file of its own, which decides from what was seen.

import type { Clock } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { COUNTERS, type Dataplane } from '../dataplane/binding.ts'
import type { Programmer } from '../dataplane/programmer.ts'
import type { Echo } from '../linux/echo.ts'
import { openEcho } from '../linux/open-echo.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Netdb } from '../netdb/table.ts'
import { findPathMtu } from '../pmtu/search.ts'
import { type ClockSample, judgeClock } from './clock-offset.ts'
import { judgeDuplicates, servesTwice } from './duplicates.ts'
import { type Finding, type Report, fine, reportOf } from './finding.ts'
import { type LeftoverPlaces, type Owned, findLeftovers } from './leftovers.ts'
import { judgePathMtu } from './path-mtu.ts'
import { type Peer, type Peers, toMember } from './peers.ts'
import { type Way, judgeConnection, judgeDatagrams } from './ports.ts'
import { judgeTables } from './tables.ts'
import { type KnockRequest, type Knocked, type Testimony, sendVxlanProbes } from './witness.ts'

export interface DoctorOptions {
  readonly host: string
  /** This host's member id. */
  readonly self: string
  readonly vtep: Ipv4Address
  readonly vxlanPort: number
  readonly gossipPort: number
  /** Of the underlay's interface. */
  readonly interfaceMtu: number
  /** What overlays that both hosts are on send at most. */
  readonly overlayMtuTo: (peer: Peer) => number
  readonly netdb: Netdb
  readonly programmer: Programmer
  readonly dataplane: Dataplane
  readonly peers: Peers
  readonly places: LeftoverPlaces
  readonly owned: () => Owned
  readonly clock: Clock
}

const ECHO_TRIES = 3
const ECHO_MS = 500
/** A number that no other doctor sends at the same time, likely. */
const FEWEST_PROBES = 20
const MORE_PROBES = 20
const GREETINGS = 3
/** For datagrams to arrive and be counted: the longest way, a busy worker. */
const ARRIVAL_MS = 400
/** Collisions are made good within 2 s of a partition's end. */
const REPAIR_MS = 3_000
/** Hosts that are looked at at the same time. */
const AT_ONCE = 8

const PROBE_COUNTER = COUNTERS.findIndex(({ name }) => name === 'doctor_probe')

export class Doctor {
  readonly #options: DoctorOptions
  /** What others send us is counted as a sum: one asks for it at a time. */
  #listening: Promise<unknown> = Promise.resolve()

  constructor(options: DoctorOptions) {
    this.#options = options
  }

  async examine(): Promise<Report> {
    const { host, netdb, places, owned, vtep, peers } = this.#options
    const echo = openEcho(vtep)
    try {
      const waiting = [...peers.list()]
      const ofPeers: Finding[][] = []
      const worker = async (): Promise<void> => {
        for (let peer = waiting.shift(); peer !== undefined; peer = waiting.shift())
          ofPeers.push(await this.#examinePeer(peer, echo))
      }
      const [left] = await Promise.all([
        findLeftovers(places, owned),
        ...Array.from({ length: AT_ONCE }, worker),
      ])
      await this.#awaitRepair()
      const bySubject = ofPeers.flat().sort((a, b) => (a.subject < b.subject ? -1 : 1))
      return reportOf(host, [...this.#tables(), ...judgeDuplicates(netdb), ...left, ...bySubject])
    } finally {
      echo.close()
    }
  }

  /** Has native say what the records say; gives the rows that did not. */
  repair(): string[] {
    const { programmer, dataplane } = this.#options
    return programmer.resync(() => dataplane.rows()).map(({ name }) => name)
  }

  // --- for another host's doctor ---

  testify(doctor: string): Testimony {
    const { clock, peers } = this.#options
    return {
      wallMs: clock.wallMs(),
      vxlanProbes: this.#probes(),
      heardAgoMs: peers.heardAgoMs(doctor),
    }
  }

  async knock({ member, vxlanProbes }: KnockRequest): Promise<Knocked> {
    const { peers, vtep } = this.#options
    const doctor = toMember(peers.list(), member)
    for (let i = 0; i < GREETINGS; i++) peers.greet(doctor.id)
    await sendVxlanProbes(vtep, doctor, vxlanProbes)
    return { tcpError: await errorOf(peers.open(doctor)) }
  }

  // --- the checks ---

  /** What collides since a moment ago is being made good by whose host that is; what stays is a finding. */
  async #awaitRepair(): Promise<void> {
    const { netdb, clock } = this.#options
    const untilMs = clock.nowMs() + REPAIR_MS
    while (servesTwice(netdb) && clock.nowMs() < untilMs) await this.#wait()
  }

  #tables(): Finding[] {
    const { programmer, dataplane } = this.#options
    const differences = programmer.audit(() => dataplane.rows())
    return judgeTables(dataplane.rows().length, differences)
  }

  async #examinePeer(peer: Peer, echo: Echo): Promise<Finding[]> {
    const [ofPath, ofPorts] = await Promise.all([
      this.#examinePath(peer, echo),
      peer.isMember ? this.#examinePorts(peer) : [],
    ])
    return [...ofPath, ...ofPorts]
  }

  async #examinePath(peer: Peer, echo: Echo): Promise<Finding[]> {
    const { host, interfaceMtu, overlayMtuTo } = this.#options
    const subject = `${host} -> ${peer.name}`
    const send = (bytes: number) => echo.send(peer.vtep, bytes, ECHO_MS)
    let result = await send(SMALL_ECHO_BYTES)
    for (let tries = 1; tries < ECHO_TRIES && result.kind === 'silence'; tries++)
      result = await send(SMALL_ECHO_BYTES)
    const path = result.kind === 'reply' ? await findPathMtu(send, interfaceMtu) : null
    const ping: Finding =
      result.kind === 'reply'
        ? fine(
            'vtep',
            subject,
            `${peer.vtep} answers in ${result.ms.toFixed(1)} ms (by ${echo.by})`,
          )
        : {
            check: 'vtep',
            subject,
            verdict: 'fail',
            found: `${peer.vtep} does not answer echo requests${result.kind === 'unreachable' ? `: ${result.why}` : ''}`,
            advice: `see that ${peer.name} is up and that this host has a route to it (ip route get ${peer.vtep}); a firewall may drop ICMP`,
          }
    return [ping, judgePathMtu(subject, path, interfaceMtu, overlayMtuTo(peer))]
  }

  async #examinePorts(peer: Peer): Promise<Finding[]> {
    const { host, self, vtep, vxlanPort, gossipPort, peers, clock } = this.#options
    const samples: ClockSample[] = []
    const ask = async (): Promise<Testimony> => {
      const sentWallMs = clock.wallMs()
      const path = `/v1/doctor/witness?of=${encodeURIComponent(self)}`
      const testimony = (await peers.ask(peer, 'GET', path)) as Testimony
      const { wallMs: theirWallMs } = testimony
      samples.push({ sentWallMs, theirWallMs, answeredWallMs: clock.wallMs() })
      return testimony
    }
    const out = { from: host, to: peer.name }
    const back = { from: peer.name, to: host }
    const udp = (way: typeof out, port: number): Way => ({ ...way, protocol: 'UDP', port })
    const tcp = (way: typeof out, port: number): Way => ({ ...way, protocol: 'TCP', port })

    let before: Testimony | null = null
    let tcpError: string | null = null
    try {
      before = await ask()
    } catch (error) {
      tcpError = messageOf(error)
    }
    // Out.
    const sent = FEWEST_PROBES + Math.floor(Math.random() * MORE_PROBES)
    const sinceMs = clock.nowMs()
    for (let i = 0; i < GREETINGS; i++) peers.greet(peer.id)
    await sendVxlanProbes(vtep, peer, sent)
    await this.#wait()
    const after = before === null ? null : await ask().catch(() => null)
    const heardThem = this.#heardSince(peer, sinceMs)
    const heardUs =
      after === null
        ? heardThem || null // they answered our greeting, or nobody knows
        : after.heardAgoMs !== null && after.heardAgoMs <= clock.nowMs() - sinceMs
    const arrived =
      before === null || after === null ? null : after.vxlanProbes - before.vxlanProbes
    // And back.
    const knocked = before === null ? null : await this.#beKnocked(peer, self, sent)

    return [
      judgeDatagrams('vxlan-port', udp(out, peer.vxlanPort), sent, arrived),
      judgeDatagrams('vxlan-port', udp(back, vxlanPort), sent, knocked?.arrived ?? null),
      judgeDatagrams('gossip-udp', udp(out, peer.gossipPort), 1, gossip(heardUs, before)),
      judgeDatagrams(
        'gossip-udp',
        udp(back, gossipPort),
        1,
        gossip(heardThem || (knocked?.heard ?? null), before),
      ),
      judgeConnection('gossip-tcp', tcp(out, peer.gossipPort), tcpError),
      judgeConnection('gossip-tcp', tcp(back, gossipPort), knocked?.tcpError),
      ...judgeClock(`${host} -> ${peer.name}`, samples),
    ]
  }

  /** Has a host send to us, and counts what comes; null: it could not be asked. */
  async #beKnocked(
    peer: Peer,
    self: string,
    probes: number,
  ): Promise<{ arrived: number; heard: boolean; tcpError: string | null } | null> {
    const { peers, clock } = this.#options
    const turn = this.#listening.then(async () => {
      const before = this.#probes()
      const sinceMs = clock.nowMs()
      const request: KnockRequest = { member: self, vxlanProbes: probes }
      const knocked = (await peers.ask(peer, 'POST', '/v1/doctor/knock', request)) as Knocked
      await this.#wait()
      const heard = this.#heardSince(peer, sinceMs)
      return { arrived: this.#probes() - before, heard, tcpError: knocked.tcpError }
    })
    this.#listening = turn.catch(() => undefined)
    return await turn.catch(() => null)
  }

  #probes(): number {
    return Number(this.#options.dataplane.counterValues()[PROBE_COUNTER] ?? 0n)
  }

  #heardSince(peer: Peer, sinceMs: number): boolean {
    const { peers, clock } = this.#options
    const agoMs = peers.heardAgoMs(peer.id)
    return agoMs !== null && agoMs <= clock.nowMs() - sinceMs
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.setTimeout(resolve, ARRIVAL_MS))
  }
}

/** As ping sends. */
const SMALL_ECHO_BYTES = 84

/** Of one greeting. Who can be asked and was not in the end leaves it open; who neither answers nor can be asked is not heard. */
function gossip(heard: boolean | null, before: Testimony | null): number | null {
  if (heard === true) return 1
  return heard === null && before !== null ? null : 0
}

async function errorOf(attempt: Promise<void>): Promise<string | null> {
  try {
    await attempt
    return null
  } catch (error) {
    return messageOf(error)
  }
}

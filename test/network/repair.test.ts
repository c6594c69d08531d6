// Repair on a virtual clock: when it looks, what it does in which order, and that it goes on with what failed or was left half done.

import t from 'tap'
import { pino } from 'pino'
import type { Happening } from '../../src/events/event.ts'
import { parseIpv4Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { type EndpointValue, subnetKey } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { Repair } from '../../src/network/repair.ts'
import { type OpenEndpoint, type Sandbox, newSandbox } from '../../src/network/sandbox.ts'
import type { EndpointSpec } from '../../src/network/sandbox-spec.ts'
import { VirtualClock } from '../fixtures/virtual-clock.ts'
import { PLAIN, member, network, written } from '../fixtures/records.ts'

const ip = (last: number) => parseIpv4Address(`10.0.0.${last}`)

function value(name: string, last: number): Omit<EndpointValue, 'claimedAt'> {
  const addresses = { mac: macFromIpv4(ip(last)), ip: ip(last), ip6: null }
  return { network: 'n1', vni: parseVni(4097), name, ...addresses, ...PLAIN }
}

/** Host h2, with sandboxes of one endpoint each whose inits are not there: what is asked of them is noted. */
class Bench {
  readonly clock = new VirtualClock()
  readonly netdb = new Netdb('h2', { everyonePresent: true })
  readonly sandboxes: Sandbox[] = []
  readonly done: string[] = []
  readonly told: Happening[] = []
  readonly repair: Repair
  failure: Error | null = null
  #next = 100

  constructor() {
    const { netdb, done, told, clock } = this
    netdb.merge(written('h1', 1, 'member', 'h1', { ...member(1), name: 'h1' }))
    netdb.put('member', 'h2', { ...member(2), name: 'h2' })
    this.network('n1', 4097, '10.0.0.0/24')
    const nameOf = (endpoint: OpenEndpoint): string => this.#sandboxOf(endpoint).spec.name
    this.repair = new Repair({
      netdb,
      clock,
      networks: { contenders: () => ({ self: 'h2', members: ['h1', 'h2'] }) },
      endpoints: {
        move: async (name, endpoint) => {
          if (this.failure !== null) throw this.failure
          const last = this.#next++
          const { spec } = endpoint
          const formerly = spec.formerly ?? { mac: spec.mac, ip: spec.ip, ip6: spec.ip6 }
          endpoint.spec = { ...spec, ip: ip(last), mac: macFromIpv4(ip(last)), formerly }
          netdb.put('endpoint', spec.id, value(name, last))
          done.push(`move ${name}`)
        },
        changeInterface: async (endpoint) => {
          done.push(`interface ${nameOf(endpoint)} ${endpoint.spec.formerly?.ip ?? ''}`)
          endpoint.spec = { ...endpoint.spec, formerly: null }
        },
        follow: (name, endpoint, vni) => {
          endpoint.spec = { ...endpoint.spec, vni }
          netdb.put('endpoint', endpoint.spec.id, { ...value(name, 9), ip: endpoint.spec.ip, vni })
          done.push(`follow ${name} ${vni}`)
        },
      },
      controller: {
        list: () => this.sandboxes,
        noteEndpoints: async ({ spec, endpoints }) => {
          const { formerly } = endpoints[0]!.spec
          done.push(`note ${spec.name}${formerly === null ? '' : ' half'}`)
        },
        stop: async ({ spec, endpoints }, reason) => {
          for (const one of endpoints.splice(0)) netdb.remove('endpoint', one.spec.id)
          done.push(`stop ${spec.name}: ${reason}`)
        },
      },
      services: {
        revip: async (key) => {
          if (this.failure !== null) throw this.failure
          const vip = netdb.get('vip', key)!
          netdb.put('vip', key, { ...vip.value, ip: ip(this.#next++) })
          done.push(`revip ${key}`)
        },
      },
      tell: (happening) => told.push(happening),
      log: pino({ level: 'silent' }),
    })
  }

  #sandboxOf(endpoint: OpenEndpoint): Sandbox {
    return this.sandboxes.find(({ endpoints }) => endpoints.includes(endpoint))!
  }

  network(id: string, vni: number, subnet: string, lamport?: number): void {
    const cidr = parseIpv4Cidr(subnet)
    const gateway = parseIpv4Address(cidr.address.replace(/0$/, '1'))
    const none = { cidr6: null, gateway6: null, range: null }
    const subnetValue = { network: id, vni: parseVni(vni), cidr, gateway, ...none }
    if (lamport !== undefined) {
      const older = { ...network(id), claimedAt: lamport }
      this.netdb.merge(written('h1', lamport, 'network', id, older))
      this.netdb.merge(written('h1', lamport, 'subnet', subnetKey(subnetValue), subnetValue))
      return
    }
    this.netdb.put('network', id, network(id))
    this.netdb.put('subnet', subnetKey(subnetValue), subnetValue)
  }

  /** A sandbox here. */
  here(name: string, last: number, more: Partial<EndpointSpec> = {}): OpenEndpoint {
    const record = value(name, last)
    const spec = { id: name, networkId: 'n1', asked: false, formerly: null, ...record, ...more }
    const endpoint: OpenEndpoint = { spec: spec as unknown as EndpointSpec, port: 1, isUp: true }
    const sandbox = newSandbox({ id: name, name, endpoints: [] } as never, 'running')
    sandbox.client = {} as never
    sandbox.made = true
    sandbox.endpoints.push(endpoint)
    this.sandboxes.push(sandbox)
    this.netdb.put('endpoint', name, record)
    return endpoint
  }

  /** The same on h1, of whom we hear now that it was first. */
  there(name: string, last: number, lamport = 1): void {
    const record = { ...value(name, last), claimedAt: 1 }
    this.netdb.merge(written('h1', lamport, 'endpoint', name, record))
  }

  /** A service of h1's with a VIP, made at that Lamport time. */
  service(id: string, last: number, lamport: number): void {
    const service = { name: 'web', endpointMode: 'vip', scheduler: 'rr', networks: ['n1'] } as const
    const more = { labels: {}, createdAtMs: 0, claimedAt: lamport }
    this.netdb.merge(written('h1', lamport, 'service', id, { ...service, ...more }))
    const vip = { service: id, network: 'n1', ip: ip(last), ip6: null, claimedAt: lamport }
    this.netdb.merge(written('h1', lamport, 'vip', `${id}/n1`, vip))
  }

  /** Time passes; gives what was done since the last time. */
  async pass(ms: number): Promise<string[]> {
    const endMs = this.clock.nowMs() + ms
    for (let at = this.clock.nowMs(); at < endMs; at += 10) {
      this.clock.runUntil(Math.min(endMs, at + 10))
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    }
    return this.done.splice(0)
  }
}

t.test(
  'who loses moves: record first, then what is written down, then the interface',
  async (t) => {
    const bench = new Bench()
    bench.here('mine', 5)
    bench.here('other', 6)
    t.same(await bench.pass(1_000), [], 'nothing collides')
    bench.there('first', 5)
    t.same(await bench.pass(90), [], 'records come in flocks')
    t.same(await bench.pass(100), [
      'move mine',
      'note mine half',
      'interface mine 10.0.0.5',
      'note mine',
    ])
    t.same(await bench.pass(3_000), [], 'and that is all')
    t.same(bench.told, [
      {
        kind: 'collision',
        object: 'h2/mine',
        text: '10.0.0.5 on network n1 is claimed by h1/first and h2/mine: h1/first was first and keeps it',
      },
    ])
    bench.repair.close()
    bench.there('again', 6)
    t.same(await bench.pass(1_000), [], 'closed, it does nothing')
  },
)

t.test('changes that go on do not put it off', async (t) => {
  const bench = new Bench()
  bench.here('mine', 5)
  await bench.pass(1_000)
  bench.there('first', 5)
  let done: string[] = []
  let passedMs = 0
  for (; done.length === 0 && passedMs < 2_000; passedMs += 50) {
    bench.there('restless', 200, 2 + passedMs)
    done = await bench.pass(50)
  }
  t.ok(passedMs <= 600, `${passedMs} ms`)
})

t.test('who asked for what it lost is ended, once', async (t) => {
  const bench = new Bench()
  bench.here('mine', 5, { asked: true })
  bench.there('first', 5)
  t.same(await bench.pass(2_000), ['stop mine: lost 10.0.0.5 on network n1 to h1/first'])
  t.match(bench.told.at(-1), { kind: 'sandbox-stopped', object: 'h2/mine' })
})

t.test(
  'what fails is told once and tried again; one that is being made is waited for',
  async (t) => {
    const bench = new Bench()
    const mine = bench.here('mine', 5)
    mine.isUp = false
    bench.failure = new Error('no address is free')
    bench.there('first', 5)
    t.same(await bench.pass(2_000), [])
    t.equal(bench.told.length, 1, 'only the collision is told')
    mine.isUp = true
    t.same(await bench.pass(5_000), [])
    t.same(
      bench.told.slice(1).map(({ kind, text }) => [kind, text]),
      [['repair-failed', 'readdress mine: no address is free']],
    )
    bench.failure = null
    t.equal((await bench.pass(1_100)).at(0), 'move mine')
  },
)

t.test('one whose record is there before it is follows when it is there', async (t) => {
  const bench = new Bench()
  const mine = bench.here('mine', 5, { prefixLength: 24 })
  const sandboxes = bench.sandboxes.splice(0)
  await bench.pass(1_000)
  bench.network('n1', 4200, '10.0.0.0/24')
  t.same(await bench.pass(1_500), [])
  bench.sandboxes.push(...sandboxes)
  t.same(await bench.pass(1_100), ['follow mine 4200', 'note mine'])
  t.equal(mine.spec.vni, 4200)
})

t.test('what an earlier daemon has begun is brought to its end', async (t) => {
  const bench = new Bench()
  const formerly = { mac: macFromIpv4(ip(4)), ip: ip(4), ip6: null }
  bench.here('mine', 5, { formerly })
  t.same(await bench.pass(1_000), ['interface mine 10.0.0.4', 'note mine'])
})

t.test(
  'a younger network is renumbered when that has stood for a while, and ours follow',
  async (t) => {
    const bench = new Bench()
    bench.here('mine', 5)
    await bench.pass(1_000)
    bench.network('old', 4097, '10.7.0.0/24', 1)
    t.same(await bench.pass(250), [], 'two that are made at once see to it themselves')
    // The first of the present members acts: h1.
    t.same(await bench.pass(3_000), [])
    bench.netdb.merge(written('h1', 90, 'member', 'h1', null))
    const done = await bench.pass(2_000)
    const { vni } = bench.netdb.list('subnet').find(({ value }) => value.network === 'n1')!.value
    t.not(vni, 4097)
    t.same(done, [`follow mine ${vni}`, 'note mine'])
  },
)

t.test(
  'a VIP that lost its address gets another when that has stood for a while; who lost to one moves as ever',
  async (t) => {
    const bench = new Bench()
    bench.here('mine', 5)
    bench.here('later', 6)
    await bench.pass(1_000)
    bench.netdb.merge(written('h1', 90, 'member', 'h1', null))
    await bench.pass(1_000)
    bench.service('s1', 5, 80)
    bench.service('s0', 6, 1)
    t.same(await bench.pass(250), [
      'move later',
      'note later half',
      'interface later 10.0.0.6',
      'note later',
    ])
    bench.failure = new Error('no address is free')
    await bench.pass(2_000)
    bench.failure = null
    t.same(await bench.pass(1_100), ['revip s1/n1'])
    t.same(await bench.pass(3_000), [], 'once')
    t.same(
      bench.told.map(({ kind, object, text }) => [kind, object, text]),
      [
        [
          'collision',
          'web',
          'two services are called web: the name means s0, which is older; the other is reached by its id, s1',
        ],
        [
          'collision',
          'h2/later',
          '10.0.0.6 on network n1 is claimed by service web and h2/later: service web was first and keeps it',
        ],
        [
          'collision',
          'web',
          '10.0.0.5 on network n1 is claimed by h2/mine and service web: h2/mine was first and keeps it',
        ],
        ['repair-failed', 's1/n1', 'revip s1/n1: no address is free'],
      ],
    )
    bench.netdb.merge(written('h1', 200, 'service', 's0', null))
    await bench.pass(9_000)
    t.equal(bench.netdb.list('vip').length, 2, 'its service may come after it')
    await bench.pass(2_000)
    t.same(
      bench.netdb.list('vip').map(({ key }) => key),
      ['s1/n1'],
      'a VIP without a service goes',
    )
  },
)

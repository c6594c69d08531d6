// Services from records to rows: who takes turns, how, and what becomes of those whose host is believed dead.

import t, { type Test } from 'tap'
import { compareRows } from '../../src/dataplane/audit.ts'
import { Dataplane } from '../../src/dataplane/binding.ts'
import { Programmer } from '../../src/dataplane/programmer.ts'
import type { ServiceRow } from '../../src/dataplane/rows.ts'
import { parseIpv4Cidr, parseIpv6Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import type { HealthStatus } from '../../src/netdb/health-check.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { PLAIN, member, network, written } from '../fixtures/records.ts'
import { VirtualClock } from '../fixtures/virtual-clock.ts'

const SERVICE = 'svcid'
/** Endpoints that are written again keep their claims. */
const CLAIMED: Readonly<Record<number, number>> = { 7: 70, 8: 80 }
const VIP = parseIpv4Address('10.0.1.2')
const VIP6 = parseIpv6Address('fd57:1::2')

/** Host h1 with an endpoint on network n (id `n`), h2 present; a service `web` on n. */
function world(t: Test) {
  const clock = new VirtualClock()
  const netdb = new Netdb('h1', { nowMs: () => clock.nowMs() })
  const dataplane = new Dataplane({
    address: parseIpv4Address('172.31.0.1'),
    vxlanPort: 4789,
    workers: 0,
    memory: true,
  })
  dataplane.start(() => undefined)
  const programmer = new Programmer({
    netdb,
    self: 'h1',
    mtu: 1450,
    clock,
    apply: (batch) => {
      dataplane.apply(batch)
    },
  })
  t.teardown(() => {
    dataplane.stop()
  })
  netdb.setPresent('h2', true)
  netdb.put('member', 'h1', member(1))
  netdb.merge(written('h2', 2, 'member', 'h2', member(2)))
  netdb.put('network', 'n', network('blue'))
  netdb.put('subnet', 'n/10.0.1.0/24', {
    network: 'n',
    vni: parseVni(4097),
    cidr: parseIpv4Cidr('10.0.1.0/24'),
    gateway: parseIpv4Address('10.0.1.1'),
    cidr6: parseIpv6Cidr('fd57:1::/64'),
    gateway6: parseIpv6Address('fd57:1::1'),
    range: null,
  })
  programmer.setPort('client', 1)
  const valueOf = (last: number, service: string | null) => {
    const ip = parseIpv4Address(`10.0.1.${last}`)
    const ip6 = parseIpv6Address(`fd57:1::${last.toString(16)}`)
    const vni = parseVni(4097)
    const name = `e${last}`
    return { ...PLAIN, network: 'n', vni, name, mac: macFromIpv4(ip), ip, ip6, service }
  }
  netdb.put('endpoint', 'client', valueOf(3, null))
  /** A backend on h2; the later it claims, the later its turn. */
  const remote = (last: number, lamport: number, health?: HealthStatus): void => {
    const found = health === undefined ? {} : { health }
    const value = { ...valueOf(last, 'Web'), ...found, claimedAt: CLAIMED[last] ?? lamport }
    netdb.merge(written('h2', lamport, 'endpoint', `e${last}`, value))
  }
  const serve = (): void => {
    const service = { name: 'web', endpointMode: 'vip', scheduler: 'rr' } as const
    netdb.put('service', SERVICE, { ...service, networks: ['n'], labels: {}, createdAtMs: 0 })
    netdb.put('vip', `${SERVICE}/n`, { service: SERVICE, network: 'n', ip: VIP, ip6: VIP6 })
  }
  /** What native has, which is what an audit wants. */
  const rows = () => {
    const differences = programmer.audit(() => dataplane.rows())
    t.same(differences, [], 'the audit agrees')
    return dataplane.rows()
  }
  const services = (): ServiceRow[] =>
    rows().filter((row): row is ServiceRow => row.table === 'service')
  const backends = (): string[] =>
    (services().find(({ vip }) => vip === VIP)?.backends ?? []).map(
      ({ ip, weight, state }) => `${ip} ${weight} ${state}`,
    )
  return { clock, netdb, programmer, dataplane, remote, serve, rows, services, backends }
}

t.test('a VIP of both families, its neighbours, and backends in the order of claims', async (t) => {
  const { remote, serve, rows, services, programmer } = world(t)
  remote(9, 40)
  remote(5, 50)
  const flag = (): boolean => rows().some((row) => row.table === 'network' && row.services)
  t.notOk(flag(), 'no VIP, no looking for it')
  serve()
  programmer.flush()
  t.ok(flag())
  const [v4, v6] = services().toSorted((a, b) => a.vip.length - b.vip.length) as [
    ServiceRow,
    ServiceRow,
  ]
  const { vip, vni, mac, scheduler } = v4
  t.strictSame(
    { vip, vni, mac, scheduler },
    { vip: VIP, vni: 4097, mac: macFromIpv4(VIP), scheduler: 'rr' },
  )
  t.same(
    v4.backends.map(({ ip }) => ip),
    ['10.0.1.9', '10.0.1.5'],
  )
  t.same(
    v6.backends.map(({ ip }) => ip),
    ['fd57:1::9', 'fd57:1::5'],
  )
  t.not(
    v4.service,
    v6.service,
    'each takes turns by itself: who is refused by IPv6 first takes none of IPv4',
  )
  t.ok(Number.isSafeInteger(v6.service) && v6.service > 0)
  t.ok(Number.isSafeInteger(v4.service) && v4.service > 0)
  for (const ip of [VIP, VIP6]) {
    const neighbour = rows().find((row) => row.table === 'neighbour' && row.ip === ip)
    t.match(neighbour, { mac: macFromIpv4(VIP), gateway: false, vni: 4097 })
  }
  t.equal(programmer.recordOf(v4.record)?.kind, 'vip')
  t.equal(programmer.recordOf(v4.backends[0]!.record)?.kind, 'endpoint')
})

t.test('weight and drain of a backend, another scheduler, the service removed', async (t) => {
  const { netdb, remote, serve, services, backends, rows } = world(t)
  serve()
  remote(5, 50)
  remote(6, 60)
  t.same(backends(), ['10.0.1.5 1 healthy', '10.0.1.6 1 healthy'])
  const decide = (endpoint: string, weight: number, drain: boolean): void => {
    netdb.put('backend', `${SERVICE}/${endpoint}`, { service: SERVICE, endpoint, weight, drain })
  }
  decide('e5', 3, false)
  decide('e6', 1, true)
  t.same(backends(), ['10.0.1.5 3 healthy', '10.0.1.6 1 draining'])
  netdb.put('service', SERVICE, { ...netdb.get('service', SERVICE)!.value, scheduler: 'lc' })
  t.same(
    services().map(({ scheduler }) => scheduler),
    ['lc', 'lc'],
  )
  netdb.remove('backend', `${SERVICE}/e6`)
  t.same(backends(), ['10.0.1.5 3 healthy', '10.0.1.6 1 healthy'])
  netdb.remove('vip', `${SERVICE}/n`)
  t.same(services(), [])
  t.notOk(rows().some((row) => row.table === 'neighbour' && row.ip === VIP))
  t.notOk(rows().some((row) => row.table === 'network' && row.services))
})

t.test('one that is not healthy takes no new flow, and its turn stays its own', async (t) => {
  const { netdb, remote, serve, backends } = world(t)
  serve()
  remote(7, 70, 'starting')
  remote(8, 80)
  t.same(backends(), ['10.0.1.7 1 draining', '10.0.1.8 1 healthy'], 'none that is not checked')
  remote(7, 90, 'healthy')
  t.same(backends(), ['10.0.1.7 1 healthy', '10.0.1.8 1 healthy'])
  remote(7, 100, 'unhealthy')
  remote(8, 101, 'unhealthy')
  t.same(backends(), ['10.0.1.7 1 draining', '10.0.1.8 1 draining'])
  netdb.setPresent('h2', false)
  t.same(backends(), ['10.0.1.7 1 dead', '10.0.1.8 1 dead'])
})

t.test('a dead host: its backends wait for it for ten seconds, and are none then', async (t) => {
  const { clock, netdb, remote, serve, backends } = world(t)
  serve()
  remote(5, 50)
  netdb.setPresent('h2', false)
  t.same(backends(), ['10.0.1.5 1 dead'], 'no new flow from now on')
  clock.runFor(3_000)
  netdb.setPresent('h2', true)
  t.same(backends(), ['10.0.1.5 1 healthy'], 'it had only paused')
  clock.runFor(8_000)
  t.same(backends(), ['10.0.1.5 1 healthy'], 'the time of its first death is not over')
  netdb.setPresent('h2', false)
  clock.runFor(9_999)
  t.same(backends(), ['10.0.1.5 1 dead'])
  clock.runFor(1)
  await Promise.resolve()
  t.same(backends(), [], 'its connections are reset')
})

t.test('removed with its host, or by its host: gone at once', async (t) => {
  const { netdb, remote, serve, backends } = world(t)
  serve()
  remote(5, 50)
  remote(6, 51)
  netdb.merge(written('h2', 60, 'endpoint', 'e6', null))
  t.same(backends(), ['10.0.1.5 1 healthy'], 'its end is told: it does not wait')
  netdb.setPresent('h2', false)
  t.same(backends(), ['10.0.1.5 1 dead'])
  netdb.put('node', 'h2', { expelled: true, availability: 'active', labels: {} })
  t.same(backends(), [])
})

t.test('a host that learns all of it in another order has the same rows', async (t) => {
  const one = world(t)
  one.serve()
  one.remote(5, 50)
  one.remote(6, 60)
  const other = world(t)
  other.remote(6, 60)
  other.remote(5, 50)
  other.serve()
  const rowsOf = ({ services }: typeof one) =>
    services().map((row) => ({ ...row, record: 0, backends: row.backends.map(({ ip }) => ip) }))
  t.same(rowsOf(one), rowsOf(other))
  t.same(compareRows(one.rows(), one.rows()), [])
})

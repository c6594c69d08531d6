// Services are made on hosts that share a table: names and VIPs are unique, whoever is faster; what is decided about a backend is kept.

import { randomBytes } from 'node:crypto'
import t from 'tap'
import { followServices } from '../../src/daemon/service-names.ts'
import { parseIpv4Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { HEALTH_CHECK } from '../../src/netdb/health-check.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { AddressBook } from '../../src/network/address-book.ts'
import { Networks } from '../../src/network/networks.ts'
import type { Peers } from '../../src/network/peers.ts'
import { Services } from '../../src/network/services.ts'
import { findBackends } from '../../src/service/backend-reference.ts'
import { PLAIN, endpoint, network } from '../fixtures/records.ts'

interface Host {
  readonly netdb: Netdb
  readonly services: Services
}

const WISH = {
  name: 'web',
  networks: ['blue'],
  endpointMode: 'vip',
  scheduler: 'rr',
  labels: {},
} as const

/** Hosts whose writes reach the others when one of them asks to be acknowledged; all know network blue. */
function cluster(count: number): Host[] {
  const tables: Netdb[] = []
  const exchange = async (): Promise<void> => {
    await Promise.resolve()
    for (const from of tables) {
      for (const { held } of [...from.stored.entries()])
        for (const to of tables) if (to !== from) to.receive(held.encoded)
    }
  }
  const peers: Peers = { requireSynced: () => undefined, refresh: exchange, acknowledge: exchange }
  const hosts = Array.from({ length: count }, (_, index): Host => {
    const netdb = new Netdb(`h${index + 1}`, { everyonePresent: true })
    tables.push(netdb)
    const clock = { wallMs: () => 1_800_000_000_000 }
    const networks = new Networks({ netdb, peers, clock, randomBytes, ownRoutes: async () => [] })
    const book = new AddressBook({
      netdb,
      host: `h${index + 1}`,
      facts: () => undefined,
      contenders: () => networks.contenders(),
      nowMs: () => 0,
      requireSynced: peers.requireSynced,
    })
    return { netdb, services: new Services({ netdb, peers, networks, book, clock, randomBytes }) }
  })
  const [first] = hosts as [Host]
  first.netdb.put('network', 'n', network('blue'))
  first.netdb.put('subnet', 'n/10.0.0.0/24', {
    network: 'n',
    vni: parseVni(4097),
    cidr: parseIpv4Cidr('10.0.0.0/24'),
    gateway: parseIpv4Address('10.0.0.1'),
    cidr6: null,
    gateway6: null,
    range: null,
  })
  return hosts
}

function backend({ netdb }: Host, key: string, name: string, last: number): void {
  const ip = parseIpv4Address(`10.0.0.${last}`)
  const place = { network: 'n', vni: parseVni(4097), mac: macFromIpv4(ip), ip, ip6: null }
  netdb.put('endpoint', key, { ...place, ...PLAIN, name, service: 'web' })
}

const vips = ({ netdb }: Host): string[] => netdb.list('vip').map(({ value }) => value.ip)

t.test('a health check: as it was made, changed in parts, taken away', async (t) => {
  const [h1, h2] = cluster(2) as [Host, Host]
  const check = HEALTH_CHECK.parse({ test: { kind: 'tcp', port: 80 } })
  await h1.services.create({ ...WISH, health: check })
  const checkOn = async ({ services }: Host) => (await services.find('web')).value.healthCheck
  t.strictSame(await checkOn(h2), check)
  await h2.services.update('web', { health: { intervalMs: 5_000 }, scheduler: 'lc' })
  t.strictSame(await checkOn(h1), { ...check, intervalMs: 5_000 })
  const test = { kind: 'cmd', command: 'true' } as const
  await h1.services.update('web', { health: { test } })
  t.strictSame(await checkOn(h1), { ...check, intervalMs: 5_000, test })
  await h1.services.update('web', { labelsAdded: { a: '1' } })
  t.strictSame(await checkOn(h2), { ...check, intervalMs: 5_000, test }, 'what is not said stays')
  await h2.services.update('web', { health: null })
  t.equal(await checkOn(h1), undefined)
  const change = { health: { retries: 1 }, weights: { b1: 3 } }
  backend(h1, 'e1', 'b1', 9)
  await t.rejects(h1.services.update('web', change), {
    code: 'invalid_argument',
    message: /service web has no health check yet; say how it is made/,
  })
  t.equal(h1.netdb.list('backend').length, 0, 'and nothing else was changed')
  t.equal((await h1.services.find('web')).value.scheduler, 'lc')
})

t.test('the first address goes to the first service, and an endpoint keeps its own', async (t) => {
  const [h1] = cluster(1) as [Host]
  await h1.services.create(WISH)
  t.same(vips(h1), ['10.0.0.2'])
  backend(h1, 'e1', 'b1', 3)
  await h1.services.create({ ...WISH, name: 'db' })
  t.same(vips(h1).sort(), ['10.0.0.2', '10.0.0.4'])
  await h1.services.create({ ...WISH, name: 'plain', endpointMode: 'dnsrr' })
  t.equal(vips(h1).length, 2, 'dnsrr needs none')
})

t.test(
  'at the same moment on two hosts: two services, two addresses; of one name the older',
  async (t) => {
    const [h1, h2] = cluster(2) as [Host, Host]
    await Promise.all([h1.services.create(WISH), h2.services.create({ ...WISH, name: 'db' })])
    t.same(vips(h1).sort(), vips(h2).sort())
    t.equal(new Set(vips(h1)).size, 2)
    const results = await Promise.allSettled([
      h1.services.create({ ...WISH, name: 'both' }),
      h2.services.create({ ...WISH, name: 'Both' }),
    ])
    t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    await h1.services.find('web')
    t.equal(h1.services.list().filter(({ value }) => /^both$/i.test(value.name)).length, 1)
  },
)

t.test('a backend is meant by its name before one whose id begins so', (t) => {
  const [host] = cluster(1) as [Host]
  const { netdb } = host
  backend(host, 'a5c', 'w1', 3)
  backend(host, 'b0d', 'a5', 4)
  const place = { network: 'm', vni: parseVni(4098), name: 'a5', service: 'web' }
  netdb.put('endpoint', 'c1e', { ...endpoint(5), ...place })
  const keys = (text: string) =>
    findBackends('web', netdb.list('endpoint'), text, (id) => netdb.nameOfMember(id)).map(
      ({ key }) => key,
    )
  t.same(keys('a5'), ['b0d', 'c1e'], 'on each of its networks')
  t.same(keys('a5c'), ['a5c'])
  t.same(keys('b'), ['b0d'], 'by its id on one')
  t.throws(() => keys('b0d/a5'), { code: 'not_found' })
  t.throws(() => keys(''), { code: 'not_found' })
  t.end()
})

t.test('what cannot be made leaves nothing', async (t) => {
  const [h1, h2] = cluster(2) as [Host, Host]
  await h1.services.create(WISH)
  const before = h1.netdb.list('service').length
  await t.rejects(h2.services.create(WISH), { code: 'name_in_use' })
  await t.rejects(h2.services.create({ ...WISH, name: 'x', networks: ['none'] }), {
    code: 'not_found',
  })
  await t.rejects(h2.services.create({ ...WISH, name: 'x', networks: [] }), {
    code: 'invalid_argument',
  })
  for (let last = 3; last < 255; last++) backend(h1, `e${last}`, `b${last}`, last)
  await t.rejects(h1.services.create({ ...WISH, name: 'y' }), { code: 'no_address' })
  t.equal(h1.netdb.list('service').length, before)
})

t.test(
  'backends: decided about by name, host and id; a service that is removed takes all with it',
  async (t) => {
    const [h1, h2] = cluster(2) as [Host, Host]
    await h1.services.create(WISH)
    backend(h1, 'aa1', 'b', 3)
    backend(h2, 'bb2', 'b', 4)
    await h2.services.find('web')
    await h2.services.update('web', { drain: ['aa'], weights: { bb2: 5 } })
    await h1.services.update('web', {
      weights: { aa1: 2 },
      labelsAdded: { x: '1' },
      scheduler: 'lc',
    })
    const web = await h2.services.find('web')
    t.match(web.value, { scheduler: 'lc', labels: { x: '1' } })
    t.same(
      h2.services
        .backendsOf(web)
        .map(({ endpoint, weight, state }) => [endpoint.key, weight, state]),
      [
        ['aa1', 2, 'draining'],
        ['bb2', 5, 'healthy'],
      ],
    )
    await t.rejects(h1.services.update('web', { drain: ['b'] }), { code: 'ambiguous' })
    await t.rejects(h1.services.update('web', { drain: ['h2/c'] }), { code: 'not_found' })
    const partly = { drain: ['bb2', 'none'] }
    await t.rejects(h1.services.update('web', partly), { code: 'not_found' })
    t.equal(h1.netdb.get('backend', `${web.key}/bb2`)?.value.drain, false, 'nothing, or all of it')
    await h2.services.remove(web.key.slice(0, 8))
    for (const kind of ['service', 'vip', 'backend'] as const) t.same(h1.netdb.list(kind), [], kind)
  },
)

t.test('what the resolver is told', async (t) => {
  const [h1] = cluster(1) as [Host]
  const told: unknown[] = []
  const stop = followServices(h1.netdb, {
    setService: (network, name, addresses) => told.push([network, name, addresses?.vip ?? null]),
  })
  const id = await h1.services.create(WISH)
  t.same(told.at(-1), ['n', 'web', '10.0.0.2'])
  await h1.services.create({ ...WISH, name: 'plain', endpointMode: 'dnsrr' })
  t.same(told.at(-1), ['n', 'plain', null])
  await h1.services.remove(id)
  t.same(told.at(-1), ['n', 'web', null])
  stop()
})

// Networks are made and removed on hosts that share a table: names, subnets and VNIs are unique, whoever is faster.

import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { subnetKey } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { Networks, type NetworkWish } from '../../src/network/networks.ts'
import type { Peers } from '../../src/network/peers.ts'
import { parseCidr, parseIpv4Cidr } from '../../src/net/cidr.ts'
import { parseVni } from '../../src/net/vni.ts'
import { PLAIN, network } from '../fixtures/records.ts'

const WISH: NetworkWish = {
  name: 'blue',
  subnets: [],
  gateways: [],
  ranges: [],
  ipv6: false,
  internal: false,
  attachable: false,
  options: {},
  labels: {},
}

interface Host {
  readonly netdb: Netdb
  readonly networks: Networks
}

/** Hosts whose writes reach the others when one of them asks to be acknowledged; what the others do `meanwhile` comes before that. */
function cluster(
  count: number,
  routes: Readonly<Record<number, string[]>> = {},
  meanwhile: () => void = () => undefined,
): Host[] {
  const tables: Netdb[] = []
  const exchange = async (): Promise<void> => {
    await Promise.resolve()
    meanwhile()
    for (const from of tables) {
      for (const { held } of [...from.stored.entries()])
        for (const to of tables) if (to !== from) to.receive(held.encoded)
    }
  }
  const peers: Peers = { requireSynced: () => undefined, refresh: exchange, acknowledge: exchange }
  return Array.from({ length: count }, (_, index) => {
    const self = `${index + 1}`.repeat(16)
    const netdb = new Netdb(self, { everyonePresent: true })
    tables.push(netdb)
    netdb.put('member', self, {
      name: `h${index + 1}`,
      vtep: parseIpv4Address(`172.31.1.${index + 11}`),
      vxlanPort: 4789,
      version: null,
      underlayMtuBytes: 1500,
      routes: routes[index + 1] ?? [],
    })
    const networks = new Networks({
      netdb,
      peers,
      clock: { wallMs: () => 1_800_000_000_000 },
      randomBytes,
      ownRoutes: async () => [{ member: `h${index + 1}`, cidr: parseCidr('192.0.2.0/24') }],
    })
    return { netdb, networks }
  })
}

function attach({ netdb, networks }: Host, id: string, name: string, address = '10.0.1.3'): void {
  const { vni } = networks.subnetsOf(id).at(-1)!.value
  const ip = parseIpv4Address(address)
  netdb.put('endpoint', name, {
    network: id,
    vni,
    name,
    mac: macFromIpv4(ip),
    ip,
    ip6: null,
    ...PLAIN,
  })
}

t.test('three networks: ids of 25 characters, subnets and VNIs of their own', async (t) => {
  const [h1, h2] = cluster(2) as [Host, Host]
  const ids = [
    await h1.networks.create(WISH),
    await h2.networks.create({ ...WISH, name: 'green' }),
    await h1.networks.create({ ...WISH, name: 'red', ipv6: true }),
  ]
  for (const id of ids) t.match(id, /^[0-9a-z]{25}$/)
  const subnets = ids.map((id) => h1.networks.subnetsOf(id)[0]!.value)
  for (const { cidr, gateway, vni } of subnets) {
    t.match(cidr.address, /^10\.\d+\.\d+\.0$/)
    t.equal(cidr.prefixLength, 24)
    t.equal(gateway, cidr.address.replace(/0$/, '1'))
    t.ok(vni >= 4097)
  }
  t.equal(new Set(subnets.map(({ vni }) => vni)).size, 3)
  t.equal(new Set(subnets.map(({ cidr }) => cidr.address)).size, 3)
  t.match(subnets[2]!.cidr6, { prefixLength: 64, address: /^fd/ })
  t.same(
    h2.networks.list().map(({ value: { name } }) => name),
    ['blue', 'green', 'red'],
    'h2 knows them all',
  )
  t.match(h1.networks.findHere(ids[1]!.slice(0, 6)).value, {
    name: 'green',
    createdAtMs: 1_800_000_000_000,
  })
})

t.test('a name is taken once, a subnet too, and a route of any host is in the way', async (t) => {
  const [h1, h2] = cluster(3, { 3: ['10.77.0.0/16'] }) as [Host, Host]
  const id = await h1.networks.create({ ...WISH, subnets: ['10.5.0.0/16'] })
  const cases: readonly [Partial<NetworkWish>, string, RegExp][] = [
    [{}, 'name_in_use', /^network blue exists \([0-9a-z]{12}, made on h1\); choose another name$/],
    [
      { name: 'b', subnets: ['10.5.3.0/24'] },
      'address_in_use',
      /10\.5\.3\.0\/24 overlaps 10\.5\.0\.0\/16 of network blue/,
    ],
    [
      { name: 'b', subnets: ['10.77.3.0/24'] },
      'address_in_use',
      /overlaps route 10\.77\.0\.0\/16 of host h3/,
    ],
    [
      { name: 'b', subnets: ['192.0.2.128/25'] },
      'address_in_use',
      /overlaps route 192\.0\.2\.0\/24 of host h2/,
    ],
    [{ name: 'x'.repeat(300) }, 'invalid_argument', /has 300 characters; use at most 63/],
    [{ name: 'b', subnets: ['10.6.0.1/24'] }, 'invalid_argument', /host bits; write 10\.6\.0\.0/],
    [{ name: 'b', subnets: ['10.6.0.0/31'] }, 'invalid_argument', /no room/],
    [{ name: 'b', options: { mtu: '60' } }, 'invalid_argument', /MTU '60' cannot be; give 576/],
    [{ name: 'b', ipv6: true, options: { mtu: '600' } }, 'invalid_argument', /1280 to .* IPv6/],
    [{ name: 'b', options: { encrypted: '' } }, 'invalid_argument', /are not encrypted/],
    [{ name: 'b', options: { colour: 'red' } }, 'invalid_argument', /no option 'colour'/],
    [
      {
        name: 'b',
        labels: { a: 'x'.repeat(255), b: 'x'.repeat(255), c: 'x'.repeat(255), d: 'x'.repeat(255) },
      },
      'invalid_argument',
      /shorten its labels/,
    ],
  ]
  for (const [wish, code, message] of cases) {
    await t.rejects(h2.networks.create({ ...WISH, ...wish }), { code, message })
  }
  t.same(
    h2.networks.list().map(({ key }) => key),
    [id],
    'nothing is half-done',
  )
  t.equal(h2.netdb.list('subnet').length, 1)
})

t.test('of two that are made at the same time the older stays', async (t) => {
  const [h1, h2] = cluster(2) as [Host, Host]
  await h1.networks.create({ ...WISH, name: 'before' })
  const names = await Promise.allSettled([h1.networks.create(WISH), h2.networks.create(WISH)])
  const outcomes = names.map(({ status }) => status).sort()
  t.same(outcomes, ['fulfilled', 'rejected'], 'one name: one of them')
  const wish = { ...WISH, subnets: ['10.9.0.0/24'] }
  const subnets = await Promise.allSettled([
    h1.networks.create({ ...wish, name: 'one' }),
    h2.networks.create({ ...wish, name: 'two' }),
  ])
  t.same(subnets.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], 'one subnet')
  const both = await Promise.all([
    h1.networks.create({ ...WISH, name: 'x1' }),
    h2.networks.create({ ...WISH, name: 'x2' }),
  ])
  t.equal(new Set(both).size, 2)
  const all = h1.netdb.list('subnet').map(({ value }) => value)
  t.equal(all.length, 5)
  t.equal(new Set(all.map(({ vni }) => vni)).size, all.length, 'each VNI once')
  t.equal(new Set(all.map(({ cidr }) => cidr.address)).size, all.length)
})

t.test('what is taken back stays when somebody uses it by then', async (t) => {
  const subnets = ['10.9.0.0/24']
  const none = { gateways: [], ranges: [] }
  for (const verb of ['create', 'update'] as const) {
    // On the way: asking a peer, being acknowledged (an older network has taken the subnet, too), taking back.
    for (const [usedAt, does] of [
      [2, 'is not taken back'],
      [3, 'is put back'],
      [Infinity, 'goes'],
    ] as const) {
      const steps = { taken: -Infinity }
      const hosts: Host[] = cluster(2, {}, () => {
        const [h1, h2] = hosts as [Host, Host]
        steps.taken++
        if (steps.taken === 2) {
          const { value } = h2.networks.subnetsOf(h2.networks.findHere('old').key)[0]!
          const [cidr, gateway] = [parseIpv4Cidr('10.9.0.0/24'), parseIpv4Address('10.9.0.1')]
          const taken = { ...value, vni: parseVni(9_000), cidr, gateway }
          h2.netdb.put('subnet', subnetKey(taken), taken)
        }
        if (steps.taken !== usedAt) return
        // h2 hears of it with the second step, and not yet of its end with the third.
        const user = usedAt === 2 ? h1 : h2
        attach(user, user.networks.findHere('young').key, 'c', '10.9.0.3')
      })
      const [h1, h2] = hosts as [Host, Host]
      await h1.networks.create({ ...WISH, name: 'old', subnets: ['10.5.0.0/24'] })
      if (verb === 'update')
        await h1.networks.create({ ...WISH, name: 'young', subnets: ['10.6.0.0/24'] })
      steps.taken = 0
      const asked: Promise<unknown> =
        verb === 'create'
          ? h1.networks.create({ ...WISH, name: 'young', subnets })
          : h1.networks.addSubnets('young', { ...none, subnets })
      const title = `${verb}: what is used at ${usedAt} ${does}`
      if (usedAt === Infinity) await t.rejects(asked, { code: 'address_in_use' }, title)
      else await asked
      for (const { netdb } of [h1, h2]) {
        const held = netdb.list('subnet').filter(({ key }) => key.endsWith('/10.9.0.0/24'))
        t.equal(held.length, usedAt === Infinity ? 1 : 2, title)
      }
    }
  }
})

t.test('a network is given further subnets, behind those that it has', async (t) => {
  const [h1, h2] = cluster(3, { 3: ['10.77.0.0/16'] }) as [Host, Host]
  const id = await h1.networks.create({ ...WISH, subnets: ['10.5.0.0/24'] })
  await h1.networks.create({ ...WISH, name: 'six', ipv6: true, subnets: ['10.7.0.0/24'] })
  const none = { gateways: [], ranges: [] }
  const one = { subnets: ['10.6.0.0/24'], gateways: ['10.6.0.9'], ranges: ['10.6.0.128/25'] }
  await h2.networks.addSubnets('blue', one)
  await h1.networks.addSubnets(id, { ...none, subnets: ['10.8.0.0/24', '10.9.0.0/24'] })
  const all = h2.networks.subnetsOf(id).map(({ value }) => value)
  t.same(
    all.map(({ cidr }) => cidr.address),
    ['10.5.0.0', '10.6.0.0', '10.8.0.0', '10.9.0.0'],
    'networks are filled in this order',
  )
  t.match(all[1], { gateway: '10.6.0.9', range: { prefixLength: 25 }, cidr6: null })
  await h2.networks.addSubnets('six', { ...none, subnets: ['10.10.0.0/24'] })
  const six = h1.networks.subnetsOf(h1.networks.findHere('six').key).map(({ value }) => value)
  t.match(six[1]!.cidr6, { prefixLength: 64, address: /^fd/ }, 'as IPv6 as the network is')
  t.not(six[1]!.cidr6!.address, six[0]!.cidr6!.address)

  const count = h1.netdb.list('subnet').length
  const cases: readonly [string, string[], string, RegExp][] = [
    ['blue', ['10.5.0.0/25'], 'address_in_use', /overlaps 10\.5\.0\.0\/24 of network blue/],
    ['blue', ['10.7.0.0/16'], 'address_in_use', /overlaps 10\.7\.0\.0\/24 of network six/],
    ['blue', ['10.77.1.0/24'], 'address_in_use', /overlaps route 10\.77\.0\.0\/16 of host h3/],
    ['blue', ['fd00:5::/64'], 'invalid_argument', /made without IPv6/],
    ['blue', ['10.11.0.0/24', '10.11.0.0/25'], 'invalid_argument', /overlap/],
    ['red', ['10.11.0.0/24'], 'not_found', /no network 'red'/],
  ]
  for (const [name, subnets, code, message] of cases)
    await t.rejects(h2.networks.addSubnets(name, { ...none, subnets }), { code, message })
  t.equal(h1.netdb.list('subnet').length, count, 'nothing is half-done')

  const wish = { ...none, subnets: ['10.12.0.0/24'] }
  const both = await Promise.allSettled([
    h1.networks.addSubnets('blue', wish),
    h2.networks.addSubnets('six', wish),
  ])
  t.same(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], 'one at a time')
  t.equal(h2.netdb.list('subnet').length, count + 1)
})

t.test('who is not synced makes none', async (t) => {
  const [h1] = cluster(1) as [Host]
  const requireSynced = (): never => {
    throw new Error('not yet')
  }
  const networks = new Networks({
    netdb: h1.netdb,
    peers: { requireSynced, refresh: async () => {}, acknowledge: async () => {} },
    clock: { wallMs: () => 0 },
    randomBytes,
    ownRoutes: async () => [],
  })
  await t.rejects(networks.create(WISH), { message: 'not yet' })
})

t.test('a network goes when nobody is on it', async (t) => {
  const [h1, h2] = cluster(2) as [Host, Host]
  const id = await h1.networks.create(WISH)
  attach(h2, id, 'c2')
  await t.rejects(h1.networks.remove('blue'), {
    code: 'network_in_use',
    message: 'network blue is in use by c2 on h2; end them first with weft rm',
  })
  h2.netdb.remove('endpoint', 'c2')
  await h1.networks.remove('blue')
  t.same(h2.networks.list(), [])
  t.same(h2.netdb.list('subnet'), [])
  await t.rejects(h1.networks.remove('blue'), { code: 'not_found' })
  h1.netdb.assume('network', 'f', h1.netdb.self, { ...network('fixed'), claimedAt: 0 })
  await t.rejects(h1.networks.remove('fixed'), { message: /stands in the facts file/ })
  await t.rejects(h1.networks.create({ ...WISH, name: 'fixed' }), { message: /of the facts file/ })
})

// Addresses of endpoints: chosen, reserved, asked for; held by records, promises and the facts file; not given again at once.

import t from 'tap'
import { parseFacts } from '../../src/facts/parse-facts.ts'
import { parseIpv4Cidr, parseIpv6Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import type { LiveRecord, SubnetValue } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { WeftError } from '../../src/errors.ts'
import type { AddressWish } from '../../src/ipam/address-choice.ts'
import { AddressBook, type Addresses } from '../../src/network/address-book.ts'
import { PLAIN, network, written } from '../fixtures/records.ts'

const FACTS = `
networks:
  - name: demo
    subnets: [{ cidr: 10.0.1.0/29, vni: 4097, cidr6: "fd57:1::/64" }]
endpoints:
  - { host: h1, network: demo, name: c1, ip: 10.0.1.3, ip6: "fd57:1::2" }
  - { host: h2, network: demo, name: c2, ip: 10.0.1.2 }
`

const subnet: SubnetValue = {
  network: 'n',
  vni: parseVni(4097),
  cidr: parseIpv4Cidr('10.0.1.0/29'),
  gateway: parseIpv4Address('10.0.1.1'),
  cidr6: parseIpv6Cidr('fd57:1::/64'),
  gateway6: parseIpv6Address('fd57:1::1'),
  range: null,
}

/** Host h1 and what it has heard of h2; `next` gives an endpoint of h1 addresses. */
function world(options: { facts?: boolean; synced?: boolean } = {}) {
  const clock = { now: 1_000 }
  const netdb = new Netdb('h1')
  netdb.setPresent('h2', true)
  netdb.put('network', 'n', network('demo'))
  const parsed = parseFacts(FACTS, 'facts.yaml')
  if (!parsed.ok) throw parsed.error
  const book = new AddressBook({
    netdb,
    host: 'h1',
    facts: () => (options.facts === true ? parsed.facts : undefined),
    contenders: () => ({ self: 'h1', members: [] }),
    nowMs: () => clock.now,
    requireSynced: () => {
      if (options.synced === false) throw new WeftError('not_in_cluster', 'none')
    },
  })
  const next = (name: string, wish: AddressWish = {}): Addresses =>
    book.promise({
      endpointId: name,
      name,
      network: netdb.get('network', 'n') as LiveRecord<'network'>,
      subnets: [subnet],
      wish,
    })
  const put = (name: string, { ip, ip6, mac }: Addresses): void => {
    const { vni } = subnet
    netdb.put('endpoint', name, { network: 'n', vni, name, mac, ip, ip6, ...PLAIN })
    book.forget(name)
  }
  const remote = (name: string, last: number): void => {
    const ip = parseIpv4Address(`10.0.1.${last}`)
    const value = { network: 'n', vni: subnet.vni, name, mac: macFromIpv4(ip), ip, ip6: null }
    netdb.merge(written('h2', 50, 'endpoint', name, { ...value, ...PLAIN, claimedAt: 50 }))
  }
  return { netdb, book, clock, next, put, remote }
}

t.test(
  'each gets one of its own: promised, written, of another host, of one that is away',
  async (t) => {
    const { netdb, next, put, remote } = world()
    remote('r', 2)
    netdb.setPresent('h2', false)
    const first = next('a')
    put('b', next('b'))
    const all = [first.ip, netdb.get('endpoint', 'b')!.value.ip, next('c').ip, next('d').ip]
    t.same([...all].sort(), ['10.0.1.3', '10.0.1.4', '10.0.1.5', '10.0.1.6'])
    t.notOk(first.asked)
    t.equal(first.mac, macFromIpv4(first.ip))
    t.equal(first.ip6, `fd57:1::${first.ip.at(-1)}`)
    t.throws(() => next('e'), { code: 'no_address', message: /5 of 5 held \(10\.0\.1\.0\/29\)/ })
  },
)

t.test('what is asked for is given, or who has it is told', async (t) => {
  const { netdb, next, remote } = world()
  remote('r', 4)
  t.match(next('a', { ip: '10.0.1.5' }), { ip: '10.0.1.5', asked: true, supersedes: [] })
  t.throws(() => next('b', { ip: '10.0.1.5' }), { message: /held by a on h1; choose another/ })
  t.throws(() => next('b', { ip: '10.0.1.4' }), { message: /held by r on h2/ })
  t.match(next('b', { ip: '10.0.1.6', mac: '02:00:00:00:00:07' }), { mac: '02:00:00:00:00:07' })
  netdb.setPresent('h2', false)
  t.same(next('c', { ip: '10.0.1.4' }).supersedes, ['endpoint/r@h2'], 'who is away gives it up')
})

t.test('by its IPv6 address: the IPv4 one has the same number', async (t) => {
  const { next } = world({ facts: true })
  t.match(next('a', { ip6: 'fd57:1::5' }), { ip: '10.0.1.5', ip6: 'fd57:1::5', asked: true })
  t.match(next('b', { ip: '10.0.1.6', ip6: 'fd57:1::6' }), { ip: '10.0.1.6' })
  t.match(next('c1', { ip6: 'fd57:1::2' }), { ip: '10.0.1.3' }, 'what the file reserves, as it is')
  const cases: readonly [AddressWish, string, RegExp][] = [
    [{ ip6: 'fd57:1::5' }, 'address_in_use', /held by a on h1/],
    [{ ip: '10.0.1.4', ip6: 'fd57:1::3' }, 'invalid_argument', /goes with 10\.0\.1\.3, not with/],
    [{ ip6: 'fd57:2::5' }, 'invalid_argument', /is not in network demo \(fd57:1::\/64\)/],
    [{ ip6: 'fd57:1::1' }, 'address_in_use', /is the gateway/],
    [{ ip6: 'fd57:1::1:5' }, 'invalid_argument', /number that no address of 10\.0\.1\.0\/29 has/],
    [{ ip6: 'fd57::1::5' }, 'invalid_argument', /fd57::1::5/],
  ]
  for (const [wish, code, message] of cases)
    t.throws(() => next('z', wish), { code, message }, JSON.stringify(wish))
})

t.test('what was released comes last, until it is forgotten', async (t) => {
  const { netdb, clock, next, put } = world()
  put('a', next('a'))
  const { ip } = netdb.get('endpoint', 'a')!.value
  netdb.remove('endpoint', 'a')
  const others = ['b', 'c', 'd', 'e'].map((name) => next(name).ip)
  t.notOk(others.includes(ip))
  t.equal(next('f').ip, ip, 'rather than none')

  const later = world()
  later.put('a', later.next('a'))
  later.netdb.remove('endpoint', 'a')
  t.not(later.next('b').ip, ip)
  later.clock.now += 120_001
  t.equal(later.next('c').ip, ip)
  t.ok(clock.now > 0)
})

t.test('the facts file reserves: for its own names here, against all others', async (t) => {
  const { next } = world({ facts: true })
  t.match(next('c1'), { ip: '10.0.1.3', ip6: 'fd57:1::2', asked: true })
  const chosen = ['x', 'y', 'z'].map((name) => next(name).ip)
  t.same([...chosen].sort(), ['10.0.1.4', '10.0.1.5', '10.0.1.6'])
  t.throws(() => next('w'), { code: 'no_address' })
  t.throws(() => next('w', { ip: '10.0.1.3' }), { message: /held by c1 on h1/ })
})

t.test('a host that nobody hears chooses nothing', async (t) => {
  const { next } = world({ facts: true, synced: false })
  t.match(next('c1'), { ip: '10.0.1.3' }, 'what is reserved needs no choice')
  t.match(next('x', { ip: '10.0.1.6' }), { ip: '10.0.1.6' }, 'nor what is asked for')
  t.throws(() => next('y'), { code: 'no_address', message: /in no cluster .*--ip/ })
})

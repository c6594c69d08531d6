// Subnets, VNIs and ids of networks: what is chosen, what a user may want, and what is said when it cannot be.

import t from 'tap'
import { type DualSubnet, ipv4Of, ipv6Of, ulaSubnet } from '../../src/ipam/ipv6.ts'
import { networkIdFrom } from '../../src/ipam/network-id.ts'
import { type PlanQuestion, planSubnets } from '../../src/ipam/network-plan.ts'
import { findNetwork } from '../../src/ipam/network-reference.ts'
import { chooseSubnet, subnetPool } from '../../src/ipam/subnet-choice.ts'
import { type Surroundings, surroundingsOf } from '../../src/ipam/surroundings.ts'
import { FIRST_VNI, chooseVni } from '../../src/ipam/vni-choice.ts'
import type { SubnetWish } from '../../src/ipam/wanted-subnets.ts'
import { formatCidr, parseCidr, parseIpv4Cidr, parseIpv6Cidr } from '../../src/net/cidr.ts'
import { numberToIpv4, ipv4ToNumber, parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { isUnicastIpv6, parseIpv6Address } from '../../src/net/ipv6-address.ts'
import type { LiveRecord } from '../../src/netdb/record.ts'
import { Random, SEED } from '../fixtures/random.ts'

const ALONE = { self: 'h1', members: [] }
const NOWHERE: Surroundings = { networks: [], routes: [] }

const around = (networks: Record<string, string>, routes: Record<string, string> = {}) => ({
  networks: Object.entries(networks).map(([cidr, network]) => ({ network, cidr: parseCidr(cidr) })),
  routes: Object.entries(routes).map(([cidr, member]) => ({ member, cidr: parseCidr(cidr) })),
})

function plan(wish: Partial<SubnetWish>, more: Partial<PlanQuestion> = {}) {
  return planSubnets({
    networkId: 'n1',
    wish: { subnets: [], gateways: [], ranges: [], ipv6: false, ...wish },
    surroundings: NOWHERE,
    heldVnis: new Set(),
    contenders: ALONE,
    ...more,
  }).map(({ vni, cidr, gateway, range, cidr6, gateway6 }) =>
    [
      vni,
      formatCidr(cidr),
      gateway,
      ...(range === null ? [] : [formatCidr(range)]),
      ...(cidr6 === null ? [] : [formatCidr(cidr6), gateway6]),
    ].join(' '),
  )
}

t.test('a host alone counts up as Docker does, around what is in the way', async (t) => {
  const networks: Record<string, string> = {}
  const routes = {
    '10.0.4.128/25': 'h1',
    '10.0.6.0/23': 'h2',
    '0.0.0.0/0': 'h1',
    '10.0.9.7/32': 'h3',
  }
  const chosen = Array.from({ length: 5 }, (_, i) => {
    const cidr = formatCidr(chooseSubnet(around(networks, routes), ALONE))
    networks[cidr] = `n${i}`
    return cidr
  })
  t.strictSame(chosen, ['10.0.1.0/24', '10.0.3.0/24', '10.0.5.0/24', '10.0.8.0/24', '10.0.10.0/24'])
  t.equal(formatCidr(chooseSubnet(around({ '10.0.0.0/16': 'big' }), ALONE)), '10.1.0.0/24')
  t.equal(formatCidr(chooseSubnet(around({ 'fd00::/8': 'six' }), ALONE)), '10.0.1.0/24')
  const pool = subnetPool(parseIpv4Cidr('192.168.0.0/16'), 20)
  t.equal(formatCidr(chooseSubnet(NOWHERE, ALONE, pool)), '192.168.0.0/20')

  t.equal(chooseVni(new Set(), ALONE), FIRST_VNI)
  t.equal(chooseVni(new Set([4097, 4098, 4100]), ALONE), 4099)
})

t.test('exhaustion is told with the numbers', async (t) => {
  const pool = subnetPool(parseIpv4Cidr('10.0.0.0/21'), 24)
  const full = around(
    { '10.0.1.0/24': 'a', '10.0.3.128/25': 'b' },
    { '10.0.4.0/22': 'h2', '10.0.6.0/23': 'h1' },
  )
  t.throws(() => chooseSubnet(full, ALONE, pool), {
    code: 'no_address',
    message:
      'no subnet is free: of 8 of /24 in 10.0.0.0/21, 2 held by networks, 4 routed by hosts ' +
      '(the largest routes: 10.0.4.0/22 of h2, 10.0.6.0/23 of h1), 2 kept for ingress or VirtualBox; give one with --subnet',
  })
  t.throws(() => chooseSubnet(around({}, { '10.0.0.0/8': 'h3' }), ALONE), {
    message:
      'no subnet is free: of 65536 of /24 in 10.0.0.0/8, 65536 routed by hosts ' +
      '(the largest routes: 10.0.0.0/8 of h3); give one with --subnet',
  })
  t.throws(() => chooseVni(new Set([7, 8]), ALONE, { first: 7, last: 8 }), {
    code: 'no_address',
    message: 'no VNI is free: all 2 of 7-8 are held by subnets; remove a network',
  })
  const pools = [
    ['10.0.0.0/8', 7, 'the pool 10.0.0.0/8 cannot be cut into /7; use /8 to /30'],
    ['10.0.0.0/8', 31, 'the pool 10.0.0.0/8 cannot be cut into /31; use /8 to /30'],
    [
      '10.0.0.0/8',
      30,
      'the pool 10.0.0.0/8 has more than 1048576 subnets of /30; use larger subnets or a smaller pool',
    ],
  ] as const
  for (const [cidr, length, message] of pools) {
    t.throws(() => subnetPool(parseIpv4Cidr(cidr), length), { code: 'invalid_argument', message })
  }
})

t.test('what is wanted is had', async (t) => {
  t.strictSame(plan({}), ['4097 10.0.1.0/24 10.0.1.1'])
  t.strictSame(plan({ subnets: ['172.30.0.0/24'] }), ['4097 172.30.0.0/24 172.30.0.1'])
  t.strictSame(
    plan({
      subnets: ['10.1.1.0/24', '11.1.1.0/24'],
      gateways: ['11.1.1.254'],
      ranges: ['10.1.1.64/26'],
    }),
    ['4097 10.1.1.0/24 10.1.1.1 10.1.1.64/26', '4098 11.1.1.0/24 11.1.1.254'],
    'a gateway and a range belong to the subnet that they lie in',
  )
  t.strictSame(plan({ subnets: ['10.0.2.0/24'] }), ['4097 10.0.2.0/24 10.0.2.1'], 'by name it may')
  t.strictSame(plan({ subnets: ['10.9.9.0/30'] }), ['4097 10.9.9.0/30 10.9.9.1'])
  t.strictSame(
    plan({ subnets: ['fd57:1::/64'] }),
    ['4097 10.0.1.0/24 10.0.1.1 fd57:1::/64 fd57:1::1'],
    'an IPv6 subnet has an IPv4 one beside it',
  )
  t.strictSame(
    plan({ subnets: ['10.1.0.0/24', 'fd57:1::/120', '10.2.0.0/24'], gateways: ['fd57:1::fe'] }),
    ['4097 10.1.0.0/24 10.1.0.1 fd57:1::/120 fd57:1::fe', '4098 10.2.0.0/24 10.2.0.1'],
  )
  const ula = (number: number) => formatCidr(ulaSubnet('n1', number))
  const both = plan({ subnets: ['10.1.0.0/24', '10.2.0.0/24'], ipv6: true })
  t.match(both[0], ` ${ula(0)} `)
  t.match(both[1], ` ${ula(1)} `)
  const later = plan({ ipv6: true }, { surroundings: around({ [ula(0)]: 'demo' }) })
  t.match(later[0], ` ${ula(1)} `, 'a subnet that is added gets the next prefix')
})

t.test('what cannot be wanted is refused, and what to do is said', async (t) => {
  const surroundings = around(
    { '10.0.0.0/16': 'blue', 'fd57:1::/64': 'blue' },
    { '172.31.1.0/24': 'h1', 'fd99::/48': 'h2', '0.0.0.0/0': 'h1' },
  )
  const rows: readonly (readonly [Partial<SubnetWish>, string, string?])[] = [
    [
      { subnets: ['10.1.0.0'] },
      "'10.1.0.0' is not a subnet; write it as in 10.0.1.0/24 or fd57:1::/64",
    ],
    [{ subnets: ['10.1.0.3/24'] }, "'10.1.0.3/24' has host bits; write 10.1.0.0/24 for the subnet"],
    [
      { subnets: ['10.1.0.0/33'] },
      "'10.1.0.0/33' has no valid prefix length; write 0-32 after the slash",
    ],
    [
      { subnets: ['10.1.0.0/31'] },
      'subnet 10.1.0.0/31 has no room for a gateway and an endpoint; use /30 or shorter',
    ],
    [
      { subnets: ['10.1.0.1/32'] },
      'subnet 10.1.0.1/32 has no room for a gateway and an endpoint; use /30 or shorter',
    ],
    [
      { subnets: ['fd01::/127'] },
      'subnet fd01::/127 has no room for a gateway and an endpoint; use /126 or shorter',
    ],
    [
      { subnets: ['127.1.0.0/16'] },
      'subnet 127.1.0.0/16 overlaps 127.0.0.0/8, which is loopback; use a private one, as 10.0.1.0/24',
    ],
    [
      { subnets: ['10.1.0.0/24', '10.1.0.0/24'] },
      'subnet 10.1.0.0/24 is given twice; give it once',
    ],
    [
      { subnets: ['10.1.0.0/24', '10.1.0.128/25'] },
      'subnets 10.1.0.0/24 and 10.1.0.128/25 overlap; choose others',
    ],
    [
      { subnets: ['10.0.7.0/24'] },
      'subnet 10.0.7.0/24 overlaps 10.0.0.0/16 of network blue; choose another',
      'address_in_use',
    ],
    [
      { subnets: ['10.0.0.0/8'] },
      'subnet 10.0.0.0/8 overlaps 10.0.0.0/16 of network blue; choose another',
      'address_in_use',
    ],
    [
      { subnets: ['fd57:1::/64'] },
      'subnet fd57:1::/64 overlaps fd57:1::/64 of network blue; choose another',
      'address_in_use',
    ],
    [
      { subnets: ['172.31.0.0/16'] },
      'subnet 172.31.0.0/16 overlaps route 172.31.1.0/24 of host h1; choose another',
      'address_in_use',
    ],
    [
      { subnets: ['fd99:0:0:1::/64'] },
      'subnet fd99:0:0:1::/64 overlaps route fd99::/48 of host h2; choose another',
      'address_in_use',
    ],
    [{ gateways: ['10.1.0.1'] }, 'gateway 10.1.0.1 needs its subnet; give that with --subnet'],
    [
      { subnets: ['10.1.0.0/24'], gateways: ['10.2.0.1'] },
      'gateway 10.2.0.1 is outside of 10.1.0.0/24; give one inside, or its subnet with --subnet',
    ],
    [
      { subnets: ['10.1.0.0/24'], gateways: ['10.1.0.0'] },
      'gateway 10.1.0.0 is the network address of 10.1.0.0/24; use another one, as 10.1.0.1',
    ],
    [
      { subnets: ['10.1.0.0/24'], gateways: ['10.1.0.255'] },
      'gateway 10.1.0.255 is the broadcast address of 10.1.0.0/24; use another one, as 10.1.0.1',
    ],
    [
      { subnets: ['10.1.0.0/24'], gateways: ['10.1.0.1', '10.1.0.2'] },
      'subnet 10.1.0.0/24 has two gateways, 10.1.0.1 and 10.1.0.2; give one',
    ],
    [
      { subnets: ['fd01::/64'], gateways: ['fd01::'] },
      'gateway fd01:: is the router anycast address of fd01::/64; use another one, as fd01::1',
    ],
    [{ gateways: ['gw'] }, "'gw' is not an IP address; write it as in 10.0.1.3 or fd57:1::4"],
    [{ ranges: ['10.1.0.0/25'] }, 'ip-range 10.1.0.0/25 needs its subnet; give that with --subnet'],
    [
      { subnets: ['10.1.0.0/24'], ranges: ['10.1.0.0/16'] },
      'ip-range 10.1.0.0/16 is outside of 10.1.0.0/24; give one inside, or its subnet with --subnet',
    ],
    [
      { subnets: ['10.1.0.0/24'], ranges: ['10.1.0.0/31'] },
      'ip-range 10.1.0.0/31 has no address for an endpoint of 10.1.0.0/24 with gateway 10.1.0.1; use a larger one',
    ],
    [
      { subnets: ['10.1.0.0/24'], ranges: ['10.1.0.0/25', '10.1.0.128/25'] },
      'subnet 10.1.0.0/24 has two ip-ranges, 10.1.0.0/25 and 10.1.0.128/25; give one',
    ],
    [
      { subnets: ['10.1.0.0/24', 'fd01::/64'], ranges: ['fd01::/80'] },
      'ip-range fd01::/80 is of IPv6, where addresses follow the IPv4 ones; give an IPv4 range',
    ],
    [
      { subnets: ['fd01::/64', 'fd02::/64'] },
      '2 IPv6 subnets need as many IPv4 ones, and there are 0; give the others with --subnet',
    ],
    [
      { subnets: ['10.1.0.0/24', 'fd01::/121'] },
      'subnet fd01::/121 has fewer addresses than 10.1.0.0/24, which it goes with; use /120 or shorter, as fd01::/64',
    ],
    [
      { subnets: ['fd01::/124'] },
      'subnet fd01::/124 has fewer addresses than 10.1.0.0/24, which it goes with; use /120 or shorter, as fd01::/64',
    ],
  ]
  for (const [wish, message, code = 'invalid_argument'] of rows) {
    t.throws(() => plan(wish, { surroundings }), { code, message }, JSON.stringify(wish))
  }
})

t.test(
  'records tell what is around: subnets of both families, routes, underlay addresses',
  async (t) => {
    const record = (key: string, value: object) => ({ key, value }) as unknown as LiveRecord<never>
    const { networks, routes } = surroundingsOf(
      [record('n1', { name: 'blue' })],
      [
        record('4097', { network: 'n1', cidr: parseIpv4Cidr('10.0.1.0/24'), cidr6: null }),
        record('4098', {
          network: 'n9',
          cidr: parseIpv4Cidr('10.0.3.0/24'),
          cidr6: parseIpv6Cidr('fd01::/64'),
        }),
      ],
      [record('m1', { name: 'h1', vtep: '172.31.1.10', routes: ['192.168.0.0/16'] })],
    )
    t.strictSame(
      networks.map(({ network, cidr }) => `${network} ${formatCidr(cidr)}`),
      ['blue 10.0.1.0/24', 'n9 10.0.3.0/24', 'n9 fd01::/64'],
    )
    t.strictSame(
      routes.map(({ member, cidr }) => `${member} ${formatCidr(cidr)}`),
      ['h1 172.31.1.10/32', 'h1 192.168.0.0/16'],
    )
  },
)

t.test('a network has an IPv6 prefix of its own', async (t) => {
  t.equal(formatCidr(ulaSubnet('n1', 0)), formatCidr(ulaSubnet('n1', 0)))
  t.match(formatCidr(ulaSubnet('n1', 0)), /^fd[0-9a-f:]+::\/64$/)
  const prefixes = Array.from({ length: 1000 }, (_, i) => ulaSubnet(`n${i}`, 0).address)
  t.equal(new Set(prefixes).size, 1000)
  t.throws(() => ulaSubnet('n1', 65_536))
})

t.test(`IPv4 and IPv6 addresses of a subnet name each other, seed ${SEED}`, async (t) => {
  const random = new Random()
  const gateways = [
    '10.0.0.1 fd01::1',
    '10.0.0.254 fd01::1',
    '10.0.0.1 fd01::fe',
    '10.0.0.9 fd01::ffff',
  ]
  for (const text of gateways) {
    const [gateway = '', gateway6 = ''] = text.split(' ')
    const subnet: DualSubnet = {
      cidr: parseIpv4Cidr('10.0.0.0/24'),
      gateway: parseIpv4Address(gateway),
      cidr6: parseIpv6Cidr('fd01::/64'),
      gateway6: parseIpv6Address(gateway6),
    }
    const seen = new Set<string>([gateway6])
    for (let number = 1; number < 255; number++) {
      const ip = numberToIpv4(ipv4ToNumber(subnet.cidr.address) + number)
      if (ip === gateway) continue
      const ip6 = ipv6Of(subnet, ip)!
      t.notOk(seen.has(ip6), `${ip6} of ${ip} is nobody else's, with gateways ${text}`)
      t.ok(isUnicastIpv6(ip6))
      seen.add(ip6)
      t.equal(ipv4Of(subnet, ip6), ip)
    }
  }
  const wide: DualSubnet = {
    cidr: parseIpv4Cidr('10.0.0.0/8'),
    gateway: parseIpv4Address('10.0.0.1'),
    cidr6: parseIpv6Cidr('fd01::a00:0/104'),
    gateway6: parseIpv6Address('fd01::a00:1'),
  }
  for (let i = 0; i < 200; i++) {
    const ip = numberToIpv4(0x0a000002 + random.below(0xfffffc))
    t.equal(ipv4Of(wide, ipv6Of(wide, ip)!), ip)
  }
  t.equal(ipv6Of(wide, parseIpv4Address('10.0.1.3')), 'fd01::a00:103')
  t.equal(ipv4Of(wide, parseIpv6Address('fd02::1')), null)
  t.equal(ipv4Of(wide, parseIpv6Address('fd01::1:a00:1')), null, 'an address beyond the IPv4 half')
  t.equal(ipv6Of({ ...wide, cidr6: null, gateway6: null }, parseIpv4Address('10.0.1.3')), null)
})

t.test(`a network's id is 25 characters of base 36, seed ${SEED}`, async (t) => {
  const random = new Random()
  const ids = Array.from({ length: 1000 }, () => networkIdFrom(random.bytes(17)))
  t.ok(ids.every((id) => /^[0-9a-z]{25}$/.test(id)))
  t.equal(new Set(ids).size, 1000)
  t.match(networkIdFrom(new Uint8Array(17)), /^[0-9a-z]{25}$/)
  t.match(networkIdFrom(new Uint8Array(17).fill(255)), /^[0-9a-z]{25}$/)
  const heads = new Set(ids.map((id) => id[0]))
  t.ok(heads.size > 30, 'the first character is random, too')
  t.throws(() => networkIdFrom(new Uint8Array(16)), { code: 'invalid_argument' })
})

t.test('a network is meant by its id, its name, the beginning of its id', async (t) => {
  const networks = [
    { id: 'abcd', name: 'blue', claimedAt: 9 },
    { id: 'abxy', name: 'blue', claimedAt: 3 },
    { id: 'c0de', name: 'abcd', claimedAt: 1 },
  ]
  const rows = { abcd: 'abcd', blue: 'abxy', abx: 'abxy', c: 'c0de' }
  for (const [text, id] of Object.entries(rows)) t.equal(findNetwork(networks, text).id, id, text)
  t.equal(findNetwork(networks.toReversed(), 'blue').id, 'abxy', 'in any order')
  t.throws(() => findNetwork(networks, 'ab'), {
    code: 'invalid_argument',
    message: "the ids of 2 networks begin with 'ab'; write more of the id",
  })
  for (const text of ['green', '']) {
    t.throws(() => findNetwork(networks, text), {
      code: 'not_found',
      message: `there is no network '${text}'; see weft network ls --all`,
    })
  }
})

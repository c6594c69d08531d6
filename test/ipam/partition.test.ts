// Allocation in two halves of a partition, and after it: how rarely hosts meet, what is found when they do, and that it is made good.

import t from 'tap'
import { chooseAddresses } from '../../src/ipam/address-choice.ts'
import {
  type Claims,
  type EndpointClaim,
  type Finding,
  NO_CLAIMS,
  type NetworkClaim,
  type SubnetClaim,
  type VipClaim,
  collisions,
} from '../../src/ipam/collisions.ts'
import { HeldAddresses } from '../../src/ipam/held-addresses.ts'
import { preferred } from '../../src/ipam/preference.ts'
import { DEFAULT_POOL, chooseSubnet } from '../../src/ipam/subnet-choice.ts'
import { chooseVni } from '../../src/ipam/vni-choice.ts'
import {
  type Cidr,
  cidrsOverlap,
  formatCidr,
  parseCidr,
  parseIpv4Cidr,
} from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { type EncodedRecord, recordName } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { PLAIN } from '../fixtures/records.ts'

function* rising(held: ReadonlySet<number>): Generator<number> {
  for (let number = 0; number < 253; number++) if (!held.has(number)) yield number
}

/** How many of `rounds` partitions have a number twice, when two of `count` members take `each` of 253, and how high they come. */
function meetings(random: Random, count: number, each: number, spread: number, rounds = 100) {
  let met = 0
  let highest = 0
  for (let round = 0; round < rounds; round++) {
    const members = Array.from({ length: count }, () => String(random.next()))
    const halves = members.slice(0, 2).map((self) => {
      const held = new Set<number>()
      for (let i = 0; i < each; i++) {
        held.add(preferred(rising(held), { self, members }, 'n1', spread)!)
      }
      return held
    })
    const [one, other] = halves as [Set<number>, Set<number>]
    if ([...one].some((number) => other.has(number))) met++
    highest += Math.max(...one) / rounds
  }
  return { met, highest }
}

t.test(`two halves seldom take the same, and take low values, seed ${SEED}`, async (t) => {
  const random = new Random()
  const alone = { self: 'h1', members: ['h1'] }
  t.equal(preferred(rising(new Set([0, 1, 3])), alone, 'n1', 64), 2, 'who is alone counts up')
  // Members, numbers that each takes, spread; at most so many of 100 meet, and the highest number on average.
  const rows = [
    [2, 16, 64, 0, 40],
    [3, 16, 64, 0, 65],
    [10, 8, 64, 0, 110],
    [100, 1, 64, 8, 80],
    [100, 4, 64, 20, 210],
    [10, 4, 16, 0, 60],
    [100, 1, 16, 15, 25],
  ] as const
  for (const [count, each, spread, most, highest] of rows) {
    const found = meetings(random, count, each, spread)
    const title = `${count} members, ${each} each, one of ${spread}`
    t.ok(found.met <= most, `${title}: ${found.met} of 100 met`)
    t.ok(found.highest < highest, `${title}: up to ${found.highest.toFixed(0)}`)
  }
})

t.test(
  'an order, not ownership: what another prefers is taken when nothing else is free',
  async (t) => {
    const members = ['a', 'b', 'c']
    for (const self of members) {
      const held = new Set<number>()
      for (let i = 0; i < 253; i++) held.add(preferred(rising(held), { self, members }, 'n1', 64)!)
      t.equal(held.size, 253)
      t.equal(preferred(rising(held), { self, members }, 'n1', 64), undefined)
    }
  },
)

/** An endpoint `key` of `owner`: `IP [MAC] [IPv6]`. */
function claim(
  key: string,
  owner: string,
  claimedAt: number,
  addresses: string,
  supersedes: readonly string[] = [],
): EndpointClaim {
  const [address = '', mac, ip6] = addresses.split(' ')
  const ip = parseIpv4Address(address)
  const value = {
    network: 'n1',
    vni: parseVni(4097),
    name: key,
    mac: mac === undefined || mac === '-' ? macFromIpv4(ip) : macFromIpv4(parseIpv4Address(mac)),
    ip,
    ip6: ip6 === undefined ? null : parseIpv6Address(ip6),
    aliases: [],
    service: null,
    claimedAt,
    supersedes,
  }
  return { kind: 'endpoint', key, owner, value }
}

const NOTHING: Claims = { ...NO_CLAIMS, present: ['h2', 'h1'] }

/** Findings as text, and that they are the same in any order. */
function found(claims: Partial<Claims>): string[] {
  const random = new Random()
  const all = { ...NOTHING, ...claims }
  const findings = collisions(all)
  const again = collisions({
    networks: random.shuffled(all.networks),
    subnets: random.shuffled(all.subnets),
    endpoints: random.shuffled(all.endpoints),
    services: random.shuffled(all.services),
    vips: random.shuffled(all.vips),
    present: random.shuffled(all.present),
  })
  if (JSON.stringify(again) !== JSON.stringify(findings)) throw new Error('the order matters')
  return findings.map(inWords)
}

function inWords(finding: Finding): string {
  const { actor, keeps, loses, repair } = finding
  const what =
    finding.repair === 'readdress'
      ? `${finding.clash} ${finding.address}`
      : finding.kind === 'subnet'
        ? finding.ranges.map(formatCidr).join(' ')
        : finding.kind === 'vni'
          ? `vni ${finding.vni}`
          : `${finding.of} name ${finding.name}`
  return `${what}: ${keeps} keeps, ${loses} loses, ${actor}: ${repair}`
}

t.test(
  'of endpoints that claim one thing the lower claim keeps it, and the owner of the other acts',
  async (t) => {
    const rows: readonly (readonly [string, readonly EndpointClaim[], readonly string[]])[] = [
      ['nobody collides', [claim('a', 'h1', 1, '10.0.1.2'), claim('b', 'h2', 1, '10.0.1.3')], []],
      [
        'the earlier keeps',
        [claim('a', 'h1', 7, '10.0.1.2'), claim('b', 'h2', 5, '10.0.1.2')],
        ['ip 10.0.1.2: endpoint/b@h2 keeps, endpoint/a@h1 loses, h1: readdress'],
      ],
      [
        'at one time the lower owner, then the lower key',
        [
          claim('a', 'h2', 5, '10.0.1.2'),
          claim('b', 'h1', 5, '10.0.1.2'),
          claim('c', 'h1', 5, '10.0.1.2'),
        ],
        [
          'ip 10.0.1.2: endpoint/b@h1 keeps, endpoint/c@h1 loses, h1: readdress',
          'ip 10.0.1.2: endpoint/b@h1 keeps, endpoint/a@h2 loses, h2: readdress',
        ],
      ],
      [
        'a MAC, an IPv6 address',
        [
          claim('a', 'h1', 1, '10.0.1.2 - fd01::2'),
          claim('b', 'h2', 2, '10.0.1.3 10.0.1.2'),
          claim('c', 'h2', 3, '10.0.1.4 - fd01::2'),
        ],
        [
          'mac 02:42:0a:00:01:02: endpoint/a@h1 keeps, endpoint/b@h2 loses, h2: readdress',
          'ip6 fd01::2: endpoint/a@h1 keeps, endpoint/c@h2 loses, h2: readdress',
        ],
      ],
      [
        'who collides with a loser only stays where it is',
        [
          claim('a', 'h1', 1, '10.0.1.2'),
          claim('b', 'h2', 2, '10.0.1.2 10.0.1.9'),
          claim('c', 'h3', 3, '10.0.1.9'),
        ],
        ['ip 10.0.1.2: endpoint/a@h1 keeps, endpoint/b@h2 loses, h2: readdress'],
      ],
      [
        'who was superseded loses although it was first',
        [
          claim('a', 'h1', 1, '10.0.1.2'),
          claim('b', 'h2', 9, '10.0.1.2', ['endpoint/a@h1']),
          claim('c', 'h3', 5, '10.0.1.7'),
        ],
        ['ip 10.0.1.2: endpoint/b@h2 keeps, endpoint/a@h1 loses, h1: readdress'],
      ],
      [
        'who was superseded and has moved is as good as anybody',
        [
          claim('a', 'h1', 1, '10.0.1.3'),
          claim('b', 'h2', 9, '10.0.1.2', ['endpoint/a@h1', 'endpoint/gone@h7']),
          claim('c', 'h3', 5, '10.0.1.3'),
        ],
        ['ip 10.0.1.3: endpoint/a@h1 keeps, endpoint/c@h3 loses, h3: readdress'],
      ],
    ]
    for (const [title, endpoints, expected] of rows)
      t.strictSame(found({ endpoints }), expected, title)
    const other = claim('b', 'h2', 2, '10.0.1.2')
    const elsewhere = { ...other, value: { ...other.value, network: 'n2' } }
    t.strictSame(found({ endpoints: [claim('a', 'h1', 1, '10.0.1.2'), elsewhere] }), [])
  },
)

/** The VIP of a service on n1: `IP [IPv6]`. */
function vip(service: string, owner: string, claimedAt: number, addresses: string): VipClaim {
  const [ip = '', ip6] = addresses.split(' ')
  const value = {
    ...{ service, network: 'n1', claimedAt },
    ip: parseIpv4Address(ip),
    ip6: ip6 === undefined ? null : parseIpv6Address(ip6),
  }
  return { kind: 'vip', key: `${service}/n1`, owner, value }
}

t.test(
  'a VIP keeps and loses as an endpoint does, and the first member that is present acts',
  async (t) => {
    const rows: readonly (readonly [
      string,
      readonly EndpointClaim[],
      readonly VipClaim[],
      readonly string[],
    ])[] = [
      ['its own', [claim('a', 'h3', 1, '10.0.1.3')], [vip('web', 'h3', 1, '10.0.1.2')], []],
      [
        'an endpoint was first',
        [claim('a', 'h3', 4, '10.0.1.2')],
        [vip('web', 'h3', 5, '10.0.1.2')],
        ['ip 10.0.1.2: endpoint/a@h3 keeps, vip/web/n1 loses, h1: readdress'],
      ],
      [
        'an endpoint came later, and another that had its MAC',
        [claim('a', 'h3', 6, '10.0.1.2'), claim('b', 'h2', 7, '10.0.1.9 10.0.1.2')],
        [vip('web', 'h3', 5, '10.0.1.2')],
        [
          'ip 10.0.1.2: vip/web/n1 keeps, endpoint/a@h3 loses, h3: readdress',
          'mac 02:42:0a:00:01:02: vip/web/n1 keeps, endpoint/b@h2 loses, h2: readdress',
        ],
      ],
      [
        'two of them at one time: the lower owner keeps it',
        [],
        [vip('web', 'h3', 5, '10.0.1.2'), vip('db', 'h2', 5, '10.0.1.2')],
        ['ip 10.0.1.2: vip/db/n1 keeps, vip/web/n1 loses, h1: readdress'],
      ],
      [
        'by IPv6 alone; and who collides with a loser only stays',
        [claim('a', 'h3', 1, '10.0.1.7 - fd01::2'), claim('c', 'h3', 9, '10.0.1.2')],
        [vip('web', 'h3', 5, '10.0.1.2 fd01::2')],
        ['ip6 fd01::2: endpoint/a@h3 keeps, vip/web/n1 loses, h1: readdress'],
      ],
    ]
    for (const [title, endpoints, vips, expected] of rows)
      t.strictSame(found({ endpoints, vips }), expected, title)
  },
)

t.test('of services with one name, whatever its case, the older has it', async (t) => {
  const services = [
    { id: 'young', name: 'Web', claimedAt: 9 },
    { id: 'old', name: 'web', claimedAt: 3 },
    { id: 'db', name: 'db', claimedAt: 9 },
  ]
  t.strictSame(found({ services, networks: [{ id: 'n', name: 'web', claimedAt: 1 }] }), [
    'service name Web: old keeps, young loses, h1: tell',
  ])
})

const networks: readonly NetworkClaim[] = [
  { id: 'young', name: 'blue', claimedAt: 9 },
  { id: 'old', name: 'blue', claimedAt: 3 },
  { id: 'aged', name: 'red', claimedAt: 9 },
]

function range(network: string, vni: number, cidr: string, cidr6?: string): SubnetClaim {
  const key = `${network}/${cidr}`
  const six = cidr6 === undefined ? null : parseCidr(cidr6)
  return { key, network, vni: parseVni(vni), cidr: parseCidr(cidr), cidr6: six }
}

t.test(
  'of networks the older keeps its name and VNI, and the first member that is present acts',
  async (t) => {
    t.strictSame(found({ networks }), ['network name blue: old keeps, young loses, h1: tell'])
    t.strictSame(
      found({
        networks,
        subnets: [
          range('young', 4097, '10.0.1.0/24'),
          range('aged', 4097, '10.0.3.0/24', 'fd01::/64'),
          range('old', 4098, '10.0.1.0/25', 'fd01::/48'),
          range('old', 4098, '10.0.1.0/26'),
          range('unknown', 4097, '10.0.0.0/8'),
        ],
      }),
      [
        'network name blue: old keeps, young loses, h1: tell',
        'vni 4098: old/10.0.1.0/25 keeps, old/10.0.1.0/26 loses, h1: renumber',
        'vni 4097: aged/10.0.3.0/24 keeps, young/10.0.1.0/24 loses, h1: renumber',
        '10.0.1.0/25 10.0.1.0/24: old/10.0.1.0/25 keeps, young/10.0.1.0/24 loses, h1: tell',
        '10.0.1.0/26 10.0.1.0/24: old/10.0.1.0/26 keeps, young/10.0.1.0/24 loses, h1: tell',
        '10.0.1.0/25 10.0.1.0/26: old/10.0.1.0/25 keeps, old/10.0.1.0/26 loses, h1: tell',
        'fd01::/48 fd01::/64: old/10.0.1.0/25 keeps, aged/10.0.3.0/24 loses, h1: tell',
      ],
    )
    t.strictSame(
      found({ networks, present: [] }),
      ['network name blue: old keeps, young loses, : tell'],
      'nobody is there to act',
    )
  },
)

/** A host with its table, and what it has written that others have not heard. */
class Host {
  readonly id: string
  readonly netdb: Netdb
  readonly unsent: EncodedRecord[] = []

  constructor(id: string) {
    this.id = id
    this.netdb = new Netdb(id, { everyonePresent: true })
    this.netdb.watchWrites((record) => this.unsent.push(record))
  }

  /** Gives an endpoint addresses; `members`: of whom it has heard. */
  attach(key: string, members: readonly string[]): void {
    const subnets = [
      {
        cidr: parseIpv4Cidr('10.0.1.0/26'),
        gateway: parseIpv4Address('10.0.1.1'),
        cidr6: null,
        gateway6: null,
      },
    ]
    const holders = this.netdb.list('endpoint').map((record) => ({
      ...record.value,
      record: recordName(record),
      who: `${record.value.name} on ${record.owner}`,
      absent: false,
    }))
    const { ip, ip6, mac } = chooseAddresses({
      networkId: 'n1',
      network: 'demo',
      wish: {},
      subnets,
      held: new HeldAddresses(subnets, holders),
      released: new Map(),
      contenders: { self: this.id, members },
    })
    const value = { network: 'n1', vni: parseVni(4097), name: key, mac, ip, ip6, ...PLAIN }
    this.netdb.put('endpoint', key, value)
  }

  findings(): Finding[] {
    return collisions({ ...NOTHING, endpoints: this.netdb.list('endpoint'), present: [this.id] })
  }

  addresses(): string[] {
    return this.netdb.list('endpoint').map(({ value }) => value.ip)
  }
}

/** Everybody in the group hears what the others have written. */
function exchange(group: readonly Host[], random: Random): void {
  const told = group.flatMap((host) => host.unsent.map((record) => ({ host, record })))
  for (const host of group) {
    for (const { record } of random.shuffled(told)) host.netdb.merge(record)
  }
}

t.test(
  `after a partition all come to the same repairs, and nobody shares an address, seed ${SEED}`,
  async (t) => {
    const random = new Random()
    let met = 0
    for (let round = 0; round < 30; round++) {
      const hosts = ['h1', 'h2', 'h3', 'h4'].map((id) => new Host(id))
      const halves = [hosts.slice(0, 2), hosts.slice(2)]
      // The worst case: the halves have not heard of each other, so both count from below.
      for (let i = 0; i < 12; i++) {
        const half = random.pick(halves)
        const members = half.map(({ id }) => id)
        random.pick(half).attach(`e${i}`, members)
        exchange(half, random)
      }
      exchange(hosts, random)
      let rounds = 0
      for (; rounds < 10; rounds++) {
        const all = hosts.map((host) => JSON.stringify(host.findings()))
        t.equal(new Set(all).size, 1, 'every host finds the same')
        if (all[0] === '[]') break
        met++
        const members = hosts.map(({ id }) => id)
        const before = new Map(
          hosts[0]!.netdb.list('endpoint').map((one) => [recordName(one), one]),
        )
        const losers = new Set(hosts[0]!.findings().map(({ loses }) => loses))
        // All at once: none hears of the others' repairs before its own are done.
        for (const host of hosts) {
          for (const { loses, actor } of host.findings()) {
            if (actor === host.id) host.attach(before.get(loses)!.key, members)
          }
        }
        exchange(hosts, random)
        const moved = hosts[0]!.netdb
          .list('endpoint')
          .filter((one) => one.value.ip !== before.get(recordName(one))?.value.ip)
        t.ok(
          moved.every((one) => losers.has(recordName(one))),
          'only losers move',
        )
      }
      t.ok(rounds <= 3, `${rounds} rounds of repairs`)
      for (const host of hosts) {
        t.equal(host.addresses().length, 12)
        t.equal(new Set(host.addresses()).size, 12, 'no address twice')
      }
    }
    t.ok(met > 10, `${met} rounds of repairs in all: they do meet`)
  },
)

t.test(`networks of two halves are told apart again, seed ${SEED}`, async (t) => {
  const random = new Random()
  let told = 0
  for (let round = 0; round < 40; round++) {
    const members = ['h1', 'h2', 'h3']
    const claims: { networks: NetworkClaim[]; subnets: SubnetClaim[] } = {
      networks: [],
      subnets: [],
    }
    for (const self of members) {
      // Each alone, and half of them without knowing the others.
      const contenders = { self, members: random.once(2) ? members : [] }
      const vnis = new Set<number>()
      const ranges: Cidr[] = []
      for (let i = 0; i < 3; i++) {
        const id = `${self}-${i}`
        const vni = chooseVni(vnis, contenders)
        const around = { networks: ranges.map((cidr) => ({ network: 'x', cidr })), routes: [] }
        const cidr = chooseSubnet(around, contenders, DEFAULT_POOL)
        vnis.add(vni)
        ranges.push(cidr)
        claims.networks.push({ id, name: `net${random.below(5)}`, claimedAt: 1 + random.below(9) })
        claims.subnets.push({ key: id, network: id, vni, cidr, cidr6: null })
      }
    }
    const findings = collisions({ ...NOTHING, ...claims })
    const held = new Set<number>(claims.subnets.map(({ vni }) => vni))
    const subnets = new Map(claims.subnets.map((subnet) => [subnet.key, subnet]))
    for (const finding of findings) {
      if (finding.kind !== 'vni') continue
      const vni = chooseVni(held, { self: finding.actor, members })
      held.add(vni)
      subnets.set(finding.loses, { ...subnets.get(finding.loses)!, vni })
    }
    const repaired = [...subnets.values()]
    t.equal(new Set(repaired.map(({ vni }) => vni)).size, repaired.length, 'each VNI once')
    const pairs = repaired.flatMap((one, index) =>
      repaired.slice(0, index).filter((other) => cidrsOverlap(one.cidr, other.cidr)),
    )
    const ofSubnets = findings.filter(({ kind }) => kind === 'subnet')
    t.equal(ofSubnets.length, pairs.length, 'every pair that overlaps is told')
    told += pairs.length
    const names = new Set(claims.networks.map(({ name }) => name)).size
    const ofNames = findings.filter(({ kind }) => kind === 'name')
    t.equal(ofNames.length, claims.networks.length - names)
    const again = collisions({ ...NOTHING, networks: claims.networks, subnets: repaired })
    t.notOk(again.some(({ kind }) => kind === 'vni'))
  }
  t.ok(told > 0, 'they do meet')
})

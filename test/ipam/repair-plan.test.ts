// What each host does about collisions: its part and nothing else; and that all parts together leave nothing that collides.

import t from 'tap'
import { chooseAddresses } from '../../src/ipam/address-choice.ts'
import { HeldAddresses } from '../../src/ipam/held-addresses.ts'
import { type RepairAction, findingName, planRepair } from '../../src/ipam/repair-plan.ts'
import { chooseVni } from '../../src/ipam/vni-choice.ts'
import { parseIpv4Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { type EncodedRecord, recordName, subnetKey } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { PLAIN, network } from '../fixtures/records.ts'

class Host {
  readonly netdb: Netdb
  readonly unsent: EncodedRecord[] = []
  readonly asked = new Set<string>()
  /** Of endpoints that are not on a /24. */
  readonly prefixLengths = new Map<string, number>()
  readonly members: readonly string[]

  constructor(id: string, members: readonly string[]) {
    this.members = members
    this.netdb = new Netdb(id, { everyonePresent: true })
    this.netdb.watchWrites((record) => this.unsent.push(record))
  }

  network(id: string, name: string, vni: number, subnet = '10.0.1.0/24'): void {
    this.netdb.put('network', id, { ...network(name) })
    this.subnet(id, vni, subnet)
  }

  subnet(id: string, vni: number, subnet: string): void {
    const cidr = parseIpv4Cidr(subnet)
    const gateway = parseIpv4Address(cidr.address.replace(/0$/, '1'))
    const none = { cidr6: null, gateway6: null, range: null }
    const value = { network: id, vni: parseVni(vni), cidr, gateway, ...none }
    this.netdb.put('subnet', subnetKey(value), value)
  }

  /** On the first subnet of the network. */
  endpoint(key: string, networkId: string, address: string, asked = false): void {
    if (asked) this.asked.add(key)
    const subnet = this.netdb.list('subnet').find(({ value }) => value.network === networkId)
    const ip = parseIpv4Address(address)
    const { vni } = subnet!.value
    const value = { network: networkId, vni, name: key, mac: macFromIpv4(ip), ip, ip6: null }
    this.netdb.put('endpoint', key, { ...value, ...PLAIN })
  }

  /** A service with a VIP on the network. */
  service(id: string, name: string, networkId: string, address: string): void {
    const value = { name, endpointMode: 'vip', scheduler: 'rr', networks: [networkId] } as const
    this.netdb.put('service', id, { ...value, labels: {}, createdAtMs: 0 })
    this.vip(`${id}/${networkId}`, address)
  }

  vip(key: string, address: string): void {
    const [service = '', network = ''] = key.split('/')
    const ip = parseIpv4Address(address)
    this.netdb.put('vip', key, { service, network, ip, ip6: null })
  }

  plan(present: readonly string[] = this.members) {
    const { netdb, members, asked, prefixLengths } = this
    return planRepair({
      self: netdb.self,
      networks: netdb.list('network'),
      subnets: netdb.list('subnet'),
      endpoints: [...netdb.list('endpoint'), ...netdb.listHidden('endpoint')],
      services: netdb.list('service'),
      vips: netdb.list('vip'),
      present,
      contenders: { self: netdb.self, members },
      specOf: (key) => ({ asked: asked.has(key), prefixLength: prefixLengths.get(key) ?? 24 }),
    })
  }

  carryOut(actions: readonly RepairAction[]): void {
    for (const action of actions) {
      if (action.kind === 'renumber') {
        this.netdb.put('subnet', action.subnet, action.value)
        continue
      }
      if (action.kind === 'revip') {
        const { network } = this.netdb.get('vip', action.vip)!.value
        this.vip(action.vip, this.freeOn(network))
        continue
      }
      if (action.kind === 'discard') {
        this.netdb.remove('vip', action.vip)
        continue
      }
      const { endpoint: key } = action
      const { value } = this.netdb.get('endpoint', key, this.netdb.self)!
      if (action.kind === 'stop') this.netdb.remove('endpoint', key)
      else if (action.kind === 'follow')
        this.netdb.put('endpoint', key, { ...value, vni: action.vni })
      else this.endpoint(key, value.network, this.freeOn(value.network))
    }
  }

  freeOn(networkId: string): string {
    const { netdb, members } = this
    const subnets = netdb
      .list('subnet')
      .filter(({ value }) => value.network === networkId)
      .map(({ value }) => value)
    const holders = [...netdb.list('endpoint'), ...netdb.list('vip')]
      .filter(({ value }) => value.network === networkId)
      .map((one) => ({
        ...{ mac: macFromIpv4(one.value.ip), ...one.value },
        ...{ record: recordName(one), who: one.key, absent: false },
      }))
    return chooseAddresses({
      networkId,
      network: networkId,
      wish: {},
      subnets,
      held: new HeldAddresses(subnets, holders),
      released: new Map(),
      contenders: { self: netdb.self, members },
    }).ip
  }
}

const IDS = ['h1', 'h2', 'h3'] as const
/** What h1 takes instead of 4097. */
const preferred = chooseVni(new Set([4097]), { self: 'h1', members: IDS })

function hosts(): [Host, Host, Host] {
  return IDS.map((id) => new Host(id, IDS)) as [Host, Host, Host]
}

/** Everybody hears what the others have written. */
function exchange(all: readonly Host[]): void {
  for (const { unsent } of all)
    for (const record of unsent.splice(0)) for (const { netdb } of all) netdb.merge(record)
}

function inWords(action: RepairAction): string {
  switch (action.kind) {
    case 'readdress':
    case 'stop':
      return `${action.kind} ${action.endpoint}: ${action.finding.keeps} keeps ${action.finding.address}`
    case 'renumber':
      return `renumber ${action.subnet} to ${action.value.vni}`
    case 'revip':
      return `revip ${action.vip}: ${action.finding.keeps} keeps ${action.finding.address}`
    case 'discard':
      return `discard ${action.vip}`
    case 'follow':
      return `${action.endpoint} follows to ${action.vni}`
  }
}

const wordsOf = (host: Host, present?: readonly string[]): string[] =>
  host.plan(present).actions.map(inWords)

t.test(
  'each host does its part: the owner for endpoints, the first for what is shared',
  async (t) => {
    const all = hosts()
    const [h1, h2, h3] = all
    h1.network('n1', 'demo', 4097)
    exchange(all)
    t.same(
      all.flatMap((host) => wordsOf(host)),
      [],
      'nothing collides',
    )

    h1.endpoint('a', 'n1', '10.0.1.2')
    h3.network('other', 'demo', 4097, '10.0.2.0/24')
    h3.endpoint('away', 'n1', '10.0.1.2')
    h3.endpoint('fixed', 'n1', '10.0.1.9', true)
    h3.endpoint('of-other', 'other', '10.0.2.7')
    h2.endpoint('taken', 'n1', '10.0.1.9')
    exchange(all)
    t.same(wordsOf(h3), [
      'readdress away: endpoint/a@h1 keeps 10.0.1.2',
      'stop fixed: endpoint/taken@h2 keeps 10.0.1.9',
    ])
    t.same(wordsOf(h1), [`renumber other/10.0.2.0/24 to ${preferred}`])
    t.same(wordsOf(h2), [])
    t.same(
      wordsOf(h2, ['h2', 'h3']).map((text) => text.replace(/\d+$/, '')),
      ['renumber other/10.0.2.0/24 to '],
      'while h1 is away, the next one',
    )
    t.equal(new Set(all.map((host) => JSON.stringify(host.plan().findings))).size, 1)
    t.same(h1.plan().findings.map(findingName), [
      'name other n1',
      'vni other/10.0.2.0/24 n1/10.0.1.0/24',
      'endpoint endpoint/away@h3 endpoint/a@h1',
      'endpoint endpoint/fixed@h3 endpoint/taken@h2',
    ])

    const claim = h3.netdb.get('endpoint', 'of-other')?.value.claimedAt
    h1.carryOut(h1.plan().actions)
    exchange(all)
    t.same(
      wordsOf(h3).filter((text) => text.includes('follows')),
      [`of-other follows to ${preferred}`],
      'endpoints follow their subnet',
    )
    h3.carryOut(h3.plan().actions)
    exchange(all)
    t.equal(h1.netdb.get('endpoint', 'of-other')?.value.vni, preferred)
    t.equal(h1.netdb.get('endpoint', 'of-other')?.value.claimedAt, claim, 'and keep their claims')
    t.same(
      all.flatMap((host) => wordsOf(host)),
      [],
    )
    t.same(h1.plan().findings.map(findingName), ['name other n1'], 'a name is told, not changed')
  },
)

t.test(
  'who is on one of two subnets that lie in each other follows that one, whichever came first',
  async (t) => {
    for (const [first, second] of [
      ['10.0.1.0/24', '10.0.1.0/25'],
      ['10.0.1.0/25', '10.0.1.0/24'],
    ] as const) {
      const [h1] = hosts()
      h1.network('n1', 'demo', 4097, first)
      h1.subnet('n1', 4098, second)
      const [wide, narrow] = first === '10.0.1.0/24' ? [4097, 4098] : [4098, 4097]
      for (const [key, address, vni, length] of [
        ['wide', '10.0.1.4', wide, 24],
        ['narrow', '10.0.1.5', narrow, 25],
      ] as const) {
        h1.endpoint(key, 'n1', address)
        h1.prefixLengths.set(key, length)
        const { value } = h1.netdb.get('endpoint', key)!
        h1.netdb.put('endpoint', key, { ...value, vni: parseVni(vni) })
      }
      t.same(wordsOf(h1), [], `${first} first`)
      h1.subnet('n1', 4200, '10.0.1.0/24')
      t.same(wordsOf(h1), ['wide follows to 4200'])
      h1.netdb.remove('subnet', 'n1/10.0.1.0/24')
      t.same(wordsOf(h1), [`wide follows to ${narrow}`], 'its own is gone')
    }
  },
)

t.test(
  'a VIP is moved by the first member, and an endpoint that took one by its owner',
  async (t) => {
    const all = hosts()
    const [h1, h2, h3] = all
    h1.network('n1', 'demo', 4097)
    exchange(all)
    // Each on its own: h2's are the older ones.
    h2.service('s2', 'web', 'n1', '10.0.1.2')
    h2.endpoint('first', 'n1', '10.0.1.3')
    for (let i = 0; i < 9; i++) h3.netdb.nextVersion()
    h3.service('s3', 'web', 'n1', '10.0.1.2')
    h3.service('db', 'db', 'n1', '10.0.1.3')
    h3.service('far', 'far', 'n1', '10.0.1.4')
    exchange(all)
    for (let i = 0; i < 9; i++) h1.netdb.nextVersion()
    h1.endpoint('late', 'n1', '10.0.1.4')
    exchange(all)
    t.same(wordsOf(h1), [
      'readdress late: vip/far/n1 keeps 10.0.1.4',
      'revip s3/n1: vip/s2/n1 keeps 10.0.1.2',
      'revip db/n1: endpoint/first@h2 keeps 10.0.1.3',
    ])
    t.same([...wordsOf(h2), ...wordsOf(h3)], [])
    t.equal(
      wordsOf(h2, ['h2', 'h3']).length,
      2,
      'while h1 is away, the next one, but for endpoints',
    )
    t.same(h3.plan().findings.map(findingName), [
      'name s3 s2',
      'vip vip/s3/n1 vip/s2/n1',
      'vip vip/db/n1 endpoint/first@h2',
      'endpoint endpoint/late@h1 vip/far/n1',
    ])
    h1.carryOut(h1.plan().actions)
    exchange(all)
    t.same(
      all.flatMap((host) => wordsOf(host)),
      [],
    )
    const vips = h2.netdb.list('vip').map(({ value }) => value.ip)
    t.equal(new Set(vips).size, 4)
    t.equal(h2.netdb.get('vip', 's2/n1')?.value.ip, '10.0.1.2')
  },
)

t.test('a VIP of no service is in nobody’s way, and the first member takes it back', async (t) => {
  const all = hosts()
  const [h1, h2] = all
  h1.network('n1', 'demo', 4097)
  h1.service('s1', 'web', 'n1', '10.0.1.2')
  exchange(all)
  h2.netdb.remove('vip', 's1/n1')
  h2.netdb.remove('service', 's1')
  for (let i = 0; i < 9; i++) h1.netdb.nextVersion()
  h1.vip('s1/n1', '10.0.1.7')
  exchange(all)
  for (let i = 0; i < 9; i++) h2.netdb.nextVersion()
  h2.endpoint('e', 'n1', '10.0.1.7')
  exchange(all)
  t.same(wordsOf(h1), ['discard s1/n1'])
  t.same(wordsOf(h2), [])
  h1.carryOut(h1.plan().actions)
  exchange(all)
  t.same(h2.netdb.list('vip'), [])
  t.same(
    all.flatMap((host) => wordsOf(host)),
    [],
  )
})

t.test('what stands in a facts file is not written', async (t) => {
  const [h1] = hosts()
  h1.network('n1', 'made', 4097)
  const { value } = h1.netdb.list('subnet')[0]!
  h1.netdb.assume('network', 'file', 'h1', { ...network('file'), claimedAt: 0 })
  h1.netdb.assume('network', 'file2', 'h1', { ...network('file2'), claimedAt: 0 })
  for (const id of ['file', 'file2'])
    h1.netdb.assume('subnet', `${id}/10.9.0.0/24`, 'h1', { ...value, network: id })
  t.same(wordsOf(h1), [`renumber n1/10.0.1.0/24 to ${preferred}`])
})

t.test(`whatever was claimed, repairs end and leave nothing twice, seed ${SEED}`, async (t) => {
  const random = new Random()
  let most = 0
  for (let round = 0; round < 60; round++) {
    const all = hosts()
    all[0].network('shared', 'shared', 4097, '10.0.0.0/24')
    exchange(all)
    for (const host of all) {
      const { self } = host.netdb
      const own = `${self}-net`
      host.network(own, `net${random.below(2)}`, 4097 + random.below(3), '10.0.1.0/24')
      for (let i = 0; i < 6; i++) {
        const [id, third] = random.once(2) ? ['shared', 0] : [own, 1]
        host.endpoint(`${self}-${i}`, id, `10.0.${third}.${2 + random.below(8)}`, random.once(4))
      }
      for (let i = 0; i < 3; i++)
        host.service(`${self}-s${i}`, `s${i}`, 'shared', `10.0.0.${2 + random.below(8)}`)
    }
    let rounds = 0
    for (; rounds < 12; rounds++) {
      exchange(all)
      const plans = all.map((host) => host.plan().actions)
      if (plans.every((actions) => actions.length === 0)) break
      // All at once: none hears of the others' repairs before its own are done.
      for (const [index, host] of all.entries()) host.carryOut(plans[index]!)
    }
    most = Math.max(most, rounds)
    for (const { netdb } of all) {
      const endpoints = netdb.list('endpoint')
      const claimed = [...endpoints, ...netdb.list('vip')].map(
        ({ value }) => `${value.network} ${value.ip}`,
      )
      t.equal(new Set(claimed).size, claimed.length, 'no address twice')
      const vnis = new Map(netdb.list('subnet').map(({ value }) => [value.network, value.vni]))
      t.equal(new Set(vnis.values()).size, 4, 'no VNI twice')
      t.ok(
        endpoints.every(({ value }) => vnis.get(value.network) === value.vni),
        'endpoints are where their subnets are',
      )
    }
  }
  t.ok(most >= 2 && most <= 6, `${most} rounds of repairs at most`)
})

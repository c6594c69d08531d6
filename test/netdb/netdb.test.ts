// netdb: records merge to the same table in any order, and watchers see how it came about. The facts file as their source.

import t from 'tap'
import {
  FactsSource,
  networkIdOf,
  reservationsOf,
  statementsOf,
} from '../../src/facts/facts-source.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { compareVersions, replaces } from '../../src/netdb/merge.ts'
import { type MemberValue, type NetdbRecord, recordName } from '../../src/netdb/record.ts'
import { type Change, Netdb } from '../../src/netdb/table.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { FACTS, readFacts } from '../fixtures/switchboard.ts'

const WRITERS = ['h1', 'h2', 'h3', 'h4']
const KINDS = ['member', 'network', 'subnet', 'endpoint'] as const

const member = (last: number): MemberValue => ({
  name: `m${last}`,
  vtep: parseIpv4Address(`172.31.0.${last}`),
})

/** As gossip may bring them: `count` writes of few keys, some of them removals; no writer uses a time twice. */
function writes(random: Random, count: number): NetdbRecord[] {
  const lamports = new Map(WRITERS.map((writer) => [writer, 0]))
  return Array.from({ length: count }, () => {
    const writer = random.pick(WRITERS)
    const lamport = (lamports.get(writer) ?? 0) + 1 + random.below(3)
    lamports.set(writer, lamport)
    return {
      kind: 'member',
      key: `m${random.below(8)}`,
      owner: random.pick(WRITERS),
      version: { lamport, writer },
      value: random.once(4) ? null : member(random.below(200)),
    }
  })
}

function tableOf(records: readonly NetdbRecord[]): string {
  const netdb = new Netdb('h9')
  for (const record of records) netdb.merge(record)
  return shown(netdb)
}

function shown(netdb: Netdb): string {
  const all = KINDS.flatMap((kind) => netdb.list(kind).map((record) => JSON.stringify(record)))
  return all.sort().join('\n')
}

/** Which of two versions of a record stands, as a function of the two. */
const join = (one: NetdbRecord, other: NetdbRecord): NetdbRecord =>
  replaces(other, one) ? other : one

t.test(`merge (seed ${SEED})`, async (t) => {
  const random = new Random()
  const all = writes(random, 400)
  let [commutes, associates, repeats] = [0, 0, 0]
  for (let i = 0; i < 2000; i++) {
    const key = random.pick(all).key
    const some = all.filter((record) => record.key === key)
    const [x, y, z] = [random.pick(some), random.pick(some), random.pick(some)]
    if (join(x, y) === join(y, x)) commutes++
    if (join(join(x, y), z) === join(x, join(y, z))) associates++
    if (join(x, x) === x && join(join(x, y), y) === join(x, y)) repeats++
  }
  t.strictSame(
    [commutes, associates, repeats],
    [2000, 2000, 2000],
    'commutes, associates, and takes no notice of repetition',
  )

  const expected = tableOf(all)
  const tables = new Set<string>()
  for (let i = 0; i < 100; i++) {
    const twice = random.shuffled([...all, ...all.filter(() => random.once(3))])
    tables.add(tableOf(twice))
  }
  t.strictSame([...tables], [expected], '100 orders, some heard twice: one table')

  const half = random.shuffled(all)
  const [left, right] = [half.slice(0, 200), half.slice(200)]
  t.equal(
    tableOf([...right, ...left]),
    expected,
    'the halves of a partition, whichever comes first',
  )
})

t.test('versions are totally ordered', async (t) => {
  const versions = [1, 2, 3, 10].flatMap((lamport) =>
    WRITERS.map((writer) => ({ lamport, writer })),
  )
  const wrong: unknown[] = []
  for (const [i, one] of versions.entries()) {
    for (const [j, other] of versions.entries()) {
      if (Math.sign(compareVersions(one, other)) !== Math.sign(i - j)) wrong.push([one, other])
    }
  }
  t.strictSame(wrong, [], 'by time, then by writer')
})

t.test('a fact is written, changed, removed', async (t) => {
  const netdb = new Netdb('h1')
  t.equal(netdb.get('member', 'm1'), undefined)
  netdb.remove('member', 'm1')
  t.equal(netdb.nextVersion().lamport, 1, 'the removal of nothing is no write')
  netdb.put('member', 'm1', member(1))
  const written = netdb.get('member', 'm1')
  t.strictSame(written, {
    kind: 'member',
    key: 'm1',
    owner: 'h1',
    version: { lamport: 2, writer: 'h1' },
    value: member(1),
  })
  t.equal(netdb.find(recordName(written!)), written)
  t.equal(netdb.find('member/m2'), undefined)
  t.equal(netdb.get('network', 'm1'), undefined, 'kinds do not mix')
  netdb.remove('member', 'm1')
  t.equal(netdb.get('member', 'm1'), undefined)
  t.strictSame(netdb.list('member'), [])
  netdb.remove('member', 'm1')
  t.equal(netdb.nextVersion().lamport, 4, 'nor is the removal of what is removed')
  t.notOk(netdb.merge(written!), 'an older write that comes late loses to the tombstone')
  t.ok(netdb.merge({ ...written!, version: { lamport: 5, writer: 'h0' } }), 'a newer one does not')
  t.strictSame(netdb.get('member', 'm1')?.value, member(1))
})

t.test('the time of a write is later than all that its writer has seen', async (t) => {
  const netdb = new Netdb('h1')
  const from = (lamport: number): NetdbRecord => ({
    kind: 'member',
    key: 'm1',
    owner: 'h2',
    version: { lamport, writer: 'h2' },
    value: member(1),
  })
  netdb.merge(from(1000))
  netdb.put('member', 'm1', member(2))
  t.strictSame(netdb.get('member', 'm1')?.version, { lamport: 1001, writer: 'h1' })
  t.notOk(netdb.merge(from(900)), 'an older write is refused')
  t.ok(netdb.merge(from(1001)), 'of two at one time the later name stands')
  netdb.merge(from(2000))
  netdb.remove('member', 'm1')
  t.strictSame(netdb.nextVersion(), { lamport: 2002, writer: 'h1' })
})

t.test(`watchers see every change, in order (seed ${SEED})`, async (t) => {
  const random = new Random()
  const netdb = new Netdb('h9')
  const changes: Change[] = []
  const end = netdb.watch((change) => changes.push(change))
  for (const record of random.shuffled(writes(random, 300))) {
    const before = netdb.find(recordName(record))
    const count = changes.length
    const changed = netdb.merge(record)
    if (changed !== (changes.length === count + 1)) t.fail('merge says what watchers see')
    const last = changes.at(-1)
    if (changed && (last?.before !== before || last?.after !== netdb.find(recordName(record)))) {
      t.fail('a change has both sides')
    }
  }
  const replayed = new Map<string, NetdbRecord>()
  for (const { before, after } of changes) {
    for (const record of [before, after]) {
      if (record === undefined) continue
      if (record === after) replayed.set(recordName(record), record)
      else replayed.delete(recordName(record))
    }
  }
  const lines = [...replayed.values()].map((record) => JSON.stringify(record)).sort()
  t.equal(lines.join('\n'), shown(netdb), 'who follows the changes has the table')
  const count = changes.length
  end()
  netdb.put('member', 'm1', member(9))
  t.equal(changes.length, count, 'until the watch ends')
})

t.test('facts are records of the hosts that they speak of', async (t) => {
  const facts = readFacts(FACTS)
  const statements = statementsOf(facts, 'h1')
  const owners = (kind: string): string[] => [
    ...new Set(statements.filter((s) => s.kind === kind).map(({ owner }) => owner)),
  ]
  t.strictSame(owners('member'), ['h1', 'h2', 'h3'])
  t.strictSame(owners('network'), ['h1'], 'what everybody may write is ours')
  t.strictSame(owners('subnet'), ['h1'])
  t.strictSame(
    owners('endpoint'),
    ['h2', 'h3'],
    "this host's own are reservations until they are attached",
  )
  t.strictSame(
    reservationsOf(facts, 'h1').map(({ name }) => name),
    ['a', 'b', 'd', 'r'],
  )
  t.match(networkIdOf('blue'), /^[0-9a-z]{25}$/)
  t.not(networkIdOf('blue'), networkIdOf('red'))
})

t.test('a changed facts file changes what it changes', async (t) => {
  const netdb = new Netdb('h1')
  const source = new FactsSource(netdb, 'h1')
  const changed: string[] = []
  netdb.watch(({ before, after }) => {
    const record = after ?? before
    changed.push(
      `${before === undefined ? '+' : after === undefined ? '-' : '~'} ${recordName(record!)}`,
    )
  })
  const told = (yaml: string): string[] => {
    source.apply(readFacts(yaml))
    return changed.splice(0).sort()
  }
  t.equal(told(FACTS).length, 3 + 3 + 5 + 6, 'members, networks, subnets, endpoints of others')
  t.strictSame(told(FACTS), [], 'the same again: nothing')
  t.strictSame(told(FACTS.replace('192.168.1.12', '192.168.1.13')), ['~ member/h2'])
  t.strictSame(told(FACTS), ['~ member/h2'], 'and back')
  t.strictSame(
    told(FACTS.replace('host: h2, network: blue, name: c', 'host: h3, network: blue, name: c')),
    ['+ endpoint/h3.blue.c', '- endpoint/h2.blue.c'],
  )
  t.strictSame(told(FACTS), ['+ endpoint/h2.blue.c', '- endpoint/h3.blue.c'])
  t.strictSame(told(FACTS.replace('mtu: 9000', 'mtu: 8000')), [`~ network/${networkIdOf('red')}`])
  const alone = FACTS.replace(/ {2}- \{ host: h[23].*\n/g, '')
  t.strictSame(told(alone), [
    '- endpoint/h2.blue.c',
    '- endpoint/h2.blue.e',
    '- endpoint/h2.far.x',
    '- endpoint/h2.red.s',
    '- endpoint/h3.blue.g',
    '- endpoint/h3.blue.k',
    `~ network/${networkIdOf('red')}`,
  ])
})

// netdb: records merge to the same table in any order, and watchers see how it came about. The facts file as their source.

import t from 'tap'
import {
  FactsSource,
  networkIdOf,
  reservationsOf,
  statementsOf,
} from '../../src/facts/facts-source.ts'
import { compareVersions, replaces } from '../../src/netdb/merge.ts'
import { type EncodedRecord, type NetdbRecord, recordName } from '../../src/netdb/record.ts'
import { type Change, Netdb } from '../../src/netdb/table.ts'
import { Random, SEED } from '../fixtures/random.ts'
import {
  digestOf,
  endpoint,
  member,
  network,
  servedOf,
  tableOf,
  written,
} from '../fixtures/records.ts'
import { FACTS, readFacts } from '../fixtures/switchboard.ts'

const WRITERS = ['h1', 'h2', 'h3', 'h4']

/** As gossip may bring them: `count` writes of few keys, some of them removals; no writer uses a time twice, but a liar. */
function writes(random: Random, count: number): EncodedRecord[] {
  const lamports = new Map(WRITERS.map((writer) => [writer, 0]))
  return Array.from({ length: count }, () => {
    const writer = random.pick(WRITERS)
    const lamport = (lamports.get(writer) ?? 0) + random.below(4)
    lamports.set(writer, lamport)
    const gone = random.once(4)
    const last = random.below(200)
    const key = `${random.below(8)}`
    const at = lamport + 1
    if (random.once(2)) return written(writer, at, 'endpoint', key, gone ? null : endpoint(last))
    const maker = random.pick(WRITERS)
    return written(writer, at, 'network', key, gone ? null : network(`n${last}`), maker)
  })
}

function filled(records: readonly EncodedRecord[]): Netdb {
  const netdb = new Netdb('h9', { everyonePresent: true })
  for (const record of records) netdb.merge(record)
  return netdb
}

const shown = (netdb: Netdb): string => servedOf(netdb).join('\n')

/** Which of two versions of a record stands, as a function of the two. */
const join = (one: EncodedRecord, other: EncodedRecord): EncodedRecord =>
  replaces(other, one) ? other : one
const same = (one: EncodedRecord, other: EncodedRecord): boolean =>
  Buffer.compare(one.encoded, other.encoded) === 0

t.test(`merge (seed ${SEED})`, async (t) => {
  const random = new Random()
  const all = writes(random, 400)
  let [commutes, associates, repeats] = [0, 0, 0]
  for (let i = 0; i < 2000; i++) {
    const { name } = random.pick(all)
    const some = all.filter((record) => record.name === name)
    const [x, y, z] = [random.pick(some), random.pick(some), random.pick(some)]
    if (same(join(x, y), join(y, x))) commutes++
    if (same(join(join(x, y), z), join(x, join(y, z)))) associates++
    if (join(x, x) === x && same(join(join(x, y), y), join(x, y))) repeats++
  }
  t.strictSame(
    [commutes, associates, repeats],
    [2000, 2000, 2000],
    'commutes, associates, and takes no notice of repetition',
  )

  const expected = filled(all)
  const [tables, digests, served] = [new Set<string>(), new Set<string>(), new Set<string>()]
  for (let i = 0; i < 100; i++) {
    const netdb = filled(random.shuffled([...all, ...all.filter(() => random.once(3))]))
    tables.add(tableOf(netdb))
    digests.add(digestOf(netdb))
    served.add(shown(netdb))
  }
  t.strictSame([...tables], [tableOf(expected)], '100 orders, some heard twice: one table')
  t.strictSame([...digests], [digestOf(expected)], 'one digest')
  t.strictSame([...served], [shown(expected)], 'and the same is served')

  const half = random.shuffled(all)
  const [left, right] = [half.slice(0, 200), half.slice(200)]
  t.equal(
    tableOf(filled([...right, ...left])),
    tableOf(expected),
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
  t.equal(netdb.get('network', 'n1'), undefined)
  netdb.remove('network', 'n1')
  t.equal(netdb.nextVersion().lamport, 1, 'the removal of nothing is no write')
  const put = netdb.put('network', 'n1', network('blue'))
  const record = netdb.get('network', 'n1')
  t.equal(record, put)
  t.strictSame(record, {
    kind: 'network',
    key: 'n1',
    owner: 'h1',
    version: { lamport: 2, writer: 'h1' },
    value: { ...network('blue'), claimedAt: 2 },
  })
  t.equal(netdb.find(recordName(record!)), record)
  t.equal(netdb.find('network/n2'), undefined)
  t.equal(netdb.get('subnet', 'n1'), undefined, 'kinds do not mix')
  netdb.remove('network', 'n1')
  t.equal(netdb.get('network', 'n1'), undefined)
  t.strictSame(netdb.list('network'), [])
  netdb.remove('network', 'n1')
  t.equal(netdb.nextVersion().lamport, 4, 'nor is the removal of what is removed')
  const late = written('h2', 2, 'network', 'n1', network('red'))
  t.notOk(netdb.merge(late), 'an older write that comes late loses to the tombstone')
  t.ok(netdb.merge(written('h0', 5, 'network', 'n1', network('red'))), 'a newer one does not')
  t.equal(netdb.get('network', 'n1')?.value.name, 'red')
  netdb.put('network', 'n1', network('green'))
  t.equal(netdb.get('network', 'n1')?.owner, 'h0', 'what is shared stays with whoever made it')
})

t.test('the time of a write is later than all that its writer has seen', async (t) => {
  const netdb = new Netdb('h1')
  const from = (lamport: number): EncodedRecord =>
    written('h2', lamport, 'network', 'n1', network('blue'))
  netdb.merge(from(1000))
  netdb.put('network', 'n1', network('red'))
  t.strictSame(netdb.get('network', 'n1')?.version, { lamport: 1001, writer: 'h1' })
  t.notOk(netdb.merge(from(900)), 'an older write is refused')
  t.ok(netdb.merge(from(1001)), 'of two at one time the later name stands')
  netdb.merge(from(2000))
  netdb.remove('network', 'n1')
  t.strictSame(netdb.nextVersion(), { lamport: 2002, writer: 'h1' })

  t.notOk(netdb.merge(from(2002 + 2 ** 32 + 1)), 'a time that nobody reaches by writing')
  t.equal(netdb.counters().refused.lamport_ahead, 1, 'is refused')
  t.equal(netdb.nextVersion().lamport, 2003, 'and does not use up the clock')
  t.ok(netdb.merge(from(2003 + 2 ** 32)))
})

t.test(`watchers see every change, in order (seed ${SEED})`, async (t) => {
  const random = new Random()
  const netdb = new Netdb('h9', { everyonePresent: true })
  const changes: Change[] = []
  const end = netdb.watch((change) => changes.push(change))
  for (const record of random.shuffled(writes(random, 300))) {
    const before = netdb.find(record.name)
    netdb.merge(record)
    const after = netdb.find(record.name)
    if (before === after) continue
    const last = changes.at(-1)
    if (last?.before !== before || last?.after !== after) t.fail('a change has both sides')
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
  netdb.put('network', 'n1', network('blue'))
  t.equal(changes.length, count, 'until the watch ends')
})

t.test('a watcher that writes: the others hear of it after what it heard', async (t) => {
  const netdb = new Netdb('h1')
  const heard: string[] = []
  netdb.watch(({ after }) => {
    if (after?.key === 'n1') netdb.put('network', 'n2', network('second'))
  })
  netdb.watch(({ after }) => heard.push(after?.key ?? '-'))
  netdb.put('network', 'n1', network('first'))
  t.strictSame(heard, ['n1', 'n2'])
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
    ['+ endpoint/h3.blue.c@h3', '- endpoint/h2.blue.c@h2'],
  )
  t.strictSame(told(FACTS), ['+ endpoint/h2.blue.c@h2', '- endpoint/h3.blue.c@h3'])
  t.strictSame(told(FACTS.replace('mtu: 9000', 'mtu: 8000')), [`~ network/${networkIdOf('red')}`])
  const alone = FACTS.replace(/ {2}- \{ host: h[23].*\n/g, '')
  t.strictSame(told(alone), [
    '- endpoint/h2.blue.c@h2',
    '- endpoint/h2.blue.e@h2',
    '- endpoint/h2.far.x@h2',
    '- endpoint/h2.red.s@h2',
    '- endpoint/h3.blue.g@h3',
    '- endpoint/h3.blue.k@h3',
    `~ network/${networkIdOf('red')}`,
  ])
})

t.test(
  'what a facts file says is assumed: served, never sent, until somebody says it himself',
  async (t) => {
    const netdb = new Netdb('h1')
    new FactsSource(netdb, 'h1').apply(readFacts(FACTS))
    t.equal(netdb.stored.count, 0, 'nothing is held')
    t.equal(
      netdb.get('member', 'h2')?.value.vtep,
      '192.168.1.12',
      'of a host that nobody calls present',
    )
    t.equal(netdb.nameOfMember('h2'), 'h2')
    const changes: Change[] = []
    netdb.watch((change) => changes.push(change))
    netdb.merge(written('h2', 1, 'member', 'h2', member(2)))
    t.equal(netdb.get('member', 'h2'), undefined, 'a record replaces it, also one that is hidden')
    netdb.setPresent('h2', true)
    t.equal(netdb.get('member', 'h2')?.value.vtep, '172.31.0.2')
    t.equal(netdb.nameOfMember('h2'), 'm2')
    netdb.merge(written('h2', 2, 'member', 'h2', null))
    t.equal(netdb.get('member', 'h2')?.value.vtep, '192.168.1.12', 'and leaves it when it goes')
    netdb.unassume('member', 'h2', 'h2')
    t.equal(netdb.get('member', 'h2'), undefined)
    t.equal(changes.length, 4, 'watchers see each of these')
  },
)

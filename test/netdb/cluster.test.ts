// The table in a cluster: who is served, what is defended, what ends after a day, what is compared and kept.

import t from 'tap'
import { recordName } from '../../src/netdb/record.ts'
import { RESUME_LEAP, encodeSnapshot, isLongAway, loadSnapshot } from '../../src/netdb/snapshot.ts'
import { type Change, Netdb, type NetdbOptions } from '../../src/netdb/table.ts'
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
import { VirtualClock } from '../fixtures/virtual-clock.ts'

const HOUR_MS = 3_600_000

function clocked(self: string, options: NetdbOptions = {}): { netdb: Netdb; clock: VirtualClock } {
  const clock = new VirtualClock()
  return { netdb: new Netdb(self, { nowMs: () => clock.nowMs(), ...options }), clock }
}

/** `+`, `-` or `~` and the name, for each change. */
function followed(netdb: Netdb): () => string[] {
  const changes: Change[] = []
  netdb.watch((change) => changes.push(change))
  return () =>
    changes.splice(0).map(({ before, after }) => {
      const sign = before === undefined ? '+' : after === undefined ? '-' : '~'
      return `${sign} ${recordName((after ?? before)!)}`
    })
}

t.test('what an absent member owns is hidden, and comes back whole', async (t) => {
  const { netdb, clock } = clocked('h1')
  const seen = followed(netdb)
  netdb.merge(written('h2', 1, 'member', 'h2', member(2)))
  netdb.merge(written('h2', 2, 'endpoint', 'a', endpoint(1)))
  netdb.merge(written('h2', 3, 'network', 'n1', network('blue')))
  t.strictSame(seen(), ['+ network/n1'], 'of a member that nobody has told of')
  t.equal(netdb.stored.count, 3, 'it is held')
  t.equal(netdb.nameOfMember('h2'), 'm2', 'and its name is known')
  t.equal(netdb.nameOfMember('h3'), 'h3')
  t.strictSame(
    netdb.listHidden('endpoint').map(({ key }) => key),
    ['a'],
    'with its addresses',
  )

  netdb.setPresent('h2', true)
  t.strictSame(seen(), ['+ member/h2', '+ endpoint/a@h2'])
  t.equal(netdb.get('endpoint', 'a'), netdb.find('endpoint/a@h2'), 'found without its owner')
  const digest = digestOf(netdb)
  netdb.setPresent('h2', false)
  netdb.setPresent('h2', false)
  t.strictSame(seen(), ['- member/h2', '- endpoint/a@h2'])
  t.strictSame([netdb.get('endpoint', 'a'), netdb.list('member')], [undefined, []])
  t.equal(digestOf(netdb), digest, 'it is compared all the same')
  netdb.merge(written('h2', 4, 'endpoint', 'a', null))
  netdb.merge(written('h2', 5, 'endpoint', 'b', endpoint(2)))
  t.strictSame(seen(), [], 'and goes on behind the curtain')
  clock.runFor(HOUR_MS)
  netdb.setPresent('h2', true)
  t.strictSame(seen(), ['+ member/h2', '+ endpoint/b@h2'])

  netdb.put('endpoint', 'mine', endpoint(3))
  netdb.setPresent('h1', false)
  t.ok(netdb.get('endpoint', 'mine'), 'this host is always present')
  t.ok(
    new Netdb('h1', { everyonePresent: true }).merge(written('h2', 1, 'member', 'h2', member(2))),
  )
})

t.test("an owned record is only its owner's", async (t) => {
  const netdb = new Netdb('h1', { everyonePresent: true })
  netdb.merge(written('h2', 10, 'endpoint', 'a', endpoint(1)))
  t.ok(
    netdb.merge(written('h3', 99, 'endpoint', 'a', endpoint(2))),
    'another says he has one of that id',
  )
  t.equal(netdb.find('endpoint/a@h2')?.version.lamport, 10, 'which touches nothing')
  t.equal(netdb.get('endpoint', 'a')?.owner, 'h2', 'the earlier claim is found')
  t.equal(netdb.get('endpoint', 'a', 'h3')?.owner, 'h3')
  netdb.remove('endpoint', 'a')
  t.equal(netdb.list('endpoint').length, 2, 'nor does a host remove what is not its own')
})

t.test('what an expelled member owns is dropped, and refused from then on', async (t) => {
  const netdb = new Netdb('h1')
  netdb.setPresent('h2', true)
  netdb.merge(written('h2', 1, 'endpoint', 'a', endpoint(1)))
  netdb.merge(written('h2', 1, 'network', 'n1', network('blue')))
  const seen = followed(netdb)
  const setting = { availability: 'active', labels: {} } as const
  netdb.put('node', 'h2', { ...setting, expelled: true })
  t.strictSame(seen(), ['+ node/h2', '- endpoint/a@h2'], 'what it shared stays')
  t.notOk(netdb.merge(written('h2', 9, 'endpoint', 'b', endpoint(2))))
  t.equal(netdb.counters().refused.expelled, 1)
  netdb.put('node', 'h2', { ...setting, expelled: false })
  t.ok(netdb.merge(written('h2', 9, 'endpoint', 'b', endpoint(2))), 'until it is taken back')

  const late = new Netdb('h3')
  late.merge(written('h1', 5, 'node', 'h2', { ...setting, expelled: true }))
  t.notOk(late.merge(written('h2', 1, 'endpoint', 'a', endpoint(1))), 'also when it comes later')

  const itself = new Netdb('h2')
  itself.put('endpoint', 'a', endpoint(1))
  itself.merge(written('h1', 5, 'node', 'h2', { ...setting, expelled: true }))
  t.ok(itself.get('endpoint', 'a'), 'it keeps what runs on it')
})

t.test('tombstones stand for a day', async (t) => {
  const { netdb, clock } = clocked('h1')
  netdb.put('network', 'n1', network('blue'))
  netdb.remove('network', 'n1')
  const old = written('h2', 1, 'network', 'n1', network('blue'))
  clock.runFor(24 * HOUR_MS - 1)
  netdb.dropAged()
  t.notOk(netdb.merge(old), 'so long an older write loses')
  const entry = netdb.stored.get('network/n1')!
  clock.runFor(1)
  const ageMs = netdb.ageMs(entry)
  netdb.dropAged()
  t.equal(netdb.stored.count, 0)
  t.equal(netdb.receive(entry.held.encoded, ageMs), null, 'from a host that has it still')
  t.equal(netdb.counters().refused.too_old, 1, 'it is not taken again')
  t.ok(netdb.receive(entry.held.encoded, ageMs - 1_000)?.news, 'or for what is left of its day')
  clock.runFor(1_000)
  netdb.dropAged()
  t.equal(netdb.stored.count, 0)
})

t.test('what a member owned ends with it, or a day after it was seen last', async (t) => {
  const { netdb, clock } = clocked('h1')
  const tell = (key: string, ageMs = 0) =>
    netdb.receive(written('h2', 1, 'endpoint', key, endpoint(1)).encoded, ageMs)
  netdb.setPresent('h2', true)
  tell('a')
  netdb.setPresent('h2', false)
  clock.runFor(23 * HOUR_MS)
  netdb.dropAged()
  t.equal(netdb.stored.count, 1)
  t.equal(netdb.ageMs(netdb.stored.get('endpoint/a@h2')!), 23 * HOUR_MS)
  clock.runFor(HOUR_MS)
  netdb.dropAged()
  t.equal(netdb.stored.count, 0)
  t.equal(tell('a'), null, 'whoever forgets it later cannot give it back')
  netdb.setPresent('h2', true)
  t.ok(tell('a')?.news, 'but the member can come back')
  netdb.forget('h2')
  t.equal(netdb.stored.count, 0, 'gossip may forget it as well')
  t.equal(netdb.counters().refused.forgotten, 1)
  clock.runFor(24 * HOUR_MS)
  netdb.dropAged()
  t.ok(tell('a', 20 * HOUR_MS)?.news, 'where nobody knows it, the age comes with the record')
  clock.runFor(4 * HOUR_MS)
  netdb.dropAged()
  t.equal(netdb.stored.count, 0)
})

t.test('a host defends what it has said', async (t) => {
  const { netdb, clock } = clocked('h1')
  const sent: string[] = []
  netdb.watchWrites(({ name, tombstone, version }) =>
    sent.push(`${name} ${tombstone ? 'gone' : 'so'} ${version.lamport}`),
  )
  netdb.put('endpoint', 'a', endpoint(1))
  const { claimedAt } = netdb.get('endpoint', 'a')!.value
  t.equal(claimedAt, 1)
  sent.length = 0
  t.notOk(netdb.merge(written('h1', 50, 'endpoint', 'a', endpoint(2))), 'a forged value')
  t.strictSame(sent, ['endpoint/a@h1 so 51'], 'is overruled')
  t.strictSame(netdb.get('endpoint', 'a')?.value, endpoint(1))
  t.notOk(netdb.merge(written('h1', 60, 'endpoint', 'a', null)))
  t.equal(sent.length, 1, 'not more than once a second')
  clock.runFor(1_000)
  netdb.merge(written('h1', 60, 'endpoint', 'a', null))
  t.equal(sent[1], 'endpoint/a@h1 so 61', 'a forged removal, too')
  netdb.merge(written('h1', 70, 'endpoint', 'ghost', endpoint(3)))
  t.equal(sent[2], 'endpoint/ghost@h1 gone 71', 'what it does not have it takes back')
  const fork = written('h1', 61, 'endpoint', 'a', endpoint(4))
  netdb.merge(fork)
  t.equal(netdb.counters().forked, 1, 'the same version with another value')
  t.equal(netdb.get('endpoint', 'a')?.value.ip, '10.0.0.1')
  netdb.remove('endpoint', 'a')
  sent.length = 0
  clock.runFor(1_000)
  netdb.merge(written('h1', 200, 'endpoint', 'a', endpoint(1)))
  t.strictSame(sent, ['endpoint/a@h1 gone 201'], 'what it has removed stays removed')
  t.ok(netdb.merge(written('h1', 300, 'endpoint', 'old', null)), 'its past removals do no harm')
  t.equal(netdb.counters().defended, 4)
})

t.test(
  'a claim outlives rewrites, restarts and defence, and ends with the addresses',
  async (t) => {
    const { netdb } = clocked('h1')
    netdb.nextVersion()
    const claim = (key = 'a'): number => netdb.get('endpoint', key)!.value.claimedAt
    netdb.put('endpoint', 'a', endpoint(1))
    t.equal(claim(), 2)
    netdb.put('endpoint', 'a', { ...endpoint(1), name: 'renamed' })
    t.equal(claim(), 2, 'written again')
    netdb.put('endpoint', 'a', endpoint(2))
    t.equal(claim(), 4, 'another address')
    netdb.put('endpoint', 'b', endpoint(3))
    netdb.merge(written('h1', 90, 'endpoint', 'b', endpoint(3, 3)))
    t.strictSame(
      [claim('b'), netdb.get('endpoint', 'b')?.version.lamport],
      [3, 91],
      'of its own past',
    )
    netdb.put('endpoint', 'c', endpoint(5), 200)
    t.strictSame(
      [claim('c'), netdb.get('endpoint', 'c')?.version.lamport],
      [200, 201],
      'as its sandbox knows it, where the records of before were not written down',
    )
    netdb.put('endpoint', 'a', endpoint(2), 300)
    t.equal(claim(), 4, 'but what is held knows better')
  },
)

t.test('adoption: what was put again stays, the rest of the past is taken back', async (t) => {
  const before = new Netdb('h1')
  before.put('endpoint', 'kept', endpoint(1))
  before.put('endpoint', 'lost', endpoint(2))
  before.put('network', 'n1', network('blue'))
  const netdb = new Netdb('h1', { adopting: true })
  const seen = followed(netdb)
  t.equal(loadSnapshot(netdb, encodeSnapshot(before, 0), 0), null)
  t.strictSame(seen(), ['+ network/n1'], 'the past is not served')
  netdb.put('endpoint', 'kept', endpoint(1))
  t.equal(netdb.get('endpoint', 'kept')?.value.claimedAt, 1, 'the claim is the old one')
  t.strictSame(seen(), ['+ endpoint/kept@h1'])
  netdb.ready()
  t.strictSame(seen(), [])
  t.ok(netdb.stored.get('endpoint/lost@h1')?.held.tombstone)
  t.notOk(netdb.stored.get('endpoint/kept@h1')?.held.tombstone)

  const cluster = new Netdb('h2', { everyonePresent: true })
  for (const { held } of before.stored.entries()) cluster.merge(held)
  const blank = new Netdb('h1')
  blank.watchWrites((record) => cluster.merge(record))
  blank.put('endpoint', 'kept', endpoint(1))
  for (const { held } of cluster.stored.entries()) blank.receive(held.encoded)
  t.strictSame(
    cluster.list('endpoint').map(({ key, value }) => [key, value.claimedAt]),
    [['kept', 1]],
    'without a snapshot the cluster tells a host its past',
  )
  t.equal(tableOf(blank), tableOf(cluster))
})

t.test('the table is bounded', async (t) => {
  const limits = { records: 100, factsOfOwner: 40, tombstonesOfOwner: 10 }
  const netdb = new Netdb('h1', { everyonePresent: true, limits })
  const other = new Netdb('h3', { everyonePresent: true, limits })
  const random = new Random()
  for (let i = 1; i <= 200; i++) netdb.merge(written('h2', i, 'endpoint', `e${i}`, endpoint(i)))
  t.equal(netdb.stored.count, 40, 'facts of one owner')
  t.equal(netdb.counters().refused.owner_full, 160)
  t.ok(netdb.merge(written('h2', 300, 'endpoint', 'e1', endpoint(7))), 'those it has may change')

  const removals = Array.from({ length: 60 }, (_, i) =>
    written('h4', 400 + i, 'endpoint', `r${i}`, null),
  )
  for (const removal of random.shuffled(removals)) netdb.merge(removal)
  for (const removal of random.shuffled(removals)) other.merge(removal)
  const tombstones = (from: Netdb): string =>
    [...from.stored.entries()]
      .flatMap(({ held }) => (held.tombstone ? held.name : []))
      .sort()
      .join()
  t.equal(netdb.stored.count, 50, 'tombstones of one owner')
  t.equal(tombstones(netdb), tombstones(other), 'the latest, in whichever order they came')

  for (let i = 0; i < 100; i++) netdb.merge(written(`w${i}`, 500, 'endpoint', 'e', endpoint(1)))
  t.equal(netdb.stored.count, 100, 'all records; facts take the place of tombstones')
  t.equal(tombstones(netdb), '')
  t.equal(netdb.counters().refused.table_full, 40)
  t.throws(() => netdb.put('network', 'n1', network('blue')), { code: 'unavailable' })
})

t.test(`digests are equal when tables are, and only then (seed ${SEED})`, async (t) => {
  const random = new Random()
  const [one, other] = [new Netdb('h8'), new Netdb('h9')]
  let [equal, wrong] = [0, 0]
  for (let i = 1; i <= 3_000; i++) {
    const writer = random.pick(['h1', 'h2', 'h3'])
    const gone = random.once(3)
    const key = `${random.below(5)}`
    const record = random.once(2)
      ? written(writer, i, 'endpoint', key, gone ? null : endpoint(random.below(9)))
      : written(writer, i, 'network', key, gone ? null : network(`n${random.below(9)}`))
    if (!random.once(20)) one.merge(record)
    if (!random.once(20)) other.merge(record)
    if (random.once(50)) one.setPresent(writer, random.once(2))
    if (random.once(100)) {
      for (const { held } of [...one.stored.entries()]) other.merge(held)
      for (const { held } of [...other.stored.entries()]) one.merge(held)
    }
    const same = tableOf(one) === tableOf(other)
    if (same) equal++
    if (same !== (digestOf(one) === digestOf(other))) wrong++
  }
  t.equal(wrong, 0)
  t.ok(equal > 10, `${equal} times they were equal`)
  const fresh = new Netdb('h7')
  for (const { held } of one.stored.entries()) fresh.merge(held)
  t.equal(digestOf(fresh), digestOf(one), 'whatever came and went before')
})

t.test('a snapshot brings back the table, and nothing that is not whole', async (t) => {
  const { netdb, clock } = clocked('h1')
  netdb.put('network', 'n1', network('blue'))
  netdb.put('network', 'n2', network('red'))
  netdb.remove('network', 'n2')
  netdb.merge(written('h2', 40, 'endpoint', 'a', endpoint(1)))
  clock.runFor(HOUR_MS)
  const saved = encodeSnapshot(netdb, 1_000_000)
  const load = (
    bytes: Uint8Array,
    wallMs: number,
    trust?: 'own' | 'all',
  ): { problem: string | null; netdb: Netdb } => {
    const fresh = clocked('h1', { adopting: true })
    fresh.clock.runFor(5)
    return { problem: loadSnapshot(fresh.netdb, bytes, wallMs, trust), netdb: fresh.netdb }
  }
  const loaded = load(saved, 1_000_000 + HOUR_MS)
  t.equal(loaded.problem, null)
  t.equal(tableOf(loaded.netdb), tableOf(netdb))
  t.equal(digestOf(loaded.netdb), digestOf(netdb))
  t.strictSame(servedOf(loaded.netdb), servedOf(netdb))
  const { lamport } = loaded.netdb.nextVersion()
  t.equal(lamport, 41 + RESUME_LEAP, 'later than what was written after it was saved')
  const ages = [...loaded.netdb.stored.entries()].map((entry) => loaded.netdb.ageMs(entry))
  t.strictSame(ages.sort(), [0, 2 * HOUR_MS, 2 * HOUR_MS], 'what ages did so meanwhile')
  t.equal(load(saved, 0).problem, null, 'a wall clock that was set back')

  const late = load(saved, 1_000_000 + 25 * HOUR_MS)
  t.equal(late.problem, null)
  t.equal(late.netdb.stored.count, 0, 'after more than a day what was shared is discarded')
  t.notOk(isLongAway(saved, 1_000_000 + 23 * HOUR_MS))
  t.ok(isLongAway(saved, 1_000_000 + 25 * HOUR_MS))
  const together = load(saved, 1_000_000 + 25 * HOUR_MS, 'all')
  t.equal(together.problem, null)
  t.strictSame(
    together.netdb.list('network').map(({ key }) => key),
    ['n1'],
    'unless the others were away as long',
  )

  const random = new Random()
  const flipped = (at: number): Uint8Array => saved.map((byte, i) => (i === at ? byte ^ 1 : byte))
  t.equal(load(new Uint8Array(), 0).problem, 'it has only 0 bytes')
  t.equal(load(flipped(0), 0).problem, 'it is no snapshot of weft')
  t.equal(load(flipped(6), 0).problem, 'it has format 0, this weft reads 1')
  t.equal(load(flipped(60), 0).problem, 'its checksum is wrong')
  t.equal(load(saved.subarray(0, -1), 0).problem, 'its checksum is wrong')
  for (let i = 0; i < 2_000; i++) {
    const bytes = random.mutated(saved)
    if (Buffer.compare(bytes, saved) === 0) continue
    const { problem, netdb: fresh } = load(bytes, 0)
    if (problem === null || fresh.stored.count > 0)
      t.fail(`loaded ${Buffer.from(bytes).toString('hex')}`)
  }
})

// The tables: batches, many rows, and the programmer that derives rows from records.

import t from 'tap'
import { Dataplane } from '../../src/dataplane/binding.ts'
import { encodePut, encodeRemove } from '../../src/dataplane/batch.ts'
import { Programmer } from '../../src/dataplane/programmer.ts'
import type { BackendState, FdbRow, Row, ServiceRow } from '../../src/dataplane/rows.ts'
import { networkIdOf } from '../../src/facts/facts-source.ts'
import { bytesToIpv4, parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { bytesToMac, parseMacAddress } from '../../src/net/mac-address.ts'
import { parseIpv4Cidr, parseIpv6Cidr } from '../../src/net/cidr.ts'
import { parseVni } from '../../src/net/vni.ts'
import { encodeRecord } from '../../src/netdb/codec.ts'
import { type NetdbRecord, type Written, isOwned, recordName } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { type Entry, ShadowTables, TABLES, readBatch } from '../fixtures/batches.ts'
import { ethernet, packet, pattern, u32, vxlan } from '../fixtures/frames.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { PLAIN, network as networkValue } from '../fixtures/records.ts'
import { ENDPOINTS, FACTS, GATEWAYS, MTU, Switchboard } from '../fixtures/switchboard.ts'

const { a, b, c, g } = ENDPOINTS
const SELF = 'h1'
const BLUE = networkIdOf('blue')

/** A data plane that is nobody's: rows are put by hand. */
function bare(): Dataplane {
  const dataplane = new Dataplane({
    address: parseIpv4Address('172.31.1.11'),
    vxlanPort: 4789,
    workers: 0,
    memory: true,
  })
  dataplane.start(() => undefined)
  return dataplane
}

const frame = (from: string, to: string): Uint8Array =>
  ethernet({ from, to }, packet(0x88b5, pattern(46)))

/** All that stand; endpoints first, so that no record meets what it speaks of. */
function recordsOf(netdb: Netdb): NetdbRecord[] {
  const kinds = ['endpoint', 'subnet', 'network', 'member'] as const
  return kinds.flatMap((kind) => netdb.list(kind) as NetdbRecord[])
}

const merge = (netdb: Netdb, record: NetdbRecord): boolean => netdb.merge(encodeRecord(record))

/** As if its writer had written the same again. */
function rewrite(netdb: Netdb, record: NetdbRecord): void {
  const { lamport } = netdb.nextVersion()
  merge(netdb, { ...record, version: { lamport, writer: record.owner } })
}

/** One batch that makes all the rows of the pictured network. */
function goodBatch(): Uint8Array {
  const batches: Uint8Array[] = []
  const board = new Switchboard()
  const programmer = new Programmer({
    netdb: board.netdb,
    self: SELF,
    mtu: MTU,
    apply: (batch) => batches.push(batch),
  })
  for (const record of ['a', 'b', 'd', 'r']) {
    const network = record === 'r' ? 'red' : 'blue'
    programmer.setPort(`h1.${network}.${record}`, board.portOf(record))
  }
  // It begins with the records that there are.
  programmer.flush()
  board.close()
  return Buffer.concat(batches)
}

t.test('a batch is understood in both languages', async (t) => {
  const entries = readBatch(goodBatch())
  t.ok(entries !== null)
  const count = (table: string): number => entries!.filter((entry) => entry.table === table).length
  t.strictSame(Object.fromEntries(TABLES.map((table) => [table, count(table)])), {
    // The subnets of blue and red; far has no endpoint here.
    network: 4,
    port: 4,
    fdb: 9,
    // Address and link-local address of each, IPv6 of five; gateways: three times two, and two of IPv6.
    neighbour: 9 * 2 + 5 + 4 * 2 + 2,
    router: 2,
    // Not our own.
    vtep: 2,
    service: 0,
  })
})

/** Services, which no record makes. */
function serviceBatch(): Uint8Array {
  const backend = (ip: string, vni: number, weight: number, state: BackendState) => ({
    record: 9,
    ip: ip.includes(':') ? parseIpv6Address(ip) : parseIpv4Address(ip),
    vni,
    weight,
    state,
  })
  const row = (vip: string, more: Partial<ServiceRow>): Uint8Array =>
    encodePut({
      table: 'service',
      vni: 4097,
      vip: vip.includes(':') ? parseIpv6Address(vip) : parseIpv4Address(vip),
      record: 8,
      service: 2 ** 40 + 7,
      mac: parseMacAddress('02:42:0a:00:01:c8'),
      scheduler: 'rr',
      ports: [],
      backends: [],
      ...more,
    })
  return Buffer.concat([
    row('10.0.1.200', {
      backends: [backend(b.ip, 4097, 3, 'healthy'), backend(c.ip, 4097, 1, 'draining')],
      ports: [{ protocol: 6, port: 80, target: 8080 }],
    }),
    row('fd57:1::c8', { scheduler: 'lc', backends: [backend(b.ip6, 4097, 256, 'dead')] }),
    row('10.0.1.201', { scheduler: 'maglev', backends: [backend(b.ip, 4098, 0, 'lost')] }),
    row('10.0.1.202', { scheduler: 'sh' }),
  ])
}

t.test(`malformed batches are refused whole (seed ${SEED})`, async (t) => {
  const random = new Random()
  const dataplane = bare()
  t.teardown(() => {
    dataplane.stop()
  })
  const good = Buffer.concat([goodBatch(), serviceBatch()])
  const shadow = new ShadowTables()
  dataplane.openMemory(1)
  dataplane.openMemory(2)
  const isTaken = (batch: Uint8Array): boolean => {
    try {
      dataplane.apply(batch)
      return true
    } catch {
      return false
    }
  }
  t.ok(isTaken(good))
  shadow.apply(good)

  /** What native shows of its tables, against what the batches so far come to. */
  const difference = (): string | null => {
    const native = [
      ...dataplane.fdbEntries().map(({ vni, mac, port, vtep }) => `${vni}/${mac} ${port ?? vtep}`),
      ...dataplane.neighbourEntries().map(({ vni, ip, mac }) => `${vni}/${ip} ${mac}`),
      ...dataplane
        .serviceEntries()
        .map(({ vni, vip, backends }) => `${vni}/${vip} ${backends.map(({ ip }) => ip)}`),
    ]
    const expected = [
      ...[...shadow.tables.get('fdb')!].map(
        ([key, row]) => `${key} ${row!['port'] === 0 ? row!['vtep'] : row!['port']}`,
      ),
      ...[...shadow.tables.get('neighbour')!].map(([key, row]) => `${key} ${row!['mac']}`),
      ...[...shadow.tables.get('service')!].map(([key, row]) => {
        const backends = row!['backends'] as readonly { ip: string }[]
        return `${key} ${backends.map(({ ip }) => ip)}`
      }),
    ]
    const same = native.sort().join('\n') === expected.sort().join('\n')
    return same ? null : `native:\n${native.join('\n')}\nexpected:\n${expected.join('\n')}`
  }
  t.equal(difference(), null)

  const entries = entriesOf(good)
  /** Back to the good rows: what good batches were made by chance leave their rows behind. */
  const reset = (): void => {
    for (const batch of [removalOfAll(), good]) {
      if (!isTaken(batch)) throw new Error('a good batch is refused')
      shadow.apply(batch)
    }
  }
  const removalOfAll = (): Uint8Array =>
    Buffer.concat(
      [...shadow.tables].flatMap(([table, rows]) =>
        [...rows.keys()].map((key) => removalOf(table, key)),
      ),
    )

  let taken = 0
  const wrong: string[] = []
  const rounds = 10_000
  for (let round = 0; round < rounds && wrong.length === 0; round++) {
    const some = random.below(entries.length)
    const batch = random.mutated(Buffer.concat(entries.slice(some, some + 1 + random.below(6))))
    const was = isTaken(batch)
    if (was !== (readBatch(batch) !== null)) wrong.push(`${was ? 'taken' : 'not'}: ${hexOf(batch)}`)
    if (was) {
      taken++
      shadow.apply(batch)
      // Whatever rows it has made, frames that meet them do no harm.
      for (const to of [b.mac, c.mac, GATEWAYS.blue1.mac, 'ff:ff:ff:ff:ff:ff']) {
        dataplane.injectFromPort(1 + random.below(2), frame(a.mac, to), {}, 0n)
      }
    }
    if (round % 20 === 0) {
      const found = difference()
      if (found !== null) wrong.push(`after ${hexOf(batch)}\n${found}`)
    }
    if (round % 100 === 0) reset()
  }
  t.strictSame(wrong, [], 'both readers agree on each, and a refused one changes nothing')
  t.ok(taken > 1000 && taken < rounds - 1000, `${taken} of ${rounds} were good by chance`)

  reset()
  const removal = Buffer.concat([removalOfAll(), Uint8Array.of(1, 3, 255, 255, 255, 255)])
  t.notOk(isTaken(removal), 'all rows removed, and then a length that is not there')
  t.equal(difference(), null)
  const { verdict } = dataplane.injectFromPort(1, frame(a.mac, b.mac), {}, 0n)
  t.strictSame([verdict.action, verdict.port], ['toPort', 2], 'nothing of it was applied')
  for (const [title, batch] of [
    ['an unknown operation', Uint8Array.of(3, 6, 4, 0, 0, 0, 1, 2, 3, 4)],
    ['operation 0', Uint8Array.of(0, 6, 4, 0, 0, 0, 1, 2, 3, 4)],
    ['table 0', Uint8Array.of(2, 0, 0, 0, 0, 0)],
    ['an unknown table', Uint8Array.of(2, 8, 4, 0, 0, 0, 1, 2, 3, 4)],
    ['a key cut short', Uint8Array.of(2, 6, 3, 0, 0, 0, 1, 2, 3)],
    ['bytes behind a row', Uint8Array.of(1, 6, 9, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 9)],
    ['a row where only a key belongs', Uint8Array.of(2, 6, 8, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0)],
    ['half a header', Uint8Array.of(1, 6, 8)],
    ['a list longer than memory', networkRowWith(0xffffffff)],
  ] as const) {
    t.notOk(isTaken(batch), title)
  }
  t.ok(isTaken(new Uint8Array(0)), 'an empty batch is one that changes nothing')
})

/** A batch as its entries. */
function entriesOf(batch: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = []
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  for (let at = 0; at < batch.length; ) {
    const end = at + 6 + view.getUint32(at + 2, true)
    entries.push(batch.subarray(at, end))
    at = end
  }
  return entries
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** The entry that removes the row of that key, as ShadowTables spells it. */
function removalOf(table: Entry['table'], key: string): Uint8Array {
  const [first = '', second = ''] = key.split('/')
  switch (table) {
    case 'fdb':
      return encodeRemove({ table, vni: Number(first), mac: parseMacAddress(second) } as Row)
    case 'service':
    case 'neighbour': {
      const ip = second.includes(':') ? parseIpv6Address(second) : parseIpv4Address(second)
      return encodeRemove({ table, vni: Number(first), ip, vip: ip } as unknown as Row)
    }
    case 'vtep':
      return encodeRemove({ table, vtep: parseIpv4Address(key) } as Row)
    case 'network':
      return encodeRemove({ table, vni: Number(key) } as Row)
    case 'port':
      return encodeRemove({ table, port: Number(key) } as Row)
    case 'router':
      return encodeRemove({ table, router: Number(key) } as Row)
  }
}

function networkRowWith(ports: number): Uint8Array {
  const body = Buffer.concat([Buffer.alloc(4 + 4 + 4 + 2 + 6 + 16 + 16 + 1), u32(ports)])
  return Buffer.concat([Uint8Array.of(1, 1, body.length, 0, 0, 0), body])
}

t.test('100,000 rows', async (t) => {
  const dataplane = bare()
  t.teardown(() => {
    dataplane.stop()
  })
  const vtep = parseIpv4Address('192.168.1.12')
  const vni = 4097
  const all = Array.from({ length: 100_000 }, (_, i) => i)
  const macs = all.map((i) =>
    bytesToMac(Uint8Array.of(2, 0x42, i >>> 24, (i >>> 16) & 255, (i >>> 8) & 255, i & 255)),
  )
  const row = (i: number): FdbRow => ({
    table: 'fdb',
    vni,
    mac: macs[i]!,
    record: i,
    to: i % 3 === 0 ? 1 : vtep,
  })
  const network: Row = {
    table: 'network',
    vni,
    record: 0,
    router: 0,
    mtu: MTU,
    gatewayMac: parseMacAddress('00:00:00:00:00:00'),
    gateway4: parseIpv4Address('0.0.0.0'),
    gateway6: null,
    services: false,
    ports: [1, 2],
    vteps: [],
    learning: [],
  }
  dataplane.openMemory(1)
  dataplane.openMemory(2)
  dataplane.apply(
    Buffer.concat([encodePut(network), encodePut({ table: 'port', port: 2, record: 0, vni })]),
  )
  const odd = all.filter((i) => i % 2 === 1)
  const puts = all.map((i) => encodePut(row(i)))
  /** A removal is a put without its row: operation 2, table, the key's ten bytes. */
  const removals = puts.map((put) =>
    Buffer.concat([Uint8Array.of(2, put[1]!, 10, 0, 0, 0), put.subarray(6, 16)]),
  )
  const apply = (entries: readonly Uint8Array[], rows: readonly number[]): void => {
    dataplane.apply(Buffer.concat(rows.map((i) => entries[i]!)))
  }
  /** How many rows are not as they must be, as they are listed and as frames find them. */
  const wrong = (present: (i: number) => boolean): number => {
    const rows = dataplane.fdbEntries()
    let count = Math.abs(all.filter(present).length - rows.length)
    for (const { record: i, mac, port } of rows) {
      if (!present(i) || mac !== macs[i] || port !== (i % 3 === 0 ? 1 : null)) count++
    }
    for (let i = 0; i < 100_000; i += 71) {
      const { verdict } = dataplane.injectFromPort(2, frame(a.mac, macs[i]!), {}, 0n)
      const expected = !present(i) ? 'flood' : i % 3 === 0 ? 'toPort' : 'toVtep'
      if (verdict.action !== expected) count++
    }
    return count
  }
  apply(puts, all)
  apply(puts, all)
  t.equal(
    wrong(() => true),
    0,
    'put, and put again in their places',
  )
  apply(removals, odd)
  apply(removals, odd)
  for (let round = 0; round < 20; round++) {
    // Graves fill the table, and a rebuild must keep the rows.
    const some = odd.slice(round * 1000, round * 1000 + 3000)
    apply(puts, some)
    apply(removals, some)
  }
  t.equal(
    wrong((i) => i % 2 === 0),
    0,
    'every other one removed, many times over',
  )
  apply(removals, all)
  t.equal(
    wrong(() => false),
    0,
    'all removed',
  )
})

t.test('the programmer: who claims what', async (t) => {
  const board = new Switchboard()
  t.teardown(() => {
    board.close()
  })
  const MAC = parseMacAddress('02:42:0a:00:01:63')
  const claim = (
    key: string,
    owner: string,
    lamport: number,
    { gone = false, claimedAt }: { gone?: boolean; claimedAt?: number } = {},
  ): NetdbRecord => ({
    kind: 'endpoint',
    key,
    owner,
    version: { lamport, writer: owner },
    value: gone
      ? null
      : {
          network: BLUE,
          vni: parseVni(4097),
          name: key,
          mac: MAC,
          ip: parseIpv4Address('10.0.1.99'),
          ip6: null,
          ...PLAIN,
          claimedAt: claimedAt ?? lamport,
        },
  })
  const tell = (...records: readonly NetdbRecord[]): void => {
    for (const record of records) merge(board.netdb, record)
    board.programmer.flush()
  }
  const place = (): string => {
    const { outputs } = board.from('a', frame(a.mac, MAC))
    return outputs.map(({ to }) => to).join(' ')
  }
  const flooded = place()
  t.equal(flooded, 'b h3 h2', 'nobody has it')
  tell(claim('young', 'h2', 5000))
  t.equal(place(), 'h2', 'one has it')
  tell(claim('old', 'h3', 4000))
  t.equal(place(), 'h3', 'one with an older claim takes it')
  tell(claim('younger', 'h2', 6000))
  t.equal(place(), 'h3', 'a younger claim waits')
  tell(claim('old', 'h3', 6500, { claimedAt: 4000 }))
  t.equal(place(), 'h3', 'one that is written again keeps its claim')
  tell(claim('old', 'h3', 7000, { gone: true }))
  t.equal(place(), 'h2', 'it gets it when the older goes')
  tell(claim('young', 'h2', 7001, { gone: true }), claim('younger', 'h2', 7002, { gone: true }))
  t.equal(place(), flooded, 'all have gone')
  tell(claim('one', 'h3', 8000), claim('two', 'h2', 8000))
  t.equal(place(), 'h2', 'of two at the same time the owner decides, the same on every host')
})

t.test('the programmer: rows follow records', async (t) => {
  const board = new Switchboard()
  t.teardown(() => {
    board.close()
  })
  const to = (mac: string, from = 'a', source: string = a.mac): string => {
    const { outputs } = board.from(from, frame(source, mac))
    return outputs.map((output) => output.to).join(' ')
  }
  const from = (address: string): string => {
    const { verdict } = board.fromHost(address, vxlan({ vni: 4097 }, frame(c.mac, a.mac)))
    return verdict.counter ?? verdict.action
  }

  board.tell(FACTS.replace('vtep: 192.168.1.12', 'vtep: 192.168.1.77'))
  t.equal(to(c.mac), 'h2', "a member's new VTEP address: its endpoints")
  t.equal(to('ff:ff:ff:ff:ff:ff'), 'b h3 h2', 'and the flood lists')
  t.equal(from('192.168.1.77'), 'toPort', 'datagrams from it are let in')
  t.equal(from('192.168.1.12'), 'unknown_vtep', 'from the old one not any more')
  board.tell(FACTS)
  t.equal(from('192.168.1.12'), 'toPort', 'and back')

  const moved = FACTS.replace(
    '{ host: h3, network: blue, name: g',
    '{ host: h2, network: blue, name: g',
  )
  board.tell(moved)
  t.equal(to(g.mac), 'h2', 'an endpoint that moves to another host')
  t.equal(to('ff:ff:ff:ff:ff:ff'), 'b h2', 'takes the flood list along')
  board.tell(FACTS)
  t.equal(to(g.mac), 'h3')

  board.tell(FACTS.replace('  - { host: h3, network: blue, name: g, ip: 10.0.1.5 }\n', ''))
  t.equal(to(g.mac), 'b h2', 'an endpoint that goes: its host is told nothing more')
  board.tell(FACTS)

  const h3 = board.netdb.get('member', 'h3')!
  board.netdb.unassume('member', 'h3', 'h3')
  board.programmer.flush()
  t.equal(to(g.mac), 'b h2', "a member that goes: its endpoints' records stay, their rows do not")
  board.netdb.assume('member', 'h3', 'h3', h3.value)
  board.programmer.flush()
  t.equal(to(g.mac), 'h3', 'and it returns')

  const bigger = frame(a.mac, c.mac)
  const large = ethernet({ from: a.mac, to: c.mac }, packet(0x88b5, pattern(1500)))
  t.equal(board.from('a', large).verdict.counter, 'too_big')
  board.tell(FACTS.replace('name: blue', 'name: blue\n    mtu: 1500'))
  t.equal(board.from('a', large).verdict.action, 'toVtep', "a network's new MTU")
  board.tell(FACTS)
  t.equal(board.from('a', bigger).verdict.action, 'toVtep')

  t.ok(board.programmer.isActive(BLUE))
  t.notOk(board.programmer.isActive(networkIdOf('far')), 'a network that is used elsewhere only')
  const rows = (): number =>
    board.dataplane.fdbEntries().length + board.dataplane.neighbourEntries().length
  const before = rows()
  t.notOk(
    board.dataplane.fdbEntries().some(({ vni }) => vni === 4200),
    'has no rows here',
  )
  for (const name of ['a', 'b', 'd']) board.detach(name)
  t.notOk(board.programmer.isActive(BLUE), 'the last endpoint here has gone')
  t.ok(
    board.dataplane.fdbEntries().every(({ vni }) => vni === 16777215),
    'and all rows with it',
  )
  board.attach('d')
  t.ok(
    board.dataplane.fdbEntries().some(({ vni }) => vni === 4097),
    'one endpoint brings all subnets of its network',
  )
  for (const name of ['a', 'b']) board.attach(name)
  t.equal(rows(), before)
})

t.test('the programmer: records that were there before it', async (t) => {
  // As a restarted daemon: the networks are in its snapshot, its own endpoint is put when the sandbox is adopted.
  const board = new Switchboard()
  const dataplane = bare()
  const programmer = new Programmer({
    netdb: board.netdb,
    self: SELF,
    mtu: MTU,
    apply: (batch) => {
      dataplane.apply(batch)
    },
  })
  programmer.flush()
  programmer.setPort('h1.blue.a', 1)
  board.netdb.put('endpoint', 'h1.blue.a', board.netdb.get('endpoint', 'h1.blue.a')!.value)
  programmer.flush()
  t.ok(dataplane.rows().some(({ table }) => table === 'network'))
  t.same(
    programmer.audit(() => dataplane.rows()),
    [],
    'nothing is missing',
  )
  dataplane.stop()
  board.close()
})

t.test('the programmer: order in a batch, and no batch without a difference', async (t) => {
  const batches: Entry[][] = []
  const netdb = new Netdb(SELF, { everyonePresent: true })
  const programmer = new Programmer({
    netdb,
    self: SELF,
    mtu: MTU,
    apply: (batch) => batches.push(readBatch(batch)!),
  })
  const source = new Switchboard()
  const records = recordsOf(source.netdb)
  source.close()
  programmer.setPort('h1.blue.a', 1)
  const say = (record: NetdbRecord): void => {
    if (record.owner === SELF && record.kind === 'endpoint')
      netdb.put('endpoint', record.key, record.value!)
    else rewrite(netdb, record)
  }
  for (const record of records) say(record)
  programmer.flush()
  t.equal(batches.length, 1, 'one batch for many changes')
  const order = (entries: readonly Entry[]): string[] => [
    ...new Set(entries.map(({ operation, table }) => `${operation} ${table}`)),
  ]
  t.strictSame(
    order(batches[0]!),
    ['put vtep', 'put router', 'put network', 'put neighbour', 'put fdb', 'put port'],
    'a row stands before another leads to it',
  )
  programmer.flush()
  for (const record of records) say(record)
  programmer.flush()
  t.equal(batches.length, 1, 'a record written again, the same: nothing to do')

  netdb.remove('endpoint', 'h1.blue.a')
  const h9 = { ...netdb.get('member', 'h2')!.value, vtep: parseIpv4Address('10.9.9.9') }
  netdb.assume('member', 'h9', 'h9', h9)
  await Promise.resolve()
  t.equal(batches.length, 2, 'it flushes by itself')
  t.strictSame(
    order(batches[1]!),
    [
      'put vtep',
      'remove port',
      'remove fdb',
      'remove neighbour',
      'remove network',
      'remove router',
    ],
    'what leads to a row goes before it',
  )
  netdb.put('endpoint', 'h2.blue.z', { ...netdb.get('endpoint', 'h2.blue.c')!.value })
  netdb.remove('endpoint', 'h2.blue.z')
  programmer.flush()
  t.equal(batches.length, 2, 'a network that is not used here makes no rows')
})

t.test(
  `after any changes the rows are those of the records that stand (seed ${SEED})`,
  async (t) => {
    const random = new Random()
    const hosts = ['h1', 'h2', 'h3', 'h4', 'h5']
    const networks = ['n1', 'n2', 'n3', 'n4']
    const vnis = [101, 102, 103, 104, 105, 106].map(parseVni)
    const number = (limit: number): number => 1 + random.below(limit)
    let time = 0

    const dataplane = bare()
    t.teardown(() => {
      dataplane.stop()
    })
    const shadow = new ShadowTables()
    const netdb = new Netdb(SELF, { everyonePresent: true })
    const ports = new Map<string, number>()
    const programmer = new Programmer({
      netdb,
      self: SELF,
      mtu: MTU,
      apply: (batch) => {
        shadow.apply(batch)
        dataplane.apply(batch)
      },
    })
    let lastPort = 0

    const valueOf = (
      kind: 'member' | 'network' | 'subnet' | 'endpoint',
      key: string,
    ): NetdbRecord['value'] => {
      switch (kind) {
        case 'member':
          return {
            name: key,
            vtep: bytesToIpv4(Uint8Array.of(172, 31, 0, number(6))),
            vxlanPort: null,
            version: null,
            underlayMtuBytes: null,
            routes: [],
          }
        case 'network':
          return {
            ...networkValue(key),
            mtu: random.once(2) ? null : 1000 + number(3),
            learning: random.shuffled(hosts.slice(1)).slice(0, random.below(3)),
          }
        case 'subnet': {
          const [x, v6] = [number(3), random.once(2)]
          return {
            network: random.pick(networks),
            vni: parseVni(key),
            cidr: parseIpv4Cidr(`10.${key}.${x}.0/24`),
            gateway: parseIpv4Address(`10.${key}.${x}.${number(2)}`),
            cidr6: v6 ? parseIpv6Cidr(`fd00:${key}:${x}::/64`) : null,
            gateway6: v6 ? parseIpv6Address(`fd00:${key}:${x}::1`) : null,
            range: null,
          }
        }
        case 'endpoint': {
          const vni = random.pick(vnis)
          return {
            network: random.pick(networks),
            vni,
            name: key,
            mac: parseMacAddress(`02:42:0a:00:00:${number(9).toString().padStart(2, '0')}`),
            ip: parseIpv4Address(`10.${vni}.${number(3)}.${number(9)}`),
            ip6: random.once(2) ? null : parseIpv6Address(`fd00::${number(9)}`),
            ...PLAIN,
            claimedAt: random.below(time) + 1,
          }
        }
      }
    }
    const write = (
      kind: 'member' | 'network' | 'subnet' | 'endpoint',
      key: string,
      owner: string,
    ): void => {
      // Some come late: older than what is held, then they change nothing.
      const lamport = Math.max(1, ++time - random.below(20))
      const value = random.once(4) ? null : valueOf(kind, key)
      const writer = isOwned(kind) ? owner : random.pick(hosts)
      merge(netdb, { kind, key, owner, version: { lamport, writer }, value } as NetdbRecord)
    }
    const local = (): string => `here${random.below(6)}`
    const attach = (id: string): void => {
      if (!ports.has(id)) {
        ports.set(id, ++lastPort)
        programmer.setPort(id, lastPort)
      }
      netdb.put('endpoint', id, valueOf('endpoint', id) as Written<'endpoint'>)
    }
    const detach = (id: string): void => {
      if (!ports.delete(id)) return
      netdb.remove('endpoint', id)
      programmer.flush()
      programmer.forgetPort(id)
    }
    const CHANGES: readonly (() => void)[] = [
      () => {
        const member = random.pick(hosts.slice(1))
        write('member', member, member)
      },
      () => write('network', random.pick(networks), random.pick(hosts)),
      () => write('subnet', `${random.pick(vnis)}`, random.pick(hosts)),
      () => attach(local()),
      () => detach(local()),
      () => write('endpoint', `there${random.below(20)}`, random.pick(hosts.slice(1))),
      () => write('endpoint', `there${random.below(20)}`, random.pick(hosts.slice(1))),
      // Another host writes the id of an endpoint that is, or was, here.
      () => write('endpoint', local(), random.pick(hosts.slice(1))),
    ]

    /** The same records in another order, all at once, before a programmer that knows nothing else. */
    const rederived = (): string[] => {
      const fresh = new Netdb(SELF, { everyonePresent: true, adopting: true })
      const tables = new ShadowTables()
      const other = new Programmer({
        netdb: fresh,
        self: SELF,
        mtu: MTU,
        apply: (batch) => tables.apply(batch),
      })
      for (const [id, port] of ports) other.setPort(id, port)
      for (const record of random.shuffled(recordsOf(netdb))) {
        // What is of this host it puts itself, and the claim is what it was.
        merge(fresh, record)
        if (record.owner === SELF && record.kind === 'endpoint')
          fresh.put('endpoint', record.key, record.value!)
      }
      other.flush()
      return tables.lines((n) => nameOf(other, n))
    }
    const nameOf = (from: Programmer, n: number): string => {
      const record = from.recordOf(n)
      return record === undefined ? `${n}?` : recordName(record)
    }

    const failures: unknown[] = []
    let rowsSeen = 0
    for (let round = 1; round <= 2000 && failures.length === 0; round++) {
      random.pick(CHANGES)()
      if (random.once(2)) programmer.flush()
      if (round % 10 !== 0) continue
      programmer.flush()
      const rows = shadow.lines((n) => nameOf(programmer, n))
      const expected = rederived()
      rowsSeen = Math.max(rowsSeen, rows.length)
      const more = rows.filter((row) => !expected.includes(row))
      const missing = expected.filter((row) => !rows.includes(row))
      if (more.length + missing.length > 0) failures.push({ round, more, missing })
      const native = [
        ...dataplane
          .fdbEntries()
          .map(({ vni, mac, port, vtep, record }) =>
            JSON.stringify([vni, mac, port ?? 0, vtep ?? '0.0.0.0', record]),
          ),
        ...dataplane
          .neighbourEntries()
          .map(({ vni, ip, mac, gateway, record }) =>
            JSON.stringify([vni, ip, mac, gateway, record]),
          ),
      ]
      const shown = [
        ...[...shadow.tables.get('fdb')!].map(([key, row]) => {
          const [vni, mac] = key.split('/')
          return JSON.stringify([Number(vni), mac, row!['port'], row!['vtep'], row!['record']])
        }),
        ...[...shadow.tables.get('neighbour')!].map(([key, row]) => {
          const [vni, ip] = key.split('/')
          return JSON.stringify([Number(vni), ip, row!['mac'], row!['gateway'], row!['record']])
        }),
      ]
      if (native.sort().join() !== shown.sort().join()) failures.push({ round, native, shown })
    }
    t.strictSame(failures, [], 'incrementally or at once, the rows are the same')
    t.ok(rowsSeen > 30, `${rowsSeen} rows at most`)
  },
)

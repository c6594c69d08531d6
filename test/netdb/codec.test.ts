// Records as bytes: literal ones in both directions, what is refused and why, and any bytes at all.

import t from 'tap'
import { WeftError } from '../../src/errors.ts'
import { parseIpv4Cidr, parseIpv6Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { MAX_RECORD_BYTES, decodeRecord, encodeTombstone } from '../../src/netdb/codec.ts'
import type { EncodedRecord, Kind, ValueOf } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { Random, SEED } from '../fixtures/random.ts'
import { endpoint, member, network, tableOf, written } from '../fixtures/records.ts'

const text = (value: string): number[] => [value.length, ...Buffer.from(value)]

interface Parts {
  format?: number
  flags?: number
  kind?: string
  key?: string
  owner?: string
  writer?: string
  lamport?: number[]
  value?: string
}

/** The bytes of a network's record, with other parts in place of some. */
function bytesOf(parts: Parts = {}): Uint8Array {
  const { format = 1, flags = 0, kind = 'network', key = 'n1', owner = 'h1' } = parts
  const { writer = 'h2', lamport = [0, 0, 0, 0, 0, 0, 1, 2] } = parts
  const { value = '{"name":"blue","mtu":null,"learning":[]}' } = parts
  return Uint8Array.from([
    ...[format, flags],
    ...[kind, key, owner, writer].flatMap(text),
    ...lamport,
    ...Buffer.from(value),
  ])
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function decoded(bytes: Uint8Array): EncodedRecord {
  const record = decodeRecord(bytes)
  if (typeof record === 'string') throw new Error(record)
  return record
}

t.test('a record, byte for byte', async (t) => {
  const record = written('h2', 258, 'network', 'n1', network('blue'), 'h1')
  t.equal(
    hex(record.encoded),
    '0100' + // format 1, shared
      '076e6574776f726b' + // network
      '026e31' + // n1
      '026831' + // made by h1
      '026832' + // written by h2
      '0000000000000102' +
      hex(
        Buffer.from(
          '{"name":"blue","mtu":null,"learning":[],"createdAtMs":0,"internal":false,"attachable":false,' +
            '"ipv6":false,"options":{},"labels":{},"claimedAt":1}',
        ),
      ),
  )
  t.strictSame(decoded(record.encoded), record)
  t.equal(record.name, 'network/n1')

  const gone = written('h1', 1, 'endpoint', 'e1', null)
  t.equal(hex(gone.encoded), `010108656e64706f696e740265310268310268310000000000000001`)
  t.equal(gone.name, 'endpoint/e1@h1', 'the name of an owned record says whose it is')
  t.ok(decoded(gone.encoded).tombstone)
  t.strictSame(encodeTombstone(gone, gone.version), gone)
})

t.test('every kind goes both ways', async (t) => {
  const values: { readonly [K in Kind]: ValueOf[K] } = {
    member: { ...member(1), routes: ['10.9.0.0/16', 'fd09::/48'] },
    node: { expelled: true, availability: 'drain', labels: { b: '2', a: 'x'.repeat(100) } },
    cluster: { value: 'c2VjcmV0' },
    network: {
      ...network('blue'),
      mtu: 1450,
      learning: ['k1', 'k2'],
      createdAtMs: 1_800_000_000_000,
      internal: true,
      labels: { b: '2', a: '1' },
    },
    subnet: {
      network: 'n1',
      vni: parseVni(7),
      cidr: parseIpv4Cidr('10.1.0.0/16'),
      gateway: parseIpv4Address('10.1.0.1'),
      cidr6: parseIpv6Cidr('fd57:1::/64'),
      gateway6: parseIpv6Address('fd57:1::1'),
      range: parseIpv4Cidr('10.1.128.0/17'),
    },
    endpoint: { ...endpoint(5, 9), ip6: parseIpv6Address('fd57:1::5'), health: 'unhealthy' },
    service: {
      name: 'web',
      endpointMode: 'vip',
      scheduler: 'maglev',
      networks: ['n1', 'n2'],
      labels: { b: '2', a: '1' },
      healthCheck: {
        retries: 3,
        test: { kind: 'http', path: '/ready', port: 8080 },
        intervalMs: 30_000,
        timeoutMs: 1_000,
        startPeriodMs: 0,
        startIntervalMs: 5_000,
      },
      createdAtMs: 1_800_000_000_000,
      claimedAt: 7,
    },
    vip: {
      service: 's1',
      network: 'n1',
      ip: parseIpv4Address('10.1.0.2'),
      ip6: parseIpv6Address('fd57:1::2'),
      claimedAt: 8,
    },
    backend: { service: 's1', endpoint: 'e1', weight: 256, drain: true },
  }
  for (const kind of Object.keys(values) as Kind[]) {
    const keys: Partial<Record<Kind, string>> = {
      subnet: 'n1/10.1.0.0/16',
      member: 'h1',
      vip: 's1/n1',
      backend: 's1/e1',
    }
    const key = keys[kind] ?? 'k'
    const record = written('h1', 2 ** 53 - 1, kind, key, values[kind])
    const read = decoded(record.encoded)
    t.strictSame(read.record, JSON.parse(JSON.stringify(record.record)), kind)
    const again = written('h1', 2 ** 53 - 1, kind, key, read.record!.value as ValueOf[Kind])
    if (kind === 'node' || kind === 'network' || kind === 'service')
      t.match(Buffer.from(record.encoded).toString(), /"a":.*"b":/, 'labels are sorted')
    t.equal(
      hex(again.encoded),
      hex(record.encoded),
      `${kind}: read and written again it is the same`,
    )
  }
})

t.test('what is refused, and why', async (t) => {
  t.type(decodeRecord(bytesOf()), 'object')
  t.type(decodeRecord(bytesOf({ value: networkOf(258) })), 'object')
  const range = subnet({ range: '10.1.3.0/24' })
  t.type(decodeRecord(bytesOf({ kind: 'subnet', key: 'n1/10.1.0.0/16', value: range })), 'object')
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    ['nothing', new Uint8Array(), 'truncated'],
    ['another format', bytesOf({ format: 2 }), 'format'],
    ['cut in a field', bytesOf().subarray(0, 12), 'truncated'],
    ['cut in the time', bytesOf().subarray(0, 24), 'truncated'],
    ['a kind in capitals', bytesOf({ kind: 'Network' }), 'kind'],
    ['no kind', bytesOf({ kind: '' }), 'kind'],
    ['a kind that is too long', bytesOf({ kind: 'k'.repeat(17) }), 'kind'],
    ['a shared kind as an owned one', bytesOf({ flags: 1 }), 'kind'],
    ['an owned kind as a shared one', bytesOf({ kind: 'endpoint' }), 'kind'],
    ['no key', bytesOf({ key: '' }), 'key'],
    ['a key with a space', bytesOf({ key: 'a b' }), 'key'],
    ['a key with an @', bytesOf({ key: 'a@h1' }), 'key'],
    ['a key that is too long', bytesOf({ key: 'k'.repeat(129) }), 'key'],
    ['no owner', bytesOf({ owner: '' }), 'owner'],
    ['an owner that is too long', bytesOf({ owner: 'o'.repeat(65) }), 'owner'],
    ['a writer with a control character', bytesOf({ writer: 'h\n' }), 'owner'],
    [
      "another's endpoint",
      bytesOf({ flags: 1, kind: 'endpoint', owner: 'h1', writer: 'h2' }),
      'not_its_owner',
    ],
    [
      "another's member record",
      bytesOf({ flags: 1, kind: 'member', key: 'h1', owner: 'h2', writer: 'h2' }),
      'key',
    ],
    ['no time', bytesOf({ lamport: [0, 0, 0, 0, 0, 0, 0, 0] }), 'lamport'],
    ['no safe integer', bytesOf({ lamport: [0, 0x20, 0, 0, 0, 0, 0, 0] }), 'lamport'],
    ['no JSON', bytesOf({ value: '{' }), 'value'],
    [
      'a VIP under the key of another',
      bytesOf({
        kind: 'vip',
        key: 's1/n2',
        value: JSON.stringify({
          service: 's1',
          network: 'n1',
          ip: '10.0.0.2',
          ip6: null,
          claimedAt: 1,
        }),
      }),
      'value',
    ],
    [
      'a backend of weight -1',
      bytesOf({
        kind: 'backend',
        key: 's1/e1',
        value: JSON.stringify({ service: 's1', endpoint: 'e1', weight: -1, drain: false }),
      }),
      'value',
    ],
    ['null', bytesOf({ value: 'null' }), 'value'],
    ['a wrong type', bytesOf({ value: '{"name":7,"mtu":null}' }), 'value'],
    ['a missing field', bytesOf({ value: '{"name":"blue"}' }), 'value'],
    ['nesting', bytesOf({ value: '['.repeat(900) }), 'value'],
    ['no UTF-8', Uint8Array.from([...bytesOf({ value: '' }), 0xff]), 'value'],
    [
      'a subnet under the key of another',
      bytesOf({ kind: 'subnet', key: 'n2/10.1.0.0/16', value: subnet() }),
      'value',
    ],
    [
      'a gateway outside',
      bytesOf({ kind: 'subnet', key: 'n1/10.1.0.0/16', value: subnet({ gateway: '10.2.0.1' }) }),
      'value',
    ],
    [
      'a range outside',
      bytesOf({ kind: 'subnet', key: 'n1/10.1.0.0/16', value: subnet({ range: '10.0.0.0/8' }) }),
      'value',
    ],
    ['a network that is older than itself', bytesOf({ value: networkOf(259) }), 'value'],
    ['a multicast VTEP', memberBytes({ vtep: '239.0.0.1' }), 'value'],
    ['65 routes', memberBytes({ routes: Array<string>(65).fill('1.0.0.0/8') }), 'value'],
    ['a route with host bits', memberBytes({ routes: ['10.0.0.1/8'] }), 'value'],
    ['a multicast MAC', endpointBytes({ mac: '03:00:00:00:00:01' }), 'value'],
    ['a claim from the future', endpointBytes({ claimedAt: 259 }), 'value'],
    ['too large', bytesOf({ value: ' '.repeat(MAX_RECORD_BYTES) }), 'too_large'],
  ]
  for (const [what, bytes, reason] of rows) t.equal(decodeRecord(bytes), reason, what)
})

function subnet(fields: object = {}): string {
  const value = { network: 'n1', vni: 7, cidr: '10.1.0.0/16', gateway: '10.1.0.1', ...fields }
  return JSON.stringify(value)
}

function networkOf(claimedAt: number): string {
  return JSON.stringify({ ...network('blue'), claimedAt })
}

function memberBytes(fields: object): Uint8Array {
  const value = JSON.stringify({ name: 'h2', vtep: '172.31.0.2', ...fields })
  return bytesOf({ flags: 1, kind: 'member', key: 'h2', owner: 'h2', value })
}

function endpointBytes(fields: object): Uint8Array {
  const value = JSON.stringify({ ...endpoint(1), ...fields })
  return bytesOf({ flags: 1, kind: 'endpoint', owner: 'h2', value })
}

t.test('what a newer version says is kept, and told on', async (t) => {
  const netdb = new Netdb('h1')
  const value = '{"name":"blue","mtu":null,"learning":[],"encrypted":true}'
  const extended = bytesOf({ value })
  t.ok(netdb.receive(extended)?.news)
  const known = { ...network('blue'), claimedAt: 0 }
  t.strictSame(netdb.get('network', 'n1')?.value, known, 'we read what we know')
  t.equal(hex(netdb.stored.get('network/n1')!.held.encoded), hex(extended), 'and keep the rest')

  const unknown = bytesOf({ kind: 'port', key: 'v1', value: '\u0001?' })
  t.ok(netdb.receive(unknown)?.news, 'a kind that we do not know')
  t.equal(hex(netdb.stored.get('port/v1')!.held.encoded), hex(unknown))
  t.equal(netdb.find('port/v1'), undefined, 'is not served')
  const task = bytesOf({ flags: 1, kind: 'task', key: 't1', owner: 'h2', writer: 'h3' })
  t.equal(netdb.receive(task), null, 'of an owned one only its owner speaks')
})

t.test('what is too large to travel is not written', async (t) => {
  const netdb = new Netdb('h1')
  const labels = { label: 'x'.repeat(250), other: 'x'.repeat(250) }
  netdb.put('node', 'h1', { expelled: false, availability: 'active', labels })
  const more = Object.fromEntries('abcd'.split('').map((key) => [key, 'x'.repeat(250)]))
  t.throws(
    () => netdb.put('node', 'h1', { expelled: false, availability: 'active', labels: more }),
    new WeftError(
      'invalid_argument',
      'record node/h1 has 1105 bytes; a record may have 1100, shorten its labels or lists',
    ),
  )
  t.throws(() => netdb.put('cluster', 'a b', { value: '' }), { code: 'invalid_argument' })
  t.equal(netdb.list('node').length, 1)
})

t.test(`any bytes are refused or taken, and nothing is thrown (seed ${SEED})`, async (t) => {
  const random = new Random()
  const good = [
    bytesOf(),
    bytesOf({ kind: 'vip' }),
    memberBytes({}),
    endpointBytes({}),
    written('h1', 9, 'subnet', 'n1/10.1.0.0/16', null).encoded,
    bytesOf({ kind: 'node', value: '{"expelled":false,"labels":{"__proto__":"x"}}' }),
  ]
  const netdb = new Netdb('h9', { everyonePresent: true, limits: { records: 500 } })
  let taken = 0
  for (let i = 0; i < 100_000; i++) {
    const bytes = random.once(20)
      ? random.bytes(random.below(300))
      : random.mutated(random.pick(good))
    if (netdb.receive(bytes) !== null) taken++
  }
  const refused = Object.values(netdb.counters().refused).reduce((sum, count) => sum + count, 0)
  t.equal(taken + refused, 100_000, 'each is counted')
  t.ok(taken > 1_000 && refused > 1_000, `${taken} taken, ${refused} refused`)
  t.ok(netdb.stored.count <= 500, 'the table is bounded')
  // What was taken can be told to somebody who then has the same.
  const other = new Netdb('h8', { everyonePresent: true })
  other.resumeAt(netdb.lamport)
  for (const { held } of netdb.stored.entries()) other.receive(held.encoded)
  t.equal(tableOf(other), tableOf(netdb))
})

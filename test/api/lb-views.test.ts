// VIPs and flows as the API shows them, from records and rows made by hand.

import t from 'tap'
import {
  flowNames,
  flowRow,
  flowTest,
  lbRows,
  type RecordOf,
  serviceName,
} from '../../src/api/lb-views.ts'
import { FLOW_STATES, type FlowFilter } from '../../src/api/lb-types.ts'
import type { FlowEntry, ServiceEntry } from '../../src/dataplane/binding.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv4Cidr } from '../../src/net/cidr.ts'
import { parseVni } from '../../src/net/vni.ts'
import type { NetdbRecord } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { endpoint, member, network } from '../fixtures/records.ts'
import { parseIp } from '../fixtures/vips.ts'

const SECOND = 1_000_000_000n

const netdb = new Netdb('11', { everyonePresent: true })
netdb.put('member', '11', member(1))
netdb.put('network', 'blue', network('blue'))
netdb.put('subnet', 'blue/10.0.0.0/24', {
  network: 'blue',
  vni: parseVni(4097),
  cidr: parseIpv4Cidr('10.0.0.0/24'),
  gateway: parseIpv4Address('10.0.0.1'),
  cidr6: null,
  gateway6: null,
  range: null,
})
const e3 = netdb.put('endpoint', 'e3', endpoint(3))
const recordOf: RecordOf = (number) => (number === 3 ? e3 : undefined)

/** A record whatever kinds there are. */
const made = (kind: string, key: string, value: object | null): NetdbRecord =>
  ({
    kind,
    key,
    owner: '11',
    version: { lamport: 1, writer: '11' },
    value,
  }) as unknown as NetdbRecord

const tally = {
  flows: 9,
  active: 4,
  packetsOut: 50,
  bytesOut: 5000,
  packetsIn: 60,
  bytesIn: 6000,
}
const web: ServiceEntry = {
  vni: 4097,
  vip: parseIp('10.0.0.200'),
  record: 100,
  service: 77,
  scheduler: 'rr',
  position: 9,
  backends: [
    { record: 3, ip: parseIp('10.0.0.3'), vni: 4097, weight: 2, state: 'healthy', ...tally },
    { record: 0, ip: parseIp('10.0.0.9'), vni: 4097, weight: 1, state: 'dead', ...tally },
  ],
}
const web6: ServiceEntry = { ...web, vip: parseIp('fd57::c8'), backends: [] }
const other: ServiceEntry = {
  ...web,
  vip: parseIp('10.0.0.100'),
  service: 78,
  record: 101,
  backends: [],
}

const flow: FlowEntry = {
  vni: 4097,
  service: 77,
  protocol: 'tcp',
  state: 'established',
  client: parseIp('10.0.0.2'),
  clientPort: 2000,
  vip: parseIp('10.0.0.200'),
  vipPort: 80,
  source: parseIp('10.0.0.2'),
  sourcePort: 2000,
  backend: parseIp('10.0.0.3'),
  backendPort: 8080,
  createdSeconds: 10,
  usedNs: 12n * SECOND,
}

t.test(
  'a VIP: its backends in their order, with who they are and what they have had',
  async (t) => {
    const rows = lbRows([web, other], recordOf, netdb)
    t.same(
      rows.map(({ vip }) => vip),
      ['10.0.0.100', '10.0.0.200'],
    )
    t.same(rows[1], {
      network: 'blue',
      vni: 4097,
      service: null,
      vip: '10.0.0.200',
      scheduler: 'rr',
      position: 9,
      backends: [
        {
          ip: '10.0.0.3',
          endpoint: 'e3',
          host: 'm1',
          state: 'healthy',
          weight: 2,
          activeFlows: 4,
          flows: 9,
          toBackend: { packets: 50, bytes: 5000 },
          fromBackend: { packets: 60, bytes: 6000 },
        },
        {
          ip: '10.0.0.9',
          endpoint: null,
          host: null,
          state: 'dead',
          weight: 1,
          activeFlows: 4,
          flows: 9,
          toBackend: { packets: 50, bytes: 5000 },
          fromBackend: { packets: 60, bytes: 6000 },
        },
      ],
      record: null,
    })
  },
)

t.test('a backend that drains: by decision, or because of its health', async (t) => {
  const netdb = new Netdb('11', { everyonePresent: true })
  netdb.put('member', '11', member(1))
  const drains: ServiceEntry = {
    ...web,
    record: 100,
    backends: [{ ...web.backends[0]!, state: 'draining' }],
  }
  const state = (entry = drains): string | undefined => {
    const vip = made('vip', 's1/blue', { service: 's1' })
    const behind = netdb.get('endpoint', 'e3') as NetdbRecord
    const of = (number: number) => (number === 3 ? behind : number === 100 ? vip : undefined)
    return lbRows([entry], of, netdb)[0]?.backends[0]?.state
  }
  netdb.put('endpoint', 'e3', endpoint(3))
  t.equal(state(), 'draining')
  for (const health of ['starting', 'unhealthy'] as const) {
    netdb.put('endpoint', 'e3', { ...endpoint(3), health })
    t.equal(state(), health)
    t.equal(state(web), 'healthy', 'native has not heard yet')
  }
  const decided = { service: 's1', endpoint: 'e3', weight: 1 }
  netdb.put('backend', 's1/e3', { ...decided, drain: false })
  t.equal(state(), 'unhealthy')
  netdb.put('backend', 's1/e3', { ...decided, drain: true })
  t.equal(state(), 'draining')
})

t.test("a service's name: of its own record, or of the VIP's", async (t) => {
  const service = made('service', 's1', { name: 'web' })
  const vip = made('vip', 's1/blue', { service: 's1' })
  const find = (name: string) => (name === 'service/s1' ? service : undefined)
  t.equal(serviceName(service, find), 'web')
  t.equal(serviceName(vip, find), 'web')
  t.equal(
    serviceName(vip, () => undefined),
    null,
    'its record has not come',
  )
  t.equal(serviceName(made('vip', 's1/blue', null), find), null, 'removed')
  t.equal(serviceName(undefined, find), null)
  // An endpoint speaks of a service, too, and is none.
  t.equal(serviceName(made('endpoint', 'e', { name: 'e', service: 's1' }), find), null)
})

t.test('a flow: both tuples, age, backend', async (t) => {
  const names = flowNames([web, web6], recordOf, netdb)
  t.same(flowRow(flow, names, 15n * SECOND + 5_000_000n), {
    network: 'blue',
    vni: 4097,
    service: null,
    protocol: 'tcp',
    state: 'established',
    original: {
      source: '10.0.0.2',
      sourcePort: 2000,
      destination: '10.0.0.200',
      destinationPort: 80,
    },
    reply: {
      source: '10.0.0.3',
      sourcePort: 8080,
      destination: '10.0.0.2',
      destinationPort: 2000,
    },
    backend: { endpoint: 'e3', host: 'm1' },
    ageSeconds: 5,
    idleMs: 3005,
  })
  const hairpin = { ...flow, source: parseIp('10.0.0.200'), sourcePort: 999 }
  t.match(flowRow(hairpin, names, 0n), {
    reply: { destination: '10.0.0.200', destinationPort: 999 },
    ageSeconds: 0,
    idleMs: 0,
  })
  t.match(flowRow({ ...flow, backend: parseIp('10.0.0.77'), vni: 5 }, names, 0n), {
    network: '',
    backend: { endpoint: null, host: null },
  })
})

t.test('what a filter lets through', async (t) => {
  const named: RecordOf = (number) =>
    number === 100 ? made('service', 's1', { name: 'Web' }) : recordOf(number)
  const names = flowNames([web, web6, other], named, netdb)
  t.equal(flowRow(flow, names, 0n).service, 'Web')
  const rows: [FlowFilter, boolean][] = [
    [{}, true],
    [{ protocol: 'tcp' }, true],
    [{ protocol: 'udp' }, false],
    ...FLOW_STATES.map((state): [FlowFilter, boolean] => [{ state }, state === 'established']),
    [{ service: 'web' }, true],
    [{ service: '10.0.0.200' }, true],
    // One service, another VIP of it.
    [{ service: 'FD57::c8' }, true],
    [{ service: '10.0.0.100' }, false],
    [{ service: '10.0.0.2' }, false],
    [{ source: '10.0.0.2' }, true],
    [{ source: '10.0.0.3' }, false],
    [{ source: '10.0.0.0/30' }, true],
    [{ source: '10.0.0.4/30' }, false],
    [{ source: 'fd57::/64' }, false],
    [{ source: '::/0' }, false],
    [{ destination: '10.0.0.200' }, true],
    [{ destination: '10.0.0.2' }, false],
    [{ destination: '10.0.0.0/24', source: '10.0.0.2', protocol: 'tcp' }, true],
    [{ destination: '10.0.0.0/24', source: '10.0.0.2', protocol: 'udp' }, false],
  ]
  for (const [filter, expected] of rows)
    t.equal(flowTest(filter, names)(flow), expected, JSON.stringify(filter))

  t.ok(flowTest({ service: '10.0.0.200' }, flowNames([], named, netdb))(flow), 'its row is gone')
  t.throws(() => flowTest({ service: 'nobody' }, names), {
    code: 'not_found',
    message: /no VIP on this host is of a service 'nobody'/,
  })
  t.throws(() => flowTest({ source: 'x' }, names), { code: 'invalid_argument' })
  t.throws(() => flowTest({ destination: '10.0.0.3/24' }, names), { code: 'invalid_argument' })
})

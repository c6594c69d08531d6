// Events: what is remembered of them, and what changes of records, collisions and members are as events.

import t from 'tap'
import { formatEvent, sinceMs } from '../../src/cli/commands/events.ts'
import { collisionEvent } from '../../src/events/collision-event.ts'
import { EventRing } from '../../src/events/event-ring.ts'
import type { Event, Happening } from '../../src/events/event.ts'
import { memberEvent } from '../../src/events/member-event.ts'
import { recordEvent } from '../../src/events/record-event.ts'
import { NO_CLAIMS, collisions } from '../../src/ipam/collisions.ts'
import { parseIpv4Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { macFromIpv4 } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { subnetKey } from '../../src/netdb/record.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { PLAIN, endpoint, member, network, written } from '../fixtures/records.ts'

t.test('the latest are remembered, and told to those who listen', async (t) => {
  let nowMs = 1_000
  const ring = new EventRing({ wallMs: () => nowMs }, 3)
  const heard: string[] = []
  const end = ring.listen(({ text }) => heard.push(text))
  for (const text of ['a', 'b', 'c', 'd']) {
    ring.tell({ kind: 'member-up', object: 'h1', text })
    nowMs += 10
  }
  const texts = (events: readonly Event[]): string => events.map(({ text }) => text).join('')
  t.equal(texts(ring.since(0)), 'bcd')
  t.equal(texts(ring.since(1_020)), 'cd', 'from a time on')
  end()
  ring.tell({ kind: 'member-down', object: 'h1', text: 'e' })
  t.equal(heard.join(''), 'abcd')
  t.same(ring.since(1_040), [{ timeMs: 1_040, kind: 'member-down', object: 'h1', text: 'e' }])
})

const CIDR = parseIpv4Cidr('10.0.0.0/24')
const SUBNET = {
  network: 'n1',
  vni: parseVni(4097),
  cidr: CIDR,
  gateway: parseIpv4Address('10.0.0.1'),
  cidr6: null,
  gateway6: null,
  range: null,
}

t.test('records that come, change and go', async (t) => {
  const netdb = new Netdb('h1', { everyonePresent: true })
  const happened: Happening[] = []
  netdb.watch((change) => {
    const happening = recordEvent(change, netdb)
    if (happening !== null) happened.push(happening)
  })
  const told = (): string[] => happened.splice(0).map(({ kind, text }) => `${kind}: ${text}`)
  netdb.put('member', 'h1', { ...member(1), name: 'one' })
  netdb.merge(written('h2', 1, 'member', 'h2', { ...member(2), name: 'two' }))
  netdb.assume('network', 'file', 'h1', network('of-the-file'))
  t.same(told(), [], 'members are told by gossip, a facts file is nobody’s doing')

  netdb.merge(written('h2', 2, 'network', 'n1', network('blue')))
  netdb.put('subnet', subnetKey(SUBNET), SUBNET)
  netdb.put('subnet', subnetKey(SUBNET), { ...SUBNET, vni: parseVni(4100) })
  const value = { ...endpoint(5), network: 'n1' }
  netdb.put('endpoint', 'e5', value)
  netdb.put('endpoint', 'e5', { ...value, aliases: ['five'] })
  const ip = parseIpv4Address('10.0.0.6')
  netdb.put('endpoint', 'e5', { ...value, ip, mac: macFromIpv4(ip) })
  netdb.remove('endpoint', 'e5')
  t.same(told(), [
    'network-created: network blue (n1) was made on two',
    'network-renumbered: subnet 10.0.0.0/24 of network blue has VNI 4100 now, instead of 4097',
    'endpoint-attached: one/e5 is on network blue as 10.0.0.5',
    'endpoint-readdressed: one/e5 has 10.0.0.6 on network blue now, instead of 10.0.0.5',
    'endpoint-detached: one/e5 is no longer on network blue (10.0.0.6)',
  ])
  netdb.merge(written('h2', 20, 'endpoint', 'far', { ...endpoint(7), network: 'n1' }))
  t.same(told(), [], "another host's endpoints come and go there")
  netdb.merge(written('h2', 21, 'endpoint', 'far', { ...endpoint(8), network: 'n1' }))
  t.same(told(), [
    'endpoint-readdressed: two/e8 has 10.0.0.8 on network blue now, instead of 10.0.0.7',
  ])
  const service = { name: 'web', endpointMode: 'vip', scheduler: 'rr', networks: ['n1'] } as const
  netdb.merge(
    written('h2', 22, 'service', 's1', { ...service, labels: {}, createdAtMs: 0, claimedAt: 22 }),
  )
  const vip = { service: 's1', network: 'n1', ip, ip6: null }
  netdb.put('vip', 's1/n1', vip)
  netdb.put('vip', 's1/n1', { ...vip, ip: parseIpv4Address('10.0.0.7') })
  netdb.remove('vip', 's1/n1')
  netdb.remove('service', 's1')
  t.same(told(), [
    'service-created: service web (s1) was made on two',
    'service-readdressed: service web has 10.0.0.7 on network blue now, instead of 10.0.0.6',
    'service-removed: service web (s1) was removed',
  ])
  netdb.remove('network', 'n1')
  t.same(told(), ['network-removed: network blue (n1) was removed'])
})

t.test('subnets of one network that overlap are told as what they are', async (t) => {
  const netdb = new Netdb('h1', { everyonePresent: true })
  netdb.put('network', 'n1', network('blue'))
  for (const [length, vni] of [
    [24, 4097],
    [25, 4098],
  ] as const) {
    const cidr = { ...SUBNET.cidr, prefixLength: length }
    const subnet = { ...SUBNET, network: 'n1', vni: parseVni(vni), cidr }
    netdb.put('subnet', subnetKey(subnet), subnet)
  }
  const found = collisions({
    ...NO_CLAIMS,
    networks: netdb.list('network').map(({ key, value }) => ({ id: key, ...value })),
    subnets: netdb.list('subnet').map(({ key, value }) => ({ key, ...value })),
  })
  t.same(
    found.map((finding) => collisionEvent(finding, netdb).text),
    [
      '10.0.0.0/24 and 10.0.0.0/25 of network blue (n1) overlap: who is on one may not reach all who are on the other; use another network',
    ],
  )
})

t.test('collisions name who claims what, and who keeps it', async (t) => {
  const netdb = new Netdb('h1', { everyonePresent: true })
  netdb.put('member', 'h1', { ...member(1), name: 'one' })
  netdb.merge(written('h2', 1, 'member', 'h2', { ...member(2), name: 'two' }))
  for (const id of ['n1', 'n2']) {
    netdb.put('network', id, network('blue'))
    const subnet = { ...SUBNET, network: id }
    netdb.put('subnet', subnetKey(subnet), subnet)
  }
  const value = (name: string) => ({ ...endpoint(9), ...PLAIN, name, network: 'n1' })
  netdb.put('endpoint', 'b', value('b'))
  netdb.merge(written('h2', 30, 'endpoint', 'a', { ...value('a'), claimedAt: 29 }))
  const service = { name: 'web', endpointMode: 'vip', scheduler: 'rr', networks: ['n1'] } as const
  for (const id of ['s1', 's2'])
    netdb.put('service', id, { ...service, labels: {}, createdAtMs: 0 })
  const { ip } = endpoint(9)
  netdb.put('vip', 's1/n1', { service: 's1', network: 'n1', ip, ip6: null })
  const found = collisions({
    ...NO_CLAIMS,
    services: netdb.list('service').map(({ key, value }) => ({ id: key, ...value })),
    vips: netdb.list('vip'),
    networks: netdb.list('network').map(({ key, value }) => ({ id: key, ...value })),
    subnets: netdb.list('subnet').map(({ key, value }) => ({ key, ...value })),
    endpoints: netdb.list('endpoint'),
    present: ['h1', 'h2'],
  })
  t.same(
    found
      .map((finding) => collisionEvent(finding, netdb))
      .map(({ object, text }) => [object, text]),
    [
      [
        'blue',
        'two networks are called blue: the name means n1, which is older; the other is reached by its id, n2',
      ],
      [
        'blue',
        'VNI 4097 is claimed by networks blue (n1) and blue (n2): blue (n1) is older and keeps it',
      ],
      [
        'blue',
        '10.0.0.0/24 of network blue (n1) and 10.0.0.0/24 of network blue (n2) overlap: both work, but no sandbox may be on both',
      ],
      [
        'web',
        'two services are called web: the name means s1, which is older; the other is reached by its id, s2',
      ],
      [
        'two/a',
        '10.0.0.9 on network blue is claimed by one/b and two/a: one/b was first and keeps it',
      ],
      [
        'web',
        '10.0.0.9 on network blue is claimed by one/b and service web: one/b was first and keeps it',
      ],
    ],
  )
})

t.test('members that come and go; what gossip only suspects is no event', async (t) => {
  const of = { name: 'h2' } as never
  t.same(memberEvent({ kind: 'died', member: of, by: 'x' }, 'host h2 is down'), {
    kind: 'member-down',
    object: 'h2',
    text: 'host h2 is down',
  })
  t.equal(memberEvent({ kind: 'suspected', member: of, by: 'x' }, ''), null)
  t.equal(memberEvent({ kind: 'paused', lateMs: 9 }, ''), null)
})

t.test('the CLI takes a length of time or a time, and shows a line each', async (t) => {
  t.equal(sinceMs('2026-11-21T10:00:00Z'), Date.UTC(2026, 10, 21, 10))
  const since = sinceMs('10m')
  const ago = Date.now() - since
  t.ok(ago >= 600_000 && ago < 601_000, `${ago} ms`)
  for (const text of ['', 'x', '10', '10w', '-5m', '2026-99-01'])
    t.throws(() => sinceMs(text), /Use 90s/, text)
  const time = '2026-11-21T10:00:00.000Z'
  t.equal(
    formatEvent({ time, kind: 'member-up', object: 'h1', text: 'host h1 is up' }),
    '2026-11-21T10:00:00.000Z  member-up             host h1 is up\n',
  )
})

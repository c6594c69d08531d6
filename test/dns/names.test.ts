// Who is answered with what: names of the networks that the asker is on, and no others.

import t from 'tap'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { DnsWorld, dataIn, query, rcodeIn } from '../fixtures/dns.ts'
import { reverseOf } from '../../src/dns/reverse-name.ts'
import { endpoint, written } from '../fixtures/records.ts'
import { decode } from 'dns-packet'

const NOERROR = 0
const SERVFAIL = 2
const NXDOMAIN = 3

t.test('names, aliases, services, in any case', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  made.endpoint('blue', {
    name: 'Web-1',
    ip: '10.0.1.2',
    ip6: 'fd00:1::2',
    aliases: ['api'],
    service: 'web',
  })
  made.endpoint('blue', { name: 'web-2', ip: '10.0.1.3', aliases: ['api'], service: 'web' })
  for (const [name, addresses] of Object.entries({
    'web-1': ['10.0.1.2'],
    'WEB-1.BLUE': ['10.0.1.2'],
    'web-2.blue': ['10.0.1.3'],
    api: ['10.0.1.2', '10.0.1.3'],
    'api.blue': ['10.0.1.2', '10.0.1.3'],
    web: ['10.0.1.2', '10.0.1.3'],
    'tasks.web': ['10.0.1.2', '10.0.1.3'],
    'Tasks.web.blue': ['10.0.1.2', '10.0.1.3'],
  })) {
    const reply = made.query(name, 'A', blue)
    t.same(dataIn(reply).sort(), addresses, name)
    t.ok(reply.flag_aa, `${name}: with authority`)
    t.same(
      reply.answers?.map((answer) => 'ttl' in answer && answer.ttl),
      addresses.map(() => 1),
    )
  }
  t.same(dataIn(made.query('web-1', 'AAAA', blue)), ['fd00:1::2'])
  t.same(dataIn(made.query('web', 'AAAA', blue)), ['fd00:1::2'], 'those that have one')
})

t.test('an endpoint that is not healthy has no names, until it is', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  made.endpoint('blue', { name: 'w1', ip: '10.0.1.2', aliases: ['api'], service: 'web' })
  const key = made.endpoint('blue', { name: 'w2', ip: '10.0.1.3', service: 'web' })
  const value = made.netdb.get('endpoint', key)!.value
  const names = ['w2', 'web', 'tasks.web', 'w2.blue']
  const answered = (): string[] =>
    names.filter((name) => dataIn(made.query(name, 'A', blue)).includes('10.0.1.3'))
  t.same(answered(), names, 'not checked')
  for (const [health, served] of [
    ['starting', []],
    ['healthy', names],
    ['unhealthy', []],
    ['healthy', names],
  ] as const) {
    made.netdb.put('endpoint', key, { ...value, health })
    t.same(answered(), served, health)
    t.same(dataIn(made.query('w1', 'A', blue)), ['10.0.1.2'], 'others are as before')
    const reverse = made.query(reverseOf('10.0.1.3'), 'PTR', blue)
    t.equal((reverse.answers ?? []).length, served.length === 0 ? 0 : 1, 'nor has its address')
  }
  made.netdb.put('endpoint', key, { ...value, health: 'unhealthy' })
  made.netdb.remove('endpoint', key)
  t.same(answered(), [])
})

t.test('nothing of that type is no error, and is never asked elsewhere', async (t) => {
  const made = new DnsWorld()
  made.use({ '192.0.2.1': () => undefined })
  made.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  for (const type of ['AAAA', 'MX', 'TXT', 'NS', 'SOA', 'SRV'] as const) {
    const reply = made.query('web.blue', type, made.asker('blue'))
    t.equal(rcodeIn(reply), NOERROR, type)
    t.same(reply.answers, [], type)
    t.match(reply.authorities, [{ type: 'SOA', name: 'blue', ttl: 1, data: { minimum: 1 } }], type)
  }
  const https = query('web', 'A')
  https.writeUInt16BE(65, https.length - 4)
  t.equal(made.ask(https, made.asker('blue'))!.readUInt16BE(2) & 0xf, NOERROR, 'type 65 (RFC 3597)')
  t.match(made.query('web', 'ANY', made.asker('blue')).answers, [
    { type: 'HINFO', data: { cpu: 'RFC8482', os: '' } },
  ])
  t.same(made.asked, [])
})

t.test('holders take turns, each type by itself', async (t) => {
  const made = new DnsWorld()
  for (const last of [2, 3, 4]) {
    made.endpoint('blue', {
      name: `w${last}`,
      ip: `10.0.1.${last}`,
      ip6: `fd00:1::${last}`,
      service: 'web',
    })
  }
  const firsts = new Map<unknown, number>()
  for (let asked = 0; asked < 30; asked++) {
    for (const type of ['A', 'AAAA'] as const) {
      const [first] = dataIn(made.query('web', type, made.asker('blue')))
      firsts.set(first, (firsts.get(first) ?? 0) + 1)
    }
  }
  t.same([...firsts.values()], [10, 10, 10, 10, 10, 10])
})

t.test("a name of another network is somebody else's", async (t) => {
  const made = new DnsWorld()
  made.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  made.endpoint('red', { name: 'db', ip: '10.0.2.2' })
  made.endpoint('red', { name: 'web', ip: '10.0.2.3' })
  t.equal(rcodeIn(made.query('db', 'A', made.asker('blue'))), SERVFAIL, 'no upstream to ask')
  t.equal(rcodeIn(made.query('db.red', 'A', made.asker('blue'))), SERVFAIL)
  t.same(dataIn(made.query('db', 'A', made.asker('blue', 'red'))), ['10.0.2.2'])
  t.same(dataIn(made.query('web', 'A', made.asker('blue', 'red'))), ['10.0.1.2', '10.0.2.3'])
  t.same(dataIn(made.query('web.red', 'A', made.asker('blue', 'red'))), ['10.0.2.3'])
  t.equal(rcodeIn(made.query('web', 'A', made.asker())), SERVFAIL, 'on no network')

  const networks = ['blue']
  const moving = { networks: () => networks, underway: 0 }
  t.equal(rcodeIn(made.query('db', 'A', moving)), SERVFAIL)
  networks.push('red')
  t.same(dataIn(made.query('db', 'A', moving)), ['10.0.2.2'], 'at once, after it was connected')
})

t.test('addresses have names', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  made.endpoint('blue', { name: 'web', ip: '10.0.1.2', ip6: 'fd00:1::2' })
  made.endpoint('red', { name: 'db', ip: '10.0.2.2' })
  t.same(dataIn(made.query(reverseOf('10.0.1.2'), 'PTR', blue)), ['web.blue'])
  t.same(dataIn(made.query(reverseOf('fd00:1::2').toUpperCase(), 'PTR', blue)), ['web.blue'])
  const free = made.query(reverseOf('10.0.1.77'), 'PTR', blue)
  t.equal(rcodeIn(free), NXDOMAIN, 'of our subnet, and nobody has it')
  t.match(free.authorities, [{ type: 'SOA', name: 'in-addr.arpa' }])
  t.equal(rcodeIn(made.query(reverseOf('10.0.2.2'), 'PTR', blue)), SERVFAIL, 'another network')
  t.equal(rcodeIn(made.query(reverseOf('10.0.1.2'), 'A', blue)), NOERROR)
})

t.test('a port of a name (RFC 2782)', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  made.endpoint('blue', { name: 'w1', ip: '10.0.1.2', ip6: 'fd00:1::2', service: 'web' })
  made.endpoint('blue', { name: 'w2', ip: '10.0.1.3', service: 'web' })
  const reply = made.query('_8080._tcp.web', 'SRV', blue)
  t.same(dataIn(reply), [
    { priority: 0, weight: 0, port: 8080, target: 'w1.blue' },
    { priority: 0, weight: 0, port: 8080, target: 'w2.blue' },
  ])
  t.match(reply.additionals, [
    { name: 'w1.blue', type: 'A', data: '10.0.1.2' },
    { name: 'w1.blue', type: 'AAAA', data: 'fd00:1::2' },
    { name: 'w2.blue', type: 'A', data: '10.0.1.3' },
  ])
  t.equal(dataIn(made.query('_53._udp.web.blue', 'SRV', blue)).length, 2)
  t.equal(rcodeIn(made.query('_http._tcp.web', 'SRV', blue)), NXDOMAIN)
  t.equal(rcodeIn(made.query('_0._tcp.web', 'SRV', blue)), NXDOMAIN)
  t.equal(rcodeIn(made.query('_65536._tcp.web', 'SRV', blue)), NXDOMAIN)
  t.equal(rcodeIn(made.query('_80._tcp.web', 'A', blue)), NOERROR)
  t.equal(rcodeIn(made.query('_80._tcp.other', 'SRV', blue)), SERVFAIL, 'not ours')
})

t.test('a service of vip mode is answered by its VIP, its tasks by theirs', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  made.endpoint('blue', { name: 'w1', ip: '10.0.1.3', service: 'web' })
  const vip = parseIpv4Address('10.0.1.2')
  made.names.setService('blue', 'Web', { vip, vip6: null })
  t.same(dataIn(made.query('web', 'A', blue)), ['10.0.1.2'])
  t.same(dataIn(made.query('tasks.web', 'A', blue)), ['10.0.1.3'])
  t.same(dataIn(made.query(reverseOf(vip), 'PTR', blue)), ['Web.blue'])
  made.names.setService('blue', 'web', null)
  t.same(dataIn(made.query('web', 'A', blue)), ['10.0.1.3'])
})

t.test('a service that nobody is behind is ours all the same: nobody else is asked', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  made.names.setService('blue', 'Web', { vip: null, vip6: null })
  for (const name of ['web', 'tasks.web', 'WEB.blue', '_80._tcp.web']) {
    const type = name.startsWith('_') ? 'SRV' : 'A'
    const reply = made.query(name, type, blue)
    t.equal(rcodeIn(reply), NOERROR, name)
    t.same(dataIn(reply), [])
    t.match(reply.authorities, [{ type: 'SOA' }])
  }
  t.equal(rcodeIn(made.query('web', 'A', made.asker('red'))), SERVFAIL, 'not on its network')
  const key = made.endpoint('blue', { name: 'w1', ip: '10.0.1.3', service: 'web' })
  t.same(dataIn(made.query('web', 'A', blue)), ['10.0.1.3'])
  made.netdb.remove('endpoint', key)
  t.equal(rcodeIn(made.query('tasks.web', 'A', blue)), NOERROR)
  made.names.setService('blue', 'web', null)
  t.equal(rcodeIn(made.query('web', 'A', blue)), SERVFAIL)
})

t.test('names go with what they name', async (t) => {
  const made = new DnsWorld()
  const blue = made.asker('blue')
  const key = made.endpoint('blue', { name: 'web', ip: '10.0.1.2', aliases: ['api'] })
  t.same(dataIn(made.query('api', 'A', blue)), ['10.0.1.2'])
  made.netdb.remove('endpoint', key)
  t.equal(rcodeIn(made.query('api', 'A', blue)), SERVFAIL)
  t.equal(rcodeIn(made.query(reverseOf('10.0.1.2'), 'PTR', blue)), NXDOMAIN)

  // Another host's, which is seen, goes, and comes back.
  const netdb = made.netdb
  netdb.merge(
    written('h2', 5, 'endpoint', 'e', { ...endpoint(0x109), name: 'far', network: 'blue' }),
  )
  t.equal(rcodeIn(made.query('far', 'A', blue)), SERVFAIL, 'nobody has seen its host')
  netdb.setPresent('h2', true)
  t.same(dataIn(made.query('far', 'A', blue)), ['10.0.1.9'])
  netdb.setPresent('h2', false)
  t.equal(rcodeIn(made.query('far', 'A', blue)), SERVFAIL, 'its host is gone')
  netdb.setPresent('h2', true)
  netdb.merge(
    written('h2', 6, 'endpoint', 'e', { ...endpoint(0x10a), name: 'near', network: 'blue' }),
  )
  t.equal(rcodeIn(made.query('far', 'A', blue)), SERVFAIL, 'it has another name')
  t.same(dataIn(made.query('near', 'A', blue)), ['10.0.1.10'], 'and another address')
  netdb.merge(
    written('h2', 7, 'endpoint', 'e', { ...endpoint(0x10a), name: 'near', network: 'red' }),
  )
  t.equal(rcodeIn(made.query('near', 'A', blue)), SERVFAIL, 'it is on another network')
  t.same(dataIn(made.query('near', 'A', made.asker('red'))), ['10.0.1.10'])
})

t.test('what is there before anybody listens is known', async (t) => {
  const made = new DnsWorld()
  made.endpoint('blue', { name: 'web', ip: '10.0.1.2' })
  const { Names } = await import('../../src/dns/names.ts')
  const names = new Names(made.netdb, 1)
  t.same(
    names.list().map(({ network, name }) => `${name}.${network}`),
    ['web.blue'],
  )
  names.close()
  made.endpoint('blue', { name: 'db', ip: '10.0.1.3' })
  t.equal(names.list().length, 1, 'closed')
  t.same(new Names(new Netdb('h1', {}), 1).list(), [])
})

t.test('who is only on internal networks asks nobody outside', async (t) => {
  const made = new DnsWorld()
  made.use({ '192.0.2.1': () => undefined })
  made.endpoint('inner', { name: 'web', ip: '10.0.3.2' })
  t.same(dataIn(made.query('web', 'A', made.asker('inner'))), ['10.0.3.2'])
  const reply = made.query('example.com', 'A', made.asker('inner'))
  t.equal(rcodeIn(reply), NXDOMAIN)
  t.match(reply.authorities, [{ type: 'SOA', name: 'com' }])
  t.same(made.asked, [])
  made.ask(query('example.com', 'A'), made.asker('inner', 'blue'), { waitMs: 10 })
  t.same(made.asked, ['192.0.2.1 udp example.com'])
  t.doesNotThrow(() => decode(made.ask(query('.', 'NS'), made.asker('inner'))!), 'the root')
})

// What a sandbox may be on: each network once, none that overlaps another, under names that are names.

import t from 'tap'
import { parseIpv4Cidr } from '../../src/net/cidr.ts'
import { Connections } from '../../src/network/connections.ts'
import type { EndpointWish } from '../../src/network/endpoint-claims.ts'
import type { Endpoints } from '../../src/network/endpoints.ts'
import type { Networks } from '../../src/network/networks.ts'
import type { EndpointSpec } from '../../src/network/sandbox-spec.ts'
import type { SandboxTable } from '../../src/network/sandbox-table.ts'
import type { Logger } from '../../src/log.ts'

/** Networks by name, each with its subnets; `late` took one in another half of a partition. */
const SUBNETS: Readonly<Record<string, readonly string[]>> = {
  red: ['10.1.0.0/24', '10.2.0.0/24'],
  blue: ['10.3.0.0/24'],
  late: ['10.4.0.0/24', '10.2.0.0/16'],
}

function connections() {
  const asked: EndpointWish[] = []
  const networks = {
    find: (text: string) => Promise.resolve({ key: `id-${text}`, value: { name: text } }),
    subnetsOf: (id: string) =>
      (SUBNETS[id.slice(3)] ?? []).map((cidr) => ({ value: { cidr: parseIpv4Cidr(cidr) } })),
  } as unknown as Networks
  const endpoints = {
    promise: (wish: EndpointWish) => {
      asked.push(wish)
      return Promise.resolve({ networkId: wish.network, network: wish.network.slice(3) })
    },
  } as unknown as Endpoints
  const of = new Connections({
    endpoints,
    networks,
    table: undefined as unknown as SandboxTable,
    log: undefined as unknown as Logger,
  })
  const promise = async (...attachments: Parameters<Connections['promiseAll']>[1]) => {
    const promised: EndpointSpec[] = []
    await of.promiseAll('t1', attachments, 'eth', new Set(['lo']), promised)
    return promised
  }
  return { asked, promise }
}

t.test('interfaces follow each other, aliases are there once', async (t) => {
  const { asked, promise } = connections()
  await promise(
    { network: 'red', aliases: ['web', 't1', 'web'] },
    { network: 'blue', interface: 'lan' },
  )
  t.match(asked, [
    { network: 'id-red', interface: 'eth0', aliases: ['web'] },
    { network: 'id-blue', interface: 'lan', aliases: [] },
  ])
  await t.rejects(promise({ network: 'red', interface: 'lo' }), { code: 'interface_in_use' })
  await t.rejects(promise({ network: 'red', aliases: ['a.b'] }), { message: /'a\.b' is not a/ })
})

t.test('a network once, and none that overlaps one that it is on', async (t) => {
  const { promise } = connections()
  t.equal((await promise({ network: 'red' }, { network: 'blue' })).length, 2)
  await t.rejects(promise({ network: 'red' }, { network: 'red' }), {
    code: 'name_in_use',
    message: 'sandbox t1 is on network red already; it can be on it once',
  })
  await t.rejects(promise({ network: 'red' }, { network: 'late' }), {
    code: 'address_in_use',
    message:
      'subnet 10.2.0.0/16 of network late overlaps 10.2.0.0/24 of network red, which t1 is on; it can be on one of them',
  })
})

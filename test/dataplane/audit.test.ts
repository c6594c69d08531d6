// The audit: native is read back whole, and each row that is not what the records say is named and put right.

import t from 'tap'
import { describeDifference } from '../../src/dataplane/audit.ts'
import { encodePut, encodeRemove } from '../../src/dataplane/batch.ts'
import { type Row, rowName } from '../../src/dataplane/rows.ts'
import { networkIdOf } from '../../src/facts/facts-source.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { vipKey } from '../../src/netdb/record.ts'
import { Switchboard } from '../fixtures/switchboard.ts'
import { WEB } from '../fixtures/vips.ts'

function audited(board: Switchboard): Map<string, string> {
  const differences = board.programmer.audit(() => board.dataplane.rows())
  return new Map(differences.map((one) => [one.name, describeDifference(one)]))
}

/** One with a service on network blue, so that no table is empty. */
function newBoard(): Switchboard {
  const board = new Switchboard()
  const network = networkIdOf('blue')
  const service = {
    name: 'web',
    endpointMode: 'vip',
    scheduler: 'rr',
    networks: [network],
  } as const
  board.netdb.put('service', 'web', { ...service, labels: {}, createdAtMs: 0 })
  const addresses = { ip: parseIpv4Address(WEB.ip), ip6: parseIpv6Address(WEB.ip6) }
  board.netdb.put('vip', vipKey({ service: 'web', network }), {
    ...{ service: 'web', network },
    ...addresses,
  })
  board.programmer.flush()
  return board
}

t.test('what the programmer made is what the records say, in all seven tables', async (t) => {
  const board = newBoard()
  t.same([...audited(board)], [])
  const tables = new Set(board.dataplane.rows().map(({ table }) => table))
  t.same([...tables].sort(), [
    ...['fdb', 'neighbour', 'network', 'port', 'router', 'service', 'vtep'],
  ])
  t.same(
    board.programmer.resync(() => board.dataplane.rows()),
    [],
    'nothing to put right',
  )
  board.close()
})

t.test(
  'a row that was changed, removed or added behind its back is named, and put right',
  async (t) => {
    const board = newBoard()
    const rows = board.dataplane.rows()
    const of = <T extends Row['table']>(table: T): Extract<Row, { table: T }> =>
      rows.find((row) => row.table === table) as Extract<Row, { table: T }>
    const [fdb, neighbour, network, router, port, vtep, service] = [
      of('fdb'),
      of('neighbour'),
      of('network'),
      of('router'),
      of('port'),
      of('vtep'),
      of('service'),
    ]
    const other = rows.find((row) => row.table === 'service' && row.vip !== service.vip)!
    const extra: Row = { ...fdb, vni: 4242 }
    board.dataplane.apply(
      Buffer.concat([
        encodePut({ ...fdb, to: fdb.to === 1 ? 2 : 1 }),
        encodePut({ ...network, mtu: 9999 }),
        encodePut({ ...router, subnets: [] }),
        encodePut({ ...port, vni: 4242 }),
        encodePut({ ...vtep, record: 4242 }),
        encodePut({ ...service, scheduler: 'maglev' }),
        encodeRemove(other),
        encodeRemove(neighbour),
        encodePut(extra),
      ]),
    )
    const named = audited(board)
    t.same(
      [...named.keys()],
      [fdb, network, router, port, vtep, service, other, neighbour, extra].map(rowName).sort(),
    )
    t.equal(named.get(rowName(network)), `mtu is 9999, should be ${network.mtu}`)
    t.equal(named.get(rowName(service)), 'scheduler is maglev, should be rr')
    t.equal(named.get(rowName(other)), 'is missing')
    t.equal(named.get(rowName(neighbour)), 'is missing')
    t.equal(named.get(rowName(extra)), 'is there, and no record asks for it')
    t.equal(board.programmer.resync(() => board.dataplane.rows()).length, 9)
    t.same([...audited(board)], [], 'all is as it was')
    t.same(board.dataplane.rows().map(rowName).sort(), rows.map(rowName).sort())
    board.close()
  },
)

// The audit: native is read back whole, and each row that is not what the records say is named and put right.

import t from 'tap'
import { describeDifference } from '../../src/dataplane/audit.ts'
import { encodePut, encodeRemove } from '../../src/dataplane/batch.ts'
import { type Row, rowName } from '../../src/dataplane/rows.ts'
import { Switchboard } from '../fixtures/switchboard.ts'

function audited(board: Switchboard): Map<string, string> {
  const differences = board.programmer.audit(() => board.dataplane.rows())
  return new Map(differences.map((one) => [one.name, describeDifference(one)]))
}

t.test('what the programmer made is what the records say, in all six tables', async (t) => {
  const board = new Switchboard()
  t.same([...audited(board)], [])
  const tables = new Set(board.dataplane.rows().map(({ table }) => table))
  t.same([...tables].sort(), ['fdb', 'neighbour', 'network', 'port', 'router', 'vtep'])
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
    const board = new Switchboard()
    const rows = board.dataplane.rows()
    const of = <T extends Row['table']>(table: T): Extract<Row, { table: T }> =>
      rows.find((row) => row.table === table) as Extract<Row, { table: T }>
    const [fdb, neighbour, network, router, port, vtep] = [
      of('fdb'),
      of('neighbour'),
      of('network'),
      of('router'),
      of('port'),
      of('vtep'),
    ]
    const extra: Row = { ...fdb, vni: 4242 }
    board.dataplane.apply(
      Buffer.concat([
        encodePut({ ...fdb, to: fdb.to === 1 ? 2 : 1 }),
        encodePut({ ...network, mtu: 9999 }),
        encodePut({ ...router, subnets: [] }),
        encodePut({ ...port, vni: 4242 }),
        encodePut({ ...vtep, record: 4242 }),
        encodeRemove(neighbour),
        encodePut(extra),
      ]),
    )
    const named = audited(board)
    t.same(
      [...named.keys()],
      [fdb, network, router, port, vtep, neighbour, extra].map(rowName).sort(),
    )
    t.equal(named.get(rowName(network)), `mtu is 9999, should be ${network.mtu}`)
    t.equal(named.get(rowName(neighbour)), 'is missing')
    t.equal(named.get(rowName(extra)), 'is there, and no record asks for it')
    t.equal(board.programmer.resync(() => board.dataplane.rows()).length, 7)
    t.same([...audited(board)], [], 'all is as it was')
    t.same(board.dataplane.rows().map(rowName).sort(), rows.map(rowName).sort())
    board.close()
  },
)

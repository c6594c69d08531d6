// weft network: flags to requests, answers to docker's columns.

import t from 'tap'
import type { NetworkSummary } from '../../src/api/network-types.ts'
import { weft } from '../fixtures/weft.ts'
import { type Behaviour, fakeDaemon } from './fixtures/fake-daemon.ts'

const ID = 'kls7mti5o4mtk2ybjcr5fcjwp'

async function ask(line: string, behaviour: Behaviour) {
  const daemon = await fakeDaemon(behaviour)
  try {
    const result = await weft(line.split(' '), { socketPath: daemon.socketPath })
    return { ...result, asked: daemon.asked }
  } finally {
    await daemon.close()
  }
}

t.test('create: all flags, the id printed', async (t) => {
  const made: Behaviour = { answer: () => ({ status: 201, body: { id: ID } }) }
  const line =
    'network create -d overlay --subnet 10.1.1.0/24 --subnet 10.1.2.0/24 --gateway 10.1.1.9 --ip-range 10.1.2.128/25 ' +
    '--ipv6 --internal --attachable --opt mtu=1400 -o a --label who=me=you blue'
  const { code, stdout, stderr, asked } = await ask(line, made)
  t.same({ code, stdout, stderr }, { code: 0, stdout: `${ID}\n`, stderr: '' })
  t.match(asked, [{ method: 'POST', url: '/v1/networks' }])
  t.same(asked[0]?.body, {
    name: 'blue',
    subnets: ['10.1.1.0/24', '10.1.2.0/24'],
    gateways: ['10.1.1.9'],
    ipRanges: ['10.1.2.128/25'],
    ipv6: true,
    internal: true,
    attachable: true,
    options: { mtu: '1400', a: '' },
    labels: { who: 'me=you' },
  })
  t.match((await ask('network create blue', made)).asked[0]?.body, {
    subnets: [],
    ipv6: false,
    attachable: false,
    options: {},
  })
})

t.test('connect, disconnect, update: flags to requests; the first two print nothing', async (t) => {
  const done: Behaviour = { answer: () => ({ status: 201, body: {} }) }
  const line =
    'network connect --ip 10.0.1.5 --ip6 fd::5 --alias a --alias b --interface x blue h2/t1'
  const connected = await ask(line, done)
  t.match(connected, { code: 0, stdout: '', stderr: '' })
  t.match(connected.asked, [{ method: 'POST', url: '/v1/sandboxes/h2%2Ft1/networks' }])
  const body = {
    network: 'blue',
    ip: '10.0.1.5',
    ip6: 'fd::5',
    interface: 'x',
    aliases: ['a', 'b'],
  }
  t.same(connected.asked[0]?.body, body)
  t.same((await ask('network connect blue t1', done)).asked[0]?.body, { network: 'blue' })

  const gone = await ask('network disconnect a/b t1', {
    answer: () => ({ status: 204, body: undefined }),
  })
  t.match(gone, { code: 0, stdout: '', stderr: '' })
  t.match(gone.asked, [{ method: 'DELETE', url: '/v1/sandboxes/t1/networks/a%2Fb' }])

  const updated = await ask(
    'network update --subnet-add 10.2.0.0/24 --subnet-add 10.3.0.0/24 --gateway 10.2.0.9 --ip-range 10.3.0.0/25 blue',
    { answer: () => ({ status: 204, body: undefined }) },
  )
  t.match(updated, { code: 0, stdout: 'blue\n' })
  t.match(updated.asked, [{ method: 'POST', url: '/v1/networks/blue/subnets' }])
  t.same(updated.asked[0]?.body, {
    subnets: ['10.2.0.0/24', '10.3.0.0/24'],
    gateways: ['10.2.0.9'],
    ipRanges: ['10.3.0.0/25'],
  })
})

t.test('wrong usage', async (t) => {
  const rows: [string, RegExp][] = [
    ['network', /Usage: weft network/],
    ['network create', /missing required argument 'name'/],
    ['network create -d bridge x', /no driver 'bridge'; networks of weft are overlay/],
    ['network create --label =x n', /--label '=x': write KEY=VALUE/],
    ['network lss', /unknown command 'lss' \(Did you mean ls\?\); see `weft network --help`/],
    ['network connect blue', /missing required argument 'name'/],
    ['network disconnect', /missing required argument 'network'/],
    ['network update blue', /say what is to be added: --subnet-add CIDR/],
    ['network rm', /missing required argument 'network'/],
  ]
  for (const [line, message] of rows) {
    t.match(await weft(line.split(' ')), { code: 2, stdout: '', stderr: message }, line)
  }
})

t.test("ls: docker's columns, ids, JSON", async (t) => {
  const row: NetworkSummary = {
    id: ID,
    name: 'blue',
    driver: 'overlay',
    scope: 'swarm',
    createdAt: '2026-11-07T08:09:10.111Z',
    ipv6: false,
    internal: true,
    attachable: false,
    labels: { a: 'b', c: 'd' },
    localEndpoints: 0,
  }
  const listing: Behaviour = { answer: () => ({ body: [row] }) }
  const table = await ask('network ls', listing)
  t.equal(
    table.stdout,
    'NETWORK ID     NAME      DRIVER    SCOPE\nkls7mti5o4mt   blue      overlay   swarm\n',
  )
  t.equal(table.asked[0]?.url, '/v1/networks')
  t.equal((await ask('network ls --all', listing)).asked[0]?.url, '/v1/networks?all=1')
  t.match(await ask('network ls -q', listing), { stdout: 'kls7mti5o4mt\n' })
  t.match(await ask('network ls -q --no-trunc', listing), { stdout: `${ID}\n` })
  t.same(JSON.parse((await ask('network ls --format json', listing)).stdout), {
    CreatedAt: '2026-11-07 08:09:10 +0000 UTC',
    Driver: 'overlay',
    ID: 'kls7mti5o4mt',
    IPv4: 'true',
    IPv6: 'false',
    Internal: 'true',
    Labels: 'a=b,c=d',
    Name: 'blue',
    Scope: 'swarm',
  })
})

t.test('inspect and rm: each name for itself', async (t) => {
  const noB: Behaviour = {
    answer: ({ url }) =>
      url.endsWith('/b')
        ? {
            status: 404,
            body: { error: { code: 'not_found', message: "there is no network 'b'" } },
          }
        : { body: { Name: 'x' } },
  }
  const inspected = await ask('network inspect a b', noB)
  t.match(inspected, { code: 1, stderr: "weft: there is no network 'b'\n" })
  t.same(JSON.parse(inspected.stdout), [{ Name: 'x' }])
  const removed = await ask('network rm a b c', noB)
  t.match(removed, { code: 1, stdout: 'a\nc\n', stderr: "weft: there is no network 'b'\n" })
  t.match(removed.asked, [{ method: 'DELETE', url: '/v1/networks/a' }, {}, {}])
})

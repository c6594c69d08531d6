// weft service: flags to requests, answers to docker's columns.

import t from 'tap'
import type { ServiceSummary } from '../../src/api/service-types.ts'
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

const done: Behaviour = { answer: () => ({ status: 201, body: { id: ID } }) }

t.test('create: all flags, the id printed', async (t) => {
  const line =
    'service create --name web --network blue --network red --endpoint-mode dnsrr --scheduler lc --label a=1'
  const { code, stdout, asked } = await ask(line, done)
  t.same({ code, stdout }, { code: 0, stdout: `${ID}\n` })
  t.match(asked, [{ method: 'POST', url: '/v1/services' }])
  const networks = ['blue', 'red']
  const body = { name: 'web', networks, endpointMode: 'dnsrr', scheduler: 'lc', labels: { a: '1' } }
  t.strictSame(asked[0]?.body, body)
  const plain = await ask('service create --name web --network blue', done)
  t.match(plain.asked[0]?.body, { endpointMode: 'vip', scheduler: 'rr', labels: {} })
})

t.test('update: what is said, and nothing else', async (t) => {
  const line = 'service update web --drain b1 --undrain h2/b2 --weight b=c=3 --label-rm x'
  const { code, stdout, asked } = await ask(line, { answer: () => ({ status: 204 }) })
  t.same({ code, stdout }, { code: 0, stdout: 'web\n' })
  t.match(asked, [{ method: 'POST', url: '/v1/services/web' }])
  const backends = { drain: ['b1'], undrain: ['h2/b2'], weights: { 'b=c': 3 } }
  t.strictSame(asked[0]?.body, { ...backends, labelsRemoved: ['x'] })
})

t.test('wrong usage is told before anybody is asked', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['service create --network blue', /required option '--name <name>' not specified/],
    ['service create --name web', /required option '--network <net>' not specified/],
    ['service create --name web --network b --scheduler x', /Allowed choices are rr, lc/],
    ['service create --name web --network b --endpoint-mode x', /Allowed choices are vip, dnsrr/],
    ['service update web', /say what is to be another way/],
    ['service update web --weight b1=-1', /write BACKEND=N, with N from 0 to 256/],
    ['service update web --weight b1=257', /write BACKEND=N/],
    ['service update web --weight b1', /write BACKEND=N/],
    ['service rm', /missing required argument 'service'/],
  ]
  for (const [line, message] of cases) {
    const { code, stderr, asked } = await ask(line, done)
    t.equal(code, 2, line)
    t.match(stderr, message, line)
    t.same(asked, [], line)
  }
})

t.test("ls: docker's columns and JSON", async (t) => {
  const rows: ServiceSummary[] = [
    {
      id: ID,
      name: 'web',
      endpointMode: 'vip',
      scheduler: 'rr',
      backends: 2,
      running: 1,
      labels: {},
    },
  ]
  const listing: Behaviour = { answer: () => ({ body: rows }) }
  const table = await ask('service ls', listing)
  t.equal(
    table.stdout,
    'ID             NAME      MODE         REPLICAS   IMAGE     PORTS\n' +
      'kls7mti5o4mt   web       replicated   1/2\n',
  )
  const json = await ask('service ls --format json --no-trunc', listing)
  t.strictSame(JSON.parse(json.stdout), {
    ID,
    Image: '',
    Mode: 'replicated',
    Name: 'web',
    Ports: '',
    Replicas: '1/2',
  })
  t.equal((await ask('service ls -q', listing)).stdout, 'kls7mti5o4mt\n')
})

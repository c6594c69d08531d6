// weft lb and weft flows: flags to requests, answers to tables and JSON.

import t from 'tap'
import type { FlowRow, LbRow } from '../../src/api/lb-types.ts'
import { weft } from '../fixtures/weft.ts'
import { type Behaviour, fakeDaemon } from './fixtures/fake-daemon.ts'

async function ask(line: string, behaviour: Behaviour) {
  const daemon = await fakeDaemon(behaviour)
  try {
    const result = await weft(line.split(' '), { socketPath: daemon.socketPath })
    return { ...result, asked: daemon.asked }
  } finally {
    await daemon.close()
  }
}

const web: LbRow = {
  network: 'blue',
  vni: 4097,
  service: 'web',
  vip: '10.0.1.200',
  scheduler: 'rr',
  position: 9,
  backends: [
    {
      ip: '10.0.1.3',
      endpoint: 'web1',
      host: 'h1',
      state: 'healthy',
      weight: 1,
      activeFlows: 4,
      flows: 9,
      toBackend: { packets: 50, bytes: 5000 },
      fromBackend: { packets: 60, bytes: 6000 },
    },
    {
      ip: '10.0.1.4',
      endpoint: null,
      host: null,
      state: 'draining',
      weight: 256,
      activeFlows: 0,
      flows: 12345678,
      toBackend: { packets: 1, bytes: 2 },
      fromBackend: { packets: 3, bytes: 4 },
    },
  ],
  record: null,
}
const bare: LbRow = {
  ...web,
  network: 'red',
  service: null,
  vip: 'fd57:1::c8',
  scheduler: 'maglev',
  backends: [],
}
const both: Behaviour = { answer: () => ({ body: [web, bare] }) }

t.test('lb ls: a line for each backend', async (t) => {
  const table = await ask('lb ls', both)
  t.match(table.asked, [{ method: 'GET', url: '/v1/lb' }])
  t.equal(
    table.stdout,
    [
      'NETWORK   SERVICE      VIP          SCHEDULER   BACKEND    ENDPOINT   STATE      WEIGHT    ACTIVE    FLOWS      INPKTS    OUTPKTS   INBYTES   OUTBYTES',
      'blue      web          10.0.1.200   rr          10.0.1.3   h1/web1    healthy    1         4         9          50        60        5000      6000',
      'blue      web          10.0.1.200   rr          10.0.1.4   -          draining   256       0         12345678   1         3         2         4',
      'red       fd57:1::c8   fd57:1::c8   maglev      -          -          -          -         -         -          -         -         -         -',
      '',
    ].join('\n'),
  )
  t.match(await ask('lb ls -q', both), { stdout: '10.0.1.200\nfd57:1::c8\n' })
  const json = await ask('lb ls --format json', both)
  t.same(
    json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [web, bare],
  )
  const filtered: [string, string][] = [
    ['--network red', 'fd57:1::c8\n'],
    ['--service WEB', '10.0.1.200\n'],
    ['--service FD57:1::c8', 'fd57:1::c8\n'],
    ['--service web --network red', ''],
  ]
  for (const [flags, vips] of filtered)
    t.equal((await ask(`lb ls -q ${flags}`, both)).stdout, vips, flags)
})

const flow: FlowRow = {
  network: 'blue',
  vni: 4097,
  service: 'web',
  protocol: 'tcp',
  state: 'established',
  original: {
    source: '10.0.1.2',
    sourcePort: 40000,
    destination: '10.0.1.200',
    destinationPort: 80,
  },
  reply: {
    source: '10.0.1.3',
    sourcePort: 8080,
    destination: '10.0.1.2',
    destinationPort: 40000,
  },
  backend: { endpoint: 'web1', host: 'h1' },
  ageSeconds: 190,
  idleMs: 12,
}
const flow6: FlowRow = {
  ...flow,
  service: null,
  protocol: 'udp',
  state: 'udpNew',
  original: { source: 'fd::2', sourcePort: 5, destination: 'fd::c8', destinationPort: 53 },
  reply: { source: 'fd::3', sourcePort: 53, destination: 'fd::2', destinationPort: 5 },
  backend: { endpoint: null, host: null },
  ageSeconds: 0,
}

const telling = (rows: readonly FlowRow[]): Behaviour => ({
  respond: (_, response) => {
    response.end(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  },
})

t.test('flows ls: both tuples, state, age, backend', async (t) => {
  t.equal(
    (await ask('flows ls', telling([flow, flow6]))).stdout,
    [
      'PROTO     STATE         AGE                  SERVICE   SOURCE           DESTINATION     REPLY SOURCE    REPLY DESTINATION   BACKEND',
      'tcp       established   3 minutes            web       10.0.1.2:40000   10.0.1.200:80   10.0.1.3:8080   10.0.1.2:40000      h1/web1',
      'udp       udpNew        Less than a second   fd::c8    [fd::2]:5        [fd::c8]:53     [fd::3]:53      [fd::2]:5           -',
      '',
    ].join('\n'),
  )
  t.match((await ask('flows ls', telling([]))).stdout, /^PROTO .*BACKEND\n$/)
  const json = await ask('flows ls --format json', telling([flow, flow6]))
  t.equal(json.stdout, `${JSON.stringify(flow)}\n${JSON.stringify(flow6)}\n`)
})

t.test('flows ls: many, laid out in parts under one header', async (t) => {
  const many = Array.from({ length: 2500 }, (_, i): FlowRow => (i < 2000 ? flow : flow6))
  const lines = (await ask('flows ls', telling(many))).stdout.trimEnd().split('\n')
  t.equal(lines.length, 2501)
  t.equal(lines.filter((line) => line.startsWith('PROTO')).length, 1)
  t.equal(lines[1], lines[2000])
  t.match(lines[2500], /^udp {7}udpNew {8}Less than a second {3}/)
})

t.test('flows ls: flags to the question', async (t) => {
  const line =
    'flows ls --service web --proto tcp --src 10.0.1.0/24 --dst 10.0.1.200 --state halfOpen --limit 5'
  const { asked, code } = await ask(line, { answer: () => ({}) })
  t.equal(code, 0)
  const url = new URL(asked[0]?.url ?? '', 'http://weft')
  t.equal(url.pathname, '/v1/flows')
  t.same(Object.fromEntries(url.searchParams), {
    service: 'web',
    protocol: 'tcp',
    source: '10.0.1.0/24',
    destination: '10.0.1.200',
    state: 'halfOpen',
    limit: '5',
  })
  t.equal((await ask('flows ls', { answer: () => ({}) })).asked[0]?.url, '/v1/flows')
})

t.test('flows ls: a list that is cut short says so', async (t) => {
  const cut: Behaviour = {
    respond: (_, response) => {
      response.write(`${JSON.stringify(flow)}\n`, () => response.destroy())
    },
  }
  for (const format of ['table', 'json']) {
    const { code, stderr } = await ask(`flows ls --format ${format}`, cut)
    t.match({ code, stderr }, { code: 1, stderr: /^weft: the daemon ended before it had told all/ })
  }
})

t.test('wrong usage', async (t) => {
  const rows: [string, RegExp][] = [
    ['lb', /Usage: weft lb/],
    ['flows', /Usage: weft flows/],
    ['flows ls --proto icmp', /Allowed choices are tcp, udp/],
    ['flows ls --state open', /Allowed choices are halfOpen, established/],
    ['flows ls --limit 0', /Use a whole number from 1 to/],
    ['flows ls --format yaml', /Allowed choices are table, json/],
  ]
  for (const [line, message] of rows)
    t.match(await weft(line.split(' ')), { code: 2, stdout: '', stderr: message }, line)
})

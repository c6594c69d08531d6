// VIPs and flows asked for over the API: rows and flows of a data plane in memory, the real routes, the real client.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fastify } from 'fastify'
import t, { type Test } from 'tap'
import { ApiClient } from '../../src/api/client.ts'
import { registerLb } from '../../src/api/lb-routes.ts'
import type { FlowFilter, FlowRow } from '../../src/api/lb-types.ts'
import { isErrorCode, httpStatus, toErrorBody, WeftError } from '../../src/errors.ts'
import { effort } from '../fixtures/effort.ts'
import { ethernet, ipv4, pattern, put16, tcp, udp } from '../fixtures/frames.ts'
import { ENDPOINTS, Switchboard } from '../fixtures/switchboard.ts'
import { WEB, enableServices, putService } from '../fixtures/vips.ts'

const { a, b, c } = ENDPOINTS

async function served(t: Test): Promise<{
  board: Switchboard
  client: ApiClient
  flows: (filter?: FlowFilter) => Promise<FlowRow[]>
  read: (filter?: FlowFilter) => Promise<string>
}> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-lb-'))
  const socketPath = join(directory, 'api.sock')
  const board = new Switchboard()
  enableServices(board.dataplane)
  const http = fastify({ forceCloseConnections: true })
  http.setErrorHandler(async (error, _request, reply) => {
    const known = error instanceof WeftError ? error : new WeftError('internal', String(error))
    if (!isErrorCode(known.code)) throw error
    await reply.code(httpStatus(known.code)).send({ error: toErrorBody(known) })
  })
  registerLb(http, board)
  await http.listen({ path: socketPath })
  t.teardown(async () => {
    await http.close()
    board.close()
    rmSync(directory, { recursive: true })
  })
  const client = new ApiClient({ socketPath })
  const read = async (filter: FlowFilter = {}): Promise<string> => {
    const chunks: Buffer[] = []
    for await (const chunk of await client.flows(filter)) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString()
  }
  const flows = async (filter?: FlowFilter): Promise<FlowRow[]> =>
    (await read(filter))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as FlowRow)
  return { board, client, flows, read }
}

/** What a sends to the VIP. */
const syn = (port: number): Uint8Array =>
  ethernet(
    { from: a.mac, to: WEB.mac },
    ipv4({ from: a.ip, to: WEB.ip }, tcp({ from: port, to: 80, flags: ['syn'] }, pattern(0))),
  )
const asked = (port: number): Uint8Array =>
  ethernet(
    { from: a.mac, to: WEB.mac },
    ipv4({ from: a.ip, to: WEB.ip }, udp({ from: port, to: 53 }, pattern(8))),
  )

t.test('VIPs and flows of a data plane, with the records behind backends', async (t) => {
  const { board, client, flows } = await served(t)
  t.same(await client.lb(), [], 'no VIP')
  t.same(await flows(), [], 'no flow')

  const backends = [{ ip: b.ip }, { ip: c.ip, weight: 3, state: 'draining' as const }]
  putService(board.dataplane, { backends })
  // The numbers of real records in the rows, as a programmer would put them.
  const numberOf = (ip: string): number =>
    board.dataplane.neighbourEntries().find((entry) => entry.ip === ip)?.record ?? 0
  const [row] = board.dataplane.rows().filter(({ table }) => table === 'service')
  if (row?.table !== 'service') throw new Error('no row')
  board.putRows([
    { ...row, backends: row.backends.map((one) => ({ ...one, record: numberOf(one.ip) })) },
  ])
  board.from('a', syn(2000))
  board.from('a', asked(2001))

  const frame = syn(2000).length - 14
  const [web] = await client.lb()
  t.match(web, { network: 'blue', vni: 4097, service: null, vip: WEB.ip, scheduler: 'rr' })
  t.match(web?.backends, [
    { ip: b.ip, endpoint: 'b', host: 'h1', state: 'healthy', weight: 1, flows: 2, activeFlows: 2 },
    { ip: c.ip, endpoint: 'c', host: 'h2', state: 'draining', weight: 3, flows: 0 },
  ])
  t.equal(web?.backends[0]?.toBackend.packets, 2)
  t.ok((web?.backends[0]?.toBackend.bytes ?? 0) >= frame, 'bytes are counted')
  t.same(web?.backends[0]?.fromBackend, { packets: 0, bytes: 0 })

  t.match(await flows({ protocol: 'tcp' }), [
    {
      network: 'blue',
      service: null,
      state: 'halfOpen',
      original: { source: a.ip, sourcePort: 2000, destination: WEB.ip, destinationPort: 80 },
      reply: { source: b.ip, sourcePort: 80, destination: a.ip, destinationPort: 2000 },
      backend: { endpoint: 'b', host: 'h1' },
    },
  ])
  t.same((await flows()).map(({ protocol }) => protocol).toSorted(), ['tcp', 'udp'])
  t.equal((await flows({ limit: 1 })).length, 1)
  t.equal((await flows({ state: 'udpNew' })).length, 1)
  t.equal((await flows({ destination: WEB.ip, source: '10.0.1.0/24' })).length, 2)
  t.equal((await flows({ service: WEB.ip })).length, 2)
})

t.test('a wrong question is answered with what is wrong', async (t) => {
  const { client, read } = await served(t)
  await t.rejects(read({ service: 'nobody' }), { code: 'not_found', message: /'nobody'/ })
  await t.rejects(read({ source: '10.0.0.300' }), { code: 'invalid_argument' })
  for (const query of ['state=none', 'protocol=6', 'limit=0', 'limit=x', 'sauce=10.0.0.1'])
    await t.rejects(client.get(`/v1/flows?${query}`), { code: 'invalid_argument' }, query)
})

/** Of two clients. */
const FLOWS = effort(100_000, 25_000)

t.test(`${FLOWS} flows: all are listed, and everybody else has a turn between pages`, async (t) => {
  const { board, read } = await served(t)
  putService(board.dataplane, { backends: [{ ip: b.ip }, { ip: c.ip }] })
  const frame = syn(0)
  for (let i = 0; i < FLOWS; i++) {
    // Made once. The checksum is nobody's matter here.
    frame[28] = 1 + Math.floor((2 * i) / FLOWS)
    put16(frame, 34, 1024 + (i % (FLOWS / 2)))
    board.dataplane.injectFromPort(board.portOf('a'), frame, {}, board.nowNs)
  }

  // What else the daemon would do: something in each turn of the event loop.
  let turns = 0
  let longestMs = 0
  let lastMs = performance.now()
  let listing = true
  const turn = (): void => {
    const nowMs = performance.now()
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    turns += 1
    if (listing) setImmediate(turn)
  }
  setImmediate(turn)
  const beganMs = performance.now()
  const text = await read()
  const tookMs = performance.now() - beganMs
  listing = false

  const ports = new Set(
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const { original } = JSON.parse(line) as FlowRow
        return `${original.source}:${original.sourcePort}`
      }),
  )
  t.equal(ports.size, FLOWS)
  t.ok(turns >= FLOWS / 1_000, `${turns} turns, one a page of 1,000 at least`)
  t.comment(
    `listed in ${tookMs.toFixed(0)} ms, ${text.length} bytes; longest stall ${longestMs.toFixed(1)} ms`,
  )

  const beforeFilter = turns
  listing = true
  setImmediate(turn)
  t.equal(await read({ state: 'closing' }), '', 'none of them')
  listing = false
  t.ok(turns - beforeFilter >= FLOWS / 1_000, 'also when nothing is let through')
})

t.test('who goes away ends the listing', async (t) => {
  const { board, client } = await served(t)
  putService(board.dataplane, { backends: [{ ip: b.ip }] })
  for (let port = 1024; port < 21_024; port++) board.from('a', syn(port))
  let pages = 0
  const { dataplane } = board
  const original = dataplane.flowEntries.bind(dataplane)
  dataplane.flowEntries = (place) => {
    pages += 1
    return original(place)
  }
  const response = await client.flows({})
  await new Promise((resolve) => response.once('data', resolve))
  response.pause()
  response.destroy()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const then = pages
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(pages, then, 'no further page is read')
  t.ok(then < 20, `${then} of 20 pages were read: no faster than they were taken`)
})

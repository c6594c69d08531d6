// Flows to VIPs as time passes: which backend, how long, what becomes of them when backends, rows, clients or the data plane
// itself go, and what is left in the file.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { NativeOutput } from '../../src/dataplane/binding-types.ts'
import type { BackendState, Scheduler } from '../../src/dataplane/rows.ts'
import { parseMacAddress } from '../../src/net/mac-address.ts'
import { decodeGood } from '../fixtures/decode-frame.ts'
import { effort } from '../fixtures/effort.ts'
import {
  type TcpFlag,
  ethernet,
  ipv4,
  pattern,
  put16,
  tcp,
  udp,
  vxlan,
} from '../fixtures/frames.ts'
import { ENDPOINTS, type Outcome, Switchboard } from '../fixtures/switchboard.ts'
import {
  type BackendOf,
  WEB,
  enableServices,
  parseIp,
  putService,
  removeService,
} from '../fixtures/vips.ts'

const { a, b, c } = ENDPOINTS
const SECOND = 1_000_000_000n
const MINUTE = 60n * SECOND

const directory = mkdtempSync(join(tmpdir(), 'weft-flows-'))
t.teardown(() => {
  rmSync(directory, { recursive: true })
})

function newBoard(options: { flowsPath?: string; flows?: number } = {}): Switchboard {
  const board = new Switchboard(undefined, 'h1', options)
  t.teardown(() => {
    board.close()
  })
  enableServices(board.dataplane)
  return board
}

const both = (states: readonly BackendState[] = ['healthy', 'healthy']): BackendOf[] =>
  [b.ip, c.ip].map((ip, index) => ({ ip, state: states[index] ?? 'healthy' }))

/** What a sends to the VIP. */
const sent = (
  port: number,
  flags: readonly TcpFlag[],
  to: { ip: string; mac: string } = WEB,
): Uint8Array =>
  ethernet(
    { from: a.mac, to: to.mac },
    ipv4(
      { from: a.ip, to: to.ip },
      tcp({ from: port, to: 80, flags, acknowledgement: 9 }, pattern(0)),
    ),
  )
const asked = (port: number): Uint8Array =>
  ethernet(
    { from: a.mac, to: WEB.mac },
    ipv4({ from: a.ip, to: WEB.ip }, udp({ from: port, to: 53 }, pattern(8))),
  )

/** What b, or c on h2, answers to a. */
function answer(
  board: Switchboard,
  from: string,
  port: number,
  flags: readonly TcpFlag[] | 'udp',
): Outcome {
  const place = from === b.ip ? b : c
  const transport =
    flags === 'udp'
      ? udp({ from: 53, to: port }, pattern(9))
      : tcp({ from: 80, to: port, flags }, pattern(0))
  const frame = ethernet(
    { from: place.mac, to: a.mac },
    ipv4({ from: place.ip, to: a.ip }, transport),
  )
  return from === b.ip ? board.from('b', frame) : board.fromHost('h2', vxlan({ vni: 4097 }, frame))
}

/** Where it went: a backend's address, or why it did not. */
function went({ verdict, outputs }: Outcome): string {
  const [output] = outputs
  if (verdict.action === 'drop' || verdict.action === 'reply') return verdict.counter ?? ''
  return output === undefined ? 'nowhere' : (decodeGood(output.frame).ip?.to ?? '')
}

function opened(board: Switchboard, port: number): string {
  const backend = went(board.from('a', sent(port, ['syn'])))
  answer(board, backend, port, ['syn', 'ack'])
  board.from('a', sent(port, ['ack']))
  return backend
}

function stateOf(board: Switchboard, port: number): string {
  return (
    board.dataplane.flowEntries().flows.find((flow) => flow.clientPort === port)?.state ?? 'none'
  )
}

function tick(board: Switchboard, after = 0n): readonly NativeOutput[] {
  board.nowNs += after
  return board.tick()
}

const CONNECTIONS = effort(100_000, 20_000)

t.test(`${CONNECTIONS} connections over 7 backends: each as often as the next`, async (t) => {
  const board = newBoard()
  const backends = Array.from({ length: 7 }, (_, i) => ({
    ip: i === 0 ? b.ip : `10.0.1.${100 + i}`,
  }))
  for (const [i, { ip }] of backends.entries()) {
    if (i > 0) putNeighbour(board, ip)
  }
  putService(board.dataplane, { backends })
  const counts = new Map<string, number>()
  const frame = sent(0, ['syn'])
  let orderly = true
  for (let i = 0; i < CONNECTIONS; i++) {
    // Made once: two clients. The checksum is nobody's matter here.
    frame[28] = 1 + Math.floor((2 * i) / CONNECTIONS)
    put16(frame, 34, 1024 + (i % (CONNECTIONS / 2)))
    const { outputs } = board.dataplane.injectFromPort(board.portOf('a'), frame, {}, board.nowNs)
    const bytes = outputs[0]?.bytes ?? new Uint8Array(0)
    const at = outputs[0]?.port === 0 ? 8 + 30 : 30
    const to = [...bytes.subarray(at, at + 4)].join('.')
    orderly &&= to === backends[i % 7]!.ip
    counts.set(to, (counts.get(to) ?? 0) + 1)
  }
  const all = [...counts.values()]
  t.equal(counts.size, 7)
  t.ok(Math.max(...all) - Math.min(...all) <= 1, `${all}`)
  t.ok(orderly, 'strictly in turn')
  t.strictSame(
    board.dataplane.serviceEntries()[0]?.backends.map(({ active, flows }) => [active, flows]),
    backends.map(({ ip }) => [counts.get(ip), counts.get(ip)]),
    'and the tallies say so',
  )
  let listed = 0
  let place = 0
  do {
    const page = board.dataplane.flowEntries(place)
    t.ok(page.flows.length <= 1000 || t.fail('a page is bounded'))
    listed += page.flows.length
    place = page.next
  } while (place !== 0)
  t.equal(listed, CONNECTIONS, 'all are listed, page by page')
})

/** An address of which the MAC is known, and its host: h2. */
function putNeighbour(board: Switchboard, ip: string): void {
  const mac = parseMacAddress('02:42:0a:00:01:99')
  board.putRows([
    { table: 'neighbour', vni: 4097, ip: parseIp(ip), mac, record: 0, gateway: false },
    { table: 'fdb', vni: 4097, mac, record: 0, to: board.vtepOf('h2') },
  ])
}

t.test('idle is not dead: 20 minutes, 1,000 connections', async (t) => {
  const board = newBoard()
  putService(board.dataplane, { backends: both() })
  const backends = Array.from({ length: 1000 }, (_, i) => opened(board, 2000 + i))
  for (let minute = 0; minute < 20; minute++)
    for (let i = 0; i < 60; i++) t.ok(tick(board, SECOND).length === 0 || t.fail('a question'))
  const after = backends.map((_, i) => went(board.from('a', sent(2000 + i, ['ack', 'psh']))))
  t.strictSame(after, backends, 'all go on to the backend that they had')
  board.nowNs += 30n * 24n * 60n * MINUTE
  tick(board)
  t.equal(went(board.from('a', sent(2500, ['ack']))), backends[500], 'after a month, too')
})

t.test('timers of what is not established', async (t) => {
  const board = newBoard()
  putService(board.dataplane, { backends: both() })
  const left = (): number => board.dataplane.flowEntries().flows.length
  const lives = (what: string, state: string, seconds: number): void => {
    t.equal(stateOf(board, 3000), state, what)
    tick(board, BigInt(seconds - 1) * SECOND)
    t.equal(left(), 1, `${what}: there until then`)
    tick(board, SECOND)
    t.equal(left(), 0, `${what}: ${seconds} s`)
  }
  board.from('a', sent(3000, ['syn']))
  lives('half-open', 'halfOpen', 60)

  board.from('a', asked(3000))
  lives('a question without an answer', 'udpNew', 30)

  const backend = went(board.from('a', asked(3000)))
  answer(board, backend, 3000, 'udp')
  lives('question and answer', 'udp', 180)

  opened(board, 3000)
  board.from('a', sent(3000, ['fin', 'ack']))
  board.from('a', sent(3000, ['fin', 'ack']))
  lives('closed by one side', 'halfClosed', 3600)

  const other = opened(board, 3000)
  board.from('a', sent(3000, ['fin', 'ack']))
  answer(board, other, 3000, ['fin', 'ack'])
  board.from('a', sent(3000, ['ack']))
  t.strictSame(
    board.dataplane.serviceEntries()[0]?.backends.map(({ active }) => active),
    [0, 0],
    'what is closing is not active',
  )
  lives('closed by both', 'closing', 60)

  const third = opened(board, 3000)
  answer(board, third, 3000, ['rst'])
  lives('reset', 'closed', 10)
  t.equal(
    went(board.from('a', sent(3000, ['ack']))),
    'tcp_resets_sent',
    'what comes after it is unknown',
  )
  t.equal(board.counters()['vip_flows_expired'], 6)

  const before = opened(board, 3000)
  board.from('a', sent(3000, ['rst']))
  t.not(
    went(board.from('a', sent(3000, ['syn']))),
    before,
    'the same ports again: a new connection',
  )
  t.equal(left(), 1)
})

t.test('backends that come and go', async (t) => {
  const board = newBoard()
  putService(board.dataplane, { backends: [{ ip: b.ip }] })
  t.equal(opened(board, 4000), b.ip)
  putService(board.dataplane, { backends: [...both(), { ip: '10.0.1.5' }] })
  const news = [4001, 4002, 4003, 4004].map((port) => opened(board, port))
  t.strictSame(
    [...new Set(news)].sort(),
    [b.ip, c.ip, '10.0.1.5'].sort(),
    'new ones are used at once',
  )
  t.equal(went(board.from('a', sent(4000, ['ack']))), b.ip, 'and nothing moves')

  putService(board.dataplane, { backends: both(['draining', 'healthy']) })
  const during = [4010, 4011, 4012].map((port) => opened(board, port))
  t.strictSame(during, [c.ip, c.ip, c.ip], 'one that drains gets no more')
  t.equal(went(board.from('a', sent(4000, ['ack']))), b.ip, 'but keeps what it has')
  const [draining] = board.dataplane.serviceEntries()[0]!.backends
  t.ok(
    (draining?.active ?? 0) > 0 && draining?.state === 'draining',
    'how many are left is visible',
  )

  // Half-open, UDP and established, all on b; then b dies.
  putService(board.dataplane, { backends: both(['healthy', 'draining']) })
  t.equal(went(board.from('a', sent(4020, ['syn']))), b.ip)
  t.equal(went(board.from('a', asked(4021))), b.ip)
  putService(board.dataplane, { backends: both(['dead', 'healthy']) })
  t.equal(went(board.from('a', sent(4022, ['syn']))), c.ip, 'dead: nothing new')
  t.equal(went(board.from('a', sent(4020, ['syn']))), c.ip, 'what was not answered yet begins anew')
  t.equal(went(board.from('a', asked(4021))), c.ip, 'UDP goes elsewhere at once')
  t.equal(board.counters()['vip_flows_repinned'], 1)
  t.equal(went(board.from('a', sent(4000, ['ack']))), b.ip, 'TCP waits for it')
  for (let i = 0; i < 30; i++) t.equal(tick(board, SECOND).length, 0)
  putService(board.dataplane, { backends: both() })
  t.equal(went(board.from('a', sent(4000, ['ack']))), b.ip, 'and goes on when it comes back')

  for (const backends of [both(['lost', 'healthy']), [{ ip: c.ip }]]) {
    putService(board.dataplane, { backends: [{ ip: b.ip }] })
    opened(board, 4030)
    putService(board.dataplane, { backends })
    t.equal(
      went(board.from('a', sent(4030, ['ack']))),
      'tcp_resets_sent',
      'lost, or not there any more: reset',
    )
    t.equal(stateOf(board, 4030), 'none')
  }
})

t.test('a client that only waits learns that its backend is lost', async (t) => {
  const board = newBoard()
  putService(board.dataplane, { backends: both() })
  const backend = opened(board, 5000)
  putService(board.dataplane, { backends: [{ ip: backend === b.ip ? c.ip : b.ip }] })
  const outputs = tick(board, SECOND / 10n)
  t.equal(outputs.length, 1, 'it is asked')
  t.equal(outputs[0]?.port, board.portOf('a'))
  const question = decodeGood(outputs[0]!.bytes)
  t.strictSame(
    [question.ip?.from, question.ip?.to, question.tcp?.from, question.tcp?.to, question.tcp?.flags],
    [WEB.ip, a.ip, 80, 5000, 0x10],
  )
  // As RFC 9293 has it answer: what it expects next.
  const { outputs: replies } = board.from(
    'a',
    ethernet(
      { from: a.mac, to: WEB.mac },
      ipv4(
        { from: a.ip, to: WEB.ip },
        tcp(
          { from: 5000, to: 80, flags: ['ack'], sequence: 1234, acknowledgement: 987654 },
          pattern(0),
        ),
      ),
    ),
  )
  const reset = decodeGood(replies[0]!.frame)
  t.strictSame([reset.tcp?.flags, reset.tcp?.sequence], [4, 987654], 'and is reset by exactly that')

  putService(board.dataplane, { backends: both() })
  opened(board, 5001)
  removeService(board.dataplane)
  for (const [seconds, questions] of [
    [0, 1],
    [0, 0],
    [1, 1],
    [1, 1],
    [1, 1],
    [1, 0],
  ] as const) {
    t.equal(tick(board, BigInt(seconds) * SECOND).length, questions, 'asked at most four times')
  }
  t.equal(stateOf(board, 5001), 'doomed')
  tick(board, SECOND)
  t.equal(stateOf(board, 5001), 'none', 'and then forgotten')
  t.equal(board.counters()['vip_probes_sent'], 5)

  putService(board.dataplane, { backends: both() })
  const third = opened(board, 5002)
  removeService(board.dataplane)
  t.equal(tick(board, SECOND).length, 1)
  putService(board.dataplane, { backends: both() })
  t.equal(went(board.from('a', sent(5002, ['ack']))), third, 'unless the backend comes back')
  t.equal(stateOf(board, 5002), 'established')
  removeService(board.dataplane)
  t.equal(went(board.from('a', sent(5002, ['ack']))), 'tcp_resets_sent', 'a service that is gone')
})

t.test('a client that goes leaves nothing behind', async (t) => {
  const board = newBoard()
  putService(board.dataplane, { backends: [{ ip: b.ip }] })
  opened(board, 6000)
  tick(board)
  board.detach('a')
  tick(board, 59n * SECOND)
  t.equal(stateOf(board, 6000), 'established', 'it may come back')
  tick(board, SECOND)
  t.equal(stateOf(board, 6000), 'none')
})

t.test('a backend of which nobody knows the MAC', async (t) => {
  const board = newBoard()
  putService(board.dataplane, { backends: [{ ip: '10.0.1.66' }] })
  t.equal(went(board.from('a', sent(7000, ['syn']))), 'vip_backend_unknown')
  t.equal(board.dataplane.flowEntries().flows.length, 0, 'no flow is made')
  putNeighbour(board, '10.0.1.66')
  t.equal(went(board.from('a', sent(7000, ['syn']))), '10.0.1.66')
})

t.test('room for 256 flows: the least worthy, least recently used makes room', async (t) => {
  const board = newBoard({ flows: 1 })
  putService(board.dataplane, { backends: both() })
  const established = Array.from({ length: 100 }, (_, i) => {
    board.nowNs += SECOND
    return opened(board, 2000 + i)
  })
  for (let i = 0; i < 10_000; i++) {
    board.nowNs += 1_000_000n
    board.from('a', sent(10_000 + i, ['syn']))
  }
  t.equal(board.counters()['vip_flows_evicted'], 10_000 - 156, 'a flood makes room for itself')
  t.strictSame(
    established.map((_, i) => went(board.from('a', sent(2000 + i, ['ack'])))),
    established,
    'and established ones live through it',
  )
  for (let i = 0; i < 200; i++) {
    board.nowNs += SECOND
    opened(board, 40_000 + i)
  }
  const left = board.dataplane.flowEntries().flows.map(({ clientPort }) => clientPort)
  t.equal(left.length, 256)
  t.strictSame(
    left.filter((port) => port < 10_000).sort((x, y) => x - y),
    Array.from({ length: 56 }, (_, i) => 2044 + i),
    'then those that were used last',
  )
  t.equal(
    went(board.from('a', sent(2000, ['ack']))),
    'tcp_resets_sent',
    'what was forgotten is reset',
  )
  // One client port towards one backend by more VIPs than there are ports that are tried.
  const crowd = newBoard()
  let refused = 0
  for (let i = 0; i < 66; i++) {
    const vip = `10.0.3.${i + 1}`
    putService(crowd.dataplane, { vip, service: 1000 + i, backends: [{ ip: c.ip }] })
    if (went(crowd.from('a', sent(9, ['syn'], { ip: vip, mac: WEB.mac }))) === 'vip_no_room')
      refused++
  }
  t.equal(refused, 2, 'and where no port is left it is said')
})

t.test('schedulers', async (t) => {
  const shares = (scheduler: Scheduler, weights: readonly number[], flows: number): number[] => {
    const board = newBoard()
    const ips = weights.map((_, i) => `10.0.1.${100 + i}`)
    for (const ip of ips) putNeighbour(board, ip)
    putService(board.dataplane, {
      scheduler,
      backends: weights.map((weight, i) => ({ ip: ips[i]!, weight })),
    })
    const counts = ips.map(() => 0)
    for (let i = 0; i < flows; i++) {
      const at = ips.indexOf(went(board.from('a', sent(1024 + i, ['syn']))))
      counts[at] = (counts[at] ?? 0) + 1
    }
    return counts
  }
  t.strictSame(shares('rr', [1, 1, 1], 30), [10, 10, 10])
  t.strictSame(shares('rr', [5, 1, 0], 60), [50, 10, 0])
  t.strictSame(shares('rr', [256, 128, 64], 7), [4, 2, 1], 'shares in lowest terms')
  t.strictSame(shares('lc', [1, 1, 1], 30), [10, 10, 10])
  t.strictSame(shares('lc', [4, 1, 0], 50), [40, 10, 0])
  const even = shares('maglev', [1, 1, 1, 1], 4000)
  t.ok(
    even.every((count) => Math.abs(count - 1000) < 150),
    `maglev: ${even}`,
  )
  const heavy = shares('maglev', [3, 1], 4000)
  t.ok(Math.abs((heavy[0] ?? 0) - 3000) < 150, `maglev by weight: ${heavy}`)
  t.equal(
    shares('sh', [1, 1, 1], 20).filter((count) => count > 0).length,
    1,
    'source hash: one client, one backend',
  )

  const board = newBoard()
  putService(board.dataplane, { scheduler: 'lc', backends: both() })
  opened(board, 2000)
  opened(board, 2001)
  const [first] = board.dataplane.flowEntries().flows
  answer(board, first!.backend, first!.clientPort, ['rst'])
  t.equal(
    went(board.from('a', sent(2002, ['syn']))),
    first!.backend,
    'least connections: where one has ended',
  )

  // What one backend less costs the others, by maglev: next to nothing.
  const place = (backends: readonly string[]): string[] => {
    const other = newBoard()
    for (const ip of backends) putNeighbour(other, ip)
    putService(other.dataplane, { scheduler: 'maglev', backends: backends.map((ip) => ({ ip })) })
    return Array.from({ length: 2000 }, (_, i) => went(other.from('a', sent(1024 + i, ['syn']))))
  }
  const ips = Array.from({ length: 10 }, (_, i) => `10.0.1.${100 + i}`)
  const before = place(ips)
  const after = place(ips.slice(0, 9))
  const moved = before.filter((ip, i) => ip !== ips[9] && ip !== after[i]).length
  t.ok(moved < 100, `${moved} of those that need not have moved`)
})

t.test('a data plane that goes, and the next one', async (t) => {
  const flowsPath = join(directory, 'flows')
  const first = newBoard({ flowsPath, flows: 1000 })
  putService(first.dataplane, { backends: both() })
  const backends = [2000, 2001, 2002].map((port) => opened(first, port))
  const pinned = went(first.from('a', asked(2003)))
  t.throws(() => newBoard({ flowsPath, flows: 1000 }), /another process/, 'no two on one file')
  first.close()

  const second = newBoard({ flowsPath, flows: 1000 })
  second.nowNs = first.nowNs + 3n * SECOND
  t.equal(second.dataplane.flowsNote(), null)
  t.equal(
    went(second.from('a', sent(2000, ['ack']))),
    backends[0],
    'before its service is known again, too',
  )
  putService(second.dataplane, { backends: both() })
  t.strictSame(
    [2000, 2001, 2002].map((port) => went(second.from('a', sent(port, ['ack'])))),
    backends,
    'goes on',
  )
  t.equal(went(second.from('a', asked(2003))), pinned)
  const reply = decodeGood(answer(second, backends[1]!, 2001, ['ack']).outputs[0]!.frame)
  t.equal(reply.ip?.from, WEB.ip, 'both ways')
  t.not(opened(second, 2004), pinned, 'round robin goes on where it was')
  t.equal(opened(second, 2005), pinned)
  tick(second)
  t.equal(
    second.dataplane.serviceEntries()[0]?.backends.reduce((sum, { active }) => sum + active, 0),
    6,
    'and all are counted',
  )
  second.close()

  const larger = newBoard({ flowsPath, flows: 5000 })
  larger.nowNs = second.nowNs
  putService(larger.dataplane, { backends: both() })
  t.equal(larger.dataplane.flowEntries().flows.length, 6, 'a file of another size is taken over')
  t.equal(went(larger.from('a', sent(2000, ['ack']))), backends[0])
  t.equal(opened(larger, 2006), went(larger.from('a', sent(2004, ['ack']))), 'its positions, too')
  larger.nowNs += 11n * SECOND
  removeService(larger.dataplane)
  t.equal(
    went(larger.from('a', sent(2000, ['ack']))),
    'tcp_resets_sent',
    'nobody waits for a row for ever',
  )
  larger.close()
})

t.test('a file that cannot be trusted is set aside', async (t) => {
  const flowsPath = join(directory, 'torn')
  const fill = (): Buffer => {
    rmSync(flowsPath, { force: true })
    rmSync(`${flowsPath}.aside`, { force: true })
    const board = newBoard({ flowsPath, flows: 1000 })
    putService(board.dataplane, { backends: both() })
    for (let port = 2000; port < 2010; port++) opened(board, port)
    board.close()
    return readFileSync(flowsPath)
  }
  // A new file of that name, as after a crash of the machine: the old one is still mapped here, and what is cut off from
  // under a mapping cannot be read.
  const write = (bytes: Uint8Array): void => {
    rmSync(flowsPath)
    writeFileSync(flowsPath, bytes)
  }
  const patch = (bytes: Buffer, at: number, byte: number): Buffer => {
    bytes[at] = byte === bytes[at] ? byte ^ 1 : byte
    return bytes
  }
  const cases: readonly (readonly [string, RegExp, (good: Buffer) => Uint8Array])[] = [
    ['of another program', /no file of flows/, () => pattern(100_000)],
    ['empty', /too short/, () => new Uint8Array(0)],
    ['cut short', /length/, (good) => good.subarray(0, good.length - 96)],
    ['too long', /length/, (good) => Buffer.concat([good, Buffer.from('x')])],
    ['of another version', /version 2/, (good) => patch(good, 8, 2)],
    ['with a torn header', /torn/, (good) => patch(good, 16, 0)],
  ]
  for (const [title, why, spoil] of cases) {
    write(spoil(fill()))
    const board = newBoard({ flowsPath, flows: 1000 })
    t.match(board.dataplane.flowsNote() ?? '', why, title)
    t.ok(existsSync(`${flowsPath}.aside`))
    t.equal(board.dataplane.flowEntries().flows.length, 0)
    putService(board.dataplane, { backends: both() })
    opened(board, 3000)
    t.equal(stateOf(board, 3000), 'established', 'and a new one is used')
    board.close()
  }

  // Flow by flow: what was being written when the process was killed is not there.
  const flowsAt = 4096 + 4096 * 16
  const good = fill()
  for (let byte = 0; byte < 88; byte++) patch(good, flowsAt + byte, 0xa5)
  write(patch(good, flowsAt + 96 * 3 + 61, 77))
  const board = newBoard({ flowsPath, flows: 1000 })
  t.equal(board.dataplane.flowsNote(), null)
  t.equal(board.dataplane.flowEntries().flows.length, 8, 'two of ten were torn')
  board.close()
})

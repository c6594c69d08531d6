// What the CLI prints: tables, times, commands, lists, logs, a lab's events.

import t from 'tap'
import type { CounterRow, SandboxSummary, Status } from '../../src/api/types.ts'
import { sandboxList, statusOf } from '../../src/cli/commands/ps.ts'
import { formatStatus } from '../../src/cli/commands/status.ts'
import {
  formatCommand,
  formatCreatedAt,
  formatInspect,
  formatList,
  formatPairs,
  formatTable,
  humanDuration,
  palette,
  shortId,
} from '../../src/cli/format.ts'
import { LabPrinter, shellQuote } from '../../src/cli/lab-printer.ts'
import { formatNanoseconds, LogPrinter } from '../../src/cli/log-printer.ts'
import { randomName } from '../../src/cli/random-name.ts'
import { parseName } from '../../src/net/name.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

t.test('a table has columns as wide as their cells, and nothing behind the last', (t) => {
  const table = formatTable(
    ['ID', 'NAME'],
    [
      ['1', 'a'],
      ['0123456789ab', ''],
    ],
  )
  t.equal(table, 'ID             NAME\n1              a\n0123456789ab\n')
  t.equal(formatTable(['A', 'B'], []), 'A         B\n', 'an empty list still has its header')
  t.equal(
    formatPairs([
      ['a', '1'],
      ['long', ''],
    ]),
    'a:    1\nlong:\n',
  )
  t.equal(formatInspect([]), '[]\n')
  t.equal(formatInspect([{ Id: 'x' }]), '[\n    {\n        "Id": "x"\n    }\n]\n')
  t.end()
})

t.test('times are said as docker says them', (t) => {
  const rows: [number, string][] = [
    [0, 'Less than a second'],
    [SECOND, '1 second'],
    [59 * SECOND, '59 seconds'],
    [MINUTE, 'About a minute'],
    [2 * MINUTE, '2 minutes'],
    [59 * MINUTE, '59 minutes'],
    [HOUR, 'About an hour'],
    [47 * HOUR, '47 hours'],
    [2 * DAY, '2 days'],
    [14 * DAY, '2 weeks'],
    [60 * DAY, '2 months'],
    [800 * DAY, '2 years'],
  ]
  for (const [ms, words] of rows) t.equal(humanDuration(ms), words)
  t.equal(formatCreatedAt('2026-11-20T20:27:12.345Z'), '2026-11-20 20:27:12 +0000 UTC')
  t.equal(formatNanoseconds(1_700_000_000_000_000_001n), '2023-11-14T22:13:20.000000001Z')
  t.end()
})

const RUNNING: SandboxSummary = {
  id: 'ab'.repeat(32),
  name: 'c1',
  kind: 'run',
  argv: ['sh', '-c', 'sleep 1000; echo "done"'],
  state: 'running',
  host: 'h1',
  pid: 4711,
  exitCode: null,
  stopReason: null,
  createdAt: '2026-11-20T10:00:00.000Z',
  startedAt: '2026-11-20T10:00:00.000Z',
  finishedAt: null,
  health: null,
  networks: [
    { name: 'demo', ip: '10.0.1.11', ip6: null, mac: '02:42:0a:00:01:0b', interface: 'eth0' },
    { name: 'other', ip: '10.0.3.11', ip6: null, mac: '02:42:0a:00:03:0b', interface: 'eth1' },
  ],
}
const NOW = Date.parse('2026-11-20T10:05:00.000Z')

t.test("ps has docker's columns and keys", (t) => {
  const list = sandboxList(NOW, false)
  t.equal(
    formatList([RUNNING], list, {}),
    'ID             COMMAND                  CREATED         STATUS         NETWORKS     ' +
      'IP                    NAMES\n' +
      'abababababab   "sh -c sleep 1000; e…"   5 minutes ago   Up 5 minutes   demo,other   ' +
      '10.0.1.11,10.0.3.11   c1\n',
  )
  t.same(JSON.parse(formatList([RUNNING], list, { format: 'json' })), {
    ID: 'abababababab',
    Names: 'c1',
    Command: '"sh -c sleep 1000; e…"',
    CreatedAt: '2026-11-20 10:00:00 +0000 UTC',
    RunningFor: '5 minutes ago',
    Status: 'Up 5 minutes',
    State: 'running',
    Networks: 'demo,other',
    IP: '10.0.1.11,10.0.3.11',
    Host: 'h1',
  })
  const whole = sandboxList(NOW, true)
  t.equal(formatList([RUNNING, RUNNING], whole, { quiet: true }), `${RUNNING.id}\n`.repeat(2))
  t.equal(formatList([], list, { format: 'json' }), '')
  t.equal(shortId(RUNNING.id).length, 12)
  t.equal(formatCommand([], false), '', 'an attachment has no command')
  t.equal(formatCommand(['sleep', 'infinity'], false), '"sleep infinity"')

  const ended = { ...RUNNING, finishedAt: '2026-11-20T10:04:57.000Z', exitCode: 137 } as const
  t.equal(statusOf({ ...ended, state: 'exited' }, NOW), 'Exited (137) 3 seconds ago')
  t.equal(statusOf({ ...RUNNING, state: 'created' }, NOW), 'Created')
  t.equal(statusOf({ ...RUNNING, state: 'attached' }, NOW), 'Attached 5 minutes')
  t.equal(statusOf({ ...RUNNING, health: 'healthy' }, NOW), 'Up 5 minutes (healthy)')
  t.equal(statusOf({ ...RUNNING, health: 'starting' }, NOW), 'Up 5 minutes (health: starting)')
  t.equal(
    statusOf({ ...RUNNING, state: 'attached', health: 'unhealthy' }, NOW),
    'Attached 5 minutes (unhealthy)',
  )
  t.equal(
    statusOf({ ...ended, state: 'exited', health: 'healthy' }, NOW).includes('healthy'),
    false,
  )
  t.end()
})

t.test('status shows what there is and leaves zeros out', (t) => {
  const status: Status = {
    host: 'h1',
    version: '0.1.0',
    pid: 4711,
    uptimeMs: 61_000,
    beganAt: '2026-11-20T10:03:59.000Z',
    vtep: '172.31.1.11',
    vxlanPort: 4789,
    mtu: 1450,
    workers: 2,
    facts: { path: '/f.yaml', loadedAt: '2026-11-20T10:04:00.000Z', error: 'line 3: no' },
    cluster: {
      id: 'c'.repeat(32),
      memberId: '00112233445566aa',
      address: '172.31.1.11',
      port: 7946,
      members: { alive: 2, suspect: 0, dead: 1, left: 0 },
      records: 7,
      digest: '0'.repeat(16),
    },
    endpoints: { made: 3, medianMs: 21.5, p99Ms: 40 },
    members: [
      { name: 'h1', vtep: '172.31.1.11', self: true },
      { name: 'h2', vtep: '192.168.1.12', self: false },
    ],
    networks: [
      {
        name: 'routed',
        subnets: [
          { cidr: '10.1.1.0/24', cidr6: null, vni: 4099 },
          { cidr: '10.1.2.0/24', cidr6: null, vni: 4100 },
        ],
        mtu: 1450,
        localEndpoints: 1,
      },
    ],
    sandboxes: { running: 1, attached: 0, ended: 2 },
    counters: { arp_answered: 3 },
  }
  const counters: CounterRow[] = [
    { name: 'arp_answered', kind: 'count', text: 'ARP answered', value: 3 },
    { name: 'flooded', kind: 'count', text: 'flooded', value: 0 },
    { name: 'unknown_vni', kind: 'drop', text: 'unknown VNI', value: 0 },
  ]
  const text = formatStatus(status, counters, NOW)
  t.match(text, /^Host: +h1$/m)
  t.match(text, /^Cluster: +2 hosts are up, 1 down; this is member 00112233445566aa$/m)
  t.match(text, /^Daemon: +0\.1\.0, pid 4711, up about a minute$/m)
  t.match(text, /^Facts: +\/f\.yaml, read about a minute ago; .*: line 3: no$/m)
  t.match(text, /^routed +10\.1\.2\.0\/24 +- +4100 +1450$/m)
  t.match(text, /^h1 \* +172\.31\.1\.11$/m)
  t.match(text, /^arp_answered +3 +ARP answered$/m)
  t.notMatch(text, /flooded|DROPPED/)
  t.end()
})

/** A record as weft-init writes it. */
function record(stream: number, timeNs: bigint, text: string): Buffer {
  const bytes = Buffer.from(text)
  const header = Buffer.alloc(16)
  header[0] = stream
  header.writeUInt32BE(bytes.length, 4)
  header.writeBigUInt64BE(timeNs, 8)
  return Buffer.concat([header, bytes])
}

t.test('logs: records cut anywhere, each line stamped once', (t) => {
  const time = 1_700_000_000_000_000_000n
  const log = Buffer.concat([
    record(1, time, 'one\ntw'),
    record(2, time + 1n, 'problem\n'),
    record(1, time + 2n, 'o\n\n'),
  ])
  const whole = (timestamps: boolean, step: number) => {
    const printer = new LogPrinter(timestamps)
    const out = { stdout: '', stderr: '' }
    for (let at = 0; at < log.length; at += step) {
      for (const piece of printer.push(log.subarray(at, at + step))) {
        out[piece.stream] += piece.bytes.toString()
      }
    }
    return out
  }
  for (const step of [1, 7, log.length]) {
    t.same(whole(false, step), { stdout: 'one\ntwo\n\n', stderr: 'problem\n' })
    t.same(whole(true, step), {
      stdout:
        '2023-11-14T22:13:20.000000000Z one\n2023-11-14T22:13:20.000000000Z two\n' +
        '2023-11-14T22:13:20.000000002Z \n',
      stderr: '2023-11-14T22:13:20.000000001Z problem\n',
    })
  }
  t.end()
})

t.test("a lab's commands can be pasted, and colour is for terminals only", (t) => {
  const show = (isTerminal: boolean, env: NodeJS.ProcessEnv) => {
    let printed = ''
    const printer = new LabPrinter(palette(isTerminal, env), (text) => (printed += text))
    printer.show({ kind: 'heading', text: 'Ping' })
    printer.show({ kind: 'command', argv: ['weft', 'exec', 'c1', '--', 'sh', '-c', "echo 'x'"] })
    printer.show({ kind: 'output', text: 'a\n\nb\n' })
    printer.show({ kind: 'note', text: 'so' })
    printer.show({ kind: 'verdict', ok: false, text: 'lost' })
    return printed
  }
  t.equal(
    show(false, {}),
    "\n== Ping\n$ weft exec c1 -- sh -c 'echo '\\''x'\\'''\n   a\n\n   b\n   so\nFAILED lost\n",
  )
  t.match(show(true, {}), /\u001B\[31mFAILED/)
  t.equal(show(true, { NO_COLOR: '1' }), show(false, {}))
  t.equal(show(true, { TERM: 'dumb' }), show(false, {}))
  t.equal(shellQuote('a-b/c=1:2'), 'a-b/c=1:2')
  t.equal(shellQuote(''), "''")
  t.end()
})

t.test('names that we make up are names', (t) => {
  for (let byte = 0; byte < 256; byte++) {
    const name = randomName(Uint8Array.of(byte, 255 - byte, byte))
    t.doesNotThrow(() => parseName('sandbox', name))
  }
  t.end()
})

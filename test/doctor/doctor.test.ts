// What the doctor decides, from what was seen: path MTU, ports, clocks, duplicates, tables; and how echo requests look.

import t from 'tap'
import { judgeClock } from '../../src/doctor/clock-offset.ts'
import { judgeDuplicates, servesTwice } from '../../src/doctor/duplicates.ts'
import { reportOf } from '../../src/doctor/finding.ts'
import { judgePathMtu } from '../../src/doctor/path-mtu.ts'
import { judgeConnection, judgeDatagrams } from '../../src/doctor/ports.ts'
import { judgeTables } from '../../src/doctor/tables.ts'
import { formatReport } from '../../src/cli/commands/doctor.ts'
import type { EchoResult } from '../../src/linux/echo.ts'
import { readPing } from '../../src/linux/ping-echo.ts'
import { echoRequest, readEcho } from '../../src/linux/raw-echo.ts'
import { findPathMtu } from '../../src/pmtu/search.ts'
import { PathMtus } from '../../src/pmtu/path-mtus.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseMacAddress } from '../../src/net/mac-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import { encodeRecord } from '../../src/netdb/codec.ts'
import { Netdb } from '../../src/netdb/table.ts'
import { PLAIN } from '../fixtures/records.ts'

const REPLY: EchoResult = { kind: 'reply', ms: 1 }
const SILENCE: EchoResult = { kind: 'silence' }

t.test('the path MTU is found, whether routers tell it or not', async (t) => {
  const rows: [name: string, hops: number[], tells: boolean, most: number, found: number | null][] =
    [
      ['as large as the interface', [1500], true, 1500, 1500],
      ['a router tells', [1400], true, 1500, 1400],
      ['each router tells of its own next link', [1400, 1380, 1300], true, 9000, 1300],
      ['nobody tells', [1400], false, 1500, 1400],
      ['nobody tells, odd', [1473], false, 9000, 1473],
      ['nothing passes', [0], false, 1500, null],
    ]
  for (const [name, hops, tells, most, found] of rows) {
    let sent = 0
    const send = async (bytes: number): Promise<EchoResult> => {
      sent++
      const narrow = hops.find((hop) => hop < bytes)
      if (narrow === undefined) return REPLY
      return tells ? { kind: 'too_big', mtu: narrow } : SILENCE
    }
    t.equal(await findPathMtu(send, most), found, `${name}: after ${sent} packets`)
  }
  let lost = 0
  const lossy = async (bytes: number): Promise<EchoResult> =>
    lost++ % 2 === 0 || bytes > 1400 ? SILENCE : REPLY
  t.equal(await findPathMtu(lossy, 1500), 1400, 'half of the packets are lost')
  const liar = async (bytes: number): Promise<EchoResult> =>
    bytes > 1400 ? { kind: 'too_big', mtu: 9000 } : REPLY
  t.equal(await findPathMtu(liar, 1500), 1400, 'a router tells nonsense')
})

t.test('overlays keep to the path, within bounds', async (t) => {
  const paths = new PathMtus(1500)
  t.equal(paths.overlayMtuTo('h2'), 1450, 'not known yet: the interface')
  t.equal(paths.set('h2', 1400), true)
  t.equal(paths.set('h2', 1400), false, 'no news')
  t.equal(paths.overlayMtuTo('h2'), 1350)
  paths.set('h2', 900)
  t.equal(paths.overlayMtuTo('h2'), 1280, 'IPv6 stays')
  t.equal(paths.set('h2', 9000), true)
  t.equal(paths.overlayMtuTo('h2'), 1450, 'never more than the interface')
  t.equal(new PathMtus(1300).overlayMtuTo('h2'), 1250, 'the interface itself is small')
})

t.test('verdicts', async (t) => {
  t.match(judgePathMtu('a -> b', 1500, 1500, 1450), { verdict: 'ok' })
  t.match(judgePathMtu('a -> b', 1400, 1500, 1450), {
    verdict: 'fail',
    found: /path MTU 1400, but overlays send packets of 1500/,
  })
  t.match(judgePathMtu('a -> b', 1400, 1500, 1350), { verdict: 'warn', found: /path MTU 1400/ })
  t.match(judgePathMtu('a -> b', null, 1500, 1450), { verdict: 'warn', found: /not known/ })

  const way = { from: 'h1', to: 'h2', protocol: 'UDP', port: 4789 } as const
  const heard: [number | null, string, RegExp][] = [
    [20, 'ok', /UDP 4789 passes/],
    [3, 'warn', /3 of 20/],
    [0, 'fail', /UDP 4789 does not pass/],
    [null, 'warn', /not known/],
  ]
  for (const [count, verdict, found] of heard)
    t.match(judgeDatagrams('vxlan-port', way, 20, count), { verdict, found, subject: 'h1 -> h2' })
  t.match(judgeConnection('gossip-tcp', way, null), { verdict: 'ok' })
  t.match(judgeConnection('gossip-tcp', way, 'no answer'), { verdict: 'fail', found: /no answer/ })
  t.match(judgeConnection('gossip-tcp', way, undefined), { verdict: 'warn' })

  const sample = (sentWallMs: number, theirWallMs: number, answeredWallMs: number) => ({
    sentWallMs,
    theirWallMs,
    answeredWallMs,
  })
  t.match(judgeClock('a -> b', [sample(1000, 1005, 1010)]), [{ verdict: 'ok', found: /^0\.000 s/ }])
  t.match(judgeClock('a -> b', [sample(1000, 9000, 5000), sample(6000, 3500, 6010)]), [
    { verdict: 'warn', found: /^2\.505 s behind \(give or take 0\.005 s\)$/ },
  ])
  t.match(judgeClock('a -> b', [sample(1000, 4000, 8000)]), [{ verdict: 'ok' }], 'within doubt')
  t.same(judgeClock('a -> b', []), [])

  t.match(judgeTables(7, []), [{ verdict: 'ok', found: /^7 rows/ }])
  const row = { table: 'vtep', vtep: parseIpv4Address('10.0.0.1'), record: 1 } as const
  t.match(judgeTables(7, [{ name: 'vtep/10.0.0.1', wanted: row, actual: null }]), [
    { verdict: 'fail', subject: 'row vtep/10.0.0.1', found: 'is missing', advice: /--repair/ },
  ])
})

t.test('a report is as bad as its worst finding, and says what to do below each', async (t) => {
  const report = reportOf('h1', [judgePathMtu('h1 -> h2', 1400, 1500, 1450), ...judgeTables(3, [])])
  t.equal(report.verdict, 'fail')
  t.same(
    report.findings.map(({ check }) => check),
    ['tables', 'path-mtu'],
  )
  t.match(
    formatReport(report),
    /^ok +tables .*\nfail +path-mtu .*\n +-> raise the MTU .*\n\nh1: fail, /m,
  )
  t.match(formatReport(reportOf('h1', judgeTables(3, []))), /\nh1: ok, all is well\n$/)
})

t.test(
  'an address that two endpoints of one network claim is named with both, also when one is hidden',
  async (t) => {
    const netdb = new Netdb('h1')
    const endpoint = (owner: string, key: string, ip: string, claimedAt: number): void => {
      const value = {
        network: 'n',
        vni: parseVni(4097),
        name: key,
        mac: parseMacAddress(`02:42:0a:00:00:0${key.charCodeAt(0) - 96}`),
        ip: parseIpv4Address(ip),
        ip6: null,
        ...PLAIN,
        claimedAt,
      }
      const version = { lamport: claimedAt, writer: owner }
      netdb.merge(encodeRecord({ kind: 'endpoint', key, owner, version, value }))
    }
    for (const member of ['h2', 'h3']) netdb.setPresent(member, true)
    endpoint('h2', 'a', '10.0.0.5', 5)
    endpoint('h3', 'b', '10.0.0.6', 6)
    t.match(judgeDuplicates(netdb), [{ verdict: 'ok', found: /of 2 endpoints/ }])
    endpoint('h3', 'c', '10.0.0.5', 9)
    t.match(judgeDuplicates(netdb), [
      {
        verdict: 'fail',
        subject: '10.0.0.5 on n',
        found: 'is claimed by a on h2 and c on h3',
        advice: /only a on h2 is reached/,
      },
    ])
    t.ok(servesTwice(netdb))
    netdb.setPresent('h2', false)
    t.match(judgeDuplicates(netdb), [
      {
        verdict: 'warn',
        found: 'is claimed by c on h3 and a on h2 (not up)',
        advice: /a host that comes back/,
      },
    ])
    t.notOk(servesTwice(netdb), 'nobody is to be told apart now')

    netdb.setPresent('h2', true)
    const vip = { service: 's', network: 'n', ip6: null }
    netdb.put('vip', 's/n', { ...vip, ip: parseIpv4Address('10.0.0.6') })
    t.match(
      judgeDuplicates(netdb).filter(({ subject }) => subject.includes('10.0.0.6')),
      [
        {
          verdict: 'fail',
          found: 'is claimed by b on h3 and the VIP of service s',
          advice: /only b on h3 is reached; .* weft service rm/,
        },
      ],
    )
    netdb.put('vip', 's/n', { ...vip, ip: parseIpv4Address('10.0.0.7') })
    t.equal(judgeDuplicates(netdb).length, 1, 'the other two as before')
  },
)

t.test('what ping says is understood', async (t) => {
  const rows: [code: number, stdout: string, stderr: string, result: EchoResult][] = [
    [
      0,
      '64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.042 ms\n',
      '',
      { kind: 'reply', ms: 0.042 },
    ],
    [
      1,
      'From 172.31.1.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)\n',
      '',
      { kind: 'too_big', mtu: 1400 },
    ],
    [1, '', 'ping: local error: message too long, mtu=1300\n', { kind: 'too_big', mtu: 1300 }],
    [1, '', 'ping: sendmsg: Message too long\n', { kind: 'too_big', mtu: null }],
    [
      1,
      'From 172.31.1.1 icmp_seq=1 Destination Host Unreachable\n',
      '',
      { kind: 'unreachable', why: 'Destination Host Unreachable' },
    ],
    [
      2,
      '',
      'ping: connect: Network is unreachable\n',
      { kind: 'unreachable', why: 'ping: connect: Network is unreachable' },
    ],
    [1, '1 packets transmitted, 0 received, 100% packet loss, time 0ms\n', '', SILENCE],
  ]
  for (const [code, stdout, stderr, result] of rows)
    t.same(readPing(code, stdout, stderr), result, stdout || stderr)
})

t.test('an echo request of our own is whole, and its answers are told from others', async (t) => {
  const [us, them, router] = ['10.0.0.1', '10.0.0.2', '10.0.0.254'].map(parseIpv4Address) as [
    ReturnType<typeof parseIpv4Address>,
    ReturnType<typeof parseIpv4Address>,
    ReturnType<typeof parseIpv4Address>,
  ]
  const request = echoRequest(us, them, 1401, 0xbeef, 7)
  t.equal(request.length, 1401)
  t.equal(request.readUInt16BE(6), 0x4000, "don't fragment")
  t.equal(sumOf(request.subarray(0, 20)), 0xffff, 'the header sums up')
  t.equal(sumOf(request.subarray(20)), 0xffff, 'so does the message, of an odd length')
  t.equal(readEcho(request), null, 'a request answers nothing')

  const reply = echoRequest(them, us, 1401, 0xbeef, 7)
  reply[20] = 0
  t.same(readEcho(reply), {
    id: 0xbeef,
    sequence: 7,
    target: them,
    result: { kind: 'reply', ms: 0 },
  })
  const error = Buffer.concat([echoRequest(router, us, 28, 0, 0), request.subarray(0, 28)])
  error[20] = 3
  error[21] = 4
  error.writeUInt16BE(1400, 26)
  t.same(readEcho(error), {
    id: 0xbeef,
    sequence: 7,
    target: them,
    result: { kind: 'too_big', mtu: 1400 },
  })
  error[21] = 13
  t.match(readEcho(error), {
    result: { kind: 'unreachable', why: /^10\.0\.0\.254 says unreachable/ },
  })
  for (let length = 0; length < error.length; length++) {
    const cut = error.subarray(0, length)
    if (readEcho(cut) !== null) t.ok(length >= 28 + 28, 'what is cut off is not read')
  }
})

/** Of 16-bit words, carries added: 0xffff when the checksum in it is right. */
function sumOf(bytes: Buffer): number {
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)])
  let sum = 0
  for (let i = 0; i < even.length; i += 2) sum += even.readUInt16BE(i)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

// What the benchmark computes: medians, the search for a rate, CPU time, the table.

import t from 'tap'
import {
  busyShare,
  cpuNsPer,
  parseCpuTime,
  parseIperfJson,
  parsePingTimes,
  parseProcessSeconds,
  parseResidentBytes,
  stolenShare,
} from '../../src/bench/outputs.ts'
import { bestRate, bestTrial, lossOf, nextRate, type Trial } from '../../src/bench/rate-search.ts'
import { lowestOf, resultTable, rowsOf, type Side } from '../../src/bench/result.ts'
import { percentile, ratio, summarize, tailPercentile } from '../../src/bench/statistics.ts'
import { parseProbe, TOOLS } from '../../src/bench/exec-place.ts'
import { possibleSteps } from '../../src/bench/pair.ts'
import { PAIR_STEPS } from '../../src/bench/steps.ts'
import { availableSides } from '../../src/bench/labs.ts'
import { overlayBatch, vipRules } from '../../src/bench/kernel-lab.ts'
import { rotated } from '../../src/bench/turns.ts'
import { plainUnderlayBatches } from '../../src/bench/underlay.ts'
import { planTopology } from '../../src/lab/topology.ts'

t.test('a summary is the median between the smallest and the largest', async (t) => {
  t.equal(summarize([]), null)
  t.match(summarize([3]), { median: 3, min: 3, max: 3 })
  t.match(summarize([9, 1, 4]), { median: 4, min: 1, max: 9, values: [9, 1, 4] })
  t.match(summarize([1, 10, 2, 4]), { median: 3 })
})

t.test('a percentile is a value that was measured', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
  t.equal(percentile(hundred, 0.5), 50)
  t.equal(percentile(hundred, 0.99), 99)
  t.equal(percentile(hundred, 1), 100)
  t.equal(percentile([7], 0.99), 7)
  t.ok(Number.isNaN(percentile([], 0.5)))
})

t.test('a percentile that no value lies beyond is not told', async (t) => {
  const values = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
  t.equal(tailPercentile(values(1000), 0.999), 999)
  t.ok(Number.isNaN(tailPercentile(values(999), 0.999)))
  t.equal(tailPercentile(values(100), 0.99), 99)
  t.ok(Number.isNaN(tailPercentile(values(99), 0.99)))
  t.ok(Number.isNaN(tailPercentile([], 0.5)))
})

t.test('a ratio is of medians, and of nothing it is none', async (t) => {
  t.equal(ratio(summarize([1, 2, 3]), summarize([4])), 0.5)
  t.equal(ratio(summarize([1]), summarize([0])), null)
  t.equal(ratio(null, summarize([1])), null)
})

/** A network that carries `capacity` and, beyond it, loses what comes in excess and a part more. */
function network(capacity: number, senderMost: number): (rate: number | null) => Trial {
  return (offered) => {
    const sent = Math.min(offered ?? Infinity, senderMost)
    const received = sent <= capacity ? sent : capacity - (sent - capacity) * 0.1
    return { offered, sent, received, seconds: 1 }
  }
}

function search(trial: (rate: number | null) => Trial, maxTrials: number) {
  const limits = { maxLoss: 0.005, maxTrials }
  const trials: Trial[] = []
  for (let rate = nextRate(trials, limits); rate !== undefined; ) {
    trials.push(trial(rate))
    rate = nextRate(trials, limits)
  }
  return { trials, best: bestRate(trials, limits) }
}

t.test('the search finds the highest rate that is hardly lossy', async (t) => {
  for (const capacity of [10_000, 55_000, 180_000]) {
    const { trials, best } = search(network(capacity, 200_000), 12)
    t.ok(best > capacity * 0.93 && best <= capacity * 1.005, `${capacity}: ${best.toFixed(0)}`)
    t.ok(trials.length <= 12)
    t.equal(trials[0]?.offered, null, 'first as fast as possible')
  }
})

t.test('a sender that is slower than the network is the whole search', async (t) => {
  const { trials, best } = search(network(1e6, 63_000), 12)
  t.equal(trials.length, 1)
  t.equal(best, 63_000)
})

t.test('the search ends where nothing arrives, and at its bound', async (t) => {
  const { trials, best } = search(network(0, 1000), 6)
  t.equal(trials.length, 6)
  t.equal(best, 0)
})

t.test('a rate that passed above one that failed does not stop the search', async (t) => {
  const limits = { maxLoss: 0.005, maxTrials: 9 }
  const trial = (sent: number, lost: number): Trial => ({
    offered: sent,
    sent,
    received: sent - lost,
    seconds: 1,
  })
  const trials = [trial(100_000, 50_000), trial(60_000, 0), trial(40_000, 4000)]
  t.ok((nextRate(trials, limits) ?? 0) < 40_000)
  t.equal(bestRate(trials, limits), 60_000)
  t.equal(lossOf(trial(0, 0)), 1)
})

t.test('what was tried for little loss is known for none', async (t) => {
  const some = { maxLoss: 0.005, maxTrials: 6 }
  const none = { maxLoss: 0, maxTrials: 12 }
  // Loses 0.2 % from half of its capacity on.
  const link = (rate: number | null): Trial => {
    const sent = Math.min(rate ?? Infinity, 90_000)
    const received = sent > 60_000 ? 40_000 : sent > 30_000 ? sent * 0.998 : sent
    return { offered: rate, sent, received, seconds: 1 }
  }
  const trials: Trial[] = []
  const counts = [some, none].map((limits) => {
    for (let rate = nextRate(trials, limits); rate !== undefined; ) {
      trials.push(link(rate))
      rate = nextRate(trials, limits)
    }
    return trials.length
  })
  t.ok(bestRate(trials, some) > 30_000 && bestRate(trials, some) <= 60_000)
  const lossless = bestRate(trials, none)
  t.ok(lossless > 20_000 && lossless <= 30_000, lossless.toFixed(0))
  t.ok((counts[0] ?? 0) <= 6 && (counts[1] ?? 0) > (counts[0] ?? 0), counts.join(', '))
  t.equal(bestTrial(trials, none)?.received, lossless)
  t.same(bestTrial<Trial>([], none), undefined)
})

t.test('CPU time is what was busy beyond what was busy anyway', async (t) => {
  const at = (busy: number, idle: number) =>
    parseCpuTime(`cpu  ${busy} 0 0 ${idle} 5 0 0 7 0 0\ncpu0 1 2 3\n`)
  t.same(at(100, 300), { busy: 100, stolen: 7, total: 412 })
  t.equal(busyShare(at(0, 0), at(50, 50)), 0.5)
  t.equal(busyShare(at(1, 1), at(1, 1)), 0)
  t.equal(stolenShare(at(0, 0), at(50, 50)), 0)
  const later = parseCpuTime('cpu  0 0 0 90 5 0 0 17 0 0\n')
  t.equal(stolenShare(at(0, 0), later), 0.1)
  // 150 of 200 ticks busy, 20 % would have been: 110 ticks, 1.1 s, for 1e9 bytes.
  t.ok(Math.abs(cpuNsPer(at(0, 0), at(150, 50), 0.2, 1e9) - 1.1) < 1e-9)
  t.ok(Number.isNaN(cpuNsPer(at(0, 0), at(10, 190), 0.2, 1e9)), 'nothing is left')
  t.ok(Number.isNaN(cpuNsPer(at(0, 0), at(150, 50), 0.9, 1e9)), 'too busy to tell')
  t.ok(Number.isNaN(cpuNsPer(at(0, 0), at(150, 50), 0.2, 0)))
  t.ok(Number.isNaN(cpuNsPer(at(0, 0), at(150, 50), NaN, 1e9)), 'not measured before')
})

t.test("a process's CPU time is read behind any name", async (t) => {
  const rest = 'S 1 2 3 4 5 6 7 8 9 10 150 50 0 0'
  t.equal(parseProcessSeconds(`77 (a b) c) ${rest}`), 2)
  t.equal(parseResidentBytes('Name:\tx\nVmHWM:\t 99 kB\nVmRSS:\t   10 kB\n'), 10_240)
  t.equal(parseResidentBytes('Name:\tx\n'), 0, 'a process that has ended')
})

t.test('iperf3 and ping are read', async (t) => {
  const end = {
    sum_sent: { retransmits: 3 },
    sum_received: { bytes: 1e9, bits_per_second: 8e9, seconds: 1.5 },
    cpu_utilization_percent: { host_total: 60, remote_total: 100 },
    sender_tcp_congestion: 'cubic',
    receiver_tcp_congestion: 'bbr',
  }
  t.same(parseIperfJson(JSON.stringify({ end })), {
    gbitPerSecond: 8,
    bytes: 1e9,
    retransmits: 3,
    cpuSeconds: 2.4,
    congestion: ['cubic', 'bbr'],
  })
  const failed = JSON.stringify({ end: {}, error: 'unable to connect' })
  t.throws(() => parseIperfJson(failed), /unable to connect/)
  const pings = '64 bytes from 10.0.1.12: icmp_seq=1 ttl=64 time=0.041 ms\n... time=1.5 ms\n'
  t.same(parsePingTimes(pings), [41, 1500])
})

const SIDES = ['weft', 'kernel'] as const

t.test('the table has medians, what they lie between, and their ratio', async (t) => {
  const rows = rowsOf<Side>(
    [
      { side: 'weft', round: 1, figures: { tcp1: 2, pingP50: 40, cpuTcp1: NaN, callsTcp1: 4 } },
      { side: 'kernel', round: 1, figures: { tcp1: 8, pingP50: 10 } },
      { side: 'kernel', round: 2, figures: { tcp1: 9, pingP50: 10 } },
      { side: 'weft', round: 2, figures: { tcp1: 3, pingP50: 40 } },
      { side: 'weft', round: 3, figures: { tcp1: 4 } },
      { side: 'kernel', round: 3, figures: { tcp1: 12 } },
    ],
    SIDES,
  )
  const { header, rows: lines } = resultTable(rows, SIDES)
  t.same(header.slice(2), ['WEFT', '[MIN, MAX]', 'KERNEL', '[MIN, MAX]', 'WEFT/KERNEL'])
  for (const line of lines) t.equal(line.length, header.length)
  t.same(lines[0]?.slice(2), ['3.00', '[2.00, 4.00]', '9.00', '[8.00, 12.00]', '0.33'])
  const ping = lines.find((line) => line[0] === 'ping, p50')
  t.equal(ping?.at(-1), '4.00 (less is better)')
  const calls = lines.find((line) => line[0] === 'system calls, TCP 1')
  t.same(calls?.slice(2), ['4.00', '[4.00, 4.00]', '-', '', '-'], 'of one side only')
  t.notOk(
    lines.some((line) => line[0] === 'all CPU, TCP 1'),
    'what was not measured of any is no row',
  )
})

t.test('with several sides each has its ratio to the kernel', async (t) => {
  const sides = ['weft', 'kernel', 'ovs'] as const
  const rows = rowsOf<Side>(
    [
      { side: 'weft', round: 1, figures: { pingP50: 20 } },
      { side: 'kernel', round: 1, figures: { pingP50: 10 } },
      { side: 'ovs', round: 1, figures: { pingP50: 80 } },
    ],
    sides,
  )
  const { header, rows: lines } = resultTable(rows, sides)
  t.same(header.slice(-4), ['OVS', '[MIN, MAX]', 'WEFT/KERNEL', 'OVS/KERNEL'])
  t.equal(lines[0]?.[0], 'ping, p50 (less is better)')
  t.same(lines[0]?.slice(-2), ['2.00', '8.00'])
})

t.test('a side whose programs are not there is left out, and told', async (t) => {
  const { sides, missing } = availableSides(
    ['weft', 'kernel', 'nebula', 'wireguard-go'],
    (program) => program !== 'wg' && !program.startsWith('nebula'),
  )
  t.same(sides, ['weft', 'kernel'])
  t.same(missing, [
    'nebula was not measured: there is no nebula, nebula-cert; apt-get install nebula',
    'wireguard-go was not measured: there is no wg; apt-get install wireguard-go wireguard-tools',
  ])
})

t.test('without the kernel there are no ratios', async (t) => {
  const directions = ['a > b', 'b > a']
  const rows = rowsOf([{ side: 'a > b', round: 1, figures: { tcp1: 2 } }], directions)
  const { header, rows: lines } = resultTable(rows, directions)
  t.same(header, ['METRIC', 'UNIT', 'a > b', '[MIN, MAX]', 'b > a', '[MIN, MAX]'])
  t.same(lines, [['TCP, 1 stream', 'Gbit/s', '2.00', '[2.00, 2.00]', '-', '']])
})

t.test('what an end has not is told, with what cannot be measured and what to do', async (t) => {
  const found = parseProbe('ping\niperf3\nweft-flood /opt/my weft/weft-flood\n')
  t.same([...found.keys()], TOOLS)
  t.equal(found.get('weft-flood'), '/opt/my weft/weft-flood')
  t.same([...parseProbe('').keys()], [])
  const end = (name: string, ...tools: (typeof TOOLS)[number][]) => ({
    ...{ name, host: `${name}-host` },
    place: { tools: new Set(tools) },
  })
  const all = possibleSteps(PAIR_STEPS, [end('a', ...TOOLS), end('b', ...TOOLS)])
  t.same([all.steps, all.missing], [PAIR_STEPS, []])
  const { steps, missing } = possibleSteps(PAIR_STEPS, [end('a', ...TOOLS), end('b', 'ping')])
  t.same(
    steps.map(({ title }) => title),
    ['ping'],
  )
  t.same(missing, [
    'not measured: TCP, 1 stream; TCP, 8 streams; ping beside TCP: b on b-host has no iperf3; apt-get install iperf3 there',
    'not measured: UDP, 64 B; UDP, 512 B; UDP, 1400 B; ping beside UDP; TCP connections: b on b-host has no weft-flood; build it there: scripts/setup',
  ])
})

t.test('each round begins with another side, and the weakest is that of the round', async (t) => {
  t.same(
    [0, 1, 2, 3].map((by) => rotated(['a', 'b', 'c'], by).join('')),
    ['abc', 'bca', 'cab', 'abc'],
  )
  t.same(rotated([], 2), [])
  const samples = [
    { side: 'weft' as const, round: 1, figures: { udp64: 10 } },
    { side: 'weft' as const, round: 2, figures: { udp64: 70 } },
    { side: 'kernel' as const, round: 2, figures: { udp64: 50, tcp1: 1 } },
  ]
  t.equal(lowestOf(samples, 2, 'udp64'), 50)
  t.equal(lowestOf(samples, 1, 'tcp1'), null)
})

t.test("the kernel's side: bridges of all sandboxes, and VIPs in turn", async (t) => {
  const [h1, h2, h3, h4] = planTopology('b', 4).hosts
  const { lines } = overlayBatch(h2!, h1!, [h3!, h4!])
  t.match(lines[1], /type vxlan id 4097 local 192\.168\.1\.12 remote 172\.31\.1\.11 dstport 4789/)
  t.same(lines.slice(3, 5), [
    'link set s3 mtu 1450 master br0 up',
    'link set s4 mtu 1450 master br0 up',
  ])
  const rules = vipRules(['10.0.1.13', '10.0.1.14'], '10.0.1.12')
  t.match(
    rules,
    /tcp dport 6000 dnat to numgen inc mod 2 map \{ 0 : 10\.0\.1\.13, 1 : 10\.0\.1\.14 \}/,
  )
  t.match(rules, /ip daddr 10\.0\.1\.102 dnat to 10\.0\.1\.12\n/)
})

t.test('the underlay of both sides has no bridge, and keeps its addresses', async (t) => {
  const [router] = plainUnderlayBatches(planTopology('b', 2))
  t.match(router, { netns: 'b-r' })
  t.same(router?.lines.slice(2), [
    'addr add 172.31.1.1/24 dev h1',
    'addr add 192.168.1.1/24 dev h2',
  ])
})

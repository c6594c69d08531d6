// What the benchmark computes: medians, the search for a rate, CPU time, the table.

import t from 'tap'
import {
  busyShare,
  cpuNsPerByte,
  parseCpuTime,
  parseIperfJson,
  parsePingTimes,
  parseProcessSeconds,
} from '../../src/bench/outputs.ts'
import { bestRate, lossOf, nextRate, type Trial } from '../../src/bench/rate-search.ts'
import { resultTable, rowsOf } from '../../src/bench/result.ts'
import { percentile, ratio, summarize } from '../../src/bench/statistics.ts'
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

t.test('CPU time is what was busy beyond what was busy anyway', async (t) => {
  const at = (busy: number, idle: number) =>
    parseCpuTime(`cpu  ${busy} 0 0 ${idle} 5 0 0 7 0 0\ncpu0 1 2 3\n`)
  t.same(at(100, 300), { busy: 100, total: 412 })
  t.equal(busyShare(at(0, 0), at(50, 50)), 0.5)
  t.equal(busyShare(at(1, 1), at(1, 1)), 0)
  // 150 of 200 ticks busy, 20 % would have been: 110 ticks, 1.1 s, for 1e9 bytes.
  t.ok(Math.abs(cpuNsPerByte(at(0, 0), at(150, 50), 0.2, 1e9) - 1.1) < 1e-9)
  t.ok(Number.isNaN(cpuNsPerByte(at(0, 0), at(10, 190), 0.2, 1e9)), 'nothing is left')
  t.ok(Number.isNaN(cpuNsPerByte(at(0, 0), at(150, 50), 0.9, 1e9)), 'too busy to tell')
  t.ok(Number.isNaN(cpuNsPerByte(at(0, 0), at(150, 50), 0.2, 0)))
})

t.test("a process's CPU time is read behind any name", async (t) => {
  const rest = 'S 1 2 3 4 5 6 7 8 9 10 150 50 0 0'
  t.equal(parseProcessSeconds(`77 (a b) c) ${rest}`), 2)
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

t.test('the table has medians, what they lie between, and their ratio', async (t) => {
  const rows = rowsOf([
    { side: 'weft', round: 1, figures: { tcp1: 2, pingP50: 40, cpuTcp1: NaN } },
    { side: 'kernel', round: 1, figures: { tcp1: 8, pingP50: 10 } },
    { side: 'kernel', round: 2, figures: { tcp1: 9, pingP50: 10 } },
    { side: 'weft', round: 2, figures: { tcp1: 3, pingP50: 40 } },
    { side: 'weft', round: 3, figures: { tcp1: 4 } },
    { side: 'kernel', round: 3, figures: { tcp1: 12 } },
  ])
  const { header, rows: lines } = resultTable(rows)
  t.equal(header.length, lines[0]?.length)
  t.same(lines[0]?.slice(2), ['3.00', '[2.00, 4.00]', '9.00', '[8.00, 12.00]', '0.33'])
  const ping = lines.find((line) => line[0] === 'ping, p50')
  t.equal(ping?.at(-1), '4.00 (less is better)')
  const cpu = lines.find((line) => line[0] === 'all CPU, TCP 1')
  t.same(cpu?.slice(2), ['-', '', '-', '', '-'], 'what was not measured is not a number')
})

t.test('the underlay of both sides has no bridge, and keeps its addresses', async (t) => {
  const [router] = plainUnderlayBatches(planTopology('b', 2))
  t.match(router, { netns: 'b-r' })
  t.same(router?.lines.slice(2), [
    'addr add 172.31.1.1/24 dev h1',
    'addr add 192.168.1.1/24 dev h2',
  ])
})

// The benchmark measures what it says, and leaves nothing behind. Its figures are docs/benchmarks.md's.

import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import t, { type Test } from 'tap'
import type { BenchResult, PairResult } from '../../src/bench/result.ts'
import { down } from '../../src/lab/lab.ts'
import { eventually, ok } from '../fixtures/commands.ts'
import { inLab, SKIP, WEFT } from '../fixtures/lab.ts'

const NAME = `b${process.pid.toString(36)}`

t.test('labs of its own', { skip: SKIP }, async (t) => {
  const file = `${tmpdir()}/${NAME}.json`
  const page = `${tmpdir()}/${NAME}.html`
  t.teardown(async () => {
    rmSync(file, { force: true })
    rmSync(page, { force: true })
    for (const letter of ['w', 'k', 'o', 'n', 'g']) await down(`${NAME}${letter}`)
  })
  const argv = [
    ...['bench', '--quick', '--name', NAME, '--only', 'vip,connections'],
    ...['--against', 'kernel,ovs,nebula,wireguard-go', '--json', file, '--report', page],
  ]
  const printed = await ok([...WEFT, ...argv], { timeoutMs: 60_000 })
  const result = JSON.parse(readFileSync(file, 'utf8')) as BenchResult

  await t.test('a VIP, with nftables DNAT beside it, and connections', async (t) => {
    figures(t, result, ['vipTcp1', 'vipShare', 'vipConnections'], ['weft', 'kernel'])
    t.match(printed, /^TCP connections to a VIP +1\/s +\d+ /m)
    t.match(printed, /VIP connections +kernel +\d+ a second, 0 failed/m)
  })
  await t.test(
    'connections of all sides that are installed here; the others are told',
    async (t) => {
      figures(t, result, ['connections'], result.sides)
      const names = [...result.sides, ...result.missing.map((line) => line.split(' ')[0])]
      t.same(names.toSorted(), ['kernel', 'nebula', 'ovs', 'weft', 'wireguard-go'])
      for (const line of result.missing) t.ok(printed.includes(line), line)
      t.match(readFileSync(page, 'utf8'), /<h2>An underlay with all offloads<\/h2>/)
    },
  )
  await t.test('what was not asked for is not measured', async (t) => {
    t.same(
      result.underlays.map(({ rows }) => rows.filter(({ metric }) => metric.id === 'udp64')),
      [[]],
    )
  })
  await t.test('nothing is left', async (t) => {
    nothingLeft(t)
  })
})

inLab('between two sandboxes of a cluster', 2, async (t, lab) => {
  const c1 = await lab.sandbox('h1', 'demo', 'c1')
  await lab.sandbox('h2', 'demo', 'c2')
  const pair = ['bench', '--from', 'c1', '--to', 'h2/c2']

  await t.test('by the programs that are there, in both directions', async (t) => {
    const file = `${tmpdir()}/${lab.name}.json`
    t.teardown(() => {
      rmSync(file, { force: true })
    })
    const argv = [...pair, '--quick', '--only', 'ping,connections', '--json', file]
    const printed = await lab.weftOk('h1', ...argv)
    t.match(printed, /^METRIC +UNIT +c1 > h2\/c2 +\[MIN, MAX\] +h2\/c2 > c1/m)
    t.match(printed, /ping beside UDP .*not measured: how much UDP it carries is not known/)
    const { rows, directions, from } = JSON.parse(readFileSync(file, 'utf8')) as PairResult
    t.same(from, { name: 'c1', host: 'h1', ip: c1.ip })
    for (const id of ['pingP50', 'bulkP50', 'connections']) {
      const row = rows.find(({ metric }) => metric.id === id)
      t.same(
        row?.cells.map(({ side, summary }) => [side, (summary?.median ?? 0) > 0]),
        directions.map((direction) => [direction, true]),
        id,
      )
    }
  })
  await t.test('Ctrl-C ends it, and what it started on both hosts', async (t) => {
    const bench = lab.start('h1', [...WEFT, ...pair, '--only', 'tcp'])
    const measuring = () => lab.leftovers().processes.filter((line) => / iperf3 /.test(line))
    await eventually(() => Promise.resolve(measuring().length === 2))
    bench.kill('SIGINT')
    const { code, stderr } = await bench.ended
    t.equal(code, 130, stderr)
    await eventually(() => Promise.resolve(measuring().length === 0))
    t.same(measuring(), [])
  })
  await t.test('what cannot be is told', async (t) => {
    await lab.sandbox('h2', 'other', 'alone')
    for (const [argv, exit, said] of [
      [['--from', 'c1', '--to', 'nobody'], 1, /nobody/],
      [['--from', 'c1', '--to', 'h1/c1'], 2, /are one sandbox/],
      [['--from', 'c1', '--to', 'alone'], 2, /share no network/],
      [['--from', 'c1'], 2, /belong together/],
    ] as const) {
      const { code, stderr } = await lab.weft('h1', ['bench', ...argv])
      t.match([code, stderr], [exit, said], argv.join(' '))
      t.equal(stderr.trim().split('\n').length, 1, stderr)
    }
  })
})

/** Measured of these sides, and compared. */
function figures(
  t: Test,
  result: BenchResult,
  ids: readonly string[],
  sides: readonly string[],
): void {
  for (const id of ids) {
    const row = result.underlays[0]?.rows.find(({ metric }) => metric.id === id)
    const measured = (row?.cells ?? []).filter(({ summary }) => (summary?.median ?? 0) > 0)
    t.same(
      measured.map(({ side }) => side),
      sides,
      id,
    )
    for (const { side, toKernel } of measured) {
      t.equal(toKernel !== null, side !== 'kernel', `${id} of ${side} / kernel: ${toKernel}`)
    }
  }
}

function nothingLeft(t: Test): void {
  const left = ['/run/netns', '/run/weft/netns', '/run/weft/lab', '/var/lib/weft/netns']
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).filter((entry) => entry.startsWith(NAME)))
  t.same(left, [])
  const processes = readdirSync('/proc').filter((pid) => {
    // Tests beside us have labs of other names.
    const line = /^\d+$/.test(pid) && pid !== String(process.pid) ? commandLine(pid) : ''
    return new RegExp(`(?<![a-z0-9])${NAME}[wkong]`).test(line)
  })
  t.same(processes.map(commandLine), [])
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

// The benchmark measures what it says, and leaves nothing behind. Its figures are docs/benchmarks.md's.

import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import t, { type Test } from 'tap'
import type { BenchResult } from '../../src/bench/result.ts'
import { down } from '../../src/lab/lab.ts'
import { ok } from '../fixtures/commands.ts'
import { SKIP, WEFT } from '../fixtures/lab.ts'

const NAME = `b${process.pid.toString(36)}`

t.test('labs of its own', { skip: SKIP }, async (t) => {
  const file = `${tmpdir()}/${NAME}.json`
  t.teardown(async () => {
    rmSync(file, { force: true })
    for (const letter of ['w', 'k']) await down(`${NAME}${letter}`)
  })
  const only = 'vip,connections'
  const argv = ['bench', '--quick', '--name', NAME, '--only', only, '--json', file]
  const printed = await ok([...WEFT, ...argv], { timeoutMs: 60_000 })
  const result = JSON.parse(readFileSync(file, 'utf8')) as BenchResult

  await t.test('a VIP, with nftables DNAT beside it, and connections', async (t) => {
    figures(t, result, ['vipTcp1', 'vipShare', 'connections', 'vipConnections'])
    t.match(printed, /^TCP connections to a VIP +1\/s +\d+ .*\d+\.\d\d$/m)
    t.match(printed, /VIP connections +kernel +\d+ a second, 0 failed/m)
  })
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

/** Measured of all sides, and compared. */
function figures(t: Test, result: BenchResult, ids: readonly string[]): void {
  for (const id of ids) {
    const row = result.underlays[0]?.rows.find(({ metric }) => metric.id === id)
    t.same(
      row?.cells.map(({ side }) => side),
      result.sides,
      id,
    )
    for (const { side, summary, toKernel } of row?.cells ?? []) {
      t.ok((summary?.median ?? 0) > 0, `${id} of ${side}: ${summary?.median}`)
      t.equal(toKernel !== null, side !== 'kernel', `${id} of ${side} / kernel: ${toKernel}`)
    }
  }
}

function nothingLeft(t: Test): void {
  const left = ['/run/netns', '/run/weft/netns', '/run/weft/lab', '/var/lib/weft/netns']
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).filter((entry) => entry.startsWith(NAME)))
  t.same(left, [])
}

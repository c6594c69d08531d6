// The page and its pictures: what they show of a result, and that nothing in them comes from elsewhere.

import t from 'tap'
import { ratioScale, renderRatioChart, shortRatio } from '../../src/bench/ratio-chart.ts'
import { renderPairReport, renderReport, roundRatios } from '../../src/bench/report.ts'
import {
  type BenchResult,
  NO_DATAGRAMS,
  type PairResult,
  rowsOf,
  type Side,
} from '../../src/bench/result.ts'
import { summarize } from '../../src/bench/statistics.ts'

const SIDES: readonly Side[] = ['weft', 'kernel', 'ovs']

const RESULT: BenchResult = {
  version: '0.1.0',
  startedAt: '2026-11-20T10:00:00.000Z',
  seconds: 61,
  machine: {
    ...{ cpus: 2, model: 'A <CPU> & "more"', kernel: '6.18', node: '20', iperf3: 'iperf3 3.12' },
    ...{ memoryGiB: 24, loadAverage: [1, 2, 3] },
  },
  rounds: 2,
  quick: false,
  sides: SIDES,
  underlays: [
    {
      underlay: 'superframes',
      backgroundBusy: summarize([0.1]),
      stolen: summarize([0, 0.02, 0.05]),
      rows: rowsOf<Side>(
        [
          { side: 'weft', round: 1, figures: { tcp1: 4, pingP50: 40, callsTcp1: 5 } },
          { side: 'kernel', round: 1, figures: { tcp1: 8, pingP50: 10 } },
          { side: 'ovs', round: 1, figures: { tcp1: 1 } },
          { side: 'weft', round: 2, figures: { tcp1: 4, pingP50: 20 } },
          { side: 'kernel', round: 2, figures: { tcp1: 4, pingP50: 10 } },
          { side: 'ovs', round: 2, figures: { tcp1: 1 } },
        ],
        SIDES,
      ),
      integrity: { weft: { ...NO_DATAGRAMS, received: 7 } },
    },
    { underlay: 'wire', backgroundBusy: null, stolen: null, rows: [], integrity: {} },
  ],
  method: ['as it <was>'],
  missing: ['nebula was not measured: there is no nebula; apt-get install nebula'],
}

t.test(
  'the page has pictures and figures of each underlay, machine, method, what is missing',
  async (t) => {
    const html = renderReport(RESULT)
    for (const part of [
      /<h1>weft, ovs and kernel VXLAN, measured in turns<\/h1>/,
      /<h2>An underlay with all offloads<\/h2>/,
      /<h2>An underlay like a wire<\/h2>/,
      /<p>2026-11-20 10:00 UTC, weft 0\.1\.0, 2 rounds, 61 s<\/p>/,
      /2 CPUs \(A &lt;CPU&gt; &amp; &quot;more&quot;\)/,
      /<li>as it &lt;was&gt;<\/li>/,
      /<li>nebula was not measured/,
      /weft: of 7 datagrams received 0 came twice/,
      /what others used of the CPUs: 10 % \(10 % to 10 %\); the hypervisor took 2 % \(0 % to 5 %\)/,
      // Medians 4 and 6, rounds 0.5 and 1.
      /4\.00<br><b>x 0\.67<\/b><\/td>/,
      /<tspan class="value">0\.67<\/tspan><tspan class="quiet"> {2}0\.50 to 1\.0<\/tspan>/,
      // Medians 30 and 10, rounds 4 and 2.
      /<tspan class="value">3\.0<\/tspan><tspan class="quiet"> {2}2\.0 to 4\.0<\/tspan>/,
      /<td class="number quiet">not measured<\/td>/,
      /<p class="legend"><span>.*weft<\/span> <span>.*ovs<\/span><\/p>/,
    ])
      t.match(html, part)
    t.equal(html.match(/<figure>/g)?.length, 2, 'more is better, and less is')
  },
)

t.test('one side has its ratios in a column', async (t) => {
  const sides = ['weft', 'kernel'] as const
  const [first] = RESULT.underlays
  const rows = (first?.rows ?? []).map((row) => ({ ...row, cells: row.cells.slice(0, 2) }))
  const html = renderReport({ ...RESULT, sides, underlays: [{ ...first!, rows }] })
  t.match(html, /<th scope="col" class="number">weft \/ kernel<\/th>/)
  t.match(html, /<td class="number"><b>0\.67<\/b><\/td><\/tr>/)
  t.notMatch(html, /class="legend"/)
})

t.test('nothing in it comes from elsewhere', async (t) => {
  const html = renderReport(RESULT)
  t.notMatch(html, /<script|<link|<img|@import|url\(|https?:/)
  t.match(html, /prefers-color-scheme: dark/)
  t.match(html, /@media print/)
  const opened = html.match(/<(svg|figure|table|section|tr|text)[ >]/g)?.length
  t.equal(html.match(/<\/(svg|figure|table|section|tr|text)>/g)?.length, opened, 'all is closed')
})

t.test('two sandboxes: both directions, no ratios', async (t) => {
  const directions = ['c1 > h2/c2', 'h2/c2 > c1']
  const pair: PairResult = {
    ...{ version: '0.1.0', startedAt: RESULT.startedAt, seconds: 9, network: 'demo' },
    from: { name: 'c1', host: 'h1', ip: '10.0.1.11' },
    to: { name: 'h2/c2', host: 'h2', ip: '10.0.1.12' },
    ...{ rounds: 1, quick: true, directions, integrity: {}, method: [], missing: [] },
    rows: rowsOf(
      [
        { side: 'c1 > h2/c2', round: 1, figures: { tcp1: 4 } },
        { side: 'h2/c2 > c1', round: 1, figures: { tcp1: 2 } },
      ],
      directions,
    ),
  }
  const html = renderPairReport(pair)
  t.match(html, /<th scope="col" class="number">c1 &gt; h2\/c2<\/th>/)
  t.match(html, /A quick run/)
  t.notMatch(html, /kernel/)
  t.match(html, /4\.00<svg class="bar".*width="100\.0"/)
  t.match(html, /2\.00<svg class="bar".*width="50\.0"/)
})

t.test('ratios of single rounds, when both sides have all of them', async (t) => {
  t.same(roundRatios(summarize([4, 4]), summarize([8, 4])), { min: 0.5, max: 1 })
  t.same(roundRatios(summarize([4, 4]), summarize([8])), { min: null, max: null })
  t.same(roundRatios(null, summarize([8])), { min: null, max: null })
  t.same(roundRatios(summarize([1]), summarize([0])), { min: null, max: null })
})

t.test('the axis has powers of two around what is shown, few of them, and 1', async (t) => {
  t.same(ratioScale([]), { min: 0.5, max: 2, ticks: [0.5, 1, 2] })
  t.same(ratioScale([0.3, 1.5]).ticks, [0.25, 0.5, 1, 2])
  const wide = ratioScale([0.01, 140, 0])
  t.ok(wide.min <= 0.01 && wide.max >= 140)
  t.ok(wide.ticks.includes(1) && wide.ticks.length <= 9, wide.ticks.join(', '))
  t.same([0.0625, 0.7, 1, 2.04, 12.3, 138.9, null].map(shortRatio), [
    ...['0.063', '0.70', '1.0', '2.0', '12', '139', '-'],
  ])
})

t.test('a bar goes from 1 outwards, and better is the side that it says', async (t) => {
  const row = (ratio: number) => [
    { label: 'a & b', bars: [{ color: 0, ratio, min: null, max: null }] },
  ]
  const rects = (svg: string) =>
    [...svg.matchAll(/<rect class="(\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g)].map(
      ([, name, x, width]) => [name, Number(x), Number(x) + Number(width)] as const,
    )
  const [good, slow] = rects(renderRatioChart(row(0.5), 'more'))
  t.equal(slow?.[2], good?.[1], 'half: it ends at 1, where better begins')
  const [less, fast] = rects(renderRatioChart(row(2), 'less'))
  t.equal(fast?.[1], less?.[2], 'twice: it begins at 1, where better ends')
  t.match(renderRatioChart(row(2), 'less'), />a &amp; b</)
})

// Whatever is offloaded, in the sandboxes and on the underlay: what is sent arrives, and as it was.
//
//      h1                                             h2
//      │ c1 eth0: tx tso gso sg gro                   │ c2 eth0: the same
//      └ eth0: tx tso gso sg gro rx ──────── r ───────┴ eth0: the same
//
// Each run covers every pair of two settings of any two devices. scripts/offload-matrix runs all
// that one end can have: beside another end that has the same, and one that has all of it on.

import t, { type Test } from 'tap'
import { ok } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, type Sandbox } from '../fixtures/lab.ts'
import { allRows, type Option, pairsOf, pairsThatCanMeet, pairwise } from '../fixtures/pairwise.ts'
import { conversation, Talker } from '../fixtures/talker.ts'

/** What of sending can go together: the kernel has no tso without tx and sg, no gso without sg. */
const SENDING: readonly Option[] = [
  ['tx on', 'sg on', 'tso on', 'gso on'],
  ['tx on', 'sg on', 'tso on', 'gso off'],
  ['tx on', 'sg on', 'tso off', 'gso on'],
  ['tx on', 'sg on', 'tso off', 'gso off'],
  ['tx off', 'sg on', 'tso off', 'gso on'],
  ['tx off', 'sg on', 'tso off', 'gso off'],
  ['tx on', 'sg off', 'tso off', 'gso off'],
  ['tx off', 'sg off', 'tso off', 'gso off'],
]
const GRO: readonly Option[] = [['gro on'], ['gro off']]
/** A TAP has none of it. */
const RX: readonly Option[] = [['rx on'], ['rx off']]

/** One end: its sandbox, then its underlay. */
const END = [SENDING, GRO, SENDING, GRO, RX] as const
const ALL_ON: readonly Option[] = END.map((options) => options[0] ?? [])

const TCP_BYTES = 1_500_000

t.test('a covering array has every pair that can be', async (t) => {
  const groups = [...END, ...END]
  const rows = pairwise(groups)
  t.same(new Set(rows.flatMap(pairsOf)), pairsThatCanMeet(groups))
  const strange = rows.flatMap((row) =>
    row.filter((option, group) => !groups[group]?.includes(option)),
  )
  t.same(strange, [], 'each row takes one option of each group')
  t.ok(rows.length < 30, `${rows.length} rows instead of ${512 ** 2}`)
  t.same(pairwise(groups), rows, 'and it is the same each time')
  t.same(pairwise([[['a'], ['b']]]), [], 'where nothing meets there is nothing to cover')
  t.equal(allRows(END).length, 8 * 2 * 8 * 2 * 2)
})

inLab('every offload with every other', 2, async (t, lab) => {
  const ends = await Promise.all([end(lab, 'h1', 'c1'), end(lab, 'h2', 'c2')])
  const rows = process.env['WEFT_OFFLOADS'] === 'all' ? everyRow() : pairwise([...END, ...END])
  for (const [index, row] of rows.entries()) {
    const halves = [row.slice(0, END.length), row.slice(END.length)] as const
    const title = halves.map((half, at) => `${ends[at]?.sandbox.name} ${describe(half)}`).join('; ')
    await t.test(`${index + 1} of ${rows.length}: ${title}`, async (t) => {
      await Promise.all(ends.map((one, at) => set(one, halves[at] ?? [])))
      await talk(t, ends)
    })
  }
})

function everyRow(): Option[][] {
  const all = allRows(END)
  return [...all.map((end) => [...end, ...end]), ...all.map((end) => [...end, ...ALL_ON])]
}

interface End {
  readonly sandbox: Sandbox
  readonly underlay: string
  readonly talker: Talker
}

async function end(lab: Lab, host: string, name: string): Promise<End> {
  const sandbox = await lab.sandbox(host, 'demo', name)
  const talker = await Talker.start(lab, sandbox.netns)
  return { sandbox, underlay: lab.netns(host), talker }
}

/** Sets a sandbox's and its host's features; they must be so afterwards. */
async function set({ sandbox, underlay }: End, half: readonly Option[]): Promise<void> {
  const [sending = [], gro = [], ...ofUnderlay] = half
  await setFeatures(sandbox.netns, sandbox.interface, [...sending, ...gro])
  await setFeatures(underlay, 'eth0', ofUnderlay.flat())
}

async function setFeatures(netns: string, device: string, settings: Option): Promise<void> {
  const words = settings.flatMap((setting) => setting.split(' '))
  await ok(inNetns(netns, ['ethtool', '-K', device, ...words]))
  const shown = await ok(inNetns(netns, ['ethtool', '-k', device]))
  const ignored = settings.filter((setting) => {
    const [name = '', state = ''] = setting.split(' ')
    return !shown.includes(`${LONG_NAMES[name]}: ${state}`)
  })
  if (ignored.length > 0) throw new Error(`${device} did not take: ${ignored.join(', ')}`)
}

const LONG_NAMES: Readonly<Record<string, string>> = {
  tx: 'tx-checksumming',
  rx: 'rx-checksumming',
  sg: 'scatter-gather',
  tso: 'tcp-segmentation-offload',
  gso: 'generic-segmentation-offload',
  gro: 'generic-receive-offload',
}

async function talk(t: Test, [one, two]: readonly [End, End]): Promise<void> {
  const to = ({ sandbox: { ip, ip6 } }: End) =>
    [ip, ip6].flatMap((address) => conversation(address, TCP_BYTES))
  const complaints = await Promise.all([
    one.talker.complaints(to(two)),
    two.talker.complaints(to(one)),
  ])
  t.same(complaints, [[], []], 'TCP, UDP, superframes, fragments, both asking at once')
}

/** What is off, of the sandbox and of its host. */
function describe(half: readonly Option[]): string {
  const off = (options: readonly Option[]) =>
    options
      .flat()
      .filter((setting) => setting.endsWith(' off'))
      .map((setting) => setting.replace(' off', ''))
      .join(' ') || 'nothing'
  return `without ${off(half.slice(0, 2))}, underlay without ${off(half.slice(2))}`
}

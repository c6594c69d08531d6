// What a host remembers: whole or not at all on disk, and a start that cannot read it begins anew and says so.

import { mkdtemp, readFile, readdir, rm, stat, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Clock } from '../../src/clock.ts'
import { gossipKey } from '../../src/cluster/keyring.ts'
import { RecordsFile } from '../../src/cluster/records-file.ts'
import { type ClusterState, StateFile } from '../../src/cluster/state-file.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'

async function newDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'weft-state-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

let drawn = 0
const open = (directory: string): Promise<StateFile> =>
  StateFile.open({
    directory,
    wallMs: () => Date.UTC(2026, 10, 20, 12, 34, 56),
    randomBytes: (count) => Buffer.alloc(count, ++drawn),
  })

const key = gossipKey(Buffer.alloc(32, 5), { lamport: 3, writer: 'aa' })
const MEMBER: Partial<ClusterState> = {
  membership: {
    clusterId: 'cd'.repeat(16),
    keys: [{ key: Uint8Array.from(key.key), order: key.order }],
    joinSecret: new Uint8Array(16).fill(9),
  },
  incarnation: 4,
  peers: [{ id: 'b'.repeat(16), name: 'h2', ip: '172.31.1.12' as Ipv4Address, port: 7946 }],
  lastContactWallMs: 1e12,
}

t.test('what was written is read again', async (t) => {
  const directory = await newDirectory(t)
  const first = await open(directory)
  t.equal(first.setAside, null)
  t.equal(first.state.membership, null)
  t.same(await readdir(directory), [], 'a host that is in no cluster leaves nothing')
  t.equal(await first.nextBoot(), 1)
  await first.update(MEMBER)
  const second = await open(directory)
  t.same(second.state, { ...first.state, ...MEMBER })
  t.equal(await second.nextBoot(), 2)
  t.equal((await stat(join(directory, 'cluster.json'))).mode & 0o777, 0o600)
  t.same(await readdir(directory), ['cluster.json'])
})

t.test('the boot number is on disk before it is given', async (t) => {
  const directory = await newDirectory(t)
  const file = await open(directory)
  for (let n = 1; n <= 3; n++) {
    t.equal(await file.nextBoot(), n)
    t.equal((await open(directory)).state.bootNumber, n)
  }
})

t.test('many updates at once: each is on disk when it is done, the last one stands', async (t) => {
  const directory = await newDirectory(t)
  const file = await open(directory)
  const updates = Array.from({ length: 30 }, async (_, incarnation) => {
    await file.update({ incarnation })
    const written = JSON.parse(await readFile(join(directory, 'cluster.json'), 'utf8')) as {
      incarnation: number
    }
    return written.incarnation >= incarnation
  })
  t.ok((await Promise.all(updates)).every(Boolean))
  t.equal((await open(directory)).state.incarnation, 29)
})

t.test('a write that was interrupted leaves the state before it', async (t) => {
  const directory = await newDirectory(t)
  const file = await open(directory)
  await file.update(MEMBER)
  await writeFile(join(directory, 'cluster.json.new'), '{"version": 1, "memb')
  const again = await open(directory)
  t.same(again.state, file.state)
  await again.update({ incarnation: 5 })
  t.same(await readdir(directory), ['cluster.json'])
})

t.test('a write that fails is told, and the next one is tried again', async (t) => {
  const directory = await newDirectory(t)
  const file = await open(directory)
  await mkdir(join(directory, 'cluster.json'))
  await t.rejects(file.update({ incarnation: 1 }), {
    code: 'internal',
    message: /cannot be written/,
  })
  await rm(join(directory, 'cluster.json'), { recursive: true })
  await file.update({})
  t.equal((await open(directory)).state.incarnation, 1)
})

t.test('a file that makes no sense is set aside, and the host is a new one', async (t) => {
  const directory = await newDirectory(t)
  const path = join(directory, 'cluster.json')
  await (await open(directory)).update(MEMBER)
  const good = await readFile(path, 'utf8')
  const rows: [string, string][] = [
    ['empty', ''],
    ['cut', good.slice(0, 200)],
    ['no JSON object', '[]'],
    ['zeros', '\0'.repeat(300)],
    ['no version', good.replace('"version"', '"revision"')],
    ['a short key', good.replace('"0505', '"05')],
    ['no keys', good.replace(/"keys": \[[^]*?\]/, '"keys": []')],
    ['a member id that is none', good.replace(/("memberId": ")../, '$1xx')],
    ['an address that is none', good.replace('172.31.1.12', '172.31.1.312')],
    ['a negative boot number', good.replace('"bootNumber": 0', '"bootNumber": -1')],
  ]
  for (const [what, content] of rows) {
    t.not(content, good, what)
    await writeFile(path, content)
    const file = await open(directory)
    t.equal(file.setAside?.path, `${path}.corrupt-20261120T123456Z`, what)
    t.match(file.setAside?.reason, /.{5}/, what)
    t.equal(file.state.membership, null)
    t.equal(await readFile(file.setAside!.path, 'utf8'), content, 'it is kept to be looked at')
    t.equal((await open(directory)).setAside, null, 'once')
  }
})

t.test('a file of a newer weft is not touched', async (t) => {
  const directory = await newDirectory(t)
  await writeFile(join(directory, 'cluster.json'), '{"version": 2, "everything": "else"}')
  await t.rejects(open(directory), { code: 'version_mismatch', message: /newer version/ })
  t.same(await readdir(directory), ['cluster.json'])
})

/** A clock whose timers run when it is told to. */
function manualClock() {
  const timers = new Set<() => void>()
  const clock: Clock = {
    nowMs: () => 0,
    wallMs: () => 0,
    setTimeout(callback) {
      timers.add(callback)
      return { cancel: () => void timers.delete(callback) }
    },
  }
  const run = (): number => {
    const due = [...timers]
    timers.clear()
    for (const callback of due) callback()
    return due.length
  }
  return { clock, run }
}

t.test(
  'records: many changes are one write, and the last state is on disk at the end',
  async (t) => {
    const directory = await newDirectory(t)
    const { clock, run } = manualClock()
    let [state, snapshots] = [0, 0]
    const errors: unknown[] = []
    const file = new RecordsFile({
      directory,
      clock,
      snapshot: () => {
        snapshots += 1
        return Buffer.from(`state ${state}`)
      },
      onError: (error) => errors.push(error),
    })
    t.equal(await file.read(), null)
    for (state = 0; state < 100; state++) file.changed()
    t.equal(run(), 1)
    await file.written()
    state = 200
    file.changed()
    await file.written()
    t.equal(String(await file.read()), 'state 100', 'nothing was promised: it may wait')
    file.promised()
    await Promise.all([file.written(), file.written()])
    t.equal(String(await file.read()), 'state 200', 'what was promised is there')
    t.equal(run(), 0, 'and is not written again')
    state = 300
    file.changed()
    await file.close()
    t.equal(String(await file.read()), 'state 300')
    t.equal(snapshots, 3)
    file.changed()
    file.promised()
    await file.written()
    t.equal(run(), 0, 'closed: nothing is written any more')
    await file.remove()
    t.equal(await file.read(), null)
    t.same(errors, [])
    await rm(directory, { recursive: true })
    const lost = new RecordsFile({
      directory,
      clock,
      snapshot: () => Buffer.alloc(1),
      onError: (error) => errors.push(error),
    })
    lost.changed()
    await lost.close()
    t.match(errors, [{ code: 'internal' }], 'a failure is told, not thrown')
  },
)

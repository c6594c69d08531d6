// Overlays keep to the smallest path MTU between the hosts on them, while sandboxes live and sockets are open.
//
//      h1 172.31.1.11      h3 172.31.1.13            h2 192.168.1.12
//      └──── br1 .1 ───────┴──────── r ──────────────┴── br2 .1

import type { Test } from 'tap'
import { eventually, ok } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, type Sandbox } from '../fixtures/lab.ts'

// Ten minutes otherwise.
process.env['WEFT_PATH_PROBE_INTERVAL_MS'] = '1000'

const PATIENCE_MS = 20_000

inLab('path MTU', 3, async (t, lab) => {
  const c1 = await lab.sandbox('h1', 'demo', 'c1')
  const c2 = await lab.sandbox('h2', 'demo', 'c2')
  const d1 = await lab.sandbox('h1', 'other', 'd1')
  await t.test('as large as the underlay at first', async (t) => {
    t.same(await mtus(c1, c2, d1), [1450, 1450, 1450])
    t.equal(await passes(c1, c2, 1422), true)
  })
  await t.test('a router with 1400: networks that cross it become 1350, others stay', async (t) => {
    await setRouter(lab, 1400)
    await become(t, [c1, c2, d1], [1350, 1350, 1450])
    t.equal(await passes(c1, c2, 1322), true, '1322 + 28 passes')
    const { code, stdout, stderr } = await c1.run([...PING, '-s', '1323', c2.ip])
    t.not(code, 0)
    t.match(`${stdout}${stderr}`, /message too long, mtu=1350/, 'one more is refused here')
    t.equal(await passes(c2, c1, 1322), true, 'and the other way')
    await shown(t, lab, 1350)
  })
  await t.test(
    'what comes later begins with it; a host without endpoints there does not matter',
    async (t) => {
      const r1 = await lab.sandbox('h1', 'routed', 'r1')
      t.same(await mtus(r1), [1450])
      const r2 = await lab.sandbox('h2', 'routed', 'r2')
      t.same(await mtus(r2), [1350], 'it knew before')
      await become(t, [r1], [1350])
      await lab.weftOk('h2', 'rm', '-f', 'r2')
      await become(t, [r1], [1450])
    },
  )
  await t.test('a daemon that comes back goes on with it', async (t) => {
    await lab.lab('kill', 'h1')
    await lab.lab('restart', 'h1')
    await become(t, [c1, c2, d1], [1350, 1350, 1450])
    t.equal(await passes(c1, c2, 1322), true)
  })
  await t.test('raised again, they follow', async (t) => {
    await setRouter(lab, 1500)
    await become(t, [c1, c2, d1], [1450, 1450, 1450])
    t.equal(await passes(c1, c2, 1422), true)
    await shown(t, lab, 1450)
  })
})

/** Both sides, as a link between them that is replaced. */
async function setRouter(lab: Lab, bytes: number): Promise<void> {
  for (const bridge of ['br1', 'br2'])
    await ok(inNetns(lab.netns('r'), ['ip', 'link', 'set', bridge, 'mtu', String(bytes)]))
}

async function mtus(...sandboxes: readonly Sandbox[]): Promise<number[]> {
  return await Promise.all(
    sandboxes.map(async (sandbox) =>
      Number(/ mtu (\d+) /.exec(await sandbox.ok('ip', 'link', 'show', 'eth0'))?.[1]),
    ),
  )
}

async function become(
  t: Test,
  sandboxes: readonly Sandbox[],
  wanted: readonly number[],
): Promise<void> {
  const startMs = performance.now()
  let last: number[] = []
  await eventually(async () => {
    last = await mtus(...sandboxes)
    return last.join() === wanted.join()
  }, PATIENCE_MS).catch(() => undefined)
  t.same(last, wanted, sandboxes.map(({ name }) => name).join(', '))
  t.comment(`after ${Math.round(performance.now() - startMs)} ms`)
}

const PING = ['ping', '-n', '-c', '1', '-W', '2', '-M', 'do']

async function passes(from: Sandbox, to: Sandbox, payload: number): Promise<boolean> {
  // A path that was smaller a moment ago is remembered by the kernel of the sandbox.
  await from.run(['ip', 'route', 'flush', 'cache'])
  return (await from.run([...PING, '-s', String(payload), to.ip])).code === 0
}

async function shown(t: Test, lab: Lab, mtu: number): Promise<void> {
  const { networks } = await lab.client('h1').status()
  t.equal(networks.find(({ name }) => name === 'demo')?.mtu, mtu, 'weft status')
  const [network] = JSON.parse(await lab.weftOk('h1', 'network', 'inspect', 'demo')) as [
    { Options: Record<string, string> },
  ]
  t.equal(network.Options['com.docker.network.driver.mtu'], String(mtu), 'weft network inspect')
  const { NetworkSettings } = await lab.client('h1').inspectSandbox('c1')
  t.equal(NetworkSettings.Networks['demo']?.MTU, mtu, 'weft inspect')
}

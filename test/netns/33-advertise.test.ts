// Which address a host is reached at: what `weft init --advertise-addr` says is bound, and nothing else.
//
//      x   front 10.77.0.1/24        a host by itself, with a daemon that was told nothing
//          back  10.88.0.1/24

import type { Test } from 'tap'
import { eventually, ok } from '../fixtures/commands.ts'
import { inLab, type Lab, WEFT } from '../fixtures/lab.ts'

const FRONT = ['10.77.0.1:4789 udp', '10.77.0.1:source udp']
const BACK_IN_CLUSTER = [
  '10.88.0.1:4789 udp',
  '10.88.0.1:7946 tcp',
  '10.88.0.1:7946 udp',
  '10.88.0.1:source udp',
]

inLab('advertised address', 1, async (t, lab) => {
  const x = await lab.addNetns('x')
  // Cables whose other ends hang loose.
  const cable = (name: string, address: string) => [
    `link add ${name} type veth peer name ${name}-end`,
    `addr add ${address} dev ${name}`,
    `link set ${name}-end up`,
    `link set ${name} up`,
  ]
  const lines = [...cable('front', '10.77.0.1/24'), ...cable('back', '10.88.0.1/24')]
  for (const line of ['link set lo up', ...lines]) await ok(['ip', '-n', x, ...line.split(' ')])
  const daemon = lab.start('x', [...WEFT, 'daemon', '--name', 'x'])
  await eventually(
    async () =>
      (await lab
        .client('x')
        .status()
        .catch(() => null)) !== null,
  )

  await t.test('without a word it is the first address', async (t) => {
    t.same(await bound(lab), FRONT, 'and there is no cluster, so no gossip')
  })
  await t.test('an interface is named: everything is bound to its address', async (t) => {
    t.match(
      await lab.weftOk('x', 'init', '--advertise-addr', 'back'),
      /join --token \S+ 10\.88\.0\.1\n/,
    )
    t.same(await bound(lab), BACK_IN_CLUSTER)
  })
  await t.test('what cannot be is refused', (t) => refused(t, lab))
  await t.test('the next daemon of this host keeps to it, with a higher incarnation', async (t) => {
    const before = await lab.client('x').inspectNode('self')
    await daemon.stop('SIGKILL')
    const next = lab.start('x', [...WEFT, 'daemon', '--name', 'x'])
    await eventually(
      async () =>
        (await lab
          .client('x')
          .status()
          .catch(() => null)) !== null,
    )
    t.same(await bound(lab), BACK_IN_CLUSTER)
    const after = await lab.client('x').inspectNode('self')
    t.equal(after.ID, before.ID)
    t.ok(after.Gossip.Incarnation > before.Gossip.Incarnation)
    await lab.weftOk('x', 'leave')
    t.same(await bound(lab), FRONT, 'who has left chooses again')
    await next.stop()
  })
})

async function refused(t: Test, lab: Lab): Promise<void> {
  await lab.weftOk('x', 'leave')
  for (const [wanted, message] of [
    [
      'nowhere',
      /nowhere is no interface with an IPv4 address; this host has 10\.77\.0\.1 \(front\)/,
    ],
    ['10.99.0.1', /10\.99\.0\.1 is not an address of this host/],
  ] as const) {
    const { code, stderr } = await lab.weft('x', ['init', '--advertise-addr', wanted])
    t.equal(code, 2, wanted)
    t.match(stderr, message)
    t.match(stderr, /^weft: [^\n]+\n$/)
  }
  t.same(await bound(lab), FRONT, 'nothing has changed')
  await lab.weftOk('x', 'init', '--advertise-addr', '10.88.0.1')
}

/** Of the sockets that VXLAN is sent from. */
const FIRST_SOURCE_PORT = 49_152

/** What the daemon has bound; its source ports as one. */
async function bound(lab: Lab): Promise<string[]> {
  const { stdout } = await lab.on('x', ['ss', '-H', '-lntu'])
  const sockets = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/))
    .map(([protocol = '', , , , local = '']) => {
      const [address = '', port = ''] = local.split(':')
      return `${address}:${Number(port) < FIRST_SOURCE_PORT ? port : 'source'} ${protocol}`
    })
  return [...new Set(sockets)].sort()
}

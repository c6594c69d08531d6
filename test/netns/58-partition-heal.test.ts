// A host is cut off, both sides go on and take the same; when the cable is back, all of it is told apart again while everything runs.
//
//      h1 172.31.1.11 ── r ── 192.168.1.12 h2
//                        ✂
//      h3 172.31.1.13 ───┘
//
// h1 is the older side in everything: h3 has counted on before it takes what h1 takes.
//
// Runs with few: from the heal until all are reached again is timed, in seconds.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { EventLine } from '../../src/api/event-types.ts'
import type { NetworkContainer, NetworkInspect } from '../../src/api/network-types.ts'
import type { Report } from '../../src/api/doctor-types.ts'
import { VNI_LIST_OPTION } from '../../src/network/network-options.ts'
import { type Background, eventually } from '../fixtures/commands.ts'
import { WEFT, inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

process.env['WEFT_TEST_HOOKS'] = '1'

/** How long the cable is out: 60,000 for the real thing. */
const CUT_MS = Number(process.env['WEFT_SOAK_CUT_MS'] ?? 6_000)
/** From the heal until every sandbox is reached from every other of its network. */
const LIMIT_MS = 2_000
const PATIENCE_MS = 10_000
const HOSTS = ['h1', 'h2', 'h3'] as const

inLab(`a host is cut off for ${CUT_MS / 1000} s`, 3, async (t, lab) => {
  // Room for eight; six are there before.
  const full = await create(lab, 'h1', 'full', {
    subnets: ['10.60.0.0/24'],
    ipRanges: ['10.60.0.8/29'],
    ipv6: true,
  })
  const fillers = ['f0', 'f1', 'f2', 'f3', 'f4', 'f5']
  const [f0] = await Promise.all(fillers.map((name) => lab.sandbox('h2', 'full', name)))
  await eventually(async () => (await containers(lab, 'h3', full)).length === 6, PATIENCE_MS)

  const sinceMs = Date.now()
  setLink(lab, 'down')
  await eventually(async () => (await ready(lab, 'h1')) === 2, PATIENCE_MS)
  await eventually(async () => (await ready(lab, 'h3')) === 1, PATIENCE_MS)
  t.comment(`believed dead after ${Date.now() - sinceMs} ms`)
  const [left, right] = await Promise.all([takeOnOlder(lab), takeOnYounger(lab)])
  await lab.client('h3').post('/v1/test/vni', { network: right.ids.vni, vni: left.vni })
  const v3 = await lab.sandbox('h3', 'vni-b', 'v3')
  const doubled = [right.sandboxes.b1, right.sandboxes.b2].map(({ ip }) => ip).sort()
  t.same(doubled, [left.sandboxes.a1, left.sandboxes.a2].map(({ ip }) => ip).sort())
  await sleep(Math.max(0, CUT_MS - (Date.now() - sinceMs)))

  const reach = new Reach(lab)
  const healedMs = setLink(lab, 'up')
  const ids = [full, ...Object.values(left.ids), ...Object.values(right.ids)]
  // 3 + 2 + 2 + k1 on full; twin: t1, t2 and t3 on the other; l1, r3, v1, v2, v3.
  const seen = await agreed(t, lab, ids, 16)
  const agreedMs = Date.now() - healedMs
  const homes = await sandboxes(lab)
  await reach.all(t, homes, seen)
  const reachedMs = Date.now() - healedMs
  const figures = `records agree after ${agreedMs} ms, all are reached after ${reachedMs} ms`
  t.ok(reachedMs <= LIMIT_MS, `within ${LIMIT_MS} ms of the heal: ${figures}`)

  await t.test('nothing is there twice', (t) => apart(t, seen))
  await t.test('who had to move runs on', (t) => runsOn(t, lab, right, f0!))
  await t.test('who asked for an address and lost it is ended, and why is told', (t) =>
    ended(t, lab),
  )
  await t.test('of two networks with one name the older has it', (t) => names(t, lab, left, right))
  await t.test('the younger of two with one VNI is renumbered', async (t) => {
    t.equal(vniOf(seen, left.ids.vni), left.vni)
    t.not(vniOf(seen, right.ids.vni), left.vni)
    const inspect = await lab.client('h3').inspectSandbox(v3.name)
    const { VNI } = inspect.NetworkSettings.Networks['vni-b']!
    t.equal(VNI, vniOf(seen, right.ids.vni), 'its endpoints know')
  })
  await t.test('a sandbox may be on one of two networks with one subnet', async (t) => {
    const run = ['run', '--network', 'left', '--network', 'right', '--name', 'both', '--', 'true']
    t.match(await lab.weft('h2', run), {
      code: 1,
      stderr:
        /^weft: subnet 10\.61\.0\.0\/24 of network right overlaps 10\.61\.0\.0\/24 of network left/,
    })
    t.match(await lab.weft('h1', ['network', 'connect', 'right', 'l1']), {
      code: 1,
      stderr: /overlaps 10\.61\.0\.0\/24 of network left, which l1 is on/,
    })
  })
  await t.test('events tell', (t) => told(t, lab))
  await t.test('the doctor finds nothing', (t) => well(t, lab))
  await t.test('the next daemon finds all as it is now', async (t) => {
    const before = await containers(lab, 'h1', full)
    await lab.lab('kill', 'h3')
    await lab.lab('restart', 'h3')
    await eventually(async () => (await ready(lab, 'h1')) === 3, PATIENCE_MS)
    await eventually(
      async () => JSON.stringify(await containers(lab, 'h1', full)) === JSON.stringify(before),
      PATIENCE_MS,
    ).catch(() => undefined)
    t.same(await containers(lab, 'h1', full), before)
    const networks = await Promise.all(ids.map((id) => lab.client('h1').inspectNetwork(id)))
    await new Reach(lab).all(t, homes, networks)
  })
})

const COUNTER = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done']

async function create(
  lab: Lab,
  host: string,
  name: string,
  wish: { subnets?: string[]; ipRanges?: string[]; ipv6?: boolean } = {},
): Promise<string> {
  const none = { subnets: [], gateways: [], ipRanges: [], options: {}, labels: {}, ipv6: false }
  const body = { name, ...none, internal: false, attachable: false, ...wish }
  return (await lab.client(host).createNetwork(body)).id
}

async function takeOnOlder(lab: Lab) {
  const [twin, range, vni] = await Promise.all([
    create(lab, 'h1', 'twin'),
    create(lab, 'h1', 'left', { subnets: ['10.61.0.0/24'] }),
    create(lab, 'h1', 'vni-a'),
  ])
  const [a1, a2] = await Promise.all([
    lab.sandbox('h1', 'full', 'a1'),
    lab.sandbox('h1', 'full', 'a2'),
    lab.sandbox('h1', 'full', 'k1', COUNTER, ['--ip', '10.60.0.77']),
    lab.sandbox('h1', 'twin', 't1'),
    lab.sandbox('h2', 'twin', 't2'),
    lab.sandbox('h1', 'left', 'l1'),
    lab.sandbox('h1', 'vni-a', 'v1'),
    lab.sandbox('h2', 'vni-a', 'v2'),
  ])
  // So that who has to move has where to.
  await lab.weftOk('h2', 'rm', '-f', 'f1', 'f2', 'f3')
  const seen = await lab.client('h2').inspectNetwork(vni)
  return {
    ids: { twin, range, vni },
    vni: Number(seen.Options[VNI_LIST_OPTION]),
    sandboxes: { a1, a2 },
  }
}

async function takeOnYounger(lab: Lab) {
  for (let i = 0; i < 30; i++) {
    const id = await create(lab, 'h3', 'counts')
    await lab.client('h3').removeNetwork(id)
  }
  const [twin, range, vni] = await Promise.all([
    create(lab, 'h3', 'twin'),
    create(lab, 'h3', 'right', { subnets: ['10.61.0.0/24'] }),
    create(lab, 'h3', 'vni-b'),
  ])
  const [b1, b2] = await Promise.all([
    lab.sandbox('h3', 'full', 'b1', COUNTER),
    lab.sandbox('h3', 'full', 'b2', COUNTER),
    lab.sandbox('h3', 'full', 'k3', COUNTER, ['--ip', '10.60.0.77']),
    lab.sandbox('h3', 'twin', 't3'),
    lab.sandbox('h3', 'right', 'r3'),
  ])
  return { ids: { twin, range, vni }, sandboxes: { b1, b2 } }
}

type Older = Awaited<ReturnType<typeof takeOnOlder>>
type Younger = Awaited<ReturnType<typeof takeOnYounger>>

/** The router's end of h3's cable. */
function setLink(lab: Lab, state: 'up' | 'down'): number {
  spawnSync('ip', ['-netns', lab.topology.router.netns, 'link', 'set', 'h3', state])
  return Date.now()
}

async function ready(lab: Lab, host: string): Promise<number> {
  return (await lab.client(host).nodes()).filter(({ status }) => status === 'ready').length
}

async function containers(lab: Lab, host: string, id: string): Promise<NetworkContainer[]> {
  const { Containers } = await lab.client(host).inspectNetwork(id)
  return Object.values(Containers ?? {})
}

/** What all hosts see alike: every network with a VNI of its own, with so many endpoints in all, none of which shares an address. */
async function agreed(
  t: Test,
  lab: Lab,
  ids: readonly string[],
  count: number,
): Promise<NetworkInspect[]> {
  let last: NetworkInspect[][] = []
  await eventually(async () => {
    last = await Promise.all(
      HOSTS.map((host) => Promise.all(ids.map((id) => lab.client(host).inspectNetwork(id)))),
    ).catch(() => [])
    const [first] = last
    if (first === undefined || last.some((one) => shape(one) !== shape(first))) return false
    const addresses = first.flatMap(({ Id, Containers }) =>
      Object.values(Containers ?? {}).map(({ IPv4Address }) => `${Id} ${IPv4Address}`),
    )
    const vnis = new Set(first.map(({ Options }) => Options[VNI_LIST_OPTION]))
    if (vnis.size < ids.length || addresses.length !== count) return false
    return new Set(addresses).size === count
  }, PATIENCE_MS).catch((error: unknown) => {
    t.fail(`${String(error)}: ${last.map(shape).join('\n')}`)
  })
  return last[0] ?? []
}

const shape = (networks: readonly NetworkInspect[]): string =>
  JSON.stringify(
    networks.map(({ Id, Containers, Options, IPAM }) => [
      Id,
      Options[VNI_LIST_OPTION],
      IPAM.Config,
      Object.values(Containers ?? {}).map((one) => [one.Name, one.IPv4Address, one.IPv6Address]),
    ]),
  )

/** The namespaces of all living sandboxes, by `HOST/NAME`. */
async function sandboxes(lab: Lab): Promise<Map<string, string>> {
  const homes = new Map<string, string>()
  await Promise.all(
    HOSTS.map(async (host) => {
      for (const { name } of await lab.client(host).listSandboxes(false)) {
        const { NetworkSettings } = await lab.client(host).inspectSandbox(name)
        homes.set(`${host}/${name}`, NetworkSettings.SandboxKey)
      }
    }),
  )
  return homes
}

/** Everybody asks everybody else on his network until he is answered. */
class Reach {
  readonly #python: Background

  /** Started early: Python takes its time. */
  constructor(lab: Lab) {
    const program = fileURLToPath(new URL('../fixtures/reach.py', import.meta.url))
    this.#python = lab.start('r', ['python3', program, String(PATIENCE_MS / 1_000)])
  }

  async all(
    t: Test,
    homes: ReadonlyMap<string, string>,
    networks: readonly NetworkInspect[],
  ): Promise<void> {
    const questions = networks.flatMap(({ Name, Containers }) => {
      const all = Object.values(Containers ?? {})
      return all.map((one) => ({
        from: `${one.Host}/${one.Name} on ${Name}`,
        netns: homes.get(`${one.Host}/${one.Name}`),
        to: all
          .filter((other) => other !== one)
          .flatMap(({ IPv4Address, IPv6Address }) => [IPv4Address, IPv6Address])
          .filter((address) => address !== '')
          .map((address) => address.split('/')[0]),
      }))
    })
    await this.#python.until(/ready/)
    this.#python.write(`${JSON.stringify(questions)}\n`)
    const [answer] = await this.#python.until(/\{.*\}/, 2 * PATIENCE_MS)
    const { ms, missing } = JSON.parse(answer) as { ms: number; missing: string[] }
    const pairs = questions.reduce((sum, { to }) => sum + to.length, 0)
    t.same(missing, [], `each of ${pairs} is reached, the last one after ${ms} ms of asking`)
  }
}

function vniOf(networks: readonly NetworkInspect[], id: string): number {
  return Number(networks.find(({ Id }) => Id === id)?.Options[VNI_LIST_OPTION])
}

async function apart(t: Test, networks: readonly NetworkInspect[]): Promise<void> {
  const vnis = networks.map(({ Id }) => vniOf(networks, Id))
  t.equal(new Set(vnis).size, networks.length, `VNIs ${vnis.join(' ')}`)
  for (const { Name, Containers } of networks) {
    const all = Object.values(Containers ?? {})
    for (const key of ['IPv4Address', 'MacAddress'] as const)
      t.equal(new Set(all.map((one) => one[key])).size, all.length, `${key} on ${Name}`)
  }
}

async function runsOn(t: Test, lab: Lab, { sandboxes }: Younger, f0: Sandbox): Promise<void> {
  for (const before of Object.values(sandboxes)) {
    const { State, NetworkSettings } = await lab.client('h3').inspectSandbox(before.name)
    const now = NetworkSettings.Networks['full']!
    t.equal(State.Pid, before.pid, `${before.name} is the same process`)
    t.not(now.IPAddress, before.ip)
    t.match(now.IPAddress, /^10\.60\.0\.(8|9|1[0-5])$/, 'of the range')
    const addresses = await before.ok('ip', '-o', 'addr', 'show', 'dev', 'eth0')
    t.equal(addresses.match(/inet /g)?.length, 1, addresses)
    t.match(addresses, `inet ${now.IPAddress}/24`)
    t.match(addresses, `inet6 ${now.GlobalIPv6Address}/64`)
    t.equal(addresses.match(/inet6 /g)?.length, 2, 'and a link-local one')
    t.match(await before.ok('ip', 'link', 'show', 'eth0'), now.MacAddress)
    const counted = (await lab.weftOk('h3', 'logs', before.name)).trim().split('\n').map(Number)
    t.same(
      counted,
      counted.map((_, index) => index + 1),
      `it has counted on, to ${counted.length}`,
    )
    t.match(await f0.ok('ping', '-c', '1', '-W', '2', now.IPAddress), / 0% packet loss/)
    t.match(await f0.ok('ip', 'neigh', 'show', now.IPAddress), now.MacAddress)
  }
}

async function ended(t: Test, lab: Lab): Promise<void> {
  const why = 'lost 10.60.0.77 on network full to h1/k1'
  await eventually(
    async () => (await lab.client('h3').inspectSandbox('k3')).State.Status === 'exited',
    PATIENCE_MS,
  )
  const { State } = await lab.client('h3').inspectSandbox('k3')
  t.match(State, { Running: false, Error: why, ExitCode: 143 })
  t.match(await lab.weftOk('h3', 'ps', '-a'), new RegExp(`Exited \\(143\\) .* ago: ${why} `))
  const { stderr } = await lab.weft('h3', ['logs', 'k3'])
  t.equal(stderr, `weft: ended: ${why}\n`)
  t.match(await lab.client('h1').inspectSandbox('k1'), { State: { Running: true, Error: '' } })
}

async function names(t: Test, lab: Lab, left: Older, right: Younger): Promise<void> {
  for (const host of HOSTS) {
    t.equal((await lab.client(host).inspectNetwork('twin')).Id, left.ids.twin, `on ${host}`)
    const other = right.ids.twin.slice(0, 12)
    t.equal(
      (await lab.client(host).inspectNetwork(other)).Id,
      right.ids.twin,
      'the other by its id',
    )
  }
}

async function told(t: Test, lab: Lab): Promise<void> {
  const events = async (host: string): Promise<EventLine[]> => {
    const text = await lab.weftOk(host, 'events', '--format', 'json')
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as EventLine)
  }
  const texts = (all: readonly EventLine[], kind: string): string =>
    all
      .filter((event) => event.kind === kind)
      .map(({ text }) => text)
      .join('\n')
  const ofH3 = await events('h3')
  t.match(texts(ofH3, 'endpoint-readdressed'), /^h3\/b1 has 10\.60\.0\.\d+ on network full now/m)
  t.match(texts(ofH3, 'endpoint-readdressed'), /^h3\/b2 has /m)
  t.equal(
    texts(ofH3, 'sandbox-stopped'),
    'k3 lost 10.60.0.77 on network full to h1/k1, and asked for no other: it is ended',
  )
  t.match(texts(ofH3, 'member-down'), /^host h1 is down$/m)
  for (const host of HOSTS) {
    const all = await events(host)
    const collisions = texts(all, 'collision')
    t.match(collisions, /^two networks are called twin: the name means /m, host)
    t.match(
      collisions,
      /^10\.61\.0\.0\/24 of network left \(\w+\) and 10\.61\.0\.0\/24 of network right/m,
    )
    t.match(collisions, /^VNI \d+ is claimed by networks vni-a \(\w+\) and vni-b /m)
    t.match(texts(all, 'network-renumbered'), / of network vni-b has VNI \d+ now, instead of \d+$/)
    t.equal(texts(all, 'repair-failed'), '')
  }
  const follower = lab.start('h1', [...WEFT, 'events', '--follow', '--since', '1s'])
  const id = await create(lab, 'h1', 'later')
  await follower.until(/network-created +network later \(\w{12}\) was made on h1\n/)
  await lab.client('h1').removeNetwork(id)
  await follower.until(/network-removed +network later/)
  await follower.stop('SIGTERM')
}

async function well(t: Test, lab: Lab): Promise<void> {
  for (const host of HOSTS) {
    const { stdout } = await lab.weft(host, ['doctor', '--format', 'json'])
    const { findings } = JSON.parse(stdout) as Report
    t.same(
      findings.filter(({ check, verdict }) => verdict !== 'ok' && check !== 'leftovers'),
      [],
      host,
    )
  }
}

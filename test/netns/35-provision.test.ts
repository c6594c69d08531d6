// Machines as scripts/provision makes them: the files that it writes, and the cluster that comes of them. No VM, no systemd: what the
// units would start is started here, in namespaces wired as the Vagrantfile wires its machines.
//
//      p1 172.31.1.11      p3 172.31.1.13            p2 192.168.1.12
//      └──── 172.31.1.1 ───┴──────── pr ─────────────┴── 192.168.1.1

import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { eventually, ok, type Result, run } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, ROOT } from '../fixtures/lab.ts'

const PROVISION = `${ROOT}/scripts/provision`
/** Where the units expect the checkout. */
const INSTALLED = '/opt/weft'

interface Machine {
  readonly name: string
  readonly address: string
  readonly to: string
  readonly via: string
}

const ODD = { to: '192.168.1.0/24', via: '172.31.1.1' }
const EVEN = { to: '172.31.1.0/24', via: '192.168.1.1' }
const FIRST: Machine = { name: 'p1', address: '172.31.1.11', ...ODD }
const OTHERS: readonly Machine[] = [
  { name: 'p2', address: '192.168.1.12', ...EVEN },
  { name: 'p3', address: '172.31.1.13', ...ODD },
]
const MACHINES = [FIRST, ...OTHERS]

inLab('provisioned machines', 1, async (t, lab) => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-provision-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  await wire(lab)
  await t.test('units and settings are written, and systemd understands them', (t) =>
    files(t, directory),
  )
  await t.test('the router forwards', (t) => router(t, lab, directory))
  await t.test('the first begins a cluster, those that wait for its token join', (t) =>
    cluster(t, lab, directory),
  )
  await t.test('what cannot be is refused in one line', refused)
})

/** A router between two bridges, the machines on them. */
async function wire(lab: Lab): Promise<void> {
  const router = await lab.addNetns('pr')
  await ok(['ip', '-n', router, 'link', 'set', 'lo', 'up'])
  for (const [bridge, address] of [
    ['odd', `${ODD.via}/24`],
    ['even', `${EVEN.via}/24`],
  ] as const) {
    await ip(router, `link add ${bridge} type bridge`)
    await ip(router, `addr add ${address} dev ${bridge}`)
    await ip(router, `link set ${bridge} up`)
  }
  for (const { name, address, via } of MACHINES) {
    const netns = await lab.addNetns(name)
    await ip(router, `link add ${name} type veth peer name eth1 netns ${netns}`)
    await ip(router, `link set ${name} master ${via === ODD.via ? 'odd' : 'even'} up`)
    await ip(netns, 'link set lo up')
    await ip(netns, `addr add ${address}/24 dev eth1`)
    await ip(netns, 'link set eth1 up')
  }
}

async function ip(netns: string, line: string): Promise<void> {
  await ok(['ip', '-n', netns, ...line.split(' ')])
}

async function files(t: Test, directory: string): Promise<void> {
  const systemd = (await run(['which', 'systemd-analyze'])).code === 0
  for (const machine of MACHINES) {
    const root = join(directory, machine.name)
    await ok([PROVISION, 'files', '--root', root, ...settings(machine)])
    t.match(
      readFileSync(`${root}/etc/weft/config.yaml`, 'utf8'),
      `\nadvertise-addr: ${machine.address}\n`,
    )
    t.equal(execStart(root, 'weft'), `${INSTALLED}/scripts/weft daemon`)
    t.equal(
      execStart(root, 'weft-route'),
      `/sbin/ip route replace ${machine.to} via ${machine.via}`,
    )
    if (systemd) t.same(await complaints(root), [], `systemd has nothing to say of ${machine.name}`)
  }
  if (!systemd) t.comment('no systemd-analyze here: the units are not verified')
  // Without another network there is no route, nor what an earlier run wrote of one.
  const alone = join(directory, 'p3')
  await ok([PROVISION, 'files', '--root', alone, '--address', '172.31.1.13'])
  t.throws(() => readFileSync(unit(alone, 'weft-route')), { code: 'ENOENT' })
  t.notMatch(readFileSync(unit(alone, 'weft'), 'utf8'), 'weft-route')
  await ok([PROVISION, 'files', '--root', alone, ...settings(OTHERS[1] as Machine)])
}

/** What systemd finds wrong with the units, but that weft is not installed on this machine. */
async function complaints(root: string): Promise<string[]> {
  const units = [unit(root, 'weft'), unit(root, 'weft-route')]
  const { stderr } = await run(['systemd-analyze', 'verify', ...units])
  return stderr.split('\n').filter((line) => line !== '' && !line.includes(INSTALLED))
}

async function router(t: Test, lab: Lab, directory: string): Promise<void> {
  t.equal((await lab.on('pr', ['cat', '/proc/sys/net/ipv4/ip_forward'])).stdout, '0\n')
  for (let times = 0; times < 2; times++) {
    const { code, stderr } = await lab.on('pr', [PROVISION, 'router', '--root', directory])
    t.equal(code, 0, stderr)
  }
  t.equal((await lab.on('pr', ['cat', '/proc/sys/net/ipv4/ip_forward'])).stdout, '1\n')
}

async function cluster(t: Test, lab: Lab, directory: string): Promise<void> {
  const bin = join(directory, 'bin')
  const shared = join(directory, 'shared')
  mkdirSync(bin)
  symlinkSync(`${ROOT}/scripts/weft`, join(bin, 'weft'))
  for (const { name } of MACHINES) {
    const root = join(directory, name)
    const route = execStart(root, 'weft-route').split(' ')
    t.equal((await lab.on(name, route)).code, 0)
    const daemon = execStart(root, 'weft').replace(INSTALLED, ROOT).split(' ')
    // Its name is the machine's.
    const named = ['unshare', '--uts', 'sh', '-c', `hostname ${name} && exec "$@"`, 'sh']
    lab.start(name, [...named, ...daemon, '--config', `${root}/etc/weft/config.yaml`])
  }
  const enter = (machine: Machine): Promise<Result> => {
    const role = machine === FIRST ? ['--first'] : ['--join', FIRST.address]
    const argv = [PROVISION, 'cluster', '--shared', shared, ...role]
    const environment = ['env', `PATH=${bin}:${process.env['PATH'] ?? ''}`]
    return run(inNetns(lab.netns(machine.name), [...environment, ...argv]), { timeoutMs: 60_000 })
  }
  const waiting = OTHERS.map(enter)
  await eventually(
    async () => {
      const running = OTHERS.map(({ name }) => lab.on(name, [join(bin, 'weft'), 'status']))
      return (await Promise.all(running)).every(({ code }) => code === 0)
    },
    20_000,
    'daemons that wait for a token',
  )
  const entered = [await enter(FIRST), ...(await Promise.all(waiting))]
  t.same(
    entered.map(({ code, stderr }) => ({ code, stderr })),
    MACHINES.map(() => ({ code: 0, stderr: '' })),
  )
  const token = readFileSync(join(shared, 'join-token'), 'utf8').trim()
  t.match(token, /^WEFT-1-/)
  t.equal(statSync(join(shared, 'join-token')).mode & 0o777, 0o600, 'only root reads the token')
  t.notOk(
    entered.some(({ stdout }) => stdout.includes(token)),
    'and nobody logs it',
  )
  const ids = await members(lab)
  t.same(
    (await lab.client('p2').nodes()).map(({ name, address }) => `${name} ${address}`).sort(),
    MACHINES.map(({ name, address }) => `${name} ${address}`),
    'all are in one cluster, by the addresses of their private networks',
  )
  for (const machine of MACHINES) t.equal((await enter(machine)).code, 0, 'again does no harm')
  t.same(await members(lab), ids, 'and they are the hosts that they were')
}

async function members(lab: Lab): Promise<string[]> {
  const rows = await eventually(async () => {
    const rows = await lab.client('p3').nodes()
    return rows.length === MACHINES.length && rows
  })
  return rows.map(({ id }) => id).sort()
}

async function refused(t: Test): Promise<void> {
  for (const [argv, message] of [
    [['nothing'], /unknown step 'nothing'/],
    [['files', '--adress', '1.2.3.4'], /unknown option '--adress'/],
    [['files', '--address'], /--address needs a value/],
    [['files'], /files needs --address/],
    [['files', '--address', '172.31.1.11', '--to', '192.168.1.0/24'], /files needs --via/],
    [['cluster', '--shared', '/nonexistent'], /cluster needs --first or --join/],
    [['host', '--address', '172.31.1.11'], /host needs --shared/],
  ] as const) {
    const { code, stderr } = await run([PROVISION, ...argv])
    t.equal(code, 2, argv.join(' '))
    t.match(stderr, message)
    t.match(stderr, /^provision: [^\n]+\n$/)
  }
}

function settings({ address, to, via }: Machine): string[] {
  return ['--address', address, '--to', to, '--via', via]
}

function unit(root: string, name: string): string {
  return `${root}/etc/systemd/system/${name}.service`
}

function execStart(root: string, name: string): string {
  return /^ExecStart=(.*)$/m.exec(readFileSync(unit(root, name), 'utf8'))?.[1] ?? ''
}

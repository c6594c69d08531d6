// What cannot be is refused in one clear line, with the right exit code, and nothing half-made is left.
//
//      h1 172.31.1.11                     x 192.0.2.1, a namespace beside the lab
//      │ a daemon, all is well            │ daemons that must not start
//      │ c1 10.0.1.11                     │ weft commands without a daemon
//      └──── 172.31.1.1 ── r

import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { eventually, ok, type Result, run, type RunOptions } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, ROOT, WEFT } from '../fixtures/lab.ts'

const FAILED = 1
const WRONG_USAGE = 2
const LONG = 'x'.repeat(300)
/** lo, and both ends of a cable. */
const LINKS_OF_X = 3

inLab('bad input', 1, async (t, lab) => {
  await lab.sandbox('h1', 'demo', 'c1')
  await lab.addNetns('x')
  const setUp =
    'link add eth0 type veth peer eth1\naddr add 192.0.2.1/24 dev eth0\nlink set eth0 up\nlink set eth1 up\n'
  await ok(['ip', '-n', `${lab.name}-x`, '-batch', '-'], { input: setUp })

  await t.test('wrong usage is told with exit code 2', (t) => wrongUsage(t, lab))
  await t.test('what is taken is told with who holds it', (t) => taken(t, lab))
  await t.test('a namespace that is attached twice, or goes at that moment', (t) =>
    attachedTwice(t, lab),
  )
  await t.test('a daemon that cannot start', (t) => daemons(t, lab))
  await t.test('another version, no daemon', (t) => otherEnds(t, lab))
  await t.test('a machine that is not ready', (t) => machine(t))
})

/** One line on stderr that says it, nothing on stdout, that exit code. */
function refused(t: Test, result: Result, code: number, message: RegExp): void {
  t.match(result, { code, stdout: '', stderr: message }, String(message))
  t.match(result.stderr, /^[a-z]+: [^\n]+\n$/, 'one line')
}

async function wrongUsage(t: Test, lab: Lab): Promise<void> {
  const cases: readonly [string, RegExp][] = [
    ['frobnicate', /unknown command 'frobnicate'/],
    ['ps --bogus', /unknown option '--bogus'.*weft ps --help/],
    ['daemon --bogus', /unknown option '--bogus'/],
    ['lab up --bogus', /unknown option '--bogus'.*weft lab up --help/],
    ['run --network demo', /command/],
    ['run --name c9 -- true', /--network/],
    ['run --network demo --bogus -- true', /unknown option '--bogus'/],
    ['run --network demo --ip 10.0.1.300 --name c9 -- true', /10\.0\.1\.300/],
    ['run --network demo --ip 10.0.3.9 --name c9 -- true', /10\.0\.3\.9 is not in network demo/],
    [
      'run --network demo --ip 10.0.1.0 --name c9 -- true',
      /10\.0\.1\.0 is the network address of 10\.0\.1\.0\/24/,
    ],
    ['run --network demo --ip 10.0.1.255 --name c9 -- true', /broadcast address/],
    ['run --network demo --mac 01:00:5e:00:00:01 --ip 10.0.1.9 --name c9 -- true', /multicast/],
    ['run --network demo --name a_name_that_has_$$ -- true', /a_name_that_has/],
    [`run --network demo --name ${LONG} -- true`, /sandbox name 'x+'\.\.\. has 300 characters/],
    [`attach --network demo --host --name ${LONG}`, /sandbox name 'x+'\.\.\. has 300 characters/],
    [
      `run --network demo --name a1 --network-alias ${LONG} -- true`,
      /alias name .* 300 characters/,
    ],
    ['run --network demo --name a1 --ip6 fd57::1::2 -- true', /fd57::1::2/],
    ['run --network demo --name a1 --interface sixteencharacter -- true', /16 characters.*15/],
    ['run --network demo --name a1 --interface a/b -- true', /interface name 'a\/b'/],
    ['attach --network demo', /--netns NAME\|PATH, --pid PID and --host/],
    ['attach --network demo --host --pid 1', /one of/],
    ['attach --network demo --pid 0', /--pid/],
    ['logs --tail many c1', /--tail/],
    ['ps --format xml', /xml/],
    ['lab up --hosts 0', /--hosts/],
    ['lab up --name Uppercase', /'Uppercase' is not a lab's name/],
    ['lab exec', /missing required argument/],
    ['daemon --vxlan-port 70000', /--vxlan-port/],
    ['rm', /missing required argument/],
  ]
  await unchanged(t, lab, async () => {
    await refusedAll(t, lab, cases, WRONG_USAGE)
  })
}

/**
 * Runs the commands of a table on h1. Most of a command is the start of Node, so some at once; those that
 * speak of a1, whose name they take for a moment, one after the other.
 */
async function refusedAll(
  t: Test,
  lab: Lab,
  cases: readonly [string, RegExp][],
  code: number,
): Promise<void> {
  const ofA1 = cases.filter(([line]) => line.includes('--name a1'))
  const others = cases.filter((one) => !ofA1.includes(one))
  const work = async (list: [string, RegExp][]) => {
    for (let one = list.shift(); one !== undefined; one = list.shift()) {
      const [line, message] = one
      const unique = line.replace('--name c9', `--name c9-${list.length}`)
      refused(t, await lab.weft('h1', unique.split(' ')), code, message)
    }
  }
  await Promise.all([work(ofA1), work(others), work(others)])
}

/** That `act` leaves h1 as it was. */
async function unchanged(t: Test, lab: Lab, act: () => Promise<void>): Promise<void> {
  const { runDir, stateDir } = lab.directories('h1')
  const picture = async () => ({
    sandboxes: (await lab.client('h1').listSandboxes(true)).map(({ name }) => name),
    sockets: readdirSync(`${runDir}/s`),
    directories: readdirSync(`${stateDir}/sandboxes`),
    fdb: (await lab.client('h1').fdb()).map(({ mac }) => mac),
    links: await ok(inNetns(lab.netns('h1'), ['ip', '-br', 'link', 'show'])),
  })
  const before = await picture()
  await act()
  t.same(await picture(), before, 'nothing half-made is left')
}

async function taken(t: Test, lab: Lab): Promise<void> {
  const x = `${lab.name}-x`
  const cases: readonly [string, RegExp][] = [
    ['run --network demo --name c1 -- true', /sandbox c1 exists on this host \(running\)/],
    ['run --network demo --name c9 --ip 10.0.1.11 -- true', /10\.0\.1\.11 .* held by c1 on h1/],
    ['run --network demo --name c9 --ip 10.0.1.81 -- true', /held by a1 on h1 \(by the facts/],
    ['run --network demo --name c9 --ip 10.0.1.1 -- true', /10\.0\.1\.1 is the gateway/],
    ['run --network demo --name a1 --mac 02:42:0a:00:01:0b -- true', /MAC .* by c1 on h1/],
    ['run --network demo --name a1 --mac 02:42:0a:00:01:01 -- true', /MAC .* is the gateway's/],
    ['run --network demo --network demo --name c9 -- true', /c9\S* is on network demo already/],
    ['run --network nowhere --name c9 -- true', /no network 'nowhere'; see weft network ls --all/],
    [`attach --network demo --name a1 --netns ${x} --interface eth0`, /interface eth0 exists/],
    ['attach --network demo --name a1 --netns nowhere', /namespace \S*nowhere .*cannot be entered/],
    [
      'attach --network demo --name a1 --netns /etc/passwd',
      /namespace \/etc\/passwd .*cannot be entered/,
    ],
    ['attach --network demo --name a1 --pid 4194304', /pid 4194304 .*cannot be entered/],
    ['exec nobody -- true', /no sandbox nobody/],
    ['detach c1', /c1 was made by `weft run`/],
  ]
  await unchanged(t, lab, async () => {
    await refusedAll(t, lab, cases, FAILED)
  })
  // An array all the same, as docker prints it.
  const inspected = await lab.weft('h1', ['inspect', 'nobody'])
  t.match(inspected, { code: FAILED, stdout: '[]\n', stderr: /^weft: no sandbox nobody[^\n]*\n$/ })
  const links = JSON.parse(await ok(['ip', '-n', x, '-j', 'link', 'show'])) as unknown[]
  t.equal(links.length, LINKS_OF_X, 'nor in the namespace that was to be attached')
}

async function attachedTwice(t: Test, lab: Lab): Promise<void> {
  const x = `${lab.name}-x`
  const attach = ['attach', '--network', 'demo', '--ip', '10.0.1.201', '--netns', x]
  await unchanged(t, lab, async () => {
    await lab.weftOk('h1', ...attach, '--name', 'first')
    refused(
      t,
      await lab.weft('h1', [...attach, '--name', 'first']),
      FAILED,
      /sandbox first exists on this host \(attached\)/,
    )
    refused(
      t,
      await lab.weft('h1', [...attach, '--name', 'second']),
      FAILED,
      /10\.0\.1\.201 .*held by first on h1/,
    )
    t.equal(await lab.weftOk('h1', 'detach', 'first'), 'first\n')

    // Whenever the process ends: it was attached, and is no more; or it was not, with one line.
    for (const delayMs of [0, 5, 10, 20, 30, 45]) {
      const process = lab.start('h1', ['unshare', '--net', 'sleep', 'infinity'])
      const command = async () => await ok(['cat', `/proc/${process.pid}/comm`])
      await eventually(async () => (await command()) === 'sleep\n')
      const client = lab.client('h1')
      const attachments = [{ network: 'demo', ip: '10.0.1.202' }]
      const attaching = client
        .createSandbox({ kind: 'attach', name: 'brief', pid: process.pid, attachments })
        .then(
          () => null,
          (error: unknown) => (error as Error).message,
        )
      await sleep(delayMs)
      await process.stop('SIGKILL')
      const message = await attaching
      const pid = `pid ${process.pid}`
      if (message !== null) t.match(message, pid, `${delayMs} ms: ${message}`)
      await eventually(async () =>
        (await client.listSandboxes(true)).every(({ name }) => name !== 'brief'),
      )
    }
  })
}

async function daemons(t: Test, lab: Lab): Promise<void> {
  const netns = lab.netns('x')
  const directory = t.testdir()
  // With members, as outside of a cluster: h1 is where the daemon is to start.
  const members = 'members:\n  - { name: h1, vtep: 192.0.2.1 }\n'
  const good = readFileSync(lab.factsFile, 'utf8').replace('networks:', `${members}networks:`)
  writeFileSync(`${directory}/good.yaml`, good)
  const daemon = ['daemon', '--name', 'h1', '--facts', `${directory}/good.yaml`]
  const start = (argv: readonly string[], wrapper: readonly string[] = []) =>
    run(inNetns(netns, [...wrapper, ...WEFT, ...argv]))
  const nothingLeft = async (t: Test) => {
    t.same(lab.leftBeside('x'), [], 'no directory, no process')
    const links = JSON.parse(await ok(inNetns(netns, ['ip', '-j', 'link', 'show']))) as unknown[]
    t.equal(links.length, LINKS_OF_X, 'no interface')
  }
  const ip = (...argv: string[]) => ok(['ip', '-n', `${lab.name}-x`, ...argv])

  t.test('broken facts: line and column', async (t) => {
    // What is replaced by what, and where in the new text the complaint points.
    const cases: readonly [string, string, string, RegExp][] = [
      ['10.0.3.0/24', '10.0.3.0/33', '10.0.3.0/33', /10\.0\.3\.0\/33/],
      ['networks:', 'networks: [', '- name: demo', /not valid YAML/],
      ['name: c1,', 'name: c1, colour: red,', 'colour', /unknown key 'colour'/],
      ['ip: 10.0.3.11', 'ip: 10.0.1.11', '10.0.1.11 }', /10\.0\.1\.11 /],
      ['networks:', 'netwroks:', 'netwroks:', /did you mean 'networks'/],
    ]
    for (const [index, [from, to, where, message]] of cases.entries()) {
      const file = `${directory}/broken-${index}.yaml`
      const text = good.replace(from, to)
      writeFileSync(file, text)
      const result = await start(['daemon', '--name', 'h1', '--facts', file])
      refused(t, result, WRONG_USAGE, message)
      const before = text.slice(0, text.indexOf(where)).split('\n')
      t.match(result.stderr, `weft: ${file}:${before.length}:${(before.at(-1) ?? '').length + 1}: `)
    }
    refused(t, await start([...daemon, '--facts', '/nonexistent']), FAILED, /\/nonexistent/)
    refused(t, await start(['daemon', '--name', 'h9', ...daemon.slice(3)]), WRONG_USAGE, /h9/)
    await nothingLeft(t)
  })

  t.test('a subnet that overlaps a route of the host: the route is named', async (t) => {
    await ip('route', 'add', '10.0.0.0/22', 'via', '192.0.2.9')
    refused(
      t,
      await start(daemon),
      WRONG_USAGE,
      /10\.0\.1\.0\/24 .*overlaps.* 10\.0\.0\.0\/22 dev eth0/,
    )
    await ip('route', 'del', '10.0.0.0/22')
    await nothingLeft(t)
  })

  t.test('without CAP_NET_ADMIN, without CAP_SYS_ADMIN', async (t) => {
    for (const capability of ['net_admin', 'sys_admin']) {
      const without = [
        'setpriv',
        `--bounding-set=-${capability}`,
        `--inh-caps=-${capability}`,
        '--',
      ]
      const missing = new RegExp(`CAP_${capability.toUpperCase()}`)
      // Into the namespace first: that needs what is then taken away.
      refused(t, await start(daemon, without), FAILED, missing)
      const lab = await run([...without, ...WEFT, 'lab', 'up', '--name', 'nocap'])
      refused(t, lab, FAILED, missing)
    }
    await nothingLeft(t)
  })

  t.test('without /dev/net/tun', async (t) => {
    const hidden = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none /dev/net && exec "$@"',
      '-',
    ]
    refused(
      t,
      await start(daemon, hidden),
      FAILED,
      /\/dev\/net\/tun cannot be opened.*modprobe tun/,
    )
    const lab = await run([...hidden, ...WEFT, 'lab', 'up', '--name', 'notun'])
    refused(t, lab, FAILED, /\/dev\/net\/tun cannot be opened/)
    await nothingLeft(t)
  })

  t.test('UDP 4789 is taken: by whom', async (t) => {
    const socat = lab.start('x', ['socat', '-u', 'UDP4-RECV:4789', '-'])
    await eventually(async () => (await ok(inNetns(netns, ['ss', '-Hlun']))).includes(':4789'))
    const byProcess = new RegExp(`192\\.0\\.2\\.1:4789 .* socat \\(pid ${socat.pid}\\)`)
    refused(t, await start(daemon), WRONG_USAGE, byProcess)
    await socat.stop()

    const vxlan = ['link', 'add', 'vx0', 'type', 'vxlan', 'id', '5', 'dstport', '4789']
    const added = await run(['ip', '-n', `${lab.name}-x`, ...vxlan, 'local', '192.0.2.1'])
    if (added.code === 0) {
      await ip('link', 'set', 'vx0', 'up')
      refused(t, await start(daemon), WRONG_USAGE, /kernel's VXLAN device vx0/)
      await ip('link', 'del', 'vx0')
    } else {
      t.comment('this kernel has no vxlan')
    }
    await nothingLeft(t)
  })

  t.test('other settings that cannot be', async (t) => {
    writeFileSync(`${directory}/config.yaml`, 'vxlan-prot: 1\n')
    const cases: readonly [readonly string[], RegExp][] = [
      [['--advertise-addr', '198.51.100.1'], /198\.51\.100\.1 is not an address of this host/],
      [['--advertise-addr', 'eth7'], /eth7 is no interface.*192\.0\.2\.1 \(eth0\)/],
      [['--config', `${directory}/config.yaml`], /no setting 'vxlan-prot'/],
      [['--config', '/nonexistent'], /--config \/nonexistent/],
      [['--log-file', '/proc/nothing'], /--log-file \/proc\/nothing/],
      [['--worker-cpus', '0-1'], /--worker-cpus: 0-1 .*as in 2,3/],
      [['--worker-cpus', '0', '--workers', '2'], /1 CPUs for 2 workers/],
      [['--worker-cpus', '1000'], /--worker-cpus: .*CPU 1000/],
    ]
    for (const [options, message] of cases) {
      refused(t, await start([...daemon, ...options]), WRONG_USAGE, message)
    }
    await nothingLeft(t)
  })

  t.test('a second daemon in a namespace', async (t) => {
    const second = ['daemon', '--name', 'h1', '--facts', lab.factsFile]
    const message = new RegExp(`daemon runs in this network namespace.*pid ${lab.daemonPid('h1')}`)
    await unchanged(t, lab, async () => {
      refused(t, await lab.weft('h1', second), FAILED, message)
    })
  })

  t.test('after all that it starts', async (t) => {
    const started = lab.start('x', [...WEFT, ...daemon])
    await started.until(/is ready/)
    t.match(await run(inNetns(netns, [...WEFT, 'ps', '-q'])), { code: 0, stdout: '' })
    t.equal((await started.stop('SIGTERM')).code, 0)
  })
}

async function otherEnds(t: Test, lab: Lab): Promise<void> {
  const directory = t.testdir()
  cpSync(`${ROOT}/dist`, `${directory}/dist`, { recursive: true })
  writeFileSync(`${directory}/package.json`, '{"version":"9.9.9","type":"module"}')
  symlinkSync(`${ROOT}/node_modules`, `${directory}/node_modules`)
  const other = [process.execPath, `${directory}/dist/weft.js`]
  const mismatch = /this client is weft 9\.9\.9, the daemon is weft \d+\.\d+\.\d+; /
  await unchanged(t, lab, async () => {
    for (const line of [
      'ps',
      'exec c1 -- true',
      'run --network demo --name a1 -- true',
      'logs c1',
    ]) {
      refused(t, await lab.on('h1', [...other, ...line.split(' ')]), FAILED, mismatch)
    }
  })
  t.match(await lab.on('h1', [...other, 'version']), {
    code: 0,
    stdout: /9\.9\.9[^]*\d+\.\d+\.\d+ /,
  })

  // Each verb that asks a daemon, where there is none: x; and where it has just been killed: h1.
  const verbs = [
    ...['ps', 'ps --cluster', 'status', 'doctor', 'node ls', 'init', 'leave', 'inspect c1'],
    ...['run --network demo -- true', 'exec c1 -- true', 'logs c1', 'rm c1', 'detach c1'],
    ...['attach --network demo --host', 'network ls', 'network create n', 'network inspect demo'],
    ...['network rm demo', 'network connect demo c1', 'network disconnect demo c1'],
    ...['network update --subnet-add 10.9.0.0/24 demo', 'fdb ls', 'neigh ls'],
  ]
  const ask = async (host: string) => {
    const message = new RegExp(`no daemon answers on /run/weft/netns/[a-z0-9]+-${host}/weft\\.sock`)
    const left = [...verbs]
    const work = async (): Promise<void> => {
      for (let verb = left.shift(); verb !== undefined; verb = left.shift()) {
        const { code, stdout, stderr } = await lab.weft(host, verb.split(' '))
        // An array all the same, as docker prints it.
        const empty = /^(?:network )?inspect/.test(verb) ? '[]\n' : ''
        t.same([code, stdout], [FAILED, empty], verb)
        t.match(stderr, message)
        t.match(stderr, /^weft: [^\n]+\n$/, 'one line')
      }
    }
    await Promise.all([work(), work(), work()])
  }
  await ask('x')
  await unchanged(t, lab, async () => {
    await lab.lab('kill', 'h1')
    await ask('h1')
    await lab.lab('restart', 'h1')
  })
  const file = await run([...WEFT, '--socket', '/etc/passwd', 'ps'])
  refused(t, file, FAILED, /\/etc\/passwd/)
  refused(
    t,
    await run([...WEFT, 'lab', 'exec', '--name', 'nolab', 'h1', '--', 'true']),
    FAILED,
    /'nolab'/,
  )
  refused(t, await run([...WEFT, 'lab', 'up', '--name', lab.name]), FAILED, /is up with 1 hosts/)
  const stranger = await run([...WEFT, 'lab', 'exec', '--name', lab.name, 'h7', '--', 'true'])
  refused(t, stranger, FAILED, /has no 'h7'; it has h1, r, c/)
}

/** The scripts that come before there is a weft. */
async function machine(t: Test): Promise<void> {
  const directory = t.testdir({ old: {}, bin: {} })
  const bare = (path: string, extra: NodeJS.ProcessEnv = {}): RunOptions => ({
    env: { PATH: path, HOME: '/nonexistent', ...extra },
  })

  t.test('Node is too old', async (t) => {
    const old = `${directory}/old/node`
    writeFileSync(old, '#!/bin/sh\necho v18.20.8\n', { mode: 0o755 })
    const path = `${directory}/old:/usr/bin:/bin`
    const message = /weft needs Node 20 or newer \(found: 18, .*\/old\/node\)/
    for (const script of ['weft', 'setup', 'lab', 'test']) {
      refused(t, await run([`${ROOT}/scripts/${script}`], bare(path)), FAILED, message)
    }
    const named = await run(
      [`${ROOT}/scripts/weft`, 'version'],
      bare('/usr/bin:/bin', { WEFT_NODE: old }),
    )
    refused(t, named, FAILED, /WEFT_NODE=.* is not a Node 20 or newer \(found: 18\)/)
  })

  t.test('there is no compiler', async (t) => {
    // All that this machine has, but for the compiler and what would fetch one.
    const hidden = /^(?:g\+\+|c\+\+|gcc|dpkg-query|apt-get)/
    for (const name of readdirSync('/usr/bin').filter((name) => !hidden.test(name))) {
      symlinkSync(`/usr/bin/${name}`, `${directory}/bin/${name}`)
    }
    if (dirname(process.execPath) !== '/usr/bin') {
      rmSync(`${directory}/bin/node`, { force: true })
      symlinkSync(process.execPath, `${directory}/bin/node`)
    }
    const result = await run([`${ROOT}/scripts/setup`], bare(`${directory}/bin`))
    refused(t, result, FAILED, /^setup: missing: g\+\+.*C\+\+20 compiler/)
  })
}

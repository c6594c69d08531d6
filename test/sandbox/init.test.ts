// The real weft-init, driven as the daemon drives it:
//
//   this test ── InitClient ── unix socket ── weft-init (PID 1) ── commands
//        └────── spawnInit ───────────────────────┘ nobody's child
//
// Needs root. Every namespace is made here; the last test claims that nothing is left of them.

import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { type Socket, createConnection } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startProgram } from '../../src/dataplane/binding.ts'
import { FrameDecoder, FrameKind, encodeFrame } from '../../src/sandbox/frames.ts'
import { type ExecSpec, type ExitStatus, InitClient } from '../../src/sandbox/init-client.ts'
import { LogDecoder, followLog, readLog } from '../../src/sandbox/output-log.ts'
import {
  type InitProcess,
  hostPid,
  initAlive,
  killInit,
  listInits,
  spawnInit,
} from '../../src/sandbox/spawn-init.ts'

const BINARY = resolve(process.env['WEFT_INIT'] ?? 'native/build/Release/weft-init')
const SKIP = process.getuid?.() === 0 ? false : 'needs root'

/** Every process that comes of this test has it in its environment. */
const MARK = `WEFT_INIT_TEST=${randomBytes(8).toString('hex')}`
const ENV = { ...process.env, WEFT_INIT_TEST: MARK.split('=')[1] }

/** What every start of an init is given here. */
const HOW = { binary: BINARY, startProgram }

const ROOT = await mkdtemp(join(tmpdir(), 'weft-init-'))
t.teardown(() => rm(ROOT, { recursive: true }))
const MOUNTS_BEFORE = mountTable()

t.test('run: a sandbox', { skip: SKIP }, async (t) => {
  t.test(
    'runs nothing until it is started, then its command, and says how that ended',
    async (t) => {
      const box = await runBox(t, ['sh', '-c', 'hostname; echo $$; exit 3'])
      t.same(await box.client.state(), { phase: 'created' })
      t.same(await readdir(box.directory), ['output.log', 'socket'])
      const { end } = await watched(box)
      t.equal(await box.client.start(), 2, 'in a PID namespace of its own')
      t.same(await end, { code: 3, signal: 0 })
      const exit = JSON.parse(await readFile(join(box.directory, 'exit.json'), 'utf8')) as Exit
      t.match(exit, { code: 3, signal: 0 })
      t.ok(exit.startedAt <= exit.endedAt && exit.endedAt - exit.startedAt < 5000)
      t.equal(await logText(box), 'box\n2\n')
      t.equal(hostname() === 'box', false, 'the host has kept its name')
      await gone(box)
      t.same((await readdir(box.directory)).sort(), ['exit.json', 'output.log'])
    },
  )

  t.test('has a network and a view of it that are its own', async (t) => {
    const box = await runBox(t, ['sleep', '100'])
    const seen = await exec(box, [
      'sh',
      '-c',
      'ls /sys/class/net; ls -d /proc/[0-9]*; cat /proc/mounts',
    ])
    t.match(seen.stdout, /^lo\n\/proc\/1\n/)
    t.equal(seen.stdout.match(/ \/proc /g)?.length, 1, 'and that of the host is not below it')
    t.match(await links(box.init.pid), [{ ifname: 'lo', flags: ['LOOPBACK', 'UP'] }])
    t.not(netns(box.init.pid), netns('self'))
  })

  t.test('changes no mount of the host, and the host sees none of its', async (t) => {
    const before = mountTable()
    const box = await runBox(t, ['sleep', '100'])
    const mounted = await exec(box, [
      'sh',
      '-c',
      `mount -t tmpfs weft ${ROOT} && grep -c weft /proc/mounts`,
    ])
    t.match(mounted, { stdout: '1\n', code: 0 })
    t.equal(mountTable(), before)
  })

  t.test(
    'gives its command default signals, a session, the environment and nothing to read',
    async (t) => {
      const script =
        'cat; grep -E "Sig(Blk|Ign)" /proc/self/status; ps -o pid=,pgid=,sid= -p $$; pwd; env'
      const box = await runBox(t, ['sh', '-c', script], { cwd: '/usr' })
      const { end } = await watched(box)
      await box.client.start()
      await end
      const text = await logText(box)
      t.match(text, /^SigBlk:\s0{16}\nSigIgn:\s0{16}\n\s*2\s+2\s+2\n\/usr\n/)
      t.match(text, MARK)
    },
  )

  t.test('passes signals to the process group, and tells by which one it ended', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'sleep 100 & sleep 100'])
    const { end } = await watched(box)
    await t.rejects(box.client.signal(15), { code: 'not_running' }, 'before it runs')
    await box.client.start()
    await t.rejects(box.client.start(), { code: 'already_running' })
    t.same(await box.client.state(), { phase: 'running', pid: 2 })
    const pid = hostPid(box.init, 2)
    t.equal(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0], 'sh')
    await box.client.signal(15)
    t.same(await end, { code: 143, signal: 15 })
    await gone(box)
  })

  t.test('passes SIGTERM on to its command, and ends on it without one', async (t) => {
    const script = 'trap "echo tidy; exit 9" TERM; echo ready; sleep 1000 & wait'
    const running = await runBox(t, ['sh', '-c', script])
    const { end } = await watched(running)
    await running.client.start()
    await until(async () => (await logText(running)) === 'ready\n')
    process.kill(running.init.pid, 'SIGTERM')
    t.same(await end, { code: 9, signal: 0 })
    t.match(await logText(running), /tidy\n$/)

    const created = await runBox(t, ['true'])
    process.kill(created.init.pid, 'SIGTERM')
    await gone(created)
  })

  t.test('keeps the output in order, in two files of 8 MiB at most', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'seq 1 1000000; seq 1000001 3000000; echo oops >&2'])
    const { end } = await watched(box)
    await box.client.start()
    await end
    for (const name of ['output.log', 'output.log.1']) {
      const { size } = await stat(join(box.directory, name))
      t.ok(size <= 8 << 20, `${name} has ${size} bytes`)
    }
    const records = await collectLog(box)
    t.match(records.at(-1), { stream: 'stderr', bytes: Buffer.from('oops\n') })
    const stdout = Buffer.concat(records.slice(0, -1).map(({ bytes }) => bytes)).toString()
    const numbers = stdout
      .slice(stdout.indexOf('\n') + 1, -1)
      .split('\n')
      .map(Number)
    t.ok(numbers.length > 1_000_000 && numbers.at(-1) === 3_000_000)
    t.ok(numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1))
    const times = records.map(({ timeNs }) => timeNs)
    t.ok(times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0n)))
  })

  t.test('has a log that can be followed through rotations to the end', async (t) => {
    const script = 'for i in 1 2 3; do head -c 6000000 /dev/zero; sleep 0.3; done; echo end'
    const box = await runBox(t, ['sh', '-c', script])
    const ended = new AbortController()
    await box.client.watch(() => {
      ended.abort()
    })
    await box.client.start()
    const decoder = new LogDecoder()
    let bytes = 0
    for await (const record of followLog(box.directory, ended.signal)) {
      for (const found of decoder.push(record)) bytes += found.bytes.length
    }
    t.equal(bytes, 18_000_000 + 'end\n'.length)
  })

  t.test('ends with its command, whatever that left behind', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'setsid sleep 1000 & sleep 1000 & sleep 0.1'])
    const other = await openExec(box, { argv: ['sleep', '1000'] })
    const { end } = await watched(box)
    await box.client.start()
    t.same(await end, { code: 0, signal: 0 })
    t.match(await other.result, { code: 137 }, 'an exec is told, too')
    await gone(box)
  })

  t.test('can be ended before and after it was started', async (t) => {
    const created = await runBox(t, ['sleep', '1000'])
    const { end: nothing } = await watched(created)
    await created.client.end()
    t.equal(await nothing, undefined)
    await gone(created)
    t.notOk(existsSync(join(created.directory, 'exit.json')))

    const running = await runBox(t, [
      'sh',
      '-c',
      'trap "" TERM HUP; setsid sleep 1000 & sleep 1000',
    ])
    const { end } = await watched(running)
    await running.client.start()
    await running.client.end()
    t.same(await end, { code: 137, signal: 9 })
    t.match(JSON.parse(await readFile(join(running.directory, 'exit.json'), 'utf8')), { code: 137 })
    await gone(running)
    await t.rejects(running.client.state(), { code: 'not_running' }, 'then nobody answers')
  })

  t.test('takes everything along when it is killed', async (t) => {
    const box = await runBox(t, ['sleep', '1000'])
    const { end } = await watched(box)
    await box.client.start()
    const command = hostPid(box.init, 2) ?? 0
    t.ok(killInit(box.init))
    t.equal(await end, undefined, 'a watcher sees it, with nothing to tell')
    await until(() => !existsSync(`/proc/${command}`) && !initAlive(box.init))
    t.notOk(killInit(box.init), 'it is not killed twice')
    t.notOk(initAlive({ ...box.init, startTime: '1' }), 'a process id alone proves nothing')
  })

  t.test('whose command cannot be run ends as a shell would say it', async (t) => {
    const missing = await runBox(t, ['/nonexistent/program'])
    const { end } = await watched(missing)
    await t.rejects(missing.client.start(), { code: 'not_found', message: /nonexistent/ })
    t.same(await end, { code: 127, signal: 0 })
    t.match(await logText(missing), /nonexistent.*No such file/)

    const plain = await runBox(t, ['/etc/passwd'])
    const { stream } = await attach(plain, 'attach start')
    t.match(await stream.result, { code: 126, error: /Permission denied/ })
    await gone(plain)
  })

  t.test('reaps orphans', async (t) => {
    const box = await runBox(t, ['sleep', '1000'])
    await box.client.start()
    await exec(box, ['sh', '-c', 'for i in 1 2 3 4 5; do (sleep 0.05 &); done'])
    await until(() => childrenOf(box.init.pid).length === 1)
  })

  t.test('outlives whoever started it', async (t) => {
    const directory = await mkdtemp(join(ROOT, 'box-'))
    const socket = join(directory, 'socket')
    const place = `--dir ${directory} --sock ${socket} --ready-fd 3`
    const command = `${BINARY} run ${place} --hostname box -- sleep 1000`
    const starter = spawn('sh', ['-c', `${command} 3>${directory}/ready; sleep 1000`], {
      detached: true,
      stdio: 'ignore',
      env: ENV,
    })
    await until(() => existsSync(socket) && readFileSync(join(directory, 'ready'), 'utf8') !== '')
    process.kill(-(starter.pid ?? NaN), 'SIGKILL')
    await once(starter, 'exit')
    const client = new InitClient(socket)
    t.equal(await client.start(), 2)
    t.same(await client.state(), { phase: 'running', pid: 2 })
    const [init] = await listInits(directory.slice(0, -1))
    t.equal(init, undefined, 'a directory with such a beginning is another')
    t.equal((await listInits(ROOT)).length, 1)
    await client.end()
    await until(() => !existsSync(socket))
  })
})

t.test('tap: an interface that init keeps', { skip: SKIP }, async (t) => {
  const box = await runBox(t, ['sleep', '100'])
  await box.client.request('tap eth0')
  t.match(await links(box.init.pid), [{ ifname: 'lo' }, { ifname: 'eth0', link_type: 'ether' }])
  const { ifindex } = (await links(box.init.pid))[1] ?? {}
  await box.client.request('tap eth0')
  t.equal((await links(box.init.pid))[1]?.ifindex, ifindex, 'asked for again it is the same')
  const ra = await exec(box, ['cat', '/proc/sys/net/ipv6/conf/eth0/accept_ra'])
  if (ra.code === 0) t.equal(ra.stdout, '0\n', 'it asks no routers')

  await exec(box, ['ip', 'link', 'delete', 'eth0'])
  await box.client.request('tap eth0')
  t.not((await links(box.init.pid))[1]?.ifindex, ifindex, 'one that was deleted is made anew')

  await t.rejects(box.client.request('tap lo'), { code: 'interface_in_use' })
  for (const name of ['a/b', '..', 'tap%d', 'sixteen-letters-', 'a b', '']) {
    await t.rejects(box.client.request(`tap ${name}`), { code: 'invalid_argument' }, `'${name}'`)
  }
  await box.client.untap('eth0')
  t.equal((await links(box.init.pid)).length, 1)
  await t.rejects(box.client.untap('eth0'), { code: 'not_found' })

  t.test('comes as a descriptor', { skip: hasPython() ? false : 'needs python3' }, async (t) => {
    t.equal(receiveDescriptor(box.socket, 'tap eth1'), 'eth1 vnet_hdr nonblocking')
  })

  t.test('is given MAC, MTU, addresses and routes, and comes up', async (t) => {
    const box = await runBox(t, ['sleep', '100'])
    const ip = async (...argv: string[]) => (await exec(box, ['ip', ...argv])).stdout
    await box.client.request('tap eth0')
    const link = {
      interface: 'eth0',
      mac: '02:00:5e:00:0a:ff',
      mtuBytes: 1450,
      addresses: ['10.0.1.3/24', 'fd00:1::3/64'],
      routes: [
        { to: '10.0.2.0/24', via: '10.0.1.1' },
        { to: 'fd00:2::/64', via: 'fd00:1::1' },
      ],
    }
    await box.client.setUpLink(link)
    t.match((await links(box.init.pid))[1], { ifname: 'eth0', mtu: 1450, address: link.mac })
    const addresses = await ip('-o', 'addr', 'show', 'dev', 'eth0')
    t.match(addresses, 'inet 10.0.1.3/24 scope global eth0')
    t.match(addresses, /inet6 fd00:1::3\/64 scope global nodad(?! tentative)/)
    t.match(await ip('link', 'show', 'eth0'), /[<,]UP[,>]/)
    t.match(await ip('route'), '10.0.2.0/24 via 10.0.1.1 dev eth0')
    t.match(await ip('-6', 'route'), 'fd00:2::/64 via fd00:1::1 dev eth0')

    await box.client.request('route eth0 10.0.2.0/24 10.0.1.2')
    t.match(await ip('route'), '10.0.2.0/24 via 10.0.1.2 dev eth0', 'a route is replaced')
    await t.rejects(box.client.setUpLink(link), {
      code: 'internal',
      message: 'address 10.0.1.3 on eth0: File exists',
    })
    await t.rejects(box.client.request('route eth0 10.0.9.0/24 10.0.8.1'), { code: 'internal' })
    for (const name of ['lo', 'eth1']) {
      await t.rejects(box.client.request(`up ${name}`), { code: 'not_found' }, 'not made here')
    }
    for (const line of [
      'link eth0 02:00:5e:00:0a:f 1450',
      'link eth0 02:00:5e:00:0a:fg 1450',
      'link eth0 02-00-5e-00-0a-ff 1450',
      'link eth0 02:00:5e:00:0a:ff 0',
      'link eth0 02:00:5e:00:0a:ff 65536',
      'link eth0 02:00:5e:00:0a:ff',
      'link eth0 02:00:5e:00:0a:ff 1450 loudly',
      'address eth0 10.0.1.3',
      'address eth0 10.0.1.3/33',
      'address eth0 fd00::1/129',
      'address eth0 10.0.1/24',
      `address eth0 ${'f'.repeat(60)}/24`,
      'readdress eth0 10.0.1.3/24',
      'readdress eth0 10.0.1.3/24 10.0.1.4',
      'readdress eth0 10.0.1.3/24 fd00:1::4/64',
      'route eth0 10.0.3.0/24',
      'route eth0 10.0.3.0/24 fd00:1::1',
      'route eth0 10.0.3.0/24 10.0.1.1/24',
      'up',
    ]) {
      await t.rejects(box.client.request(line), { code: 'invalid_argument' }, line)
    }
  })

  t.test('is given another address and MAC while it is up, and tells its neighbours', async (t) => {
    const box = await runBox(t, ['sleep', '100'])
    const ip = async (...argv: string[]) => (await exec(box, ['ip', ...argv])).stdout
    await box.client.request('tap eth0')
    await box.client.setUpLink({
      interface: 'eth0',
      mac: '02:42:0a:00:01:03',
      mtuBytes: 1450,
      addresses: ['10.0.1.3/24', 'fd00:1::3/64'],
      routes: [{ to: '10.0.2.0/24', via: '10.0.1.1' }],
    })
    await exec(box, ['ip', 'route', 'add', '10.9.0.0/16', 'via', '10.0.1.200'])
    await exec(box, ['ip', 'addr', 'add', '192.0.2.7/32', 'dev', 'eth0'])
    const routes = await ip('route')
    const dump = spawn('nsenter', [
      ...[`--net=/proc/${box.init.pid}/ns/net`, 'tcpdump', '-i', 'eth0', '-n', '-e', '-l'],
      'arp or icmp6',
    ])
    let seen = ''
    dump.stdout.on('data', (text: Buffer) => (seen += text.toString()))
    await new Promise<void>((resolve) => {
      dump.stderr.on('data', (text: Buffer) => {
        if (text.includes('listening on')) resolve()
      })
    })
    const change = {
      interface: 'eth0',
      mac: '02:42:0a:00:01:07',
      mtuBytes: 1400,
      addresses: [
        { from: '10.0.1.3/24', to: '10.0.1.7/24' },
        { from: 'fd00:1::3/64', to: 'fd00:1::7/64' },
        { from: 'fe80::42:aff:fe00:103/64', to: 'fe80::42:aff:fe00:107/64' },
      ],
    }
    await box.client.changeLink(change)
    t.match((await links(box.init.pid))[1], { mtu: 1400, address: change.mac })
    const addresses = await ip('-o', 'addr', 'show', 'dev', 'eth0')
    t.same(
      [...addresses.matchAll(/inet6? (\S+)/g)].map(([, address]) => address).sort(),
      ['10.0.1.7/24', '192.0.2.7/32', 'fd00:1::7/64', 'fe80::42:aff:fe00:107/64'],
      addresses,
    )
    t.notMatch(addresses, 'tentative')
    t.equal(await ip('route'), routes.replace('src 10.0.1.3', 'src 10.0.1.7'), 'routes stay')
    await until(() => seen.includes('fd00:1::7') && /ARP.*10\.0\.1\.7/.test(seen))
    t.match(seen, /02:42:0a:00:01:07 > [^\n]*who-has 10\.0\.1\.7 [^\n]*tell 10\.0\.1\.7/)
    t.match(seen, /02:42:0a:00:01:07 > [^\n]*neighbor advertisement, tgt is fd00:1::7/)
    dump.kill()
    await once(dump, 'close')

    await box.client.changeLink(change)
    t.equal(await ip('-o', 'addr', 'show', 'dev', 'eth0'), addresses, 'again, it changes nothing')
    await t.rejects(box.client.changeLink({ ...change, interface: 'lo' }), { code: 'not_found' })
  })

  t.test('is gone when the end is told and nobody else holds it', async (t) => {
    const { init } = await runBox(t, ['sleep', '100'])
    const box = await holdBox(t, { pid: init.pid })
    await box.client.request('tap eth0')
    t.equal((await links(init.pid)).length, 2)
    const { end } = await watched(box)
    await box.client.end()
    await end
    t.equal((await links(init.pid)).length, 1)
  })

  t.test('a reply without one is an error', async (t) => {
    const answering = (reply: string, fd: number) => async (path: string, request: string) => {
      t.same([path, request], [box.socket, 'tap eth0\n'])
      return { reply, fd }
    }
    t.equal(await box.client.tap('eth0', answering('ok\n', 7)), 7)
    await t.rejects(box.client.tap('eth0', answering('ok\n', -1)), { code: 'internal' })
    const refused = answering('error interface_in_use because\n', -1)
    await t.rejects(box.client.tap('eth0', refused), {
      code: 'interface_in_use',
      message: 'because',
    })
  })
})

t.test('attach: the stream of the main command', { skip: SKIP }, async (t) => {
  t.test('misses nothing when it starts the command', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'seq 1 200000; echo oops >&2; exit 5'])
    const { tty, stream } = await attach(box, 'attach start')
    t.equal(tty, false)
    const { stdout, stderr, code } = await stream.result
    t.equal(stdout, sequence(200_000))
    t.match({ stderr, code }, { stderr: 'oops\n', code: 5 })
  })

  t.test('feeds the command until it says that this is all', async (t) => {
    const box = await runBox(t, ['sha256sum'])
    const { stream } = await attach(box, 'attach start')
    const other = await attach(box, 'attach')
    stream.send(FrameKind.stdin, Buffer.from('ab'))
    stream.socket.destroy()
    await sleep(20)
    t.match(
      await box.client.state(),
      { phase: 'running' },
      'the command goes on without its client',
    )
    other.stream.send(FrameKind.stdin, Buffer.from('c'))
    other.stream.send(FrameKind.stdin, Buffer.alloc(0))
    const { stdout, code } = await other.stream.result
    t.equal(stdout, `${sha256('abc')}  -\n`)
    t.equal(code, 0)
  })

  t.test('makes the command wait for the client that started it, and for no other', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'head -c 20000000 /dev/zero; echo done >&2'])
    const idle = await attach(box, 'attach')
    idle.stream.socket.pause()
    const { stream } = await attach(box, 'attach start')
    stream.socket.pause()
    await sleep(200)
    t.match(await box.client.state(), { phase: 'running' }, 'the foreground does not read')
    stream.socket.resume()
    const { stdout, stderr, code } = await stream.result
    t.match(
      { length: stdout.length, stderr, code },
      { length: 20_000_000, stderr: 'done\n', code: 0 },
    )
    await gone(box)
    idle.stream.socket.resume()
    t.equal((await idle.stream.result).code, undefined, 'the idle one was dropped')
  })

  t.test('lets the command go on when the client that started it leaves', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'head -c 20000000 /dev/zero; exit 4'])
    const { end } = await watched(box)
    const { stream } = await attach(box, 'attach start')
    stream.socket.pause()
    await sleep(50)
    stream.socket.destroy()
    t.same(await end, { code: 4, signal: 0 })
  })

  t.test('reaches a slow reader whole, though init is long gone', async (t) => {
    const box = await runBox(t, ['sh', '-c', 'head -c 400000 /dev/zero; exit 6'])
    const { stream } = await attach(box, 'attach start')
    stream.socket.pause()
    await gone(box)
    stream.socket.resume()
    const { stdout, code } = await stream.result
    t.match({ length: stdout.length, code }, { length: 400_000, code: 6 })
  })

  t.test('is a terminal with its size, control characters and hang-up', async (t) => {
    const script = 'stty size; tty; read line; stty size; cat'
    const box = await runBox(t, ['sh', '-c', script], { tty: true })
    const { tty, stream } = await attach(box, 'attach start', { rows: 40, cols: 120 })
    t.equal(tty, true)
    await stream.shows(/^40 120\r\n\/dev\/pts\/\d+\r\n$/)
    stream.send(FrameKind.window, Buffer.from([0, 50, 0, 100]))
    stream.send(FrameKind.stdin, Buffer.from('line\n'))
    await stream.shows(/50 100\r\n$/)
    // ^C between two commands is the shell's to make something of: cat has to be there.
    stream.send(FrameKind.stdin, Buffer.from('cat?\n'))
    await stream.shows(/50 100\r\ncat\?\r\ncat\?\r\n$/)
    stream.send(FrameKind.stdin, Buffer.from([3]))
    t.match(await stream.result, { code: 130, stderr: '' })
    t.match(await logText(box), /cat\?\r\n\^C$/)
  })

  t.test('ends the input of a terminal as ^D does', async (t) => {
    const box = await runBox(t, ['cat'], { tty: true })
    const { stream } = await attach(box, 'attach start')
    stream.send(FrameKind.stdin, Buffer.from('line\n'))
    await stream.shows(/line\r\nline\r\n/)
    stream.send(FrameKind.stdin, Buffer.alloc(0))
    t.match(await stream.result, { code: 0 })
  })
})

t.test('exec: further commands', { skip: SKIP }, async (t) => {
  const box = await runBox(t, ['sleep', '1000'])
  await box.client.start()

  t.test('carry 10 MB through stdin and stdout unharmed', async (t) => {
    const data = randomBytes(10_000_000)
    const { stream } = await openExec(box, { argv: ['cat'] })
    for (let at = 0; at < data.length; at += 65536) {
      stream.send(FrameKind.stdin, data.subarray(at, at + 65536))
    }
    stream.send(FrameKind.stdin, Buffer.alloc(0))
    const { raw, code } = await stream.result
    t.equal(sha256(raw), sha256(data))
    t.equal(code, 0)
  })

  t.test('have their directory, environment and exit code', async (t) => {
    const argv = ['sh', '-c', 'pwd; echo "$A"; echo "$HOME"; exit 42']
    const { stdout, code } = await exec(box, argv, { cwd: '/usr', env: { A: 'a=\nb' } })
    t.equal(stdout, `/usr\na=\nb\n${process.env['HOME'] ?? ''}\n`)
    t.equal(code, 42)
    t.match(await exec(box, ['no-such-program']), { code: 127, error: /No such file/ })
    t.match(await exec(box, ['/etc/passwd']), { code: 126, error: /Permission denied/ })
    t.match(await exec(box, ['pwd'], { cwd: '/nowhere' }), { code: 126, error: /^cd \/nowhere/ })
    await t.rejects(exec(box, ['a\0b']), { code: 'invalid_argument' })
    await t.rejects(exec(box, ['x'.repeat(300_000)]), { code: 'invalid_argument' })
  })

  t.test('feel back-pressure', async (t) => {
    const { stream } = await openExec(box, { argv: ['head', '-c', '20000000', '/dev/zero'] })
    stream.socket.pause()
    await sleep(200)
    t.equal(childrenOf(box.init.pid).length, 2, 'it has not ended')
    t.ok(anonymousKib(box.init.pid) < 1024, 'init keeps little of what nobody reads')
    stream.socket.resume()
    const { stdout, code } = await stream.result
    t.match({ length: stdout.length, code }, { length: 20_000_000, code: 0 })
  })

  t.test('make their client wait when they do not read', async (t) => {
    const { stream } = await openExec(box, { argv: ['sh', '-c', 'sleep 0.2; wc -c'] })
    for (let sent = 0; sent < 4_000_000; sent += 50_000) {
      stream.send(FrameKind.stdin, Buffer.alloc(50_000))
    }
    stream.send(FrameKind.stdin, Buffer.alloc(0))
    await sleep(100)
    t.ok(stream.socket.writableLength > 3_000_000, 'most of it waits here')
    t.match(await stream.result, { stdout: '4000000\n', code: 0 })
  })

  t.test('that end without reading everything are heard to the end', async (t) => {
    const { stream } = await openExec(box, { argv: ['sh', '-c', 'head -c 1; seq 1 20000'] })
    for (let i = 0; i < 40; i += 1) stream.send(FrameKind.stdin, Buffer.alloc(65536, 'x'))
    const { stdout, code } = await stream.result
    t.equal(stdout, `x${sequence(20_000)}`)
    t.equal(code, 0)
  })

  t.test('get signals, and SIGHUP when their client goes', async (t) => {
    const signalled = await openExec(box, { argv: ['sleep', '1000'] })
    signalled.stream.send(FrameKind.signal, Buffer.from([2]))
    t.match(await signalled.stream.result, { code: 130 })

    const file = join(ROOT, 'hup')
    const script = `trap "echo hup > ${file}; exit" HUP; echo ready; sleep 1000 & wait`
    const left = await openExec(box, { argv: ['sh', '-c', script] })
    await left.stream.shows(/ready/)
    left.stream.socket.destroy()
    await until(() => existsSync(file) && readFileSync(file, 'utf8') === 'hup\n')

    // A client that goes while its input is stuck is noticed, too.
    const stuck = await openExec(box, { argv: ['sleep', '1000'] })
    for (let i = 0; i < 40; i += 1) stuck.stream.send(FrameKind.stdin, Buffer.alloc(65536))
    await sleep(50)
    stuck.stream.socket.destroy()
    await until(() => childrenOf(box.init.pid).length === 1)
  })

  t.test('have a terminal if asked', async (t) => {
    const argv = ['sh', '-c', 'stty size; tty; ps -o tpgid=,pgid= -p $$; echo err >&2']
    const { stream, tty } = await openExec(box, { argv, tty: true, rows: 30, cols: 90 })
    t.equal(tty, true)
    const { stdout, stderr, code } = await stream.result
    t.match(stdout, /^30 90\r\n\/dev\/pts\/\d+\r\n\s*(\d+)\s+\1\r\nerr\r\n$/)
    t.match({ stderr, code }, { stderr: '', code: 0 })
  })

  t.test('run many at once', async (t) => {
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, index) => exec(box, ['echo', `${index}`])),
    )
    t.same(
      results.map(({ stdout }) => stdout),
      results.map((_, index) => `${index}\n`),
    )
  })
})

t.test('hold: a namespace of others', { skip: SKIP }, async (t) => {
  t.test('is entered by a process, and let go when that ends', async (t) => {
    const target = await namespaceProcess(t)
    const box = await holdBox(t, { pid: target.pid })
    t.same(await box.client.state(), { phase: 'holding' })
    t.equal(netns(box.init.pid), netns(target.pid))
    const seen = await exec(box, [
      'sh',
      '-c',
      'readlink /proc/self/ns/net; readlink /proc/self/ns/pid',
    ])
    t.equal(seen.stdout, `${netns(target.pid)}\n${readlinkSync('/proc/self/ns/pid')}\n`)
    await box.client.request('tap eth0')
    t.match(await links(target.pid), [{ ifname: 'lo' }, { ifname: 'eth0' }])
    const { end } = await watched(box)
    target.kill()
    t.equal(await end, undefined)
    await gone(box)
  })

  t.test('may be that of the host', async (t) => {
    const box = await holdBox(t, { netns: '/proc/self/ns/net' })
    t.equal(netns(box.init.pid), netns('self'))
    t.match(await exec(box, ['hostname']), { stdout: `${hostname()}\n`, code: 0 })
    await box.client.end()
    await gone(box)
  })

  t.test('has no command to start, signal or attach to', async (t) => {
    const box = await holdBox(t, { netns: '/proc/self/ns/net' })
    await t.rejects(box.client.start(), { code: 'invalid_argument' })
    await t.rejects(box.client.signal(1), { code: 'not_running' })
    await t.rejects(box.client.openStream('attach'), { code: 'not_running' })
  })

  t.test('takes along at its end what was run in it, daemons too', async (t) => {
    const target = await namespaceProcess(t)
    const box = await holdBox(t, { pid: target.pid })
    await exec(box, ['sh', '-c', 'setsid sh -c "sleep 1000; :" > /dev/null 2>&1 &'])
    const running = await openExec(box, {
      argv: ['sh', '-c', 'trap "" HUP TERM; echo up; sleep 1000; :'],
    })
    await running.stream.shows(/up/)
    t.equal(childrenOf(box.init.pid).length, 2)
    await box.client.end()
    t.match(await running.stream.result, { code: 137 })
    await gone(box)
    t.same(
      marked().filter((pid) => netns(pid) === netns(target.pid)),
      [target.pid],
    )
  })

  t.test('that is not there is an error', async (t) => {
    await t.rejects(holdBox(t, { netns: '/run/netns/none' }), { code: 'not_found' })
    await t.rejects(holdBox(t, { netns: '/etc/passwd' }), { code: 'invalid_argument' })
    await t.rejects(holdBox(t, { pid: 0x7ffffffe }), { code: 'not_found' })
  })
})

t.test('enter: the processes of a lab host', { skip: SKIP }, async (t) => {
  const box = await runBox(t, ['sleep', '100'])
  const path = `/proc/${box.init.pid}/ns/net`
  const enter = (...argv: string[]) =>
    spawnSync(BINARY, ['enter', ...argv], { input: 'in', env: ENV, encoding: 'utf8' })

  const script = 'cat; hostname; readlink /proc/self/ns/net; printf %s "$1"; echo err >&2; exit 7'
  const entered = enter(
    '--netns',
    path,
    '--hostname',
    'h9',
    '--',
    'sh',
    '-c',
    script,
    '-',
    '-- --tty',
  )
  t.equal(entered.stdout, `inh9\n${netns(box.init.pid)}\n-- --tty`)
  t.match(entered, { stderr: 'err\n', status: 7 })
  t.equal(enter('--netns', path, '--', 'hostname').stdout, `${hostname()}\n`)

  t.match(enter('--netns', '/nowhere', '--', 'true'), { status: 125, stderr: /nowhere/ })
  t.match(enter('--netns', path, '--', 'no-such-program'), { status: 127 })
  t.match(enter('--netns', path, '--', '/etc/passwd'), { status: 126 })
  for (const wrong of [[], ['--netns'], ['--netns', path], ['--bogus', 'x', '--', 'true']]) {
    t.match(enter(...wrong), { status: 2, stderr: /^usage/ })
  }
})

t.test('what is not as it should be', { skip: SKIP }, async (t) => {
  t.test('a socket that an init left behind is replaced, one in use is not', async (t) => {
    const box = await runBox(t, ['sleep', '100'])
    const { directory } = box
    await t.rejects(runBox(t, ['true'], { directory }), { message: /Address already in use/ })
    killInit(box.init)
    await until(() => !initAlive(box.init))
    await writeFile(join(directory, 'exit.json'), 'of an earlier one')
    const next = await runBox(t, ['true'], { directory })
    t.same((await readdir(directory)).sort(), ['output.log', 'socket'])
    await next.client.end()
  })

  t.test('what cannot be started says why', async (t) => {
    const common = { mode: 'run', hostname: 'box', argv: ['true'] } as const
    const directory = ROOT
    const socket = join(ROOT, 'socket')
    const start = (options: object) =>
      spawnInit({ ...common, ...HOW, directory, socket, ...options })
    await t.rejects(start({ directory: '/nowhere' }), {
      code: 'invalid_argument',
      message: /nowhere/,
    })
    await t.rejects(start({ directory: 'relative' }), { code: 'invalid_argument' })
    await t.rejects(start({ socket: `/${'x'.repeat(200)}` }), { code: 'invalid_argument' })
    await t.rejects(start({ hostname: 'x'.repeat(65) }), { code: 'invalid_argument' })
    await t.rejects(start({ binary: '/nowhere/weft-init' }), {
      code: 'internal',
      message: /ENOENT/,
    })
    await t.rejects(start({ argv: [] }), { code: 'internal' })
    await t.rejects(new InitClient(socket).state(), { code: 'not_running' })
  })

  t.test('requests and frames that make no sense are answered, and do no harm', async (t) => {
    const box = await runBox(t, ['sleep', '100'])
    const random = generator(20251120)
    const lines = Array.from({ length: 10_000 }, () => nonsense(random))
    const answers = await inParallel(lines, 32, (line) => say(box.socket, line))
    t.same(
      answers.filter((answer) => !/^error [a-z_]+ [^\n]+\n$/.test(answer)),
      [],
    )
    for (const spec of [
      'no end',
      'x=1\0--\0true\0',
      'tty=0\0',
      '--\0',
      'tty=0\0--\0',
      'env=A\0--\0a\0',
    ]) {
      t.match(await say(box.socket, `exec ${spec.length}\n${spec}`), /^error invalid_argument/)
    }
    for (const frame of ['09000000', '0000010001', '0100000000', '0300000001ff', '04ffffffff']) {
      const { stream } = await openExec(box, { argv: ['sleep', '1000'] })
      stream.socket.write(Buffer.concat([Buffer.from(frame, 'hex'), Buffer.alloc(9)]))
      t.match(await stream.result, { error: 'no such frame', code: undefined })
    }
    t.same(await box.client.state(), { phase: 'created' })
    await until(() => childrenOf(box.init.pid).length === 0)
    t.ok(anonymousKib(box.init.pid) < 300, 'and it has not grown')
  })

  t.test(
    'streams are limited so that requests always pass, clients so that they take turns',
    async (t) => {
      const box = await runBox(t, ['sleep', '100'])
      const streams = await Promise.all(Array.from({ length: 112 }, () => attach(box, 'attach')))
      await t.rejects(attach(box, 'attach'), { code: 'unavailable' })
      await t.rejects(exec(box, ['true']), { code: 'unavailable' })
      t.same(await box.client.state(), { phase: 'created' })

      const idle = Array.from({ length: 16 }, () => createConnection(box.socket))
      await Promise.all(idle.map((socket) => once(socket, 'connect')))
      const late = box.client.state()
      await sleep(20)
      idle[0]?.destroy()
      t.same(await late, { phase: 'created' }, 'answered when another one left')
      for (const socket of idle) socket.destroy()
      for (const { stream } of streams) stream.socket.destroy()
    },
  )
})

t.test('nothing is left', { skip: SKIP }, async (t) => {
  await until(async () => (await listInits(ROOT)).length === 0)
  await until(() => marked().length === 0)
  t.equal(mountTable(), MOUNTS_BEFORE)
})

// --- Sandboxes -----------------------------------------------------------------------------------

interface Exit {
  readonly startedAt: number
  readonly endedAt: number
}

interface Box {
  readonly init: InitProcess
  readonly client: InitClient
  readonly directory: string
  readonly socket: string
}

async function runBox(
  t: Test,
  argv: readonly string[],
  options: { tty?: boolean; cwd?: string; directory?: string } = {},
): Promise<Box> {
  const directory = options.directory ?? (await mkdtemp(join(ROOT, 'box-')))
  const { tty, cwd } = options
  return keep(t, directory, (place) =>
    spawnInit({ ...place, mode: 'run', hostname: 'box', argv, tty, cwd, env: ENV }),
  )
}

async function holdBox(t: Test, target: { pid: number } | { netns: string }): Promise<Box> {
  const directory = await mkdtemp(join(ROOT, 'hold-'))
  return keep(t, directory, (place) => spawnInit({ ...place, mode: 'hold', ...target }))
}

async function keep(
  t: Test,
  directory: string,
  start: (place: typeof HOW & { directory: string; socket: string }) => Promise<InitProcess>,
): Promise<Box> {
  const socket = join(directory, 'socket')
  const init = await start({ ...HOW, directory, socket })
  t.teardown(async () => {
    killInit(init)
    await until(() => !initAlive(init))
  })
  return { init, client: new InitClient(socket), directory, socket }
}

async function gone(box: Box): Promise<void> {
  await until(() => !initAlive(box.init) && !existsSync(box.socket))
}

/** Watches from now on; `end` settles when init has come to its end. */
async function watched(box: Box): Promise<{ end: Promise<ExitStatus | undefined> }> {
  let settle: (exit: ExitStatus | undefined) => void = () => undefined
  const end = new Promise<ExitStatus | undefined>((resolve) => {
    settle = resolve
  })
  await box.client.watch(settle)
  return { end }
}

// --- Streams -------------------------------------------------------------------------------------

interface Result {
  readonly raw: Buffer
  readonly stdout: string
  readonly stderr: string
  /** Undefined: the stream ended without an exit frame. */
  readonly code: number | undefined
  readonly error: string | undefined
}

class Stream {
  readonly socket: Socket
  readonly result: Promise<Result>
  readonly #stdout: Buffer[] = []
  readonly #stderr: Buffer[] = []

  constructor(socket: Socket) {
    this.socket = socket
    const decoder = new FrameDecoder()
    let code: number | undefined
    let error: string | undefined
    socket.on('data', (chunk: Buffer) => {
      for (const { kind, bytes } of decoder.push(chunk)) {
        if (kind === FrameKind.stdout) this.#stdout.push(bytes)
        if (kind === FrameKind.stderr) this.#stderr.push(bytes)
        if (kind === FrameKind.exit) code = bytes[0]
        if (kind === FrameKind.error) error = bytes.toString()
      }
    })
    socket.on('error', () => undefined)
    this.result = once(socket, 'close').then(() => {
      const raw = Buffer.concat(this.#stdout)
      const stderr = Buffer.concat(this.#stderr).toString()
      return { raw, stdout: raw.toString('latin1'), stderr, code, error }
    })
  }

  send(kind: FrameKind, bytes: Uint8Array): void {
    this.socket.write(encodeFrame(kind, bytes))
  }

  async shows(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(Buffer.concat(this.#stdout).toString()))
  }
}

async function attach(
  box: Box,
  how: 'attach' | 'attach start',
  size?: { rows: number; cols: number },
): Promise<{ stream: Stream; tty: boolean }> {
  const { socket, tty } = await box.client.openStream(how, size)
  return { stream: new Stream(socket), tty }
}

async function openExec(
  box: Box,
  spec: ExecSpec,
): Promise<{ stream: Stream; tty: boolean; result: Promise<Result> }> {
  const { socket, tty } = await box.client.openStream(spec)
  const stream = new Stream(socket)
  return { stream, tty, result: stream.result }
}

async function exec(box: Box, argv: string[], spec: Partial<ExecSpec> = {}): Promise<Result> {
  return (await openExec(box, { ...spec, argv })).stream.result
}

async function collectLog(box: Box): Promise<ReturnType<LogDecoder['push']>> {
  const decoder = new LogDecoder()
  const found: ReturnType<LogDecoder['push']> = []
  for await (const record of readLog(box.directory)) found.push(...decoder.push(record))
  return found
}

async function logText(box: Box): Promise<string> {
  return Buffer.concat((await collectLog(box)).map(({ bytes }) => bytes)).toString()
}

// --- The host ------------------------------------------------------------------------------------

interface Link {
  readonly ifname: string
  readonly ifindex: number
  readonly flags: string[]
  readonly link_type: string
}

async function links(pid: number): Promise<Link[]> {
  const { stdout } = spawnSync('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', '-j', 'link'])
  return JSON.parse(stdout.toString()) as Link[]
}

function netns(pid: number | 'self'): string {
  return readlinkSync(`/proc/${pid}/ns/net`)
}

/** The mounts of the host; namespaces that others name at the same time are none of ours. */
function mountTable(): string {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return lines.filter((line) => !line.includes(' /run/netns')).join('\n')
}

function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
}

/** What a process has of its own: not its program's pages, which all of its kind share. */
function anonymousKib(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Anonymous:\s+(\d+) kB$/m.exec(rollup)?.[1])
}

/** Processes that come of this test. */
function marked(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => environmentOf(name).includes(MARK))
    .map(Number)
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return '' // it is gone
  }
}

/** A process in a network namespace of its own, without an init. */
async function namespaceProcess(t: Test): Promise<{ pid: number; kill(): void }> {
  const child = spawn('unshare', ['--net', 'sleep', '1000'], { stdio: 'ignore', env: ENV })
  const pid = child.pid ?? NaN
  const kill = () => {
    child.kill('SIGKILL')
  }
  t.teardown(kill)
  await until(() => netns(pid) !== netns('self'))
  return { pid, kill }
}

function hasPython(): boolean {
  return spawnSync('python3', ['-c', 'import socket; socket.recv_fds']).status === 0
}

/** Asks for a TAP as the native addon does, and tells what came. */
function receiveDescriptor(socket: string, request: string): string {
  const script = `
import fcntl, os, socket, struct, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.send(sys.argv[2].encode() + b'\\n')
reply, fds, _, _ = socket.recv_fds(client, 100, 1)
assert reply == b'ok\\n', reply
TUNGETIFF = 0x800454d2
name, flags = struct.unpack('16sh22x', fcntl.ioctl(fds[0], TUNGETIFF, bytes(40)))
words = [name.rstrip(b'\\0').decode()]
if flags & 0x4000: words.append('vnet_hdr')
if flags & 0x0100: words.append('multi_queue')
if fcntl.fcntl(fds[0], fcntl.F_GETFL) & os.O_NONBLOCK: words.append('nonblocking')
print(' '.join(words), end='')
`
  return spawnSync('python3', ['-c', script, socket, request]).stdout.toString()
}

// --- Small things --------------------------------------------------------------------------------

/** Waits for what must come about soon. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 5) {
    if (waited > 5000) throw new Error(`not within 5 s: ${String(condition)}`)
    await sleep(5)
  }
}

/** Sends bytes on a connection of their own; gives everything that comes back. */
async function say(path: string, bytes: string): Promise<string> {
  const socket = createConnection(path)
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  socket.on('error', () => undefined)
  socket.write(Buffer.from(bytes, 'latin1'))
  await once(socket, 'close', { signal: AbortSignal.timeout(5000) })
  return answer
}

async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  each: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  const rest = items.values()
  const worker = async () => {
    for (const item of rest) results.push(await each(item))
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}

/** A line that is no request: bytes at random, or a request with something wrong. */
function nonsense(random: (below: number) => number): string {
  const verbs =
    'untap link address readdress route up start signal end watch state attach exec '.split(' ')
  const tails = [' /', ' -1', ' 99999999999', ' 0', '\0', ' x=y', '\t', ' a b', 's', ' rows=x']
  if (random(2) === 0)
    return `${verbs[random(verbs.length)] ?? ''}${tails[random(tails.length)] ?? ''}\n`
  const length = random(200)
  const bytes = Array.from({ length }, () => String.fromCharCode(random(256)))
  // Some are ended by a newline of their own, some are too long: an answer comes in any case.
  return `?${bytes.join('')}\n`
}

/** Numbers that are the same in every run (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

function sequence(count: number): string {
  return Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('')
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

// What health checks are made of, in a real sandbox: commands whose output is bounded and which can be ended, sockets of its namespace.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { receiveDescriptor, startProgram } from '../../src/dataplane/binding.ts'
import { runBounded } from '../../src/sandbox/bounded-command.ts'
import { InitClient } from '../../src/sandbox/init-client.ts'
import { getInside, tryConnection } from '../../src/sandbox/inside-socket.ts'
import { initAlive, killInit, spawnInit } from '../../src/sandbox/spawn-init.ts'
import { eventually } from '../fixtures/commands.ts'

const SKIP = process.getuid?.() === 0 ? false : 'needs root'
const BINARY = resolve(process.env['WEFT_INIT'] ?? 'native/build/Release/weft-init')

t.test('in a sandbox that serves HTTP on 127.0.0.1:8000', { skip: SKIP }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'weft-checks-'))
  const socket = join(directory, 'socket')
  const serve = ['python3', '-m', 'http.server', '8000', '--bind', '127.0.0.1']
  const argv = [...serve, '--directory', directory]
  const place = { binary: BINARY, startProgram, directory, socket }
  const init = await spawnInit({ ...place, mode: 'run', hostname: 'box', argv })
  t.teardown(async () => {
    killInit(init)
    await eventually(() => !initAlive(init))
    await rm(directory, { recursive: true })
  })
  const client = new InitClient(socket)
  await client.start()
  const never = new AbortController().signal
  const run = (command: string, signal = never) =>
    runBounded(client, ['/bin/sh', '-c', command], 100, signal)

  await t.test('a command: its exit code, and what it said first', async (t) => {
    t.same(await run('echo out; echo err >&2; exit 3'), { exitCode: 3, output: 'out\nerr\n' })
    t.same(await run('hostname'), { exitCode: 0, output: 'box\n' })
    t.same(await run('cat; echo end'), { exitCode: 0, output: 'end\n' }, 'stdin has ended')
    const much = await run('head -c 1000000 /dev/zero | tr "\\0" x; exit 7')
    t.same(much, { exitCode: 7, output: `${'x'.repeat(100)}...` }, 'it is not held up')
    const full = await run(`printf '%0100d' 1`)
    t.equal(full.output.length, 100, 'all of it')
    const none = await runBounded(client, ['/no/such/command'], 100, never)
    t.match(none, { exitCode: 127, output: /no\/such\/command/ })
    t.equal((await run('kill -9 $$')).exitCode, 137)
  })

  await t.test('one that does not end is killed, with what it started', async (t) => {
    for (const command of ['sleep 1000', "trap '' 1 2 15; sleep 1000 & wait", 'yes']) {
      const controller = new AbortController()
      const began = performance.now()
      const ended = run(command, controller.signal)
      setTimeout(() => {
        controller.abort()
      }, 300)
      t.equal((await ended).exitCode, 137, command)
      t.ok(performance.now() - began < 2_000)
    }
    const late = AbortSignal.abort()
    t.equal((await run('sleep 1000', late)).exitCode, 137, 'also one that is ended before it began')
    // ps may not be there; the sandbox has a /proc of its own.
    const left = await run('cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "sleep 1000\\|yes "')
    t.equal(left.output, '1\n', 'this grep')
  })

  const at = (port: number) => ({ client, receiveDescriptor, address: '127.0.0.1', port })
  await t.test('a socket of the namespace: connected, refused, given up', async (t) => {
    await eventually(() =>
      tryConnection(at(8000), never).then(
        () => true,
        () => false,
      ),
    )
    await t.rejects(tryConnection(at(8001), never), { code: 'ECONNREFUSED' })
    await t.rejects(client.request('socket udp'), { code: 'invalid_argument' })
    await t.rejects(tryConnection(at(8000), AbortSignal.abort()), { name: 'AbortError' })
    // Nobody accepts: the queue of one is full, and further SYNs are not answered.
    const listen = `python3 -c "
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', 8002)); s.listen(0)
c = socket.create_connection(('127.0.0.1', 8002))
print('ready', flush=True); time.sleep(1000)"`
    const controller = new AbortController()
    const listening = run(listen, controller.signal)
    await eventually(() =>
      tryConnection(at(8002), AbortSignal.timeout(200)).then(
        () => false,
        (error: unknown) => (error as Error).name === 'TimeoutError',
      ),
    )
    controller.abort()
    await listening
  })

  await t.test('a request: the status, and nothing of the rest', async (t) => {
    t.same(await getInside(at(8000), '/', never), { status: 200, reason: 'OK' })
    t.match(await getInside(at(8000), '/missing', never), { status: 404 })
    await t.rejects(getInside(at(8001), '/', never), { code: 'ECONNREFUSED' })
    const says = (text: string) =>
      run(`python3 -c "
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', 8003)); s.listen(); c, _ = s.accept(); c.recv(999); c.sendall(${text})"`)
    const answers = async (text: string) => {
      const server = says(text)
      const answer = await eventually(() =>
        getInside(at(8003), '/', AbortSignal.timeout(2_000)).then(
          ({ status }) => String(status),
          (error: unknown) => {
            const { code, message } = error as NodeJS.ErrnoException
            return code === 'ECONNREFUSED' ? undefined : message
          },
        ),
      )
      await server
      return answer
    }
    t.match(await answers(`b'hello\\r\\n\\r\\n'`), /Parse Error/)
    t.match(await answers(`b''`), /socket hang up/)
    t.match(await answers(`b'HTTP/1.1 204 None\\r\\n\\r\\n'`), '204')
    t.match(await answers(`b'HTTP/1.1 200 OK\\r\\nX: ' + b'x' * 1000000`), /Parse Error|Overflow/)
  })
})

// A terminal joined to a stream: nothing lost, exit code and signals passed, the terminal put back.

import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { joinTerminal, wantsTerminal } from '../../src/cli/stream.ts'
import { weft } from '../fixtures/weft.ts'
import { fakeDaemon } from './fixtures/fake-daemon.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
const WINDOW = 3
const SIGNAL = 4
const EXIT = 5
const ERROR = 6

function frame(kind: number, bytes: Uint8Array | string): Buffer {
  const body = Buffer.from(bytes as string)
  const header = Buffer.alloc(5)
  header[0] = kind
  header.writeUInt32BE(body.length, 1)
  return Buffer.concat([header, body])
}

/** The frames that arrive at init's end, as [kind, bytes]. */
function framesOf(socket: Socket): { frames: [number, Buffer][] } {
  const frames: [number, Buffer][] = []
  let data = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    data = Buffer.concat([data, chunk])
    while (data.length >= 5 && data.length >= 5 + data.readUInt32BE(1)) {
      const end = 5 + data.readUInt32BE(1)
      frames.push([data[0]!, data.subarray(5, end)])
      data = data.subarray(end)
    }
  })
  return { frames }
}

/** Both ends of a connection. */
async function socketPair(t: Test): Promise<{ near: Socket; far: Socket }> {
  const dir = mkdtempSync(join(tmpdir(), 'weft-test-'))
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(join(dir, 's'), resolve))
  const near = connect(join(dir, 's'))
  const [far] = (await once(server, 'connection')) as [Socket]
  far.on('error', () => undefined)
  t.teardown(() => {
    near.destroy()
    far.destroy()
    server.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return { near, far }
}

function terminalOf(isTTY: boolean) {
  const modes: boolean[] = []
  const stdin = Object.assign(new PassThrough(), {
    isTTY,
    setRawMode: (raw: boolean) => modes.push(raw),
  })
  const stdout = Object.assign(new PassThrough(), { isTTY, rows: 40, columns: 100 })
  const stderr = new PassThrough()
  return { terminal: { stdin, stdout, stderr }, modes }
}

function collect(stream: PassThrough): { bytes: () => Buffer } {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return { bytes: () => Buffer.concat(chunks) }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(10)
}

t.test('output to its own stream, exit code from the last frame, input and its end', async (t) => {
  const { near, far } = await socketPair(t)
  const { terminal, modes } = terminalOf(false)
  const stdout = collect(terminal.stdout)
  const stderr = collect(terminal.stderr)
  const received = framesOf(far)
  const joined = joinTerminal(near, terminal, false)
  const input = Buffer.alloc(200_000, 7)
  terminal.stdin.end(input)
  const sent = (end: boolean) =>
    received.frames.some(([kind, bytes]) => kind === STDIN && (bytes.length === 0) === end)
  await until(() => sent(true))
  const stdin = received.frames.filter(([kind]) => kind === STDIN).map(([, bytes]) => bytes)
  t.ok(stdin.every((bytes) => bytes.length <= 65_536))
  t.ok(Buffer.concat(stdin).equals(input))

  // Cut where it hurts: in the middle of headers.
  const all = Buffer.concat([frame(STDOUT, 'out'), frame(STDERR, 'err'), frame(STDOUT, 'more')])
  for (const byte of all) far.write(Buffer.of(byte))
  far.end(frame(EXIT, Buffer.of(42)))
  t.same(await joined, { exitCode: 42, error: null })
  t.equal(stdout.bytes().toString(), 'outmore')
  t.equal(stderr.bytes().toString(), 'err')
  t.same(modes, [], 'no terminal was touched')
})

t.test('a slow reader loses nothing, however much comes before the exit', async (t) => {
  const { near, far } = await socketPair(t)
  let received = 0
  const slow = new Writable({
    highWaterMark: 16_384,
    write: (chunk: Buffer, _, done) => {
      received += chunk.length
      setTimeout(done, 1)
    },
  })
  const { terminal } = terminalOf(false)
  const joined = joinTerminal(near, { ...terminal, stdout: slow }, false)
  for (let i = 0; i < 64; i++) far.write(frame(STDOUT, Buffer.alloc(65_536)))
  far.end(frame(EXIT, Buffer.of(0)))
  t.match(await joined, { exitCode: 0 })
  t.equal(received, 64 * 65_536)
})

t.test(
  'with a terminal: raw while it lasts, window size at once and when it changes',
  async (t) => {
    const { near, far } = await socketPair(t)
    const { terminal, modes } = terminalOf(true)
    const received = framesOf(far)
    const joined = joinTerminal(near, terminal, true)
    terminal.stdout.rows = 50
    terminal.stdout.emit('resize')
    terminal.stdin.write('\u0003')
    await until(() => received.frames.length === 3)
    t.same(
      received.frames.map(([kind, bytes]) => [kind, [...bytes]]),
      [
        [WINDOW, [0, 40, 0, 100]],
        [WINDOW, [0, 50, 0, 100]],
        [STDIN, [3]],
      ],
      'Ctrl-C is a key',
    )
    far.end(frame(EXIT, Buffer.of(130)))
    t.match(await joined, { exitCode: 130 })
    t.same(modes, [true, false])
    t.equal(terminal.stdout.listenerCount('resize'), 0)
  },
)

t.test('without one: signals are passed on; the third SIGINT is for us', async (t) => {
  const before = process.listenerCount('SIGINT')
  const { near, far } = await socketPair(t)
  const { terminal } = terminalOf(false)
  const received = framesOf(far)
  const joined = joinTerminal(near, terminal, false)
  process.emit('SIGHUP', 'SIGHUP')
  process.emit('SIGINT', 'SIGINT')
  process.emit('SIGINT', 'SIGINT')
  await until(() => received.frames.length === 3)
  t.same(
    received.frames.map(([kind, bytes]) => [kind, bytes[0]]),
    [
      [SIGNAL, 1],
      [SIGNAL, 2],
      [SIGNAL, 2],
    ],
  )
  process.emit('SIGINT', 'SIGINT')
  t.match(await joined, { exitCode: null })
  t.equal(process.listenerCount('SIGINT'), before)
})

t.test('a stream that breaks off, a frame that is none, a reader that goes away', async (t) => {
  const broken = await socketPair(t)
  const first = joinTerminal(broken.near, terminalOf(false).terminal, false)
  broken.far.write(frame(STDOUT, 'half'))
  broken.far.destroy()
  t.same(await first, { exitCode: null, error: null })

  const nonsense = await socketPair(t)
  const second = joinTerminal(nonsense.near, terminalOf(false).terminal, false)
  nonsense.far.write(Buffer.from('HTTP/1.1 500 Oops\r\n\r\n'.repeat(4)))
  await t.rejects(second)

  const piped = await socketPair(t)
  const received = framesOf(piped.far)
  const gone = new Writable({
    write: (_chunk, _encoding, done) => {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    },
  })
  const third = joinTerminal(piped.near, { ...terminalOf(false).terminal, stdout: gone }, false)
  piped.far.write(frame(STDOUT, 'y\n'))
  await until(() => received.frames.length > 0)
  t.same(received.frames[0], [SIGNAL, Buffer.of(13)], 'SIGPIPE, as in a pipe of its own')
  piped.far.end(frame(EXIT, Buffer.of(141)))
  t.match(await third, { exitCode: 141 })
})

t.test('who gets a terminal', (t) => {
  t.ok(wantsTerminal(terminalOf(true).terminal, undefined))
  t.notOk(wantsTerminal(terminalOf(false).terminal, undefined))
  t.notOk(wantsTerminal(terminalOf(true).terminal, false), '--no-tty')
  t.ok(wantsTerminal(terminalOf(false).terminal, true), '-t')
  t.end()
})

t.test('weft run and weft exec end as their command ends', async (t) => {
  const daemon = await fakeDaemon({
    answer: ({ body }) => ({ body: { Id: 'id', Name: (body as { name: string }).name } }),
    stream: (socket, request) => {
      const url = request.url ?? ''
      if (url.includes('gone')) {
        socket.destroy()
        return
      }
      if (url.includes('nosuch')) {
        socket.write(frame(ERROR, 'nosuch: no such command'))
        socket.end(frame(EXIT, Buffer.of(127)))
        return
      }
      socket.on('data', (chunk: Buffer) => {
        // Answers once its input has ended.
        if (chunk.subarray(-5).equals(frame(STDIN, ''))) {
          socket.write(frame(STDOUT, chunk.subarray(5, -5)))
          socket.end(frame(EXIT, Buffer.of(3)))
        }
      })
    },
  })
  t.teardown(() => daemon.close())
  const at = { socketPath: daemon.socketPath, input: 'hello' }
  t.same(await weft(['exec', 'c1', '--', 'cat'], at), { code: 3, stdout: 'hello', stderr: '' })
  t.same(await weft(['run', '--network', 'demo', '--name', 'c1', '--', 'cat'], at), {
    code: 3,
    stdout: 'hello',
    stderr: '',
  })
  t.match(daemon.asked.at(-1)?.url, '/v1/sandboxes/c1/attach?start=1')
  t.same(await weft(['exec', 'nosuch', '--', 'x'], at), {
    code: 127,
    stdout: '',
    stderr: 'weft: nosuch: no such command\n',
  })
  t.match(await weft(['run', '--network', 'demo', '--name', 'gone', '--', 'x'], at), {
    code: 1,
    stderr: /^weft: the stream of gone broke off; .*`weft logs -f gone`\n$/,
  })
})

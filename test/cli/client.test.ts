// The client: what it sends, and the one line that each failure becomes.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ApiClient } from '../../src/api/client.ts'
import { VERSION } from '../../src/version.ts'
import { type Behaviour, fakeDaemon } from './fixtures/fake-daemon.ts'

async function daemonAndClient(t: Test, behaviour: Behaviour) {
  const daemon = await fakeDaemon(behaviour)
  t.teardown(() => daemon.close())
  return { daemon, client: new ApiClient({ socketPath: daemon.socketPath, timeoutMs: 5000 }) }
}

t.test('requests carry the version, names are encoded, queries say what is asked', async (t) => {
  const { daemon, client } = await daemonAndClient(t, {
    answer: ({ url }) => ({ body: url.startsWith('/v1/version') ? { host: 'h1' } : [] }),
  })
  t.match(await client.version(), { host: 'h1' })
  await client.listSandboxes(true)
  await client.listSandboxes(false)
  await client.inspectSandbox('h2/a b?')
  await client.removeSandbox('a', { force: false, graceMs: 3000 })
  await client.removeSandbox('a', { force: true, graceMs: 3000 })
  await client.signalSandbox('a', 15)
  await client.down()
  t.same(
    daemon.asked.map(({ method, url, body }) => [method, url, body]),
    [
      ['GET', '/v1/version', undefined],
      ['GET', '/v1/sandboxes?all=1', undefined],
      ['GET', '/v1/sandboxes', undefined],
      ['GET', '/v1/sandboxes/h2%2Fa%20b%3F', undefined],
      ['DELETE', '/v1/sandboxes/a?timeoutMs=3000', undefined],
      ['DELETE', '/v1/sandboxes/a?force=1', undefined],
      ['POST', '/v1/sandboxes/a/signal', { signal: 15 }],
      ['POST', '/v1/down', undefined],
    ],
  )
  for (const { headers } of daemon.asked) t.equal(headers['x-weft-version'], VERSION)
})

t.test("the daemon's errors arrive with code and message", async (t) => {
  const { client } = await daemonAndClient(t, {
    answer: ({ url }) => {
      if (url === '/v1/status') {
        const message = 'this is weft 9, the daemon is weft 0.1.0; restart the daemon'
        return { status: 409, body: { error: { code: 'version_mismatch', message } } }
      }
      if (url === '/v1/fdb') {
        return { status: 418, body: { error: { code: 'from_the_future', message: 'teapot' } } }
      }
      return { status: 502, body: { statusCode: 502 } }
    },
  })
  await t.rejects(client.status(), {
    code: 'version_mismatch',
    message: /this is weft 9, the daemon is weft 0\.1\.0/,
  })
  await t.rejects(client.fdb(), { code: 'internal', message: 'teapot' })
  await t.rejects(client.neighbours(), { code: 'internal', message: /is not a weft daemon: .*502/ })
})

t.test('no daemon: which socket, and what to do', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-test-'))
  t.teardown(() => {
    rmSync(dir, { recursive: true })
  })
  const at = (socketPath: string) => new ApiClient({ socketPath, timeoutMs: 200 }).version()
  const missing = join(dir, 'missing.sock')
  await t.rejects(at(missing), {
    code: 'unavailable',
    message: `no daemon answers on ${missing}; start it: weft daemon, or in a lab: weft lab up, weft lab restart HOST`,
  })
  const file = join(dir, 'file')
  writeFileSync(file, '')
  await t.rejects(at(file), { code: 'unavailable', message: /no daemon answers on .*file/ })

  const serve = async (name: string, onConnection: 'hang up' | 'say nothing' | 'talk nonsense') => {
    const path = join(dir, name)
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      if (onConnection === 'hang up') socket.once('data', () => socket.destroy())
      if (onConnection === 'talk nonsense') socket.end('SSH-2.0-OpenSSH\r\n')
      t.teardown(() => socket.destroy())
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    t.teardown(() => server.close())
    return path
  }
  await t.rejects(at(await serve('a', 'hang up')), { message: /closed the connection before/ })
  await t.rejects(at(await serve('b', 'say nothing')), { message: /did not answer within 0\.2 s/ })
  await t.rejects(at(await serve('c', 'talk nonsense')), { message: /cannot talk to the daemon/ })
})

t.test(
  'a stream is given away after its 101, with what came along; errors stay errors',
  async (t) => {
    const { daemon, client } = await daemonAndClient(t, {
      stream: (socket) => {
        socket.write('first')
        socket.on('data', (chunk: Buffer) => socket.end(chunk))
      },
    })
    const socket = await client.execStream('c1', {
      argv: ['a'],
      tty: false,
      rows: 1,
      cols: 2,
      env: {},
    })
    socket.write(' echo')
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    t.equal(text, 'first echo')
    const [asked] = daemon.asked
    t.equal(asked?.url, '/v1/sandboxes/c1/exec')
    t.equal(asked?.headers.upgrade, 'weft-stream')
    const exec = Buffer.from(String(asked?.headers['x-weft-exec']), 'base64').toString()
    t.same(JSON.parse(exec), { argv: ['a'], tty: false, rows: 1, cols: 2, env: {} })

    const refusing = await daemonAndClient(t, {
      answer: ({ url }) =>
        url.includes('plain')
          ? { body: {} }
          : { status: 404, body: { error: { code: 'not_found', message: 'no sandbox c2' } } },
    })
    await t.rejects(refusing.client.attachStream('c2', true), {
      code: 'not_found',
      message: 'no sandbox c2',
    })
    await t.rejects(refusing.client.attachStream('plain', true), { message: /instead of a stream/ })
    t.equal(refusing.daemon.asked[0]?.url, '/v1/sandboxes/c2/attach?start=1')
  },
)

// UDP by the native core: what it takes for a socket, what is not sent, what is not kept. On loopback.

import { Buffer } from 'node:buffer'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type DatagramHandlers, openDatagrams } from '../../src/dataplane/datagrams.ts'

const IGNORE: DatagramHandlers = { onMessage: () => false, onUnsent: () => undefined }
/** More than IPv4 has room for behind its own header and UDP's. */
const TOO_LONG = 65_508

t.test('what is no UDP socket is refused, and its descriptor closed', async (t) => {
  const taken = openDatagrams({ address: '127.0.0.1', port: 0 }, IGNORE)
  const before = readdirSync('/proc/self/fd').length
  const refused = [
    [() => ({ address: '127.0.0.1', port: taken.port }), 'EADDRINUSE'],
    [() => ({ address: '192.0.2.1', port: 0 }), 'EADDRNOTAVAIL'],
    [() => ({ address: 'nonsense', port: 0 }), 'EINVAL'],
    [() => ({ fd: openSync('/dev/null', 'r') }), 'ENOTSOCK'],
    [() => ({ fd: 9_999 }), 'EBADF'],
  ] as const
  for (const [place, code] of refused) t.throws(() => openDatagrams(place(), IGNORE), { code })
  t.equal(readdirSync('/proc/self/fd').length, before)
  taken.close()
  taken.close()
  const fd = openSync('/dev/null', 'r')
  t.equal(readdirSync('/proc/self/fd').length, before, 'one was closed, once, and one is opened')
  closeSync(fd)
})

for (const [family, address] of [
  ['udp4', '127.0.0.1'],
  ['udp6', '::1'],
] as const) {
  t.test(`${family}: one answer that cannot be sent is counted, the others go out`, async (t) => {
    let unsent = 0
    const late: (() => void)[] = []
    const socket = openDatagrams(
      { address, port: 0 },
      {
        onMessage: (message, reply) => {
          const answer = (): void => {
            reply(message.length === 1 ? Buffer.alloc(TOO_LONG + 20) : message)
          }
          if (message.toString().startsWith('late')) late.push(answer)
          else answer()
          return true
        },
        onUnsent: (count) => {
          unsent += count
        },
      },
    )
    const client = createSocket(family)
    const got: string[] = []
    client.on('message', (message) => got.push(message.toString()))
    client.bind(0, address)
    await once(client, 'listening')
    const long = 'x'.repeat(60_000)
    for (const message of ['first', '-', 'late', 'second', '-', long, 'last']) {
      client.send(message, socket.port, address)
    }
    while (got.length < 4) await sleep(2)
    for (const answer of late) answer()
    while (got.length < 5) await sleep(2)
    t.same(got, ['first', 'second', long, 'last', 'late'])
    t.equal(unsent, 2)
    socket.close()
    for (const answer of late) answer()
    t.equal(unsent, 3, 'nor can it when the socket is closed')
    client.close()
  })
}

t.test('a socket may be closed by what it brought', async (t) => {
  let taken = 0
  let unsent = 0
  const socket = openDatagrams(
    { address: '127.0.0.1', port: 0 },
    {
      onMessage: (message, reply) => {
        taken++
        reply(message)
        socket.close()
        return true
      },
      onUnsent: (count) => {
        unsent += count
      },
    },
  )
  const client = createSocket('udp4')
  client.bind(0, '127.0.0.1')
  await once(client, 'listening')
  for (let count = 0; count < 100; count++) client.send('x', socket.port, '127.0.0.1')
  client.on('message', () => t.fail('an answer from a closed socket'))
  while (taken === 0) await sleep(2)
  await sleep(20)
  t.ok(taken < 100, `${taken} were taken at once`)
  t.equal(unsent, taken)
  client.close()
})

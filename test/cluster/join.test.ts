// The join exchange on loopback: a host is let in, or is told why not in words that it can act on.

import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { answerJoin } from '../../src/cluster/join-decision.ts'
import {
  type JoinView,
  parseJoinTarget,
  requestJoin,
  serveJoin,
} from '../../src/cluster/join-protocol.ts'
import { Keyring, gossipKey } from '../../src/cluster/keyring.ts'
import type { Membership } from '../../src/cluster/state-file.ts'
import { type JoinDoor, Streams } from '../../src/cluster/streams.ts'
import { type Token, clusterDigestOf, formatToken, parseToken } from '../../src/cluster/token.ts'
import { WeftError } from '../../src/errors.ts'
import type { Address, Member, MemberState } from '../../src/gossip/member.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'

const LOOPBACK = '127.0.0.1' as Ipv4Address
const CLUSTER = 'c1'.repeat(16)
const MEMBERSHIP: Membership = {
  clusterId: CLUSTER,
  keys: [1, 2].map((n) => ({
    key: new Uint8Array(32).fill(n),
    order: { lamport: n, writer: 'aa' },
  })),
  joinSecret: new Uint8Array(16).fill(3),
}
const TOKEN = parseToken(formatToken(CLUSTER, MEMBERSHIP.joinSecret))
const idOf = (name: string): string => Buffer.from(name.padEnd(8, '.')).toString('hex')

function member(name: string, ip: string, state: MemberState = 'alive', port = 7946): Member {
  const address = { ip: ip as Ipv4Address, port }
  return { id: idOf(name), name, address, state, incarnation: 1, sinceMs: 0 }
}

interface Side {
  readonly name: string
  /** null: in no cluster. */
  membership: Membership | null
  door: JoinDoor | null
  members: readonly Member[]
}

/** A host that listens: a member, or one that wants to be. */
async function newHost(t: Test, side: Side, ip: Ipv4Address = LOOPBACK) {
  const id = idOf(side.name)
  const keys = (side.membership?.keys ?? []).map(({ key, order }) => gossipKey(key, order))
  let address: Address = { ip, port: 0 }
  const view = (): JoinView => ({
    self: { id, name: side.name, address },
    membership: side.membership,
    members: [...side.members, { ...member(side.name, ip), address }],
  })
  const streams = new Streams({
    self: id,
    address,
    keyring: new Keyring(keys),
    door: () => side.door,
    handlers: {
      onRequest: () => null,
      onJoin: (body, source) => serveJoin(body, source, view),
      onApi: (stream) => stream.destroy(),
    },
  })
  address = await streams.listen()
  t.teardown(() => streams.close())
  return { id, address, target: { host: ip, port: address.port }, streams, side }
}

async function newMember(t: Test, change: Partial<Side> = {}) {
  const members = [
    member('h7', '172.31.1.17'),
    member('h8', '172.31.1.18', 'dead'),
    member('h9', '10.0.2.15', 'suspect'),
  ]
  const side = { name: 'h1', membership: MEMBERSHIP, door: TOKEN, members, ...change }
  return await newHost(t, side)
}

async function newJoiner(t: Test, name = 'h2', change: Partial<Side> = {}) {
  const side = { name, membership: null, door: TOKEN, members: [], ...change }
  const host = await newHost(t, side)
  return { ...host, me: { id: host.id, name, address: host.address, weftVersion: '0.1.0' } }
}

/** What `weft join` would fail with. */
async function failure(join: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await join
  } catch (error) {
    if (error instanceof WeftError) return { code: error.code, message: error.message }
    throw error
  }
  return { code: 'none', message: 'it was let in' }
}

t.test('who has the token and is reached where it says is let in', async (t) => {
  const [host, joiner] = [await newMember(t), await newJoiner(t)]
  const grant = await requestJoin({ target: host.target, token: TOKEN, me: joiner.me })
  const { peers, ...membership } = grant
  t.same(membership, MEMBERSHIP)
  t.same(
    peers.map(({ name }) => name),
    ['h1', 'h7', 'h9'],
    'the granter first, then who is present',
  )
  t.same(peers[0], { id: host.id, name: 'h1', ip: LOOPBACK, port: host.address.port })
  t.equal(joiner.streams.counters.accepted, 1, 'it was asked who it is')
})

t.test('a name of a host resolves', async (t) => {
  const [host, joiner] = [await newMember(t), await newJoiner(t)]
  const target = { host: 'localhost', port: host.address.port }
  t.match(await requestJoin({ target, token: TOKEN, me: joiner.me }), { clusterId: CLUSTER })
})

t.test('who is gone has given its name and its address back', async (t) => {
  const host = await newMember(t, { members: [member('h2', LOOPBACK, 'dead')] })
  const joiner = await newJoiner(t)
  t.match(await requestJoin({ target: host.target, token: TOKEN, me: joiner.me }), {
    peers: [{ name: 'h1' }],
  })
})

const REFUSED_TOKENS: [string, Token, string, RegExp][] = [
  [
    'a token from before its rotation',
    { ...TOKEN, secret: new Uint8Array(16) },
    'join_refused',
    /token is not \(or no longer\) valid for the cluster of 127\.0\.0\.1:\d+; run weft join-token there/,
  ],
  [
    'a token of another cluster',
    { ...TOKEN, clusterDigest: clusterDigestOf('dd'.repeat(16)) },
    'join_refused',
    /not in the cluster of this token.*run weft join-token there/,
  ],
]

t.test('what a token does not open', async (t) => {
  const [host, joiner] = [await newMember(t), await newJoiner(t)]
  const closed = await newMember(t, { door: null, membership: null })
  for (const [what, token, code, message] of REFUSED_TOKENS) {
    const join = requestJoin({ target: host.target, token, me: joiner.me })
    t.match(await failure(join), { code, message }, what)
  }
  const join = requestJoin({ target: closed.target, token: TOKEN, me: joiner.me })
  t.match(await failure(join), { code: 'join_refused', message: /or in none/ }, 'no cluster there')
})

t.test('what a member refuses, and what the joiner reads', async (t) => {
  const joiner = await newJoiner(t)
  const { me } = joiner
  const self = member('h1', '172.31.1.11')
  const others = [member('h7', '172.31.1.17'), member('h9', '10.0.2.15', 'suspect')]
  const view = { self, membership: MEMBERSHIP, members: [self, ...others] }
  const nat = { ip: '10.0.2.15' as Ipv4Address, port: 7946 }
  const rows: [string, Partial<typeof me>, JoinView, string, RegExp][] = [
    ['itself', { id: self.id }, view, 'itself', /172\.31\.1\.11:7946 is this host itself/],
    ['no cluster', {}, { ...view, membership: null }, 'not_in_cluster', /h1 is in no cluster/],
    [
      'a name',
      { name: 'h7' },
      view,
      'name_taken',
      /h7 \(172\.31\.1\.17:7946\) has the name.*--name/,
    ],
    ['its own name', { name: 'h1' }, view, 'name_taken', /h1 \(172\.31\.1\.11:7946\)/],
    [
      'an address',
      { address: nat },
      view,
      'address_taken',
      /h9.*10\.0\.2\.15.*VirtualBox.*--advertise-addr/,
    ],
    ['its own address', { address: self.address }, view, 'address_taken', /h1/],
    ['a copy', { id: idOf('h7') }, view, 'id_taken', /h7.*copy.*cluster\.json/],
  ]
  for (const [what, change, from, reason, message] of rows) {
    t.match(answerJoin({ ...me, ...change }, from), { refusal: { reason, message } }, what)
  }
  t.match(answerJoin({ ...me, ...others[0]! }, view), { grant: { clusterId: CLUSTER } }, 'a return')

  const onWire: [Member, string][] = [
    [{ ...member('h2', '172.31.1.12'), id: idOf('x') }, 'name_in_use'],
    [{ ...member('x', LOOPBACK), address: me.address }, 'address_in_use'],
    [member('h2', '172.31.1.12'), 'join_refused'],
  ]
  for (const [other, code] of onWire) {
    const host = await newMember(t, { members: [other] })
    const refused = await failure(requestJoin({ target: host.target, token: TOKEN, me }))
    t.match(refused, { code, message: other.name })
  }
})

t.test('a joiner that is not where it says is refused', async (t) => {
  const host = await newMember(t)
  const { target } = host
  const ask = async (joiner: Awaited<ReturnType<typeof newJoiner>>, address?: Address) => {
    const me = { ...joiner.me, address: address ?? joiner.me.address }
    return await failure(requestJoin({ target, token: TOKEN, me }))
  }
  const gone = await newJoiner(t)
  await gone.streams.close()
  const unreached = /h1 cannot reach this one at 127\.0\.0\.1:\d+: .*--advertise-addr.*firewall/
  t.match(await ask(gone), { code: 'join_refused', message: unreached }, 'nobody listens')

  const [joiner, other] = [await newJoiner(t), await newJoiner(t, 'h3')]
  const another = /h1 reaches another host than this one at/
  t.match(await ask(joiner, other.address), { code: 'join_refused', message: another })

  const stranger = createServer((socket) => socket.end('SSH-2.0\r\n'))
  t.teardown(() => stranger.close())
  await new Promise<void>((resolve) => stranger.listen(0, LOOPBACK, resolve))
  const { port } = stranger.address() as { port: number }
  t.match(await ask(joiner, { ip: LOOPBACK, port }), { code: 'join_refused', message: another })

  const silent = createServer((socket) => socket.on('error', () => undefined).resume())
  t.teardown(() => silent.close())
  await new Promise<void>((resolve) => silent.listen(0, LOOPBACK, resolve))
  const { port: mute } = silent.address() as { port: number }
  const started = Date.now()
  t.match(await ask(joiner, { ip: LOOPBACK, port: mute }), {
    code: 'join_refused',
    message: unreached,
  })
  t.ok(Date.now() - started < 2_500, 'the joiner does not wait for long')
  for (const socket of [silent, stranger]) socket.close()
})

t.test('an address that was changed on the way is named', async (t) => {
  const joiner = await newJoiner(t)
  await joiner.streams.close()
  const { address, ...rest } = joiner.me
  const body = Buffer.from(JSON.stringify({ protocol: 1, kind: 'join', ...rest, ...address }))
  const self = { id: idOf('h1'), name: 'h1', address: { ip: LOOPBACK, port: 1 } }
  const view = (): JoinView => ({ self, membership: MEMBERSHIP, members: [] })
  const answer = await serveJoin(body, '192.0.2.9' as Ipv4Address, view)
  t.match(String(answer), /it sees this one as 192\.0\.2\.9: behind NAT\?/)
})

t.test('who asks itself, nobody, a stranger, or one that is silent is told so', async (t) => {
  const joiner = await newJoiner(t)
  const { me } = joiner
  const gone = await newJoiner(t)
  await gone.streams.close()
  const ask = (target: { host: string; port: number }, timeoutMs = 2_000) =>
    failure(requestJoin({ target, token: TOKEN, me, timeoutMs }))
  const itself = { code: 'join_refused', message: /is this host itself/ }
  t.match(await ask(joiner.target), itself)
  t.match(await ask({ ...joiner.target, host: 'localhost' }), itself, 'by another name')

  const stranger = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0\r\n'))
  const silent = createServer((socket) => socket.on('error', () => undefined).resume())
  const ports: number[] = []
  for (const server of [stranger, silent]) {
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
    t.teardown(() => server.close())
    ports.push((server.address() as { port: number }).port)
  }
  const [ssh = 0, mute = 0] = ports
  const rows: [string, { host: string; port: number }, RegExp][] = [
    ['nobody listens', gone.target, /cannot connect to 127.*ECONNREFUSED.*weft daemon/],
    ['a stranger', { host: LOOPBACK, port: ssh }, /no weft host.*: wrong version number$/],
    ['a silent one', { host: LOOPBACK, port: mute }, /no answer from .* within 0\.3 s/],
  ]
  for (const [what, target, message] of rows) {
    t.match(await ask(target, 300), { code: 'unavailable', message }, what)
  }
})

t.test('another protocol, another cluster behind the same token, junk: refused', async (t) => {
  const joiner = await newJoiner(t)
  const { me } = joiner
  const other = await newMember(t, { membership: { ...MEMBERSHIP, clusterId: 'ee'.repeat(16) } })
  // It holds the token's door open, but is not of its cluster: it cannot ask the joiner back, and is not believed.
  const refused = await failure(requestJoin({ target: other.target, token: TOKEN, me }))
  t.equal(refused.code, 'join_refused')

  const self = { id: idOf('h1'), name: 'h1', address: { ip: LOOPBACK, port: 1 } }
  const view = (): JoinView => ({ self, membership: MEMBERSHIP, members: [] })
  const serve = async (body: unknown): Promise<string> => {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    return String(await serveJoin(bytes, LOOPBACK, view))
  }
  const mismatch = await serve({ protocol: 2, kind: 'join', anything: 'else' })
  t.match(mismatch, /version_mismatch.*protocol 1, this one by 2; use the same version/)
  const good = { protocol: 1, kind: 'join', ...me, ...me.address }
  const junk = ['', '{', 'null', '[]', { protocol: 1 }, { protocol: 1, kind: 'join' }]
  const bad = [{ id: 'x' }, { name: 'a/b' }, { ip: '1.2.3' }, { port: 0 }, { weftVersion: 1 }]
  for (const body of [...junk, ...bad.map((change) => ({ ...good, ...change }))]) {
    t.equal(await serve(body), 'null', JSON.stringify(body))
  }
})

t.test('an answer that makes no sense is not believed', async (t) => {
  const { me } = await newJoiner(t)
  const grant = {
    clusterId: CLUSTER,
    joinSecret: '03'.repeat(16),
    keys: [{ key: '01'.repeat(32), order: { lamport: 1, writer: 'aa' } }],
    peers: [{ id: idOf('h1'), name: 'h1', ip: LOOPBACK, port: 7946 }],
  }
  const answers: [unknown, string][] = [
    [{ grant }, 'none'],
    [{ grant: { ...grant, clusterId: 'ee'.repeat(16) } }, 'join_refused'],
    [{ grant: { ...grant, keys: [] } }, 'unavailable'],
    [{ grant: { ...grant, peers: [{ ...grant.peers[0], ip: '300.1.1.1' }] } }, 'unavailable'],
    [{ refusal: { reason: 'name_taken', message: 'x' } }, 'name_in_use'],
    [{ refusal: { reason: 'of a later weft', message: 'x' } }, 'join_refused'],
    [{ refusal: { reason: 'itself', message: 'two\nlines' } }, 'unavailable'],
    ['junk', 'unavailable'],
  ]
  for (const [answer, code] of answers) {
    const streams = new Streams({
      self: idOf('h1'),
      address: { ip: LOOPBACK, port: 0 },
      keyring: new Keyring(),
      door: () => TOKEN,
      handlers: {
        onRequest: () => null,
        onJoin: () => Promise.resolve(Buffer.from(JSON.stringify(answer))),
        onApi: (stream) => stream.destroy(),
      },
    })
    const { port } = await streams.listen()
    const target = { host: LOOPBACK, port }
    t.match(
      await failure(requestJoin({ target, token: TOKEN, me })),
      { code },
      JSON.stringify(answer),
    )
    await streams.close()
  }
})

t.test('HOST of weft join', async (t) => {
  const rows: [string, object | null][] = [
    ['172.31.1.11', { host: '172.31.1.11', port: 7946 }],
    [' h1.example:8000 ', { host: 'h1.example', port: 8000 }],
    ['h1', { host: 'h1', port: 7946 }],
    ['', null],
    ['172.31.1', null],
    ['172.31.1.311', null],
    ['h1:0', null],
    ['h1:70000', null],
    ['http://h1', null],
    ['h1 h2', null],
  ]
  for (const [text, expected] of rows) {
    if (expected !== null) t.same(parseJoinTarget(text), expected, text)
    else t.throws(() => parseJoinTarget(text), { code: 'invalid_argument' }, text)
  }
})

// Gossip's messages as bytes: the tables of src/gossip/README.md, both ways, and what is made of anybody's bytes.

import t from 'tap'
import {
  DatagramWriter,
  MAX_LISTED,
  decodeDatagram,
  decodeListed,
  decodeStream,
  encodeDatagram,
  encodeListed,
  encodePart,
  encodeStream,
} from '../../src/gossip/codec.ts'
import type { Listed, Part } from '../../src/gossip/message.ts'
import { MAX_DATAGRAM_BYTES, MAX_REQUEST_BYTES } from '../../src/gossip/transport.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { Random, SEED } from '../fixtures/random.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

const id = '0123456789abcdef'
const by = 'fedcba9876543210'
const address = { ip: parseIpv4Address('10.1.2.3'), port: 7946 }

const PARTS: readonly (readonly [Part, string])[] = [
  [
    { type: 'ping', seq: 258, target: id, incarnation: 7, state: 'suspect' },
    '01 0011 00000102 0123456789abcdef 00000007 01',
  ],
  [{ type: 'ack', seq: 0xfffffffe, incarnation: 8 }, '02 0008 fffffffe 00000008'],
  [
    { type: 'ping-req', seq: 1, target: id, address },
    '03 0012 00000001 0123456789abcdef 0a010203 1f0a',
  ],
  [{ type: 'nack', seq: 2 }, '04 0004 00000002'],
  [
    { type: 'alive', id, incarnation: 3, address, name: 'h1' },
    '05 0015 0123456789abcdef 00000003 0a010203 1f0a 02 6831',
  ],
  [
    { type: 'suspect', id, incarnation: 4, by },
    '06 0014 0123456789abcdef 00000004 fedcba9876543210',
  ],
  [{ type: 'dead', id, incarnation: 5, by }, '07 0014 0123456789abcdef 00000005 fedcba9876543210'],
  [{ type: 'broadcast', body: bytesOf('c0ffee') }, '08 0003 c0ffee'],
  [{ type: 'message', body: bytesOf('') }, '09 0000'],
]

t.test('parts have the bytes of the table', async (t) => {
  for (const [part, text] of PARTS) {
    t.equal(hex(encodePart(part)), text.replaceAll(' ', ''), part.type)
    const { parts, intact } = decodeDatagram(bytesOf(`01${text}`))
    t.ok(intact, part.type)
    t.same(parts, [part], part.type)
  }
  const all = encodeDatagram(...PARTS.map(([part]) => part))
  t.same(decodeDatagram(all), { parts: PARTS.map(([part]) => part), intact: true })
})

t.test(
  'what is not as it should be ends the datagram, and what came before it counts',
  async (t) => {
    const nack = '04 0004 00000002'
    const rows: [what: string, text: string, parts: number, intact: boolean][] = [
      ['nothing', '', 0, false],
      ['another version', `02 ${nack}`, 0, false],
      ['no part', '01', 0, true],
      ['a kind that is not known is skipped', `01 63 0002 aaaa ${nack}`, 1, true],
      ['a header that is cut', `01 ${nack} 0400`, 1, false],
      ['a body that is cut', `01 ${nack} 04 0004 000000`, 1, false],
      ['a body that is too long', '01 04 0005 0000000200', 0, false],
      ['a state that is none', '01 01 0011 00000102 0123456789abcdef 00000007 04', 0, false],
      ['port 0', '01 05 0015 0123456789abcdef 00000003 0a010203 0000 02 6831', 0, false],
      ['loopback', '01 05 0015 0123456789abcdef 00000003 7f000001 1f0a 02 6831', 0, false],
      ['multicast', '01 05 0015 0123456789abcdef 00000003 e0000001 1f0a 02 6831', 0, false],
      ['no name', '01 05 0013 0123456789abcdef 00000003 0a010203 1f0a 00', 0, false],
      ['a name with a dot', '01 05 0015 0123456789abcdef 00000003 0a010203 1f0a 02 682e', 0, false],
      [
        'a name past the end',
        '01 05 0015 0123456789abcdef 00000003 0a010203 1f0a 03 6831',
        0,
        false,
      ],
      [
        'a name before the end',
        '01 05 0015 0123456789abcdef 00000003 0a010203 1f0a 01 6831',
        0,
        false,
      ],
    ]
    for (const [what, text, parts, intact] of rows) {
      const decoded = decodeDatagram(bytesOf(text))
      t.equal(decoded.parts.length, parts, what)
      t.equal(decoded.intact, intact, what)
    }
    t.notOk(decodeDatagram(new Uint8Array(MAX_DATAGRAM_BYTES + 1).fill(1)).intact, 'too large')
  },
)

t.test('a writer fills datagrams to the brim and begins anew', async (t) => {
  const writer = new DatagramWriter()
  const part = encodePart({ type: 'broadcast', body: new Uint8Array(writer.room - 3) })
  writer.putEncoded(part)
  t.equal(writer.room, 0)
  const full = writer.finish()
  t.equal(full.length, MAX_DATAGRAM_BYTES)
  writer.put({ type: 'nack', seq: 1 })
  t.equal(hex(writer.finish()), '01' + '0400' + '0400000001')
  t.equal(full[1], 8, 'the first is its own')
})

t.test('streams say their kind', async (t) => {
  t.equal(hex(encodeStream('push-pull', bytesOf('ab'))), '0102ab')
  t.same(decodeStream(bytesOf('0103abcd')), { type: 'passenger', body: bytesOf('abcd') })
  for (const text of ['', '01', '0100', '0163', '0201']) {
    t.equal(decodeStream(bytesOf(text)), undefined, text)
  }
})

t.test('a push/pull lists as many members as may be', async (t) => {
  const listed: Listed = { id, incarnation: 3, state: 'left', ageSeconds: 258, address, name: 'h1' }
  const text = '03 00000102 0123456789abcdef 00000003 0a010203 1f0a 02 6831'
  t.equal(hex(encodeListed([listed])), text.replaceAll(' ', ''))
  t.same(decodeListed(bytesOf(text)), [listed])
  t.same(decodeListed(bytesOf('')), [])
  t.equal(decodeListed(bytesOf(text).subarray(0, -1)), undefined, 'cut')

  const longest = Array<Listed>(MAX_LISTED).fill({ ...listed, name: 'n'.repeat(63) })
  const bytes = encodeListed(longest)
  t.ok(bytes.length < MAX_REQUEST_BYTES, 'they fit a stream')
  t.equal(decodeListed(bytes)?.length, MAX_LISTED)
  t.equal(decodeListed(encodeListed([...longest, listed])), undefined, 'one too many')
})

t.test(
  `bytes of all kinds are decoded or told apart, never thrown about (seed ${SEED})`,
  async (t) => {
    const random = new Random()
    const datagrams = PARTS.map(([part]) => encodeDatagram(part, part))
    const lists = encodeListed([
      { id, incarnation: 3, state: 'alive', ageSeconds: 0, address, name: 'h1' },
    ])
    let parts = 0
    for (let i = 0; i < 100_000; i++) {
      const bytes = random.once(10)
        ? random.bytes(random.below(60))
        : random.mutated(random.pick(datagrams))
      for (const part of decodeDatagram(bytes).parts) {
        parts++
        if (part.type === 'alive' && !/^[A-Za-z0-9][\w-]*$/.test(part.name)) t.fail(part.name)
      }
      decodeStream(bytes)
      decodeListed(random.mutated(lists))
    }
    t.ok(parts > 10_000, 'many were still parts')
  },
)

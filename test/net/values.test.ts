// The value types of src/net and the errors they throw: what is read, what is refused and with
// which advice.

import t, { type Test } from 'tap'
import { WeftError, isErrorCode, messageOf, quote, toErrorBody } from '../../src/errors.ts'
import {
  type Cidr,
  cidrContains,
  cidrOf,
  cidrsOverlap,
  firstAddress,
  formatCidr,
  lastAddress,
  parseCidr,
  parseIpv4Cidr,
  parseIpv6Cidr,
  sortedByCidr,
} from '../../src/net/cidr.ts'
import { isIpv6, parseIpAddress } from '../../src/net/ip-address.ts'
import {
  bytesToIpv4,
  ipv4ToBytes,
  ipv4ToNumber,
  isUnicastIpv4,
  numberToIpv4,
  parseIpv4Address,
} from '../../src/net/ipv4-address.ts'
import {
  bytesToIpv6,
  ipv6ToBytes,
  isUnicastIpv6,
  parseIpv6Address,
} from '../../src/net/ipv6-address.ts'
import {
  bytesToMac,
  isMulticast,
  ipv4OfMac,
  isUnicastMac,
  linkLocalOf,
  macFromIpv4,
  macToBytes,
  parseMacAddress,
} from '../../src/net/mac-address.ts'
import { parseName } from '../../src/net/name.ts'
import { MAX_VNI, parseVni } from '../../src/net/vni.ts'

/** Every row is refused as invalid_argument, by a message that has the row's advice in it. */
function refuses(
  t: Test,
  parse: (text: string) => unknown,
  rows: readonly (readonly [text: string, advice: string])[],
): void {
  for (const [text, advice] of rows) {
    try {
      t.fail(`'${text}' was taken as ${String(parse(text))}`)
    } catch (error) {
      t.ok(error instanceof WeftError && error.code === 'invalid_argument', `'${text}' is refused`)
      t.match((error as Error).message, advice, `'${text}': says '${advice}'`)
      t.notMatch((error as Error).message, '\n', `'${text}': in one line`)
    }
  }
}

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

t.test('IPv4', async (t) => {
  t.test('text and bytes turn into each other', async (t) => {
    const rows = [
      ['0.0.0.0', '00000000'],
      ['10.0.1.3', '0a000103'],
      ['255.255.255.255', 'ffffffff'],
    ] as const
    for (const [text, hex] of rows) {
      t.equal(parseIpv4Address(text), text)
      t.same(ipv4ToBytes(parseIpv4Address(text)), bytes(hex))
      t.equal(ipv4ToNumber(parseIpv4Address(text)), Number(`0x${hex}`))
      t.equal(numberToIpv4(Number(`0x${hex}`)), text)
      t.equal(bytesToIpv4(bytes(hex)), text)
    }
    t.throws(() => bytesToIpv4(new Uint8Array(5)), { code: 'invalid_argument' })
  })

  t.test('what could be read in two ways is refused with the plain form', async (t) => {
    refuses(t, parseIpv4Address, [
      ['10.0.1.010', 'write 10.0.1.10'],
      ['010.000.001.003', 'write 10.0.1.3'],
      ['10.0.1', 'four numbers of 0-255'],
      ['10.0.1.256', 'four numbers of 0-255'],
      ['10.0.1.0400', 'four numbers of 0-255'],
      ['0x0a.0.1.3', 'four numbers of 0-255'],
      ['10.0.1.3 ', 'four numbers of 0-255'],
      ['10.0.1.-3', 'four numbers of 0-255'],
      ['10..1.3', 'four numbers of 0-255'],
      ['١.٢.٣.٤', 'four numbers of 0-255'],
      ['', 'four numbers of 0-255'],
    ])
  })

  t.test('an address for one host is told from the others', async (t) => {
    for (const text of ['10.0.1.3', '1.1.1.1', '223.255.255.255']) {
      t.equal(isUnicastIpv4(parseIpv4Address(text)), true, text)
    }
    for (const text of [
      '0.0.0.0',
      '0.1.2.3',
      '127.0.0.1',
      '224.0.0.1',
      '240.0.0.1',
      '255.255.255.255',
    ]) {
      t.equal(isUnicastIpv4(parseIpv4Address(text)), false, text)
    }
  })
})

t.test('IPv6', async (t) => {
  t.test('every form of RFC 4291 is read, the form of RFC 5952 is kept', async (t) => {
    const rows = [
      ['::', '::', '00000000000000000000000000000000'],
      ['::1', '::1', '00000000000000000000000000000001'],
      ['0:0:0:0:0:0:0:0', '::', '00000000000000000000000000000000'],
      ['fd57:1::4', 'fd57:1::4', 'fd570001000000000000000000000004'],
      ['FD57:0001:0000::0004', 'fd57:1::4', 'fd570001000000000000000000000004'],
      ['fe80::', 'fe80::', 'fe800000000000000000000000000000'],
      // 4.2.2: one zero group alone is not shortened, and `::` may have been written for it.
      ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1', '20010db8000000010001000100010001'],
      // 4.2.3: the longest run, and the first of two that are as long.
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1', '20010000000000010000000000000001'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '20010db8000000000001000000000001'],
      // 5: IPv4-mapped with the IPv4 address in sight; elsewhere dotted is read, not written.
      ['::ffff:10.0.1.3', '::ffff:10.0.1.3', '00000000000000000000ffff0a000103'],
      ['::FFFF:a00:103', '::ffff:10.0.1.3', '00000000000000000000ffff0a000103'],
      ['64:ff9b::10.0.1.3', '64:ff9b::a00:103', '0064ff9b00000000000000000a000103'],
      ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
      ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0', '00010002000300040005000600070000'],
    ] as const
    for (const [text, canonical, hex] of rows) {
      t.equal(parseIpv6Address(text), canonical, text)
      t.same(ipv6ToBytes(parseIpv6Address(text)), bytes(hex), `${text}: bytes`)
      t.equal(bytesToIpv6(bytes(hex)), canonical, `${text}: back`)
    }
    const inside = new Uint8Array([9, 9, ...bytes('fd570001000000000000000000000004')]).subarray(2)
    t.equal(bytesToIpv6(inside), 'fd57:1::4', 'bytes inside of a larger buffer')
    t.throws(() => bytesToIpv6(new Uint8Array(4)), { code: 'invalid_argument' })
  })

  t.test('what is no address is refused', async (t) => {
    refuses(t, parseIpv6Address, [
      ['', 'as in fd57:1::4'],
      [':', 'as in fd57:1::4'],
      [':::', 'as in fd57:1::4'],
      ['1::2::3', 'as in fd57:1::4'],
      ['1:2:3:4:5:6:7', 'as in fd57:1::4'],
      ['1:2:3:4:5:6:7:8:9', 'as in fd57:1::4'],
      ['1:2:3:4::5:6:7:8', 'as in fd57:1::4'],
      ['12345::', 'as in fd57:1::4'],
      ['g::', 'as in fd57:1::4'],
      [':1:2:3:4:5:6:7', 'as in fd57:1::4'],
      ['1:2:3:4:5:6:7:', 'as in fd57:1::4'],
      ['::10.0.1.03', 'as in fd57:1::4'],
      ['10.0.1.3::', 'as in fd57:1::4'],
      ['::1/64', 'as in fd57:1::4'],
      ['[::1]', 'as in fd57:1::4'],
      ['fe80::1%eth0', 'without the zone'],
    ])
  })

  t.test('an address for one host is told from the others', async (t) => {
    for (const text of ['fd57:1::4', '2001:db8::', '::2', '::1:0']) {
      t.equal(isUnicastIpv6(parseIpv6Address(text)), true, text)
    }
    for (const text of ['::', '::1', 'fe80::1', 'febf::1', 'ff02::1']) {
      t.equal(isUnicastIpv6(parseIpv6Address(text)), false, text)
    }
  })
})

t.test('either family is told by its colon', async (t) => {
  t.equal(isIpv6(parseIpAddress('fd57:1:0::4')), true)
  t.equal(parseIpAddress('fd57:1:0::4'), 'fd57:1::4')
  t.equal(isIpv6(parseIpAddress('10.0.1.3')), false)
  refuses(t, parseIpAddress, [
    ['localhost', 'as in 10.0.1.3 or fd57:1::4'],
    ['10.0.01.3', 'write 10.0.1.3'],
    ['1:2', 'is not an IPv6 address'],
  ])
})

t.test('MAC', async (t) => {
  t.test('either case is read, lower case is kept', async (t) => {
    t.equal(parseMacAddress('02:42:0A:00:01:ff'), '02:42:0a:00:01:ff')
    t.same(macToBytes(parseMacAddress('02:42:0a:00:01:ff')), bytes('02420a0001ff'))
    t.equal(bytesToMac(bytes('02420a0001ff')), '02:42:0a:00:01:ff')
    t.throws(() => bytesToMac(new Uint8Array(8)), { code: 'invalid_argument' })
  })

  t.test('other spellings are refused with the right one', async (t) => {
    refuses(t, parseMacAddress, [
      ['02-42-0A-00-01-03', 'write 02:42:0a:00:01:03'],
      ['0242.0a00.0103', 'write 02:42:0a:00:01:03'],
      ['02420a000103', 'write 02:42:0a:00:01:03'],
      ['2:42:a:0:1:3', 'six hexadecimal pairs'],
      ['02:42:0a:00:01', 'six hexadecimal pairs'],
      ['02:42:0a:00:01:0g', 'six hexadecimal pairs'],
      ['', 'six hexadecimal pairs'],
    ])
  })

  t.test('the default one has the bytes of the IPv4 address', async (t) => {
    t.equal(macFromIpv4(parseIpv4Address('10.0.1.255')), '02:42:0a:00:01:ff')
    t.equal(ipv4OfMac(parseMacAddress('02:42:0a:00:01:ff')), '10.0.1.255')
    t.equal(ipv4OfMac(parseMacAddress('02:43:0a:00:01:ff')), null)
  })

  t.test('the link-local address is the modified EUI-64', async (t) => {
    // The example of RFC 2464 section 4, and one of ours.
    t.equal(linkLocalOf(parseMacAddress('34:56:78:9a:bc:de')), 'fe80::3656:78ff:fe9a:bcde')
    t.equal(linkLocalOf(parseMacAddress('02:42:0a:00:01:03')), 'fe80::42:aff:fe00:103')
  })

  t.test('groups are told from single interfaces', async (t) => {
    const rows = [
      ['02:42:0a:00:01:03', false, true],
      ['33:33:00:00:00:01', true, false],
      ['01:00:5e:00:00:01', true, false],
      ['ff:ff:ff:ff:ff:ff', true, false],
      ['00:00:00:00:00:00', false, false],
    ] as const
    for (const [text, multicast, unicast] of rows) {
      t.equal(isMulticast(parseMacAddress(text)), multicast, `${text} multicast`)
      t.equal(isUnicastMac(parseMacAddress(text)), unicast, `${text} unicast`)
    }
  })
})

t.test('CIDR', async (t) => {
  t.test('subnets of both families are read and written', async (t) => {
    const rows = [
      ['10.0.1.0/24', 4, '10.0.1.1', '10.0.1.255'],
      ['10.0.1.128/26', 4, '10.0.1.129', '10.0.1.191'],
      ['0.0.0.0/0', 4, '0.0.0.1', '255.255.255.255'],
      ['10.0.1.4/30', 4, '10.0.1.5', '10.0.1.7'],
      ['10.0.1.4/31', 4, '10.0.1.4', '10.0.1.5'],
      ['10.0.1.4/32', 4, '10.0.1.4', '10.0.1.4'],
      ['fd57:1::/64', 6, 'fd57:1::1', 'fd57:1::ffff:ffff:ffff:ffff'],
      ['fd57::/10', 6, 'fd40::1', 'fd7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
      ['fd57:1::8/127', 6, 'fd57:1::8', 'fd57:1::9'],
      ['::/0', 6, '::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ] as const
    for (const [text, family, first, last] of rows) {
      const [address = '', length = ''] = text.split('/')
      const cidr: Cidr = cidrOf(parseIpAddress(address), Number(length))
      if (text !== 'fd57::/10') t.same(parseCidr(text), cidr, `${text} is read`)
      t.equal(cidr.family, family, `${text} family`)
      t.equal(firstAddress(cidr), first, `${text} first`)
      t.equal(lastAddress(cidr), last, `${text} last`)
    }
    t.equal(formatCidr(parseCidr('FD57:1:0::/64')), 'fd57:1::/64')
    t.equal(parseIpv4Cidr('10.0.0.0/8').family, 4)
    t.equal(parseIpv6Cidr('fd00::/8').family, 6)
  })

  t.test('host bits are refused with the corrected value', async (t) => {
    refuses(t, parseCidr, [
      ['10.0.1.3/24', 'write 10.0.1.0/24'],
      ['10.0.1.4/29', 'write 10.0.1.0/29'],
      ['fd57:1::4/64', 'write fd57:1::/64'],
      ['10.0.1.0', 'as in 10.0.1.0/24'],
      ['10.0.1.0/33', '0-32'],
      ['10.0.1.0/024', '0-32'],
      ['10.0.1.0/', '0-32'],
      ['10.0.1.0/-1', '0-32'],
      ['10.0.1.0/24/8', '0-32'],
      ['fd57::/129', '0-128'],
      ['10.0.1/24', 'four numbers of 0-255'],
      ['/24', 'is not an IP address'],
    ])
    refuses(t, parseIpv4Cidr, [['fd57:1::/64', 'is an IPv6 subnet']])
    refuses(t, parseIpv6Cidr, [['10.0.1.0/24', 'is an IPv4 subnet']])
  })

  t.test('a subnet contains its own addresses and no others', async (t) => {
    const rows = [
      ['10.0.1.0/24', '10.0.1.0', true],
      ['10.0.1.0/24', '10.0.1.255', true],
      ['10.0.1.0/24', '10.0.2.0', false],
      ['10.0.1.0/25', '10.0.1.128', false],
      ['0.0.0.0/0', '203.0.113.9', true],
      ['0.0.0.0/0', '::1', false],
      ['10.0.1.4/32', '10.0.1.5', false],
      ['fd57:1::/64', 'fd57:1::4', true],
      ['fd57:1::/64', 'fd57:1:0:1::4', false],
      ['::/0', '10.0.1.3', false],
    ] as const
    for (const [cidr, address, inside] of rows) {
      t.equal(
        cidrContains(parseCidr(cidr), parseIpAddress(address)),
        inside,
        `${address} in ${cidr}`,
      )
    }
  })

  t.test('two subnets overlap when one holds the other', async (t) => {
    const rows = [
      ['10.0.0.0/8', '10.0.1.0/24', true],
      ['10.0.1.0/24', '10.0.1.0/24', true],
      ['10.0.0.0/24', '10.0.1.0/24', false],
      ['10.0.1.0/25', '10.0.1.128/25', false],
      ['0.0.0.0/0', '::/0', false],
      ['fd57::/16', 'fd57:1::/64', true],
    ] as const
    for (const [a, b, overlap] of rows) {
      t.equal(cidrsOverlap(parseCidr(a), parseCidr(b)), overlap, `${a} and ${b}`)
      t.equal(cidrsOverlap(parseCidr(b), parseCidr(a)), overlap, `${b} and ${a}`)
    }
  })

  t.test('sorted, an enclosing subnet stands before what it encloses', async (t) => {
    const sorted = [
      '9.0.0.0/8',
      '10.0.0.0/8',
      '10.0.0.0/24',
      '10.0.1.0/24',
      '10.1.0.0/16',
      'fd57::/16',
    ]
    const shuffled = sortedByCidr(sorted.toReversed().map((text) => ({ cidr: parseCidr(text) })))
    t.same(
      shuffled.map(({ cidr }) => formatCidr(cidr)),
      sorted,
    )
  })
})

t.test('a VNI has 24 bits and is not zero', async (t) => {
  t.equal(parseVni(1), 1)
  t.equal(parseVni('4097'), 4097)
  t.equal(parseVni(MAX_VNI), 0xffffff)
  for (const value of [0, -1, 1.5, NaN, Infinity, MAX_VNI + 1]) {
    t.throws(() => parseVni(value), { code: 'invalid_argument', message: /1-16777215/ }, `${value}`)
  }
  refuses(t, parseVni, [
    ['0', '1-16777215'],
    ['04097', '1-16777215'],
    ['4097 ', '1-16777215'],
    ['0x10', '1-16777215'],
    ['', '1-16777215'],
  ])
})

t.test('a name does as a DNS label and as a file name', async (t) => {
  for (const name of ['h1', 'C1', 'web_2', '1-2', 'a'.repeat(63)]) {
    t.equal(parseName('sandbox', name), name)
  }
  refuses(t, (name) => parseName('sandbox', name), [
    ['', 'sandbox name'],
    ['a.b', 'letters, digits'],
    ['h1/c1', 'letters, digits'],
    ['-a', 'a letter or digit first'],
    ['..', 'letters, digits'],
    ['a b', 'letters, digits'],
    ['ä', 'letters, digits'],
    ['a\n', "'a\\n' is not"],
    ['a\u{1b}[2J', "'a\\u{1b}[2J' is not"],
    ['a'.repeat(64), 'at most 63'],
  ])
})

t.test('whatever was thrown becomes a code and a message', async (t) => {
  const cause = new Error('ENOENT')
  const error = new WeftError('not_found', "no network 'demo'", { cause })
  t.match(error, { name: 'WeftError', code: 'not_found', cause })
  t.same(toErrorBody(error), { code: 'not_found', message: "no network 'demo'" })
  const rows = [
    [new TypeError('x is not a function'), 'x is not a function'],
    [new RangeError(), 'RangeError'],
    ['text', 'text'],
    [undefined, 'something that is not an Error was thrown: undefined'],
    [{ code: 'not_found' }, "something that is not an Error was thrown: { code: 'not_found' }"],
    [Object.create(null), 'something that is not an Error was thrown: [Object: null prototype] {}'],
  ] as const
  for (const [thrown, message] of rows) {
    t.equal(messageOf(thrown), message)
    t.same(toErrorBody(thrown), { code: 'internal', message }, 'what is not ours is internal')
  }
  t.equal(isErrorCode('no_address'), true)
  for (const value of ['toString', 'constructor', '', 404, undefined, null]) {
    t.equal(isErrorCode(value), false, String(value))
  }
})

t.test("somebody's text in a message is one visible, short line", async (t) => {
  const rows = [
    ['demo', "'demo'"],
    ['ä€😀', "'ä€😀'"],
    ['a\nb', "'a\\nb'"],
    ['\u{1b}[2J', "'\\u{1b}[2J'"],
    ['\u{202e}gpj', "'\\u{202e}gpj'"],
    ['x'.repeat(100), `'${'x'.repeat(80)}...'`],
  ] as const
  for (const [text, quoted] of rows) t.equal(quote(text), quoted)
})

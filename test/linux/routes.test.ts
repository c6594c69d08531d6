// Routes as the kernel lists them in /proc, and what of them counts.

import t from 'tap'
import { parseIpv4Routes, parseIpv6Routes } from '../../src/linux/routes.ts'

t.test('IPv4: little endian, without default routes', async (t) => {
  const text = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t01011FAC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00011FAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t00004D0A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t0702000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
`
  t.same(parseIpv4Routes(text), [
    { prefix: '172.31.1.0/24', device: 'eth0' },
    { prefix: '10.77.0.0/16', device: 'no device' },
    { prefix: '10.0.2.7/32', device: 'eth0' },
  ])
})

t.test('IPv6: neither own addresses nor multicast nor lo', async (t) => {
  const nothing = '0'.repeat(32)
  const row = (address: string, length: string, flags: string, device: string): string =>
    `${address.padEnd(32, '0')} ${length} ${nothing} 00 ${nothing} 00000100 00000001 00000000 ${flags} ${device}`
  const text = [
    row('', '00', '00200200', 'lo'),
    row('fd570001', '40', '00000001', 'eth0'),
    row('fd570001000000000000000000000005', '80', '80200001', 'eth0'),
    row('fd570001', '80', '80300001', 'eth0'),
    row('ff', '08', '00000001', 'eth0'),
    row('fd09', '30', '00000003', 'eth0'),
    '',
  ].join('\n')
  t.same(parseIpv6Routes(text), [
    { prefix: 'fd57:1::/64', device: 'eth0' },
    { prefix: 'fd09::/48', device: 'eth0' },
  ])
  t.same(parseIpv6Routes(''), [])
})

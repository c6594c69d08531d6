// The address that others are told: a choice that is right without settings, and refusals that say what would do.

import t from 'tap'
import { WeftError } from '../../src/errors.ts'
import {
  type AddressView,
  chooseAdvertiseAddress,
  readAddressView,
} from '../../src/cluster/advertise-address.ts'
import type { Ipv4Address } from '../../src/net/ipv4-address.ts'

/** `eth0 10.0.2.15/24` a row; a star after it: a default route. */
function view(...rows: string[]): AddressView {
  const parsed = rows.map((row) => /^(\w+) ([\d.]+)\/(\d+)( \*)?$/.exec(row)!)
  return {
    candidates: parsed.map(([, name, address, length]) => ({
      name: name!,
      address: address as Ipv4Address,
      prefixLength: Number(length),
      mtuBytes: 1500,
    })),
    defaultDevices: parsed.flatMap(([, name, , , star]) => (star === undefined ? [] : [name!])),
  }
}

const LO = 'lo 127.0.0.1/8'
const NAT = 'eth0 10.0.2.15/24 *'
const HOST_ONLY = 'eth1 192.168.56.11/24'

t.test('which address is chosen', async (t) => {
  const rows: [string | undefined, AddressView, string][] = [
    [undefined, view(LO, 'eth0 172.31.1.11/24 *'), '172.31.1.11'],
    [undefined, view(LO, 'docker0 172.17.0.1/16', 'eth0 172.31.1.11/24 *'), '172.31.1.11'],
    [undefined, view(LO, 'eth0 172.31.1.11/24'), '172.31.1.11'],
    [undefined, view(LO, NAT, HOST_ONLY), '192.168.56.11'],
    [undefined, view(LO, 'eth0 10.0.2.15/16 *', HOST_ONLY), '10.0.2.15'],
    ['eth1', view(LO, NAT, HOST_ONLY), '192.168.56.11'],
    ['192.168.56.11', view(LO, NAT, HOST_ONLY), '192.168.56.11'],
    ['lo', view(LO, HOST_ONLY), '127.0.0.1'],
    ['127.0.0.2', view(LO, 'lo 127.0.0.2/8'), '127.0.0.2'],
  ]
  for (const [wanted, from, expected] of rows) {
    t.equal(chooseAdvertiseAddress(wanted, from).address, expected)
  }
})

t.test('which is refused, and what is said', async (t) => {
  const rows: [string | undefined, AddressView, RegExp][] = [
    [undefined, view(LO), /no IPv4 address/],
    [undefined, view(LO, NAT), /10\.0\.2\.15 \(eth0\).*VirtualBox.*no other.*host-only or bridged/],
    ['eth0', view(LO, NAT, HOST_ONLY), /VirtualBox.*192\.168\.56\.11 \(eth1\)/],
    ['10.0.2.15', view(LO, NAT, HOST_ONLY), /VirtualBox.*192\.168\.56\.11 \(eth1\)/],
    ['10.9.9.9', view(LO, HOST_ONLY), /not an address of this host.*192\.168\.56\.11 \(eth1\)/],
    ['eth7', view(LO, HOST_ONLY), /no interface.*192\.168\.56\.11 \(eth1\)/],
  ]
  for (const [wanted, from, expected] of rows) {
    try {
      chooseAdvertiseAddress(wanted, from)
      t.fail(`${wanted} was taken`)
    } catch (error) {
      t.match(error, { code: 'invalid_argument', message: expected })
      t.ok(error instanceof WeftError)
    }
  }
})

t.test('the kernel tells of loopback', async (t) => {
  const { candidates } = await readAddressView()
  t.match(
    candidates.filter(({ address }) => address === '127.0.0.1'),
    [{ name: 'lo', prefixLength: 8 }],
  )
})

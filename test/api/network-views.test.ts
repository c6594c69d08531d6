// Networks in docker's shapes.

import t from 'tap'
import { networkInspect, networkSummary } from '../../src/api/network-views.ts'
import { parseIpv4Cidr, parseIpv6Cidr } from '../../src/net/cidr.ts'
import { parseIpv4Address } from '../../src/net/ipv4-address.ts'
import { parseIpv6Address } from '../../src/net/ipv6-address.ts'
import { parseVni } from '../../src/net/vni.ts'
import type { EndpointRecord, NetworkRecord, SubnetRecord } from '../../src/network/networks.ts'
import { endpoint, network } from '../fixtures/records.ts'

const ID = 'kls7mti5o4mtk2ybjcr5fcjwp'
const version = { lamport: 3, writer: '11' }
const blue: NetworkRecord = {
  kind: 'network',
  key: ID,
  owner: '11',
  version,
  value: {
    ...network('blue'),
    createdAtMs: Date.parse('2026-11-07T08:09:10.111Z'),
    ipv6: true,
    options: { mtu: '1400' },
    mtu: 1400,
    labels: { a: 'b' },
  },
}
const subnet = (vni: number, third: number): SubnetRecord => ({
  kind: 'subnet',
  key: `${ID}/${third}`,
  owner: '11',
  version,
  value: {
    network: ID,
    vni: parseVni(vni),
    cidr: parseIpv4Cidr(`10.0.${third}.0/24`),
    gateway: parseIpv4Address(`10.0.${third}.1`),
    cidr6: third === 1 ? parseIpv6Cidr('fd57:1::/64') : null,
    gateway6: third === 1 ? parseIpv6Address('fd57:1::1') : null,
    range: third === 1 ? null : parseIpv4Cidr(`10.0.${third}.128/25`),
  },
})
const on: EndpointRecord = {
  kind: 'endpoint',
  key: 'e'.repeat(64),
  owner: 'a73dffac9ac01234',
  version,
  value: {
    ...endpoint(3),
    name: 'c1',
    ip: parseIpv4Address('10.0.1.3'),
    ip6: parseIpv6Address('fd57:1::3'),
  },
}
const parts = {
  network: blue,
  subnets: [subnet(4097, 1), subnet(4098, 3)],
  hostOf: (id: string) => ({ id, name: 'h2', vtep: parseIpv4Address('192.168.1.12') }),
  mtuBytes: 1450,
}

t.test('inspect: docker names, two subnets, an endpoint, its host as peer', async (t) => {
  t.same(networkInspect({ ...parts, endpoints: [on] }), {
    Name: 'blue',
    Id: ID,
    Created: '2026-11-07T08:09:10.111Z',
    Scope: 'swarm',
    Driver: 'overlay',
    EnableIPv4: true,
    EnableIPv6: true,
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: [
        { Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' },
        { Subnet: 'fd57:1::/64', Gateway: 'fd57:1::1' },
        { Subnet: '10.0.3.0/24', IPRange: '10.0.3.128/25', Gateway: '10.0.3.1' },
      ],
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {
      ['e'.repeat(64)]: {
        Name: 'c1',
        EndpointID: 'e'.repeat(64),
        MacAddress: on.value.mac,
        IPv4Address: '10.0.1.3/24',
        IPv6Address: 'fd57:1::3/64',
        Host: 'h2',
      },
    },
    Options: {
      mtu: '1400',
      'com.docker.network.driver.overlay.vxlanid_list': '4097,4098',
      'com.docker.network.driver.mtu': '1400',
    },
    Labels: { a: 'b' },
    Peers: [{ Name: 'h2-a73dffac9ac0', IP: '192.168.1.12' }],
  })
})

t.test('a network that nobody uses has no containers and no peers', async (t) => {
  const fixed = { ...blue, value: network('fixed') }
  const shown = networkInspect({ ...parts, network: fixed, endpoints: [] })
  t.equal(shown.Containers, null)
  t.notOk('Peers' in shown)
  t.equal(shown.Created, '0001-01-01T00:00:00Z')
  t.equal(shown.Options['com.docker.network.driver.mtu'], '1450')
  t.match(networkSummary(blue, 2), { id: ID, name: 'blue', scope: 'swarm', localEndpoints: 2 })
})

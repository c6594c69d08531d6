// The native tables read back: the rows that are in force, in the words in which they were put.

import { bytesToIpv4, type Ipv4Address } from '../net/ipv4-address.ts'
import { bytesToIpv6, type Ipv6Address } from '../net/ipv6-address.ts'
import type { IpAddress } from '../net/ip-address.ts'
import { bytesToMac } from '../net/mac-address.ts'
import { cidrOf } from '../net/cidr.ts'
import { V4_MAPPED_BITS } from './batch.ts'
import type { NativeTables } from './binding-types.ts'
import type { Row } from './rows.ts'

const NO_ADDRESS = '0.0.0.0'

export function readRows(native: NativeTables): Row[] {
  return [
    ...native.vtepRows().map(
      ({ vtep, record }): Row => ({
        table: 'vtep',
        vtep: vtepOf(vtep),
        record,
      }),
    ),
    ...native.routerRows().map(
      ({ router, record, subnets, addresses }): Row => ({
        table: 'router',
        router,
        record,
        subnets: subnets.map(({ prefix, bits, vni }) => ({
          cidr: cidrOf(ipOf(prefix), prefix.length === 4 ? bits - V4_MAPPED_BITS : bits),
          vni,
        })),
        addresses: addresses.map(ipOf),
      }),
    ),
    ...native.networkRows().map(
      (row): Row => ({
        table: 'network',
        vni: row.vni,
        record: row.record,
        router: row.router,
        mtu: row.mtu,
        gatewayMac: bytesToMac(row.gatewayMac),
        gateway4: ipOf(row.gateway4) as Ipv4Address,
        gateway6: ipOf(row.gateway6) === NO_ADDRESS ? null : (ipOf(row.gateway6) as Ipv6Address),
        services: row.services,
        ports: row.ports,
        vteps: row.vteps.map(vtepOf),
        learning: row.learning.map(vtepOf),
      }),
    ),
    ...native.neighbourRows().map(
      ({ vni, ip, mac, gateway, record }): Row => ({
        table: 'neighbour',
        vni,
        ip: ipOf(ip),
        record,
        mac: bytesToMac(mac),
        gateway,
      }),
    ),
    ...native.fdbRows().map(
      ({ vni, mac, port, vtep, record }): Row => ({
        table: 'fdb',
        vni,
        mac: bytesToMac(mac),
        record,
        to: port === 0 ? vtepOf(vtep) : port,
      }),
    ),
    ...native.serviceRows().map(
      (row): Row => ({
        table: 'service',
        vni: row.vni,
        vip: ipOf(row.vip),
        record: row.record,
        service: row.service,
        mac: bytesToMac(row.mac),
        scheduler: row.scheduler,
        ports: row.ports,
        backends: row.backends.map(({ record, ip, vni, weight, state }) => ({
          record,
          ip: ipOf(ip),
          vni,
          weight,
          state,
        })),
      }),
    ),
    ...native
      .portRows()
      .map(({ port, vni, record }): Row => ({ table: 'port', port, record, vni })),
  ]
}

/** As native keeps VTEPs: bytes in wire order, read as a little-endian number. */
export function vtepOf(value: number): Ipv4Address {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytesToIpv4(bytes)
}

export function ipOf(bytes: Uint8Array): IpAddress {
  return bytes.length === 4 ? bytesToIpv4(bytes) : bytesToIpv6(bytes)
}

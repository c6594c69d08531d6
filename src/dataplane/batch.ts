// Packed batches of table changes, as native/tables/tables.h reads them.
//
//   u8 operation (1 put, 2 remove) · u8 table · u32le length · key, then (put) row

import { isIpv6, type IpAddress } from '../net/ip-address.ts'
import { type Ipv4Address, ipv4ToBytes } from '../net/ipv4-address.ts'
import { ipv6ToBytes } from '../net/ipv6-address.ts'
import { macToBytes } from '../net/mac-address.ts'
import type { Row } from './rows.ts'

const PUT = 1
const REMOVE = 2

/** TableId of native/tables/tables.h. */
const TABLE_IDS = {
  network: 1,
  port: 2,
  fdb: 3,
  neighbour: 4,
  router: 5,
  vtep: 6,
  service: 7,
} as const

/** Scheduler and BackendState of native/tables/rows.h. */
const SCHEDULER_IDS = { rr: 0, lc: 1, sh: 2, maglev: 3 } as const
const BACKEND_STATE_IDS = { healthy: 0, draining: 1, dead: 2, lost: 3 } as const

const UNSPECIFIED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0)
/** The first 96 bits of ::ffff:0:0/96, in which native keeps IPv4 addresses. */
export const V4_MAPPED_BITS = 96

/** The entry that puts a row; a batch is entries one after the other. */
export function encodePut(row: Row): Uint8Array {
  const writer = new EntryWriter(PUT, row)
  writer.row(row)
  return writer.finish()
}

/** The entry that removes the row of that table and key. */
export function encodeRemove(row: Row): Uint8Array {
  return new EntryWriter(REMOVE, row).finish()
}

class EntryWriter {
  readonly #parts: number[] = []

  constructor(operation: number, row: Row) {
    this.#parts.push(operation, TABLE_IDS[row.table], 0, 0, 0, 0)
    this.#key(row)
  }

  finish(): Uint8Array {
    const bytes = Uint8Array.from(this.#parts)
    const header = 6
    new DataView(bytes.buffer).setUint32(2, bytes.length - header, true)
    return bytes
  }

  row(row: Row): void {
    this.#u32(row.record)
    switch (row.table) {
      case 'network':
        this.#u32(row.router)
        this.#u16(row.mtu)
        this.#bytes(macToBytes(row.gatewayMac))
        this.#ip(row.gateway4)
        this.#ip(row.gateway6)
        this.#parts.push(row.services ? 1 : 0)
        this.#list(row.ports, (port) => {
          this.#u32(port)
        })
        for (const vteps of [row.vteps, row.learning]) {
          this.#list(vteps, (vtep) => {
            this.#bytes(ipv4ToBytes(vtep))
          })
        }
        break
      case 'port':
        this.#u32(row.vni)
        break
      case 'fdb':
        this.#u32(typeof row.to === 'number' ? row.to : 0)
        this.#bytes(typeof row.to === 'number' ? [0, 0, 0, 0] : ipv4ToBytes(row.to))
        break
      case 'neighbour':
        this.#bytes(macToBytes(row.mac))
        this.#parts.push(row.gateway ? 1 : 0)
        break
      case 'router':
        this.#list(row.subnets, ({ cidr, vni }) => {
          this.#ip(cidr.address)
          this.#parts.push(
            cidr.family === 4 ? V4_MAPPED_BITS + cidr.prefixLength : cidr.prefixLength,
          )
          this.#u32(vni)
        })
        this.#list(row.addresses, (address) => {
          this.#ip(address)
        })
        break
      case 'vtep':
        break
      case 'service':
        this.#u32(row.service % 2 ** 32)
        this.#u32(Math.floor(row.service / 2 ** 32))
        this.#bytes(macToBytes(row.mac))
        this.#parts.push(SCHEDULER_IDS[row.scheduler])
        this.#list(row.ports, ({ protocol, port, target }) => {
          this.#parts.push(protocol)
          this.#u16(port)
          this.#u16(target)
        })
        this.#list(row.backends, ({ record, ip, vni, weight, state }) => {
          this.#u32(record)
          this.#ip(ip)
          this.#u32(vni)
          this.#u16(weight)
          this.#parts.push(BACKEND_STATE_IDS[state])
        })
        break
    }
  }

  #key(row: Row): void {
    switch (row.table) {
      case 'network':
        this.#u32(row.vni)
        break
      case 'port':
        this.#u32(row.port)
        break
      case 'fdb':
        this.#u32(row.vni)
        this.#bytes(macToBytes(row.mac))
        break
      case 'neighbour':
        this.#u32(row.vni)
        this.#ip(row.ip)
        break
      case 'router':
        this.#u32(row.router)
        break
      case 'vtep':
        this.#bytes(ipv4ToBytes(row.vtep))
        break
      case 'service':
        this.#u32(row.vni)
        this.#ip(row.vip)
        break
    }
  }

  #u16(value: number): void {
    this.#parts.push(value & 0xff, value >> 8)
  }

  #u32(value: number): void {
    this.#parts.push(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24)
  }

  #bytes(bytes: Iterable<number>): void {
    this.#parts.push(...bytes)
  }

  #ip(address: IpAddress | null): void {
    if (address === null) this.#bytes(UNSPECIFIED)
    else if (isIpv6(address)) this.#bytes(ipv6ToBytes(address))
    else this.#bytes([...UNSPECIFIED.subarray(0, 12), ...ipv4ToBytes(address)])
  }

  #list<T>(items: readonly T[], write: (item: T) => void): void {
    this.#u32(items.length)
    for (const item of items) write(item)
  }
}

/** An IPv4 address as native keeps VTEPs: its bytes in wire order, read as a little-endian number. */
export function vtepNumber(address: Ipv4Address): number {
  const bytes = ipv4ToBytes(address)
  return new DataView(bytes.buffer).getUint32(0, true)
}

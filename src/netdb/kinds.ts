// The kinds of records: what each one's value looks like as JSON, and what of it is believed.
//
// Unknown fields are let through: a newer version may have more to say, and its bytes are relayed as they are.

import * as z from 'zod'
import {
  type Ipv4Cidr,
  cidrContains,
  formatCidr,
  parseCidr,
  parseIpv4Cidr,
  parseIpv6Cidr,
} from '../net/cidr.ts'
import { isUnicastIpv4, parseIpv4Address } from '../net/ipv4-address.ts'
import { isUnicastIpv6, parseIpv6Address } from '../net/ipv6-address.ts'
import { isUnicastMac, parseMacAddress } from '../net/mac-address.ts'
import { parseName } from '../net/name.ts'
import { MAX_VNI, parseVni } from '../net/vni.ts'
import { HEALTH_CHECK, HEALTH_STATUSES, healthCheckJson } from './health-check.ts'
import {
  type EndpointValue,
  type Kind,
  type NetworkValue,
  type SubnetValue,
  type ValueOf,
  backendKey,
  subnetKey,
  vipKey,
} from './record.ts'

interface KindShape<V> {
  readonly shape: z.ZodType<V>
  /** The fields in the one order in which they are written: the same value is the same bytes. */
  readonly toJson: (value: V) => object
  /** Whether key and value belong together, where one follows from the other. */
  readonly keyFits?: (key: string, value: V) => boolean
}

const MAX_PORT = 65_535
/** RFC 791: every host takes a datagram of 576 bytes. */
const MIN_MTU = 576
const MAX_ROUTES = 64
const MAX_ALIASES = 16
/** Networks of one service. */
const MAX_NETWORKS = 64
/** kMostWeight of native/tables/rows.h. */
const MAX_WEIGHT = 256
/** Holders of one address, of its IPv6 twin and of a MAC. */
const MAX_SUPERSEDED = 4
/** kind/key@owner: record.ts. */
const MAX_RECORD_NAME = 210

/** Text that a parse function of src/net takes. */
function text<T>(parse: (text: string) => T) {
  return z
    .string()
    .max(64)
    .transform((value, context) => {
      try {
        return parse(value)
      } catch {
        context.addIssue({ code: 'custom', message: 'malformed' })
        return z.NEVER
      }
    })
}

/** What a Date can hold (ECMA-262, time values). */
const MAX_TIME_MS = 8.64e15
const words = z.record(z.string().max(128), z.string().max(256))
const wholeNumber = (min: number, max: number) => z.number().int().min(min).max(max)
const id = z.string().regex(/^[\x21-\x7e]{1,64}$/)
const vni = wholeNumber(1, MAX_VNI).transform(parseVni)
// What rows are made of must be of one host: a multicast VTEP or MAC would send our frames to many.
const ipv4 = text(parseIpv4Address).refine(isUnicastIpv4)
const ipv6 = text(parseIpv6Address).refine(isUnicastIpv6)
const mac = text(parseMacAddress).refine(isUnicastMac)

const subnetShape = z
  .object({
    network: id,
    vni,
    cidr: text(parseIpv4Cidr),
    gateway: text(parseIpv4Address),
    cidr6: text(parseIpv6Cidr).nullable().default(null),
    gateway6: text(parseIpv6Address).nullable().default(null),
    range: text(parseIpv4Cidr).nullable().default(null),
  })
  .refine(({ cidr, gateway }) => cidrContains(cidr, gateway))
  .refine(({ cidr, range }) => range === null || encloses(cidr, range))
  .refine(({ cidr6, gateway6 }) =>
    cidr6 === null || gateway6 === null ? cidr6 === gateway6 : cidrContains(cidr6, gateway6),
  )

const SHAPES: { readonly [K in Kind]: KindShape<ValueOf[K]> } = {
  member: {
    shape: z.object({
      name: text((name) => parseName('member', name)),
      vtep: ipv4,
      vxlanPort: wholeNumber(1, MAX_PORT).nullable().default(null),
      version: z.string().max(64).nullable().default(null),
      underlayMtuBytes: wholeNumber(MIN_MTU, MAX_PORT).nullable().default(null),
      routes: z
        .array(text((route) => formatCidr(parseCidr(route))))
        .max(MAX_ROUTES)
        .default([]),
    }),
    toJson: ({ name, vtep, vxlanPort, version, underlayMtuBytes, routes }) => ({
      name,
      vtep,
      vxlanPort,
      version,
      underlayMtuBytes,
      routes,
    }),
  },
  node: {
    shape: z.object({
      expelled: z.boolean(),
      availability: z.enum(['active', 'pause', 'drain']).default('active'),
      labels: words.default({}),
    }),
    toJson: ({ expelled, availability, labels }) => ({
      expelled,
      availability,
      labels: inOrder(labels),
    }),
  },
  cluster: {
    shape: z.object({ value: z.string() }),
    toJson: ({ value }) => ({ value }),
  },
  network: {
    shape: z.object({
      name: text((name) => parseName('network', name)),
      mtu: wholeNumber(MIN_MTU, MAX_PORT).nullable(),
      learning: z.array(id).default([]),
      createdAtMs: wholeNumber(0, MAX_TIME_MS).default(0),
      internal: z.boolean().default(false),
      attachable: z.boolean().default(false),
      ipv6: z.boolean().default(false),
      options: words.default({}),
      labels: words.default({}),
      claimedAt: wholeNumber(0, Number.MAX_SAFE_INTEGER).default(0),
    }),
    toJson: (value: NetworkValue) => ({
      name: value.name,
      mtu: value.mtu,
      learning: value.learning,
      createdAtMs: value.createdAtMs,
      internal: value.internal,
      attachable: value.attachable,
      ipv6: value.ipv6,
      options: inOrder(value.options),
      labels: inOrder(value.labels),
      claimedAt: value.claimedAt,
    }),
  },
  subnet: {
    shape: subnetShape,
    toJson: ({ network, vni, cidr, gateway, cidr6, gateway6, range }: SubnetValue) => ({
      network,
      vni,
      cidr: formatCidr(cidr),
      gateway,
      cidr6: cidr6 === null ? null : formatCidr(cidr6),
      gateway6,
      range: range === null ? null : formatCidr(range),
    }),
    keyFits: (key, value) => key === subnetKey(value),
  },
  endpoint: {
    shape: z.object({
      network: id,
      vni,
      name: text((name) => parseName('endpoint', name)),
      mac,
      ip: ipv4,
      ip6: ipv6.nullable().default(null),
      aliases: z
        .array(text((name) => parseName('alias', name)))
        .max(MAX_ALIASES)
        .default([]),
      service: text((name) => parseName('service', name))
        .nullable()
        .default(null),
      supersedes: z.array(z.string().max(MAX_RECORD_NAME)).max(MAX_SUPERSEDED).default([]),
      health: z.enum(HEALTH_STATUSES).exactOptional(),
      claimedAt: wholeNumber(0, Number.MAX_SAFE_INTEGER),
    }),
    toJson: (value: EndpointValue) => ({
      network: value.network,
      vni: value.vni,
      name: value.name,
      mac: value.mac,
      ip: value.ip,
      ip6: value.ip6,
      aliases: value.aliases,
      service: value.service,
      supersedes: value.supersedes,
      ...(value.health === undefined ? {} : { health: value.health }),
      claimedAt: value.claimedAt,
    }),
  },
  service: {
    shape: z.object({
      name: text((name) => parseName('service', name)),
      endpointMode: z.enum(['vip', 'dnsrr']),
      scheduler: z.enum(['rr', 'lc', 'sh', 'maglev']).default('rr'),
      networks: z.array(id).max(MAX_NETWORKS),
      labels: words.default({}),
      healthCheck: HEALTH_CHECK.exactOptional(),
      createdAtMs: wholeNumber(0, MAX_TIME_MS).default(0),
      claimedAt: wholeNumber(0, Number.MAX_SAFE_INTEGER),
    }),
    toJson: (value) => ({
      name: value.name,
      endpointMode: value.endpointMode,
      scheduler: value.scheduler,
      networks: value.networks,
      labels: inOrder(value.labels),
      ...(value.healthCheck === undefined
        ? {}
        : { healthCheck: healthCheckJson(value.healthCheck) }),
      createdAtMs: value.createdAtMs,
      claimedAt: value.claimedAt,
    }),
  },
  vip: {
    shape: z.object({
      service: id,
      network: id,
      ip: ipv4,
      ip6: ipv6.nullable().default(null),
      claimedAt: wholeNumber(0, Number.MAX_SAFE_INTEGER),
    }),
    toJson: ({ service, network, ip, ip6, claimedAt }) => ({
      service,
      network,
      ip,
      ip6,
      claimedAt,
    }),
    keyFits: (key, value) => key === vipKey(value),
  },
  backend: {
    shape: z.object({
      service: id,
      endpoint: id,
      weight: wholeNumber(0, MAX_WEIGHT).default(1),
      drain: z.boolean().default(false),
    }),
    toJson: ({ service, endpoint, weight, drain }) => ({ service, endpoint, weight, drain }),
    keyFits: (key, value) => key === backendKey(value),
  },
}

function inOrder(named: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function encloses(outer: Ipv4Cidr, inner: Ipv4Cidr): boolean {
  return outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.address)
}

/** The value as JSON in UTF-8. */
export function encodeValue<K extends Kind>(kind: K, value: ValueOf[K]): Uint8Array {
  return Buffer.from(JSON.stringify(SHAPES[kind].toJson(value)))
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The value of a record of that kind and key; null: it is none. Never throws. */
export function decodeValue<K extends Kind>(
  kind: K,
  key: string,
  bytes: Uint8Array,
): ValueOf[K] | null {
  try {
    const { shape, keyFits }: KindShape<ValueOf[K]> = SHAPES[kind]
    const result = shape.safeParse(JSON.parse(utf8.decode(bytes)))
    if (!result.success) return null
    return keyFits === undefined || keyFits(key, result.data) ? result.data : null
  } catch {
    return null // no UTF-8, no JSON
  }
}

// The shape of a facts file: which keys there are, and what each value is read as.
//
// Each entry of a section is read on its own, so that one wrong line does not hide the next. A
// message goes on where the key ended ("'vtep' " + "is missing"); parse-facts.ts adds the place.

import * as z from 'zod'
import { messageOf } from '../errors.ts'
import { parseIpv4Cidr, parseIpv6Cidr } from '../net/cidr.ts'
import { parseIpv4Address } from '../net/ipv4-address.ts'
import { parseIpv6Address } from '../net/ipv6-address.ts'
import { parseMacAddress } from '../net/mac-address.ts'
import { parseName } from '../net/name.ts'
import { MAX_VNI, parseVni } from '../net/vni.ts'

/** RFC 791: every host takes a datagram of 576 bytes; below, IPv4 itself is at its limits. */
const MIN_MTU = 576
/** What an outer IPv4 datagram has left after IPv4, UDP, VXLAN and inner Ethernet headers. */
const MAX_MTU = 65535 - 50

const ipv4 = text('10.0.1.3', parseIpv4Address)
const ipv6 = text('fd57:1::4', parseIpv6Address)

const memberShape = z.strictObject({
  name: text('h1', (value) => parseName('member', value)),
  vtep: text('172.31.1.11', parseIpv4Address),
})

const subnetShape = z.strictObject({
  cidr: text('10.0.1.0/24', parseIpv4Cidr),
  vni: wholeNumber(1, MAX_VNI).transform(parseVni),
  gateway: ipv4.optional(),
  cidr6: text('fd57:1::/64', parseIpv6Cidr).optional(),
  gateway6: ipv6.optional(),
})

const networkShape = z.strictObject({
  name: text('demo', (value) => parseName('network', value)),
  mtu: wholeNumber(MIN_MTU, MAX_MTU).optional(),
  learning: z
    .array(
      text('k1', (value) => parseName('member', value)),
      { error: ({ input }) => expected('a list', input, '[k1]') },
    )
    .default([]),
  subnets: z
    .array(subnetShape, {
      error: ({ input }) => expected('a list', input, '- { cidr: ..., vni: ... }'),
    })
    .min(1, {
      error: 'has no entry; write at least one, as in - { cidr: 10.0.1.0/24, vni: 4097 }',
    }),
})

const endpointShape = z.strictObject({
  host: text('h1', (value) => parseName('host', value)),
  network: text('demo', (value) => parseName('network', value)),
  name: text('c1', (value) => parseName('endpoint', value)),
  ip: ipv4,
  ip6: ipv6.optional(),
  mac: text('02:42:0a:00:01:03', parseMacAddress).optional(),
})

/** The shape of an entry, by the section that it stands in. */
export const ENTRY_SHAPES = {
  members: memberShape,
  networks: networkShape,
  endpoints: endpointShape,
} as const

export type SectionName = keyof typeof ENTRY_SHAPES
export const SECTION_NAMES = Object.keys(ENTRY_SHAPES) as readonly SectionName[]

/** An entry of a section as read, before what it leaves open is filled in. */
export type Entry<S extends SectionName> = z.output<(typeof ENTRY_SHAPES)[S]>

/** The keys that a map may have, by the list that the map stands in. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  members: Object.keys(memberShape.shape),
  networks: Object.keys(networkShape.shape),
  subnets: Object.keys(subnetShape.shape),
  endpoints: Object.keys(endpointShape.shape),
}

/** "is missing" or "is a number, not text", with an example of what would be right. */
export function expected(wanted: string, value: unknown, example: string): string {
  const fault = value === undefined ? 'is missing' : `is ${kindOf(value)}, not ${wanted}`
  return `${fault}; write it as in ${example}`
}

/** Text that `parse` turns into a value; its complaint becomes the problem. */
function text<T>(example: string, parse: (value: string) => T) {
  return z
    .string({ error: ({ input }) => expected('text', input, `"${example}"`) })
    .transform((value, context): T => {
      try {
        return parse(value)
      } catch (error) {
        context.addIssue({ code: 'custom', message: `is wrong: ${messageOf(error)}` })
        return z.NEVER
      }
    })
}

function wholeNumber(min: number, max: number) {
  const range = `a whole number of ${min}-${max}`
  const error = ({ input }: { input?: unknown }) =>
    typeof input === 'number'
      ? `is ${input}; write ${range}`
      : expected(range, input, String(min === 1 ? 4097 : 1450))
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error })
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'string':
      return 'text'
    case 'number':
      return 'a number'
    case 'boolean':
      return `the word '${value}'`
    default:
      return 'a map'
  }
}

// A lab's shape, and the iproute2 lines that make it. Pure: nothing here touches the kernel.
//
//                 203.0.113.0/24
//       c .2 ───────────────────── .1 ┐
//                                     r    forwards between its three sides
//       172.31.1.0/24   br1 .1 ───────┤├─────── br2 .1   192.168.1.0/24
//         ├── h1 .11                            ├── h2 .12
//         └── h3 .13   (odd)                    └── h4 .14   (even)
//
// Each of these is a network namespace, `<lab>-h1` and so on; every link joins two of them, so that
// the machine's own namespace never sees an interface of a lab.

import { WeftError } from '../errors.ts'

export interface LabHost {
  /** h1, h2, ...: also its hostname, and its port's name in the router. */
  readonly name: string
  readonly netns: string
  /** Of eth0. */
  readonly address: string
  readonly gateway: string
}

export interface Topology {
  readonly name: string
  /** Those with a daemon. */
  readonly hosts: readonly LabHost[]
  readonly router: { readonly name: 'r'; readonly netns: string }
  readonly client: LabHost
}

/** Lines for one `ip -batch -`; `netns` null is the namespace that we are in. */
export interface IpBatch {
  readonly netns: string | null
  readonly lines: readonly string[]
}

export const DEFAULT_LAB = 'lab'
export const DEFAULT_HOSTS = 3

/** Addresses reach further, but so many daemons do not make a lab any more. */
export const MAX_HOSTS = 64

/** Namespaces' names stay short enough for what is called after them (sockets: 107 bytes). */
const LAB_NAME = /^[a-z][a-z0-9]{0,7}$/

const SIDES = [
  { bridge: 'br1', prefix: '172.31.1' },
  { bridge: 'br2', prefix: '192.168.1' },
] as const
const OUTSIDE = '203.0.113'

/** @throws WeftError invalid_argument for a name or a number that cannot be */
export function planTopology(name: string, hosts: number): Topology {
  if (!LAB_NAME.test(name)) {
    throw new WeftError(
      'invalid_argument',
      `'${name}' is not a lab's name; use at most 8 small letters and digits, a letter first`,
    )
  }
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > MAX_HOSTS) {
    throw new WeftError('invalid_argument', `a lab has 1 to ${MAX_HOSTS} hosts, not ${hosts}`)
  }
  return {
    name,
    hosts: Array.from({ length: hosts }, (_, index) => planHost(name, index + 1)),
    router: { name: 'r', netns: `${name}-r` },
    client: {
      name: 'c',
      netns: `${name}-c`,
      address: `${OUTSIDE}.2`,
      gateway: `${OUTSIDE}.1`,
    },
  }
}

function planHost(lab: string, number: number): LabHost {
  const { prefix } = sideOf(number)
  return {
    name: `h${number}`,
    netns: `${lab}-h${number}`,
    address: `${prefix}.${10 + number}`,
    gateway: `${prefix}.1`,
  }
}

function sideOf(number: number): (typeof SIDES)[number] {
  return number % 2 === 1 ? SIDES[0] : SIDES[1]
}

/** All namespaces of a lab. */
export function namespacesOf(topology: Topology): string[] {
  const { router, client, hosts } = topology
  return [router.netns, client.netns, ...hosts.map((host) => host.netns)]
}

/** The namespaces of a lab whose plan is lost, by their names. */
export function looksLikeNamespaceOf(lab: string, netns: string): boolean {
  const rest = netns.startsWith(`${lab}-`) ? netns.slice(lab.length + 1) : ''
  return /^(?:r|c|h[1-9][0-9]?)$/.test(rest)
}

/** Makes namespaces and links: to be run first, in one go. */
export function creationBatch(topology: Topology): IpBatch {
  const { router, client, hosts } = topology
  const cable = (host: LabHost) =>
    `link add name ${host.name} netns ${router.netns} type veth peer name eth0 netns ${host.netns}`
  return {
    netns: null,
    lines: [
      ...namespacesOf(topology).map((netns) => `netns add ${netns}`),
      ...SIDES.map((side) => `link add name ${side.bridge} netns ${router.netns} type bridge`),
      ...[client, ...hosts].map(cable),
    ],
  }
}

/** Gives the links their addresses and routes: one batch a namespace, in any order. */
export function addressBatches(topology: Topology): IpBatch[] {
  const { router, client, hosts } = topology
  const routerLines = [
    'link set lo up',
    ...SIDES.flatMap((side) => [
      `addr add ${side.prefix}.1/24 dev ${side.bridge}`,
      `link set ${side.bridge} up`,
    ]),
    ...hosts.map((host, index) => {
      const { bridge } = sideOf(index + 1)
      return `link set ${host.name} master ${bridge} up`
    }),
    `addr add ${client.gateway}/24 dev ${client.name}`,
    `link set ${client.name} up`,
  ]
  const hostLines = (host: LabHost) => [
    'link set lo up',
    `addr add ${host.address}/24 dev eth0`,
    'link set eth0 up',
    `route add default via ${host.gateway}`,
  ]
  return [
    { netns: router.netns, lines: routerLines },
    ...[client, ...hosts].map((host) => ({ netns: host.netns, lines: hostLines(host) })),
  ]
}

/** Kernel settings of the router's namespace: it routes. */
export const ROUTER_SETTINGS: readonly (readonly [path: string, value: string])[] = [
  ['/proc/sys/net/ipv4/ip_forward', '1'],
  ['/proc/sys/net/ipv6/conf/all/forwarding', '1'],
]

/** `<name>` of h1, h2, ..., r, c, also with the lab's name in front. */
export function findNode(topology: Topology, text: string): { name: string; netns: string } {
  const nodes = [...topology.hosts, topology.router, topology.client]
  const found = nodes.find((node) => node.name === text || node.netns === text)
  if (found !== undefined) return { name: found.name, netns: found.netns }
  const names = nodes.map((node) => node.name).join(', ')
  throw new WeftError('not_found', `lab '${topology.name}' has no '${text}'; it has ${names}`)
}

/** A host that has a daemon. */
export function findHost(topology: Topology, text: string): LabHost {
  const { name } = findNode(topology, text)
  const host = topology.hosts.find((candidate) => candidate.name === name)
  if (host !== undefined) return host
  throw new WeftError('invalid_argument', `'${text}' has no daemon; name a host: h1, h2, ...`)
}

// A lab's facts file: the networks and reservations that its hosts know from the start. Pure.
//
// Which hosts there are is not in it: they find each other as a cluster.
//
// | network | subnets                      | names on host i                                      |
// | demo    | 10.0.1.0/24, fd57:1::/64     | c<i> at .10+i; a<i>, b<i> to spare at .80+i, .150+i   |
// | other   | 10.0.3.0/24                  | d<i> at .10+i; cannot reach demo                      |
// | routed  | 10.1.1.0/24, 10.1.2.0/24     | r<i> at .10+i: odd hosts first subnet, even second    |

import type { Topology } from './topology.ts'

interface LabEndpoint {
  readonly network: string
  readonly name: string
  readonly ip: string
  readonly ip6?: string
}

/** The endpoints that the facts give to host `number`. */
export function endpointsOf(number: number): LabEndpoint[] {
  const routedSubnet = number % 2 === 1 ? 1 : 2
  return [
    ...[
      { letter: 'c', from: 10 },
      { letter: 'a', from: 80 },
      { letter: 'b', from: 150 },
    ].map(({ letter, from }) => ({
      network: 'demo',
      name: `${letter}${number}`,
      ip: `10.0.1.${from + number}`,
      // The same digits, read as hex: fd57:1::11 goes with 10.0.1.11.
      ip6: `fd57:1::${from + number}`,
    })),
    { network: 'other', name: `d${number}`, ip: `10.0.3.${10 + number}` },
    { network: 'routed', name: `r${number}`, ip: `10.1.${routedSubnet}.${10 + number}` },
  ]
}

/** The file's text (docs/facts.md). */
export function factsFile(topology: Topology): string {
  const endpoints = topology.hosts.flatMap((host, index) =>
    endpointsOf(index + 1).map((endpoint) => {
      const ip6 = endpoint.ip6 === undefined ? '' : `, ip6: "${endpoint.ip6}"`
      const { network, name, ip } = endpoint
      return `  - { host: ${host.name}, network: ${network}, name: ${name}, ip: ${ip}${ip6} }`
    }),
  )
  return `${[
    `# Lab '${topology.name}', written by \`weft lab up\`; read again when it changes (docs/facts.md).`,
    'networks:',
    '  - name: demo',
    '    subnets:',
    '      - { cidr: 10.0.1.0/24, vni: 4097, cidr6: "fd57:1::/64" }',
    '  - name: other',
    '    subnets:',
    '      - { cidr: 10.0.3.0/24, vni: 4098 }',
    '  - name: routed',
    '    subnets:',
    '      - { cidr: 10.1.1.0/24, vni: 4099 }',
    '      - { cidr: 10.1.2.0/24, vni: 4100 }',
    'endpoints:',
    ...endpoints,
  ].join('\n')}\n`
}

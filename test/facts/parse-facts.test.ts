// The facts file: what a good one means, and what is said of each way to get it wrong.

import t from 'tap'
import { closest } from '../../src/facts/closest.ts'
import { FactsError, MAX_PROBLEMS } from '../../src/facts/facts-error.ts'
import type { Facts } from '../../src/facts/facts.ts'
import { parseFacts } from '../../src/facts/parse-facts.ts'

/** The example of docs/facts.md. */
const GOOD = `
members:
  - { name: h1, vtep: 172.31.1.11 }
  - { name: h2, vtep: 192.168.1.12 }
networks:
  - name: demo
    mtu: 1450
    subnets:
      - { cidr: 10.0.1.0/24, vni: 4097 }
      - { cidr: 10.1.1.0/24, vni: 4098, cidr6: "fd57:1::/64" }
endpoints:
  - { host: h1, network: demo, name: c1, ip: 10.0.1.3 }
  - { host: h2, network: demo, name: c2, ip: 10.1.1.4, ip6: "fd57:1::4" }
`

function good(text: string): Facts {
  const result = parseFacts(text, 'facts.yaml')
  if (!result.ok) throw result.error
  return result.facts
}

/** Stands in a row's text before what a problem points at; it is no part of the file. */
const MARK = '»'

/** The lines of the error, without the file's name. */
function problems(marked: string): string[] {
  const result = parseFacts(marked.replaceAll(MARK, ''), 'facts.yaml')
  if (result.ok) return []
  return result.error.message.split('\n').map((line) => {
    if (!line.startsWith('facts.yaml:')) throw new Error(`no file name: ${line}`)
    return line.slice('facts.yaml:'.length)
  })
}

/** Each message with the line and column of its mark; there are as many marks as messages. */
function withPlaces(marked: string, messages: readonly string[]): string[] {
  const places = marked.split('\n').flatMap((line, index) =>
    line
      .split(MARK)
      .slice(0, -1)
      .map((_, mark, parts) => [index + 1, parts.slice(0, mark + 1).join('').length + 1] as const),
  )
  if (places.length !== messages.length) throw new Error(`marks and messages differ in: ${marked}`)
  return messages.map((message, index) => `${places[index]?.join(':')}: ${message}`)
}

/** The members h1 and h2, network demo and what a row adds: `more` begins at line 8 of the file. */
const withNetwork = (subnets: string, more = ''): string => `members:
  - { name: h1, vtep: 172.31.1.11 }
  - { name: h2, vtep: 172.31.1.12 }
networks:
  - name: demo
    subnets:
      - { ${subnets} }
${more}`
const SUBNET = 'cidr: 10.0.1.0/24, vni: 4097, cidr6: "fd57:1::/64"'
const withEndpoints = (...endpoints: string[]): string =>
  withNetwork(SUBNET, `endpoints:\n${endpoints.map((entry) => `  - { ${entry} }\n`).join('')}`)
const C1 = 'host: h1, network: demo, name: c1, ip: 10.0.1.3'

t.test('the example of the documentation is read', async (t) => {
  t.same(good(GOOD), {
    members: [
      { name: 'h1', vtep: '172.31.1.11' },
      { name: 'h2', vtep: '192.168.1.12' },
    ],
    networks: [
      {
        name: 'demo',
        mtu: 1450,
        learning: [],
        subnets: [
          {
            cidr: { family: 4, address: '10.0.1.0', prefixLength: 24 },
            vni: 4097,
            gateway: '10.0.1.1',
            cidr6: undefined,
            gateway6: undefined,
          },
          {
            cidr: { family: 4, address: '10.1.1.0', prefixLength: 24 },
            vni: 4098,
            gateway: '10.1.1.1',
            cidr6: { family: 6, address: 'fd57:1::', prefixLength: 64 },
            gateway6: 'fd57:1::1',
          },
        ],
      },
    ],
    endpoints: [
      {
        host: 'h1',
        network: 'demo',
        name: 'c1',
        ip: '10.0.1.3',
        ip6: undefined,
        mac: '02:42:0a:00:01:03',
      },
      {
        host: 'h2',
        network: 'demo',
        name: 'c2',
        ip: '10.1.1.4',
        ip6: 'fd57:1::4',
        mac: '02:42:0a:01:01:04',
      },
    ],
  })
})

t.test('what may be left out may be left out', async (t) => {
  t.same(good('members:\n  - { name: h1, vtep: 172.31.1.11 }\n'), {
    members: [{ name: 'h1', vtep: '172.31.1.11' }],
    networks: [],
    endpoints: [],
  })
  t.same(good('networks:\n'), { members: [], networks: [], endpoints: [] }, "the cluster's hosts")
  t.same(good('members:\nnetworks:\nendpoints:\n'), { members: [], networks: [], endpoints: [] })
  t.equal(good(withNetwork(SUBNET)).networks[0]?.mtu, undefined)
})

t.test('what is given is kept, in its canonical form', async (t) => {
  const facts = good(
    withNetwork(
      'cidr: 10.0.1.0/24, gateway: 10.0.1.254, vni: 4097, cidr6: "FD57:1::/64", gateway6: "fd57:1::0fe"',
      'endpoints:\n  - { host: h1, network: demo, name: c1, ip: 10.0.1.1, mac: 0A:00:00:00:00:05 }\n',
    ),
  )
  t.match(facts.networks[0]?.subnets[0], { gateway: '10.0.1.254', gateway6: 'fd57:1::fe' })
  t.match(facts.endpoints[0], { ip: '10.0.1.1', mac: '0a:00:00:00:00:05' })
})

t.test('names are only unique where they must be', async (t) => {
  const facts = good(withEndpoints(C1, 'host: h2, network: demo, name: c1, ip: 10.0.1.4'))
  t.equal(facts.endpoints.length, 2, 'one name on two hosts: DNS answers with both')
})

t.test('each mistake is one line: place, fault, advice', async (t) => {
  const rows: readonly (readonly [claim: string, text: string, ...problems: string[]])[] = [
    // The document.
    ['an empty file', '»', 'the file is empty; write the sections members, networks, endpoints'],
    ['a list', '»- a\n', 'the file is not a map; write the sections members, networks, endpoints'],
    [
      'an unknown section, misspelt',
      'members: []\n»network: []\n',
      "unknown key 'network'; did you mean 'networks'?",
    ],
    [
      'an unknown section, of another kind',
      'members: []\n»services: []\n',
      "unknown key 'services'; known here: members, networks, endpoints",
    ],
    [
      'a section that is a map',
      'members: »{}\n',
      "'members' is a map, not a list; write it as in - { name: ... }",
    ],
    [
      'an entry that is text',
      'members: [»h1]\n',
      'this entry is not a map; write it as in { name: ..., vtep: ... }',
    ],
    [
      'a list that is not closed',
      'members: [\n»',
      'not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]; look at this line and the one above it',
    ],
    [
      'a key twice',
      'members: []\n»members: []\n',
      'not valid YAML: Map keys must be unique; remove one of the two',
    ],
    [
      'an alias',
      'members: &all []\nendpoints: »*all\n',
      "'*all' is an alias, which is not taken here; write the value out",
    ],
    [
      'a value that ends in a colon, without quotes',
      withNetwork('cidr: 10.0.1.0/24, vni: 1, gateway6: »fd57:: , cidr6: fd57::/64'),
      'not valid YAML: Block collections are not allowed within flow collections; put a value that ends in a colon, or holds one before a space, in quotes',
    ],
    // Shapes.
    [
      'a key that is missing',
      'members:\n  - »{ name: h1 }\n',
      '\'vtep\' is missing; write it as in "172.31.1.11"',
    ],
    [
      'a key that is misspelt and so missing',
      'members:\n  - »{ name: h1, »vtpe: 172.31.1.11 }\n',
      '\'vtep\' is missing; write it as in "172.31.1.11"',
      "unknown key 'vtpe'; did you mean 'vtep'?",
    ],
    [
      'a key of nothing that we know',
      `members: []\nnetworks:\n  - name: demo\n    »color: red\n    subnets: [{ cidr: 10.0.1.0/24, vni: 1 }]\n`,
      "unknown key 'color'; known here: name, mtu, learning, subnets",
    ],
    [
      'a key of another level',
      withNetwork('cidr: 10.0.1.0/24, vni: 4097, »mtu: 1450'),
      "unknown key 'mtu'; known here: cidr, vni, gateway, cidr6, gateway6",
    ],
    [
      'a number for text',
      'members:\n  - { name: »1, vtep: 172.31.1.11 }\n',
      '\'name\' is a number, not text; write it as in "h1"',
    ],
    [
      'nothing for text',
      'members:\n  - { name: », vtep: 172.31.1.11 }\n',
      '\'name\' is empty, not text; write it as in "h1"',
    ],
    [
      'text for a number',
      withNetwork('cidr: 10.0.1.0/24, vni: »"4097"'),
      "'vni' is text, not a whole number of 1-16777215; write it as in 4097",
    ],
    [
      'a VNI of 25 bits',
      withNetwork('cidr: 10.0.1.0/24, vni: »16777216'),
      "'vni' is 16777216; write a whole number of 1-16777215",
    ],
    [
      'half a VNI',
      withNetwork('cidr: 10.0.1.0/24, vni: »1.5'),
      "'vni' is 1.5; write a whole number of 1-16777215",
    ],
    [
      'an MTU that is too small',
      'members: []\nnetworks:\n  - { name: demo, mtu: »500, subnets: [{ cidr: 10.0.1.0/24, vni: 1 }] }\n',
      "'mtu' is 500; write a whole number of 576-65485",
    ],
    [
      'a network without subnets',
      'members: []\nnetworks:\n  - { name: demo, subnets: »[] }\n',
      "'subnets' has no entry; write at least one, as in - { cidr: 10.0.1.0/24, vni: 4097 }",
    ],
    [
      'subnets that are a map',
      'members: []\nnetworks:\n  - { name: demo, subnets: »{ cidr: 10.0.1.0/24, vni: 1 } }\n',
      "'subnets' is a map, not a list; write it as in - { cidr: ..., vni: ... }",
    ],
    [
      'a subnet that is text',
      'members: []\nnetworks:\n  - { name: demo, subnets: [»10.0.1.0/24] }\n',
      'this entry is not a map; write it as in { cidr: ..., vni: ..., gateway: ..., cidr6: ..., gateway6: ... }',
    ],
    // Values.
    [
      'a name that is no name',
      'members:\n  - { name: »h.1, vtep: 172.31.1.11 }\n',
      "'name' is wrong: 'h.1' is not a member name; use letters, digits, '-' and '_', a letter or digit first",
    ],
    [
      'a CIDR with host bits',
      withNetwork('cidr: »10.0.1.7/24, vni: 4097'),
      "'cidr' is wrong: '10.0.1.7/24' has host bits; write 10.0.1.0/24 for the subnet",
    ],
    [
      'an IPv6 CIDR for IPv4',
      withNetwork('cidr: »"fd57:1::/64", vni: 4097'),
      "'cidr' is wrong: 'fd57:1::/64' is an IPv6 subnet; write an IPv4 one here, as in 10.0.1.0/24",
    ],
    [
      'an address with leading zeros',
      withEndpoints('host: h1, network: demo, name: c1, ip: »10.0.1.03'),
      "'ip' is wrong: IPv4 address '10.0.1.03' has leading zeros, which some programs read as octal; write 10.0.1.3",
    ],
    // Members.
    [
      'a member twice',
      'members:\n  - { name: h1, vtep: 172.31.1.11 }\n  - { name: »h1, vtep: 172.31.1.12 }\n',
      "member 'h1' is there already (line 2); give each host one entry",
    ],
    [
      'a VTEP twice',
      'members:\n  - { name: h1, vtep: 172.31.1.11 }\n  - { name: h2, vtep: »172.31.1.11 }\n',
      '172.31.1.11 is the underlay address of another member (line 2); each host has its own',
    ],
    [
      'a multicast VTEP',
      'members:\n  - { name: h1, vtep: »239.0.0.1 }\n',
      "239.0.0.1 cannot be a host's address; write its underlay address",
    ],
    // Networks.
    [
      'a network twice',
      withNetwork(SUBNET, '  - { name: »demo, subnets: [{ cidr: 10.0.2.0/24, vni: 4098 }] }\n'),
      "network 'demo' is there already (line 5); put its subnets in one entry",
    ],
    [
      'a VNI twice, in two networks',
      withNetwork(SUBNET, '  - { name: prod, subnets: [{ cidr: 10.0.2.0/24, vni: »4097 }] }\n'),
      'VNI 4097 is used by another subnet (line 7); each subnet has its own',
    ],
    [
      'a VNI twice, in one network',
      withNetwork(SUBNET, '      - { cidr: 10.0.2.0/24, vni: »4097 }\n'),
      'VNI 4097 is used by another subnet (line 7); each subnet has its own',
    ],
    [
      'subnets that overlap, told at the later line',
      withNetwork(SUBNET, '  - { name: prod, subnets: [{ cidr: »10.0.0.0/16, vni: 4098 }] }\n'),
      "10.0.0.0/16 overlaps 10.0.1.0/24 of network 'demo' (line 7); use another range",
    ],
    [
      'IPv6 subnets that overlap',
      withNetwork(
        SUBNET,
        '      - { cidr: 10.0.2.0/24, vni: 4098, cidr6: »"fd57:1::8000:0:0:0/65" }\n',
      ),
      "fd57:1:0:0:8000::/65 overlaps fd57:1::/64 of network 'demo' (line 7); use another range",
    ],
    [
      'a subnet that holds an underlay address',
      'members: [{ name: h1, vtep: »10.0.1.11 }]\nnetworks:\n  - { name: demo, subnets: [{ cidr: 10.0.1.0/28, vni: 1 }] }\n',
      "underlay address 10.0.1.11 lies in subnet 10.0.1.0/28 of network 'demo' (line 3); give the network another subnet",
    ],
    [
      'a subnet of two addresses',
      withNetwork('cidr: »10.0.1.0/31, vni: 4097, cidr6: »"fd57:1::/127"'),
      '10.0.1.0/31 has no room for a gateway and an endpoint; use /30 or shorter',
      'fd57:1::/127 has no room for a gateway and an endpoint; use /126 or shorter',
    ],
    [
      'a multicast subnet',
      withNetwork('cidr: »239.1.0.0/24, vni: 4097'),
      '239.1.0.0/24 overlaps 224.0.0.0/3, which is multicast and reserved; use a private one, as 10.0.1.0/24',
    ],
    [
      'a link-local IPv6 subnet',
      withNetwork('cidr: 10.0.1.0/24, vni: 4097, cidr6: »"fe80::/64"'),
      'fe80::/64 overlaps fe80::/10, which is link-local; use a private one, as fd57:1::/64',
    ],
    [
      'a gateway outside of its subnet',
      withNetwork('cidr: 10.0.1.0/24, vni: 4097, gateway: »10.0.2.1'),
      'gateway 10.0.2.1 is outside of 10.0.1.0/24; use an address in it, as 10.0.1.1',
    ],
    [
      'a gateway that is the broadcast address',
      withNetwork('cidr: 10.0.1.0/24, vni: 4097, gateway: »10.0.1.255'),
      '10.0.1.255 is the broadcast address of 10.0.1.0/24; use another one, as 10.0.1.1',
    ],
    [
      'an IPv6 gateway that is the anycast address',
      withNetwork('cidr: 10.0.1.0/24, vni: 4097, cidr6: "fd57:1::/64", gateway6: »"fd57:1::"'),
      'fd57:1:: is the router anycast address of fd57:1::/64; use another one, as fd57:1::1',
    ],
    [
      'an IPv6 gateway without a subnet',
      withNetwork('cidr: 10.0.1.0/24, vni: 4097, gateway6: »"fd57:1::1"'),
      "'gateway6' needs a 'cidr6'; add it, or leave gateway6 out",
    ],
    [
      'an MTU that IPv6 cannot have',
      'members: []\nnetworks:\n  - { name: demo, mtu: »1200, subnets: [{ cidr: 10.0.1.0/24, vni: 1, cidr6: "fd57:1::/64" }] }\n',
      'an MTU of 1200 is too small for IPv6; write at least 1280, or leave cidr6 out',
    ],
    // Endpoints.
    [
      'a host that is not there, misspelt',
      withEndpoints('host: »h11, network: demo, name: c1, ip: 10.0.1.3'),
      "there is no member 'h11'; did you mean 'h1'?",
    ],
    [
      'a network that is not there',
      withEndpoints('host: h1, network: »production, name: c1, ip: 10.0.1.3'),
      "there is no network 'production'; add it under 'networks'",
    ],
    [
      'an endpoint twice',
      withEndpoints(C1, 'host: h1, network: demo, name: »c1, ip: 10.0.1.4'),
      "endpoint 'c1' is on host 'h1' and network 'demo' already (line 9); use another name",
    ],
    [
      'an address twice: its default MAC is named, too',
      `${withEndpoints(C1)}  - »{ host: h2, network: demo, name: c2, ip: »10.0.1.3 }\n`,
      "MAC 02:42:0a:00:01:03 is held on network 'demo' already (line 9); write another 'mac'",
      "10.0.1.3 is held on network 'demo' already (line 9); use another address",
    ],
    [
      'an IPv6 address twice, in another spelling',
      withEndpoints(
        `${C1}, ip6: "fd57:1::4"`,
        'host: h2, network: demo, name: c2, ip: 10.0.1.4, ip6: »"fd57:1:0::4"',
      ),
      "fd57:1::4 is held on network 'demo' already (line 9); use another address",
    ],
    [
      'a MAC twice',
      withEndpoints(C1, 'host: h2, network: demo, name: c2, ip: 10.0.1.4, mac: »02:42:0A:00:01:03'),
      "MAC 02:42:0a:00:01:03 is held on network 'demo' already (line 9); write another 'mac'",
    ],
    [
      "the gateway's MAC",
      withEndpoints(`${C1}, mac: »02:42:0a:00:01:01`),
      "MAC 02:42:0a:00:01:01 is held on network 'demo' already (line 7); write another 'mac'",
    ],
    [
      'a multicast MAC',
      withEndpoints(`${C1}, mac: »33:33:00:00:00:01`),
      "33:33:00:00:00:01 cannot be one interface's address (multicast or zero); use one as 02:42:0a:00:01:03",
    ],
    [
      'an address of no subnet',
      withEndpoints('host: h1, network: demo, name: c1, ip: »10.0.2.3'),
      "10.0.2.3 is in no subnet of network 'demo'; use an address in 10.0.1.0/24",
    ],
    [
      "the gateway's address",
      withEndpoints('host: h1, network: demo, name: c1, ip: »10.0.1.1, mac: 0a:00:00:00:00:01'),
      '10.0.1.1 is the gateway of 10.0.1.0/24; use another address in it',
    ],
    [
      'the network address',
      withEndpoints('host: h1, network: demo, name: c1, ip: »10.0.1.0'),
      '10.0.1.0 is the network address of 10.0.1.0/24; use another address in it',
    ],
    [
      'the broadcast address',
      withEndpoints('host: h1, network: demo, name: c1, ip: »10.0.1.255'),
      '10.0.1.255 is the broadcast address of 10.0.1.0/24; use another address in it',
    ],
    [
      'the IPv6 gateway',
      withEndpoints(`${C1}, ip6: »"fd57:1::1"`),
      'fd57:1::1 is the gateway of fd57:1::/64; use another address in it',
    ],
    [
      'an IPv6 address of another subnet',
      withEndpoints(`${C1}, ip6: »"fd57:2::4"`),
      'fd57:2::4 is not of the subnet that 10.0.1.3 is of; use an address in fd57:1::/64',
    ],
    [
      'an IPv6 address where there is no IPv6',
      withNetwork('cidr: 10.0.1.0/24, vni: 1', `endpoints:\n  - { ${C1}, ip6: »"fd57:1::4" }\n`),
      "subnet 10.0.1.0/24 of network 'demo' has no IPv6; give it a 'cidr6', or leave ip6 out",
    ],
  ]
  for (const [claim, marked, ...expected] of rows)
    t.same(problems(marked), withPlaces(marked, expected), claim)
})

t.test('all mistakes are told at once, in the order of the file', async (t) => {
  const text = `endpoints:
  - { host: h9, network: demo, name: c1, ip: 10.0.1.3 }
  - { host: h1, network: demo, name: c1, ip: 10.9.1.3, colour: red }
members:
  - { name: h1, vtep: 172.31.1 }
networks:
  - name: demo
    subnets: [{ cidr: 10.0.1.0/24, vni: 0 }]
`
  const lines = problems(text)
  t.match(lines, [
    /^2:13: there is no member 'h9'/,
    /^3:56: unknown key 'colour'/,
    /^5:23: 'vtep' is wrong/,
    /^8:41: 'vni' is 0/,
  ])
  t.equal(lines.length, 4, 'a wrong entry makes no further mistakes of what refers to it')
})

t.test('the number of mistakes told is bounded', async (t) => {
  const endpoints = Array.from(
    { length: 30 },
    (_, index) => `host: h1, network: demo, name: c${index}, ip: 10.9.0.${index}`,
  )
  const result = parseFacts(withEndpoints(...endpoints), 'facts.yaml')
  t.notOk(result.ok)
  if (result.ok || !(result.error instanceof FactsError)) return
  t.equal(result.error.code, 'invalid_argument')
  t.equal(result.error.problems.length, MAX_PROBLEMS)
  t.match(result.error.message.split('\n').at(-1), 'facts.yaml: and 10 more')
})

t.test('a thousand endpoints are read in a moment', async (t) => {
  const entries = Array.from({ length: 1000 }, (_, index) => {
    const ip = `10.0.${Math.floor(index / 250)}.${(index % 250) + 2}`
    return `host: h1, network: demo, name: c${index}, ip: ${ip}`
  })
  const text = withNetwork(
    'cidr: 10.0.0.0/16, vni: 4097',
    `endpoints:\n${entries.map((entry) => `  - { ${entry} }\n`).join('')}`,
  )
  const began = performance.now()
  t.equal(good(text).endpoints.length, 1000)
  t.ok(performance.now() - began < 2000, `took ${Math.round(performance.now() - began)} ms`)
})

t.test('the word that was meant is the nearest, if it is near', async (t) => {
  const words = ['cidr', 'vni', 'gateway', 'gateway6', 'subnets']
  const rows = [
    ['cdir', 'cidr'],
    ['CIDR', 'cidr'],
    ['vn', 'vni'],
    ['vnis', 'vni'],
    ['gatway', 'gateway'],
    ['gateway5', 'gateway'],
    ['subnet', 'subnets'],
    ['xyz', undefined],
    ['', undefined],
    ['colour', undefined],
  ] as const
  for (const [word, meant] of rows) t.equal(closest(word, words), meant, `'${word}'`)
})

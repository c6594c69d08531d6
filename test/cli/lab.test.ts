// A lab's plan: addresses, iproute2 lines, facts; and what is read back of the machine. No root.

import t from 'tap'
import { directoriesOf, keyOfNamespace } from '../../src/daemon/directories.ts'
import { WeftError } from '../../src/errors.ts'
import { parseFacts } from '../../src/facts/parse-facts.ts'
import { mountsBelow } from '../../src/lab/clean.ts'
import { endpointsOf, factsFile } from '../../src/lab/facts.ts'
import {
  formatMatrix,
  pairsOf,
  parseIperf,
  parsePing,
  parseTraceroute,
} from '../../src/lab/measurements.ts'
import { isAlive, isInitFor, processOf } from '../../src/lab/processes.ts'
import { daemonEnvironment, nodeEnvironment } from '../../src/lab/programs.ts'
import { parseRecord } from '../../src/lab/state.ts'
import { parseLinks } from '../../src/lab/status.ts'
import {
  addressBatches,
  creationBatch,
  findHost,
  findNode,
  looksLikeNamespaceOf,
  MAX_HOSTS,
  namespacesOf,
  planTopology,
} from '../../src/lab/topology.ts'

t.test('odd hosts on one subnet, even ones on the other, the client outside', (t) => {
  const lab = planTopology('lab', 3)
  t.same(
    lab.hosts.map((host) => [host.name, host.netns, host.address, host.gateway]),
    [
      ['h1', 'lab-h1', '172.31.1.11', '172.31.1.1'],
      ['h2', 'lab-h2', '192.168.1.12', '192.168.1.1'],
      ['h3', 'lab-h3', '172.31.1.13', '172.31.1.1'],
    ],
  )
  t.match(lab.client, { netns: 'lab-c', address: '203.0.113.2', gateway: '203.0.113.1' })
  t.same(namespacesOf(lab), ['lab-r', 'lab-c', 'lab-h1', 'lab-h2', 'lab-h3'])
  const last = planTopology('lab', MAX_HOSTS).hosts.at(-1)
  t.equal(last?.address, `192.168.1.${10 + MAX_HOSTS}`)

  for (const name of ['', 'Lab', '1lab', 'ninechars', 'a-b', '../x']) {
    t.throws(() => planTopology(name, 3), new WeftError('invalid_argument', `'${name}' is not a`))
  }
  for (const hosts of [0, MAX_HOSTS + 1, 1.5, Number.NaN]) {
    t.throws(() => planTopology('lab', hosts), { code: 'invalid_argument' })
  }
  t.end()
})

t.test('the iproute2 lines: every link joins two namespaces of the lab', (t) => {
  const lab = planTopology('x', 2)
  t.same(creationBatch(lab), {
    netns: null,
    lines: [
      'netns add x-r',
      'netns add x-c',
      'netns add x-h1',
      'netns add x-h2',
      'link add name br1 netns x-r type bridge',
      'link add name br2 netns x-r type bridge',
      'link add name c netns x-r type veth peer name eth0 netns x-c',
      'link add name h1 netns x-r type veth peer name eth0 netns x-h1',
      'link add name h2 netns x-r type veth peer name eth0 netns x-h2',
    ],
  })
  const [router, client, first] = addressBatches(lab)
  t.same(router?.lines, [
    'link set lo up',
    'addr add 172.31.1.1/24 dev br1',
    'link set br1 up',
    'addr add 192.168.1.1/24 dev br2',
    'link set br2 up',
    'link set h1 master br1 up',
    'link set h2 master br2 up',
    'addr add 203.0.113.1/24 dev c',
    'link set c up',
  ])
  t.equal(client?.netns, 'x-c')
  t.same(first, {
    netns: 'x-h1',
    lines: [
      'link set lo up',
      'addr add 172.31.1.11/24 dev eth0',
      'link set eth0 up',
      'route add default via 172.31.1.1',
    ],
  })
  t.end()
})

t.test('nodes are found by both of their names, and what is not there is said', (t) => {
  const lab = planTopology('lab', 2)
  t.same(findNode(lab, 'h2'), { name: 'h2', netns: 'lab-h2' })
  t.same(findNode(lab, 'lab-r'), { name: 'r', netns: 'lab-r' })
  t.throws(() => findNode(lab, 'h3'), {
    code: 'not_found',
    message: "lab 'lab' has no 'h3'; it has h1, h2, r, c",
  })
  t.throws(() => findHost(lab, 'c'), { code: 'invalid_argument' })
  t.ok(looksLikeNamespaceOf('lab', 'lab-h12'))
  for (const other of ['lab', 'lab-h0', 'lab-x', 'lab2-h1', 'lab-h1-x', 'h1']) {
    t.notOk(looksLikeNamespaceOf('lab', other), other)
  }
  t.end()
})

t.test('the facts file is one that a daemon takes, also for the largest lab', (t) => {
  for (const hosts of [1, 3, MAX_HOSTS]) {
    const result = parseFacts(factsFile(planTopology('lab', hosts)), 'facts.yaml')
    t.match(result, { ok: true }, `${hosts} hosts`)
  }
  t.same(
    endpointsOf(2).map(({ network, name, ip }) => `${network} ${name} ${ip}`),
    [
      'demo c2 10.0.1.12',
      'demo a2 10.0.1.82',
      'demo b2 10.0.1.152',
      'other d2 10.0.3.12',
      'routed r2 10.1.2.12',
    ],
  )
  t.equal(endpointsOf(1)[0]?.ip6, 'fd57:1::11')
  t.end()
})

t.test('what ping, traceroute and iperf3 say', (t) => {
  const ping = [
    '64 bytes from 10.0.1.12: icmp_seq=1 ttl=64 time=0.21 ms',
    '3 packets transmitted, 3 received, 0% packet loss, time 402ms',
    'rtt min/avg/max/mdev = 0.101/0.213/0.320/0.020 ms',
  ].join('\n')
  t.same(parsePing(ping), { lossPercent: 0, rttMs: 0.213, ttl: 64 })
  const lost = '3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 402ms'
  t.same(parsePing(lost), { lossPercent: 100, rttMs: null, ttl: null })
  t.equal(parsePing('weft: no daemon'), null)

  const trace = 'traceroute to 10.0.1.12 (10.0.1.12), 30 hops max\n 1  10.0.1.12  0.4 ms\n'
  t.same(parseTraceroute(trace), ['10.0.1.12'])
  t.same(parseTraceroute(' 1  *\n 2  10.0.1.12  1 ms\n'), ['*', '10.0.1.12'])

  const iperf =
    '[  5]   0.00-3.00   sec  3.28 GBytes  9.41 Gbits/sec    0             sender\n' +
    '[  5]   0.00-3.00   sec  3.28 GBytes  9.39 Gbits/sec                  receiver\n'
  t.equal(parseIperf(iperf), '9.39 Gbits/sec')
  t.equal(parseIperf('iperf3: error - unable to connect'), null)

  t.same(pairsOf(2), [
    { from: 1, to: 2 },
    { from: 2, to: 1 },
  ])
  t.equal(pairsOf(6).length, 30, 'all pairs')
  t.equal(pairsOf(20).length, 40, 'two each')
  t.equal(
    formatMatrix(2, [
      { from: 1, to: 2, ping: { lossPercent: 0, rttMs: 0.213, ttl: 64 } },
      { from: 2, to: 1, ping: { lossPercent: 33, rttMs: 1, ttl: 64 } },
    ]),
    '          to c1      to c2\nfrom c1   -          0.21 ms\nfrom c2   33% loss   -\n',
  )
  t.end()
})

t.test("a process is told by its pid and start time, a sandbox's init by its directory", (t) => {
  const own = processOf(process.pid)
  t.ok(own)
  t.ok(isAlive(own!))
  t.notOk(isAlive({ pid: process.pid, startTime: own!.startTime + 1 }), 'a pid used again')
  t.equal(processOf(2 ** 22 + 1), null)

  const dir = '/var/lib/weft/netns/lab-h1'
  const cmdline = (...argv: string[]) => `${argv.join('\0')}\0`
  const given = ['--dir', `${dir}/sandboxes/c1`]
  t.ok(isInitFor(dir, cmdline('/x/weft-init', 'run', ...given, '--', 'sleep', '1')))
  t.notOk(isInitFor(dir, cmdline('/x/weft-init', 'run', '--dir', `${dir}0/sandboxes/c1`)))
  t.notOk(isInitFor(dir, cmdline('/x/weft-init', 'run', '--dir', '/else', '--', 'x', ...given)))
  t.notOk(isInitFor(dir, cmdline('vi', ...given)))
  t.notOk(isInitFor(dir, ''))
  t.end()
})

t.test('what else is read: mounts, links, lab.json', (t) => {
  const mountinfo = [
    '22 1 0:21 / /run rw - tmpfs tmpfs rw',
    '23 22 0:4 net:[1] /run/weft/netns/lab-h1/a rw - nsfs nsfs rw',
    '24 22 0:4 net:[2] /run/weft/netns/lab-h1/a/b rw - nsfs nsfs rw',
    '25 22 0:4 net:[3] /run/weft/netns/lab-h10/a rw - nsfs nsfs rw',
  ].join('\n')
  t.same(mountsBelow(mountinfo, ['/run/weft/netns/lab-h1']), [
    '/run/weft/netns/lab-h1/a/b',
    '/run/weft/netns/lab-h1/a',
  ])

  const links = '[{"ifname":"h1","flags":["BROADCAST","UP"]},{"ifname":"h2","flags":["BROADCAST"]}]'
  t.same(
    [...parseLinks(links)],
    [
      ['h1', 'up'],
      ['h2', 'cut'],
    ],
  )

  const record = {
    name: 'lab',
    hosts: 3,
    phase: 'up',
    maker: { pid: 1, startTime: 2 },
    createdAt: '2026-11-20T10:00:00.000Z',
  }
  t.same(parseRecord(JSON.stringify(record)), record)
  for (const broken of ['', '{', 'null', '[]', '{"name":"lab"}']) t.equal(parseRecord(broken), null)
  t.end()
})

t.test("inside a lab, weft is this weft and finds the host's own daemon", (t) => {
  const env = nodeEnvironment({ PATH: '/bin', WEFT_SOCKET: '/x', WEFT_FACTS: '/y' })
  t.match(env['PATH'], /\/scripts:\/bin$/)
  t.notOk('WEFT_SOCKET' in env)
  t.equal(env['WEFT_FACTS'], '/y')
  t.same(
    Object.keys(daemonEnvironment({ WEFT_FACTS: '/y', WEFT_LOG_LEVEL: 'debug', A: '1' })).sort(),
    ['A', 'PATH', 'WEFT_LOG_LEVEL'],
  )
  t.end()
})

t.test("a host's directories follow from its namespace", (t) => {
  t.same(directoriesOf(null), {
    runDir: '/run/weft',
    stateDir: '/var/lib/weft',
    socket: '/run/weft/weft.sock',
  })
  t.same(directoriesOf('lab-h1'), {
    runDir: '/run/weft/netns/lab-h1',
    stateDir: '/var/lib/weft/netns/lab-h1',
    socket: '/run/weft/netns/lab-h1/weft.sock',
  })
  const first = { dev: 4, ino: 100 }
  const self = { dev: 4, ino: 200 }
  const named = (name: string, ino: number, inUse = false) => ({ name, dev: 4, ino, inUse })
  t.equal(keyOfNamespace(first, first, [named('x', 100)]), null, "the machine's own")
  t.equal(keyOfNamespace(self, first, [named('x', 1), named('lab-h1', 200)]), 'lab-h1')
  t.equal(keyOfNamespace(self, first, [named('b', 200), named('a', 200)]), 'a', 'first in order')
  t.equal(keyOfNamespace(self, first, [named('b', 200, true), named('a', 200)]), 'b', 'in use')
  t.equal(keyOfNamespace(self, first, []), '200', 'no name: its inode')
  t.equal(keyOfNamespace(self, null, [named('lab-h1', 200)]), 'lab-h1', 'without a look at PID 1')
  t.equal(keyOfNamespace(self, null, []), null, "nor a name: the machine's own")
  t.equal(
    keyOfNamespace(self, first, [named('n'.repeat(100), 200)]),
    '200',
    'too long for a socket',
  )
  t.end()
})

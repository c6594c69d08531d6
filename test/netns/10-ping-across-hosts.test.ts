// Endpoints of one network are neighbours, whatever lies between their hosts; those of another are nowhere.
//
//      h1 172.31.1.11      h3 172.31.1.13            h2 192.168.1.12
//      │ c1 10.0.1.11      │ c3 10.0.1.13            │ c2 10.0.1.12      demo    VNI 4097, fd57:1::/64
//      │ d1 10.0.3.11      │                         │ d2 10.0.3.12      other   VNI 4098
//      │ r1 10.1.1.11      │ r3 10.1.1.13            │ r2 10.1.2.12      routed  VNI 4099 and 4100
//      └────────┬──────────┘                         └──────┬───
//          172.31.1.1 ──────────── r ──────────────── 192.168.1.1
//                      tcpdump on all its interfaces

import type { Test } from 'tap'
import { parsePing, parseTraceroute } from '../../src/lab/measurements.ts'
import { asksForNeighbour, Capture, type Captured, ETHERTYPE } from '../fixtures/capture.ts'
import { eventually } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const VNI = { demo: 4097, other: 4098, unknown: 9999 } as const

inLab('ping across hosts', 3, async (t, lab) => {
  const [demo, other, routed] = await Promise.all([
    Promise.all([1, 2, 3].map((n) => lab.sandbox(`h${n}`, 'demo', `c${n}`))),
    Promise.all([1, 2].map((n) => lab.sandbox(`h${n}`, 'other', `d${n}`))),
    Promise.all([1, 2, 3].map((n) => lab.sandbox(`h${n}`, 'routed', `r${n}`))),
  ])
  const file = `${t.testdir()}/underlay.pcap`
  const capture = await Capture.start(lab, file)
  await t.test('neighbours', (t) => neighbours(t, demo))
  await t.test('mtu', (t) => mtu(t, demo[0]!, demo[1]!))
  await t.test('routed', (t) => routes(t, routed))
  await t.test('source ports', (t) => manyFlows(t, demo[0]!, demo[1]!))
  const { packets, written, droppedByKernel } = await capture.stop()

  t.test('every underlay packet of these is VXLAN on UDP 4789', async (t) => {
    t.equal(droppedByKernel, 0, 'tcpdump missed nothing')
    t.equal(packets.length, written, 'pcap-parser reads as many packets as tcpdump wrote')
    t.ok(packets.length > 500, `${packets.length} packets`)
    const strange = packets.filter(({ ip, vxlan }) => ip !== null && vxlan === null)
    t.same(strange, [], 'no IPv4 packet is anything else')
    const hosts = new Set(lab.topology.hosts.map(({ address }) => address))
    const flags = new Set<number>()
    for (const { ip, vxlan } of withInner(packets)) {
      flags.add(vxlan.flags)
      if (!hosts.has(ip.source) || !hosts.has(ip.destination)) t.fail(`from ${ip.source}`)
    }
    t.same([...flags], [0x08], 'the flags are those of RFC 7348')
  })

  t.test('nobody asks for a known endpoint on the underlay', async (t) => {
    const asking = withInner(packets).filter(({ inner }) => asksForNeighbour(inner))
    t.same(
      asking.map(({ inner }) => `${inner.source} ${inner.bytes.toString('hex')}`),
      [],
      '0 ARP packets and 0 neighbour solicitations',
    )
    for (const host of ['h1', 'h2', 'h3']) {
      t.ok((await lab.counter(host, 'arp_answered')) > 0, `${host} answered ARP itself`)
      t.ok((await lab.counter(host, 'nd_answered')) > 0, `${host} answered ND itself`)
    }
  })

  t.test('outer source ports come from the inner flow, the same both ways', async (t) => {
    const flows = new Map<string, Set<number>>()
    const ports = new Set<number>()
    for (const { udp, inner } of withInner(packets)) {
      ports.add(udp.sourcePort)
      const flow = udpFlow(inner.bytes, inner.ethertype)
      if (flow !== null) flows.set(flow, (flows.get(flow) ?? new Set()).add(udp.sourcePort))
    }
    t.ok(flows.size >= 64, `${flows.size} UDP flows inside`)
    t.ok(ports.size >= 20, `${ports.size} source ports outside`)
    t.ok(Math.min(...ports) >= 49152, 'of the dynamic range')
    const several = [...flows].filter(([, used]) => used.size > 1)
    t.same(several, [], 'one port a flow, whichever way it goes')
  })

  await t.test('isolation', (t) => isolation(t, lab, demo[1]!, other[0]!))
  await t.test('strange datagrams', (t) => strangeDatagrams(t, lab, demo, other))
})

async function neighbours(t: Test, sandboxes: readonly Sandbox[]): Promise<void> {
  const linkLocal = new Map<Sandbox, string>()
  for (const sandbox of sandboxes) linkLocal.set(sandbox, await linkLocalOf(sandbox))
  const kinds: readonly [string, (to: Sandbox) => string][] = [
    ['IPv4', (to) => to.ip],
    ['IPv6', (to) => to.ip6],
    ['link-local', (to) => `${linkLocal.get(to) ?? ''}%${to.interface}`],
  ]
  for (const [kind, addressOf] of kinds) {
    t.test(`all pairs ping by ${kind}: no loss, ttl 64`, async (t) => {
      const pairs = sandboxes.flatMap((from) =>
        sandboxes.filter((to) => to !== from).map((to) => [from, to] as const),
      )
      await Promise.all(
        pairs.map(async ([from, to]) => {
          const { stdout } = await from.run(ping(addressOf(to), '-c', '5', '-i', '0.05'))
          const result = parsePing(stdout)
          t.match(result, { lossPercent: 0, ttl: 64 }, `${from.name} to ${to.name}`)
        }),
      )
    })
  }

  t.test('the gateway answers pings', async (t) => {
    const from = sandboxes[0]!
    for (const address of [from.gateway, 'fd57:1::1']) {
      const { stdout } = await from.run(ping(address, '-c', '2', '-i', '0.05'))
      t.match(parsePing(stdout), { lossPercent: 0, ttl: 64 }, address)
    }
  })

  t.test('an endpoint is one hop away', async (t) => {
    const [from, to] = [sandboxes[0]!, sandboxes[1]!]
    for (const address of [to.ip, to.ip6]) {
      t.same(await traceroute(from, address), [address])
    }
  })
}

async function mtu(t: Test, from: Sandbox, to: Sandbox): Promise<void> {
  /** One that may not be fragmented. */
  const whole = (address: string, size: number) =>
    from.run(ping(address, '-M', 'do', '-c', '1', '-s', String(size)))
  const TOO_LONG = /message too long, mtu[=:] ?1450/

  t.test('1422 bytes of ping fit into the 1450 of the overlay, 1423 do not', async (t) => {
    const [fits, fits6, over, over6] = await Promise.all([
      whole(to.ip, 1422),
      whole(to.ip6, 1402),
      whole(to.ip, 1423),
      whole(to.ip6, 1403),
    ])
    t.same([fits.code, fits6.code, over.code, over6.code], [0, 0, 1, 1])
    t.match(over.stderr, TOO_LONG, 'EMSGSIZE: the sandbox knows its MTU')
    t.match(over6.stderr, TOO_LONG)
  })

  t.test('a sandbox that thinks it has more is told, never met with silence', async (t) => {
    await from.ok('ip', 'link', 'set', from.interface, 'mtu', '9000')
    t.teardown(() => from.ok('ip', 'link', 'set', from.interface, 'mtu', '1450'))
    const [four, six] = await Promise.all([whole(to.ip, 1423), whole(to.ip6, 1403)])
    t.match(four.stdout, new RegExp(`From ${from.gateway} .*Frag needed.*\\(mtu = 1450\\)`))
    t.match(six.stdout, /From fd57:1::1 .*Packet too big: mtu=1450/)
    const again = await Promise.all([whole(to.ip, 1423), whole(to.ip6, 1403)])
    for (const { stderr } of again) t.match(stderr, TOO_LONG, 'and its kernel remembers')
    await from.ok('ip', 'route', 'flush', 'cache')
    await from.ok('ip', '-6', 'route', 'flush', 'cache')
  })

  t.test('what may be fragmented arrives, in fragments', async (t) => {
    for (const address of [to.ip, to.ip6]) {
      const { code } = await from.run(
        ping(address, '-M', 'dont', '-c', '3', '-i', '0.05', '-s', '4000'),
      )
      t.equal(code, 0, address)
    }
  })
}

async function routes(t: Test, [r1, r2, r3]: readonly Sandbox[]): Promise<void> {
  const [near, far, beside] = [r1!, r2!, r3!]
  t.test('between the subnets of a network are two hops, the first one the gateway', async (t) => {
    t.same(await traceroute(near, far.ip), [near.gateway, far.ip])
    t.same(await traceroute(far, near.ip), [far.gateway, near.ip])
    t.same(await traceroute(near, beside.ip), [beside.ip], 'but within a subnet there is one')
  })

  t.test('a routed ping has lost one of its ttl, and nothing else', async (t) => {
    for (const [from, to, ttl] of [
      [near, far, 63],
      [far, near, 63],
      [far, beside, 63],
      [near, beside, 64],
    ] as const) {
      const { stdout } = await from.run(ping(to.ip, '-c', '5', '-i', '0.05'))
      t.match(parsePing(stdout), { lossPercent: 0, ttl }, `${from.name} to ${to.name}`)
    }
  })

  t.test('both gateways answer to both subnets', async (t) => {
    for (const from of [near, far]) {
      for (const gateway of [near.gateway, far.gateway]) {
        const { stdout } = await from.run(ping(gateway, '-c', '2', '-i', '0.05'))
        t.match(parsePing(stdout), { lossPercent: 0 }, `${from.name} to ${gateway}`)
      }
    }
  })

  t.test('a ttl that ends at the gateway is told from there', async (t) => {
    const { stdout } = await near.run(ping(far.ip, '-c', '1', '-t', '1'))
    t.match(stdout, new RegExp(`From ${near.gateway} .*Time to live exceeded`))
  })
}

/** 64 UDP flows, and the answers to them. */
async function manyFlows(t: Test, from: Sandbox, to: Sandbox): Promise<void> {
  const echo = `const s = require('dgram').createSocket('udp4').bind(7000)
    s.on('message', (text, from) => s.send(text, from.port, from.address))`
  const server = to.start([process.execPath, '-e', echo])
  await eventually(async () => (await to.ok('ss', '-Hlun')).includes(':7000'))
  const ask = `let answers = 0
    for (let port = 20000; port < 20064; port++) {
      const s = require('dgram').createSocket('udp4').bind(port)
      s.once('message', () => { s.close(); answers += 1 })
      s.send('?', 7000, '${to.ip}')
    }
    process.once('exit', () => console.log(answers))`
  const { stdout } = await from.run([process.execPath, '-e', ask])
  t.equal(stdout.trim(), '64', 'each flow had its answer')
  await server.stop()
}

async function isolation(t: Test, lab: Lab, target: Sandbox, stranger: Sandbox): Promise<void> {
  const sentInVain = await lab.counter('h2', 'unknown_vni')
  const watch = target.start(['tcpdump', '-l', '-n', '-i', 'any', 'icmp or arp or host 10.0.3.11'])
  await watch.until(/listening on/)
  const unreachable = async (what: string): Promise<void> => {
    const { code, stdout } = await stranger.run(
      ping(target.ip, '-c', '2', '-i', '0.1', '-W', '0.5'),
    )
    t.not(code, 0, what)
    t.notMatch(stdout, /bytes from/, what)
  }
  const device = ['dev', stranger.interface]
  await unreachable('without a route')
  await stranger.ok('ip', 'route', 'add', '10.0.1.0/24', 'via', stranger.gateway)
  await unreachable('with a route by way of its own gateway')
  await stranger.ok('ip', 'route', 'replace', '10.0.1.0/24', ...device)
  await unreachable('with a route that says it is a neighbour')
  // The flood list of a VNI has only those on it, so this frame goes to the other host, and no further.
  await stranger.ok('ip', 'neigh', 'replace', target.ip, 'lladdr', target.mac, ...device)
  await unreachable("with its neighbour's right MAC")
  await stranger.ok('ip', 'addr', 'add', '10.0.1.99/24', ...device)
  await unreachable('with an address of its subnet')
  t.notMatch((await watch.stop('SIGINT')).stdout, /10\.0\.(3\.11|1\.99)/, 'nothing has arrived')
  const { stdout } = await stranger.run(ping('10.0.3.12', '-c', '2', '-i', '0.1'))
  t.match(parsePing(stdout), { lossPercent: 0 }, 'its own network it reaches')
  t.equal(await lab.counter('h2', 'unknown_vni'), sentInVain, 'h2 was sent nothing in vain')
}

async function strangeDatagrams(
  t: Test,
  lab: Lab,
  [c1, c2, c3]: readonly Sandbox[],
  [d1, d2]: readonly Sandbox[],
): Promise<void> {
  const [to, from] = [c1!, c2!]
  const received = to.start(['socat', '-u', 'UDP4-RECV:7001', '-'])
  await eventually(async () => (await to.ok('ss', '-Hlun')).includes(':7001'))
  interface Strange {
    readonly node?: string
    readonly vni?: number
    readonly flags?: number
    readonly mac?: string
    readonly source?: string
  }
  const send = async (text: string, strange: Strange = {}) => {
    const { node = 'h2', vni = VNI.demo, flags = 0x08, mac = to.mac, source = from.mac } = strange
    const header = Buffer.from([flags, 0, 0, 0, 0, 0, 0, 0])
    header.writeUIntBE(vni, 4, 3)
    const frame = udpFrame({ ip: to.ip, mac }, { ip: from.ip, mac: source }, 7001, text)
    const socat = ['socat', '-u', '-', 'UDP4-SENDTO:172.31.1.11:4789']
    await lab.on(node, socat, { input: Buffer.concat([header, frame]) })
  }
  const dropped = async (counter: string, text: string, strange: Strange): Promise<void> => {
    const before = await lab.counter('h1', counter)
    await send(`${text};`, strange)
    await eventually(async () => (await lab.counter('h1', counter)) > before, 3000, counter)
    t.pass(`${text}: ${counter}`)
  }

  await dropped('unknown_vni', 'with a VNI of nobody', { vni: VNI.unknown })
  await dropped('unknown_source', 'with the VNI of another network', { vni: VNI.other })
  // There the destination is unknown, so it is for everybody on that network; c1 is not.
  await dropped('flooded', 'and a MAC of it', { vni: VNI.other, source: d2!.mac })
  await dropped('unknown_vtep', 'from no member', { node: 'c' })
  await dropped('vxlan_flags', 'without the VNI flag', { flags: 0 })
  await dropped('split_horizon', 'for an endpoint of another host', { mac: from.mac })
  await dropped('spoofed_source', 'with the MAC of a third host', { source: c3!.mac })
  await send('right;')
  await received.until(/right;/)
  t.equal(received.stdout, 'right;', 'only the right one has arrived')
  await received.stop()
  for (const [one, other] of [
    [to, from],
    [d1!, d2!],
  ] as const) {
    t.match(parsePing((await one.run(ping(other.ip, '-c', '1'))).stdout), { lossPercent: 0 })
  }
}

/** Two seconds at most for an answer that does not come. */
function ping(address: string, ...options: string[]): string[] {
  return ['ping', '-n', '-W', '2', ...options, address]
}

async function traceroute(from: Sandbox, address: string): Promise<string[]> {
  const { stdout } = await from.run([
    'traceroute',
    '-n',
    '-q',
    '1',
    '-N',
    '1',
    '-w',
    '2',
    '-m',
    '5',
    address,
  ])
  return parseTraceroute(stdout)
}

async function linkLocalOf(sandbox: Sandbox): Promise<string> {
  const show = ['ip', '-6', '-o', 'addr', 'show', 'dev', sandbox.interface, 'scope', 'link']
  // While the kernel looks for duplicates of it, it cannot be used.
  const line = await eventually(async () => {
    const shown = await sandbox.ok(...show)
    return !shown.includes('tentative') && shown
  })
  return /inet6 ([0-9a-f:]+)/.exec(line)?.[1] ?? ''
}

type Tunnelled = Captured & {
  readonly [key in 'ip' | 'udp' | 'vxlan' | 'inner']: NonNullable<Captured[key]>
}

function withInner(packets: readonly Captured[]): Tunnelled[] {
  return packets.filter((packet): packet is Tunnelled => packet.inner !== null)
}

/** A name for the flow of an inner UDP/IPv4 frame that is the same in both directions. */
function udpFlow(frame: Buffer, ethertype: number): string | null {
  if (ethertype !== ETHERTYPE.ipv4 || frame[23] !== 17) return null
  const address = (at: number) => frame.subarray(at, at + 4).join('.')
  const ends = [
    `${address(26)}:${frame.readUInt16BE(34)}`,
    `${address(30)}:${frame.readUInt16BE(36)}`,
  ]
  return ends.toSorted().join(' ')
}

/** An Ethernet frame with a UDP datagram. */
function udpFrame(
  to: { readonly mac: string; readonly ip: string },
  from: { readonly mac: string; readonly ip: string },
  port: number,
  text: string,
): Buffer {
  const payload = Buffer.from(text)
  const hex = (mac: string) => Buffer.from(mac.replaceAll(':', ''), 'hex')
  const address = (ip: string) => Buffer.from(ip.split('.').map(Number))
  const header = Buffer.alloc(28)
  header.writeUInt8(0x45, 0)
  header.writeUInt16BE(28 + payload.length, 2)
  header.writeUInt8(64, 8)
  header.writeUInt8(17, 9)
  address(from.ip).copy(header, 12)
  address(to.ip).copy(header, 16)
  let sum = 0
  for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at)
  header.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10)
  header.writeUInt16BE(4000, 20)
  header.writeUInt16BE(port, 22)
  // A UDP checksum of zero is none (RFC 768).
  header.writeUInt16BE(8 + payload.length, 24)
  return Buffer.concat([hex(to.mac), hex(from.mac), Buffer.from('0800', 'hex'), header, payload])
}

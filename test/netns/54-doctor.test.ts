// weft doctor in a lab: nothing to say of a healthy one, and each thing that is broken is named.
//
//      h1 172.31.1.11      h3 172.31.1.13            h2 192.168.1.12
//      └──── br1 .1 ───────┴──────── r ──────────────┴── br2 .1

import type { Test } from 'tap'
import type { Finding, Report } from '../../src/api/doctor-types.ts'
import { encodePut, encodeRemove } from '../../src/dataplane/batch.ts'
import type { FdbRow } from '../../src/dataplane/rows.ts'
import { parseMacAddress } from '../../src/net/mac-address.ts'
import { eventually, ok } from '../fixtures/commands.ts'
import { inLab, inNetns, type Lab, ROOT } from '../fixtures/lab.ts'

// For the row that is changed behind the programmer's back: no verb does that.
process.env['WEFT_TEST_HOOKS'] = '1'

const PATIENCE_MS = 20_000

inLab('doctor', 3, async (t, lab) => {
  await lab.sandbox('h1', 'demo', 'c1')
  await lab.sandbox('h2', 'demo', 'c2')
  await t.test('a healthy lab: all is well, exit 0', (t) => healthy(t, lab))
  await t.test('a row changed behind its back is named, and put right', (t) => row(t, lab))
  await t.test('blocked UDP 4789 is named, each way', (t) => blockedVxlan(t, lab))
  await t.test('blocked UDP 7946 is named', (t) => blockedGossip(t, lab))
  await t.test('a path MTU of 1400 is named', (t) => pathMtu(t, lab))
  await t.test('what is left over is named', (t) => leftovers(t, lab))
  await t.test('a host that is down, and its address taken by another', (t) => down(t, lab))
})

async function examine(lab: Lab, host: string): Promise<{ code: number; report: Report }> {
  const { code, stdout, stderr } = await lab.weft(host, ['doctor', '--format', 'json'])
  if (stdout === '') throw new Error(stderr)
  return { code, report: JSON.parse(stdout) as Report }
}

/** Other labs come and go on this machine; what they leave is not ours. */
function wrong(lab: Lab, { findings }: Report): Finding[] {
  return findings.filter(
    ({ verdict, check, subject }) =>
      verdict !== 'ok' && (check !== 'leftovers' || subject.includes(lab.name)),
  )
}

const named = (findings: readonly Finding[]): string[] =>
  findings.map(({ verdict, check, subject }) => `${verdict} ${check} ${subject}`).sort()

async function healthy(t: Test, lab: Lab): Promise<void> {
  for (const host of ['h1', 'h2']) {
    const { code, report } = await examine(lab, host)
    t.same(wrong(lab, report), [], `nothing is wrong on ${host}`)
    t.equal(code, 0)
    t.same(
      [...new Set(report.findings.map(({ check }) => check))],
      [
        ...['tables', 'duplicates', 'leftovers', 'vtep', 'path-mtu'],
        ...['vxlan-port', 'gossip-udp', 'gossip-tcp', 'clock'],
      ],
      'everything was looked at',
    )
  }
  const text = await lab.weftOk('h1', 'doctor')
  t.match(text, /^ok +vtep +h1 -> h2 +192\.168\.1\.12 answers in /m)
  t.match(text, /^ok +path-mtu +h1 -> h2 +path MTU 1500, overlay MTU 1450$/m)
  t.match(text, /\nh1: (ok|warn), /)
  t.comment(text)
}

async function row(t: Test, lab: Lab): Promise<void> {
  const [entry] = (await lab.client('h1').fdb()).filter(({ endpoint }) => endpoint === 'c2')
  if (entry === undefined) throw new Error('h1 has no row for c2')
  const mac = parseMacAddress(entry.mac)
  const changed: FdbRow = { table: 'fdb', vni: entry.vni, mac, record: 0, to: 1 }
  const gateway = (await lab.client('h1').neighbours()).find((one) => one.endpoint === 'gateway')
  if (gateway === undefined) throw new Error('h1 has no row for a gateway')
  const missing = {
    table: 'neighbour',
    vni: gateway.vni,
    ip: gateway.ip,
    record: 0,
    mac: gateway.mac,
    gateway: true,
  } as Parameters<typeof encodeRemove>[0]
  const batch = Buffer.concat([encodePut(changed), encodeRemove(missing)]).toString('base64')
  await lab.client('h1').post('/v1/test/apply', { batch })

  const { code, report } = await examine(lab, 'h1')
  t.equal(code, 1)
  t.same(named(wrong(lab, report)), [
    `fail tables row fdb/${entry.vni}/${entry.mac}`,
    `fail tables row neighbour/${gateway.vni}/${gateway.ip}`,
  ])
  t.match(
    wrong(lab, report).find(({ subject }) => subject.includes('fdb'))?.found,
    /to is 1, should be 192\.168\.1\.12/,
  )
  const { code: after, stderr } = await lab.weft('h1', ['doctor', '--repair'])
  t.match(stderr, new RegExp(`^weft: row fdb/${entry.vni}/${entry.mac} was not what`, 'm'))
  t.equal(after, 0, 'repaired')
}

/** Has the router drop what matches between h1 and h2, until the returned function is called. */
async function block(lab: Lab, ...matches: string[]): Promise<() => Promise<void>> {
  // With br_netfilter the chain sees what is bridged between h1 and h3, too.
  const hosts = '{ 172.31.1.11, 192.168.1.12 }'
  const rules = matches
    .map((match) => `add rule inet weft-test f ip saddr ${hosts} ip daddr ${hosts} ${match} drop\n`)
    .join('')
  const input = `add table inet weft-test
add chain inet weft-test f { type filter hook forward priority 0; }
${rules}`
  await ok(inNetns(lab.netns('r'), ['nft', '-f', '-']), { input })
  return async () => {
    await ok(inNetns(lab.netns('r'), ['nft', 'delete', 'table', 'inet', 'weft-test']))
  }
}

async function blockedVxlan(t: Test, lab: Lab): Promise<void> {
  const unblock = await block(lab, 'ip daddr 192.168.1.12 udp dport 4789')
  const { code, report } = await examine(lab, 'h1')
  t.equal(code, 1)
  t.same(named(wrong(lab, report)), ['fail vxlan-port h1 -> h2'], 'one way')
  t.match(wrong(lab, report), [
    { found: 'UDP 4789 does not pass', advice: /let UDP 4789 from h1 to h2 through/ },
  ])
  t.same(named(wrong(lab, (await examine(lab, 'h2')).report)), ['fail vxlan-port h1 -> h2'])
  await unblock()
  const again = await block(lab, 'udp dport 4789')
  t.same(named(wrong(lab, (await examine(lab, 'h1')).report)), [
    'fail vxlan-port h1 -> h2',
    'fail vxlan-port h2 -> h1',
  ])
  await again()
}

async function blockedGossip(t: Test, lab: Lab): Promise<void> {
  const unblock = await block(lab, 'udp dport 7946')
  const { code, report } = await examine(lab, 'h1')
  t.equal(code, 1)
  t.same(
    named(wrong(lab, report)),
    ['fail gossip-udp h1 -> h2', 'fail gossip-udp h2 -> h1'],
    'UDP alone: streams still pass',
  )
  await unblock()
  const all = await block(lab, 'udp dport 7946', 'tcp dport 7946')
  const cut = await examine(lab, 'h1')
  t.equal(cut.code, 1)
  t.same(named(wrong(lab, cut.report)), [
    'fail gossip-tcp h1 -> h2',
    'fail gossip-udp h1 -> h2',
    'fail gossip-udp h2 -> h1',
    'warn gossip-tcp h2 -> h1',
    'warn vxlan-port h1 -> h2',
    'warn vxlan-port h2 -> h1',
  ])
  await all()
  await well(t, lab, 'h1')
}

/** Waits until gossip has healed what a test has cut. */
async function well(t: Test, lab: Lab, host: string): Promise<void> {
  let left: Finding[] = []
  await eventually(async () => {
    left = wrong(lab, (await examine(lab, host)).report)
    return left.length === 0
  }, PATIENCE_MS).catch(() => undefined)
  t.same(left, [], 'all is well again')
}

/** What the ping program, which stands in where raw-socket is not built, says of packets from h1 to h2. */
const BY_PING = `
  import('${ROOT}/src/linux/ping-echo.ts').then(async ({ PingEcho }) => {
    const echo = new PingEcho('172.31.1.11')
    const kinds = []
    for (const [to, bytes] of [['192.168.1.12', 1400], ['192.168.1.12', 1401], ['192.168.1.99', 100]]) {
      const { kind, mtu } = await echo.send(to, bytes, 1000)
      kinds.push(mtu === undefined ? kind : kind + ' ' + mtu)
    }
    console.log(kinds.join())
  })`

async function pathMtu(t: Test, lab: Lab): Promise<void> {
  const set = (bytes: number) =>
    ok(inNetns(lab.netns('r'), ['ip', 'link', 'set', 'h2', 'mtu', String(bytes)]))
  await set(1400)
  // The router tells h1; what h2 sends is too large for the router's port, which says nothing (and lets 4 bytes more pass, the
  // room of a VLAN tag).
  for (const host of ['h1', 'h2']) {
    const found = wrong(lab, (await examine(lab, host)).report)
    t.ok(found.length > 0, `something is wrong on ${host}`)
    t.ok(
      found.every(({ check }) => check === 'path-mtu'),
      named(found).join(', '),
    )
    t.match(found[0]?.found, host === 'h1' ? /path MTU 1400/ : /path MTU 140[0-4]/)
  }
  const { stdout, stderr } = await lab.on('h1', [
    process.execPath,
    `--import=${ROOT}/test/typescript.mjs`,
    '-e',
    BY_PING,
  ])
  t.match(stdout, /^reply,too_big 1400,(silence|unreachable)\n$/, `ping sees it, too ${stderr}`)
  await set(1500)
  await well(t, lab, 'h1')
}

async function leftovers(t: Test, lab: Lab): Promise<void> {
  const ip = (...argv: string[]) => ok(inNetns(lab.netns('h1'), ['ip', 'link', ...argv]))
  await ip('add', 'weft7', 'type', 'veth', 'peer', 'name', 'other7')
  await ip('add', 'vx9', 'type', 'vxlan', 'id', '9', 'dev', 'eth0', 'dstport', '4789')
  const { report } = await examine(lab, 'h1')
  const left = report.findings.filter(({ check }) => check === 'leftovers')
  t.match(
    left.find(({ subject }) => subject === 'interface weft7'),
    { verdict: 'warn', advice: 'ip link del weft7' },
  )
  t.match(
    left.find(({ subject }) => subject === 'interface vx9'),
    { verdict: 'warn', found: /kernel VXLAN device on UDP 4789/ },
  )
  await ip('del', 'weft7')
  await ip('del', 'vx9')
}

async function down(t: Test, lab: Lab): Promise<void> {
  await lab.sandbox('h2', 'demo', 'x', undefined, ['--ip', '10.0.1.200'])
  await lab.lab('kill', 'h2')
  await eventually(async () => {
    const nodes = await lab.client('h1').nodes()
    return nodes.find(({ name }) => name === 'h2')?.status === 'down'
  }, PATIENCE_MS)
  const { code, report } = await examine(lab, 'h1')
  t.equal(code, 1)
  t.match(
    wrong(lab, report).find(({ check }) => check === 'gossip-tcp'),
    { verdict: 'fail', subject: 'h1 -> h2', advice: /see that weft's daemon runs on h2/ },
  )
  await lab.sandbox('h1', 'demo', 'y', undefined, ['--ip', '10.0.1.200'])
  const doubled = wrong(lab, (await examine(lab, 'h1')).report).filter(
    ({ check, subject }) => check === 'duplicates' && !subject.startsWith('MAC'),
  )
  t.match(doubled, [
    {
      verdict: 'warn',
      subject: '10.0.1.200 on demo',
      found: 'is claimed by y on h1 and x on h2 (not up)',
    },
  ])
  await lab.weftOk('h1', 'rm', '-f', 'y')
  await lab.lab('restart', 'h2')
  await well(t, lab, 'h1')
}

// A daemon is killed with SIGKILL and started again; what ran goes on, what nobody owns is cleaned up.
//
//      h1 172.31.1.11                                h2 192.168.1.12
//      │ daemon: killed, started                     │ daemon: killed, started
//      │ c1 10.0.1.11   ── a TCP connection ──────►  │ c2 10.0.1.12   echoes, and talks by itself
//      └──── 172.31.1.1 ──────────── r ──────────────┴── 192.168.1.1
//
// Runs with few: an outage is timed, in tenths of a second.

import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { isAlive, processOf } from '../../src/lab/processes.ts'
import { parsePing } from '../../src/lab/measurements.ts'
import { eventually, ok } from '../fixtures/commands.ts'
import { inLab, type Lab, type Sandbox } from '../fixtures/lab.ts'

const SERVER = `
  const { createServer } = require('net')
  createServer((s) => s.pipe(s)).listen(9000)
  createServer((s) => { let n = 0; setInterval(() => s.write(++n + '\\n'), 20) }).listen(9001)`

/** Writes a line for each number that comes: which stream, the number, when. */
const CLIENT = `
  const { connect } = require('net')
  const follow = (name, port) => {
    const socket = connect(port, process.argv[1])
    let rest = ''
    socket.setNoDelay(true).on('data', (data) => {
      const lines = (rest + data).split('\\n')
      rest = lines.pop()
      for (const line of lines) console.log(name, line, Date.now())
    })
    socket.on('error', (error) => console.log(name, error.code))
    socket.on('close', () => console.log(name, 'closed'))
    return socket
  }
  const echo = follow('echo', 9000)
  follow('push', 9001)
  let n = 0
  setInterval(() => echo.write(++n + '\\n'), 20)`

inLab('a daemon dies and returns', 2, async (t, lab) => {
  const c2 = await lab.sandbox('h2', 'demo', 'c2', [process.execPath, '-e', SERVER])
  await eventually(async () => (await c2.ok('ss', '-Hltn')).includes(':9001'))
  const c1 = await lab.sandbox('h1', 'demo', 'c1', [process.execPath, '-e', CLIENT, c2.ip])
  await eventually(async () => (await arrivals(lab)).length > 20)
  // Until then an address is marked as one that may be somebody else's.
  const settled = ['ip', '-6', 'addr', 'show', 'tentative']
  await eventually(
    async () => (await Promise.all([c1, c2].map((c) => c.ok(...settled)))).join('') === '',
  )

  for (const [host, sandbox, outage] of [
    ['h1', c1, SHORT],
    ['h2', c2, SHORT],
    ['h1', c1, LONG],
  ] as const) {
    const title = `the daemon of ${host} is killed for ${outage.ms} ms: what ran there goes on`
    await t.test(title, (t) => survives(t, lab, host, sandbox, outage))
  }
  await t.test('the daemon of h1 is ended by SIGTERM: what ran there goes on', async (t) => {
    const before = await picture(lab, c1)
    const served = (await arrivals(lab)).length
    await lab.lab('restart', 'h1')
    t.same(await picture(lab, c1), before)
    await eventually(async () => (await arrivals(lab)).length > served + 10)
    t.equal((await lab.weft('h1', ['exec', 'c1', '--', 'true'])).code, 0, 'and exec enters it')
  })
  await t.test('no number was lost in all that, and none came twice', async (t) => {
    const all = await arrivals(lab)
    for (const stream of ['echo', 'push']) {
      const numbers = all.filter((one) => one.stream === stream).map(({ number }) => number)
      t.same(
        numbers,
        numbers.map((_, index) => index + 1),
        `${numbers.length} numbers of ${stream}`,
      )
    }
    t.notMatch(await lab.weftOk('h1', 'logs', 'c1'), /closed|E[A-Z]+/, 'no connection has ended')
  })

  await t.test('what ended while there was no daemon', (t) => endedMeanwhile(t, lab))
  await t.test('what nobody owns', (t) => cleanedUp(t, lab, c1))
  await t.test('weft down ends all sandboxes, then the daemon', async (t) => {
    await lab.weftOk('h1', 'down')
    t.equal(processOf(c1.pid), null)
    t.equal(processOf(lab.daemonPid('h1')), null)
    t.match(await lab.weft('h1', ['ps']), { code: 1, stderr: /no daemon answers/ })
    await lab.lab('restart', 'h1')
    t.equal(await lab.weftOk('h1', 'ps', '-q'), '')
  })
})

interface Arrival {
  readonly stream: string
  readonly number: number
  readonly atMs: number
}

async function arrivals(lab: Lab): Promise<Arrival[]> {
  const text = await lab.weftOk('h1', 'logs', 'c1')
  return text.split('\n').flatMap((line) => {
    const [stream = '', number, atMs] = line.split(' ')
    return atMs === undefined ? [] : [{ stream, number: Number(number), atMs: Number(atMs) }]
  })
}

interface Outage {
  readonly ms: number
  /** How long after the new daemon is ready both streams may take to continue. */
  readonly continuesMs: number
}

/**
 * Mostly not so long that the others believe the host dead, which takes 1.5 s and more: what they send waits in the sockets that
 * the sandboxes' inits keep.
 */
const SHORT: Outage = { ms: 300, continuesMs: 1_000 }
/** Believed dead, nothing is sent to it: TCP goes on with its next attempt, which it puts off for as long again. */
const LONG: Outage = { ms: 3_000, continuesMs: 6_000 }

async function survives(
  t: Test,
  lab: Lab,
  host: string,
  sandbox: Sandbox,
  outage: Outage,
): Promise<void> {
  const before = await picture(lab, sandbox)
  const killed = lab.daemonPid(host)
  const killedAt = Date.now()
  await lab.lab('kill', host)
  t.equal(processOf(killed), null, 'the daemon is gone')
  t.ok(existsSync(lab.directories(host).socket), 'its socket is still there')
  await sleep(outage.ms)
  const restarted = Date.now()
  await lab.lab('restart', host)
  const ready = readyAt(lab, host)
  t.not(lab.daemonPid(host), killed, 'another daemon')
  t.same(await picture(lab, sandbox), before, 'process, interface, MAC and addresses are the same')

  const continued = async (stream: string): Promise<number> => {
    const first = await eventually(async () =>
      (await arrivals(lab)).find((one) => one.stream === stream && one.atMs > restarted),
    )
    return first.atMs - ready
  }
  const other = host === 'h1' ? 'h2' : 'h1'
  const believedDead = lab.said(other, `host ${host} is down`, killedAt) !== undefined
  t.comment(`after ${ready - killedAt} ms, believed dead: ${String(believedDead)}`)
  if (outage === LONG) t.ok(believedDead, 'the other host believed it dead')
  // A machine that is slow to start a daemon makes a long outage of a short one.
  const { continuesMs } = believedDead ? LONG : outage
  const echo = await continued('echo')
  t.ok(echo < continuesMs, `what goes both ways continues ${echo} ms after the start`)
  // The other side's retransmission timer doubles with each attempt, but what it sent meanwhile has
  // waited in the socket that the sandbox's init keeps.
  const push = await continued('push')
  t.ok(push < continuesMs, `what only comes continues ${push} ms after the start`)
}

/** What must be the same under the next daemon. */
async function picture(lab: Lab, sandbox: Sandbox): Promise<unknown> {
  const addresses = JSON.parse(await sandbox.ok('ip', '-j', 'addr', 'show')) as {
    addr_info: Record<string, unknown>[]
  }[]
  const { State, NetworkSettings, Id } = await lab.client(sandbox.host).inspectSandbox(sandbox.name)
  return {
    process: processOf(sandbox.pid),
    addresses,
    routes: await sandbox.ok('ip', 'route', 'show'),
    inspected: [Id, State.Pid, State.Status, NetworkSettings],
  }
}

/** When the daemon that runs now said that it is ready. */
function readyAt(lab: Lab, host: string): number {
  const lines = lab.daemonLog(host).trim().split('\n')
  const line = lines.findLast((text) => text.includes('is ready')) ?? '{}'
  return Date.parse((JSON.parse(line) as { time: string }).time)
}

interface PsRow {
  readonly Names: string
  readonly State: string
  readonly Status: string
}

async function psAll(lab: Lab, host: string): Promise<Map<string, PsRow>> {
  const text = await lab.weftOk(host, 'ps', '-a', '--format', 'json')
  const rows = text.trim().split('\n').filter(Boolean)
  return new Map(rows.map((row) => JSON.parse(row) as PsRow).map((row) => [row.Names, row]))
}

async function endedMeanwhile(t: Test, lab: Lab): Promise<void> {
  const polite = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'
  const [seven, killed, initless] = await Promise.all([
    lab.sandbox('h1', 'demo', 'a1', ['sh', '-c', polite]),
    lab.sandbox('h1', 'demo', 'b1'),
    lab.sandbox('h1', 'other', 'd1'),
  ])
  await eventually(async () => (await lab.weftOk('h1', 'logs', 'a1')).includes('ready'))
  await lab.lab('kill', 'h1')
  process.kill(seven.pid, 'SIGTERM')
  process.kill(killed.pid, 'SIGKILL')
  process.kill(initOf(initless), 'SIGKILL')
  await eventually(() => [seven, killed, initless].every(({ pid }) => processOf(pid) === null))
  await lab.lab('restart', 'h1')

  const rows = await psAll(lab, 'h1')
  t.match(rows.get('a1'), { State: 'exited', Status: /^Exited \(7\)/ })
  t.match(rows.get('b1'), { State: 'exited', Status: /^Exited \(137\)/ })
  t.match(rows.get('d1'), { State: 'exited' }, 'whose init was killed has ended, too')
  const inspected = await lab.client('h1').inspectSandbox('a1')
  t.match(inspected.State, { Status: 'exited', Running: false, Pid: 0, ExitCode: 7 })
  t.ok(Date.parse(inspected.State.FinishedAt) > Date.parse(inspected.State.StartedAt))
  t.equal(await lab.weftOk('h1', 'logs', 'a1'), 'ready\n', 'its output is still there')

  const again = await lab.sandbox('h1', 'demo', 'a1')
  t.equal(again.ip, seven.ip, 'name and address are free again')
  await lab.weftOk('h1', 'rm', '-f', 'a1')
}

/** Sandboxes' directories and sockets are made wrong in every way while there is no daemon. */
async function cleanedUp(t: Test, lab: Lab, c1: Sandbox): Promise<void> {
  const { runDir, stateDir } = lab.directories('h1')
  const directoryOf = (id: string) => `${stateDir}/sandboxes/${id}`
  const [orphan, corrupt] = await Promise.all([
    lab.sandbox('h1', 'demo', 'a1'),
    lab.sandbox('h1', 'demo', 'b1'),
  ])
  const unstarted = await lab.client('h1').createSandbox({
    ...{ kind: 'run', name: 'r1', argv: ['sleep', '1'], env: {}, tty: false, detach: false },
    attachments: [{ network: 'routed' }],
  })
  const unstartedInit = processOf(Number(/\d+/.exec(unstarted.NetworkSettings.SandboxKey)?.[0]))
  t.ok(unstartedInit !== null)
  await lab.lab('kill', 'h1')
  rmSync(directoryOf(orphan.id), { recursive: true })
  writeFileSync(`${directoryOf(corrupt.id)}/spec.json`, '{"version": 1,')
  writeFileSync(`${stateDir}/sandboxes/stray`, 'a file where directories are\n')
  const unmade = await ok(['cat', `${directoryOf(c1.id)}/spec.json`])
  const id = 'ab'.repeat(32)
  await ok(['mkdir', directoryOf(id)])
  const spec = { ...(JSON.parse(unmade) as object), id, name: 'unmade', init: null }
  writeFileSync(`${directoryOf(id)}/spec.json`, JSON.stringify(spec))
  await lab.lab('restart', 'h1')

  t.equal(processOf(orphan.pid), null, 'an init that no sandbox here knows of is ended')
  t.equal(processOf(corrupt.pid), null, 'so is one whose record cannot be read')
  t.notOk(isAlive(unstartedInit!), 'so is one that was never started')
  const rows = await psAll(lab, 'h1')
  t.same(
    ['a1', 'b1', 'r1', 'unmade'].filter((name) => rows.has(name)),
    [],
    'none of them is listed',
  )
  const aside = readdirSync(`${stateDir}/sandboxes`).filter((name) => name.startsWith('corrupt-'))
  t.equal(aside.length, 2, 'what cannot be read is set aside')
  t.match(lab.daemonLog('h1'), /"level":50.*spec\.json cannot be read.*set aside as .*corrupt-/)
  const sockets = readdirSync(`${runDir}/s`).map((name) => name.slice(0, 12))
  t.same(sockets, [c1.id.slice(0, 12)], 'sockets are of living sandboxes only')

  for (const [network, name, address] of [
    ['demo', 'a1', '10.0.1.12'],
    ['demo', 'b1', '10.0.1.12'],
    ['routed', 'r1', '10.1.1.1'],
  ] as const) {
    const argv = ['run', '--network', network, '--name', name, '--', 'ping', '-c1', address]
    const { stdout } = await lab.weft('h1', argv)
    t.match(parsePing(stdout), { lossPercent: 0 }, `the address of ${name} is free, and works`)
  }
}

function initOf({ netns }: Sandbox): number {
  return Number(/\d+/.exec(netns)?.[0])
}

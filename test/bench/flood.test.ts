// weft-flood can be believed: what a bad network does to its datagrams, it counts.
//
// Everything runs in a network namespace of its own (of a user namespace without root), where a
// relay of ours is the bad network: 127.0.0.1:9000 → 9001, the sink.

import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import t from 'tap'
import { weftFlood } from '../../src/bench/programs.ts'
import { run } from '../fixtures/commands.ts'

const FLOOD = weftFlood()
const RELAY = 'relay'

/** At 20,000 a second, what a socket holds is enough for a sink that waits 50 ms for a CPU. */
const PACKETS = 5_000

/** What the relay does to the datagrams of a flow, by their number. */
const DUPLICATED = 10
const CORRUPTED = 20
const CORRUPTED_HEADER = 30
const LOST = 40
const HELD_BACK = 50

if (process.argv[2] === RELAY) {
  relay()
} else {
  const unshare = ['unshare', '--user', '--map-root-user', '--net']
  const possible = canRun([...unshare, 'true'])
  const skip = possible ? false : 'user namespaces are not allowed here'
  const inside = async (script: string) =>
    run([...unshare, 'bash', '-c', `ip link set lo up; flood=${FLOOD}; ${script}`])

  t.test('an undisturbed flood arrives whole', { skip }, async (t) => {
    for (const [to, bytes] of [
      ['127.0.0.1', 32],
      ['127.0.0.1', 1399],
      ['::1', 64],
    ] as const) {
      const { stdout } = await inside(`
        $flood sink --port 9001 --idle-ms 100 --expect-flows 8 &
        $flood send --to ${to} --port 9001 --packets ${PACKETS} --flows 8 --bytes ${bytes} --rate 20000
        wait`)
      const { send, sink } = reports(stdout)
      t.match(send, { sent: PACKETS, bytes: PACKETS * bytes, refused: 0 })
      t.match(
        sink,
        { received: PACKETS, lost: 0, duplicated: 0, reordered: 0, corrupted: 0, foreign: 0 },
        `${bytes} bytes to ${to}`,
      )
      t.match(sink, { bytes: PACKETS * bytes, flows: 8, socketDrops: 0, tooOld: 0 })
    }
  })

  t.test('what is lost, twice, late or changed is counted as that', { skip }, async (t) => {
    const { stdout, stderr } = await inside(`
      ${[process.execPath, ...process.execArgv, ...process.argv.slice(1, 2), RELAY].join(' ')} &
      relay=$!
      until ss -Hlun | grep -q :9000; do kill -0 $relay || exit 1; sleep 0.05; done
      # The relay may wait for a CPU for longer than for a datagram.
      $flood sink --port 9001 --idle-ms 1500 &
      sink=$!
      $flood send --to 127.0.0.1 --port 9000 --packets 400 --flows 4 --bytes 200 --rate 4000
      wait $sink; kill $relay; wait`)
    const { send, sink } = reports(stdout)
    t.match(send, { sent: 400 }, stderr)
    // One of each for each of four flows.
    const expected = { duplicated: 4, reordered: 4, corrupted: 8, lost: 12, foreign: 4, tooOld: 0 }
    t.match(sink, { ...expected, received: 400 - 12, flows: 4 })
  })

  t.test('a rate is kept', { skip }, async (t) => {
    const { stdout } = await inside(`
      $flood sink --port 9001 --idle-ms 100 &
      $flood send --to 127.0.0.1 --port 9001 --seconds 0.5 --rate 5000
      wait`)
    const { send } = reports(stdout)
    const { sent = 0, skipped = 0 } = send as { sent?: number; skipped?: number }
    t.ok(Math.abs(sent + skipped - 2500) <= 25, `${sent} sent, ${skipped} skipped`)
  })

  t.test('connections are made and answered', { skip }, async (t) => {
    const { stdout } = await inside(`
      $flood accept --port 9001 --idle-ms 100 &
      $flood connect --to 127.0.0.1 --port 9001 --seconds 0.3 --concurrency 4
      wait`)
    type Counts = Record<string, Record<string, number>>
    const { connect, accept } = reports(stdout) as Counts
    t.ok((connect?.['connections'] ?? 0) > 0)
    t.match(connect, { failed: 0, concurrency: 4 })
    t.ok((accept?.['answered'] ?? 0) >= (connect?.['connections'] ?? 0))
    // Those that it waits for are not counted.
    const { stdout: patient } = await inside(`
      $flood accept --port 9001 --idle-ms 100 &
      $flood connect --to 127.0.0.1 --port 9001 --seconds 0.1 --concurrency 1 --listeners 50
      wait`)
    const { connect: few, accept: all } = reports(patient) as Counts
    t.ok((all?.['accepted'] ?? 0) >= (few?.['connections'] ?? 0) + 50, patient)
  })

  t.test('nobody at the other end is a failure, and wrong words are wrong usage', async (t) => {
    if (possible) {
      const alone = await inside('$flood send --to 127.0.0.1 --port 1 --seconds 1 --wait-ms 50')
      t.match(alone, { code: 1, stdout: '', stderr: /the sink does not answer/ })
      const nobody = await inside('$flood sink --port 9001 --wait-ms 50')
      t.match(nobody, { code: 1, stderr: /no datagram came/ })
      const silence = await inside(
        '$flood connect --to 127.0.0.1 --port 1 --seconds 1 --wait-ms 50',
      )
      t.match(silence, { code: 1, stderr: /nobody listens/ })
    }
    for (const argv of [
      [],
      ['reads'],
      ['send', '--to', '127.0.0.1', '--port', '9'],
      ['send', '--to', 'localhost', '--port', '9', '--seconds', '1'],
      ['send', '--to', '127.0.0.1', '--port', '9', '--seconds', '1', '--bytes', '31'],
      ['send', '--to', '127.0.0.1', '--port', '9', '--seconds', '1', '--rate', 'fast'],
      ['sink'],
      ['sink', '--port', '70000'],
      ['sink', '--port', '9', '--idle', '1'],
      ['accept', '--port'],
      ['connect', '--to', '127.0.0.1', '--port', '9'],
    ]) {
      t.match(
        await run([FLOOD, ...argv]),
        { code: 2, stderr: /^.*usage: weft-flood/s },
        argv.join(' '),
      )
    }
  })
}

function reports(stdout: string): Record<string, unknown> {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  const objects = lines.map((line) => JSON.parse(line) as { verb: string })
  return Object.fromEntries(objects.map((object) => [object.verb, object]))
}

function canRun([command = '', ...args]: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Until it is killed: answers go back, probes go on, some of them not as they came. */
function relay(): void {
  const near = createSocket('udp4')
  const far = createSocket('udp4')
  let sender = 0
  const held = new Map<number, Buffer>()
  far.on('message', (answer) => {
    near.send(answer, sender, '127.0.0.1')
  })
  near.on('message', (probe, { port }) => {
    const hello = probe.length === 32
    if (hello) sender = port
    const flow = probe.readUInt32LE(4)
    const number = hello ? -1 : Number(probe.readBigUInt64LE(8))
    const forward = (bytes: Buffer) => {
      far.send(bytes, 9001, '127.0.0.1')
    }
    const changed = (at: number) => {
      const copy = Buffer.from(probe)
      copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
      return copy
    }
    switch (number) {
      case LOST:
        return
      case DUPLICATED:
        forward(probe)
        break
      case CORRUPTED:
        forward(changed(199))
        return
      case CORRUPTED_HEADER:
        forward(changed(8))
        return
      case HELD_BACK:
        held.set(flow, Buffer.from(probe))
        // Not one of ours.
        forward(Buffer.from('a stranger that passes by, of more than 32 bytes'))
        return
      case HELD_BACK + 5:
        forward(probe)
        forward(held.get(flow) ?? probe)
        return
    }
    forward(probe)
  })
  near.bind(9000, '127.0.0.1')
}

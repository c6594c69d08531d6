// `weft run` and `weft exec` in the foreground are like the command itself: terminal, signals, pipes, exit code.
//
//      the test ── pipes, or a terminal (script) ── weft ── socket ── h1 172.31.1.11
//                                                                     │ c1 10.0.1.11    runs all the time
//                                                                     │ x  10.0.1.200+  comes and goes

import { createHash, randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { processOf } from '../../src/lab/processes.ts'
import { type Background, eventually, ok, type Result } from '../fixtures/commands.ts'
import { inLab, type Lab, ROOT } from '../fixtures/lab.ts'

inLab('terminal and exit codes', 1, async (t, lab) => {
  const c1 = await lab.sandbox('h1', 'demo', 'c1')
  const ways: readonly Way[] = [
    { verb: 'run', options: ['--network', 'demo', '--ip', '10.0.1.200', '--name', 'x', '--'] },
    { verb: 'exec', options: ['c1', '--'] },
  ]
  for (const way of ways) {
    await t.test(`weft ${way.verb} without a terminal`, (t) => withPipes(t, lab, way))
    await t.test(`weft ${way.verb} on a terminal`, (t) => onTerminal(t, lab, way))
  }
  await t.test('a command that a client left behind', (t) => leftBehind(t, lab))
  await t.test('logs', (t) => logs(t, lab))
  await t.test('rm', (t) => remove(t, lab))
  await t.test('names', (t) => names(t, lab))
  t.test('the sandbox that others looked into still runs', async (t) => {
    t.not(processOf(c1.pid), null)
    const children = (await c1.ok('ps', '-e', '-o', 'pid=,ppid=')).split('\n')
    const init = /\d+/.exec(c1.netns)?.[0] ?? ''
    const inside = children.filter((line) => line.trim().endsWith(` ${init}`))
    t.equal(inside.length, 1, 'and nothing of what was executed in it')
  })
})

interface Way {
  readonly verb: 'run' | 'exec'
  readonly options: readonly string[]
}

async function withPipes(t: Test, lab: Lab, { verb, options }: Way): Promise<void> {
  const weft = (command: readonly string[], input?: string | Buffer): Promise<Result> =>
    lab.weft('h1', [verb, ...options, ...command], input === undefined ? {} : { input })
  const shell = (script: string) => weft(['sh', '-c', script])

  t.test('the exit code is the command’s', async (t) => {
    const cases: readonly [string, number][] = [
      ['exit 0', 0],
      ['exit 7', 7],
      ['exit 255', 255],
      ['kill -KILL $$', 137],
      ['kill -TERM $$', 143],
    ]
    for (const [script, code] of cases) {
      t.match(await shell(script), { code, stdout: '', stderr: '' }, script)
    }
  })

  t.test('what cannot be started is said in one line: 127 and 126', async (t) => {
    const none = await weft(['no-such-command'])
    t.match(none, { code: 127, stdout: '', stderr: /^weft: .*no-such-command.*\n$/ })
    t.match(await weft(['/etc/passwd']), { code: 126, stderr: /^weft: .*\/etc\/passwd.*\n$/ })
  })

  t.test('arguments pass verbatim', async (t) => {
    const argv = ['--', '-t', '--name', '$HOME', 'two words', '', "it's", '*', 'ü']
    const { stdout } = await weft(['printf', '<%s>', ...argv])
    t.equal(stdout, argv.map((argument) => `<${argument}>`).join(''))
  })

  t.test('stdout and stderr stay two', async (t) => {
    t.match(await shell('echo out; echo err >&2; echo out'), {
      code: 0,
      stdout: 'out\nout\n',
      stderr: 'err\n',
    })
  })

  t.test('10 MB of stdin arrive, and come back, unchanged', async (t) => {
    const input = randomBytes(10_000_000)
    const sum = createHash('sha256').update(input).digest('hex')
    t.equal((await weft(['sha256sum'], input)).stdout, `${sum}  -\n`)
    const hex = input.toString('hex').slice(0, 10_000_000)
    t.ok((await weft(['cat'], hex)).stdout === hex, 'through and back')
  })

  t.test('a command that does not read its stdin still ends', async (t) => {
    t.equal((await weft(['true'], randomBytes(1_000_000))).code, 0)
  })

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const) {
    t.test(`${signal} reaches the command`, async (t) => {
      const handler = `trap "echo got ${signal}; exit 9" ${signal.slice(3)}`
      const script = `${handler}; echo ready; while :; do sleep 0.05; done`
      const handled = start(lab, [verb, ...options, 'sh', '-c', script])
      await handled.until(/ready/)
      handled.kill(signal)
      t.match(await handled.ended, { code: 9, stdout: `ready\ngot ${signal}\n` })

      const plain = start(lab, [verb, ...options, 'sh', '-c', 'echo ready; exec sleep 60'])
      await plain.until(/ready/)
      plain.kill(signal)
      t.equal((await plain.ended).code, code)
    })
  }
}

function start(lab: Lab, argv: readonly string[]): Background {
  return lab.start('h1', [process.execPath, `${ROOT}/dist/weft.js`, ...argv])
}

/** A shell script on a terminal of its own, with `weft` in its PATH. */
function onPty(lab: Lab, script: string): Background {
  const env = {
    ...process.env,
    PATH: `${ROOT}/scripts:${process.env['PATH'] ?? ''}`,
    TERM: 'vt100',
  }
  return lab.start('h1', ['script', '-qefc', script, '/dev/null'], { env })
}

async function onTerminal(t: Test, lab: Lab, { verb, options }: Way): Promise<void> {
  const weft = ['weft', verb, ...options].join(' ')

  t.test('the command has a terminal, of our size, and ours is put back', async (t) => {
    const pty = onPty(
      lab,
      `stty rows 33 cols 101; before=$(stty -g); ${weft} sh -c 'tty; stty size; exit 6'; code=$?
       [ "$(stty -g)" = "$before" ] && echo the same; exit $code`,
    )
    const { code, stdout } = await pty.ended
    t.equal(code, 6)
    t.match(stdout, /\/dev\/pts\/\d+\r\n33 101\r\n.*the same/s)
  })

  t.test('a new window size is passed on', async (t) => {
    const script = `trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done`
    const pty = onPty(lab, `tty; stty rows 24 cols 80; ${weft} sh -c '${script}'`)
    await pty.until(/ready/)
    const tty = (await pty.until(/\/dev\/pts\/\d+/))[0]
    await ok(['stty', '-F', tty, 'rows', '40', 'cols', '120'])
    await pty.until(/40 120/)
    pty.write('\u0003')
    t.equal((await pty.ended).code, 130)
  })

  t.test('Ctrl-C is the command’s', async (t) => {
    const script = `trap "echo got it; exit 8" INT; echo ready; while :; do sleep 0.05; done`
    const pty = onPty(lab, `${weft} sh -c '${script}'; echo code=$?`)
    await pty.until(/ready/)
    pty.write('\u0003')
    const { stdout } = await pty.ended
    t.match(stdout, /got it\r\ncode=8/)
  })

  t.test('a shell is used as any shell', async (t) => {
    const pty = onPty(lab, `TERM=dumb ${weft} bash --norc --noediting`)
    await pty.until(/[#$] /)
    pty.write('echo $((6 * 7)) on $(hostname)\n')
    await pty.until(/\n42 on (?:x|c1)/)
    pty.write('sleep 60\n')
    await pty.until(/sleep 60\r\n/)
    pty.write('\u0003')
    pty.write('echo status $?\n')
    await pty.until(/status 130/)
    pty.write('(exit 5)\n\u0004')
    t.equal((await pty.ended).code, 5, 'Ctrl-D ends it, with its last status')
  })

  t.test('--no-tty gives none', async (t) => {
    const pty = onPty(lab, `weft ${verb} --no-tty ${options.join(' ')} tty`)
    t.match(await pty.ended, { code: 1, stdout: /not a tty/ })
  })
}

async function leftBehind(t: Test, lab: Lab): Promise<void> {
  const script = 'echo ready; sleep 0.5; echo still here; exec sleep infinity'
  const client = start(lab, ['run', '--network', 'demo', '--name', 'a1', '--', 'sh', '-c', script])
  await client.until(/ready/)
  await client.stop('SIGKILL')
  await eventually(async () => (await lab.weftOk('h1', 'logs', 'a1')).includes('still here'))
  t.match(await lab.weftOk('h1', 'ps'), /Up .*a1/, 'a run goes on without its client')

  const exec = start(lab, ['exec', 'a1', '--', 'sh', '-c', 'echo ready; exec sleep 61'])
  await exec.until(/ready/)
  await exec.stop('SIGKILL')
  const sleeping = async () =>
    (await lab.weft('h1', ['exec', 'a1', '--', 'pgrep', '-f', 'sleep 61'])).code === 0
  await eventually(async () => !(await sleeping()))
  t.pass('an exec gets SIGHUP')
  t.equal(await lab.weftOk('h1', 'rm', '-f', 'a1'), 'a1\n')
}

async function logs(t: Test, lab: Lab): Promise<void> {
  const script = `for i in 1 2 3; do echo out $i; done; echo err >&2
    trap "echo last; exit 3" TERM; while :; do sleep 0.05; done`
  const run = ['run', '-d', '--network', 'demo', '--name', 'a1', '--', 'sh', '-c', script]
  const id = await lab.weftOk('h1', ...run)
  t.match(id, /^[0-9a-f]{64}\n$/, 'run -d prints the id')
  await eventually(async () => (await lab.weft('h1', ['logs', 'a1'])).stderr === 'err\n')
  t.match(await lab.weft('h1', ['logs', 'a1']), {
    stdout: 'out 1\nout 2\nout 3\n',
    stderr: 'err\n',
  })
  t.match(await lab.weft('h1', ['logs', '--tail', '2', 'a1']), {
    stdout: 'out 3\n',
    stderr: 'err\n',
  })
  const stamped = await lab.weftOk('h1', 'logs', '-t', 'a1')
  t.match(stamped, /^(?:\d{4}-\d\d-\d\dT[0-9:.]{18}Z out \d\n){3}$/)

  const following = start(lab, ['logs', '-f', '--tail', '1', 'a1'])
  await following.until(/err/)
  process.kill((await lab.client('h1').inspectSandbox('a1')).State.Pid, 'SIGTERM')
  const { code, stdout } = await following.ended
  t.same([code, stdout], [0, 'last\n'], 'logs -f ends with the command')
  t.match(await lab.weft('h1', ['logs', '-f', 'a1']), { code: 0, stdout: /last\n$/ })
  t.match(await lab.weft('h1', ['logs', 'nobody']), {
    code: 1,
    stderr: /^weft: [^\n]*nobody[^\n]*\n$/,
  })
}

async function remove(t: Test, lab: Lab): Promise<void> {
  const polite = `trap 'echo ending; sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.05; done`
  const deaf = `trap '' TERM; echo ready; while :; do sleep 0.05; done`
  const make = async (name: string, script: string) => {
    const sandbox = await lab.sandbox('h1', 'demo', name, ['sh', '-c', script])
    await eventually(async () => (await lab.weftOk('h1', 'logs', name)).includes('ready'))
    return sandbox
  }
  const removed = async (...argv: string[]): Promise<number> => {
    const began = Date.now()
    t.equal(await lab.weftOk('h1', 'rm', ...argv), `${argv.at(-1) ?? ''}\n`)
    return Date.now() - began
  }

  const following = async (name: string) => {
    const log = start(lab, ['logs', '-f', name])
    await log.until(/ready/)
    return log
  }
  await make('a1', polite)
  const log = await following('a1')
  t.ok((await removed('a1')) < 5000, 'rm asks with SIGTERM')
  t.equal((await log.ended).stdout, 'ready\nending\n', 'and waits until it has ended')
  const stubborn = await make('a1', deaf)
  t.ok((await removed('-t', '1', 'a1')) > 1000, 'who does not listen is killed after the grace')
  t.equal(processOf(stubborn.pid), null)
  await make('a1', deaf)
  t.ok((await removed('-f', 'a1')) < 5000, 'rm -f kills at once')
  t.notOk((await listed(lab, '-a')).includes('a1'), 'what was removed is forgotten')

  const result = await lab.weft('h1', ['rm', 'nobody', 'a1'])
  t.equal(result.code, 1)
  t.equal(result.stderr.trim().split('\n').length, 2, 'one line for each that is not there')
}

/** The names that `weft ps` shows. */
async function listed(lab: Lab, ...options: string[]): Promise<string[]> {
  const rows = await lab.weftOk('h1', 'ps', '--format', 'json', ...options)
  return [...rows.matchAll(/"Names":"([^"]+)"/g)].map(([, name = '']) => name)
}

async function names(t: Test, lab: Lab): Promise<void> {
  const short = async (script: string) =>
    lab.weft('h1', ['run', '--network', 'demo', '--name', 'b1', '--', 'sh', '-c', script])
  t.equal((await short('exit 4')).code, 4)
  const ended = await lab.weftOk('h1', 'ps', '-a')
  t.match(ended, /Exited \(4\).*b1/, 'ps -a remembers')
  t.notOk((await listed(lab)).includes('b1'), 'ps does not show it')
  t.match(await lab.weft('h1', ['exec', 'b1', '--', 'true']), {
    code: 1,
    stderr: /^weft: [^\n]*b1[^\n]*ended[^\n]*\n$/,
  })
  t.equal((await short('exit 5')).code, 5, 'its name and address are free again')
  const rows = (await lab.weftOk('h1', 'ps', '-a', '--format', 'json')).trim().split('\n')
  const mine = rows.map((row) => JSON.parse(row) as Record<string, string>)
  t.match(
    mine.filter(({ Names }) => Names === 'b1'),
    [{ State: 'exited', Status: /^Exited \(5\)/, IP: '10.0.1.151' }],
    'and the newer one has replaced the older one',
  )
  t.equal(await lab.weftOk('h1', 'rm', 'b1'), 'b1\n')
  t.notOk((await listed(lab, '-a')).includes('b1'))

  const unnamed = await lab.weft('h1', [
    ...['run', '-d', '--network', 'demo', '--ip', '10.0.1.204', '--', 'sleep', '9'],
  ])
  const id = unnamed.stdout.trim()
  t.match(
    await lab.weftOk('h1', 'ps'),
    new RegExp(`^${id.slice(0, 12)}.* [a-z]+-[a-z]+-[0-9a-f]+\\n`, 'm'),
  )
  t.equal(await lab.weftOk('h1', 'rm', '-f', id.slice(0, 12)), `${id.slice(0, 12)}\n`)
}

// How weft-init is started: what the program is given by the native core, and what is heard of it.

import { closeSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startProgram } from '../../src/dataplane/binding.ts'

const PATIENCE_MS = 5000

/** A shell script that reports on descriptor 3. */
const sh = (script: string, options: { env?: NodeJS.ProcessEnv; keep?: readonly number[] } = {}) =>
  startProgram(['/bin/sh', '-c', script], options.env, options.keep ?? [], PATIENCE_MS)

t.test('what it writes until it closes the descriptor is the report', async (t) => {
  t.equal(await sh('echo one >&3; sleep 0.05; echo two >&3'), 'one\ntwo\n')
  t.equal(await sh('exit 7'), '')
  const long = await sh('exec head -c 300000 /dev/zero >&3')
  t.equal(long.length, 300_000)
})

t.test('it is given nothing but what was said', async (t) => {
  const file = join(tmpdir(), `weft-start-program-${process.pid}`)
  t.teardown(() => {
    rmSync(file)
  })
  writeFileSync(file, 'kept')
  const numbers = Array.from({ length: 64 }, () => openSync(file, 'r'))
  const descriptors = await sh('exec ls -lv /proc/self/fd >&3', { keep: numbers })
  for (const number of numbers) closeSync(number)
  const lines = [...descriptors.matchAll(/ -> (.*)/g)].map(([, target]) => target ?? '')
  // Its standard output is the report here.
  t.same([lines[0], lines[2]], ['/dev/null', '/dev/null'])
  t.match(lines[3], /^pipe:/)
  t.same(
    lines.slice(4, 68),
    numbers.map(() => file),
    'the kept ones, in their places',
  )
  t.equal(lines.filter((line) => line === file).length, 64)

  t.equal(await sh('echo $A:$HOME >&3', { env: { A: 'b', NONE: undefined } }), 'b:\n')
  process.env['WEFT_START_PROGRAM'] = 'ours'
  t.equal(await sh('echo $WEFT_START_PROGRAM >&3'), 'ours\n')

  const status = await sh('exec cat /proc/self/status >&3')
  t.match(status, /^SigBlk:\s*0+$/m, 'nothing is blocked')
  // glibc leaves the two that it uses itself; init gives its commands all at their default.
  t.match(status, /^SigIgn:\s*0000000[01]80000000$|^SigIgn:\s*0+$/m, 'Node ignores SIGPIPE')
  const [pid, session] = (await sh('cut -d" " -f1,6 /proc/$$/stat >&3')).trim().split(' ')
  t.equal(session, pid, 'a session of its own')
})

t.test('what cannot be started, or does not report, is an error', async (t) => {
  const start = (path: string) => startProgram([path], undefined, [], PATIENCE_MS)
  await t.rejects(start('/nowhere/weft-init'), { code: 'ENOENT', message: /^ENOENT: No such/ })
  await t.rejects(start('/etc/passwd'), { code: 'EACCES' })
  const began = Date.now()
  const late = startProgram(['/bin/sleep', '987'], undefined, [], 50)
  await t.rejects(late, { code: 'ETIMEDOUT' })
  t.ok(Date.now() - began < PATIENCE_MS)
  // Each thread has its own.
  const children = readdirSync('/proc/self/task').map((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'latin1'),
  )
  t.equal(children.join(''), '', 'all are ended and reaped')
})

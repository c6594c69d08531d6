// Stream frames and log records: bytes on one side, values on the other, however the stream is cut.

import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FrameDecoder, FrameKind, MAX_FRAME_BYTES, encodeFrame } from '../../src/sandbox/frames.ts'
import { LogDecoder, followLog, lastLines, readLog } from '../../src/sandbox/output-log.ts'

t.test('a frame is kind, length and bytes', async (t) => {
  const frame = encodeFrame(FrameKind.stderr, Buffer.from('ab'))
  t.equal(frame.toString('hex'), '02000000026162')
  t.same(new FrameDecoder().push(frame), [{ kind: FrameKind.stderr, bytes: Buffer.from('ab') }])
})

t.test('frames are found however the stream is cut', async (t) => {
  const long = Buffer.alloc(MAX_FRAME_BYTES, 'x')
  const frames = [
    { kind: FrameKind.stdin, bytes: Buffer.alloc(0) },
    { kind: FrameKind.stdout, bytes: long },
    { kind: FrameKind.window, bytes: Buffer.from([0, 24, 0, 80]) },
    { kind: FrameKind.exit, bytes: Buffer.from([3]) },
  ]
  const stream = Buffer.concat(frames.map(({ kind, bytes }) => encodeFrame(kind, bytes)))
  for (const size of [1, 2, 3, 5, 7, 4096, MAX_FRAME_BYTES, stream.length]) {
    const decoder = new FrameDecoder()
    const found = pieces(stream, size).flatMap((piece) => decoder.push(piece))
    t.same(found, frames, `in pieces of ${size}`)
  }
})

t.test('the longest frame passes, a longer one does not', async (t) => {
  const longest = encodeFrame(FrameKind.stdout, Buffer.alloc(MAX_FRAME_BYTES))
  t.equal(new FrameDecoder().push(longest)[0]?.bytes.length, MAX_FRAME_BYTES)
  t.throws(() => encodeFrame(FrameKind.stdout, Buffer.alloc(MAX_FRAME_BYTES + 1)), RangeError)
  // The header is enough to refuse it: nothing is kept until so much has come.
  const header = Buffer.from('0100010001', 'hex')
  t.throws(() => new FrameDecoder().push(header), { code: 'internal' })
})

t.test('a kind that does not exist is refused', async (t) => {
  t.throws(() => new FrameDecoder().push(Buffer.from('0700000000', 'hex')), { code: 'internal' })
})

t.test('a log record is stream, length, time and bytes', async (t) => {
  const bytes = Buffer.from('02000000' + '00000003' + '0000000000000102' + '6f6f70', 'hex')
  t.same(bytes, record('oop', 2, 0x102n))
  t.same(new LogDecoder().push(bytes), [
    { stream: 'stderr', timeNs: 0x102n, bytes: Buffer.from('oop') },
  ])
})

t.test('log records are found however the log is cut, and nonsense is refused', async (t) => {
  const log = Buffer.concat([record('one\n'), record('two\n', 2), record('x'.repeat(65536))])
  for (const size of [1, 15, 16, 17, 4096, log.length]) {
    const decoder = new LogDecoder()
    const found = pieces(log, size).flatMap((piece) => decoder.push(piece))
    t.same(
      found.map(({ stream, bytes }) => [stream, bytes.length]),
      [
        ['stdout', 4],
        ['stderr', 4],
        ['stdout', 65536],
      ],
      `in pieces of ${size}`,
    )
  }
  t.throws(() => new LogDecoder().push(Buffer.alloc(16, 0xff)), { code: 'internal' })
})

t.test('the last lines are counted over records and streams', async (t) => {
  const cases: [description: string, records: string[], count: number, expected: string][] = [
    ['all of a log that is shorter', ['a\nb\n'], 5, 'a\nb\n'],
    ['exactly all', ['a\nb\n'], 2, 'a\nb\n'],
    ['none', ['a\nb\n'], 0, ''],
    ['one of a record', ['a\nb\nc\n'], 1, 'c\n'],
    ['an unfinished line counts', ['a\nb\nc'], 2, 'b\nc'],
    ['a line over several records', ['a\nb', 'b', 'b\n'], 1, 'bbb\n'],
    ['a cut between records', ['a\n', 'b\n', 'c\n'], 2, 'b\nc\n'],
    ['empty lines are lines', ['a\n\n\n'], 2, '\n\n'],
    ['a newline alone in a record', ['a\nb', '\n', 'c', '\n'], 2, 'b\nc\n'],
    ['nothing of nothing', [], 3, ''],
  ]
  for (const [description, texts, count, expected] of cases) {
    const records = texts.map((text, index) => record(text, index % 2 === 0 ? 1 : 2))
    t.equal(textOf(lastLines(records, count)), expected, description)
  }
})

t.test('a log is read whole, or from its last lines, the older file first', async (t) => {
  const dir = await temporaryDirectory(t)
  t.equal(textOf(await collect(readLog(dir))), '', 'a log that is not there is empty')
  await writeFile(join(dir, 'output.log.1'), Buffer.concat([record('1\n2\n'), record('3\n')]))
  await writeFile(join(dir, 'output.log'), Buffer.concat([record('4\n'), record('5')]))
  t.equal(textOf(await collect(readLog(dir))), '1\n2\n3\n4\n5')
  t.equal(textOf(await collect(readLog(dir, { tail: 4 }))), '2\n3\n4\n5')
  t.equal(textOf(await collect(readLog(dir, { tail: 0 }))), '')
})

t.test('a record that is half written is left for the next time', async (t) => {
  const dir = await temporaryDirectory(t)
  const file = join(dir, 'output.log')
  await writeFile(file, Buffer.concat([record('one\n'), record('two\n').subarray(0, 18)]))
  t.equal(textOf(await collect(readLog(dir))), 'one\n')

  const ended = new AbortController()
  const following = collect(followLog(dir, ended.signal))
  await appendFile(file, record('two\n').subarray(18))
  ended.abort()
  t.equal(textOf(await following), 'one\ntwo\n')
})

t.test('a follower gives what is appended, across rotations, until it is told', async (t) => {
  const dir = await temporaryDirectory(t)
  const file = join(dir, 'output.log')
  const ended = new AbortController()
  const log = followLog(dir, ended.signal, { tail: 1 })
  const next = async () => textOf([(await log.next()).value as Buffer])

  await writeFile(file, Buffer.concat([record('0\n'), record('1\n')]))
  t.equal(await next(), '1\n')
  await appendFile(file, record('2\n'))
  t.equal(await next(), '2\n')
  await appendFile(file, record('3\n'))
  await rename(file, `${file}.1`)
  await writeFile(file, record('4\n'))
  t.equal(await next(), '3\n', 'the rest of the renamed file')
  t.equal(await next(), '4\n', 'then the new one')
  await rename(file, `${file}.1`)
  await writeFile(file, record('5\n'))
  await rename(file, `${file}.1`)
  await writeFile(file, record('6\n'))
  t.equal(await next(), '5\n', 'a whole file that came and went between two looks')
  t.equal(await next(), '6\n')
  await appendFile(file, record('7\n'))
  ended.abort()
  t.equal(await next(), '7\n', 'what was there when it was told')
  t.same(await log.next(), { value: undefined, done: true })
})

function record(text: string, stream = 1, timeNs = 0n): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt8(stream, 0)
  header.writeUInt32BE(Buffer.byteLength(text), 4)
  header.writeBigUInt64BE(timeNs, 8)
  return Buffer.concat([header, Buffer.from(text)])
}

function textOf(records: readonly Buffer[]): string {
  const decoder = new LogDecoder()
  return records
    .flatMap((each) => decoder.push(each))
    .map(({ bytes }) => bytes.toString())
    .join('')
}

function pieces(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.length / size)
  return Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}

async function collect(records: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const all: Buffer[] = []
  for await (const each of records) all.push(each)
  return all
}

async function temporaryDirectory(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-log-'))
  t.teardown(() => rm(dir, { recursive: true }))
  return dir
}

// The output log that weft-init keeps of the main command (native/init/README.md): decoding its
// records, and reading them from disk while init writes on.
//
//   u8 stream (1 stdout, 2 stderr) · u8[3] zero · u32be length · u64be unix time ns · bytes
//
// Readers give records as they are on disk: that is also what the API's logs request answers with.

import { type FileHandle, appendFile, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RecordLayout, RecordSplitter } from './record-splitter.ts'

export interface LogRecord {
  readonly stream: 'stdout' | 'stderr'
  readonly timeNs: bigint
  readonly bytes: Buffer
}

const HEADER_BYTES = 16
const LAYOUT: RecordLayout = {
  name: 'log record',
  headerBytes: HEADER_BYTES,
  lengthAt: 4,
  maxBytes: 65536,
}

/** Finds the records in a log, however it is cut. Pure. */
export class LogDecoder {
  readonly #splitter = new RecordSplitter(LAYOUT)

  /**
   * Takes what arrived, gives the records that are whole now.
   *
   * @throws WeftError internal when this is no log
   */
  push(chunk: Uint8Array): LogRecord[] {
    return this.#splitter.push(chunk).map((record) => ({
      stream: record.readUInt8(0) === 2 ? 'stderr' : 'stdout',
      timeNs: record.readBigUInt64BE(8),
      bytes: record.subarray(HEADER_BYTES),
    }))
  }
}

/** Writes a line to the end of the log in `dir`, as of stderr, if there is one. Not while its init lives: that writes there. */
export async function appendLog(dir: string, text: string, wallMs: number): Promise<void> {
  const bytes = Buffer.from(text)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt8(2, 0)
  header.writeUInt32BE(bytes.length, LAYOUT.lengthAt)
  header.writeBigUInt64BE(BigInt(Math.round(wallMs)) * 1_000_000n, 8)
  const file = join(dir, 'output.log')
  const there = await stat(file).catch(() => null)
  if (there !== null) await appendFile(file, Buffer.concat([header, bytes]))
}

const NEWLINE = 0x0a

/**
 * The records that hold the last `count` lines, of both streams together; the first may be cut. A
 * line that is not ended yet counts. Pure.
 */
export function lastLines(records: readonly Buffer[], count: number): Buffer[] {
  if (count === 0) return []
  let left = count
  for (let index = records.length - 1; index >= 0; index -= 1) {
    const record = records[index]
    if (record === undefined) continue
    // The newline at the very end belongs to the last line; each other one is before a line.
    let at = index === records.length - 1 ? record.length - 1 : record.length
    while (at > HEADER_BYTES) {
      at = record.lastIndexOf(NEWLINE, at - 1)
      if (at < HEADER_BYTES) break
      left -= 1
      if (left > 0) continue
      const rest = records.slice(index + 1)
      return at + 1 === record.length ? rest : [withoutHead(record, at + 1), ...rest]
    }
  }
  return records.slice()
}

/** A record that begins at `offset` of this one. */
function withoutHead(record: Buffer, offset: number): Buffer {
  const cut = Buffer.concat([record.subarray(0, HEADER_BYTES), record.subarray(offset)])
  cut.writeUInt32BE(cut.length - HEADER_BYTES, LAYOUT.lengthAt)
  return cut
}

export interface ReadLogOptions {
  /** Begin with the last so many lines; everything that is left of the log without it. */
  readonly tail?: number | undefined
}

/** What is in the log in `dir` now, record by record, the older file first. */
export async function* readLog(dir: string, options: ReadLogOptions = {}): AsyncGenerator<Buffer> {
  const files = await openLog(dir)
  try {
    yield* presentRecords(files, options.tail)
  } finally {
    await close(files)
  }
}

/** How soon a follower sees what was written. */
const POLL_MS = 100

/**
 * As readLog, and then what is written from now on, across rotations, until `ended` is aborted:
 * then it gives what is there and returns. When init writes more than a whole file between two looks,
 * what it has deleted by then is left out.
 */
export async function* followLog(
  dir: string,
  ended: AbortSignal,
  options: ReadLogOptions = {},
): AsyncGenerator<Buffer> {
  let files = await openLog(dir)
  try {
    yield* presentRecords(files, options.tail)
    for (;;) {
      // Asked before reading, so that what was written before the end is read before leaving.
      const last = ended.aborted
      const replaced = await isReplaced(files.current, dir)
      if (files.current !== undefined) yield* files.current.records()
      if (replaced) {
        const next = await openLog(dir)
        if (sameFile(next.old, files.current)) {
          // Nothing is to be read again: the old file is the one that was just read to its end.
          await next.old?.close()
          next.old = undefined
        }
        await close(files)
        files = next
        if (files.old !== undefined) yield* files.old.records()
      } else if (last) {
        return
      } else {
        await pause(ended)
      }
    }
  } finally {
    await close(files)
  }
}

async function pause(ended: AbortSignal): Promise<void> {
  // An abort ends the pause early, and is no error.
  await sleep(POLL_MS, undefined, { signal: ended }).catch(() => undefined)
}

/** Both files as they are now, without those records that come while they are read. */
async function* presentRecords(files: LogFiles, tail: number | undefined): AsyncGenerator<Buffer> {
  const ends = [await files.old?.size(), await files.current?.size()] as const
  const records = async function* () {
    if (files.old !== undefined) yield* files.old.records(ends[0])
    if (files.current !== undefined) yield* files.current.records(ends[1])
  }
  if (tail === undefined) yield* records()
  else yield* await collectTail(records(), tail)
}

/** Reads to the end, and keeps hardly more than is asked for. */
async function collectTail(records: AsyncIterable<Buffer>, tail: number): Promise<Buffer[]> {
  const kept: { record: Buffer; newlines: number }[] = []
  let newlines = 0
  for await (const record of records) {
    const entry = { record, newlines: countNewlines(record) }
    kept.push(entry)
    newlines += entry.newlines
    // One more than asked for: the last may be the end of the last line, not of the one before.
    while (kept[0] !== undefined && newlines - kept[0].newlines > tail) {
      newlines -= kept[0].newlines
      kept.shift()
    }
  }
  return lastLines(
    kept.map((entry) => entry.record),
    tail,
  )
}

function countNewlines(record: Buffer): number {
  let count = 0
  for (let at = HEADER_BYTES; (at = record.indexOf(NEWLINE, at)) >= 0; at += 1) count += 1
  return count
}

// --- Files ---------------------------------------------------------------------------------------

const CURRENT = 'output.log'
const OLD = 'output.log.1'

/** About the longest record; a follower reads this much at a time. */
const READ_BYTES = 64 << 10

interface LogFiles {
  old: LogFile | undefined
  current: LogFile | undefined
}

interface FileId {
  readonly dev: bigint
  readonly ino: bigint
}

/** One of the two files, and how far it has been read: always to the end of a record. */
class LogFile {
  readonly #handle: FileHandle
  readonly id: FileId
  #offset = 0

  constructor(handle: FileHandle, id: FileId) {
    this.#handle = handle
    this.id = id
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  /**
   * The records from here to `end`, or to where the file ends. Half a record (init is writing it,
   * or takes it back because the disk is full) is left for the next time, and read anew then.
   */
  async *records(end = Infinity): AsyncGenerator<Buffer> {
    const splitter = new RecordSplitter(LAYOUT)
    let position = this.#offset
    while (position < end) {
      const wanted = Math.min(READ_BYTES, end - position)
      const chunk = Buffer.allocUnsafe(wanted)
      const { bytesRead } = await this.#handle.read(chunk, 0, wanted, position)
      if (bytesRead === 0) return
      position += bytesRead
      for (const record of splitter.push(chunk.subarray(0, bytesRead))) {
        this.#offset += record.length
        yield record
      }
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** Opens both files such that the current one is the old one's successor. */
async function openLog(dir: string): Promise<LogFiles> {
  for (;;) {
    const old = await openFile(join(dir, OLD))
    const current = await openFile(join(dir, CURRENT))
    // If the old one's name still means the same file, none was renamed in between.
    if (same(await idOf(join(dir, OLD)), old?.id)) return { old, current }
    await close({ old, current })
  }
}

async function openFile(path: string): Promise<LogFile | undefined> {
  const handle = await orUndefined(open(path))
  if (handle === undefined) return undefined
  return new LogFile(handle, await handle.stat({ bigint: true }))
}

async function close(files: LogFiles): Promise<void> {
  await files.old?.close()
  await files.current?.close()
}

function idOf(path: string): Promise<FileId | undefined> {
  return orUndefined(stat(path, { bigint: true }))
}

/** Has another file come to the place of this one, or a first one? */
async function isReplaced(file: LogFile | undefined, dir: string): Promise<boolean> {
  const present = await idOf(join(dir, CURRENT))
  // Between rename and the new file there is none for a moment; the next look finds it.
  return present !== undefined && !same(present, file?.id)
}

function sameFile(one: LogFile | undefined, other: LogFile | undefined): boolean {
  return one !== undefined && same(one.id, other?.id)
}

function same(one: FileId | undefined, other: FileId | undefined): boolean {
  return one?.dev === other?.dev && one?.ino === other?.ino
}

/** A file that is not there is no error: nothing was written yet, or it was tidied away. */
async function orUndefined<T>(file: Promise<T>): Promise<T | undefined> {
  try {
    return await file
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

// The output log's records as what is printed, with --timestamps in front of each line.

import { LogDecoder } from '../sandbox/output-log.ts'

export interface LogPiece {
  readonly stream: 'stdout' | 'stderr'
  readonly bytes: Buffer
}

const NEWLINE = 0x0a

export class LogPrinter {
  readonly #timestamps: boolean
  readonly #decoder = new LogDecoder()
  /** A record may end within a line; the rest of it gets no time of its own. */
  readonly #lineOpen = { stdout: false, stderr: false }

  constructor(timestamps: boolean) {
    this.#timestamps = timestamps
  }

  /** Takes what arrived, gives what whole records of it say. */
  push(chunk: Buffer): LogPiece[] {
    return this.#decoder.push(chunk).map(({ stream, timeNs, bytes }) => ({
      stream,
      bytes: this.#timestamps ? this.#stamp(stream, bytes, timeNs) : bytes,
    }))
  }

  #stamp(stream: LogPiece['stream'], bytes: Buffer, timeNs: bigint): Buffer {
    const prefix = Buffer.from(`${formatNanoseconds(timeNs)} `)
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, at)
      const end = newline < 0 ? bytes.length : newline + 1
      if (!this.#lineOpen[stream]) parts.push(prefix)
      parts.push(bytes.subarray(at, end))
      this.#lineOpen[stream] = newline < 0
      at = end
    }
    return Buffer.concat(parts)
  }
}

/** RFC 3339 with nine digits, as docker logs --timestamps. */
export function formatNanoseconds(timeNs: bigint): string {
  const seconds = new Date(Number(timeNs / 1_000_000_000n) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${String(timeNs % 1_000_000_000n).padStart(9, '0')}Z`
}

// The frames that an attach or exec stream carries both ways (native/init/README.md). Pure.
//
//   u8 kind · u32be length · bytes

import { WeftError } from '../errors.ts'
import { RecordSplitter } from './record-splitter.ts'

export const FrameKind = {
  /** To the command; empty: end of input. */
  stdin: 0,
  /** From the command; with a terminal all of its output. */
  stdout: 1,
  stderr: 2,
  /** To the command: u16be rows, u16be cols. */
  window: 3,
  /** To the command: u8 number. */
  signal: 4,
  /** From the command: u8 code. The last one. */
  exit: 5,
  /** Why it could not be started, as text. */
  error: 6,
} as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

export interface Frame {
  readonly kind: FrameKind
  readonly bytes: Buffer
}

export const MAX_FRAME_BYTES = 65536

const HEADER_BYTES = 5

/**
 * One frame's bytes. Who has more than MAX_FRAME_BYTES makes several frames of them.
 *
 * @throws RangeError when there are more
 */
export function encodeFrame(kind: FrameKind, bytes: Uint8Array): Buffer {
  if (bytes.length > MAX_FRAME_BYTES) {
    throw new RangeError(`a frame holds ${MAX_FRAME_BYTES} bytes, got ${bytes.length}`)
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length)
  frame.writeUInt8(kind, 0)
  frame.writeUInt32BE(bytes.length, 1)
  frame.set(bytes, HEADER_BYTES)
  return frame
}

/** Finds the frames in a stream, however it is cut. */
export class FrameDecoder {
  readonly #splitter = new RecordSplitter({
    name: 'frame',
    headerBytes: HEADER_BYTES,
    lengthAt: 1,
    maxBytes: MAX_FRAME_BYTES,
  })

  /**
   * Takes what arrived, gives the frames that are whole now. Their bytes may share memory with
   * `chunk`.
   *
   * @throws WeftError internal when the stream carries something else than frames
   */
  push(chunk: Uint8Array): Frame[] {
    return this.#splitter.push(chunk).map((record) => ({
      kind: kindOf(record.readUInt8(0)),
      bytes: record.subarray(HEADER_BYTES),
    }))
  }
}

const KINDS: ReadonlySet<number> = new Set(Object.values(FrameKind))

function kindOf(value: number): FrameKind {
  if (!KINDS.has(value)) throw new WeftError('internal', `there is no frame of kind ${value}`)
  return value as FrameKind
}

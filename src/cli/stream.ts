// A terminal at one end, a weft-stream at the other: what `run`, `exec` and `attach` look like.
//
// With a terminal for the command (tty) ours is raw: every key, Ctrl-C too, goes to the command's
// own terminal, which makes a signal of it. Without, signals that we get are sent as frames. Either
// way the terminal is put back as it was, and nothing that was received is lost at the end.

import type { Socket } from 'node:net'
import { constants } from 'node:os'
import type { Writable } from 'node:stream'
import { onSignals } from '../linux/exec.ts'
import { showVerbatim } from '../linux/terminal.ts'
import { encodeFrame, FrameDecoder, FrameKind, MAX_FRAME_BYTES } from '../sandbox/frames.ts'
import { flushed, type Terminal } from './cli.ts'

export interface StreamResult {
  /** null: the stream ended without one; the daemon went away, or we were too slow for it. */
  readonly exitCode: number | null
  /** Why the command could not be started. */
  readonly error: string | null
}

export interface WindowSize {
  readonly rows: number
  readonly cols: number
}

/** After so many SIGINT or SIGTERM the user means us (docker's number). */
const PATIENCE = 3

/** Whether the command gets a terminal: as asked, else when we have one at both ends. */
export function wantsTerminal(terminal: Terminal, asked: boolean | undefined): boolean {
  return asked ?? (terminal.stdin.isTTY === true && terminal.stdout.isTTY === true)
}

export function windowSize(terminal: Terminal): WindowSize {
  return { rows: terminal.stdout.rows ?? 24, cols: terminal.stdout.columns ?? 80 }
}

/** Joins terminal and stream until the command has ended, or the stream has. */
export async function joinTerminal(
  socket: Socket,
  terminal: Terminal,
  tty: boolean,
): Promise<StreamResult> {
  const undo: (() => void)[] = []
  try {
    if (tty) undo.push(rawMode(terminal), followWindowSize(socket, terminal))
    undo.push(sendStdin(socket, terminal))
    const stopped = new Promise<StreamResult>((resolve) => {
      undo.push(
        sendSignals(socket, () => {
          resolve({ exitCode: null, error: 'stopped waiting for the command' })
        }),
      )
    })
    return await Promise.race([receive(socket, terminal), stopped])
  } finally {
    for (const step of undo.reverse()) step()
    socket.destroy()
    await Promise.all([flushed(terminal.stdout), flushed(terminal.stderr)])
  }
}

/** After the exit frame the daemon closes, once all that asks it is told the same; one that hangs is not waited for. */
const CLOSE_MS = 3000

/** Prints what comes until the end. */
function receive(socket: Socket, terminal: Terminal): Promise<StreamResult> {
  const stdout = new Output(terminal.stdout, socket)
  const stderr = new Output(terminal.stderr, socket)
  const decoder = new FrameDecoder()
  let error: string | null = null
  let exitCode: number | null = null
  return new Promise((resolve, reject) => {
    const ended = () => {
      resolve({ exitCode, error })
    }
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of decoder.push(chunk)) {
          if (frame.kind === FrameKind.stdout) stdout.write(frame.bytes)
          else if (frame.kind === FrameKind.stderr) stderr.write(frame.bytes)
          else if (frame.kind === FrameKind.error) error = Buffer.from(frame.bytes).toString('utf8')
          else if (frame.kind === FrameKind.exit) {
            exitCode = frame.bytes[0] ?? 1
            setTimeout(ended, CLOSE_MS).unref()
          }
        }
      } catch (caught) {
        reject(caught instanceof Error ? caught : new Error(String(caught)))
      }
    })
    // A daemon that was killed resets the connection: for us the same as an end without an exit.
    socket.on('error', ended)
    socket.on('close', ended)
  })
}

/** One of our outputs; the stream waits while it is full. */
class Output {
  readonly #stream: Writable
  readonly #socket: Socket
  #gone = false
  #full = false

  constructor(stream: Writable, socket: Socket) {
    this.#stream = stream
    this.#socket = socket
    stream.on('error', () => {
      // `weft run ... | head`: the command learns of it as it would in a pipe of its own.
      if (!this.#gone) socket.write(signalFrame(constants.signals.SIGPIPE))
      this.#gone = true
      socket.resume()
    })
  }

  write(bytes: Uint8Array): void {
    if (this.#gone || this.#stream.write(bytes)) return
    // The rest of a chunk's frames is written all the same, one wait does for all of them.
    if (this.#full) return
    this.#full = true
    this.#socket.pause()
    this.#stream.once('drain', () => {
      this.#full = false
      this.#socket.resume()
    })
  }
}

function sendStdin(socket: Socket, terminal: Terminal): () => void {
  const { stdin } = terminal
  let full = false
  const onData = (chunk: Buffer) => {
    let taken = true
    for (let at = 0; at < chunk.length; at += MAX_FRAME_BYTES) {
      const piece = chunk.subarray(at, at + MAX_FRAME_BYTES)
      taken = socket.write(encodeFrame(FrameKind.stdin, piece))
    }
    // A chunk may still come after pause(); one wait does for all.
    if (taken || full) return
    full = true
    stdin.pause()
    socket.once('drain', () => {
      full = false
      stdin.resume()
    })
  }
  const onEnd = () => {
    socket.write(encodeFrame(FrameKind.stdin, Buffer.alloc(0)))
  }
  stdin.on('data', onData)
  stdin.once('end', onEnd)
  // What cannot be read (a directory, a terminal that went away) has ended.
  stdin.once('error', onEnd)
  return () => {
    stdin.off('data', onData)
    stdin.off('end', onEnd)
    stdin.off('error', onEnd)
    stdin.on('error', () => undefined)
    stdin.pause()
  }
}

function sendSignals(socket: Socket, enough: () => void): () => void {
  let asked = 0
  return onSignals((signal) => {
    socket.write(signalFrame(constants.signals[signal]))
    if (signal === 'SIGINT' || signal === 'SIGTERM') asked += 1
    if (asked >= PATIENCE) enough()
  })
}

function followWindowSize(socket: Socket, terminal: Terminal): () => void {
  const send = () => {
    const { rows, cols } = windowSize(terminal)
    const bytes = Buffer.alloc(4)
    bytes.writeUInt16BE(rows, 0)
    bytes.writeUInt16BE(cols, 2)
    socket.write(encodeFrame(FrameKind.window, bytes))
  }
  send()
  terminal.stdout.on('resize', send)
  return () => terminal.stdout.off('resize', send)
}

/** Raw mode, left again even when the process ends in the middle. */
function rawMode(terminal: Terminal): () => void {
  const { stdin } = terminal
  if (stdin.isTTY !== true) return () => undefined
  const restore = () => {
    stdin.setRawMode?.(false)
  }
  stdin.setRawMode?.(true)
  if (stdin.fd !== undefined) showVerbatim(stdin.fd)
  process.once('exit', restore)
  return () => {
    restore()
    process.off('exit', restore)
  }
}

function signalFrame(signal: number): Uint8Array {
  return encodeFrame(FrameKind.signal, Buffer.from([signal]))
}

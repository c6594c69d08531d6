// The client's side of weft-init's control socket (native/init/README.md): one request, one
// connection, except where a request becomes a stream.

import { type Socket, createConnection } from 'node:net'
import { WeftError, isErrorCode, quote } from '../errors.ts'

/** How the main command ended. */
export interface ExitStatus {
  /** What it returned; 128 + signal if a signal ended it. */
  readonly code: number
  /** 0: none. */
  readonly signal: number
}

export type InitState =
  | { readonly phase: 'created' | 'holding' }
  | { readonly phase: 'running'; readonly pid: number }
  | { readonly phase: 'ended'; readonly exit: ExitStatus }

/** A command to run in the sandbox. */
export interface ExecSpec {
  readonly argv: readonly string[]
  readonly tty?: boolean | undefined
  /** Of its terminal. */
  readonly rows?: number | undefined
  readonly cols?: number | undefined
  /** The sandbox's when left out. */
  readonly cwd?: string | undefined
  /** Put over the sandbox's. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

export interface WindowSize {
  readonly rows: number
  readonly cols: number
}

/** A connection that carries frames from now on. */
export interface InitStream {
  /** Nothing was taken from it but the reply; whoever gets it listens for its errors. */
  readonly socket: Socket
  /** Whether the command has a terminal. */
  readonly tty: boolean
}

export interface Watch {
  /** Stops watching; the callback is not called any more. */
  close(): void
}

/**
 * Sends `request`, a line with its newline, and gives the reply line and the descriptor that came
 * with it, or -1. Node cannot receive descriptors: the native addon does (dataplane/binding.ts).
 */
export type ReceiveDescriptor = (
  path: string,
  request: string,
) => Promise<{ fd: number; reply: string }>

/** What an interface is given in its namespace. */
export interface LinkSetup {
  readonly interface: string
  readonly mac: string
  readonly mtuBytes: number
  /** With prefix length: `10.0.1.3/24`. */
  readonly addresses: readonly string[]
  /** Prefixes that lie behind a gateway. */
  readonly routes: readonly { readonly to: string; readonly via: string }[]
}

/** What an interface that is up is given instead of what it has. */
export interface LinkChange {
  readonly interface: string
  readonly mac: string
  readonly mtuBytes: number
  /** With prefix length. Of a pair whose first is not there any more nothing is done. */
  readonly addresses: readonly { readonly from: string; readonly to: string }[]
}

/** Init answers in a millisecond; one that takes this long is stopped, or the host is. */
const REPLY_TIMEOUT_MS = 5000

/** Longer than any reply. */
const MAX_REPLY_BYTES = 512

/** As in native/init/stream.h. */
const MAX_EXEC_SPEC_BYTES = 256 << 10

/**
 * Every method fails with a WeftError: what init answered, `not_running` when there is no init at
 * the path (any more), `unavailable` when it does not answer.
 */
export class InitClient {
  readonly #path: string
  readonly #watches = new Set<Watch>()

  constructor(socketPath: string) {
    this.#path = socketPath
  }

  /** Stops all watching. Requests are connections of their own and go on. */
  close(): void {
    for (const watch of this.#watches) watch.close()
  }

  /** A request without its newline; gives what follows the `ok`. */
  async request(line: string): Promise<string> {
    const { socket, text } = await this.#converse(`${line}\n`)
    socket.destroy()
    return text
  }

  /** The descriptor of the TAP called `name`, made if there is none. The caller owns it. */
  tap(name: string, receiveDescriptor: ReceiveDescriptor): Promise<number> {
    return this.#descriptor(`tap ${name}`, receiveDescriptor)
  }

  /**
   * The sandbox's socket on 127.0.0.11:53. The caller owns the descriptor.
   *
   * @throws WeftError address_in_use
   */
  dnsSocket(protocol: 'udp' | 'tcp', receiveDescriptor: ReceiveDescriptor): Promise<number> {
    return this.#descriptor(`dns ${protocol}`, receiveDescriptor)
  }

  /** A TCP socket in the sandbox that is not connected yet. The caller owns the descriptor. */
  tcpSocket(receiveDescriptor: ReceiveDescriptor): Promise<number> {
    return this.#descriptor('socket tcp', receiveDescriptor)
  }

  /**
   * Has the sandbox, or the process that is held, see DIR/resolv.conf as its own.
   *
   * @throws WeftError not_found, unavailable when its mounts are not its own
   */
  async mountResolvConf(): Promise<void> {
    await this.request('resolv-conf')
  }

  /**
   * Gives an interface that tap() made its MAC, MTU, addresses and routes, and brings it up.
   *
   * @throws WeftError internal with what the kernel refused
   */
  async setUpLink({ interface: name, mac, mtuBytes, addresses, routes }: LinkSetup): Promise<void> {
    await this.#requestAll([
      `link ${name} ${mac} ${mtuBytes}`,
      ...addresses.map((address) => `address ${name} ${address}`),
      `up ${name}`,
      ...routes.map(({ to, via }) => `route ${name} ${to} ${via}`),
    ])
  }

  /**
   * Gives an interface that is up other addresses and another MAC, and tells its neighbours; routes stay. Again, it does no harm.
   *
   * @throws WeftError internal with what the kernel refused
   */
  async changeLink({ interface: name, mac, mtuBytes, addresses }: LinkChange): Promise<void> {
    await this.#requestAll([
      ...addresses.map(({ from, to }) => `readdress ${name} ${from} ${to}`),
      `link ${name} ${mac} ${mtuBytes} announce`,
    ])
  }

  /** At once; each is answered, up to the first that fails. */
  async #requestAll(lines: readonly string[]): Promise<void> {
    const { socket } = await this.#converse(lines.map((line) => `${line}\n`).join(''))
    try {
      for (let left = lines.length - 1; left > 0; left--) parseReply(await this.#readLine(socket))
    } finally {
      socket.destroy()
    }
  }

  async untap(name: string): Promise<void> {
    await this.request(`untap ${name}`)
  }

  /** Runs the main command without stdin; gives its process id inside the sandbox. */
  async start(): Promise<number> {
    return Number(await this.request('start'))
  }

  /** Sends a signal to the main command's process group. */
  async signal(number: number): Promise<void> {
    await this.request(`signal ${number}`)
  }

  /** Ends the sandbox; init is gone soon after. */
  async end(): Promise<void> {
    await this.request('end')
  }

  async state(): Promise<InitState> {
    const text = await this.request('state')
    const [phase, ...numbers] = text.split(' ')
    const [first = NaN, second = NaN] = numbers.map(Number)
    switch (phase) {
      case 'created':
      case 'holding':
        return { phase }
      case 'running':
        return { phase, pid: first }
      case 'ended':
        return { phase, exit: { code: first, signal: second } }
      default:
        throw new WeftError('internal', `${this.#path}: the state ${quote(text)} is not known`)
    }
  }

  /**
   * Calls back once, when init has come to its end: with how the main command ended, or undefined
   * when none did or init was killed. Watches from the moment the promise is fulfilled.
   */
  async watch(onEnd: (exit: ExitStatus | undefined) => void): Promise<Watch> {
    const { socket } = await this.#converse('watch\n')
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    // A connection that breaks has ended, too.
    socket.on('error', () => undefined)
    const ended = () => {
      this.#watches.delete(watch)
      onEnd(parseExit(text))
    }
    socket.on('close', ended)
    const watch = {
      close: () => {
        this.#watches.delete(watch)
        socket.off('close', ended)
        socket.destroy()
      },
    }
    this.#watches.add(watch)
    return watch
  }

  /**
   * Opens the main command's stream (`attach`; with `attach start` the command begins when the
   * stream is in place, and has stdin), or runs a further command and opens its stream. `size` is
   * the main command's terminal's.
   */
  async openStream(
    request: 'attach' | 'attach start' | ExecSpec,
    size?: WindowSize,
  ): Promise<InitStream> {
    if (typeof request !== 'string') {
      const spec = encodeExecSpec(request)
      const line = Buffer.from(`exec ${spec.length}\n`)
      const { socket } = await this.#converse(Buffer.concat([line, spec]))
      return { socket, tty: request.tty === true }
    }
    const words = size === undefined ? request : `${request} rows=${size.rows} cols=${size.cols}`
    const { socket, text } = await this.#converse(`${words}\n`)
    return { socket, tty: text === 'tty' }
  }

  /** Sends a request and takes the reply's line from the connection, and nothing behind it. */
  async #converse(request: string | Buffer): Promise<{ socket: Socket; text: string }> {
    const socket = createConnection(this.#path)
    socket.write(request)
    try {
      return { socket, text: parseReply(await this.#readLine(socket)) }
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async #descriptor(request: string, receiveDescriptor: ReceiveDescriptor): Promise<number> {
    let answer: { fd: number; reply: string }
    try {
      answer = await receiveDescriptor(this.#path, `${request}\n`)
    } catch (cause) {
      throw this.#gone(cause)
    }
    parseReply(answer.reply.trimEnd())
    if (answer.fd < 0) {
      throw new WeftError(
        'internal',
        `${this.#path}: no descriptor came with the answer to '${request}'`,
      )
    }
    return answer.fd
  }

  #readLine(socket: Socket): Promise<string> {
    return new Promise((resolve, reject) => {
      let line = Buffer.alloc(0)
      const onReadable = () => {
        const chunk = socket.read() as Buffer | null
        if (chunk === null) return
        line = Buffer.concat([line, chunk])
        const newline = line.indexOf('\n')
        if (newline < 0 && line.length < MAX_REPLY_BYTES) return
        stop()
        const rest = line.subarray(newline + 1)
        if (newline >= 0 && rest.length > 0) socket.unshift(rest)
        if (newline >= 0) resolve(line.toString('utf8', 0, newline))
        else reject(new WeftError('internal', `${this.#path}: the reply does not end`))
      }
      const onError = (cause: Error) => {
        stop()
        reject(this.#gone(cause))
      }
      const onEnd = () => {
        stop()
        reject(this.#gone())
      }
      const onTimeout = () => {
        stop()
        const seconds = REPLY_TIMEOUT_MS / 1000
        reject(new WeftError('unavailable', `${this.#path}: no answer after ${seconds} s`))
      }
      const stop = () => {
        socket.setTimeout(0)
        socket.off('readable', onReadable)
        socket.off('error', onError)
        socket.off('end', onEnd)
        socket.off('timeout', onTimeout)
      }
      socket.setTimeout(REPLY_TIMEOUT_MS)
      socket.on('readable', onReadable)
      socket.on('error', onError)
      socket.on('end', onEnd)
      socket.on('timeout', onTimeout)
    })
  }

  #gone(cause?: unknown): WeftError {
    return new WeftError('not_running', `no weft-init answers at ${this.#path}`, { cause })
  }
}

/** What follows `ok`; what init refused becomes an error with its code. */
function parseReply(line: string): string {
  const [word, code = '', ...rest] = line.split(' ')
  if (word === 'ok') return line.slice('ok '.length)
  if (word === 'error' && isErrorCode(code)) throw new WeftError(code, rest.join(' '))
  throw new WeftError('internal', `weft-init answered ${quote(line)}`)
}

/** The line that a watcher gets before the end. */
function parseExit(text: string): ExitStatus | undefined {
  const match = /^exit (\d+) (\d+)\n$/.exec(text)
  return match === null ? undefined : { code: Number(match[1]), signal: Number(match[2]) }
}

/**
 * The bytes behind an `exec` line.
 *
 * @throws WeftError invalid_argument when a string holds a NUL, or it is too much
 */
export function encodeExecSpec(spec: ExecSpec): Buffer {
  const strings = [`tty=${spec.tty === true ? 1 : 0}`]
  if (spec.rows !== undefined) strings.push(`rows=${spec.rows}`)
  if (spec.cols !== undefined) strings.push(`cols=${spec.cols}`)
  if (spec.cwd !== undefined) strings.push(`cwd=${spec.cwd}`)
  for (const [name, value] of Object.entries(spec.env ?? {})) strings.push(`env=${name}=${value}`)
  strings.push('--', ...spec.argv)
  for (const string of strings) {
    if (string.includes('\0')) {
      throw new WeftError('invalid_argument', `${quote(string)} holds a NUL, which ends a string`)
    }
  }
  const bytes = Buffer.from(strings.map((string) => `${string}\0`).join(''))
  if (bytes.length > MAX_EXEC_SPEC_BYTES) {
    throw new WeftError(
      'invalid_argument',
      `command and environment have ${bytes.length} bytes; at most ${MAX_EXEC_SPEC_BYTES}`,
    )
  }
  return bytes
}

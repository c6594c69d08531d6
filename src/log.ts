// The daemon's log: JSON lines by pino, to stderr or a file.

import { type Logger, destination, pino } from 'pino'
import { WeftError, messageOf } from './errors.ts'

export type { Logger }

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  /** This host's name, in every line. */
  readonly name: string
  readonly logLevel: LogLevel
  /** undefined: stderr. */
  readonly logFile: string | undefined
}

/** @throws WeftError invalid_argument when the file cannot be opened */
export function openLog({ name, logLevel, logFile }: LogOptions): Logger {
  try {
    // Synchronous: the last line before an end is the one that is wanted, and there are few.
    const stream = destination({ dest: logFile ?? 2, sync: true, append: true, mkdir: true })
    return pino(
      { level: logLevel, base: { host: name }, timestamp: pino.stdTimeFunctions.isoTime },
      stream,
    )
  } catch (error) {
    throw new WeftError('invalid_argument', `--log-file ${logFile ?? ''}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

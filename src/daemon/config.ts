// The daemon's settings: /etc/weft/config.yaml, then WEFT_* variables, then flags; the later wins.

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import * as z from 'zod'
import { type Upstream, parseUpstream } from '../dns/upstream.ts'
import { WeftError, messageOf } from '../errors.ts'
import { LOG_LEVELS, type LogLevel } from '../log.ts'
import { parseName } from '../net/name.ts'
import { hostKey } from './directories.ts'

export const DEFAULT_CONFIG_FILE = '/etc/weft/config.yaml'

/** RFC 8899 section 5.1.1: a path is raised again after ten minutes. */
const PATH_PROBE_INTERVAL_MS = 600_000

export interface Config {
  /** This host's name among the members. */
  readonly name: string
  /** IPv4 address or interface; undefined: from the facts, else the first that is not loopback. */
  readonly advertiseAddr: string | undefined
  readonly vxlanPort: number
  /** UDP and TCP. */
  readonly gossipPort: number
  readonly workers: number
  /** The CPU of each worker; empty: where the kernel has them. */
  readonly workerCpus: readonly number[]
  /** While small packets follow one another, idle CPUs of this host are kept from sleeping. */
  readonly stayAwake: boolean
  /** The outer packet has the DSCP of the inner one. */
  readonly copyDscp: boolean
  /** How often the path MTU to every member is looked for. */
  readonly pathProbeIntervalMs: number
  readonly facts: string | undefined
  /** Who other names are asked of; undefined: the host's resolvers. */
  readonly dns: readonly Upstream[] | undefined
  /** How long our names may be remembered. */
  readonly dnsTtlSeconds: number
  /** Where names are answered on the host as well; undefined: nowhere. */
  readonly dnsListen: Upstream | undefined
  /** The host's resolvers and search domains. */
  readonly resolvConf: string
  readonly runDir: string
  readonly stateDir: string
  readonly socket: string
  readonly logLevel: LogLevel
  readonly logFile: string | undefined
}

const LEVEL = z.enum(LOG_LEVELS)
const MAX_WORKERS = 64
const CPU = z.number().int().min(0)

/** Every setting, as the file spells it. `WEFT_` + upper case with underscores in the environment. */
const SETTINGS = {
  name: z.string(),
  'advertise-addr': z.string(),
  'vxlan-port': z.coerce.number().int().min(1).max(65_535),
  'gossip-port': z.coerce.number().int().min(1).max(65_535),
  'path-probe-interval-ms': z.coerce.number().int().min(100).max(86_400_000),
  workers: z.coerce.number().int().min(1).max(MAX_WORKERS),
  'stay-awake': z.enum(['on', 'off']),
  'worker-cpus': z.union(
    [
      z.array(CPU),
      z
        .string()
        .regex(/^\d+(,\d+)*$/)
        .transform((text) => text.split(',').map(Number)),
    ],
    { error: 'write CPU numbers, one for each worker, as in 2,3' },
  ),
  'copy-dscp': z.union([
    z.boolean(),
    z.enum(['true', 'false']).transform((text) => text === 'true'),
  ]),
  facts: z.string(),
  dns: z.union([z.string(), z.array(z.string())]),
  'dns-ttl': z.coerce.number().int().min(0).max(86_400),
  'dns-listen': z.string(),
  'resolv-conf': z.string(),
  'run-dir': z.string(),
  'state-dir': z.string(),
  socket: z.string(),
  'log-level': LEVEL,
  'log-file': z.string(),
} as const

type Key = keyof typeof SETTINGS
type Settings = { [K in Key]?: z.output<(typeof SETTINGS)[K]> }

/** Settings as they were given, each with where it was given. */
export interface Sources {
  /** Parsed YAML; undefined: no file. */
  readonly file: { readonly path: string; readonly content: unknown } | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Keys in camelCase, as commander gives them. */
  readonly flags: Readonly<Record<string, unknown>>
}

/**
 * Joins the sources (pure but for the defaults of this host).
 *
 * @throws WeftError invalid_argument naming the source and the setting
 */
export function joinSettings({ file, environment, flags }: Sources): Settings {
  const settings: Settings = {}
  if (file !== undefined && file.content !== null && file.content !== undefined) {
    const { path, content } = file
    if (typeof content !== 'object' || Array.isArray(content)) {
      throw new WeftError(
        'invalid_argument',
        `${path}: is not a mapping; write one setting a line, as in vxlan-port: 4789`,
      )
    }
    for (const [key, value] of Object.entries(content)) {
      if (!isKey(key)) {
        throw new WeftError(
          'invalid_argument',
          `${path}: there is no setting '${key}'; there are ${Object.keys(SETTINGS).join(', ')}`,
        )
      }
      set(settings, key, value, `${path}: ${key}`)
    }
  }
  for (const key of Object.keys(SETTINGS) as Key[]) {
    const variable = `WEFT_${key.toUpperCase().replaceAll('-', '_')}`
    const value = environment[variable]
    if (value !== undefined && value !== '') set(settings, key, value, variable)
  }
  for (const key of Object.keys(SETTINGS) as Key[]) {
    const value = flags[key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())]
    if (value !== undefined) set(settings, key, value, `--${key}`)
  }
  return settings
}

/** Reads all sources and fills in what this host gives by itself. */
export function loadConfig(flags: Readonly<Record<string, unknown>>): Config {
  const explicit = typeof flags['config'] === 'string' ? flags['config'] : undefined
  const file = readConfigFile(explicit ?? DEFAULT_CONFIG_FILE, explicit !== undefined)
  const settings = joinSettings({ file, environment: process.env, flags })
  const directories = hostKey()
  const runDir = resolve(settings['run-dir'] ?? directories.runDir)
  return {
    name: parseName('host', settings.name ?? shortHostname()),
    advertiseAddr: settings['advertise-addr'],
    vxlanPort: settings['vxlan-port'] ?? 4789,
    gossipPort: settings['gossip-port'] ?? 7946,
    ...workersIn(settings),
    stayAwake: settings['stay-awake'] !== 'off',
    // The underlay may have uses of its own for it (RFC 2983 section 6).
    copyDscp: settings['copy-dscp'] ?? false,
    pathProbeIntervalMs: settings['path-probe-interval-ms'] ?? PATH_PROBE_INTERVAL_MS,
    facts: settings.facts === undefined ? undefined : resolve(settings.facts),
    dns: settings.dns === undefined ? undefined : upstreamsIn(settings.dns),
    // Names follow endpoints; nobody remembers one that has moved for longer than it takes to tell.
    dnsTtlSeconds: settings['dns-ttl'] ?? 1,
    dnsListen:
      settings['dns-listen'] === undefined ? undefined : parseUpstream(settings['dns-listen']),
    resolvConf: resolve(settings['resolv-conf'] ?? '/etc/resolv.conf'),
    runDir,
    stateDir: resolve(settings['state-dir'] ?? directories.stateDir),
    socket:
      settings.socket ??
      (settings['run-dir'] === undefined ? directories.socket : `${runDir}/weft.sock`),
    logLevel: settings['log-level'] ?? 'info',
    logFile: settings['log-file'],
  }
}

function workersIn(settings: Settings): Pick<Config, 'workers' | 'workerCpus'> {
  const workerCpus = settings['worker-cpus'] ?? []
  // A worker is worth its thread when it has a core of its own; one core is left to what sends and receives.
  const workers = settings.workers ?? Math.max(1, workerCpus.length)
  if (workerCpus.length > 0 && workerCpus.length !== workers) {
    throw new WeftError(
      'invalid_argument',
      `--worker-cpus names ${workerCpus.length} CPUs for ${workers} workers; name one for each`,
    )
  }
  return { workers, workerCpus }
}

/** A list, or a text with commas or spaces between. */
function upstreamsIn(given: string | readonly string[]): Upstream[] {
  const words = typeof given === 'string' ? given.split(/[\s,]+/) : given
  return words.filter((word) => word !== '').map(parseUpstream)
}

function readConfigFile(path: string, required: boolean): Sources['file'] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (!required) return undefined
    throw new WeftError('invalid_argument', `--config ${path}: ${messageOf(error)}`, {
      cause: error,
    })
  }
  try {
    return { path, content: parse(text) as unknown }
  } catch (error) {
    const [first] = messageOf(error).split('\n')
    throw new WeftError('invalid_argument', `${path}: ${first ?? 'is not YAML'}`, { cause: error })
  }
}

function set(settings: Settings, key: Key, value: unknown, where: string): void {
  const result = SETTINGS[key].safeParse(value)
  if (!result.success) {
    const why = result.error.issues[0]?.message ?? 'wrong'
    throw new WeftError('invalid_argument', `${where}: ${String(value)} will not do: ${why}`)
  }
  Object.assign(settings, { [key]: result.data })
}

function isKey(key: string): key is Key {
  return Object.hasOwn(SETTINGS, key)
}

function shortHostname(): string {
  return hostname().split('.')[0] ?? hostname()
}

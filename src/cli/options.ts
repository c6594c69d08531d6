// Options that several verbs share, and how their values are read.

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { AttachmentRequest } from '../api/types.ts'
import { WeftError, quote } from '../errors.ts'
import { LIST_FORMATS } from './format.ts'

/** A verb that asks a daemon: `--socket` may also stand behind it. */
export function asksDaemon(command: Command): Command {
  return command.addOption(new Option('--socket <path>').hideHelp())
}

/** A verb that lists things. */
export function lists(command: Command): Command {
  return command
    .addOption(
      new Option('--format <format>', 'table, or json: one object a line')
        .choices(LIST_FORMATS)
        .default('table'),
    )
    .option('-q, --quiet', 'only ids')
}

/** `--format` of a verb that shows one thing. */
export function formatOption(plain: 'text'): Option {
  return new Option('--format <format>', 'text, or json: one object')
    .choices([plain, 'json'])
    .default(plain)
}

/** Which networks, and with which addresses there. */
export function attachmentOptions(command: Command): Command {
  return command
    .requiredOption(
      '--network <net>',
      'a network; several times for several (or long form)',
      collect,
    )
    .option('--ip <ip>', 'the address there (default: what the network gives)')
    .option('--ip6 <ip6>', 'the IPv6 address there; the IPv4 one has the same number')
    .option('--mac <mac>', 'the MAC address there')
    .option('--interface <ifname>', 'the name inside (default: eth0, eth1, ...)')
    .option('--network-alias <name>', 'a further name on all these networks', collect)
    .option('--service <name>', 'the service whose backend it is: a name that several may hold')
    .addHelpText(
      'after',
      '\nLong form, for several networks: --network name=NET,ip=IP,ip6=IP6,mac=MAC,interface=IFNAME,alias=NAME',
    )
}

/** A command behind NAME: one `--` in front of it is ours, all the rest is not. */
export function verbatim(argv: readonly string[]): readonly string[] {
  const command = argv[0] === '--' ? argv.slice(1) : argv
  if (command.length === 0) {
    throw new WeftError('invalid_argument', "no command given after '--'")
  }
  return command
}

/** Reads a whole number within bounds. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Use a whole number from ${String(min)} to ${String(max)}.`)
    }
    return value
  }
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

/** `-e K=V` sets, `-e K` passes ours on (docker). */
export function parseEnvironment(
  entries: readonly string[],
  own: NodeJS.ProcessEnv,
): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const entry of entries) {
    const at = entry.indexOf('=')
    const key = at < 0 ? entry : entry.slice(0, at)
    if (key === '') throw new WeftError('invalid_argument', `-e '${entry}': use -e NAME=VALUE`)
    const value = at < 0 ? own[key] : entry.slice(at + 1)
    if (value !== undefined) environment[key] = value
  }
  return environment
}

export interface AttachmentOptions {
  readonly network?: readonly string[]
  readonly networkAlias?: readonly string[]
  readonly ip?: string
  readonly ip6?: string
  readonly mac?: string
  readonly interface?: string
  readonly service?: string
}

/** The keys of docker's long form, `--network name=demo,ip=10.0.1.5`, and ours for them. */
const LONG_FORM: Readonly<
  Record<string, 'network' | 'ip' | 'ip6' | 'mac' | 'interface' | 'alias'>
> = {
  name: 'network',
  ip: 'ip',
  ip6: 'ip6',
  alias: 'alias',
  mac: 'mac',
  'mac-address': 'mac',
  interface: 'interface',
}

/** `--network` with `--ip`, `--ip6`, `--mac` and `--interface`, which speak of the only network; aliases are of all. */
export function parseAttachments(options: AttachmentOptions): AttachmentRequest[] {
  const { networkAlias = [] } = options
  const service = options.service === undefined ? {} : { service: options.service }
  const attachments = (options.network ?? [])
    .map((network) => ({ ...parseNetworkOption(network), ...service }))
    .map((one) =>
      networkAlias.length === 0
        ? one
        : { ...one, aliases: [...(one.aliases ?? []), ...networkAlias] },
    )
  const single = {
    ...(options.ip === undefined ? {} : { ip: options.ip }),
    ...(options.ip6 === undefined ? {} : { ip6: options.ip6 }),
    ...(options.mac === undefined ? {} : { mac: options.mac }),
    ...(options.interface === undefined ? {} : { interface: options.interface }),
  }
  const [first] = attachments
  if (Object.keys(single).length === 0 || first === undefined) return attachments
  if (attachments.length > 1) {
    throw new WeftError(
      'invalid_argument',
      `--${Object.keys(single)[0] ?? 'ip'} is not clear with several networks; ` +
        'use --network name=NET,ip=IP,ip6=IP6,mac=MAC,interface=IFNAME',
    )
  }
  return [{ ...first, ...single }]
}

function parseNetworkOption(text: string): AttachmentRequest {
  if (!text.includes('=')) return { network: text }
  const parsed: Record<string, string> = {}
  const aliases: string[] = []
  for (const part of text.split(',')) {
    const at = part.indexOf('=')
    const key = LONG_FORM[part.slice(0, Math.max(0, at))]
    if (key === undefined || at === part.length - 1) {
      throw new WeftError(
        'invalid_argument',
        `--network '${text}': '${part}' is none of name=, ip=, ip6=, mac=, interface=, alias=`,
      )
    }
    if (key === 'alias') aliases.push(part.slice(at + 1))
    else parsed[key] = part.slice(at + 1)
  }
  const { network, ...rest } = parsed
  if (network === undefined) {
    throw new WeftError('invalid_argument', `--network '${text}': name= is missing`)
  }
  return { network, ...rest, ...(aliases.length === 0 ? {} : { aliases }) }
}

/** `k=v`; `k` alone is empty, as docker has it. */
export function pairs(flag: string, entries: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=')
      const key = at < 0 ? entry : entry.slice(0, at)
      if (key === '') {
        throw new WeftError('invalid_argument', `--${flag} ${quote(entry)}: write KEY=VALUE`)
      }
      return [key, at < 0 ? '' : entry.slice(at + 1)]
    }),
  )
}

// The servers that other names are asked of: which they are, and how they are reached.

import { WeftError, quote } from '../errors.ts'
import { type IpAddress, parseIpAddress } from '../net/ip-address.ts'

export interface Upstream {
  readonly address: IpAddress
  readonly port: number
}

export const DNS_PORT = 53
/** As resolv.conf(5): MAXNS. */
export const MAX_UPSTREAMS = 3
/** As glibc's since 2.26 in practice, and many: a line may hold no more than resolv.conf(5) promised once, or much more. */
const MAX_SEARCH_DOMAINS = 32
/** Where the resolver of a sandbox listens: whoever asked it for a sandbox would ask itself. */
export const SANDBOX_ADDRESS = '127.0.0.11'

/** What of a host's resolv.conf concerns us. */
export interface ResolvConf {
  readonly nameservers: readonly IpAddress[]
  readonly search: readonly string[]
}

/** Reads resolv.conf(5). A line that is none is left out, as resolvers do. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: IpAddress[] = []
  let search: string[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver') {
      const address = addressIn(words[0] ?? '')
      if (address !== null) nameservers.push(address)
    } else if (keyword === 'search' || keyword === 'domain') {
      // The last one counts.
      search = words.filter(isDomain).slice(0, MAX_SEARCH_DOMAINS)
    }
  }
  return { nameservers, search }
}

/** One with a zone (`fe80::1%eth0`) would mean another interface to us than to who wrote it. */
function addressIn(word: string): IpAddress | null {
  try {
    return parseIpAddress(word)
  } catch {
    return null
  }
}

const DOMAIN = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.|$))+$/

function isDomain(word: string): boolean {
  return word === '.' || (word.length <= 253 && DOMAIN.test(word))
}

/** The resolv.conf of a sandbox: the host's search domains, our address, and names with no dot are whole names. */
export function sandboxResolvConf({ search }: Pick<ResolvConf, 'search'>): string {
  const lines = search.length === 0 ? [] : [`search ${search.join(' ')}`]
  return [...lines, `nameserver ${SANDBOX_ADDRESS}`, 'options ndots:0', ''].join('\n')
}

/**
 * Reads `ADDRESS` or `ADDRESS:PORT` or `[ADDRESS]:PORT`.
 *
 * @throws WeftError invalid_argument
 */
export function parseUpstream(text: string): Upstream {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const number = port === undefined ? DNS_PORT : Number(port)
  const address = parseIpAddress(bracketed ?? plain ?? text)
  if (number < 1 || number > 65_535) {
    throw new WeftError('invalid_argument', `${quote(text)}: a port is 1 to 65535`)
  }
  return { address, port: number }
}

export function formatUpstream({ address, port }: Upstream): string {
  if (port === DNS_PORT) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Those that may be asked, in order: no doubles, none of our own. */
export function usableUpstreams(
  listed: readonly Upstream[],
  isOwn: (upstream: Upstream) => boolean,
): Upstream[] {
  const usable = new Map<string, Upstream>()
  for (const upstream of listed) {
    if (upstream.address === SANDBOX_ADDRESS || isOwn(upstream)) continue
    usable.set(formatUpstream(upstream), upstream)
  }
  return [...usable.values()].slice(0, MAX_UPSTREAMS)
}

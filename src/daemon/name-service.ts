// Names on this host: the resolver with its parts, the upstreams that it asks, and where it listens.

import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { openDatagrams } from '../dataplane/datagrams.ts'
import { Answers } from '../dns/answers.ts'
import { Counters, type ResolverCounts } from '../dns/counters.ts'
import { Forwarder, type ForwarderCounters } from '../dns/forwarder.ts'
import { LoopGuard } from '../dns/loop-guard.ts'
import { Names } from '../dns/names.ts'
import { type Asker, Resolver } from '../dns/resolver.ts'
import { listenTcp } from '../dns/tcp-listener.ts'
import { type Listener, listenUdp } from '../dns/udp-listener.ts'
import {
  type ResolvConf,
  type Upstream,
  DNS_PORT,
  formatUpstream,
  usableUpstreams,
} from '../dns/upstream.ts'
import { upstreamSockets } from '../dns/upstream-sockets.ts'
import { readResolvConf, watchResolvConf } from '../dns/watch-resolv-conf.ts'
import { WeftError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Netdb } from '../netdb/table.ts'

export interface NameServiceOptions {
  readonly netdb: Netdb
  readonly clock: Clock
  readonly log: Logger
  /** undefined: those of the host's resolv.conf, as it changes. */
  readonly dns: readonly Upstream[] | undefined
  readonly dnsTtlSeconds: number
  readonly dnsListen: Upstream | undefined
  readonly resolvConf: string
}

export class NameService {
  readonly names: Names
  readonly resolver: Resolver
  readonly #options: NameServiceOptions
  readonly #counters = new Counters()
  readonly #forwarder: Forwarder
  readonly #loopGuard: LoopGuard
  readonly #listeners: Listener[] = []
  #host: ResolvConf | null = null
  #unwatch: () => void = () => undefined
  /** Called when the host's search domains have changed. */
  onSearch: () => void = () => undefined

  constructor(options: NameServiceOptions) {
    const { netdb, clock, log, dnsTtlSeconds: ttlSeconds } = options
    this.#options = options
    const randomId = (): number => randomInt(0x10000)
    this.names = new Names(netdb, ttlSeconds)
    this.#forwarder = new Forwarder({ clock, transport: upstreamSockets, randomId })
    this.#loopGuard = new LoopGuard({
      clock,
      transport: upstreamSockets,
      randomId,
      onUsable: (usable) => {
        this.#forwarder.setUpstreams(usable)
      },
      onLoop: (upstream) => {
        log.warn(
          { upstream: formatUpstream(upstream) },
          `names: ${formatUpstream(upstream)} asks us what we ask it, and is not asked; look at resolv.conf, or give --dns`,
        )
      },
    })
    this.resolver = new Resolver({
      names: this.names,
      answers: new Answers({ names: this.names, ttlSeconds }),
      forwarder: this.#forwarder,
      loopGuard: this.#loopGuard,
      counters: this.#counters,
      onBug: (error) => {
        log.error({ error: messageOf(error) }, 'names: a query could not be answered')
      },
    })
  }

  /** Reads the host's resolv.conf and follows it. */
  start(): void {
    const { resolvConf } = this.#options
    this.#use(readResolvConf(resolvConf))
    const watch = watchResolvConf(resolvConf, (now) => {
      this.#use(now)
    })
    this.#unwatch = () => {
      watch.close()
    }
  }

  /**
   * Listens on the host, if it is to: for all networks.
   *
   * @throws WeftError invalid_argument
   */
  async listen(): Promise<void> {
    const { dnsListen: place, netdb } = this.#options
    if (place === undefined) return
    const everybody: Asker = {
      underway: 0,
      networks: () => netdb.list('network').map(({ key }) => key),
    }
    try {
      this.#listeners.push(
        listenUdp((handlers) => openDatagrams(place, handlers), this.resolver, everybody),
      )
      this.#listeners.push(await listenTcp(place, this.resolver, everybody))
    } catch (error) {
      throw new WeftError(
        'invalid_argument',
        `--dns-listen ${formatUpstream(place)}: ${messageOf(error)}`,
        { cause: error },
      )
    }
  }

  search(): readonly string[] {
    return this.#host?.search ?? []
  }

  upstreams(): readonly Upstream[] {
    return this.#forwarder.upstreams
  }

  counters(): ResolverCounts & { readonly forwarder: ForwarderCounters } {
    return { ...this.#counters.read(), forwarder: this.#forwarder.counters() }
  }

  async close(): Promise<void> {
    this.#unwatch()
    this.#loopGuard.close()
    this.#forwarder.close()
    this.names.close()
    await Promise.all(this.#listeners.map((listener) => listener.close()))
  }

  #use(host: ResolvConf | null): void {
    const { dns, dnsListen, log, resolvConf } = this.#options
    const before = this.search().join(' ')
    this.#host = host
    const listed = dns ?? (host?.nameservers ?? []).map((address) => ({ address, port: DNS_PORT }))
    const usable = usableUpstreams(
      listed,
      ({ address, port }) => address === dnsListen?.address && port === dnsListen.port,
    )
    this.#loopGuard.setUpstreams(usable)
    log.info(
      { upstreams: usable.map(formatUpstream), resolvConf },
      usable.length === 0
        ? `names: nobody to ask for names that are not ours: ${resolvConf} names no resolver, give --dns`
        : `names: others are asked of ${usable.map(formatUpstream).join(', ')}`,
    )
    if (this.search().join(' ') !== before) this.onSearch()
  }
}

// The names of one network, and who holds each: endpoint names, aliases, services and `tasks.<service>`.

import type { IpAddress } from '../net/ip-address.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import { encodeResourceRecord, QUESTION_NAME } from './resource-record.ts'

/** What a name leads to: an endpoint, or a service's VIP. */
export interface Holder {
  /** Of the endpoint or service, as it was given; with the network's it is a name of its own: `web.blue`. */
  readonly name: string
  readonly ip: Ipv4Address | null
  readonly ip6: Ipv6Address | null
  /** The host that has it; null: all, as with a VIP. */
  readonly owner: string | null
}

/** A holder with its answers as they are sent. */
export interface Ready extends Holder {
  readonly a: Buffer | null
  readonly aaaa: Buffer | null
}

/** An endpoint as it is named. */
export interface NamedEndpoint extends Holder {
  readonly aliases: readonly string[]
  readonly service: string | null
}

/** A service of vip mode is answered with these; one of dnsrr mode has neither. */
export interface ServiceAddresses {
  readonly vip: Ipv4Address | null
  readonly vip6: Ipv6Address | null
}

/** One name. `turn` counts answers by type, so that each holder is first in turn. */
export class Name {
  readonly holders: Ready[] = []
  readonly #turns = new Map<number, number>()

  /** All holders, another one first each time. Each type has turns of its own: clients ask for A and AAAA in pairs. */
  inTurn(type: number): readonly Ready[] {
    const { length } = this.holders
    if (length < 2) return this.holders
    const turn = (this.#turns.get(type) ?? 0) % length
    this.#turns.set(type, turn + 1)
    return turn === 0 ? this.holders : [...this.holders.slice(turn), ...this.holders.slice(0, turn)]
  }
}

/** A name that is there, and leads nowhere. */
const NOBODY = new Name()

/** What the tasks of a service are asked by, whatever its mode. */
const TASKS = 'tasks.'

export class NetworkNames {
  readonly #ttlSeconds: number
  readonly #names = new Map<string, Name>()
  /** By record name: what was added is what is taken away. */
  readonly #endpoints = new Map<string, { readonly ready: Ready; readonly names: Set<string> }>()
  readonly #byAddress = new Map<IpAddress, Ready[]>()
  readonly #vips = new Map<string, Name>()
  /** In lower case. */
  readonly #services = new Set<string>()

  constructor(ttlSeconds: number) {
    this.#ttlSeconds = ttlSeconds
  }

  get isEmpty(): boolean {
    return this.#endpoints.size === 0 && this.#services.size === 0
  }

  /**
   * A service's name is found also while nobody is behind it: to ask elsewhere could lead to somebody else's `web`.
   *
   * @param name in lower case: `web`, `tasks.web`
   */
  find(name: string): Name | undefined {
    const found = this.#vips.get(name) ?? this.#names.get(name)
    if (found !== undefined) return found
    const service = name.startsWith(TASKS) ? name.slice(TASKS.length) : name
    return this.#services.has(service) ? NOBODY : undefined
  }

  /** Who has that address. */
  holdersOf(address: IpAddress): readonly Ready[] {
    return this.#byAddress.get(address) ?? []
  }

  /** Every name with its holders, those of services by their VIPs. */
  list(): (readonly [name: string, holders: readonly Holder[]])[] {
    const all = new Map([...this.#names, ...this.#vips])
    return [...all].map(([name, { holders }]) => [name, holders] as const)
  }

  put(record: string, endpoint: NamedEndpoint): void {
    this.remove(record)
    const ready = this.#ready(endpoint)
    const { name, aliases, service } = endpoint
    const names = new Set([name, ...aliases].map((each) => each.toLowerCase()))
    if (service !== null) {
      names.add(service.toLowerCase())
      names.add(TASKS + service.toLowerCase())
    }
    this.#endpoints.set(record, { ready, names })
    for (const each of names) {
      let held = this.#names.get(each)
      if (held === undefined) this.#names.set(each, (held = new Name()))
      held.holders.push(ready)
    }
    this.#index(ready)
  }

  remove(record: string): void {
    const endpoint = this.#endpoints.get(record)
    if (endpoint === undefined) return
    this.#endpoints.delete(record)
    for (const each of endpoint.names) {
      const held = this.#names.get(each)
      if (held === undefined) continue
      drop(held.holders, endpoint.ready)
      if (held.holders.length === 0) this.#names.delete(each)
    }
    this.#unindex(endpoint.ready)
  }

  /** Tells how a service is answered; null: it is gone. */
  setService(service: string, addresses: ServiceAddresses | null): void {
    const name = service.toLowerCase()
    const before = this.#vips.get(name)
    this.#vips.delete(name)
    this.#services.delete(name)
    for (const ready of before?.holders ?? []) this.#unindex(ready)
    if (addresses === null) return
    this.#services.add(name)
    const { vip, vip6 } = addresses
    if (vip === null && vip6 === null) return
    const ready = this.#ready({ name: service, ip: vip, ip6: vip6, owner: null })
    const held = new Name()
    held.holders.push(ready)
    this.#vips.set(name, held)
    this.#index(ready)
  }

  #ready({ name, ip, ip6, owner }: Holder): Ready {
    const record = (type: 'A' | 'AAAA', data: string | null): Buffer | null =>
      data === null ? null : encodeResourceRecord(QUESTION_NAME, this.#ttlSeconds, { type, data })
    return { name, ip, ip6, owner, a: record('A', ip), aaaa: record('AAAA', ip6) }
  }

  #index(ready: Ready): void {
    for (const address of [ready.ip, ready.ip6]) {
      if (address === null) continue
      this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), ready])
    }
  }

  #unindex(ready: Ready): void {
    for (const address of [ready.ip, ready.ip6]) {
      if (address === null) continue
      const left = (this.#byAddress.get(address) ?? []).filter((other) => other !== ready)
      if (left.length === 0) this.#byAddress.delete(address)
      else this.#byAddress.set(address, left)
    }
  }
}

function drop<T>(list: T[], item: T): void {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
}

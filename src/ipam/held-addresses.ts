// Which addresses of a network are held, and by whom: kept up as endpoints come and go, so that a free one is found without looking
// at all of them.
//
// An address counts as held, too, when somebody has the MAC or the IPv6 address that would go with it: one bitmap tells what is free.

import { type Ipv4Address, ipv4ToNumber } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import { type MacAddress, ipv4OfMac } from '../net/mac-address.ts'
import { type DualSubnet, ipv4Of } from './ipv6.ts'

/** Somebody on the network: an endpoint, a VIP, one that was promised addresses. */
export interface Holder {
  /** What it is called among the holders: its record's name. */
  readonly record: string
  /** For messages: `c1 on h1`. */
  readonly who: string
  /** Its host is not present: it keeps its addresses, but who asks for one of them by name gets it. */
  readonly absent: boolean
  readonly ip: Ipv4Address
  readonly ip6: Ipv6Address | null
  readonly mac: MacAddress
}

const WORD_BITS = 32
/** Addresses of a chunk: what nobody holds a part of has none. */
const CHUNK = 1024

export class HeldAddresses {
  readonly #subnets: readonly DualSubnet[]
  readonly #byRecord = new Map<string, Holder>()
  /** By the number of an IPv4 address: who keeps others from having it. Two have one address until the loser has moved. */
  readonly #byNumber = new Map<number, readonly Holder[]>()
  readonly #byMac = new Map<MacAddress, readonly Holder[]>()
  readonly #chunks = new Map<number, { readonly words: Uint32Array; count: number }>()

  /** @param subnets of the network; when they change, the table is made anew */
  constructor(subnets: readonly DualSubnet[], holders: Iterable<Holder> = []) {
    this.#subnets = subnets
    for (const holder of holders) this.hold(holder)
  }

  /** It has these addresses from now on, and no others. */
  hold(holder: Holder): void {
    this.drop(holder.record)
    this.#byRecord.set(holder.record, holder)
    this.#byMac.set(holder.mac, [...(this.#byMac.get(holder.mac) ?? []), holder])
    for (const number of this.#numbersOf(holder)) {
      const others = this.#byNumber.get(number) ?? []
      this.#byNumber.set(number, [...others, holder])
      if (others.length === 0) this.#mark(number, true)
    }
  }

  /** It is gone. */
  drop(record: string): void {
    const holder = this.#byRecord.get(record)
    if (holder === undefined) return
    this.#byRecord.delete(record)
    leave(this.#byMac, holder.mac, holder)
    for (const number of this.#numbersOf(holder)) {
      leave(this.#byNumber, number, holder)
      if (!this.#byNumber.has(number)) this.#mark(number, false)
    }
  }

  /** Who keeps others from having the address, or what goes with it. */
  holdersOf(ip: Ipv4Address): readonly Holder[] {
    return this.#byNumber.get(ipv4ToNumber(ip)) ?? []
  }

  holdersOfMac(mac: MacAddress): readonly Holder[] {
    return this.#byMac.get(mac) ?? []
  }

  isHeld(number: number): boolean {
    const words = this.#chunks.get(Math.floor(number / CHUNK))?.words
    const bit = number % CHUNK
    return ((words?.[Math.floor(bit / WORD_BITS)] ?? 0) & (1 << (bit % WORD_BITS))) !== 0
  }

  /** The numbers of addresses that nobody holds, from the lowest. */
  *free(first: number, last: number): Generator<number> {
    for (let number = first; number <= last; ) {
      const chunk = this.#chunks.get(Math.floor(number / CHUNK))
      if (chunk?.count === CHUNK) {
        number += CHUNK - (number % CHUNK)
        continue
      }
      const word = chunk?.words[Math.floor((number % CHUNK) / WORD_BITS)] ?? 0
      const end = Math.min(last + 1, number + WORD_BITS - (number % WORD_BITS))
      for (; number < end; number++) if ((word & (1 << (number % WORD_BITS))) === 0) yield number
    }
  }

  #numbersOf({ ip, ip6, mac }: Holder): Set<number> {
    const twins = ip6 === null ? [] : this.#subnets.map((subnet) => ipv4Of(subnet, ip6))
    const all = [ip, ipv4OfMac(mac), ...twins]
    return new Set(all.flatMap((address) => (address === null ? [] : [ipv4ToNumber(address)])))
  }

  #mark(number: number, held: boolean): void {
    const key = Math.floor(number / CHUNK)
    let chunk = this.#chunks.get(key)
    if (chunk === undefined) {
      this.#chunks.set(key, (chunk = { words: new Uint32Array(CHUNK / WORD_BITS), count: 0 }))
    }
    const index = Math.floor((number % CHUNK) / WORD_BITS)
    chunk.words[index] = (chunk.words[index] ?? 0) ^ (1 << (number % WORD_BITS))
    chunk.count += held ? 1 : -1
    if (chunk.count === 0) this.#chunks.delete(key)
  }
}

function leave<K>(holders: Map<K, readonly Holder[]>, key: K, holder: Holder): void {
  const others = (holders.get(key) ?? []).filter((other) => other !== holder)
  if (others.length > 0) holders.set(key, others)
  else holders.delete(key)
}

// Names that stand for an address: 4.3.2.1.in-addr.arpa (RFC 1035 section 3.5), its like for IPv6 (RFC 3596 section 2.5).

import { type IpAddress, parseIpAddress } from '../net/ip-address.ts'

const V4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/
const V6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/

/** The address, in its one form; null: the name stands for none. */
export function addressOfReverse(name: string): IpAddress | null {
  // Nearly all names are others, and patterns cost.
  if (!name.endsWith('.arpa')) return null
  const v4 = V4.exec(name)
  if (v4 !== null) return parse(v4.slice(1).reverse().join('.'))
  const v6 = V6.exec(name)
  if (v6 === null) return null
  const nibbles = (v6[1] ?? '').split('.').reverse().join('')
  return parse((nibbles.match(/.{4}/g) ?? []).join(':'))
}

export function reverseOf(address: string): string {
  if (!address.includes(':')) return `${address.split('.').reverse().join('.')}.in-addr.arpa`
  const [head = '', tail] = address.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const before = groups(head)
  const after = groups(tail ?? '')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const nibbles = [...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join('')
  return `${Array.from(nibbles).reverse().join('.')}.ip6.arpa`
}

function parse(text: string): IpAddress | null {
  try {
    return parseIpAddress(text)
  } catch {
    return null // 256, or a leading zero
  }
}

// Hashes for comparing tables: quick, and the same on every host. Against accidents, not against forgers.

/** 64 bits as two unsigned halves: JavaScript has no cheaper ones. */
export interface Hash {
  readonly high: number
  readonly low: number
}

/** Two multiplicative hashes side by side, each mixed with the other at the end (cyrb53 with all of its bits). */
export function hashBytes(bytes: Uint8Array): Hash {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (const byte of bytes) {
    high = Math.imul(high ^ byte, 2654435761)
    low = Math.imul(low ^ byte, 1597334677)
  }
  const mixed =
    Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
  const other =
    Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
  return { high: mixed >>> 0, low: other >>> 0 }
}

/** A record's name as a number of 53 bits: a safe integer, so it may be a key of a Map. */
export function nameKeyOf(name: string): number {
  const { high, low } = hashBytes(Buffer.from(name, 'latin1'))
  return (high >>> 11) * 2 ** 32 + low
}

// A network's id: 25 characters of 0-9a-z, as Docker's.

import { WeftError } from '../errors.ts'

/** Random bytes that an id is made of. */
export const NETWORK_ID_BYTES = 17

const LENGTH = 25

/**
 * The id of 17 random bytes: the highest bit is set, so that there are always 27 digits of base 36, and the first is dropped, which
 * is nearly always the same (swarmkit's identity.NewID).
 *
 * @throws WeftError invalid_argument when there are not seventeen
 */
export function networkIdFrom(random: Uint8Array): string {
  if (random.length !== NETWORK_ID_BYTES) {
    throw new WeftError(
      'invalid_argument',
      `a network id is made of ${NETWORK_ID_BYTES} bytes, got ${random.length}`,
    )
  }
  const bytes = Uint8Array.from(random)
  bytes[0] = (bytes[0] ?? 0) | 0x80
  const digits = BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString(36)
  return digits.slice(1, 1 + LENGTH)
}

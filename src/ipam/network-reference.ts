// Which network a command means: by its name, its id, or the beginning of its id.

import { WeftError, quote } from '../errors.ts'
import { type NetworkClaim, compareByAge } from './collisions.ts'

/**
 * As Docker looks one up: the whole id, the name, the beginning of an id. Of several with one name the oldest is meant, on every host.
 *
 * @throws WeftError not_found, invalid_argument when it is the beginning of several ids
 */
export function findNetwork<N extends NetworkClaim>(networks: readonly N[], text: string): N {
  const exact = networks.find(({ id }) => id === text)
  if (exact !== undefined) return exact
  const [oldest] = networks.filter(({ name }) => name === text).toSorted(compareByAge)
  if (oldest !== undefined) return oldest
  const beginning = text === '' ? [] : networks.filter(({ id }) => id.startsWith(text))
  if (beginning.length > 1) {
    throw new WeftError(
      'invalid_argument',
      `the ids of ${beginning.length} networks begin with ${quote(text)}; write more of the id`,
    )
  }
  const [only] = beginning
  if (only !== undefined) return only
  throw new WeftError('not_found', `there is no network ${quote(text)}; see weft network ls --all`)
}

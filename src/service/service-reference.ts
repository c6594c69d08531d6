// Which service a command means: by its name, its id, or the beginning of its id.

import { WeftError, quote } from '../errors.ts'
import type { LiveRecord } from '../netdb/record.ts'

export type ServiceRecord = LiveRecord<'service'>

/**
 * As networks are found: the whole id, the name, the beginning of an id. Of several with one name the oldest is meant, on every host.
 *
 * @throws WeftError not_found, invalid_argument when it is the beginning of several ids
 */
export function findService(services: readonly ServiceRecord[], text: string): ServiceRecord {
  const exact = services.find(({ key }) => key === text) ?? serviceNamed(services, text)
  if (exact !== undefined) return exact
  const beginning = text === '' ? [] : services.filter(({ key }) => key.startsWith(text))
  if (beginning.length > 1) {
    throw new WeftError(
      'invalid_argument',
      `the ids of ${beginning.length} services begin with ${quote(text)}; write more of the id`,
    )
  }
  const [only] = beginning
  if (only !== undefined) return only
  throw new WeftError('not_found', `there is no service ${quote(text)}; see weft service ls`)
}

/** The oldest of that name, which has it: names of services are names in DNS, where case is nothing. */
export function serviceNamed(
  services: readonly ServiceRecord[],
  name: string,
): ServiceRecord | undefined {
  const wanted = name.toLowerCase()
  return services.filter(({ value }) => value.name.toLowerCase() === wanted).toSorted(byAge)[0]
}

function byAge(a: ServiceRecord, b: ServiceRecord): number {
  return a.value.claimedAt - b.value.claimedAt || (a.key < b.key ? -1 : 1)
}

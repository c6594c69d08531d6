// Which backends of a service a command means: by name, by host and name, by id, or by the beginning of an id.

import { WeftError, quote } from '../errors.ts'
import type { Endpoint } from './backends.ts'

/**
 * All endpoints of the one sandbox that the text names, one for each network of the service that it is on. Whoever is called so comes
 * before whose id begins so: `a5` is both a name and the beginning of every 256th id.
 *
 * @throws WeftError not_found; ambiguous when sandboxes of several hosts have that name, or several ids begin so
 */
export function findBackends(
  service: string,
  endpoints: readonly Endpoint[],
  text: string,
  hostOf: (member: string) => string,
): readonly Endpoint[] {
  const [name = '', host] = text.split('/').reverse()
  const named = endpoints.filter(
    ({ value, owner }) => value.name === name && (host === undefined || hostOf(owner) === host),
  )
  const found =
    named.length > 0 || text === '' ? named : endpoints.filter(({ key }) => key.startsWith(text))
  const sandboxes = new Set(found.map(({ value, owner }) => `${owner}/${value.name}`))
  if (sandboxes.size > 1) {
    throw new WeftError(
      'ambiguous',
      `service ${service} has ${sandboxes.size} backends ${quote(text)}; write HOST/NAME`,
    )
  }
  if (found.length > 0) return found
  const all = [...new Set(endpoints.map(({ value, owner }) => `${hostOf(owner)}/${value.name}`))]
  throw new WeftError(
    'not_found',
    `service ${service} has no backend ${quote(text)}; it has ${all.length === 0 ? 'none' : all.slice(0, 5).join(', ')}`,
  )
}

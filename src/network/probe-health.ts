// One health check, made in its sandbox: a command by init, a connection or a request by a socket of its namespace.

import { receiveDescriptor } from '../dataplane/binding.ts'
import { WeftError } from '../errors.ts'
import type { Outcome } from '../health/health.ts'
import type { HealthTest } from '../netdb/health-check.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import { runBounded } from '../sandbox/bounded-command.ts'
import { getInside, tryConnection } from '../sandbox/inside-socket.ts'
import { type Sandbox, requireClient } from './sandbox.ts'

/** docker's: bytes of what a check says that are kept. */
const MAX_OUTPUT_BYTES = 4_096
/** What a request may be answered with: all that is no error. */
const [LOWEST_STATUS, HIGHEST_STATUS] = [200, 399]

/**
 * What the check finds. Throws when it could not be made; a server that refuses was found.
 *
 * @throws WeftError not_running, not_found, and what init says
 */
export async function probeHealth(
  sandbox: Sandbox,
  test: HealthTest,
  signal: AbortSignal,
): Promise<Outcome> {
  const client = requireClient(sandbox)
  if (test.kind === 'cmd')
    return await runBounded(client, ['/bin/sh', '-c', test.command], MAX_OUTPUT_BYTES, signal)
  const { port } = test
  const place = { client, receiveDescriptor, address: addressOf(sandbox), port }
  if (test.kind === 'tcp') {
    return await found(tryConnection(place, signal), () => ({ exitCode: 0, output: '' }))
  }
  return await found(getInside(place, test.path, signal), ({ status, reason }) => ({
    exitCode: status >= LOWEST_STATUS && status <= HIGHEST_STATUS ? 0 : 1,
    output: `GET http://${place.address}:${port}${test.path}: ${status} ${reason}`,
  }))
}

async function found<T>(probe: Promise<T>, outcome: (value: T) => Outcome): Promise<Outcome> {
  try {
    return outcome(await probe)
  } catch (error) {
    // Of init: the check was not made. Anything else is what the server did.
    if (error instanceof WeftError || !(error instanceof Error)) throw error
    return { exitCode: 1, output: error.message }
  }
}

/** Its own, on the network of its service: what its clients reach it by. */
function addressOf({ endpoints, spec }: Sandbox): Ipv4Address {
  const endpoint = endpoints.find((one) => one.spec.service !== null) ?? endpoints[0]
  if (endpoint !== undefined) return endpoint.spec.ip
  throw new WeftError('not_found', `${spec.name} is on no network`)
}

// Which way echo requests go: by raw-socket from this process, else by the ping program.

import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Echo } from './echo.ts'
import { PingEcho } from './ping-echo.ts'
import { RawEcho } from './raw-echo.ts'

/**
 * raw-socket is optional: npm builds nothing (it runs no install scripts), scripts/setup does when it can.
 *
 * @param source the address that requests come from: the one that others know this host by
 */
export function openEcho(source: Ipv4Address): Echo {
  return RawEcho.open(source) ?? new PingEcho(source)
}

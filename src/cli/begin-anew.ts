// Verbs after which the daemon begins anew, as another member or at another address: it is waited for.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiClient } from '../api/client.ts'
import { WeftError } from '../errors.ts'

const PATIENCE_MS = 10_000
const POLL_MS = 50

/** Does what makes the daemon begin anew (false: it does not), and returns when it answers again. */
export async function beginAnew(client: ApiClient, act: () => Promise<boolean>): Promise<void> {
  const before = await client.status()
  if (!(await act())) return
  const end = Date.now() + PATIENCE_MS
  while (Date.now() < end) {
    await sleep(POLL_MS)
    const now = await client.status().catch((error: unknown) => {
      if (error instanceof WeftError && error.code === 'unavailable') return null
      throw error
    })
    if (now !== null && now.beganAt !== before.beganAt) return
  }
  throw new WeftError(
    'unavailable',
    `the daemon did not come back within ${PATIENCE_MS / 1000} s; see its log`,
  )
}

/** --advertise-addr of init and join. */
export async function advertise(client: ApiClient, advertiseAddr: string): Promise<void> {
  await beginAnew(client, async () => (await client.setAddress({ advertiseAddr })).changed)
}

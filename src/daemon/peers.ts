// The other hosts as networks and endpoints see them: the cluster, and whether this host has heard from it since it started.

import type { Clock } from '../clock.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { WeftError } from '../errors.ts'
import type { Peers } from '../network/peers.ts'

/** Who has not been heard by then is down: a host that is alone goes on with what it knew. */
const PATIENCE_MS = 5_000

/**
 * @param remembered whether this host had company before it started
 * @param written settles when what this host wrote for all is on its disk
 */
export function peersOf(
  cluster: Pick<Cluster, 'acknowledge' | 'others' | 'refresh' | 'requireSome'>,
  clock: Pick<Clock, 'nowMs'>,
  remembered: boolean,
  written: () => Promise<void>,
): Peers {
  const startedMs = clock.nowMs()
  return {
    requireSynced: () => {
      cluster.requireSome()
      if (!remembered || cluster.others().length > 0) return
      if (clock.nowMs() - startedMs >= PATIENCE_MS) return
      throw new WeftError(
        'unavailable',
        'this host has just started and has not heard from its cluster; try again in some seconds',
      )
    },
    refresh: () => cluster.refresh(),
    acknowledge: async (records) => {
      await Promise.all([cluster.acknowledge(records), written()])
    },
  }
}

// The other hosts, as far as networks and endpoints need them: whoever allocates has heard of what they hold, and tells them.

export interface Peers {
  /**
   * Whether this host may allocate: it has heard from its cluster.
   *
   * @throws WeftError not_in_cluster, unavailable
   */
  readonly requireSynced: () => void
  /** Asks a peer for what this host may have missed. */
  readonly refresh: () => Promise<void>
  /**
   * Has the others know records of ours, by name; settles when they do, or when waiting is no use, and this host cannot forget what it
   * wrote for all: a host that is alone when it dies would else come back with endpoints on subnets that nobody has heard of.
   */
  readonly acknowledge: (records: readonly string[]) => Promise<void>
}

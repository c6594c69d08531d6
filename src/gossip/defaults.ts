// The numbers of the protocol, each with its formula and reason. Tests and simulations override them one by one.

export interface GossipSettings {
  readonly probeIntervalMs: number
}

export const GOSSIP_SETTINGS: GossipSettings = {
  probeIntervalMs: 500,
}

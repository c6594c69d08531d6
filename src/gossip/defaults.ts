// The numbers of the protocol, each with its formula and reason. Tests and simulations override them one by one.
//
// n is the number of members that are present, this host among them. README.md has what was measured with them.

export interface GossipSettings {
  readonly probeIntervalMs: number
  readonly probeFanout: number
  readonly pingTimeoutMs: number
  readonly probeTimeoutMs: number
  readonly relays: number
  readonly relayTimeoutMs: number
  readonly deadProbes: number
  readonly maxAwareness: number
  readonly suspicionMinMs: number
  readonly suspicionMaxMs: number
  readonly suspicionConfirmations: number
  readonly chaseIntervalMs: number
  readonly chasers: number
  readonly hearsayMs: number
  readonly pauseMs: number
  readonly flushDelayMs: number
  readonly flushIntervalMs: number
  readonly flushFanout: number
  readonly flushDatagrams: number
  readonly retransmitFactor: number
  readonly maxRumours: number
  readonly maxRumourBytes: number
  readonly pushPullIntervalMs: number
  readonly pushPullTimeoutMs: number
  readonly maxPushPulls: number
  readonly contactIntervalMs: number
  readonly leaveRoundsMs: readonly number[]
  readonly leaveFanout: number
  readonly maxMembers: number
  readonly forgetMs: number
}

export const GOSSIP_SETTINGS: GossipSettings = {
  // Each tick probes min(probeFanout, n - 1) members. A member is probed by 3 others per tick on average, whatever n, so the
  // first of them notices a crash within 500 / 4 = 125 ms on average. One probe per tick would be 250 ms, and leave the
  // confirmations that shorten a suspicion to come 500 ms later.
  probeIntervalMs: 500,
  probeFanout: 3,
  // A LAN answers in 2 ms; a busy event loop in 50. What is later than this is worth three more datagrams.
  pingTimeoutMs: 200,
  // Ping, then 250 ms for the ways round by relays and by TCP. Shorter than the interval, so that probes do not pile up.
  probeTimeoutMs: 450,
  // With 5 % loss a way round (4 datagrams) fails with 1 - 0.95^4 = 19 %, three of them with 0.6 %.
  relays: 3,
  // A relay says that it has no answer while the one who asked still waits: 200 + 150 + two ways < 450.
  relayTimeoutMs: 150,
  // Two ticks reach each dead member of a small cluster from each other member: a heal is noticed within a second.
  deadProbes: 2,
  // Lifeguard's S: timeouts grow by up to 1 + 8 times.
  maxAwareness: 8,
  // Suspicion lasts from max to min, the more members confirm it, each times max(1, log10 n). A crash is seen by all after
  // about 125 + 450 + 1,000 ms; a pause of 1 s is over 450 ms before that, which are four chases: time to refute.
  suspicionMinMs: 1_000,
  suspicionMaxMs: 2_000,
  // At most n - 2: without the suspect and the first accuser.
  suspicionConfirmations: 3,
  // Who believes in a suspicion asks the suspect itself that often, with the chance min(1, chasers / n). Up to 32 members all
  // do: one in 500 misses the rumour that refutes (e^-6 at n = 25), and would go on believing. In a large cluster about
  // 32 pings in 100 ms are what a suspect has to answer.
  chaseIntervalMs: 100,
  chasers: 32,
  // A death that is only heard of is checked for so long, by chasing: after a heal, old rumours kill nobody.
  hearsayMs: 400,
  // A timer that is this late says that the host stood still. Garbage collection and a busy loop stay below 100 ms.
  pauseMs: 150,
  // News leaves after 20 ms, with what else came meanwhile: four hops are below 100 ms. After that the queue empties
  // at an interval, so that each rumour meets other members.
  flushDelayMs: 20,
  flushIntervalMs: 100,
  flushFanout: 4,
  // To one member in one flush: 8 datagrams hold about 50 records. 4 * 8 * 50 flushes/s is the most that rumours cost.
  flushDatagrams: 8,
  // Each member sends a rumour ceil(factor * log10(n + 1)) times: a member misses it with a chance below e^-limit, and finds
  // it by comparing. Of the records for 25 members 99 % are at the last one after 161 ms; with 4 it were 792 ms.
  retransmitFactor: 5,
  // Ten seconds of 400 broadcasts/s. What is shed is found by comparing.
  maxRumours: 4_096,
  maxRumourBytes: 1 << 20,
  // Between two exchanges with a random member, times max(1, log2(n / 32)): it repairs what rumours missed, and n lines
  // of 30 bytes both ways should cost less than probes do.
  pushPullIntervalMs: 20_000,
  pushPullTimeoutMs: 2_000,
  // At once, of this host's asking: a heal contacts all dead members within a second.
  maxPushPulls: 3,
  // Of contacts with the same member that is believed to be dead, or to be elsewhere.
  contactIntervalMs: 250,
  // When a leaver tells the members: at 5 % loss one in 8,000 misses all three, and hears it from others.
  leaveRoundsMs: [0, 60, 150],
  leaveFanout: 64,
  // 4,096 lines of a push/pull at most 87 bytes long are within MAX_REQUEST_BYTES.
  maxMembers: 4_096,
  // A dead member is probed for a day: a machine that was off over night finds the others again.
  forgetMs: 24 * 3_600_000,
}

/** How suspicion timeouts grow with the number of members: rumours need longer to come round. */
export function suspicionScale(members: number): number {
  return Math.max(1, Math.log10(Math.max(1, members)))
}

/** How often one member sends a rumour. */
export function retransmitLimit(factor: number, members: number): number {
  return Math.ceil(factor * Math.log10(members + 1))
}

/** How much rarer push/pull gets in a large cluster. */
export function pushPullScale(members: number): number {
  return Math.max(1, Math.log2(members / 32))
}

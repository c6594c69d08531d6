// Which rate to try next, when the highest one that is hardly lossy is looked for. Pure.
//
// First as fast as the sender can: some networks hold it back by themselves, and then that is the
// answer. Otherwise the answer lies below. What arrived of the flood is a first guess (a switch
// that spends its time on what it drops delivers less than it could, so it is not a bound), then
// the space between the best rate that passed and the worst that failed is halved (on a scale of
// ratios) until it is narrow or the trials are used up.

export interface Trial {
  /** Datagrams a second that were to be sent; null: as fast as possible. */
  readonly offered: number | null
  readonly sent: number
  readonly received: number
  readonly seconds: number
}

export interface SearchLimits {
  /** Of what was sent: 0.005; 0 for none at all. */
  readonly maxLoss: number
  readonly maxTrials: number
}

/** Bounds so near to each other are one rate. */
const NARROW = 1.04
/** Nothing passed yet: how much further down. */
const STEP_DOWN = 0.7

export function lossOf(trial: Trial): number {
  return trial.sent === 0 ? 1 : Math.max(0, 1 - trial.received / trial.sent)
}

/** The rate to offer next, null for as fast as possible; undefined when the search is over. */
export function nextRate(
  trials: readonly Trial[],
  limits: SearchLimits,
): number | null | undefined {
  const [first] = trials
  if (first === undefined) return null
  if (trials.length >= limits.maxTrials) return undefined
  const passed = trials.filter((trial) => passes(trial, limits)).map(receivedRate)
  const failed = trials.filter((trial) => !passes(trial, limits)).map(sentRate)
  if (failed.length === 0) return undefined
  const high = Math.min(...failed)
  // A rate that passed once above one that failed: the machine is not the same from trial to trial.
  const low = Math.max(0, ...passed.filter((rate) => rate < high))
  if (low > 0) return high / low <= NARROW ? undefined : Math.sqrt(low * high)
  if (trials.length === 1) return Math.min(receivedRate(first), high * 0.95)
  return high * STEP_DOWN
}

/** What arrived a second in the best trial that passed; 0 when none did. */
export function bestRate(trials: readonly Trial[], limits: SearchLimits): number {
  const best = bestTrial(trials, limits)
  return best === undefined ? 0 : Math.max(0, receivedRate(best))
}

/** The one of those that passed in which most arrived; undefined when none did. */
export function bestTrial<T extends Trial>(
  trials: readonly T[],
  limits: SearchLimits,
): T | undefined {
  const passed = trials.filter((trial) => passes(trial, limits))
  return passed.toSorted((a, b) => receivedRate(b) - receivedRate(a))[0]
}

function passes(trial: Trial, limits: SearchLimits): boolean {
  return lossOf(trial) <= limits.maxLoss
}

function sentRate(trial: Trial): number {
  return trial.sent / trial.seconds
}

function receivedRate(trial: Trial): number {
  return Math.min(trial.received, trial.sent) / trial.seconds
}

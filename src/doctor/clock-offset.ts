// Clocks: how far another host's is from ours. Pure.

import { type Finding, fine } from './finding.ts'

/** One look at another clock: it was read some time between the two. */
export interface ClockSample {
  readonly sentWallMs: number
  readonly theirWallMs: number
  readonly answeredWallMs: number
}

/** Nothing in weft orders by wall clocks, but who compares two hosts' logs does. */
const MOST_MS = 1_000

/** Nothing when nobody answered. */
export function judgeClock(subject: string, samples: readonly ClockSample[]): Finding[] {
  const [best] = samples.toSorted((a, b) => travelMs(a) - travelMs(b))
  if (best === undefined) return []
  // Half of the way there and back: the answer came from somewhere in between.
  const doubtMs = travelMs(best) / 2
  const offsetMs = best.theirWallMs - (best.sentWallMs + doubtMs)
  const found = `${(Math.abs(offsetMs) / 1000).toFixed(3)} s ${offsetMs < 0 ? 'behind' : 'ahead'} (give or take ${(doubtMs / 1000).toFixed(3)} s)`
  if (Math.abs(offsetMs) - doubtMs <= MOST_MS) return [fine('clock', subject, found)]
  return [
    {
      check: 'clock',
      subject,
      verdict: 'warn',
      found,
      advice:
        'let both hosts follow one time server; until then, times in their logs and lists cannot be compared',
    },
  ]
}

function travelMs({ sentWallMs, answeredWallMs }: ClockSample): number {
  return answeredWallMs - sentWallMs
}

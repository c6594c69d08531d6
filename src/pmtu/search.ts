// The path MTU to a host: the largest packet that gets there in one piece. Pure but for the echo that it is given.

import type { EchoResult } from '../linux/echo.ts'

/** RFC 791: every host takes it; below it nobody need look. */
const SMALLEST_BYTES = 576
/** A packet may be lost for other reasons than its size. */
const TRIES = 2
/** A path with more narrow places than this, each smaller than the one before, is searched by halves. */
const MOST_HINTS = 6

type Send = (bytes: number) => Promise<EchoResult>

/**
 * The largest size that is answered; null: none is, so nothing is known.
 *
 * Routers that tell the size they could pass make it quick; where packets vanish (a filter that drops ICMP), it is searched by
 * halves.
 *
 * @param mostBytes what the interface can send
 */
export async function findPathMtu(send: Send, mostBytes: number): Promise<number | null> {
  let size = mostBytes
  for (let hints = 0; hints < MOST_HINTS; hints++) {
    const result = await answerTo(send, size)
    if (result.kind === 'reply') return size
    if (result.kind !== 'too_big' || result.mtu === null) break
    if (result.mtu >= size || result.mtu < SMALLEST_BYTES) break
    size = result.mtu
  }
  if ((await answerTo(send, SMALLEST_BYTES)).kind !== 'reply') return null
  let passes = SMALLEST_BYTES
  let fails = size
  while (fails - passes > 1) {
    const middle = Math.floor((passes + fails) / 2)
    if ((await answerTo(send, middle)).kind === 'reply') passes = middle
    else fails = middle
  }
  // Routers that say nothing look like a packet that was lost, more than once, on a busy way.
  return (await answerTo(send, size)).kind === 'reply' ? size : passes
}

async function answerTo(send: Send, bytes: number): Promise<EchoResult> {
  let result: EchoResult = { kind: 'silence' }
  for (let tries = 0; tries < TRIES && result.kind === 'silence'; tries++)
    result = await send(bytes)
  return result
}

// Time from outside: whatever decides by time takes a Clock, so that tests and simulations run it
// on virtual time.

/** A running timer. `cancel` may be called at any time and more than once. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds on a clock that never steps back, from any origin: for intervals and timeouts. */
  nowMs(): number
  /** Milliseconds since 1970 as the host believes: for what people read, never for intervals. */
  wallMs(): number
  /** Calls `callback` once, `delayMs` from now. A running timer does not keep the process alive. */
  setTimeout(callback: () => void, delayMs: number): Timer
}

/** The host's clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimeout(callback, delayMs) {
    const timer = setTimeout(callback, delayMs)
    // What keeps a daemon alive are its sockets; a forgotten timer must not hold up its end.
    timer.unref()
    return {
      cancel() {
        clearTimeout(timer)
      },
    }
  },
}

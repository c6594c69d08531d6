// A terminal's settings that Node does not reach.

import { spawnSync } from 'node:child_process'

/**
 * Has the terminal behind `fd` show what is written to it as it is. Node's raw mode still makes \r\n of
 * every \n (libuv sets ONLCR), which a full-screen program on the other side does not mean.
 *
 * Waits for it, a few milliseconds: nothing may be shown before. Leaving raw mode takes it back.
 */
export function showVerbatim(fd: number): void {
  // Without coreutils there is one carriage return too many, which most programs bear.
  spawnSync('stty', ['-opost'], { stdio: [fd, 'ignore', 'ignore'] })
}

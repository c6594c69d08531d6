// Long runs on more than one core: pieces of work that are data, done by worker threads in any order.

import { Worker, isMainThread, parentPort } from 'node:worker_threads'

/**
 * Does all `pieces` with `jobs` threads of `file`, which calls serve(); `onDone` hears each result as it comes.
 * The results are in the order of the pieces.
 */
export async function inParallel<R>(
  file: URL,
  pieces: readonly unknown[],
  jobs: number,
  onDone: (result: R) => void = () => undefined,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const runOne = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(file, { resourceLimits: { maxOldGenerationSizeMb: 8_192 } })
      let current = -1
      const hand = (): void => {
        current = next++
        if (current < pieces.length) worker.postMessage(pieces[current])
        else void worker.terminate().then(() => resolve())
      }
      worker.on('message', (result: R) => {
        results[current] = result
        onDone(result)
        hand()
      })
      worker.on('error', reject)
      hand()
    })
  await Promise.all(Array.from({ length: Math.min(jobs, pieces.length) }, runOne))
  return results
}

/** In a worker thread: does each piece of work that comes, at once or in a promise, and gives true. */
export function serve(work: (piece: unknown) => unknown): boolean {
  if (isMainThread || parentPort === null) return false
  const port = parentPort
  port.on('message', (piece: unknown) => {
    // An error ends the thread, which its owner hears of, also when it comes late.
    void Promise.resolve(work(piece)).then((result) => port.postMessage(result))
  })
  return true
}

// What ping, traceroute and iperf3 print, as numbers; and numbers as a matrix. Pure.

export interface PingResult {
  readonly lossPercent: number
  /** null when nothing came back. */
  readonly rttMs: number | null
  /** Of the first answer. */
  readonly ttl: number | null
}

/** null: not a ping's output. */
export function parsePing(output: string): PingResult | null {
  const loss = /([\d.]+)% packet loss/.exec(output)?.[1]
  if (loss === undefined) return null
  const rtt = /= [\d.]+\/([\d.]+)\//.exec(output)?.[1]
  const ttl = /ttl=(\d+)/.exec(output)?.[1]
  return {
    lossPercent: Number(loss),
    rttMs: rtt === undefined ? null : Number(rtt),
    ttl: ttl === undefined ? null : Number(ttl),
  }
}

/** The addresses of a `traceroute -n -q 1`; `*` for a hop that did not answer. */
export function parseTraceroute(output: string): string[] {
  return [...output.matchAll(/^ *\d+ +(\S+)/gm)].map((match) => match[1] ?? '*')
}

/** What the receiver of an iperf3 got: `9.41 Gbits/sec`. */
export function parseIperf(output: string): string | null {
  return /([\d.]+ [KMGT]?bits\/sec)[^\n]*receiver/.exec(output)?.[1] ?? null
}

export interface Pair {
  readonly from: number
  readonly to: number
}

/** All pairs of a small lab; of a large one each host with the next two, to stay quick. */
const ALL_PAIRS_UP_TO = 6

export function pairsOf(hosts: number): Pair[] {
  const numbers = Array.from({ length: hosts }, (_, index) => index + 1)
  return numbers.flatMap((from) =>
    numbers
      .filter((to) => to !== from)
      .filter((to) => hosts <= ALL_PAIRS_UP_TO || (to - from + hosts) % hosts <= 2)
      .map((to) => ({ from, to })),
  )
}

/** Round-trip times from each row to each column. */
export function formatMatrix(
  hosts: number,
  results: readonly (Pair & { readonly ping: PingResult | null })[],
): string {
  const names = Array.from({ length: hosts }, (_, index) => `c${index + 1}`)
  const cell = (from: number, to: number) => {
    if (from === to) return '-'
    const result = results.find((one) => one.from === from && one.to === to)
    return result === undefined ? '' : formatPing(result.ping)
  }
  const rows = names.map((name, from) => [
    `from ${name}`,
    ...names.map((_, to) => cell(from + 1, to + 1)),
  ])
  const all = [['', ...names.map((name) => `to ${name}`)], ...rows]
  const widths = names
    .concat('')
    .map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)))
  return all
    .map(
      (row) =>
        `${row
          .map((text, at) => text.padEnd((widths[at] ?? 0) + 3))
          .join('')
          .trimEnd()}\n`,
    )
    .join('')
}

function formatPing(ping: PingResult | null): string {
  if (ping === null) return 'failed'
  if (ping.lossPercent > 0) return `${ping.lossPercent}% loss`
  return ping.rttMs === null ? 'no answer' : `${ping.rttMs.toFixed(2)} ms`
}

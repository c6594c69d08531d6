// Ports: whether VXLAN and gossip pass between two hosts, each way on its own. Pure: what was sent and what was heard.

import type { Check, Finding } from './finding.ts'
import { fine } from './finding.ts'

/** One way between two hosts. */
export interface Way {
  readonly from: string
  readonly to: string
  readonly protocol: 'UDP' | 'TCP'
  readonly port: number
}

/** `heard` of the `sent` datagrams came; null: who would know cannot be asked. */
export function judgeDatagrams(
  check: Check,
  way: Way,
  sent: number,
  heard: number | null,
): Finding {
  const subject = `${way.from} -> ${way.to}`
  const port = `${way.protocol} ${way.port}`
  if (heard === null) {
    return {
      check,
      subject,
      verdict: 'warn',
      found: `${port}: not known, ${way.from} and ${way.to} cannot speak to each other`,
      advice: 'see the gossip-tcp check first',
    }
  }
  if (heard >= sent) return fine(check, subject, `${port} passes`)
  if (heard > 0) {
    return {
      check,
      subject,
      verdict: 'warn',
      found: `${port}: ${heard} of ${sent} datagrams came`,
      advice: 'look for a rate limit or an overloaded link on the way',
    }
  }
  return { check, subject, verdict: 'fail', found: `${port} does not pass`, advice: openUp(way) }
}

/** `error`: why the connection could not be made; null: it could. undefined: who would know cannot be asked. */
export function judgeConnection(check: Check, way: Way, error: string | null | undefined): Finding {
  if (error === undefined) return judgeDatagrams(check, way, 1, null)
  const subject = `${way.from} -> ${way.to}`
  const port = `${way.protocol} ${way.port}`
  if (error === null) return fine(check, subject, `${port} passes`)
  return { check, subject, verdict: 'fail', found: `${port}: ${error}`, advice: openUp(way) }
}

function openUp({ from, to, protocol, port }: Way): string {
  return `see that weft's daemon runs on ${to} (weft node ls), and let ${protocol} ${port} from ${from} to ${to} through every firewall between (nft list ruleset)`
}

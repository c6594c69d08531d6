// The verdict on the path MTU to a host, against what overlays send there. Pure.

import { ENCAPSULATION_BYTES } from '../pmtu/path-mtus.ts'
import { type Finding, fine } from './finding.ts'

/**
 * @param path null: not known
 * @param overlayMtu what overlays send to that host at most
 */
export function judgePathMtu(
  subject: string,
  path: number | null,
  interfaceMtu: number,
  overlayMtu: number,
): Finding {
  const check = 'path-mtu'
  if (path === null) {
    return {
      check,
      subject,
      verdict: 'warn',
      found: 'not known: no echo request is answered',
      advice: 'let ICMP echo pass between the hosts, or see the vtep check',
    }
  }
  if (overlayMtu + ENCAPSULATION_BYTES > path) {
    return {
      check,
      subject,
      verdict: 'fail',
      found: `path MTU ${path}, but overlays send packets of ${overlayMtu + ENCAPSULATION_BYTES}: they are fragmented on the way`,
      advice: `raise the MTU of the path to ${overlayMtu + ENCAPSULATION_BYTES}, or lower this interface's to ${path}, on every host`,
    }
  }
  if (path < interfaceMtu) {
    return {
      check,
      subject,
      verdict: 'warn',
      found: `path MTU ${path}, less than the interface's ${interfaceMtu}; overlays keep to ${overlayMtu}`,
      advice: `nothing breaks; raise the MTU of the path to ${interfaceMtu} for larger packets`,
    }
  }
  return fine(check, subject, `path MTU ${path}, overlay MTU ${overlayMtu}`)
}

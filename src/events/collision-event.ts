// A collision as an event: who claims what, who keeps it, what becomes of the other. Pure.

import type { Finding } from '../ipam/collisions.ts'
import { formatCidr } from '../net/cidr.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Happening } from './event.ts'

type View = Pick<Netdb, 'get' | 'find' | 'nameOfMember'>

export function collisionEvent(finding: Finding, view: View): Happening {
  switch (finding.kind) {
    case 'endpoint':
    case 'vip': {
      const { clash, address, network, keeps, loses } = finding
      const [first, second] = [holderName(keeps, view), holderName(loses, view)]
      const what = clash === 'mac' ? `MAC ${address}` : address
      const where = networkName(network, view)
      return {
        kind: 'collision',
        object: finding.kind === 'vip' ? serviceName(loses, view) : second,
        text: `${what} on network ${where} is claimed by ${first} and ${second}: ${first} was first and keeps it`,
      }
    }
    case 'vni': {
      const [first, second] = [
        subnetNetwork(finding.keeps, view),
        subnetNetwork(finding.loses, view),
      ]
      return {
        kind: 'collision',
        object: second.name,
        text: `VNI ${finding.vni} is claimed by networks ${first.called} and ${second.called}: ${first.called} is older and keeps it`,
      }
    }
    case 'subnet': {
      const [first, second] = [
        subnetNetwork(finding.keeps, view),
        subnetNetwork(finding.loses, view),
      ]
      const [one = '', other = ''] = finding.ranges.map(formatCidr)
      const text =
        first.called === second.called
          ? `${one} and ${other} of network ${first.called} overlap: who is on one may not reach all who are on the other; use another network`
          : `${one} of network ${first.called} and ${other} of network ${second.called} overlap: both work, but no sandbox may be on both`
      return { kind: 'collision', object: second.name, text }
    }
    case 'name': {
      const { name, of, keeps, loses } = finding
      return {
        kind: 'collision',
        object: name,
        text: `two ${of}s are called ${name}: the name means ${keeps.slice(0, 12)}, which is older; the other is reached by its id, ${loses.slice(0, 12)}`,
      }
    }
  }
}

/** Whoever has addresses, by the name of the record that says so: `HOST/NAME` of an endpoint, `service NAME` of a VIP. */
export function holderName(record: string, view: View): string {
  const found = view.find(record)
  if (found?.kind === 'vip' && found.value !== null) return `service ${serviceName(record, view)}`
  if (found?.kind !== 'endpoint' || found.value === null) return record
  return `${view.nameOfMember(found.owner)}/${found.value.name}`
}

/** Of a VIP, by its record's name. */
function serviceName(record: string, view: View): string {
  const found = view.find(record)
  if (found?.kind !== 'vip' || found.value === null) return record
  const { service } = found.value
  return view.get('service', service)?.value.name ?? service
}

/** The network of a subnet, by the subnet's key, with its id: two may have one name. */
function subnetNetwork(key: string, view: View): { name: string; called: string } {
  const id = view.get('subnet', key)?.value.network ?? key
  const name = networkName(id, view)
  return { name, called: `${name} (${id.slice(0, 12)})` }
}

function networkName(id: string, view: View): string {
  return view.get('network', id)?.value.name ?? id
}

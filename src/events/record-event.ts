// What a changed record means as an event. Pure.
//
// Networks and services are everybody's, endpoints their hosts': whoever wants to know what comes and goes on all hosts asks all. That an endpoint
// has another address is told by every host that knew the old one.

import { formatCidr } from '../net/cidr.ts'
import type { LiveRecord } from '../netdb/record.ts'
import type { Change, Netdb } from '../netdb/table.ts'
import type { Happening } from './event.ts'

type View = Pick<Netdb, 'self' | 'get' | 'nameOfMember'>

/** null: nothing to tell. */
export function recordEvent({ before, after }: Change, view: View): Happening | null {
  const record = after ?? before
  switch (record?.kind) {
    case 'network':
      return networkEvent(before as Network | undefined, after as Network | undefined, view)
    case 'subnet':
      return subnetEvent(before as Subnet | undefined, after as Subnet | undefined, view)
    case 'service':
      return serviceEvent(before as Service | undefined, after as Service | undefined, view)
    case 'vip':
      return vipEvent(before as Vip | undefined, after as Vip | undefined, view)
    case 'endpoint':
      return endpointEvent(before as Endpoint | undefined, after as Endpoint | undefined, view)
    default:
      return null
  }
}

type Network = LiveRecord<'network'>
type Subnet = LiveRecord<'subnet'>
type Service = LiveRecord<'service'>
type Vip = LiveRecord<'vip'>
type Endpoint = LiveRecord<'endpoint'>

function networkEvent(
  before: Network | undefined,
  after: Network | undefined,
  view: View,
): Happening | null {
  const record = after ?? before
  // What stands in a facts file is nobody's doing; a record may take its place.
  if (record === undefined || record.version.lamport === 0) return null
  const { name } = record.value
  const called = `network ${name} (${record.key.slice(0, 12)})`
  if (before === undefined) {
    const maker = view.nameOfMember(record.owner)
    return { kind: 'network-created', object: name, text: `${called} was made on ${maker}` }
  }
  if (after !== undefined) return null
  return { kind: 'network-removed', object: name, text: `${called} was removed` }
}

function subnetEvent(
  before: Subnet | undefined,
  after: Subnet | undefined,
  view: View,
): Happening | null {
  if (before === undefined || after === undefined) return null
  const { vni, cidr, network } = after.value
  if (vni === before.value.vni) return null
  const name = networkName(network, view)
  return {
    kind: 'network-renumbered',
    object: name,
    text: `subnet ${formatCidr(cidr)} of network ${name} has VNI ${vni} now, instead of ${before.value.vni}`,
  }
}

function serviceEvent(
  before: Service | undefined,
  after: Service | undefined,
  view: View,
): Happening | null {
  const record = after ?? before
  if (record === undefined || (before !== undefined && after !== undefined)) return null
  const { name } = record.value
  const called = `service ${name} (${record.key.slice(0, 12)})`
  return before === undefined
    ? {
        kind: 'service-created',
        object: name,
        text: `${called} was made on ${view.nameOfMember(record.owner)}`,
      }
    : { kind: 'service-removed', object: name, text: `${called} was removed` }
}

function vipEvent(before: Vip | undefined, after: Vip | undefined, view: View): Happening | null {
  if (before === undefined || after === undefined || before.value.ip === after.value.ip) return null
  const { service, network, ip } = after.value
  const name = view.get('service', service)?.value.name ?? service
  return {
    kind: 'service-readdressed',
    object: name,
    text: `service ${name} has ${ip} on network ${networkName(network, view)} now, instead of ${before.value.ip}`,
  }
}

function endpointEvent(
  before: Endpoint | undefined,
  after: Endpoint | undefined,
  view: View,
): Happening | null {
  const record = after ?? before
  if (record === undefined) return null
  const { name, ip, network } = record.value
  const object = `${view.nameOfMember(record.owner)}/${name}`
  const where = `on network ${networkName(network, view)}`
  if (before !== undefined && after !== undefined) {
    if (before.value.ip === ip) return null
    const text = `${object} has ${ip} ${where} now, instead of ${before.value.ip}`
    return { kind: 'endpoint-readdressed', object, text }
  }
  if (record.owner !== view.self) return null
  return before === undefined
    ? { kind: 'endpoint-attached', object, text: `${object} is ${where} as ${ip}` }
    : { kind: 'endpoint-detached', object, text: `${object} is no longer ${where} (${ip})` }
}

function networkName(id: string, view: View): string {
  return view.get('network', id)?.value.name ?? id
}

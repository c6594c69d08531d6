// What the API shows of services: docker's shapes, from records.

import type { LiveRecord } from '../netdb/record.ts'
import type { SubnetRecord } from '../network/networks.ts'
import { cidrContains } from '../net/cidr.ts'
import type { Backend } from '../service/backends.ts'
import type { ServiceRecord } from '../service/service-reference.ts'
import { healthcheckInspect } from './health-views.ts'
import type { ServiceInspect, ServiceSummary } from './service-types.ts'

export interface ServiceParts {
  readonly service: ServiceRecord
  readonly vips: readonly LiveRecord<'vip'>[]
  readonly backends: readonly Backend[]
  /** Of any network. */
  readonly subnets: readonly SubnetRecord[]
  /** A member's name. */
  readonly hostOf: (member: string) => string
}

export function serviceSummary(
  { key, value }: ServiceRecord,
  backends: readonly Backend[],
): ServiceSummary {
  const { name, endpointMode, scheduler, labels } = value
  const count = (those: readonly Backend[]): number =>
    new Set(those.map(({ endpoint }) => `${endpoint.owner}/${endpoint.value.name}`)).size
  const running = count(backends.filter(({ state }) => state === 'healthy' || state === 'draining'))
  return { id: key, name, endpointMode, scheduler, backends: count(backends), running, labels }
}

export function serviceInspect(parts: ServiceParts): ServiceInspect {
  const { service, backends, hostOf } = parts
  const { name, labels, networks, endpointMode, scheduler, createdAtMs, healthCheck } =
    service.value
  return {
    ID: service.key,
    CreatedAt: new Date(createdAtMs).toISOString(),
    Spec: {
      Name: name,
      Labels: labels,
      TaskTemplate: {
        Networks: networks.map((network) => ({ Target: network })),
        ...(healthCheck === undefined
          ? {}
          : { ContainerSpec: { Healthcheck: healthcheckInspect(healthCheck) } }),
      },
      EndpointSpec: { Mode: endpointMode },
    },
    Endpoint: {
      Spec: { Mode: endpointMode },
      ...(endpointMode === 'vip' ? { VirtualIPs: virtualIps(parts) } : {}),
    },
    Weft: {
      Scheduler: scheduler,
      Backends: backends.map(({ endpoint: { key, owner, value }, weight, state }) => ({
        Name: value.name,
        Host: hostOf(owner),
        EndpointID: key,
        NetworkID: value.network,
        Address: value.ip,
        IPv6Address: value.ip6 ?? '',
        Weight: weight,
        State: state,
      })),
    },
  }
}

function virtualIps({ vips, subnets }: ServiceParts): { NetworkID: string; Addr: string }[] {
  return vips.flatMap(({ value: { network, ip, ip6 } }) => {
    const subnet = subnets.find(
      ({ value }) => value.network === network && cidrContains(value.cidr, ip),
    )?.value
    const v4 = { NetworkID: network, Addr: `${ip}/${subnet?.cidr.prefixLength ?? 32}` }
    if (ip6 === null) return [v4]
    return [v4, { NetworkID: network, Addr: `${ip6}/${subnet?.cidr6?.prefixLength ?? 128}` }]
  })
}

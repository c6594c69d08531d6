// What the API shows of networks: docker's shapes, from records.

import { formatCidr } from '../net/cidr.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import { MTU_OPTION, VNI_LIST_OPTION } from '../network/network-options.ts'
import type { EndpointRecord, NetworkRecord, SubnetRecord } from '../network/networks.ts'
import type {
  IpamConfig,
  NetworkContainer,
  NetworkInspect,
  NetworkSummary,
} from './network-types.ts'

/** What docker shows for a time that is not known. */
const NEVER = '0001-01-01T00:00:00Z'
/** Of a member's id in a peer's name, as docker's `host-a73dffac9ac0`. */
const PEER_ID_LENGTH = 12

/** A host that has an endpoint. */
export interface EndpointHost {
  readonly id: string
  readonly name: string
  /** null when its own record is not known yet. */
  readonly vtep: Ipv4Address | null
}

export interface NetworkParts {
  readonly network: NetworkRecord
  readonly subnets: readonly SubnetRecord[]
  /** Of all hosts. */
  readonly endpoints: readonly EndpointRecord[]
  readonly hostOf: (owner: string) => EndpointHost
  /** Overlay MTU of networks that do not set one, in bytes. */
  readonly mtuBytes: number
}

export function networkSummary(
  { key, value }: NetworkRecord,
  localEndpoints: number,
): NetworkSummary {
  return {
    id: key,
    name: value.name,
    driver: 'overlay',
    scope: 'swarm',
    createdAt: timeOf(value.createdAtMs),
    ipv6: value.ipv6,
    internal: value.internal,
    attachable: value.attachable,
    labels: value.labels,
    localEndpoints,
  }
}

export function networkInspect(parts: NetworkParts): NetworkInspect {
  const { network, subnets, endpoints, mtuBytes } = parts
  const { key, value } = network
  const containers = endpoints.map((endpoint) => [endpoint.key, containerOf(endpoint, parts)])
  const peers = peersOf(parts)
  return {
    Name: value.name,
    Id: key,
    Created: timeOf(value.createdAtMs),
    Scope: 'swarm',
    Driver: 'overlay',
    EnableIPv4: true,
    EnableIPv6: value.ipv6,
    IPAM: { Driver: 'default', Options: null, Config: subnets.flatMap(configOf) },
    Internal: value.internal,
    Attachable: value.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers:
      endpoints.length === 0
        ? null
        : (Object.fromEntries(containers) as Record<string, NetworkContainer>),
    Options: {
      ...value.options,
      [VNI_LIST_OPTION]: subnets.map(({ value: { vni } }) => vni).join(','),
      [MTU_OPTION]: String(value.mtu ?? mtuBytes),
    },
    Labels: value.labels,
    ...(peers.length === 0 ? {} : { Peers: peers }),
  }
}

function configOf({ value }: SubnetRecord): IpamConfig[] {
  const { cidr, gateway, range, cidr6, gateway6 } = value
  const config: IpamConfig[] = [
    {
      Subnet: formatCidr(cidr),
      ...(range === null ? {} : { IPRange: formatCidr(range) }),
      Gateway: gateway,
    },
  ]
  if (cidr6 !== null) config.push({ Subnet: formatCidr(cidr6), Gateway: gateway6 ?? '' })
  return config
}

function containerOf(
  { key, owner, value }: EndpointRecord,
  { subnets, hostOf }: NetworkParts,
): NetworkContainer {
  const { name, mac, ip, ip6, vni } = value
  const subnet = subnets.find((one) => one.value.vni === vni)?.value
  return {
    Name: name,
    EndpointID: key,
    MacAddress: mac,
    IPv4Address: `${ip}/${subnet?.cidr.prefixLength ?? 32}`,
    IPv6Address: ip6 === null ? '' : `${ip6}/${subnet?.cidr6?.prefixLength ?? 128}`,
    Host: hostOf(owner).name,
  }
}

function peersOf({ endpoints, hostOf }: NetworkParts): { Name: string; IP: string }[] {
  return [...new Set(endpoints.map(({ owner }) => owner))]
    .map(hostOf)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ id, name, vtep }) => ({
      Name: `${name}-${id.slice(0, PEER_ID_LENGTH)}`,
      IP: vtep ?? '',
    }))
}

function timeOf(ms: number): string {
  return ms === 0 ? NEVER : new Date(ms).toISOString()
}

// The shapes of docs/api.md for networks.

/** POST /v1/networks */
export interface CreateNetwork {
  readonly name: string
  /** CIDRs of either family; empty: a subnet is chosen. */
  readonly subnets: readonly string[]
  /** Each belongs to the subnet that it lies in. */
  readonly gateways: readonly string[]
  readonly ipRanges: readonly string[]
  readonly ipv6: boolean
  readonly internal: boolean
  readonly attachable: boolean
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
}

/** POST /v1/networks/NAME/subnets */
export interface AddSubnets {
  readonly subnets: readonly string[]
  readonly gateways: readonly string[]
  readonly ipRanges: readonly string[]
}

export interface CreatedNetwork {
  /** 25 characters of 0-9a-z. */
  readonly id: string
}

/** GET /v1/networks: an array of these, in the order of names. */
export interface NetworkSummary {
  readonly id: string
  readonly name: string
  readonly driver: 'overlay'
  readonly scope: 'swarm'
  /** docker's zero time for a network of a facts file. */
  readonly createdAt: string
  readonly ipv6: boolean
  readonly internal: boolean
  readonly attachable: boolean
  readonly labels: Readonly<Record<string, string>>
  /** Endpoints of this host on it. */
  readonly localEndpoints: number
}

/** GET /v1/networks/NAME: docker's network inspect, where docker has the key. */
export interface NetworkInspect {
  readonly Name: string
  readonly Id: string
  readonly Created: string
  readonly Scope: 'swarm'
  readonly Driver: 'overlay'
  readonly EnableIPv4: boolean
  readonly EnableIPv6: boolean
  readonly IPAM: {
    readonly Driver: 'default'
    readonly Options: null
    readonly Config: readonly IpamConfig[]
  }
  readonly Internal: boolean
  readonly Attachable: boolean
  readonly Ingress: boolean
  readonly ConfigFrom: { readonly Network: string }
  readonly ConfigOnly: boolean
  /** All of the cluster, by endpoint id; null when there is none. */
  readonly Containers: Readonly<Record<string, NetworkContainer>> | null
  readonly Options: Readonly<Record<string, string>>
  readonly Labels: Readonly<Record<string, string>>
  /** Hosts that have endpoints on it; not there when there is none. */
  readonly Peers?: readonly { readonly Name: string; readonly IP: string }[]
}

export interface IpamConfig {
  readonly Subnet: string
  /** Not there when addresses are chosen from all of the subnet. */
  readonly IPRange?: string
  readonly Gateway: string
}

export interface NetworkContainer {
  readonly Name: string
  readonly EndpointID: string
  readonly MacAddress: string
  /** `10.0.1.3/24` */
  readonly IPv4Address: string
  /** Empty without IPv6. */
  readonly IPv6Address: string
  readonly Host: string
}

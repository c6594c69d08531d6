// The shapes of docs/api.md for services.

import type { EndpointMode, SchedulerName } from '../netdb/record.ts'
import type { HealthChange, HealthStatus, HealthWish, HealthcheckInspect } from './types.ts'

/** POST /v1/services */
export interface CreateService {
  readonly name: string
  /** Names or ids. */
  readonly networks: readonly string[]
  readonly endpointMode: EndpointMode
  readonly scheduler: SchedulerName
  readonly labels: Readonly<Record<string, string>>
  /** Of its backends that do not say another themselves. */
  readonly health?: HealthWish
}

export interface CreatedService {
  /** 25 characters of 0-9a-z. */
  readonly id: string
}

/** POST /v1/services/NAME: what is to be another way. */
export interface UpdateService {
  readonly scheduler?: SchedulerName
  readonly labelsAdded?: Readonly<Record<string, string>>
  readonly labelsRemoved?: readonly string[]
  /** Backends: NAME, HOST/NAME, or the beginning of an endpoint's id. */
  readonly drain?: readonly string[]
  readonly undrain?: readonly string[]
  readonly weights?: Readonly<Record<string, number>>
  /** What is left out stays as it is; null: no check. */
  readonly health?: HealthChange | null
}

/** GET /v1/services: an array of these, in the order of names. */
export interface ServiceSummary {
  readonly id: string
  readonly name: string
  readonly endpointMode: EndpointMode
  readonly scheduler: SchedulerName
  /** Endpoints behind it, as they are served; one that is on two of its networks counts once. */
  readonly backends: number
  /** Of these, those that are healthy, or nobody checks: docker's running ones. */
  readonly running: number
  readonly labels: Readonly<Record<string, string>>
}

/** GET /v1/services/NAME: docker's service inspect, where docker has the key; what is ours is under Weft. */
export interface ServiceInspect {
  readonly ID: string
  readonly CreatedAt: string
  readonly Spec: {
    readonly Name: string
    readonly Labels: Readonly<Record<string, string>>
    readonly TaskTemplate: {
      readonly Networks: readonly { readonly Target: string }[]
      /** Not there without a health check. */
      readonly ContainerSpec?: { readonly Healthcheck: HealthcheckInspect }
    }
    readonly EndpointSpec: { readonly Mode: EndpointMode }
  }
  readonly Endpoint: {
    readonly Spec: { readonly Mode: EndpointMode }
    /** Not there in dnsrr mode. `Addr`: `10.0.1.2/24`; IPv6 is one more. */
    readonly VirtualIPs?: readonly { readonly NetworkID: string; readonly Addr: string }[]
  }
  readonly Weft: {
    readonly Scheduler: SchedulerName
    readonly Backends: readonly ServiceBackend[]
  }
}

export interface ServiceBackend {
  readonly Name: string
  readonly Host: string
  readonly EndpointID: string
  readonly NetworkID: string
  readonly Address: string
  /** Empty without IPv6. */
  readonly IPv6Address: string
  readonly Weight: number
  readonly State: HealthStatus | 'draining' | 'dead'
}

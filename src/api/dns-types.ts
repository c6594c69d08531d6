// The shapes of docs/api.md that concern names.

/** GET /v1/dns: an array of these, by network and name. */
export interface DnsRow {
  readonly network: string
  /** In lower case: `web`, `tasks.web`. */
  readonly name: string
  /** The first one that will be answered changes each time. */
  readonly addresses: readonly {
    readonly ip: string | null
    readonly ip6: string | null
    /** The endpoint, or the service whose VIP it is. */
    readonly holder: string
    /** The host that carries it; null: all. */
    readonly host: string | null
  }[]
}

/** GET /v1/dns/query */
export interface DnsReply {
  /** NOERROR, NXDOMAIN, SERVFAIL, ... */
  readonly rcode: string
  /** true: of our own names; false: of an upstream. */
  readonly authoritative: boolean
  readonly answers: readonly {
    readonly name: string
    readonly type: string
    readonly ttl: number
    readonly data: string
  }[]
}

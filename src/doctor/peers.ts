// The other hosts as a doctor sees them: where each is, and how to ask it.

import type { Cluster } from '../cluster/cluster.ts'
import { WeftError } from '../errors.ts'
import { isPresent } from '../gossip/member.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Netdb } from '../netdb/table.ts'

export interface Peer {
  /** Of its member. */
  readonly id: string
  readonly name: string
  readonly vtep: Ipv4Address
  readonly vxlanPort: number
  readonly gossipPort: number
  /** false: a foreign VTEP of a facts file, which cannot be asked. */
  readonly isMember: boolean
  /** As gossip believes; of a foreign one as nobody knows. */
  readonly up: boolean
}

export interface Peers {
  /** All but this host, also those that are down. */
  list(): Peer[]
  /** How long ago a gossip datagram came from it; null: none has. */
  heardAgoMs(id: string): number | null
  /** Sends it a gossip datagram that it answers. */
  greet(id: string): void
  /** Opens a stream to it, and closes it. @throws WeftError */
  open(peer: Peer): Promise<void>
  /** @throws WeftError when it cannot be reached, or refuses */
  ask(peer: Peer, method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown>
}

/** Puts a question to a host's daemon over a stream of the cluster. */
export type Ask = (
  cluster: Cluster,
  peer: Peer,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
) => Promise<unknown>

/** The hosts of a cluster, and those that records speak of without being of it. */
export function peersOf(cluster: Cluster, netdb: Netdb, vxlanPort: number, ask: Ask): Peers {
  const addressOf = ({ id, vtep, gossipPort }: Peer) => ({
    id,
    address: { ip: vtep, port: gossipPort },
  })
  return {
    list: () => {
      const members: Peer[] = (cluster.status() === null ? [] : cluster.nodes())
        .filter(({ self }) => !self)
        .map(({ id, name, state, address, value }) => ({
          id,
          name,
          vtep: value?.vtep ?? address.ip,
          vxlanPort: value?.vxlanPort ?? vxlanPort,
          gossipPort: address.port,
          isMember: true,
          up: isPresent(state),
        }))
      const foreign: Peer[] = netdb
        .list('member')
        .filter(({ key }) => key !== netdb.self && !members.some(({ id }) => id === key))
        .map(({ key, value }) => ({
          id: key,
          name: value.name,
          vtep: value.vtep,
          vxlanPort: value.vxlanPort ?? vxlanPort,
          gossipPort: 0,
          isMember: false,
          up: true,
        }))
      return [...members, ...foreign]
    },
    heardAgoMs: (id) => cluster.heardAgoMs(id),
    greet: (id) => {
      cluster.greet(id)
    },
    open: async (peer) => {
      ;(await cluster.openApiAnyway(addressOf(peer))).destroy()
    },
    ask: (peer, method, path, body) => ask(cluster, peer, method, path, body),
  }
}

/** @throws WeftError not_found */
export function toMember(peers: readonly Peer[], id: string): Peer {
  const found = peers.find((peer) => peer.id === id && peer.isMember)
  if (found !== undefined) return found
  throw new WeftError('not_found', `this host knows no member ${id}; see weft node ls`)
}

// What the API shows of the hosts of a cluster.

import type { ClusterNode } from '../cluster/nodes.ts'
import type { MemberState } from '../gossip/member.ts'
import type { NodeInspect, NodeRow, NodeStatus } from './cluster-types.ts'

/** docker's words for what gossip believes. */
const STATUS: Readonly<Record<MemberState, NodeStatus>> = {
  alive: 'ready',
  suspect: 'suspect',
  dead: 'down',
  // Not listed.
  left: 'down',
}

export function nodeRows(nodes: readonly ClusterNode[]): NodeRow[] {
  return nodes.map((node) => ({
    id: node.id,
    name: node.name,
    self: node.self,
    status: STATUS[node.state],
    availability: node.availability,
    address: node.address.ip,
    vtep: node.value?.vtep ?? '',
    version: node.value?.version ?? '',
    incarnation: node.incarnation,
    statusForMs: node.stateForMs,
    endpoints: node.endpoints.length,
  }))
}

export function nodeInspectOf(node: ClusterNode): NodeInspect {
  const { value } = node
  return {
    ID: node.id,
    Spec: { Labels: node.labels, Availability: node.availability },
    Description: {
      Hostname: node.name,
      Engine: { EngineVersion: value?.version ?? '' },
    },
    Status: { State: STATUS[node.state], Addr: node.address.ip },
    Gossip: {
      Port: node.address.port,
      Incarnation: node.incarnation,
      StateForMs: node.stateForMs,
    },
    Dataplane: {
      VTEP: value?.vtep ?? '',
      Port: value?.vxlanPort ?? 0,
      UnderlayMTU: value?.underlayMtuBytes ?? 0,
      Routes: value?.routes ?? [],
    },
    Endpoints: node.endpoints,
  }
}

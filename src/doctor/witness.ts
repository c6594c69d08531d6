// The witness: what a host tells another one's doctor, and sends it when asked to.

import { type Socket, createSocket } from 'node:dgram'
import type { Ipv4Address } from '../net/ipv4-address.ts'

/** GET /v1/doctor/witness?of=MEMBER */
export interface Testimony {
  /** Its clock. */
  readonly wallMs: number
  /** Probes that came on the VXLAN port so far, whoever sent them. */
  readonly vxlanProbes: number
  /** How long ago a gossip datagram of the one who asks came; null: none has. */
  readonly heardAgoMs: number | null
}

/** POST /v1/doctor/knock: what the doctor's host wants to be sent. */
export interface KnockRequest {
  /** The doctor's host. */
  readonly member: string
  readonly vxlanProbes: number
}

/** What came of it on the side of the one who sent. */
export interface Knocked {
  /** Why no connection to the doctor's host could be made; null: one could. */
  readonly tcpError: string | null
}

/** A VXLAN header with the VNI flag and VNI 0, which no network has, and an empty Ethernet header. */
const PROBE = Buffer.from([0x08, 0, 0, 0, 0, 0, 0, 0, ...new Array<number>(14).fill(0)])
/** Between two: a burst might overflow what nothing else does. */
const GAP_MS = 2

/** Sends so many VXLAN probes from our VTEP's address: the other side counts them as doctor_probe. */
export async function sendVxlanProbes(
  from: Ipv4Address,
  to: { readonly vtep: Ipv4Address; readonly vxlanPort: number },
  count: number,
): Promise<void> {
  const socket = createSocket({
    type: 'udp4',
    lookup: (address, _options, done) => {
      done(null, address, 4)
    },
  })
  await new Promise<void>((resolve) => {
    // A refusal by the kernel is a probe that does not come.
    socket.on('error', () => {
      resolve()
    })
    socket.bind({ address: from, port: 0 }, resolve)
  })
  for (let i = 0; i < count; i++) {
    await send(socket, to.vxlanPort, to.vtep)
    await new Promise((resolve) => setTimeout(resolve, GAP_MS))
  }
  socket.close()
}

function send(socket: Socket, port: number, address: string): Promise<void> {
  return new Promise((resolve) => {
    socket.send(PROBE, port, address, () => {
      resolve()
    })
  })
}

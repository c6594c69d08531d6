// What members say to each other: the parts of a datagram, and what a stream carries. Their bytes are codec.ts's.

import type { Address, MemberId, MemberState } from './member.ts'

/** What somebody believes of a member: of two beliefs the higher incarnation stands, then the worse state. */
export interface Belief {
  readonly incarnation: number
  readonly state: MemberState
}

/** From the best to the worst. */
export const SEVERITY: Readonly<Record<MemberState, number>> = {
  alive: 0,
  suspect: 1,
  dead: 2,
  left: 3,
}

/** Are you there? I believe this of you. */
export interface Ping extends Belief {
  readonly type: 'ping'
  readonly seq: number
  readonly target: MemberId
}

export interface Ack {
  readonly type: 'ack'
  readonly seq: number
  /** Of the one who was pinged. */
  readonly incarnation: number
}

/** Ping it for me, and tell me with this number. */
export interface PingReq {
  readonly type: 'ping-req'
  readonly seq: number
  readonly target: MemberId
  readonly address: Address
}

/** I pinged it for you and have no answer; but I am well, and so is your way to me. */
export interface Nack {
  readonly type: 'nack'
  readonly seq: number
}

export interface Alive {
  readonly type: 'alive'
  readonly id: MemberId
  readonly incarnation: number
  readonly address: Address
  readonly name: string
}

export interface Suspect {
  readonly type: 'suspect'
  readonly id: MemberId
  readonly incarnation: number
  readonly by: MemberId
}

/** By itself: it leaves. */
export interface Dead {
  readonly type: 'dead'
  readonly id: MemberId
  readonly incarnation: number
  readonly by: MemberId
}

/** A passenger's rumour. The bytes are those of the datagram: whoever keeps them copies them. */
export interface Broadcast {
  readonly type: 'broadcast'
  readonly body: Uint8Array
}

/** A passenger's message to the receiver only. */
export interface Message {
  readonly type: 'message'
  readonly body: Uint8Array
}

export type Part = Ping | Ack | PingReq | Nack | Alive | Suspect | Dead | Broadcast | Message

/** One line of a push/pull: a member as the sender believes it to be. */
export interface Listed extends Belief {
  readonly id: MemberId
  readonly address: Address
  readonly name: string
  /** For how long it has been in this state: what is long gone is not learned anew. */
  readonly ageSeconds: number
}

/** What a stream carries, as a request or as its reply. `expelled` is only a reply: you are no member of ours any more. */
export type StreamType = 'probe' | 'push-pull' | 'passenger' | 'expelled'

export interface StreamMessage {
  readonly type: StreamType
  readonly body: Uint8Array
}

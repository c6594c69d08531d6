// The seal between hosts: what is sent to a peer so that it believes it, and what of that which arrives is believed.
//
// Freshness without clocks. Each start of a host is a *session*, greater than those before. A body is sealed for one session
// of its receiver, so a recording is worth nothing after the receiver's next start; within a session a window of counters
// tells what was heard already. A host that does not know its peer's session *knocks* with an empty datagram; the peer, which
// cannot tell a knock from a recording of one, says *hello*: its own session, for the session that knocked. The hello is for a
// session that exists now, so it is believed, and what waited is sent: first contact costs one round trip more.
//
// What arrives is judged in this order, and each refusal is counted under its name:
//   foreign      no key of ours, or altered
//   misdirected  for another member (a host that took over an address)
//   stale        for another session of ours than this: not believed, answered with a hello
//   replayed     from an earlier session of its sender than we have heard, or a counter that was heard
// Only what passes all four changes what we believe of a peer.
//
// Not handled: whoever can hold back a datagram on its way can deliver it late, within both sessions.

import type { MemberId, Peer } from '../gossip/member.ts'
import { BoundedMap } from './bounded-map.ts'
import type { GossipKey, Keyring } from './keyring.ts'
import { ReplayWindow } from './replay-window.ts'
import {
  DatagramCipher,
  type Header,
  NO_SESSION,
  type Session,
  bootNumberOf,
  readHeader,
} from './sealed-datagram.ts'

/** A datagram, and to whom. */
export interface Outgoing {
  readonly to: Peer
  readonly datagram: Uint8Array
}

/** What came of a datagram. */
export interface Opened {
  readonly from: MemberId
  /** What gossip is to hear; null: nothing. */
  readonly body: Uint8Array | null
  /** A hello for where it came from. */
  readonly answer: Uint8Array | null
  /** What had waited for the session of `from`. */
  readonly released: readonly Outgoing[]
  /** The boot number of a later start of ours that `from` has seen (UdpTransportOptions.onOvertaken). */
  readonly overtakenBy: number | null
}

export interface SealCounters {
  foreign: number
  misdirected: number
  stale: number
  replayed: number
  hellosIn: number
  hellosOut: number
  unsent: number
}

export interface SealOptions {
  readonly self: MemberId
  readonly session: Session
  readonly keyring: Keyring
  /** For limits only: how often, how long. Nothing is believed or not because of it. */
  readonly nowMs: () => number
}

/** What is known of a peer. */
interface Contact {
  /** The highest that was heard, in a datagram that was fresh. */
  session: Session
  window: ReplayWindow
  /** Tries to reach it before it was heard. */
  attempts: number
  hellosLeft: number
  hellosAtMs: number
}

interface Waiting {
  readonly to: Peer
  readonly body: Uint8Array
  readonly sinceMs: number
}

/** More than members; only who holds a key can make us remember one. */
const MAX_CONTACTS = 4096
/** What waits for a hello: as much as gossip says in a round, as long as gossip waits for an answer. */
const MAX_WAITING_EACH = 8
const MAX_WAITING = 1024
const MAX_WAIT_MS = 1_000
/** Hellos to one member: as many at once as may wait, then ten a second. A hello is no longer than what it answers. */
const HELLO_BURST = 8
const HELLO_INTERVAL_MS = 100
const NOTHING = new Uint8Array(0)

export class Seal {
  readonly counters: SealCounters = {
    foreign: 0,
    misdirected: 0,
    stale: 0,
    replayed: 0,
    hellosIn: 0,
    hellosOut: 0,
    unsent: 0,
  }

  readonly #self: MemberId
  readonly #keyring: Keyring
  readonly #nowMs: () => number
  readonly #cipher = new DatagramCipher()
  readonly #contacts = new BoundedMap<MemberId, Contact>(MAX_CONTACTS)
  /** In the order of their time. */
  #waiting: Waiting[] = []
  #session: Session
  /** Of the last datagram of this session, whoever it was for. */
  #counter = 0

  constructor({ self, session, keyring, nowMs }: SealOptions) {
    this.#self = self
    this.#session = session
    this.#keyring = keyring
    this.#nowMs = nowMs
  }

  /** A later session of this host, as if it had started again; what is known of peers stays true. */
  renew(session: Session): void {
    this.#session = session
    this.#counter = 0
  }

  /** What is to be sent so that `to` hears `body`: the body sealed, or a knock while the body waits. null: nothing. */
  seal(to: Peer, body: Uint8Array): Uint8Array | null {
    const contact = this.#contactOf(to.id)
    const key = this.#keyring.keyFor(to.id, contact.attempts)
    if (key === undefined) {
      this.counters.unsent += 1
      return null
    }
    if (contact.session !== NO_SESSION) return this.#write(key, to.id, contact.session, body)
    contact.attempts += 1
    this.#wait({ to, body, sinceMs: this.#nowMs() })
    return this.#write(key, to.id, NO_SESSION, NOTHING)
  }

  /** Judges a datagram. null: nothing comes of it, it is counted. Never throws. */
  open(bytes: Uint8Array): Opened | null {
    const datagram = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const header = readHeader(datagram)
    const key = header === null ? undefined : this.#keyring.get(header.keyId)
    const content =
      header === null || key === undefined ? null : this.#cipher.open(key, header, datagram)
    if (header === null || key === undefined || content === null) {
      this.counters.foreign += 1
      return null
    }
    if (content.receiver !== this.#self || header.sender === this.#self) {
      this.counters.misdirected += 1
      return null
    }
    const { sender: from, session } = header
    const contact = this.#contactOf(from)
    if (content.receiverSession !== this.#session) {
      this.counters.stale += 1
      // Only a session that we had can be sealed for. No hello: it would be refused as replayed, and answered with another.
      if (content.receiverSession > this.#session) {
        return { ...nothingFrom(from), overtakenBy: bootNumberOf(content.receiverSession) }
      }
      return { ...nothingFrom(from), answer: this.#hello(key, header, contact, session) }
    }
    if (session < contact.session) {
      this.counters.replayed += 1
      // Or its sender was rolled back to an earlier state, and would be deaf for ever: it is told the session that we know.
      return { ...nothingFrom(from), answer: this.#hello(key, header, contact, contact.session) }
    }
    if (session > contact.session) {
      contact.session = session
      contact.window = new ReplayWindow()
      contact.attempts = 0
    }
    if (!contact.window.accept(header.counter)) {
      this.counters.replayed += 1
      return null
    }
    this.#keyring.noteHeld(from, header.keyId, content.newestKey)
    const hello = content.body.length === 0
    if (hello) this.counters.hellosIn += 1
    return {
      ...nothingFrom(from),
      body: hello ? null : content.body,
      released: this.#release(from, contact.session),
    }
  }

  /**
   * Sealed with the key that was used for what it answers, whatever the peer was known to hold: it may be back from before a
   * rotation.
   */
  #hello(
    key: GossipKey,
    { sender }: Header,
    contact: Contact,
    receiverSession: Session,
  ): Uint8Array | null {
    const nowMs = this.#nowMs()
    const refill = Math.floor((nowMs - contact.hellosAtMs) / HELLO_INTERVAL_MS)
    if (refill > 0) {
      contact.hellosLeft = Math.min(HELLO_BURST, contact.hellosLeft + refill)
      contact.hellosAtMs = nowMs
    }
    if (contact.hellosLeft === 0) return null
    contact.hellosLeft -= 1
    this.counters.hellosOut += 1
    return this.#write(key, sender, receiverSession, NOTHING)
  }

  #write(key: GossipKey, receiver: MemberId, receiverSession: Session, body: Uint8Array): Buffer {
    this.#counter += 1
    const header = {
      keyId: key.id,
      sender: this.#self,
      session: this.#session,
      counter: this.#counter,
    }
    const newestKey = this.#keyring.newest()?.id ?? key.id
    return this.#cipher.seal(key, header, { receiver, receiverSession, newestKey, body })
  }

  #wait(waiting: Waiting): void {
    const oldest = waiting.sinceMs - MAX_WAIT_MS
    const kept = this.#waiting.filter(({ sinceMs }) => sinceMs > oldest)
    this.counters.unsent += this.#waiting.length - kept.length
    this.#waiting = kept
    const same = kept.filter(({ to }) => to.id === waiting.to.id).length
    if (same >= MAX_WAITING_EACH || kept.length >= MAX_WAITING) this.counters.unsent += 1
    // The buffer is its caller's, who may use it again.
    else kept.push({ ...waiting, body: Uint8Array.from(waiting.body) })
  }

  #release(peer: MemberId, session: Session): Outgoing[] {
    if (!this.#waiting.some(({ to }) => to.id === peer)) return []
    const oldest = this.#nowMs() - MAX_WAIT_MS
    const released = this.#waiting.filter(({ to }) => to.id === peer)
    this.#waiting = this.#waiting.filter(({ to }) => to.id !== peer)
    const inTime = released.filter(({ sinceMs }) => sinceMs > oldest)
    this.counters.unsent += released.length - inTime.length
    return inTime.flatMap(({ to, body }) => {
      const key = this.#keyring.keyFor(peer, 0)
      return key === undefined ? [] : [{ to, datagram: this.#write(key, peer, session, body) }]
    })
  }

  #contactOf(peer: MemberId): Contact {
    const known = this.#contacts.get(peer)
    if (known !== undefined) return known
    const contact: Contact = {
      session: NO_SESSION,
      window: new ReplayWindow(),
      attempts: 0,
      hellosLeft: HELLO_BURST,
      hellosAtMs: this.#nowMs(),
    }
    this.#contacts.set(peer, contact)
    return contact
  }
}

function nothingFrom(from: MemberId): Opened {
  return { from, body: null, answer: null, released: [], overtakenBy: null }
}

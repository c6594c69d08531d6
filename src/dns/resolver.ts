// What becomes of a query: an answer of ours, a question to others, or a refusal.

import type { Answers } from './answers.ts'
import type { Counters } from './counters.ts'
import type { Client, ForwardEnd, Forwarder } from './forwarder.ts'
import type { LoopGuard } from './loop-guard.ts'
import { Rcode, flagsOf } from './message.ts'
import type { Names } from './names.ts'
import { type Carrier, type Query, readQuery } from './query.ts'
import { type ReplyBody, emptyBody, encodeRefusal, encodeReply, encodeTruncated } from './reply.ts'

/** Who asks: a sandbox, or somebody on the host. */
export interface Asker extends Client {
  /** Ids of the networks that it is on, now. */
  readonly networks: () => readonly string[]
}

export interface ResolverOptions {
  readonly names: Names
  readonly answers: Answers
  readonly forwarder: Forwarder
  readonly loopGuard: LoopGuard
  readonly counters: Counters
  /** A bug of ours: the query was answered by SERVFAIL. */
  readonly onBug: (error: unknown) => void
}

export class Resolver {
  readonly #options: ResolverOptions

  constructor(options: ResolverOptions) {
    this.#options = options
  }

  /** Answers a message by `reply`, once, at once or later. false: it is one that is not answered. Never throws. */
  handle(message: Buffer, asker: Asker, carrier: Carrier, reply: (bytes: Buffer) => void): boolean {
    const { counters, onBug } = this.#options
    counters.query(carrier)
    const reading = readQuery(message, carrier)
    switch (reading.kind) {
      case 'dropped':
        counters.dropped(reading.reason)
        return false
      case 'refused':
        counters.reply('none', reading.refused.rcode)
        reply(encodeRefusal(reading.refused))
        return true
      case 'query':
        try {
          this.#resolve(reading.query, asker, reply)
        } catch (error) {
          onBug(error)
          this.#fail(reading.query, Rcode.SERVFAIL, 'bug', reply)
        }
        return true
    }
  }

  /** So many replies went nowhere. */
  unsent(count: number): void {
    this.#options.counters.unsent(count)
  }

  #resolve(query: Query, asker: Asker, reply: (bytes: Buffer) => void): void {
    const { answers, names, loopGuard } = this.#options
    const scope = asker.networks()
    const body = answers.answer(query.bytes, query.question, scope)
    if (body !== null) {
      this.#send(query, body, reply)
      return
    }
    if (loopGuard.isProbe(query.question.name)) {
      loopGuard.onProbe(query.question.name)
      this.#fail(query, Rcode.REFUSED, 'loop', reply)
      return
    }
    // Who is only on internal networks reaches nobody outside, and tells nobody outside what it looks for.
    if (scope.length > 0 && scope.every((id) => names.isInternal(id))) {
      this.#send(query, answers.noSuchName(query.bytes), reply)
      return
    }
    this.#forward(query, asker, reply)
  }

  #forward(query: Query, asker: Asker, reply: (bytes: Buffer) => void): void {
    const { forwarder, counters } = this.#options
    const onEnd: ForwardEnd = (outcome) => {
      if ('failure' in outcome) {
        this.#fail(query, Rcode.SERVFAIL, outcome.failure, reply)
        return
      }
      const rcode = flagsOf(outcome.reply) & 0xf
      counters.reply(outcome.cached ? 'cache' : 'upstream', rcode)
      const fits = outcome.reply.length <= query.maxReplyBytes
      reply(fits ? outcome.reply : encodeTruncated(query, rcode))
    }
    forwarder.forward(query, asker, onEnd)
  }

  #send(query: Query, body: ReplyBody, reply: (bytes: Buffer) => void): void {
    this.#options.counters.reply('local', body.rcode)
    reply(encodeReply(query, body))
  }

  #fail(query: Query, rcode: number, reason: string, reply: (bytes: Buffer) => void): void {
    const { counters } = this.#options
    counters.failure(reason)
    counters.reply('none', rcode)
    reply(encodeReply(query, emptyBody(rcode)))
  }
}

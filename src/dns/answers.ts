// What a question about our names is answered with, for somebody on some networks. Pure.

import { Class, type Question, Rcode, Type, suffixAt } from './message.ts'
import type { Found, FoundAddress, Names } from './names.ts'
import type { Ready } from './network-names.ts'
import { type ReplyBody, emptyBody } from './reply.ts'
import { encodeResourceRecord, QUESTION_NAME } from './resource-record.ts'
import { addressOfReverse } from './reverse-name.ts'

/** `_8080._tcp.web`: the port is told by the asker, until services tell theirs. */
const SERVICE_PORT = /^_([^.]+)\._(?:tcp|udp|sctp)\.(.+)$/
const PORT = /^[1-9]\d{0,4}$/
const MAX_PORT = 65_535

export interface AnswersOptions {
  readonly names: Names
  readonly ttlSeconds: number
}

export class Answers {
  readonly #names: Names
  readonly #ttlSeconds: number
  /** By where in the message the zone's name stands. */
  readonly #soas = new Map<number, Buffer>()
  readonly #any: Buffer

  constructor({ names, ttlSeconds }: AnswersOptions) {
    this.#names = names
    this.#ttlSeconds = ttlSeconds
    // RFC 8482 section 4.2.
    const data = { cpu: 'RFC8482', os: '' }
    this.#any = encodeResourceRecord(QUESTION_NAME, ttlSeconds, { type: 'HINFO', data })
  }

  /**
   * The answer; null: the name is not ours.
   *
   * @param message in which the question stands
   * @param scope ids of the networks that the asker is on
   */
  answer(message: Buffer, question: Question, scope: readonly string[]): ReplyBody | null {
    if (question.class !== Class.IN && question.class !== Class.ANY) return null
    const address = addressOfReverse(question.name)
    if (address !== null) {
      const found = this.#names.findAddress(scope, address)
      return found === null ? null : this.#answerReverse(message, question, found)
    }
    const found = this.#names.find(scope, question.name)
    if (found.length > 0) return this.#answerName(message, question, found)
    return question.name.startsWith('_') ? this.#answerPort(message, question, scope) : null
  }

  /** That there is no such name, said with authority: for those who may ask nobody else. */
  noSuchName(message: Buffer): ReplyBody {
    return this.#negative(message, Rcode.NXDOMAIN)
  }

  #answerName(message: Buffer, { type }: Question, found: readonly Found[]): ReplyBody {
    if (type === Type.ANY) return positive([this.#any])
    if (type !== Type.A && type !== Type.AAAA) return this.#negative(message, Rcode.NOERROR)
    const answers: Buffer[] = []
    for (const holder of inTurn(found, type)) {
      const record = type === Type.A ? holder.a : holder.aaaa
      if (record !== null) answers.push(record)
    }
    return answers.length > 0 ? positive(answers) : this.#negative(message, Rcode.NOERROR)
  }

  #answerReverse(message: Buffer, { type }: Question, found: readonly FoundAddress[]): ReplyBody {
    if (found.length === 0) return this.#negative(message, Rcode.NXDOMAIN, 2)
    if (type === Type.ANY) return positive([this.#any])
    if (type !== Type.PTR) return this.#negative(message, Rcode.NOERROR, 2)
    return positive(
      found.map(({ network, holder }) =>
        this.#encode(QUESTION_NAME, { type: 'PTR', data: `${holder.name}.${network}` }),
      ),
    )
  }

  #answerPort(
    message: Buffer,
    { name, type }: Question,
    scope: readonly string[],
  ): ReplyBody | null {
    const [, text = '', rest = ''] = SERVICE_PORT.exec(name) ?? []
    const found = rest === '' ? [] : this.#names.find(scope, rest)
    if (found.length === 0) return null
    const port = PORT.test(text) ? Number(text) : 0
    if (port === 0 || port > MAX_PORT) return this.#negative(message, Rcode.NXDOMAIN)
    if (type === Type.ANY) return positive([this.#any])
    if (type !== Type.SRV) return this.#negative(message, Rcode.NOERROR)
    const targets = found.flatMap(({ network, name: held }) =>
      held.inTurn(type).map((holder) => ({ holder, target: `${holder.name}.${network}` })),
    )
    if (targets.length === 0) return this.#negative(message, Rcode.NOERROR)
    return {
      ...positive(
        targets.map(({ target }) =>
          this.#encode(QUESTION_NAME, {
            type: 'SRV',
            data: { priority: 0, weight: 0, port, target },
          }),
        ),
      ),
      additionals: targets.flatMap(({ holder, target }) => this.#addressesOf(target, holder)),
    }
  }

  #addressesOf(name: string, { ip, ip6 }: Ready): Buffer[] {
    const records: Buffer[] = []
    if (ip !== null) records.push(this.#encode(name, { type: 'A', data: ip }))
    if (ip6 !== null) records.push(this.#encode(name, { type: 'AAAA', data: ip6 }))
    return records
  }

  #encode(owner: number | string, said: Parameters<typeof encodeResourceRecord>[2]): Buffer {
    return encodeResourceRecord(owner, this.#ttlSeconds, said)
  }

  /**
   * Says that there is nothing, and for how long that may be remembered (RFC 2308 section 3).
   *
   * @param zoneLabels the zone is so many of the last labels: `web`, `blue` of `web.blue`, `in-addr.arpa`
   */
  #negative(message: Buffer, rcode: number, zoneLabels = 1): ReplyBody {
    const at = suffixAt(message, zoneLabels)
    let soa = this.#soas.get(at)
    if (soa === undefined) {
      const ttl = this.#ttlSeconds
      const times = { serial: 1, refresh: ttl, retry: ttl, expire: ttl, minimum: ttl }
      const data = { mname: 'weft.invalid', rname: 'nobody.invalid', ...times }
      this.#soas.set(at, (soa = this.#encode(at, { type: 'SOA', data })))
    }
    return { ...emptyBody(rcode, true), authorities: [soa] }
  }
}

/** The holders of a name on all networks on which it was found. */
function inTurn(found: readonly Found[], type: number): readonly Ready[] {
  const [first] = found
  if (first !== undefined && found.length === 1) return first.name.inTurn(type)
  return found.flatMap(({ name }) => name.inTurn(type))
}

function positive(answers: readonly Buffer[]): ReplyBody {
  return { ...emptyBody(Rcode.NOERROR, true), answers }
}

// Join tokens: what is typed wrong is found before anybody is asked, and never repeated in a message.

import t from 'tap'
import { WeftError } from '../../src/errors.ts'
import { clusterDigestOf, formatToken, parseToken } from '../../src/cluster/token.ts'
import { Random, SEED } from '../fixtures/random.ts'

const random = new Random()
const CLUSTER = Buffer.from(random.bytes(16)).toString('hex')
const SECRET = random.bytes(16)
const TOKEN = formatToken(CLUSTER, SECRET)

/** Why it was refused; undefined: it was taken. */
function refusal(text: string): string | undefined {
  try {
    parseToken(text)
    return undefined
  } catch (error) {
    if (error instanceof WeftError && error.code === 'token_invalid') return error.message
    throw error
  }
}

t.test(`a token gives back what it was made of (seed ${SEED})`, async (t) => {
  t.match(TOKEN, /^WEFT-1-[a-z2-7]{16}-[a-z2-7]{32}$/)
  for (const pasted of [TOKEN, ` ${TOKEN}\n`, TOKEN.toUpperCase(), TOKEN.toLowerCase()]) {
    const token = parseToken(pasted)
    t.equal(token.clusterDigest, clusterDigestOf(CLUSTER))
    t.same(token.secret, SECRET)
  }
})

t.test('each single change of a character is noticed', async (t) => {
  const letters = 'abcdefghijklmnopqrstuvwxyz234567'
  let tried = 0
  for (let at = 'WEFT-1-'.length; at < TOKEN.length; at++) {
    for (const letter of letters) {
      if (letter === TOKEN[at]) continue
      tried += 1
      const changed = TOKEN.slice(0, at) + letter + TOKEN.slice(at + 1)
      if (refusal(changed) === undefined) t.fail(`not noticed: ${changed}`)
    }
  }
  t.ok(tried > 1000)
})

t.test('so is a token that is cut, doubled, or put together from two', async (t) => {
  const other = formatToken(Buffer.from(random.bytes(16)).toString('hex'), random.bytes(16))
  const [, , digest, secret] = TOKEN.split('-')
  const [, , otherDigest] = other.split('-')
  for (let length = 0; length < TOKEN.length; length++) {
    if (refusal(TOKEN.slice(0, length)) === undefined) t.fail(`${length} characters were enough`)
  }
  const swapped = Array.from({ length: 31 }, (_, at) => {
    const [a, b] = [secret![at]!, secret![at + 1]!]
    return a === b ? '' : `WEFT-1-${digest}-${secret!.slice(0, at)}${b}${a}${secret!.slice(at + 2)}`
  })
  const mixed = [`WEFT-1-${otherDigest}-${secret}`, TOKEN + TOKEN, `${TOKEN}a`, `${TOKEN}aaaaaaaa`]
  for (const text of [...swapped, ...mixed]) t.ok(refusal(text), 'refused')
})

t.test('a message says what is wrong and what to do, without the token', async (t) => {
  const mistyped = TOKEN.slice(0, -1) + (TOKEN.endsWith('a') ? 'b' : 'a')
  const rows: [string, RegExp][] = [
    ['', /not a join token/],
    ['SWMTKN-1-abc-def', /not a join token/],
    [CLUSTER, /not a join token/],
    [TOKEN.replace('-1-', '-2-'), /form 2.*same version/],
    [mistyped, /mistyped or cut/],
    [TOKEN.replace(/.{3}$/, ''), /mistyped or cut/],
    [TOKEN.replace(/-[a-z2-7]{32}/, `-${'0189'.repeat(8)}`), /mistyped or cut/],
  ]
  for (const [text, expected] of rows) {
    const message = refusal(text) ?? ''
    t.match(message, expected)
    t.match(message, /weft join-token/)
    if (text.length > 20) t.notOk(message.includes(text.slice(-20)))
  }
})

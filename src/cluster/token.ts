// The join token: what an operator carries to a new host. It names the cluster and holds the secret that opens its door.
//
// WEFT-1-<cluster digest>-<secret>: the digest tells the joiner whether whoever answers is the cluster that was meant; the
// secret carries a checksum, so that a mistyped token is told apart from one that is no longer valid, without asking anybody.

import { createHash } from 'node:crypto'
import { WeftError } from '../errors.ts'

export const CLUSTER_ID_BYTES = 16
export const JOIN_SECRET_BYTES = 16

/** 32 hex digits: 16 random bytes, made by `weft init`. */
export type ClusterId = string

export interface Token {
  /** 16 characters: base32 of the first 10 bytes of SHA-256 of the cluster's id. */
  readonly clusterDigest: string
  readonly secret: Uint8Array
}

const DIGEST_BYTES = 10
/** 16 + 4 bytes are 32 characters of base32, without a rest that could be spelt in two ways. */
const CHECKSUM_BYTES = 4
const SHAPE = /^weft-([0-9]+)-([a-z0-9]+)-([a-z0-9]+)$/

export function clusterDigestOf(clusterId: ClusterId): string {
  const digest = createHash('sha256').update(Buffer.from(clusterId, 'hex')).digest()
  return toBase32(digest.subarray(0, DIGEST_BYTES))
}

export function formatToken(clusterId: ClusterId, secret: Uint8Array): string {
  const clusterDigest = clusterDigestOf(clusterId)
  const checked = Buffer.concat([secret, checksum(clusterDigest, secret)])
  return `WEFT-1-${clusterDigest}-${toBase32(checked)}`
}

/**
 * Reads a token as it was pasted: around it blanks, and upper case, do no harm. Messages never repeat it: it is a secret.
 *
 * @throws WeftError token_invalid
 */
export function parseToken(text: string): Token {
  const match = SHAPE.exec(text.trim().toLowerCase())
  if (match === null) {
    throw invalid('this is not a join token: one looks like WEFT-1-...-...')
  }
  const [, version = '', clusterDigest = '', rest = ''] = match
  if (version !== '1') {
    throw invalid(
      `this is a join token of form ${version}; this version of weft knows form 1 only: use the same version on both hosts`,
    )
  }
  const digest = fromBase32(clusterDigest)
  const checked = fromBase32(rest)
  if (
    digest?.length !== DIGEST_BYTES ||
    checked?.length !== JOIN_SECRET_BYTES + CHECKSUM_BYTES ||
    !checksum(clusterDigest, checked.subarray(0, JOIN_SECRET_BYTES)).equals(
      checked.subarray(JOIN_SECRET_BYTES),
    )
  ) {
    throw invalid('the join token is mistyped or cut: its checksum does not fit')
  }
  return { clusterDigest, secret: Uint8Array.from(checked.subarray(0, JOIN_SECRET_BYTES)) }
}

function invalid(message: string): WeftError {
  return new WeftError(
    'token_invalid',
    `${message}; print it anew with weft join-token on a host of the cluster`,
  )
}

function checksum(clusterDigest: string, secret: Uint8Array): Buffer {
  const hash = createHash('sha256').update('weft token').update(clusterDigest).update(secret)
  return hash.digest().subarray(0, CHECKSUM_BYTES)
}

/** RFC 4648 section 6, in lower case: no 0, 1, 8 or 9 that could be taken for a letter. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** Only for multiples of 5 bytes, which need no padding. */
function toBase32(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 5) {
    const value = Buffer.from(bytes.subarray(at, at + 5)).readUIntBE(0, 5)
    for (let shift = 35; shift >= 0; shift -= 5) {
      text += ALPHABET[Math.floor(value / 2 ** shift) % 32] ?? ''
    }
  }
  return text
}

function fromBase32(text: string): Buffer | undefined {
  if (text.length % 8 !== 0) return undefined
  const bytes = Buffer.alloc((text.length / 8) * 5)
  for (let at = 0; at < text.length; at += 8) {
    let value = 0
    for (const letter of text.slice(at, at + 8)) {
      const digit = ALPHABET.indexOf(letter)
      if (digit < 0) return undefined
      value = value * 32 + digit
    }
    bytes.writeUIntBE(value, (at / 8) * 5, 5)
  }
  return bytes
}

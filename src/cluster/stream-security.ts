// What TLS between hosts is: version, cipher, and who proves to be whom with which secret.
//
// TLS 1.2 with a pre-shared key (RFC 4279), ephemeral Diffie-Hellman (RFC 5489: who learns the key later reads nothing that
// was recorded) and ChaCha20-Poly1305 (RFC 7905, the only AEAD for ECDHE_PSK that OpenSSL has). Both sides prove to know the
// key in the handshake; there are no certificates. Node has no pre-shared keys for TLS 1.3.

import { constants, hkdfSync } from 'node:crypto'
import type { GossipKey, KeyId } from './keyring.ts'

/** Told by ALPN (RFC 7301). */
export const PROTOCOLS = {
  /** One request and its reply. */
  gossip: 'weft-gossip/1',
  /** One request to join and its answer. */
  join: 'weft-join/1',
  /** HTTP of the daemon's API. */
  api: 'weft-api/1',
} as const

export type Protocol = (typeof PROTOCOLS)[keyof typeof PROTOCOLS]

export const TLS_OPTIONS = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  // A ticket would open a session again without the key, also after the key was taken away.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const

/** What opens the door for joiners. */
export interface JoinDoor {
  readonly clusterDigest: string
  readonly secret: Uint8Array
}

/** A PSK identity, sent in the clear, and its key. */
export interface Credential {
  readonly identity: string
  readonly psk: Buffer
}

export function memberCredential(key: GossipKey): Credential {
  return { identity: `k:${key.id}`, psk: derive(key.key, 'weft stream') }
}

export function joinCredential({ clusterDigest, secret }: JoinDoor): Credential {
  return { identity: `j:${clusterDigest}`, psk: derive(secret, 'weft join') }
}

/** Whose key an identity asks for; null: it is none of ours. */
export type Identity = { readonly keyId: KeyId } | { readonly clusterDigest: string }

export function readIdentity(text: string): Identity | null {
  if (text.startsWith('k:')) return { keyId: text.slice(2) }
  if (text.startsWith('j:')) return { clusterDigest: text.slice(2) }
  return null
}

/** HKDF-SHA256 (RFC 5869): the secret itself is used nowhere, and each use has a key of its own. */
function derive(secret: Uint8Array, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', use, 32))
}

// The secrets of a cluster as records: its gossip keys and its join secret, made, rotated, and followed.
//
// They travel as records of kind `cluster`, sealed like all that is gossiped. What a host uses and remembers of them follows
// netdb, so that whoever rotates them needs to reach nobody in particular.

import { randomBytes } from 'node:crypto'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Change, Netdb } from '../netdb/table.ts'
import { GOSSIP_KEY_BYTES, type KeyId, type Keyring, gossipKey, keyIdOf } from './keyring.ts'
import type { Membership, StateFile } from './state-file.ts'
import { JOIN_SECRET_BYTES } from './token.ts'

/** Keys that are accepted: a host that missed so many rotations needs a token again. */
const MOST_KEYS = 3

const JOIN_SECRET = 'join-secret'
const KEY_PREFIX = 'key/'

export interface SecretsOptions {
  readonly netdb: Netdb
  readonly state: StateFile
  readonly log: Logger
}

export class Secrets {
  readonly #options: SecretsOptions

  constructor(options: SecretsOptions) {
    this.#options = options
  }

  /** Of a new cluster. */
  create(): Pick<Membership, 'keys' | 'joinSecret'> {
    const { key, order } = this.#newKey()
    return { keys: [{ key, order }], joinSecret: this.#newJoinSecret() }
  }

  /** Tokens with the old one are refused by each host that has heard; gives the record's name. */
  rotateJoinSecret(): string {
    this.#newJoinSecret()
    return `cluster/${JOIN_SECRET}`
  }

  /** A host seals with it for whoever holds it, too; so none is lost. Gives the record's name. */
  rotateKeys(): { readonly key: KeyId; readonly record: string } {
    const { id } = this.#newKey()
    return { key: id, record: `cluster/${KEY_PREFIX}${id}` }
  }

  /** After a rotation: the oldest keys beyond those that are accepted. */
  dropOldKeys(keyring: Keyring): void {
    for (const { id } of keyring.all().slice(0, -MOST_KEYS)) {
      this.#options.netdb.remove('cluster', `${KEY_PREFIX}${id}`)
    }
  }

  /** Keeps keyring and state file at what the records say; gives the function that ends it. */
  follow(keyring: Keyring): () => void {
    const { netdb } = this.#options
    const unwatch = netdb.watch((change) => {
      this.#onChange(change, keyring)
    })
    // What records of an earlier time say is news to a keyring that begins with the file's.
    for (const after of netdb.list('cluster')) this.#onChange({ before: undefined, after }, keyring)
    return unwatch
  }

  #newKey(): { id: KeyId } & Membership['keys'][number] {
    const key = randomBytes(GOSSIP_KEY_BYTES)
    const id = keyIdOf(key)
    const value = key.toString('base64url')
    const { version } = this.#options.netdb.put('cluster', `${KEY_PREFIX}${id}`, { value })
    return { id, key, order: version }
  }

  #newJoinSecret(): Uint8Array {
    const secret = randomBytes(JOIN_SECRET_BYTES)
    this.#options.netdb.put('cluster', JOIN_SECRET, { value: secret.toString('base64url') })
    return secret
  }

  #onChange({ before, after }: Change, keyring: Keyring): void {
    const record = after ?? before
    const { membership } = this.#options.state.state
    if (record?.kind !== 'cluster' || membership === null) return
    const secret = bytesOf(after)
    if (record.key === JOIN_SECRET) {
      if (secret?.length === JOIN_SECRET_BYTES)
        this.#remember({ ...membership, joinSecret: secret })
      return
    }
    if (!record.key.startsWith(KEY_PREFIX)) return
    const id = record.key.slice(KEY_PREFIX.length)
    // A record that is not what its name says is a mistake, or a lie: no key of ours.
    if (secret?.length === GOSSIP_KEY_BYTES && keyIdOf(secret) === id)
      keyring.add(gossipKey(secret, record.version))
    else keyring.remove(id)
    const keys = keyring.all().map(({ key, order }) => ({ key, order }))
    this.#remember({ ...membership, keys })
  }

  #remember(membership: Membership): void {
    const { state, log } = this.#options
    state.update({ membership }).catch((error: unknown) => {
      log.error({}, `changed secrets could not be written down: ${messageOf(error)}`)
    })
  }
}

function bytesOf(record: Change['after']): Uint8Array | undefined {
  const value = record?.kind === 'cluster' ? record.value?.value : undefined
  return value === undefined ? undefined : Buffer.from(value, 'base64url')
}

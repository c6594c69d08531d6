// What a host remembers of its cluster between two starts: cluster.json in its state directory.
//
// The boot number is the upper half of the host's sessions (seal.ts): it is on disk before it is used, so that no two starts
// have the same. A file that cannot be read is set aside, and the host begins anew: outside of any cluster, with a new id,
// since its old one without its boot number would be taken for a recording by all who know it.

import { join } from 'node:path'
import * as z from 'zod'
import { WeftError, messageOf } from '../errors.ts'
import type { MemberId } from '../gossip/member.ts'
import { type Ipv4Address, isIpv4Address } from '../net/ipv4-address.ts'
import type { Version } from '../netdb/record.ts'
import { readIfThere, replaceFile, setFileAside } from './atomic-file.ts'
import { GOSSIP_KEY_BYTES } from './keyring.ts'
import { CLUSTER_ID_BYTES, type ClusterId, JOIN_SECRET_BYTES } from './token.ts'

export interface KnownPeer {
  readonly id: MemberId
  readonly name: string
  readonly ip: Ipv4Address
  readonly port: number
}

export interface StoredKey {
  readonly key: Uint8Array
  readonly order: Version
}

/** What makes a host a member. */
export interface Membership {
  readonly clusterId: ClusterId
  readonly keys: readonly StoredKey[]
  readonly joinSecret: Uint8Array
}

export interface ClusterState {
  readonly memberId: MemberId
  /** null: this host is in no cluster. */
  readonly membership: Membership | null
  /** How often this host has started. */
  readonly bootNumber: number
  readonly incarnation: number
  /** Whom to ask first after a start. */
  readonly peers: readonly KnownPeer[]
  /** When another member was last heard; 0: never. Wall clock: it is compared across restarts. */
  readonly lastContactWallMs: number
}

export interface StateFileOptions {
  /** The state directory, which exists. */
  readonly directory: string
  readonly wallMs: () => number
  readonly randomBytes: (count: number) => Uint8Array
}

const FILE_NAME = 'cluster.json'
const FORMAT = 1

const U32 = z.number().int().min(0).max(0xffff_ffff)
const WHOLE = z.number().int().min(0)
const MEMBER_ID = z.string().regex(/^[0-9a-f]{16}$/)

/** Bytes as hexadecimal digits. */
function hex(bytes: number) {
  return z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
    .transform((text) => Uint8Array.from(Buffer.from(text, 'hex')))
}

/** As others are told of it, too: join-protocol.ts. */
export const KNOWN_PEER = z.object({
  id: MEMBER_ID,
  name: z.string().min(1).max(255),
  ip: z.string().refine(isIpv4Address),
  port: z.number().int().min(1).max(65_535),
})

export const MEMBERSHIP = z.object({
  clusterId: z.string().regex(new RegExp(`^[0-9a-f]{${CLUSTER_ID_BYTES * 2}}$`)),
  joinSecret: hex(JOIN_SECRET_BYTES),
  keys: z
    .array(
      z.object({
        key: hex(GOSSIP_KEY_BYTES),
        order: z.object({ lamport: WHOLE, writer: z.string() }),
      }),
    )
    .min(1),
})

const VERSION = z.object({ version: z.number().int().min(FORMAT) })

const STATE = z.object({
  memberId: MEMBER_ID,
  membership: MEMBERSHIP.nullable(),
  bootNumber: U32,
  incarnation: U32,
  peers: z.array(KNOWN_PEER),
  lastContactWallMs: z.number().min(0),
})

/** Bytes as the schemas above read them. */
export function membershipToJson({ clusterId, joinSecret, keys }: Membership): object {
  const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return {
    clusterId,
    joinSecret: toHex(joinSecret),
    keys: keys.map(({ key, order }) => ({ key: toHex(key), order })),
  }
}

export class StateFile {
  /** Where a file that could not be used was put, and why; null: there was none, or a good one. */
  readonly setAside: { readonly path: string; readonly reason: string } | null
  readonly #path: string
  #state: ClusterState
  /** Writes follow each other. */
  #written: Promise<void> = Promise.resolve()

  private constructor(path: string, state: ClusterState, setAside: StateFile['setAside']) {
    this.#path = path
    this.#state = state
    this.setAside = setAside
  }

  /**
   * Reads the file; without one that can be used the state is that of a new host, on disk with the first update.
   *
   * @throws WeftError internal when it may not be read, version_mismatch when a newer weft has written it
   */
  static async open({ directory, wallMs, randomBytes }: StateFileOptions): Promise<StateFile> {
    const path = join(directory, FILE_NAME)
    const content = await readIfThere(path)
    const read = content === null ? null : readState(content.toString('utf8'))
    if (read !== null && 'newer' in read) {
      throw new WeftError(
        'version_mismatch',
        `${path} was written by a newer version of weft (format ${read.newer}); start that one, or move the file away to begin anew`,
      )
    }
    if (read !== null && 'state' in read) return new StateFile(path, read.state, null)
    const setAside =
      read === null ? null : { path: await setFileAside(path, wallMs()), reason: read.reason }
    return new StateFile(path, newState(randomBytes), setAside)
  }

  get state(): ClusterState {
    return this.#state
  }

  /**
   * Takes over what is given; done when it is on disk.
   *
   * @throws WeftError internal when it could not be written; the state has changed all the same
   */
  update(change: Partial<ClusterState>): Promise<void> {
    this.#state = { ...this.#state, ...change }
    const write = (): Promise<void> => replaceFile(this.#path, encodeState(this.#state))
    const done = this.#written.then(write)
    // The next write does not fail because this one did; who asked for this one is told.
    this.#written = done.catch(() => undefined)
    return done
  }

  /** The number of this start. */
  async nextBoot(): Promise<number> {
    const bootNumber = this.#state.bootNumber + 1
    await this.update({ bootNumber })
    return bootNumber
  }
}

function newState(randomBytes: StateFileOptions['randomBytes']): ClusterState {
  return {
    memberId: Buffer.from(randomBytes(8)).toString('hex'),
    membership: null,
    bootNumber: 0,
    incarnation: 0,
    peers: [],
    lastContactWallMs: 0,
  }
}

function encodeState(state: ClusterState): Buffer {
  const membership = state.membership === null ? null : membershipToJson(state.membership)
  return Buffer.from(`${JSON.stringify({ version: FORMAT, ...state, membership }, null, 2)}\n`)
}

type ReadState =
  | { readonly state: ClusterState }
  | { readonly reason: string }
  | { readonly newer: number }

function readState(text: string): ReadState {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return { reason: messageOf(error) }
  }
  const version = VERSION.safeParse(json)
  if (version.success && version.data.version > FORMAT) return { newer: version.data.version }
  if (!version.success) return { reason: reasonOf(version.error) }
  const result = STATE.safeParse(json)
  return result.success ? { state: result.data } : { reason: reasonOf(result.error) }
}

function reasonOf({ issues }: z.ZodError): string {
  const [issue] = issues
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`
}

// What is written down about a sandbox, so that the next daemon can adopt it: spec.json in a directory of its own.

import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { messageOf } from '../errors.ts'
import type { Ipv4Address } from '../net/ipv4-address.ts'
import type { Ipv6Address } from '../net/ipv6-address.ts'
import type { MacAddress } from '../net/mac-address.ts'
import type { Vni } from '../net/vni.ts'
import { HEALTH_CHECK, HEALTH_STATUSES } from '../netdb/health-check.ts'

/** A string that was a value of the branded type when it was written. */
const written = <T extends string>() => z.string().transform((text) => text as T)

const ENDPOINT = z.object({
  id: z.string(),
  /** Name and id of the network. */
  network: z.string(),
  networkId: z.string(),
  interface: z.string(),
  vni: z.number().transform((vni) => vni as Vni),
  mac: written<MacAddress>(),
  ip: written<Ipv4Address>(),
  prefixLength: z.number(),
  gateway: written<Ipv4Address>(),
  ip6: written<Ipv6Address>().nullable(),
  prefixLength6: z.number().nullable(),
  gateway6: written<Ipv6Address>().nullable(),
  mtuBytes: z.number(),
  aliases: z.array(z.string()).default([]),
  service: z.string().nullable().default(null),
  /** null: nobody checks it. */
  health: z.enum(HEALTH_STATUSES).nullable().default(null),
  /** Records of absent members that its addresses were taken from. */
  supersedes: z.array(z.string()).default([]),
  /** Since when it has its addresses (netdb/claim.ts); null: it was not claimed yet, or an earlier version wrote this. */
  claimedAt: z.number().nullable().default(null),
  /** By the user or the facts file: no other addresses will do. */
  asked: z.boolean().default(true),
  /** What its interface had when it was given these addresses, until it has them: a daemon that ends in between leaves it to the next. */
  formerly: z
    .object({
      mac: written<MacAddress>(),
      ip: written<Ipv4Address>(),
      ip6: written<Ipv6Address>().nullable(),
    })
    .nullable()
    .default(null),
})

const SPEC = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{64}$/),
  name: z.string(),
  kind: z.enum(['run', 'attach']),
  argv: z.array(z.string()),
  tty: z.boolean(),
  createdAtMs: z.number(),
  /** weft-init, as this machine sees it; the start time tells it from a later process with its PID. */
  init: z.object({ pid: z.number(), startTime: z.string() }).nullable(),
  endpoints: z.array(ENDPOINT),
  /** What was asked for; null: none is to be made; not there: its service's. */
  healthCheck: HEALTH_CHECK.nullable().exactOptional(),
  /** Its names are served. `resolvConf`: the file below /etc/netns that was made for that; null: another, or none. */
  dns: z.object({ resolvConf: z.string().nullable() }).nullable().default(null),
  /** Why weft ended it; null: it ended by itself, or by a user. */
  stopReason: z.string().nullable().default(null),
})

export type EndpointSpec = z.output<typeof ENDPOINT>
export type SandboxSpec = z.output<typeof SPEC>

const EXIT = z.object({
  code: z.number(),
  signal: z.number(),
  startedAt: z.number(),
  endedAt: z.number(),
})

/** How a command ended; times in ms since 1970. */
export interface Exit {
  readonly code: number
  readonly startedAtMs: number
  readonly endedAtMs: number
}

/** Where a sandbox's files are. */
export function sandboxDirectory(stateDir: string, id: string): string {
  return join(stateDir, 'sandboxes', id)
}

/** One directory a sandbox below `root`, named by its id. */
export class SandboxStore {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  directoryOf(id: string): string {
    return join(this.#root, id)
  }

  /** Written aside and renamed: what is read is a whole version, after a crash too. */
  async write(spec: SandboxSpec): Promise<void> {
    const directory = this.directoryOf(spec.id)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const file = join(directory, 'spec.json')
    await writeFile(`${file}.new`, `${JSON.stringify(spec, null, 2)}\n`, { mode: 0o600 })
    await rename(`${file}.new`, file)
  }

  async remove(id: string): Promise<void> {
    await rm(this.directoryOf(id), { recursive: true, force: true })
  }

  /** How the command ended; null: it has not, or nobody was there to write it down. */
  async readExit(id: string): Promise<Exit | null> {
    const text = await readFile(join(this.directoryOf(id), 'exit.json'), 'utf8').catch(() => null)
    if (text === null) return null
    const { code, startedAt, endedAt } = EXIT.parse(JSON.parse(text))
    return { code, startedAtMs: startedAt, endedAtMs: endedAt }
  }

  /** All that was written down. A directory that cannot be read is set aside and reported. */
  async readAll(report: (problem: string) => void): Promise<SandboxSpec[]> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 })
    const specs: SandboxSpec[] = []
    for (const id of await readdir(this.#root)) {
      if (id.startsWith('corrupt-')) continue
      try {
        const text = await readFile(join(this.#root, id, 'spec.json'), 'utf8')
        specs.push(SPEC.parse(JSON.parse(text)))
      } catch (error) {
        const aside = join(this.#root, `corrupt-${id.slice(0, 12)}-${Date.now()}`)
        await rename(join(this.#root, id), aside)
        report(
          `sandbox ${id.slice(0, 12)}: its spec.json cannot be read (${messageOf(error)}); set aside as ${aside}`,
        )
      }
    }
    return specs
  }
}

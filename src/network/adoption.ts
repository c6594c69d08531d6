// Adoption: a daemon that starts takes over the sandboxes that an earlier one left behind, and ends what nobody owns any more.
//
// Their records are there before the first of their ports is open: what waits at that port meets all backends of a service, so that its
// turn is the one that it would have been.

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { interfaceNames } from '../linux/interfaces.ts'
import type { Logger } from '../log.ts'
import type { InitClient } from '../sandbox/init-client.ts'
import { initAlive, killInit, listInits } from '../sandbox/spawn-init.ts'
import type { Endpoints } from './endpoints.ts'
import type { HealthChecks } from './health-checks.ts'
import { type Sandbox, newSandbox, whenGone } from './sandbox.ts'
import type { SandboxSpec } from './sandbox-spec.ts'
import type { SandboxResolvers } from './sandbox-resolvers.ts'
import type { SandboxTable } from './sandbox-table.ts'

export interface AdoptionOptions {
  readonly table: SandboxTable
  readonly endpoints: Pick<Endpoints, 'adopt' | 'claim' | 'disclaim'>
  readonly resolvers: Pick<SandboxResolvers, 'adopt' | 'end'>
  readonly health: Pick<HealthChecks, 'adopt'>
  readonly log: Logger
  readonly runDir: string
  readonly stateDir: string
  /** Connects to a sandbox's init and learns of its end from now on. */
  readonly follow: (sandbox: Sandbox) => Promise<InitClient>
  /** Ends a sandbox at once. */
  readonly end: (sandbox: Sandbox) => Promise<void>
}

export async function adoptAll(options: AdoptionOptions): Promise<void> {
  const { table, log, runDir, stateDir } = options
  await mkdir(join(runDir, 's'), { recursive: true, mode: 0o700 })
  const specs = await table.readAll()
  const { endpoints } = options
  const claimed = specs.filter(({ init }) => init !== null && initAlive(init))
  for (const { name, endpoints: those } of claimed)
    for (const spec of those) endpoints.claim(name, spec)
  await Promise.all(specs.map((spec) => adopt(spec, options)))
  const adopted = new Set(
    table.list().flatMap((sandbox) => sandbox.endpoints.map(({ spec }) => spec.id)),
  )
  for (const { endpoints: those } of claimed)
    for (const { id } of those) if (!adopted.has(id)) endpoints.disclaim(id)
  for (const init of await listInits(stateDir)) {
    if (table.list().some(({ client, spec }) => client !== null && spec.init?.pid === init.pid))
      continue
    log.warn({ pid: init.pid }, 'a weft-init that no sandbox here knows of is ended')
    killInit(init)
  }
  await table.removeStraySockets()
  await table.forgetOldest()
}

async function adopt(spec: SandboxSpec, options: AdoptionOptions): Promise<void> {
  const { table, log } = options
  const sandbox = newSandbox(spec, spec.kind === 'attach' ? 'attached' : 'running')
  table.add(sandbox)
  if (spec.init === null || !initAlive(spec.init)) {
    await options.resolvers.end(sandbox)
    await rm(table.socketOf(spec), { force: true })
    await table.noteExit(sandbox)
    sandbox.gone.abort()
    // Without an init it was only half made: there is nothing to remember.
    if (spec.kind === 'attach' || spec.init === null) await table.forget(sandbox)
    return
  }
  try {
    await adoptLiving(sandbox, options)
  } catch (error) {
    log.error(
      { sandbox: spec.name },
      `sandbox ${spec.name} cannot be adopted and is ended: ${messageOf(error)}`,
    )
    killInit(spec.init)
    if (sandbox.client === null) sandbox.gone.abort()
    else await whenGone(sandbox)
  }
}

async function adoptLiving(sandbox: Sandbox, options: AdoptionOptions): Promise<void> {
  const { endpoints, resolvers, health, log, follow, end } = options
  const { spec } = sandbox
  const client = await follow(sandbox)
  const state = await client.state()
  if (state.phase === 'created') {
    log.info({ sandbox: spec.name }, `sandbox ${spec.name} was never started and is removed`)
    await end(sandbox)
    return
  }
  if (state.phase === 'running') sandbox.innerPid = state.pid
  await removeStrayInterfaces(spec, client)
  for (const endpoint of spec.endpoints) {
    sandbox.endpoints.push(await endpoints.adopt(spec.name, endpoint, client))
  }
  sandbox.made = true
  await resolvers.adopt(sandbox, client)
  sandbox.startedAtMs = spec.createdAtMs
  health.adopt(sandbox)
  log.info({ sandbox: spec.name, init: spec.init?.pid }, `sandbox ${spec.name} adopted`)
}

/** Interfaces that init holds and nobody wrote down: the earlier daemon was killed while it changed what the sandbox is on. */
async function removeStrayInterfaces(
  { init, endpoints }: SandboxSpec,
  client: InitClient,
): Promise<void> {
  const known = new Set(endpoints.map((endpoint) => endpoint.interface))
  for (const name of interfaceNames(init?.pid ?? 0)) {
    // Init refuses what is not its own.
    if (!known.has(name)) await client.untap(name).catch(() => undefined)
  }
}

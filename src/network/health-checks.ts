// The health checks of this host's sandboxes: made while a sandbox lives, their findings put into its endpoints' records.
//
//   made ─ starting ─► begun ─► monitor ─ result ─► status changed ─► records → other hosts, event, written down
//
// A sandbox has one health, as a container of docker's has: all its endpoints say the same. What was known before a daemon was killed
// stands until checks say otherwise, and so does one that is served and is given a check: nothing leaves the rotation for a restart
// of the daemon, or for a check that has not been made yet.

import type { Clock } from '../clock.ts'
import { messageOf } from '../errors.ts'
import type { Tell } from '../events/event.ts'
import { type Health, type Outcome, newHealth, whyHealth } from '../health/health.ts'
import { Monitor } from '../health/monitor.ts'
import { wantedCheck } from '../health/wanted-check.ts'
import type { Logger } from '../log.ts'
import {
  type HealthCheck,
  type HealthStatus,
  type HealthTest,
  sameHealthCheck,
} from '../netdb/health-check.ts'
import { nameKeyOf } from '../netdb/hash.ts'
import type { Netdb } from '../netdb/table.ts'
import type { Endpoints } from './endpoints.ts'
import type { Sandbox } from './sandbox.ts'

export interface HealthChecksOptions {
  readonly netdb: Pick<Netdb, 'list' | 'watch' | 'self' | 'nameOfMember'>
  readonly clock: Clock
  readonly endpoints: Pick<Endpoints, 'setHealth' | 'known'>
  readonly sandboxes: () => readonly Sandbox[]
  /** Writes down what the endpoints of a sandbox have become. */
  readonly noteEndpoints: (sandbox: Sandbox) => Promise<void>
  /** Makes one check in a sandbox. */
  readonly probe: (sandbox: Sandbox, test: HealthTest, signal: AbortSignal) => Promise<Outcome>
  readonly tell: Tell
  readonly log: Logger
}

/** The daemon has more urgent things to do when it starts; and not all that it adopts are to be looked at in one moment, ever after. */
const AFTER_RESTART_MS = 1_000
const afterRestartMs = (id: string): number => nameKeyOf(id) % AFTER_RESTART_MS

export class HealthChecks {
  readonly #options: HealthChecksOptions
  readonly #monitors = new Map<Sandbox, Monitor>()
  readonly #unwatch: () => void

  constructor(options: HealthChecksOptions) {
    this.#options = options
    this.#unwatch = options.netdb.watch(({ before, after }) => {
      if ((after ?? before)?.kind !== 'service') return
      for (const sandbox of options.sandboxes()) this.reconsider(sandbox)
    })
  }

  /** Before a new sandbox has endpoints: they shall not be served before they are known to be well. */
  prepare(sandbox: Sandbox, services: readonly (string | null)[]): void {
    const check = this.#wanted(sandbox, services)
    sandbox.health = check === null ? null : newHealth(check)
  }

  /** Its command runs, or there is none of ours. */
  begin(sandbox: Sandbox): void {
    if (sandbox.health === null || sandbox.ending || this.#monitors.has(sandbox)) return
    this.#watch(sandbox, sandbox.health)
  }

  /** Of one that an earlier daemon made: what was known of it stands, and is looked at soon. */
  adopt(sandbox: Sandbox): void {
    const check = this.#wanted(sandbox)
    sandbox.health = check === null ? null : newHealth(check, knownOf(sandbox))
    this.#publish(sandbox, sandbox.health)
    if (sandbox.health !== null)
      this.#watch(sandbox, sandbox.health, afterRestartMs(sandbox.spec.id))
  }

  /** Its service may have another check by now, or it may be of another service. */
  reconsider(sandbox: Sandbox): void {
    if (!sandbox.made || sandbox.ending || sandbox.state === 'exited') return
    const before = sandbox.health?.check ?? null
    const check = this.#wanted(sandbox)
    const monitor = this.#monitors.get(sandbox)
    if (sameHealthCheck(before, check)) return
    if (check === null) {
      this.end(sandbox)
      sandbox.health = null
      this.#publish(sandbox, null)
    } else if (monitor !== undefined) {
      monitor.change(check)
      sandbox.health = monitor.health
    } else if (sandbox.state === 'created') {
      sandbox.health = newHealth(check, sandbox.health?.status ?? 'starting')
      this.#publish(sandbox, sandbox.health)
    } else {
      sandbox.health = newHealth(check, knownOf(sandbox))
      this.#publish(sandbox, sandbox.health)
      this.#watch(sandbox, sandbox.health, 0)
    }
  }

  /** It ends; what was found stays to be looked at. */
  end(sandbox: Sandbox): void {
    this.#monitors.get(sandbox)?.close()
    this.#monitors.delete(sandbox)
  }

  close(): void {
    this.#unwatch()
    for (const monitor of this.#monitors.values()) monitor.close()
    this.#monitors.clear()
  }

  #wanted(
    { spec, endpoints }: Sandbox,
    services: readonly (string | null)[] = endpoints.map((one) => one.spec.service),
  ): HealthCheck | null {
    const { kind, healthCheck: own } = spec
    return wantedCheck({ kind, own, services }, this.#options.netdb.list('service'))
  }

  #watch(sandbox: Sandbox, health: Health, firstInMs?: number): void {
    const { clock, probe } = this.#options
    const ageMs = clock.wallMs() - (sandbox.startedAtMs ?? sandbox.spec.createdAtMs)
    const monitor = new Monitor(
      {
        clock,
        startedMs: clock.nowMs() - ageMs,
        run: (test, signal) => probe(sandbox, test, signal),
        onResult: (now) => {
          this.#onResult(sandbox, now)
        },
      },
      health,
    )
    this.#monitors.set(sandbox, monitor)
    monitor.start(firstInMs)
  }

  #onResult(sandbox: Sandbox, health: Health): void {
    const { netdb, tell, log } = this.#options
    const before = sandbox.health?.status
    sandbox.health = health
    if (health.status === before || sandbox.ending) return
    const { name } = sandbox.spec
    const object = `${netdb.nameOfMember(netdb.self)}/${name}`
    const text = `${object} is ${health.status}: ${whyHealth(health)}`
    log[health.status === 'unhealthy' ? 'warn' : 'info']({ sandbox: name }, text)
    tell({ kind: 'health', object, text })
    this.#publish(sandbox, health)
  }

  #publish(sandbox: Sandbox, health: Health | null): void {
    const { endpoints, noteEndpoints, log } = this.#options
    const { name } = sandbox.spec
    const status = health?.status ?? null
    const changed = sandbox.endpoints.filter((one) => endpoints.setHealth(name, one, status))
    if (changed.length === 0) return
    const specs = changed.map(({ spec }) => spec)
    Promise.all([noteEndpoints(sandbox), endpoints.known(specs)]).catch((error: unknown) => {
      log.error({ sandbox: name }, `the health of ${name}: ${messageOf(error)}`)
    })
  }
}

/** What its records say; one that was served without a check is taken to be well. */
function knownOf({ endpoints }: Sandbox): HealthStatus {
  return endpoints[0]?.spec.health ?? 'healthy'
}

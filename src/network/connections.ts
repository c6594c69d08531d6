// Connections: which networks a sandbox is on, from its making to its end. While it lives networks are added and taken away.
//
//   connect      addresses promised → interface, record, rows → known on all hosts → set up → written down
//   disconnect   record and rows gone → written down → interface gone → known on all hosts
//
// What is written down is what is whole: a daemon that is killed in between leaves an interface that nobody wrote down, and the next one
// removes it (adoption.ts).

import type { PortId } from '../dataplane/rows.ts'
import { WeftError, messageOf } from '../errors.ts'
import { interfaceNames, isOwnNamespace } from '../linux/interfaces.ts'
import type { Logger } from '../log.ts'
import { cidrsOverlap, formatCidr } from '../net/cidr.ts'
import { parseName } from '../net/name.ts'
import type { HealthStatus } from '../netdb/health-check.ts'
import type { Endpoints } from './endpoints.ts'
import { nextInterfaceName, parseInterfaceName } from './interface-name.ts'
import type { Networks } from './networks.ts'
import { type Attachment, twiceOn } from './requests.ts'
import { type OpenEndpoint, type Sandbox, hasEnded, requireClient } from './sandbox.ts'
import type { EndpointSpec } from './sandbox-spec.ts'
import type { SandboxTable } from './sandbox-table.ts'

export interface ConnectionsOptions {
  readonly endpoints: Endpoints
  readonly networks: Pick<Networks, 'find' | 'subnetsOf'>
  readonly table: SandboxTable
  readonly log: Logger
}

export class Connections {
  readonly #options: ConnectionsOptions

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  /**
   * Chooses addresses and interface names for all that a new sandbox is to be on; into `promised`, of which the caller takes back what
   * it does not open.
   *
   * @param taken names of interfaces that there are
   */
  async promiseAll(
    name: string,
    attachments: readonly Attachment[],
    prefix: string,
    taken: Set<string>,
    promised: EndpointSpec[],
  ): Promise<void> {
    for (const attachment of attachments) {
      await this.#promise(name, attachment, prefix, taken, promised)
    }
  }

  /** Makes the interfaces of a new sandbox and brings them up; every host that can be reached knows of them then. */
  async open(sandbox: Sandbox, specs: readonly EndpointSpec[]): Promise<void> {
    const { endpoints } = this.#options
    const { name } = sandbox.spec
    const opened: OpenEndpoint[] = []
    const health = (): HealthStatus | null => sandbox.health?.status ?? null
    for (const spec of specs) {
      const client = requireClient(sandbox)
      const endpoint = await endpoints.open(name, { ...spec, health: health() }, client)
      sandbox.endpoints.push(endpoint)
      // A check may have ended meanwhile.
      endpoints.setHealth(name, endpoint, health())
      if (sandbox.ending) {
        // Whoever ends it did not see this one.
        this.#detach(sandbox, endpoint)
        throw hasEnded(sandbox)
      }
      opened.push(endpoint)
    }
    await endpoints.settle(name, opened)
    for (const endpoint of opened) await endpoints.setUp(endpoint, requireClient(sandbox))
  }

  /**
   * Puts a living sandbox on a further network. Nothing is changed when it throws.
   *
   * @throws WeftError not_found, not_running, name_in_use, and as Endpoints.promise()
   */
  async connect(sandbox: Sandbox, attachment: Attachment): Promise<void> {
    await inTurn(sandbox, async () => {
      const { endpoints, table } = this.#options
      const { name, init } = sandbox.spec
      const client = requireClient(sandbox)
      const pid = init?.pid ?? 0
      const taken = new Set(interfaceNames(pid))
      const promised = sandbox.endpoints.map(({ spec }) => spec)
      const before = promised.length
      try {
        await this.#promise(name, attachment, prefixFor(pid), taken, promised)
        await this.open(sandbox, promised.slice(before))
        await table.noteEndpoints(sandbox)
      } catch (error) {
        for (const spec of promised.slice(before)) {
          endpoints.forget(spec)
          const open = sandbox.endpoints.find((one) => one.spec.id === spec.id)
          if (open !== undefined) this.#detach(sandbox, open)
          await client.untap(spec.interface).catch(() => undefined)
        }
        throw error
      }
    })
  }

  /**
   * Takes a living sandbox off a network, also off its last one.
   *
   * @param text the network's name, its id, or the beginning of that
   * @throws WeftError not_found, not_running
   */
  async disconnect(sandbox: Sandbox, text: string): Promise<void> {
    await inTurn(sandbox, async () => {
      const { endpoints, table } = this.#options
      const client = requireClient(sandbox)
      const endpoint = await this.#find(sandbox, text)
      this.#detach(sandbox, endpoint)
      await table.noteEndpoints(sandbox)
      // Ours first, so that init has the last descriptor: closing that takes the kernel its time.
      await endpoints.settled()
      // One that was deleted in the sandbox is gone already, and so is all of one that ends at this moment.
      await client.untap(endpoint.spec.interface).catch(() => undefined)
      await endpoints.known([endpoint.spec])
    })
  }

  /** When it is done, our descriptors of the interfaces are closed: who asked may want their names again. */
  async detachAll(sandbox: Sandbox): Promise<void> {
    const { endpoints } = this.#options
    sandbox.ending = true
    const open = sandbox.endpoints.splice(0)
    for (const endpoint of open) endpoints.detach(endpoint)
    if (open.length > 0) await endpoints.settled()
  }

  /** A port's interface was deleted under us: whoever did it meant the attachment to end. */
  onPortGone(port: PortId): void {
    const { endpoints, table, log } = this.#options
    const endpoint = endpoints.ofPort(port)
    const sandbox = table.list().find((one) => one.endpoints.some((open) => open.port === port))
    if (endpoint === undefined || sandbox === undefined) return
    const { interface: name, network } = endpoint.spec
    log.warn(
      { sandbox: sandbox.spec.name, network },
      `interface ${name} of ${sandbox.spec.name} was deleted: its endpoint on ${network} is detached`,
    )
    this.#detach(sandbox, endpoint)
    // Nor is the next daemon to bring it back.
    table.noteEndpoints(sandbox).catch((error: unknown) => {
      log.error({ sandbox: sandbox.spec.name }, messageOf(error))
    })
  }

  #detach(sandbox: Sandbox, endpoint: OpenEndpoint): void {
    sandbox.endpoints = sandbox.endpoints.filter((open) => open !== endpoint)
    this.#options.endpoints.detach(endpoint)
  }

  async #promise(
    name: string,
    attachment: Attachment,
    prefix: string,
    taken: Set<string>,
    promised: EndpointSpec[],
  ): Promise<void> {
    const { endpoints, networks } = this.#options
    const aliases = aliasesOf(attachment, name)
    const interfaceName = chooseInterface(attachment, prefix, taken)
    const { key, value } = await networks.find(attachment.network)
    if (promised.some(({ networkId }) => networkId === key)) throw twiceOn(value.name, name)
    this.#requireApart(name, key, value.name, promised)
    const { ip, ip6, mac, service } = attachment
    const wish = { network: key, name, interface: interfaceName, ip, ip6, mac, aliases, service }
    taken.add(interfaceName)
    promised.push(await endpoints.promise(wish))
  }

  /** Of two networks that took one subnet in two halves of a partition: the sandbox would not know which is meant. */
  #requireApart(
    sandbox: string,
    id: string,
    network: string,
    others: readonly EndpointSpec[],
  ): void {
    const { networks } = this.#options
    for (const { value: mine } of networks.subnetsOf(id)) {
      for (const other of others) {
        const same = networks
          .subnetsOf(other.networkId)
          .find(({ value }) => cidrsOverlap(value.cidr, mine.cidr))
        if (same === undefined) continue
        throw new WeftError(
          'address_in_use',
          `subnet ${formatCidr(mine.cidr)} of network ${network} overlaps ${formatCidr(same.value.cidr)} of network ${other.network}, ` +
            `which ${sandbox} is on; it can be on one of them`,
        )
      }
    }
  }

  async #find(sandbox: Sandbox, text: string): Promise<OpenEndpoint> {
    const { endpoints, spec } = sandbox
    const named = endpoints.find((one) => one.spec.network === text || one.spec.networkId === text)
    if (named !== undefined) return named
    const { key, value } = await this.#options.networks.find(text)
    const found = endpoints.find((one) => one.spec.networkId === key)
    if (found !== undefined) return found
    const others = endpoints.map((one) => one.spec.network).join(', ')
    throw new WeftError(
      'not_found',
      `sandbox ${spec.name} is not on network ${value.name}; it is on ${others === '' ? 'none' : others}`,
    )
  }
}

/** What interfaces that weft makes in a namespace are called; the host has an eth0 of its own. */
export function prefixFor(pid: number): string {
  return isOwnNamespace(pid) ? 'weft' : 'eth'
}

function chooseInterface(
  { interface: asked }: Attachment,
  prefix: string,
  taken: ReadonlySet<string>,
): string {
  if (asked === undefined) return nextInterfaceName(prefix, taken)
  const name = parseInterfaceName(asked)
  if (!taken.has(name)) return name
  throw new WeftError(
    'interface_in_use',
    `interface ${name} exists in that namespace; choose another with --interface`,
  )
}

/** Each once; its own name need not be among them. */
function aliasesOf({ aliases = [] }: Attachment, name: string): string[] {
  const all = new Set(aliases.map((alias) => parseName('alias', alias)))
  all.delete(name)
  return [...all]
}

/** Changes of one sandbox follow each other. */
async function inTurn(sandbox: Sandbox, work: () => Promise<void>): Promise<void> {
  const done = sandbox.changed.then(work)
  sandbox.changed = done.catch(() => undefined)
  await done
}

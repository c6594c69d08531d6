// Which host a sandbox's name leads to: this one first, then the only other one that has it.

import t from 'tap'
import { pathFor } from '../../src/api/forward.ts'
import { locate, type OtherHost, type OtherHosts } from '../../src/api/locate.ts'
import { WeftError } from '../../src/errors.ts'
import type { Sandbox } from '../../src/network/sandbox.ts'

const H2: OtherHost = { id: '2'.repeat(16), name: 'h2' }
const H3: OtherHost = { id: '3'.repeat(16), name: 'h3' }

const here = (...names: string[]) => ({
  find(name: string): Sandbox {
    if (names.includes(name)) return {} as Sandbox
    throw new WeftError('not_found', `no sandbox ${name} on this host; see weft ps -a`)
  },
})

/** Hosts h2 and h3, and who carries what; `late` is heard of only after a refresh. */
function others(
  carried: Readonly<Record<string, readonly OtherHost[]>>,
  late: Readonly<Record<string, readonly OtherHost[]>> = {},
): OtherHosts & { refreshes: number } {
  return {
    selfName: 'h1',
    refreshes: 0,
    named: (name) => [H2, H3].find((host) => host.name === name),
    carrying(name) {
      return [...(carried[name] ?? []), ...(this.refreshes > 0 ? (late[name] ?? []) : [])]
    },
    refresh() {
      this.refreshes += 1
      return Promise.resolve()
    },
  }
}

t.test('a name is of this host before it is of another', async (t) => {
  const hosts = others({ c1: [H2] })
  t.same(await locate('c1', here('c1'), hosts), { host: null, name: 'c1' })
  t.same(await locate('c1', here(), hosts), { host: H2, name: 'c1' })
  t.equal(hosts.refreshes, 0, 'nobody is asked when it is known')
})

t.test('HOST/NAME is that host, also for a name that this one has', async (t) => {
  t.same(await locate('h2/c1', here('c1'), others({})), { host: H2, name: 'c1' })
  t.same(await locate('h1/c1', here('c1'), others({})), { host: null, name: 'c1' })
  await t.rejects(locate('h9/c1', here('c1'), others({})), {
    code: 'not_found',
    message: 'no host h9 is up in this cluster; see weft node ls',
  })
})

t.test('who misses a name asks a peer before it says no', async (t) => {
  const hosts = others({}, { c2: [H3] })
  t.same(await locate('c2', here(), hosts), { host: H3, name: 'c2' })
  t.equal(hosts.refreshes, 1)
  await t.rejects(locate('c9', here(), hosts), { code: 'not_found', message: /no sandbox c9/ })
})

t.test('a name on two other hosts must be told apart', async (t) => {
  await t.rejects(locate('c2', here(), others({ c2: [H2, H3] })), {
    code: 'ambiguous',
    message: 'several hosts have a sandbox c2; name one of h2/c2, h3/c2',
  })
})

t.test('the request that is passed on names the sandbox as its own host does', async (t) => {
  t.equal(pathFor('c2', '/v1/sandboxes/h2%2Fc2'), '/v1/sandboxes/c2')
  t.equal(
    pathFor('c2', '/v1/sandboxes/h2%2Fc2/logs?follow=1&tail=3'),
    '/v1/sandboxes/c2/logs?follow=1&tail=3',
  )
  t.equal(pathFor('a b', '/v1/sandboxes/x/signal'), '/v1/sandboxes/a%20b/signal')
})

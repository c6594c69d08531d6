// The Vagrantfile, as far as it can be looked at without a VM: Vagrant takes it, and its machines have the addresses of the lab.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { planTopology } from '../src/lab/topology.ts'
import { ok, run } from './fixtures/commands.ts'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

async function lacking(program: string, reason: string): Promise<string | false> {
  return (await run(['which', program])).code === 0 ? false : reason
}

/** A copy: Vagrant writes beside the file that it reads. */
function copyOf(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-vagrant-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  copyFileSync(join(ROOT, 'Vagrantfile'), join(directory, 'Vagrantfile'))
  return directory
}

const noVagrant = await lacking('vagrant', 'needs vagrant, which not every Debian has')
t.test('Vagrant takes it', { skip: noVagrant }, async (t) => {
  const cwd = copyOf(t)
  const env = {
    ...process.env,
    HOME: cwd,
    VAGRANT_HOME: join(cwd, 'home'),
    // It would ask its maker for a newer Vagrant.
    VAGRANT_CHECKPOINT_DISABLE: '1',
  }
  const { code, stdout, stderr } = await run(['vagrant', 'validate', '--ignore-provider'], {
    cwd,
    env,
  })
  t.equal(code, 0, stdout + stderr)
  t.match(stdout, 'validated successfully')
})

/** Stands in for Vagrant: prints what each machine is told of its networks and what runs in it. */
const RECORDER = `
require 'json'
class Recorder
  def initialize(log) = @log = log
  def define(name)
    yield Recorder.new(@log[name] = [])
  end
  def respond_to_missing?(*) = true
  def method_missing(name, *values, **options, &block)
    return self if %i[vm trigger].include?(name)
    @log << [name, values, options] if %i[network provision hostname=].include?(name) && @log.is_a?(Array)
    self
  end
end
module Vagrant
  def self.configure(_version)
    machines = {}
    yield Recorder.new(machines)
    puts JSON.generate(machines)
  end
end
load 'Vagrantfile'`

type Recorded = Readonly<
  Record<string, readonly [string, readonly string[], Record<string, string>][]>
>

const noRuby = await lacking('ruby', 'needs ruby, which comes with vagrant')
t.test('its machines are those of the lab', { skip: noRuby }, async (t) => {
  const cwd = copyOf(t)
  const machines = JSON.parse(await ok(['ruby', '-e', RECORDER], { cwd })) as Recorded
  const { hosts, router } = planTopology('lab', 3)
  t.same(Object.keys(machines), [router.name, ...hosts.map(({ name }) => name)])
  const networks = (name: string) =>
    (machines[name] ?? [])
      .filter(([what]) => what === 'network')
      .map(([, [kind = ''], { ip = '', virtualbox__intnet: cable = '' }]) => ({ kind, ip, cable }))
  const sides = networks(router.name)
  t.same(
    sides.map(({ ip }) => ip),
    [...new Set(hosts.map(({ gateway }) => gateway))],
  )
  for (const [index, { name, address, gateway }] of hosts.entries()) {
    const side = sides.find(({ ip }) => ip === gateway)
    t.same(networks(name), [{ kind: 'private_network', ip: address, cable: side?.cable }], name)
    const told = (machines[name] ?? []).flatMap(([what, , { inline = '' }]) =>
      what === 'provision' ? [inline] : [],
    )
    const other = index % 2 === 0 ? '192.168.1.0/24' : '172.31.1.0/24'
    const role = index === 0 ? '--first' : `--join ${hosts[0]?.address ?? ''}`
    t.match(told[0], `provision host --address ${address} --to ${other} --via ${gateway} `)
    t.match(told[0], new RegExp(` ${role}$`))
  }
})

const noShellcheck = await lacking('shellcheck', 'needs shellcheck')
t.test('shellcheck finds nothing in scripts/provision', { skip: noShellcheck }, async (t) => {
  const { stdout } = await run(['shellcheck', '-x', 'scripts/provision', 'scripts/lib.sh'], {
    cwd: ROOT,
  })
  t.equal(stdout, '')
})

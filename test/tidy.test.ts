// The tree's own rules, held by reading the tree: who may know what, and what a file looks like.
//
// Each rule is data with its reason. A rule that is in the way is changed here, with a new reason,
// not worked around.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { ERROR_CODES, httpStatus } from '../src/errors.ts'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * Folder of src/ → the folders it may import from, besides itself and the files beside it
 * (errors.ts, clock.ts, version.ts). From the bottom up: a folder knows only what stands above it.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  // Values: everybody's words, so they depend on nobody.
  net: [],
  // Records are made of values; how they are stored or sent is others' knowledge.
  netdb: ['net'],
  // Who is alive, and how records travel; sockets, keys and files are cluster's.
  gossip: ['net', 'netdb'],
  // A facts file is one more source of records.
  facts: ['net', 'netdb'],
  // Which subnets, VNIs and addresses are free, and who has to move: from records, whoever wrote them.
  ipam: ['net', 'netdb'],
  // What happened, in words: from records, collisions, and what gossip says. Told to it; it asks nobody.
  events: ['gossip', 'ipam', 'net', 'netdb'],
  // Who is behind a service, from records: rows, names and lists ask it.
  service: ['net', 'netdb'],
  // How the checks of a sandbox turn into its health, on a clock from outside; how a check is made is network's.
  health: ['netdb', 'service'],
  // Rows derive from records, whatever wrote them: it must not know the facts file or gossip.
  dataplane: ['net', 'netdb', 'service'],
  // Who has which name, and who is asked for other names: from records that are served, whoever wrote them.
  dns: ['net', 'netdb'],
  // Changes the kernel as it is told; knows addresses, not why.
  linux: ['net'],
  // This host's place in a cluster: keys, tokens, sockets, what it remembers. Deciding who is alive is gossip's.
  cluster: ['gossip', 'linux', 'net', 'netdb'],
  // weft-init's client. What starts it and receives descriptors is handed in: the addon is dataplane's.
  sandbox: ['linux', 'net'],
  // How large packets to other hosts may be; what is made of it is others'.
  pmtu: ['linux', 'net', 'netdb'],
  // Endpoints and sandboxes of this host: where kernel, data plane and records are brought together.
  network: [
    'dataplane',
    'dns',
    'events',
    'facts',
    'health',
    'ipam',
    'linux',
    'net',
    'netdb',
    'sandbox',
    'service',
  ],
  // Looks at what the others have made, and changes nothing but rows that are wrong. How hosts are asked is handed in.
  doctor: ['cluster', 'dataplane', 'gossip', 'ipam', 'linux', 'net', 'netdb', 'pmtu', 'sandbox'],
  // Requests → verbs of network and reads of the tables. Its client half needs only its own types.
  api: [
    'cluster',
    'dataplane',
    'dns',
    'doctor',
    'events',
    'facts',
    'gossip',
    'health',
    'linux',
    'net',
    'netdb',
    'network',
    'sandbox',
    'service',
  ],
  // The composition root: makes everything and hands it to each other.
  daemon: [
    'api',
    'cluster',
    'dataplane',
    'dns',
    'doctor',
    'events',
    'facts',
    'gossip',
    'linux',
    'net',
    'netdb',
    'network',
    'pmtu',
    'sandbox',
    'service',
  ],
  // Builds hosts around daemons: knows where a daemon keeps its files and how to ask it.
  lab: ['api', 'daemon', 'facts', 'linux', 'net'],
  // Builds labs and measures between their sandboxes, or between those of a cluster that is there, by its API;
  // how a lab is made and ended is lab's knowledge.
  bench: ['api', 'lab', 'linux', 'sandbox'],
  // argv → verb → text: it may call all verbs, and nothing calls it.
  cli: ['api', 'bench', 'daemon', 'facts', 'lab', 'linux', 'net', 'sandbox'],
}

/** Files that only some may use: what is looked for, where it may stand, and why only there. */
const CONFINED: readonly {
  readonly what: string
  readonly in: RegExp
  readonly pattern: RegExp
  readonly allowed: RegExp
}[] = [
  {
    what: 'only src/dataplane/binding.ts loads the addon: one door between the languages',
    in: /^src\/.*\.ts$/,
    pattern: /node-gyp-build|\.node['"`]/,
    allowed: /^src\/dataplane\/binding\.ts$/,
  },
  {
    what: 'only native/binding and addon.cc know N-API: the pipeline runs without JavaScript',
    in: /^native\/.*\.(cc|h)$/,
    pattern: /#include\s*[<"](napi|node_api|js_native_api)/,
    allowed: /^native\/(binding\/.*|addon\.cc)$/,
  },
  {
    what: 'only src/linux starts processes by Node: the one place for argv, timeouts, exit codes',
    in: /^src\/.*\.ts$/,
    pattern: /['"](node:)?child_process['"]/,
    allowed: /^src\/linux\//,
  },
  {
    what: 'only src/sandbox has the native core start one: weft-init, and nothing that it was not made for',
    in: /^src\/.*\.ts$/,
    pattern: /\bstartProgram\(/,
    allowed: /^src\/(sandbox\/spawn-init|dataplane\/binding(-types)?)\.ts$/,
  },
  {
    what: 'only src/cli prints: a daemon logs, the lab reports events, a library returns',
    in: /^src\/.*\.ts$/,
    pattern: /\bconsole\.|\bprocess\.(stdout|stderr)\b/,
    allowed: /^src\/cli\//,
  },
  {
    what: 'what decides does no I/O: net, netdb, gossip, facts and ipam run by the hundred in one test process',
    in: /^src\/(net|netdb|gossip|facts|health|ipam|events)\/.*\.ts$/,
    pattern:
      /['"]node:(fs|fs\/promises|net|dgram|dns|http|https|tls|child_process|worker_threads|timers|timers\/promises)['"]/,
    // The thin adapter that reads and watches the file.
    allowed: /^src\/facts\/watch-facts\.ts$/,
  },
  {
    what: 'of src/dns only the thin adapters do I/O: what is answered is decided on bytes and a clock',
    in: /^src\/dns\/.*\.ts$/,
    pattern:
      /['"]node:(fs|fs\/promises|net|dgram|dns|timers|timers\/promises|crypto)['"]|(?<!lock\.)\b(setTimeout|setInterval|Date\.now|performance\.now|Math\.random)\(/,
    allowed: /^src\/dns\/(tcp-listener|upstream-sockets|watch-resolv-conf)\.ts$/,
  },
  {
    what: 'what decides takes time and chance as arguments: src/clock.ts',
    in: /^src\/(net|netdb|gossip|facts|health|ipam|events)\/.*\.ts$/,
    // A Clock has a setTimeout of its own.
    pattern:
      /(?<!lock\.)\b(setTimeout|setInterval|setImmediate|Date\.now|performance\.now|Math\.random|randomUUID|randomBytes)\(|\bnew Date\(\)/,
    allowed: /^src\/facts\/watch-facts\.ts$/,
  },
]

/** A file that does not fit on some pages answers for more than one noun. */
const MAX_LINES = 500

/** Below `folder`, as paths from the root; what is built or installed is left out. */
function files(folder: string, name: RegExp): string[] {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`
      if (!entry.isDirectory()) return name.test(entry.name) ? [path] : []
      return /^(node_modules|build|prebuilds|dist)$/.test(entry.name) ? [] : files(path, name)
    })
    .toSorted()
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const SOURCE = /\.(ts|cc|h|def)$/
const sources = [...files('src', SOURCE), ...files('native', SOURCE)]
const tests = files('test', /\.ts$/)

/** The text without comments: a comment may name what the code may not use. */
function code(path: string): string {
  return read(path)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '')
}

t.test('what is confined is used only where it may be', async (t) => {
  for (const rule of CONFINED) {
    const offenders = sources.filter(
      (path) => rule.in.test(path) && !rule.allowed.test(path) && rule.pattern.test(code(path)),
    )
    t.same(offenders, [], rule.what)
  }
})

t.test('a folder of src imports only from the folders below it', async (t) => {
  const offenders: string[] = []
  for (const path of files('src', /\.ts$/)) {
    const folder = folderOf(path)
    for (const { fileName } of ts.preProcessFile(read(path)).importedFiles) {
      if (!fileName.startsWith('.')) continue
      const target = folderOf(join(dirname(path), fileName))
      if (target === folder || target === undefined) continue
      const allowed = folder === undefined ? [] : LAYERS[folder]
      if (allowed === undefined) offenders.push(`${path}: LAYERS has no entry for src/${folder}`)
      else if (!allowed.includes(target)) offenders.push(`${path} imports ${fileName}`)
    }
  }
  t.same(offenders, [])

  const order = Object.keys(LAYERS)
  for (const [folder, allowed] of Object.entries(LAYERS)) {
    const above = allowed.filter((other) => order.indexOf(other) >= order.indexOf(folder))
    t.same(above, [], `${folder} stands below what it may import, so there is no circle of folders`)
  }
})

/** The folder of src/ that a file is in; undefined for those right below src/. */
function folderOf(path: string): string | undefined {
  const [, folder, file] = path.split('/')
  return file === undefined ? undefined : folder
}

t.test(`no source file has more than ${MAX_LINES} lines`, async (t) => {
  const long = sources.map((path) => [path, read(path).split('\n').length - 1] as const)
  t.same(
    long.filter(([, lines]) => lines > MAX_LINES),
    [],
  )
})

t.test('every source file begins by saying what it answers for', async (t) => {
  const offenders = [...sources, ...tests].filter((path) => {
    // What is declared in a header is told there.
    if (path.endsWith('.cc') && sources.includes(path.replace(/cc$/, 'h'))) return false
    const first =
      read(path)
        .replace(/^#!.*\n/, '')
        .split('\n')[0] ?? ''
    return !/^(\/\/|\/\*\*?) \S.{15,}/.test(first)
  })
  t.same(offenders, [])
})

t.test('file names are kebab-case in TypeScript and snake_case in C++', async (t) => {
  const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/
  const snake = /^[a-z0-9]+(_[a-z0-9]+)*\.(cc|h|def)$/
  const offenders = [...sources, ...tests].filter(
    (path) => !(path.endsWith('.ts') ? kebab : snake).test(basename(path)),
  )
  t.same(offenders, [])
})

t.test('what has a shebang can be run, and the rest of scripts/ is sourced', async (t) => {
  for (const path of [...files('scripts', /./), '.ci/run']) {
    const runs = (statSync(join(ROOT, path)).mode & 0o111) !== 0
    const shebang = read(path).startsWith('#!')
    t.equal(runs, shebang, path)
    if (!shebang) t.match(path, /\.sh$/, `${path} has no shebang, so it is a library of shell`)
  }
})

const tracked = trackedFiles()
const skip = tracked === undefined && 'not a git checkout'
t.test("no file knows anybody's workplace", { skip }, async (t) => {
  // Behind a word or a brace it is no absolute path but a part of one: that of /proc/PID, for one.
  const workplace = new RegExp(`(?<![\\w}/.])/(?:${['work', 'root', 'home'].join('|')})/`)
  const offenders = (tracked ?? []).flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) => (workplace.test(line) ? [`${path}:${index + 1}`] : [])),
  )
  t.same(offenders, [])
})

/** Tracked files and those that will be; undefined outside of a git checkout. */
function trackedFiles(): string[] | undefined {
  if (!existsSync(join(ROOT, '.git'))) return undefined
  // Root in somebody's checkout is not its owner, which git takes for an attack without this.
  const git = ['-c', `safe.directory=${ROOT}`, 'ls-files', '-z', '-co', '--exclude-standard']
  return execFileSync('git', git, { cwd: ROOT, encoding: 'utf8' })
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(ROOT, path)))
}

t.test('the error codes of docs/api.md are those of src/errors.ts', async (t) => {
  const rows = read('docs/api.md').matchAll(/^\| ((?:`[a-z_]+` ?)+)\| (\d+) \|/gm)
  const documented = [...rows].flatMap(([, codes = '', status = '']) =>
    [...codes.matchAll(/`([a-z_]+)`/g)].map(([, name = '']) => [name, Number(status)] as const),
  )
  t.same(
    documented,
    ERROR_CODES.map((name) => [name, httpStatus(name)]),
  )
})

t.test('what package.json names is there', async (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [name, command] of Object.entries(scripts)) {
    for (const [path] of command.matchAll(/\bscripts\/[\w-]+/g)) {
      t.ok(existsSync(join(ROOT, path)), `npm run ${name} runs ${path}`)
    }
  }
})
